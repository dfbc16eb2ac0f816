package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Write implements rollout.Journal. Sequence numbers grow, across processes
// too, in the order in which entries became durable; they are never used twice.
// Entries of one call become durable together or not at all.
func (f *File) Write(ctx context.Context, entries ...fleet.JournalEntry) error {
	const doing = "write to the journal"
	details := make([]string, len(entries))
	for i, e := range entries {
		details[i] = "{}"
		if len(e.Details) == 0 {
			continue
		}
		text, err := json.Marshal(e.Details)
		if err != nil {
			return &Error{Doing: doing, File: f.path, Kind: ErrInput, Err: err}
		}
		details[i] = string(text)
	}
	if len(entries) == 0 {
		return nil
	}
	return f.write(ctx, doing, func(ctx context.Context, conn *sql.Conn) error {
		for i, e := range entries {
			_, err := conn.ExecContext(ctx,
				"INSERT INTO journal (at, rollout, actor, ring, cluster, pool, action, object, reason, details) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
				formatTime(e.At), e.Rollout, e.Actor, e.Ring, e.Cluster, e.Pool, e.Action, e.Object, e.Reason, details[i])
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Read implements rollout.Journal.
func (f *File) Read(ctx context.Context, rolloutID string, after int64, limit int) ([]fleet.JournalEntry, error) {
	query := "SELECT seq, at, rollout, actor, ring, cluster, pool, action, object, reason, details FROM journal WHERE seq > ?"
	args := []any{after}
	if rolloutID != "" {
		query += " AND rollout = ?"
		args = append(args, rolloutID)
	}
	query += " ORDER BY seq"
	if limit > 0 {
		query += " LIMIT ?"
		args = append(args, limit)
	}
	return list(ctx, f, "read the journal", query, args, func(rows *sql.Rows) (fleet.JournalEntry, error) {
		var e fleet.JournalEntry
		var at, details string
		err := rows.Scan(&e.Seq, &at, &e.Rollout, &e.Actor, &e.Ring, &e.Cluster, &e.Pool, &e.Action, &e.Object, &e.Reason, &details)
		if err != nil {
			return e, err
		}
		if e.At, err = parseTime(at); err != nil {
			return e, err
		}
		if details != "{}" {
			if err := json.Unmarshal([]byte(details), &e.Details); err != nil {
				return e, fmt.Errorf("details of journal entry %d: %w", e.Seq, err)
			}
		}
		return e, nil
	})
}
