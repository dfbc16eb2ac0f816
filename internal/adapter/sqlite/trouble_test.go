package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// long is a journal entry of some kilobytes.
func long(i int) fleet.JournalEntry {
	return fleet.JournalEntry{Rollout: "r-1", Action: "evict", Object: strconv.Itoa(i), Reason: strings.Repeat("x", 4000)}
}

// fill writes until a write fails, and returns how many did not.
func fill(t *testing.T, f *File) (written int, err error) {
	t.Helper()
	for i := range 100_000 {
		if err := f.Write(t.Context(), long(i)); err != nil {
			return i, err
		}
	}
	t.Fatal("the disk never became full")
	return 0, nil
}

// wantWritten fails the test unless exactly the entries 0 … n-1 are there.
func wantWritten(t *testing.T, f *File, n int) {
	t.Helper()
	entries, err := f.Read(t.Context(), "", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != n {
		t.Fatalf("got %d entries, want %d", len(entries), n)
	}
	for i, e := range entries {
		if e.Object != strconv.Itoa(i) {
			t.Fatalf("entry %d is number %s", i, e.Object)
		}
	}
	if err := f.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestFileFull(t *testing.T) {
	f := openTest(t, testPath(t))
	limit := func(pages int) {
		if _, err := f.writer.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count=%d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(60)
	written, err := fill(t, f)
	wantKind(t, err, ErrFull, f.Path())
	wantWritten(t, f, written)
	_, err = f.PutRecord(t.Context(), rollout.Record{Value: []byte(`"` + strings.Repeat("x", 50_000) + `"`)})
	wantKind(t, err, ErrFull, f.Path())
	limit(6000)
	if err := f.Write(t.Context(), long(written)); err != nil {
		t.Fatalf("with space again: %v", err)
	}
	wantWritten(t, f, written+1)
}

// mount mounts a small file system of its own for a test, where that is possible.
func mount(t *testing.T, options string) string {
	t.Helper()
	folder := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder).CombinedOutput(); err != nil {
		t.Skipf("a file system of its own is needed, and cannot be mounted: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(background(), "umount", folder).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v: %s", err, out)
		}
	})
	return folder
}

// remount changes the options of a mount.
func remount(t *testing.T, folder, options string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,"+options, folder).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v: %s", err, out)
	}
}

func TestDiskFull(t *testing.T) {
	folder := mount(t, "size=1m")
	path := filepath.Join(folder, FileName)
	f := openTest(t, path)
	written, err := fill(t, f)
	wantKind(t, err, ErrFull, path)
	wantWritten(t, f, written) // looking goes on
	if err := f.Write(t.Context(), long(written)); !errors.Is(err, ErrFull) {
		t.Errorf("a second write to the full disk: got %v, want ErrFull", err)
	}

	t.Run("space again", func(t *testing.T) {
		remount(t, folder, "size=4m")
		if err := f.Write(t.Context(), long(written)); err != nil {
			t.Fatal(err)
		}
		written++
		wantWritten(t, f, written)
	})
	t.Run("full at the end", func(t *testing.T) {
		more, err := fillFrom(t, f, written)
		wantKind(t, err, ErrFull, path)
		written = more
		// Closed on a full disk and opened on one with space: all is there.
		if err := f.Close(); err != nil {
			t.Logf("close on a full disk: %v", err)
		}
		remount(t, folder, "size=8m")
		wantWritten(t, openTest(t, path), written)
	})
}

// fillFrom writes entries from a number on until a write fails.
func fillFrom(t *testing.T, f *File, from int) (next int, err error) {
	t.Helper()
	for i := from; i < from+100_000; i++ {
		if err := f.Write(t.Context(), long(i)); err != nil {
			return i, err
		}
	}
	t.Fatal("the disk never became full")
	return 0, nil
}

