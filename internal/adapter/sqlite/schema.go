package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// applicationID marks the file as Liftlock's in SQLite's header ("Lift").
const applicationID = 0x4c696674

// steps holds the forms that the file has had: NNNN_what.sql brings it from
// NNNN-1 to NNNN. A step that was released is never changed.
//
//go:embed migrations/*.sql
var steps embed.FS

// migration is one step.
type migration struct {
	version int
	name    string
	sql     string
}

// migrations lists the steps, oldest first.
func migrations() ([]migration, error) {
	names, err := fs.Glob(steps, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	list := make([]migration, 0, len(names))
	for i, name := range names {
		text, err := fs.ReadFile(steps, name)
		if err != nil {
			return nil, err
		}
		name = strings.TrimSuffix(strings.TrimPrefix(name, "migrations/"), ".sql")
		number, what, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s: its number is not %04d", name, i+1)
		}
		list = append(list, migration{version: version, name: what, sql: string(text)})
	}
	return list, nil
}

// prepare checks that the file is Liftlock's and not a newer one's, sets its
// journal to write-ahead, and applies the steps that it lacks.
func (f *File) prepare(ctx context.Context) error {
	list, err := migrations()
	if err != nil {
		return err
	}
	// Looked at before anything is written, so that another program's file or a
	// newer one stays as it is.
	at, err := f.form(ctx, f.writer)
	if err != nil {
		return err
	}
	if err := f.refuse(at, len(list)); err != nil {
		return err
	}
	var mode string
	if err := f.writer.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return &Error{
			Doing: "open the store", File: f.path, Kind: ErrStorage, Err: fmt.Errorf("the journal mode is %q", mode),
			Remedy: "its file system cannot share memory between processes; keep the state folder on a local disk",
		}
	}
	if at == len(list) {
		return nil
	}
	return f.transact(ctx, func(ctx context.Context, conn *sql.Conn) error {
		at, err := f.form(ctx, conn) // again: another process may have been first
		if err != nil {
			return err
		}
		if err := f.refuse(at, len(list)); err != nil {
			return err
		}
		return advance(ctx, conn, list[at:])
	})
}

// advance applies steps and notes each.
func advance(ctx context.Context, conn *sql.Conn, list []migration) error {
	const table = "CREATE TABLE IF NOT EXISTS schema_version" +
		" (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT"
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id=%d;", applicationID)+table); err != nil {
		return err
	}
	for _, step := range list {
		if _, err := conn.ExecContext(ctx, step.sql); err != nil {
			return fmt.Errorf("bring it to form %d (%s): %w", step.version, step.name, err)
		}
		_, err := conn.ExecContext(ctx, "INSERT INTO schema_version (version, name, applied_at) VALUES (?, ?, ?)",
			step.version, step.name, formatTime(time.Now()))
		if err != nil {
			return err
		}
	}
	return nil
}

// querier is what sql.DB and sql.Conn have in common for reading.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// form reads which form the file has: 0 for an empty one, -1 for another program's.
func (f *File) form(ctx context.Context, db querier) (int, error) {
	// One statement, and so one view of the file: another process that prepares
	// it in between would leave the mark of before and the tables of after.
	const look = "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)"
	var id, tables int
	if err := db.QueryRowContext(ctx, look).Scan(&id, &tables); err != nil {
		return 0, err
	}
	if id != applicationID {
		if id == 0 && tables == 0 {
			return 0, nil
		}
		return -1, nil
	}
	var version int
	err := db.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&version)
	return version, err
}

// refuse says why a file of this form cannot be used, if it cannot.
func (f *File) refuse(at, newest int) error {
	switch {
	case at < 0:
		return &Error{Doing: "open the store", File: f.path, Kind: ErrForeign, Remedy: remedies[ErrForeign]}
	case at > newest:
		return &Error{
			Doing: "open the store", File: f.path, Kind: ErrNewer, Remedy: remedies[ErrNewer],
			Err: fmt.Errorf("its form is %d, this Liftlock knows forms up to %d", at, newest),
		}
	}
	return nil
}

// checkReadOnly refuses a file that this version cannot look at.
func (f *File) checkReadOnly(ctx context.Context) error {
	list, err := migrations()
	if err != nil {
		return err
	}
	var at int
	err = f.patiently(ctx, func() (err error) { at, err = f.form(ctx, f.reader); return err })
	if err != nil {
		return err
	}
	if err := f.refuse(at, len(list)); err != nil {
		return err
	}
	if at < len(list) {
		return &Error{
			Doing: "look at the store", File: f.path, Kind: ErrOlder, Remedy: remedies[ErrOlder],
			Err: fmt.Errorf("its form is %d, this Liftlock's is %d", at, len(list)),
		}
	}
	return nil
}

// Verify reads the whole file and returns ErrCorrupt with what is wrong, if
// anything is. Nothing is changed.
func (f *File) Verify(ctx context.Context) error {
	const doing = "verify the store"
	return f.read(ctx, doing, func(ctx context.Context, db *sql.DB) (err error) {
		rows, err := db.QueryContext(ctx, "PRAGMA integrity_check(10)")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		var problems []string
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			if line != "ok" {
				problems = append(problems, line)
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if len(problems) > 0 {
			return &Error{
				Doing: doing, File: f.path, Kind: ErrCorrupt, Remedy: remedies[ErrCorrupt],
				Err: errors.New(strings.Join(problems, "; ")),
			}
		}
		return nil
	})
}
