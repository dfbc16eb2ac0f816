package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// The kinds of trouble with the file, for errors.Is. Every error of this
// package that is not rollout.ErrNotFound, rollout.ErrStaleWrite or the
// context's is an *Error of one of them (Snapshot adds fs.ErrExist).
var (
	// ErrFull says that the disk or the quota is used up. Nothing of the failed
	// write was kept; the same File works again when there is space.
	ErrFull = errors.New("no space left on its disk")
	// ErrReadOnly says that the file, its folder or its file system refuses writes.
	ErrReadOnly = errors.New("it cannot be written")
	// ErrCorrupt says that the file is damaged or is no SQLite file.
	ErrCorrupt = errors.New("it is damaged")
	// ErrForeign says that the file is another program's.
	ErrForeign = errors.New("it is another program's file")
	// ErrNewer says that a newer Liftlock wrote the file.
	ErrNewer = errors.New("a newer Liftlock wrote it")
	// ErrOlder says that an older Liftlock wrote the file, which was opened only to look.
	ErrOlder = errors.New("an older Liftlock wrote it")
	// ErrMissing says that there is no file to look at.
	ErrMissing = errors.New("it does not exist")
	// ErrDenied says that this user may not open the file or its folder.
	ErrDenied = errors.New("permission denied")
	// ErrBusy says that another process kept the file locked for too long.
	ErrBusy = errors.New("another process keeps it locked")
	// ErrInput says that a value cannot be kept: it is not JSON, or it would
	// change what is append-only.
	ErrInput = errors.New("the value cannot be kept")
	// ErrClosed says that the File was closed.
	ErrClosed = errors.New("it was closed")
	// ErrStorage says that the disk or the file system failed.
	ErrStorage = errors.New("the disk or file system failed")
)

// Error is trouble with the file: what was being done, on which file, why, and
// what to do next.
type Error struct {
	Doing  string // "append to the ledger"
	File   string // absolute path
	Kind   error  // one of the kinds above
	Remedy string
	Err    error // the cause; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s: %s", e.Doing, e.File, e.Kind)
	if e.Err != nil {
		s += fmt.Sprintf(" (%s)", e.Err)
	}
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// remedies says what to do about each kind; %s is the file.
var remedies = map[error]string{
	ErrFull:     "nothing of this write was kept and nothing before it was lost; free space there and try again",
	ErrReadOnly: "make the file and its folder writable for this user, and check that the file system is not mounted read-only",
	ErrCorrupt:  "stop every Liftlock that uses it, keep a copy of the file with its -wal, and restore the last snapshot of it; the clusters themselves are not affected, a new rollout picks up from what they are",
	ErrForeign:  "name another state folder",
	ErrNewer:    "use that version of Liftlock or a later one; nothing was changed",
	ErrOlder:    "run a command that may write, such as run or status, once, so that it is brought up to date",
	ErrMissing:  "check the state folder; the file is made when a rollout is first run",
	ErrDenied:   "run as the user that owns the state folder, or name another",
	ErrBusy:     "see which process has it open (another Liftlock, a backup, an sqlite3 shell) and end it",
	ErrStorage:  "look at the system's log for the disk, and try again",
}

// failure makes an *Error of a cause, or hands through what is no trouble with
// the file: nil, the context's end, and errors that were made already.
func (f *File) failure(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %s: %w", doing, f.path, context.Cause(ctx))
	}
	return newError(doing, f.path, err)
}

// newError classifies a cause.
func newError(doing, path string, err error) *Error {
	kind := kindOf(err)
	return &Error{Doing: doing, File: path, Kind: kind, Remedy: remedies[kind], Err: err}
}

// kindOf tells which kind of trouble an error of the driver, of database/sql or
// of the operating system is.
func kindOf(err error) error {
	if fromDriver, ok := errors.AsType[*driver.Error](err); ok {
		return kindOfCode(fromDriver.Code())
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrFull
	case errors.Is(err, syscall.EROFS):
		return ErrReadOnly
	case errors.Is(err, fs.ErrPermission):
		return ErrDenied
	case errors.Is(err, fs.ErrNotExist):
		return ErrMissing
	}
	return ErrStorage
}

// kindOfCode tells the kind of one of SQLite's extended result codes.
func kindOfCode(code int) error {
	switch code {
	case codes.SQLITE_IOERR_SHMSIZE: // the shared-memory file cannot grow
		return ErrFull
	case codes.SQLITE_IOERR_CORRUPTFS:
		return ErrCorrupt
	}
	switch code & 0xff {
	case codes.SQLITE_FULL:
		return ErrFull
	case codes.SQLITE_READONLY:
		return ErrReadOnly
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return ErrCorrupt
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return ErrBusy
	case codes.SQLITE_PERM, codes.SQLITE_CANTOPEN:
		return ErrDenied
	case codes.SQLITE_CONSTRAINT:
		return ErrInput
	}
	return ErrStorage
}

// isCode reports whether an error is SQLite's with this primary result code.
func isCode(err error, primary int) bool {
	fromDriver, ok := errors.AsType[*driver.Error](err)
	return ok && fromDriver.Code()&0xff == primary
}
