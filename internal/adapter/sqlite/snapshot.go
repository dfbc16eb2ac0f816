package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Snapshot writes a consistent copy of the file to a path that must not exist
// yet, also while others write. The copy is complete and durable when Snapshot
// returns nil (mode 0600, one file, can be opened in place of the original),
// and nothing is left behind otherwise.
func (f *File) Snapshot(ctx context.Context, path string) (err error) {
	const doing = "take a snapshot of the store"
	path, err = filepath.Abs(path)
	if err != nil {
		return newError(doing, path, err)
	}
	if _, err := os.Lstat(path); err == nil {
		return &Error{Doing: doing, File: path, Kind: fs.ErrExist, Remedy: "name a file that does not exist yet"}
	}
	// Beside the target, so that the rename stays on one file system.
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{Doing: doing, File: path, Kind: ErrMissing, Remedy: "make its folder first"}
	}
	if err != nil {
		return newError(doing, path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(temporary.Name())))
		}
	}()
	defer func() { err = errors.Join(err, ignoreClosed(temporary.Close())) }()

	pool := f.writer
	if f.readOnly {
		pool = f.reader
	}
	err = f.outcome(ctx, doing, f.patiently(ctx, func() error {
		_, err := pool.ExecContext(ctx, "VACUUM INTO ?", temporary.Name())
		return err
	}))
	if err != nil {
		return err
	}
	// SQLite does not flush what VACUUM INTO writes.
	if err := temporary.Sync(); err != nil {
		return newError(doing, path, err)
	}
	if err := temporary.Close(); err != nil {
		return newError(doing, path, err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return newError(doing, path, err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("flush folder %s: %w", path, err)
	}
	// Not every file system can do it; where it cannot, there is nothing to do.
	_ = folder.Sync()
	return folder.Close()
}

// ignoreMissing drops the error of removing what is not there.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ignoreClosed drops the error of closing twice.
func ignoreClosed(err error) error {
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}
