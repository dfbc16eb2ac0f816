package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// TestSnapshot takes copies while another goroutine writes: each is a state
// that the file was in, and can be used in its place.
func TestSnapshot(t *testing.T) {
	f := openTest(t, testPath(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var written atomic.Int64
	done := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			if err := f.Write(ctx, long(i)); err != nil {
				done <- err
				return
			}
			written.Store(int64(i + 1))
		}
	}()
	folder := t.TempDir()
	for _, name := range []string{"a.db", "b.db", "it's ?.db"} {
		before := int(written.Load())
		path := filepath.Join(folder, name)
		if err := f.Snapshot(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		after := int(written.Load()) + 1
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("snapshot %s: mode %v (%v), want 0600", name, info.Mode(), err)
		}
		copied := openTest(t, path)
		entries, err := copied.Read(t.Context(), "", 0, 0)
		if err != nil || len(entries) < before || len(entries) > after {
			t.Errorf("snapshot %s has %d entries (%v), want %d to %d", name, len(entries), err, before, after)
		}
		wantWritten(t, copied, len(entries))
		if err := copied.Write(t.Context(), long(len(entries))); err != nil {
			t.Error(err)
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 3 {
		t.Errorf("files in the folder: %v (%v), want the three snapshots", left, err)
	}
}

func TestSnapshotLeavesNothing(t *testing.T) {
	f := openTest(t, testPath(t))
	folder := t.TempDir()
	there := filepath.Join(folder, "there.db")
	if err := os.WriteFile(there, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := f.Snapshot(t.Context(), there)
	wantKind(t, err, fs.ErrExist, there)
	if text, err := os.ReadFile(there); err != nil || string(text) != "precious" {
		t.Errorf("the file that was there is now %q (%v)", text, err)
	}
	missing := filepath.Join(folder, "missing", "x.db")
	wantKind(t, f.Snapshot(t.Context(), missing), ErrMissing, missing)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Snapshot(ctx, filepath.Join(folder, "cancelled.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
