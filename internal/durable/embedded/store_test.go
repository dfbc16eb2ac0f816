package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestDamagedStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, storeFile)
	if err := os.WriteFile(path, []byte(strings.Repeat("this is not a database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: dir})
	wantStoreError(t, err, path, "file is not a database", "move it away", path+backupSuffix)
}

func TestStoreIsAFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, storeFile)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: dir})
	wantStoreError(t, err, path, "is a directory")
}

func TestStateFolderIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Dir: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

// TestDiskFull lets SQLite run out of pages while the schema is created and
// while it is backed up, which gives the same error as a full disk.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	withStore(t, dir, func(ctx context.Context, db *sql.DB, path string) {
		if _, err := db.ExecContext(ctx, "PRAGMA max_page_count = 20"); err != nil {
			t.Fatal(err)
		}
		err := ensureSchema(ctx, db, path, mustLinked(t), schemaTime)
		wantStoreError(t, err, path, "create the schema", "the disk is full", "nothing is lost")
		if tables, err := tableNames(ctx, db); err != nil || len(tables) > 0 {
			t.Errorf("left behind: %v, %v", tables, err)
		}
	})
	mustEnsure(t, dir, mustLinked(t)) // once there is space again
}

func TestBackupFails(t *testing.T) {
	dir := t.TempDir()
	mustEnsure(t, dir, mustLinked(t))
	withStore(t, dir, func(ctx context.Context, db *sql.DB, path string) {
		for range 2 { // the second replaces the first
			if err := backupStore(ctx, db, path); err != nil {
				t.Fatal(err)
			}
		}
		before, err := os.ReadFile(path + backupSuffix)
		if err != nil {
			t.Fatal(err)
		}
		// A folder in the way cannot be overwritten.
		if err := os.MkdirAll(path+backupSuffix+".partial/x", 0o700); err != nil {
			t.Fatal(err)
		}
		wantStoreError(t, backupStore(ctx, db, path), path+backupSuffix, "back up")
		after, err := os.ReadFile(path + backupSuffix)
		if err != nil || string(before) != string(after) {
			t.Errorf("the good backup was touched: %v", err)
		}
	})
}

// TestPragmasAreReadBack opens a store in ways that silently leave a setting
// out.
func TestPragmasAreReadBack(t *testing.T) {
	for name, test := range map[string]struct{ query, want string }{
		"underscores":    {"_pragma=_journal_mode=wal&_pragma=_synchronous=2", "busy_timeout="},
		"no log":         {"_pragma=busy_timeout=10000&_pragma=synchronous=2&_pragma=journal_size_limit=67108864", "journal_mode=delete"},
		"not every sync": {"_pragma=busy_timeout=10000&_pragma=synchronous=1&_pragma=journal_mode=wal&_pragma=journal_size_limit=67108864", "synchronous=1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), storeFile)
			db, err := sql.Open("sqlite", "file:"+path+"?"+test.query)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			wantStoreError(t, checkPragmas(t.Context(), db, path), path, test.want, "local disk")
		})
	}
}

func TestRemedies(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{syscall.ENOSPC, "the disk is full"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, "may read and write"},
		{context.Canceled, ""},
		{errors.New("else"), ""},
	} {
		err := storeError("open", "/state/temporal.db", fmt.Errorf("wrapped: %w", test.err))
		wantStoreError(t, err, "/state/temporal.db", test.want)
		if !errors.Is(err, test.err) {
			t.Errorf("%v lost its cause", err)
		}
		if again := storeError("stamp", "/else", err); again.Error() != err.Error() {
			t.Errorf("wrapped twice: %v", again)
		}
	}
}

// TestStoreIsPrivate checks that no other user may read what is in the folder.
func TestStoreIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	mustStart(t, Options{Dir: dir})
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", dir, info.Mode(), err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 3 { // store, log, shared memory, lock
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

func TestFileSystems(t *testing.T) {
	for name, test := range map[string]struct {
		fs   fileSystem
		want string
	}{
		"local":   {fileSystem{free: 1 << 30}, ""},
		"unknown": {fileSystem{free: -1}, ""},
		"network": {fileSystem{network: "NFS", free: 1 << 40}, "on a NFS file system"},
		"full":    {fileSystem{free: 10 << 20}, "10 MiB free, at least 64 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkFileSystem("/state", test.fs)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	got, err := statFileSystem(t.TempDir())
	if err != nil || got.network != "" || got.free == 0 {
		t.Errorf("temporary folder: %+v, %v", got, err)
	}
}

// TestCheck makes the store of a running engine refuse writes for a moment.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	s := mustStart(t, Options{Dir: dir})
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.ExecContext(t.Context(), "PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	wantStoreError(t, s.Check(t.Context()), filepath.Join(dir, storeFile), "write", "readonly", "may read and write")
	if _, err := s.pool.ExecContext(t.Context(), "PRAGMA query_only = 0"); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// wantStoreError checks kind, path and text of an error.
func wantStoreError(t *testing.T, err error, path string, texts ...string) {
	t.Helper()
	var got *StoreError
	if !errors.As(err, &got) {
		t.Errorf("got %v, want a StoreError", err)
		return
	}
	if got.Path != path {
		t.Errorf("names %s, want %s", got.Path, path)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}
