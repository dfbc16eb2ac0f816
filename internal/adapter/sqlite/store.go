package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"liftlock.dev/liftlock/internal/rollout"
)

// passesThrough reports whether an error is one that the ports promise, rather
// than trouble with the file.
func passesThrough(err error) bool {
	return errors.Is(err, rollout.ErrNotFound) || errors.Is(err, rollout.ErrStaleWrite)
}

// PutFleet implements rollout.Store. A digest that is there with another source
// is ErrInput: a Fleet file never changes under a rollout.
func (f *File) PutFleet(ctx context.Context, file rollout.FleetFile) error {
	const doing = "keep the Fleet file"
	spec, err := json.Marshal(file.Spec)
	if err != nil {
		return &Error{Doing: doing, File: f.path, Kind: ErrInput, Err: err}
	}
	source := file.Source
	if source == nil {
		source = []byte{} // nil would be NULL
	}
	return f.write(ctx, doing, func(ctx context.Context, conn *sql.Conn) error {
		var kept []byte
		err := conn.QueryRowContext(ctx, "SELECT source FROM fleet_files WHERE digest = ?", file.Digest).Scan(&kept)
		if err == nil {
			if !bytes.Equal(kept, source) {
				return &Error{
					Doing: doing, File: f.path, Kind: ErrInput,
					Err: fmt.Errorf("another file is kept under digest %s", file.Digest),
				}
			}
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = conn.ExecContext(ctx, "INSERT INTO fleet_files (digest, source, spec, added_at) VALUES (?, ?, ?, ?)",
			file.Digest, source, string(spec), formatTime(time.Now()))
		return err
	})
}

// Fleet implements rollout.Store.
func (f *File) Fleet(ctx context.Context, digest string) (rollout.FleetFile, error) {
	file := rollout.FleetFile{Digest: digest}
	var spec string
	err := f.read(ctx, "read the Fleet file", func(ctx context.Context, db *sql.DB) error {
		err := db.QueryRowContext(ctx, "SELECT source, spec FROM fleet_files WHERE digest = ?", digest).
			Scan(&file.Source, &spec)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("the Fleet file of digest %q: %w", digest, rollout.ErrNotFound)
		}
		return err
	})
	if err != nil {
		return rollout.FleetFile{}, err
	}
	if err := json.Unmarshal([]byte(spec), &file.Spec); err != nil {
		return rollout.FleetFile{}, fmt.Errorf("the Fleet file of digest %s: %w", digest, err)
	}
	return file, nil
}

// PutRecord implements rollout.Store. An UpdatedAt of zero becomes the present.
func (f *File) PutRecord(ctx context.Context, r rollout.Record) (int64, error) {
	const doing = "write a record"
	if !json.Valid(r.Value) {
		return 0, &Error{Doing: doing, File: f.path, Kind: ErrInput, Err: fmt.Errorf("%s is not JSON", describe(r.Key))}
	}
	if r.UpdatedAt.IsZero() {
		r.UpdatedAt = time.Now()
	}
	err := f.write(ctx, doing, func(ctx context.Context, conn *sql.Conn) error {
		var result sql.Result
		var err error
		if r.Revision == 0 {
			result, err = conn.ExecContext(ctx,
				"INSERT INTO records (rollout, kind, name, revision, updated_at, value) VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO NOTHING",
				r.Rollout, r.Kind, r.Name, formatTime(r.UpdatedAt), string(r.Value))
		} else {
			result, err = conn.ExecContext(ctx,
				"UPDATE records SET revision = revision + 1, updated_at = ?, value = ? WHERE rollout = ? AND kind = ? AND name = ? AND revision = ?",
				formatTime(r.UpdatedAt), string(r.Value), r.Rollout, r.Kind, r.Name, r.Revision)
		}
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if changed != 1 {
			return fmt.Errorf("%s, read at revision %d: %w", describe(r.Key), r.Revision, rollout.ErrStaleWrite)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return r.Revision + 1, nil
}

// Record implements rollout.Store.
func (f *File) Record(ctx context.Context, key rollout.Key) (rollout.Record, error) {
	records, err := f.records(ctx, "WHERE rollout = ? AND kind = ? AND name = ?", key.Rollout, key.Kind, key.Name)
	if err != nil {
		return rollout.Record{}, err
	}
	if len(records) == 0 {
		return rollout.Record{}, fmt.Errorf("%s: %w", describe(key), rollout.ErrNotFound)
	}
	return records[0], nil
}

// Records implements rollout.Store.
func (f *File) Records(ctx context.Context, rolloutID, kind string) ([]rollout.Record, error) {
	if rolloutID == "" {
		return f.records(ctx, "WHERE kind = ? ORDER BY rollout, name", kind)
	}
	return f.records(ctx, "WHERE rollout = ? AND kind = ? ORDER BY name", rolloutID, kind)
}

// records reads the records that a clause selects.
func (f *File) records(ctx context.Context, clause string, args ...any) ([]rollout.Record, error) {
	query := "SELECT rollout, kind, name, revision, updated_at, value FROM records " + clause
	return list(ctx, f, "read records", query, args, func(rows *sql.Rows) (rollout.Record, error) {
		var r rollout.Record
		var at string
		var value []byte
		err := rows.Scan(&r.Rollout, &r.Kind, &r.Name, &r.Revision, &at, &value)
		if err != nil {
			return r, err
		}
		r.Value = value
		r.UpdatedAt, err = parseTime(at)
		return r, err
	})
}

// list reads all rows of a query.
func list[T any](ctx context.Context, f *File, doing, query string, args []any, scan func(*sql.Rows) (T, error)) ([]T, error) {
	var found []T
	err := f.read(ctx, doing, func(ctx context.Context, db *sql.DB) (err error) {
		found = nil // the query may run again
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			one, err := scan(rows)
			if err != nil {
				return err
			}
			found = append(found, one)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// describe names a record in errors.
func describe(key rollout.Key) string {
	s := key.Kind + " record"
	if key.Name != "" {
		s += " " + key.Name
	}
	return s + " of rollout " + key.Rollout
}
