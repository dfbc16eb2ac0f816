package sqlite

import (
	"context"
	"database/sql"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Append implements rollout.Ledger. All entries are added, or none. Of two
// equal entries the first is kept as it is.
func (f *File) Append(ctx context.Context, entries ...fleet.LedgerEntry) error {
	if len(entries) == 0 {
		return nil
	}
	return f.write(ctx, "append to the ledger", func(ctx context.Context, conn *sql.Conn) error {
		for _, e := range entries {
			// Asked first instead of ON CONFLICT DO NOTHING: the trigger that
			// keeps entries from being replaced fires before that clause.
			_, err := conn.ExecContext(ctx, `
INSERT INTO ledger (fleet, kind, subject, version, digest, ring, rollout, proven_at, evidence)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9
WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE fleet = ?1 AND kind = ?2 AND subject = ?3
  AND version = ?4 AND ring = ?6 AND rollout = ?7)`,
				e.Fleet, string(e.Kind), e.Subject, e.Version, e.Digest, e.Ring, e.Rollout, formatTime(e.ProvenAt), e.Evidence)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Entries implements rollout.Ledger.
func (f *File) Entries(ctx context.Context, fleetName string) ([]fleet.LedgerEntry, error) {
	const query = "SELECT fleet, kind, subject, version, digest, ring, rollout, proven_at, evidence" +
		" FROM ledger WHERE fleet = ? ORDER BY proven_at, id"
	return list(ctx, f, "read the ledger", query, []any{fleetName}, func(rows *sql.Rows) (fleet.LedgerEntry, error) {
		var e fleet.LedgerEntry
		var at string
		err := rows.Scan(&e.Fleet, &e.Kind, &e.Subject, &e.Version, &e.Digest, &e.Ring, &e.Rollout, &at, &e.Evidence)
		if err != nil {
			return e, err
		}
		e.ProvenAt, err = parseTime(at)
		return e, err
	})
}
