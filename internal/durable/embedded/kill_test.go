package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
)

// TestKilledEngineGoesOn kills the engine's process in the middle of a workflow
// again and again; the last one finishes it on the same file.
func TestKilledEngineGoesOn(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := t.TempDir()
	for kill, after := range []int{2, 5, 9} {
		c := startChild(ctx, t, dir)
		c.waitRunning(t)
		eventually(t, time.Minute, func() error {
			if got := (steps{dir}).taken(t); got < after {
				return fmt.Errorf("%d steps taken, %d wanted", got, after)
			}
			return nil
		})
		t.Logf("kill %d: %d MB resident", kill+1, residentMB(c.cmd.Process.Pid))
		c.kill(t)
	}

	begun := time.Now()
	s := mustStart(t, Options{Dir: dir})
	t.Logf("start on a killed engine's file: %s", time.Since(begun))
	c := mustDial(t, s)
	stop, err := startWorker(c, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	got, err := finish(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if got != wantSum {
		t.Errorf("workflow returned %d, want %d", got, wantSum)
	}
	if got := (steps{dir}).taken(t); got != testSteps {
		t.Errorf("%d steps taken, want %d", got, testSteps)
	}
	checkIntegrity(t, dir)
}

// TestKilledAtAnyMomentOfItsStart kills engines on a new folder while they
// create their file and start.
func TestKilledAtAnyMomentOfItsStart(t *testing.T) {
	dir := t.TempDir()
	for i := range 8 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*60*time.Millisecond)
		startChild(ctx, t, dir).wait() // killed by the timeout
		cancel()
	}
	s := mustStart(t, Options{Dir: dir})
	c := mustDial(t, s)
	if _, err := c.CheckHealth(t.Context(), &client.CheckHealthRequest{}); err != nil {
		t.Error(err)
	}
	checkIntegrity(t, dir)
}

// checkIntegrity lets SQLite check the whole file.
func checkIntegrity(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, storeFile)+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var got string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&got); err != nil || got != "ok" {
		t.Errorf("integrity check: %q, %v", got, err)
	}
}
