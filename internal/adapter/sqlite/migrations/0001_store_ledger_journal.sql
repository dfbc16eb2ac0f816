-- Times are RFC 3339 in UTC with nine digits of a second, so that they sort as text.

CREATE TABLE fleet_files (
  digest   TEXT NOT NULL PRIMARY KEY,
  source   BLOB NOT NULL,
  spec     TEXT NOT NULL CHECK (json_valid(spec)),
  added_at TEXT NOT NULL
) STRICT;

CREATE TABLE records (
  rollout    TEXT NOT NULL,
  kind       TEXT NOT NULL,
  name       TEXT NOT NULL,
  revision   INTEGER NOT NULL CHECK (revision > 0),
  updated_at TEXT NOT NULL,
  value      TEXT NOT NULL CHECK (json_valid(value)),
  PRIMARY KEY (rollout, kind, name)
) STRICT;

CREATE INDEX records_by_kind ON records (kind, rollout, name);

CREATE TABLE ledger (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  fleet     TEXT NOT NULL,
  kind      TEXT NOT NULL,
  subject   TEXT NOT NULL,
  version   TEXT NOT NULL,
  digest    TEXT NOT NULL,
  ring      TEXT NOT NULL,
  rollout   TEXT NOT NULL,
  proven_at TEXT NOT NULL,
  evidence  TEXT NOT NULL,
  UNIQUE (fleet, kind, subject, version, ring, rollout)
) STRICT;

CREATE INDEX ledger_by_time ON ledger (fleet, proven_at, id);

CREATE TABLE journal (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  at      TEXT NOT NULL,
  rollout TEXT NOT NULL,
  actor   TEXT NOT NULL,
  ring    TEXT NOT NULL,
  cluster TEXT NOT NULL,
  pool    TEXT NOT NULL,
  action  TEXT NOT NULL,
  object  TEXT NOT NULL,
  reason  TEXT NOT NULL,
  details TEXT NOT NULL CHECK (json_valid(details))
) STRICT;

CREATE INDEX journal_by_rollout ON journal (rollout, seq);

-- Append-only. The insert triggers close the way round the others: INSERT OR
-- REPLACE removes the old row without firing its delete trigger.

CREATE TRIGGER fleet_files_keep_update BEFORE UPDATE ON fleet_files
BEGIN SELECT RAISE(ABORT, 'fleet files are append-only'); END;
CREATE TRIGGER fleet_files_keep_delete BEFORE DELETE ON fleet_files
BEGIN SELECT RAISE(ABORT, 'fleet files are append-only'); END;
CREATE TRIGGER fleet_files_keep_replace BEFORE INSERT ON fleet_files
WHEN EXISTS (SELECT 1 FROM fleet_files WHERE digest = NEW.digest)
BEGIN SELECT RAISE(ABORT, 'fleet files are append-only'); END;

CREATE TRIGGER ledger_keep_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_keep_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_keep_replace BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM ledger WHERE id = NEW.id
  OR (fleet = NEW.fleet AND kind = NEW.kind AND subject = NEW.subject
      AND version = NEW.version AND ring = NEW.ring AND rollout = NEW.rollout))
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TRIGGER journal_keep_update BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_keep_delete BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_keep_replace BEFORE INSERT ON journal
WHEN EXISTS (SELECT 1 FROM journal WHERE seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
