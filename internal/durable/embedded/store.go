package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// storeFile is the SQLite file in the state folder.
	storeFile = "temporal.db"
	// backupSuffix marks the copy from before the last schema change.
	backupSuffix = ".bak"
)

// pragma is a setting of a SQLite connection and what reading it back must say.
type pragma struct {
	name, set, want string
}

// pragmas make a commit survive SIGKILL and a power cut (write-ahead log,
// synchronous FULL) and let a writer wait for another instead of failing.
var pragmas = []pragma{
	{name: "busy_timeout", set: "10000", want: "10000"},
	{name: "journal_mode", set: "wal", want: "wal"},
	{name: "journal_size_limit", set: "67108864", want: "67108864"},
	{name: "synchronous", set: "2", want: "2"},
}

// StoreError says what could not be done with the engine's SQLite file, and
// what to do about it.
type StoreError struct {
	// Path is the file.
	Path string
	// Action is what was tried, such as "open".
	Action string
	// Remedy is what a person can do, empty if nothing better is known than the
	// error itself.
	Remedy string
	// Err is SQLite's or the system's error.
	Err error
}

// Error says action, file, cause and remedy.
func (e *StoreError) Error() string {
	text := fmt.Sprintf("engine: %s %s: %v", e.Action, e.Path, e.Err)
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap returns the cause.
func (e *StoreError) Unwrap() error { return e.Err }

// storeError wraps err with the remedy for its kind. Errors that already are
// StoreErrors stay as they are.
func storeError(action, path string, err error) error {
	if known := (*StoreError)(nil); errors.As(err, &known) {
		return err
	}
	return &StoreError{Path: path, Action: action, Remedy: remedy(path, err), Err: err}
}

func remedy(path string, err error) string {
	if errors.Is(err, syscall.ENOSPC) {
		return remedyFull
	}
	if errors.Is(err, fs.ErrPermission) {
		return remedyPermission
	}
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return ""
	}
	switch failed.Code() & 0xff { // the low byte is the kind, the rest says where
	case sqlite3.SQLITE_FULL:
		return remedyFull
	case sqlite3.SQLITE_IOERR:
		return "the disk failed to read or write; check it and its free space, then start again"
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY:
		return remedyPermission
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "another program has the file open; close it (a database browser, a backup) and start again"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Sprintf("the file is damaged; move it away and restore a backup such as %s%s, or start without one: running rollouts are then taken up again from what the clusters show", path, backupSuffix)
	default:
		return ""
	}
}

const (
	remedyFull       = "the disk is full; free some space, nothing is lost"
	remedyPermission = "check that this user may read and write the folder and the files in it"
)

// openStore opens the SQLite file for schema work, creating it readable by this
// user alone. It has one connection, on which all pragmas are known to hold.
func openStore(ctx context.Context, path string) (*sql.DB, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, storeError("open", path, err)
	}
	if err := file.Close(); err != nil {
		return nil, storeError("open", path, err)
	}
	query := url.Values{"mode": {"rw"}}
	for _, p := range pragmas {
		query.Add("_pragma", p.name+"="+p.set)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?"+query.Encode())
	if err != nil {
		return nil, storeError("open", path, err)
	}
	db.SetMaxOpenConns(1)
	if err := checkPragmas(ctx, db, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// checkPragmas reads back what was set: SQLite ignores names it does not know
// and keeps its journal mode where a file system cannot carry a write-ahead
// log, both without an error.
func checkPragmas(ctx context.Context, db *sql.DB, path string) error {
	for _, p := range pragmas {
		var got string
		if err := db.QueryRowContext(ctx, "PRAGMA "+p.name).Scan(&got); err != nil {
			return storeError("open", path, err)
		}
		if !strings.EqualFold(got, p.want) {
			return &StoreError{
				Path: path, Action: "open",
				Remedy: "put the state folder on a local disk",
				Err:    fmt.Errorf("SQLite runs with %s=%s instead of %s, with which a crash could lose steps", p.name, got, p.want),
			}
		}
	}
	return nil
}

// backupStore copies the store beside itself, replacing the copy from before.
// A copy that is cut short never takes the place of a good one.
func backupStore(ctx context.Context, db *sql.DB, path string) error {
	backup := path + backupSuffix
	partial := backup + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storeError("back up to", backup, err)
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", partial); err != nil {
		return errors.Join(storeError("back up to", backup, err), removeIfThere(partial))
	}
	if err := syncAndRename(partial, backup); err != nil {
		return errors.Join(storeError("back up to", backup, err), removeIfThere(partial))
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncAndRename makes the file at from durable and gives it its final name.
func syncAndRename(from, to string) error {
	file, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(0o600), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	// Some systems cannot sync a folder; the rename itself is done.
	_ = dir.Sync()
	return dir.Close()
}