func TestOpenOnFullDisk(t *testing.T) {
	folder := mount(t, "size=64k")
	if err := os.WriteFile(filepath.Join(folder, "filler"), make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, FileName)
	_, err := Open(t.Context(), path)
	wantKind(t, err, ErrFull, path)
	if err := os.Remove(filepath.Join(folder, "filler")); err != nil {
		t.Fatal(err)
	}
	remount(t, folder, "size=1m")
	if err := openTest(t, path).Write(t.Context(), long(0)); err != nil {
		t.Fatalf("with space again: %v", err)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	folder := mount(t, "size=4m")
	path := filepath.Join(folder, FileName)
	f := openTest(t, path)
	if err := f.Write(t.Context(), long(0)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	remount(t, folder, "ro")
	_, err := Open(t.Context(), path)
	wantKind(t, err, ErrReadOnly, path)

	looking, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, looking)
	wantWritten(t, looking, 1)
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := looking.Snapshot(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	wantWritten(t, openTest(t, copied), 1)
}

// TestDamagedFile overwrites the middle of the file, as a failing disk would.
func TestDamagedFile(t *testing.T) {
	path := testPath(t)
	f := openTest(t, path)
	for i := range 100 {
		if err := f.Write(t.Context(), long(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for page := int64(20); page < 60; page++ {
		if _, err := file.WriteAt([]byte(strings.Repeat("damage", 600)), page*4096); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	f = openTest(t, path)
	_, err = f.Read(t.Context(), "", 0, 0)
	wantKind(t, err, ErrCorrupt, path)
	wantKind(t, f.Verify(t.Context()), ErrCorrupt, path)
}

// TestLocked shows what happens while another process keeps the file locked:
// a call waits, ends with its context, and gives up in the end.
func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	f := openTest(t, path)
	other := openTest(t, path)
	conn, err := other.writer.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}

	f.patience = 0
	wantKind(t, f.Write(t.Context(), long(0)), ErrBusy, path)

	f.patience = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Write(ctx, long(0)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write whose context ended: got %v, want context.DeadlineExceeded", err)
	}

	if entries, err := f.Read(t.Context(), "", 0, 0); err != nil || len(entries) != 0 {
		t.Errorf("reading while another writes: got %d entries (%v), want none", len(entries), err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Write(t.Context(), long(0)) }()
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("a write after the lock was given up: %v", err)
	}
	wantWritten(t, f, 1)
}

// writeUntilKilled is the writer of TestKill: it appends to journal, ledger and
// a record, and prints each number when it is told that it is durable.
func writeUntilKilled(path string) error {
	ctx := context.Background()
	f, err := Open(ctx, path)
	if err != nil {
		return err
	}
	entries, err := f.Read(ctx, "", 0, 0)
	if err != nil {
		return err
	}
	r, err := f.Record(ctx, rollout.Key{Rollout: "r-1", Kind: "counter"})
	if err != nil && !errors.Is(err, rollout.ErrNotFound) {
		return err
	}
	r.Key = rollout.Key{Rollout: "r-1", Kind: "counter"}
	for i := len(entries); ; i++ {
		if err := f.Write(ctx, long(i)); err != nil {
			return err
		}
		r.Value = []byte(strconv.Itoa(i))
		if r.Revision, err = f.PutRecord(ctx, r); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// TestKill kills a writing process again and again. What it was told is durable
// is there, in order, and what it was not told of is at most the next.
func TestKill(t *testing.T) {
	path := testPath(t)
	acknowledged := -1
	for round := range 5 {
		writer := exec.CommandContext(t.Context(), os.Args[0], path)
		writer.Env = append(os.Environ(), role+"=writer")
		writer.Stderr = os.Stderr
		out, err := writer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		// Killed at another number in each round, then read to the end.
		lines, stop := bufio.NewScanner(out), acknowledged+7+round*11
		for lines.Scan() {
			if acknowledged, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(err)
			}
			if acknowledged == stop {
				if err := writer.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = writer.Wait() // killed
		if acknowledged < stop {
			t.Fatalf("the writer ended at %d by itself", acknowledged)
		}

		f := openTest(t, path)
		if err := f.Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		entries, err := f.Read(t.Context(), "", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(entries); n != acknowledged+1 && n != acknowledged+2 {
			t.Fatalf("round %d: %d entries, %d were acknowledged", round, n, acknowledged+1)
		}
		wantWritten(t, f, len(entries))
		r, err := f.Record(t.Context(), rollout.Key{Rollout: "r-1", Kind: "counter"})
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := strconv.Atoi(string(r.Value)); n != acknowledged && n != acknowledged+1 {
			t.Fatalf("round %d: the record says %d, %d was acknowledged", round, n, acknowledged)
		}
		// The next round's writer goes on from what it finds, so that an entry
		// without its record is no error.
		acknowledged = len(entries) - 1
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
