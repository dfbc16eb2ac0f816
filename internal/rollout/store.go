package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// ErrNotFound is returned by Store and Ledger for what they do not hold.
var ErrNotFound = errors.New("not found")

// ErrStaleWrite is returned when a record changed since it was read.
var ErrStaleWrite = errors.New("changed since it was read")

// Store keeps what a rollout must remember between steps and what people asked
// of it. Writes are durable when a method returns.
type Store interface {
	// PutFleet keeps a Fleet file under its digest; the same digest twice is one file.
	PutFleet(ctx context.Context, file FleetFile) error
	// Fleet returns the Fleet file of a digest, or ErrNotFound.
	Fleet(ctx context.Context, digest string) (FleetFile, error)

	// PutRecord writes one record. Record.Revision must be that of the record
	// as read (zero for a new one), or ErrStaleWrite is returned; the new
	// revision is returned.
	PutRecord(ctx context.Context, r Record) (revision int64, err error)
	// Record reads one record, or ErrNotFound.
	Record(ctx context.Context, key Key) (Record, error)
	// Records lists the records of a rollout whose kind is given, or of all
	// rollouts if rollout is "", by key.
	Records(ctx context.Context, rollout string, kind string) ([]Record, error)
}

// FleetFile is a Fleet file as it was read and as it was understood.
type FleetFile struct {
	Digest string
	Source []byte
	Spec   fleet.Spec
}

// Key names a record.
type Key struct {
	Rollout string // rollout id
	Kind    string // rollout, ring, cluster, availability, command …
	Name    string // ring name, cluster id …; "" for the rollout itself
}

// Record is one stored value.
type Record struct {
	Key
	Revision  int64
	UpdatedAt time.Time
	Value     json.RawMessage
}

// Ledger is the append-only list of what rings have proven.
type Ledger interface {
	// Append adds entries; an entry equal in fleet, kind, subject, version,
	// ring and rollout is there once.
	Append(ctx context.Context, entries ...fleet.LedgerEntry) error
	// Entries lists a fleet's entries, oldest first.
	Entries(ctx context.Context, fleetName string) ([]fleet.LedgerEntry, error)
}

// Journal is the append-only record of what was done.
type Journal interface {
	// Write adds entries, all of them or none; Seq is given by the journal.
	Write(ctx context.Context, entries ...fleet.JournalEntry) error
	// Read lists the entries of a rollout (all rollouts for ""), oldest first,
	// after a sequence number, at most limit (0 for all).
	Read(ctx context.Context, rollout string, after int64, limit int) ([]fleet.JournalEntry, error)
}
