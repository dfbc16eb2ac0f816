package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOneEngineAFolder(t *testing.T) {
	dir := t.TempDir()
	s := mustStart(t, Options{Dir: dir})

	_, err := Start(t.Context(), Options{Dir: dir})
	var locked *LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("second engine: got %v, want a LockedError", err)
	}
	if locked.Dir != dir || locked.PID != os.Getpid() {
		t.Errorf("got %+v, want %s and %d", locked, dir, os.Getpid())
	}
	for _, want := range []string{dir, fmt.Sprint(os.Getpid()), "stop it first"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}

	// The refused one took nothing from the first.
	if err := s.probe(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustStart(t, Options{Dir: dir})
}

func TestLockOfAnotherProcess(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	c := startChild(ctx, t, dir)
	c.waitRunning(t)
	_, err := Start(ctx, Options{Dir: dir})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != c.cmd.Process.Pid {
		t.Errorf("got %v, want a LockedError for %d", err, c.cmd.Process.Pid)
	}
	c.kill(t)
	lock, err := acquireLock(dir)
	if err != nil {
		t.Fatalf("lock outlives its process: %v", err)
	}
	if err := lock.release(); err != nil {
		t.Error(err)
	}
}

// TestLockReplacesAnOldPID checks that no digits of a longer process id stay.
func TestLockReplacesAnOldPID(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, lockName)
	if err := os.WriteFile(path, []byte("99999999999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := acquireLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.release() }()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(content), fmt.Sprintln(os.Getpid()); got != want {
		t.Errorf("lock holds %q, want %q", got, want)
	}
	for content, want := range map[string]int{"": 0, "x\n": 0, "42\n": 42, "42": 42} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readPID(lock.file); got != want {
			t.Errorf("readPID of %q: %d, want %d", content, got, want)
		}
	}
}
