package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	codes "modernc.org/sqlite/lib"

	"liftlock.dev/liftlock/internal/rollout"
)

// FileName is the usual name of the file in a state folder.
const FileName = "liftlock.db"

// File is one open file. It is safe for use by several goroutines, and the same
// file may be open in several processes of one host.
type File struct {
	path     string
	readOnly bool
	closed   atomic.Bool
	patience time.Duration
	// SQLite has one writer at a time. One connection for it keeps writers of
	// this process in a fair queue, instead of letting them poll for a lock.
	writer *sql.DB // nil when read-only
	reader *sql.DB
}

var (
	_ rollout.Store   = (*File)(nil)
	_ rollout.Ledger  = (*File)(nil)
	_ rollout.Journal = (*File)(nil)
)

const (
	// lockPoll is how long SQLite itself waits for another process's lock
	// before it answers; in between the context is looked at.
	lockPoll = 500 * time.Millisecond
	// lockPatience is how long a call waits for another process's lock at most.
	lockPatience = 30 * time.Second
	// readers is how many reads run at once in a process.
	readers = 4
)

// Open opens the file, makes it and its folder if they are missing (mode 0600
// and 0700), and brings it up to this version's form. The caller closes it.
func Open(ctx context.Context, path string) (*File, error) {
	const doing = "open the store"
	f, err := newFile(doing, path)
	if err != nil {
		return nil, err
	}
	if err := createPrivate(f.path); err != nil {
		return nil, f.failure(ctx, doing, err)
	}
	if err := f.connect(ctx); err != nil {
		return nil, f.failure(ctx, doing, errors.Join(whyUnopened(f.path, err), f.Close()))
	}
	return f, nil
}

// OpenReadOnly opens the file to look at it, also while others write. Methods
// that write return ErrReadOnly. The file must exist and have this version's
// form. The caller closes it.
func OpenReadOnly(ctx context.Context, path string) (*File, error) {
	const doing = "look at the store"
	f, err := newFile(doing, path)
	if err != nil {
		return nil, err
	}
	f.readOnly = true
	if _, err := os.Stat(f.path); err != nil {
		return nil, newError(doing, f.path, err)
	}
	f.reader, err = f.pool(url.Values{"mode": {"ro"}}, readers)
	if err != nil {
		return nil, f.failure(ctx, doing, err)
	}
	err = f.checkReadOnly(ctx)
	if errors.Is(kindOf(err), ErrDenied) && !exists(f.path+"-wal") {
		// A reader, too, writes beside the file: the index of the log. Where the
		// folder refuses that and there is no log, nobody else writes either,
		// and the file can be read as it stands.
		if err := f.reader.Close(); err != nil {
			return nil, f.failure(ctx, doing, err)
		}
		f.reader, err = f.pool(url.Values{"mode": {"ro"}, "immutable": {"1"}}, readers)
		if err == nil {
			err = f.checkReadOnly(ctx)
		}
	}
	if err != nil {
		return nil, f.failure(ctx, doing, errors.Join(err, f.Close()))
	}
	return f, nil
}

// newFile returns a File that is not connected yet.
func newFile(doing, path string) (*File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, newError(doing, path, err)
	}
	return &File{path: abs, patience: lockPatience}, nil
}

// Path is the absolute path of the file.
func (f *File) Path() string { return f.path }

// Close ends all use of the file. Calls under way fail with ErrClosed. The last
// process that closes a file folds its log into it.
func (f *File) Close() error {
	f.closed.Store(true)
	var errs []error
	for _, pool := range []*sql.DB{f.reader, f.writer} { // the writer last: it folds the log
		if pool == nil {
			continue
		}
		if err := pool.Close(); err != nil {
			errs = append(errs, newError("close the store", f.path, err))
		}
	}
	return errors.Join(errs...)
}

// connect opens the connections of a writable File and brings the file up to date.
func (f *File) connect(ctx context.Context) error {
	var err error
	if f.writer, err = f.pool(nil, 1); err != nil {
		return err
	}
	if f.reader, err = f.pool(url.Values{"_pragma": {"query_only(1)"}}, readers); err != nil {
		return err
	}
	return f.patiently(ctx, func() error { return f.prepare(ctx) })
}

// pool returns a pool of connections that have this package's settings.
func (f *File) pool(more url.Values, size int) (*sql.DB, error) {
	settings := url.Values{
		"_pragma": {
			"busy_timeout(" + strconv.FormatInt(lockPoll.Milliseconds(), 10) + ")", // first: the others may meet a lock
			"synchronous(FULL)",
			"trusted_schema(OFF)",
			"cell_size_check(ON)",
			"journal_size_limit(16777216)", // give the space of a long log back
		},
	}
	for key, values := range more {
		settings[key] = append(settings[key], values...)
	}
	// As a URI, so that ?, # and % in a path stay part of the path.
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(f.path), RawQuery: settings.Encode()}).String()
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	return pool, nil
}

// createPrivate makes an empty file that only its owner may open, with its
// folder, and takes others' rights from one that is there. SQLite gives the
// files that it keeps beside it the same mode.
func createPrivate(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createEmpty(path)
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &Error{
			Doing: "open the store", File: path, Kind: ErrForeign, Remedy: remedies[ErrForeign],
			Err: fmt.Errorf("not a regular file but %s", info.Mode()),
		}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return os.Chmod(path, mode&^0o077)
	}
	return nil
}

// createEmpty makes an empty file of mode 0600, unless another was first. The
// name appears only when no descriptor of the file is open: on Unix, closing
// any descriptor of a file gives up all the locks that the process holds on it,
// also those of a File that was opened meanwhile.
func createEmpty(path string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	err = temporary.Close()
	if err == nil {
		err = os.Link(temporary.Name(), path)
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return errors.Join(err, os.Remove(temporary.Name()))
}

// whyUnopened finds out why SQLite could not open a file, which it does not
// tell: whether a file can be made in its folder.
func whyUnopened(path string, err error) error {
	if !isCode(err, codes.SQLITE_CANTOPEN) {
		return err
	}
	probe, cause := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if cause != nil {
		return cause
	}
	return errors.Join(err, probe.Close(), os.Remove(probe.Name()))
}

// exists reports whether there is something at a path that is not empty.
func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0
}
