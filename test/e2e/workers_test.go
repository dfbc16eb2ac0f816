package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// outside is a Temporal server that runs as a process of its own.
type outside struct{ flags []string }

// startOutside starts a Temporal server and ends it with the test.
func startOutside(t *testing.T) *outside {
	t.Helper()
	dir := t.TempDir()
	p := launch(t, t, bin.engine, dir)
	t.Cleanup(func() { p.end(t) })
	address := filepath.Join(dir, "address")
	within(t, patience, "the Temporal server is up", func() error {
		if code, ended := p.ended(); ended {
			t.Fatalf("the Temporal server ended with %d:\n%s", code, p.stderr())
		}
		_, err := os.Stat(address)
		return err
	})
	at, err := os.ReadFile(address)
	if err != nil {
		t.Fatal(err)
	}
	return &outside{flags: []string{
		"--temporal", string(at), "--temporal-ca", filepath.Join(dir, "ca.pem"),
		"--temporal-cert", filepath.Join(dir, "cert.pem"), "--temporal-key", filepath.Join(dir, "key.pem"),
	}}
}

func (o *outside) with(args ...string) []string { return slices.Concat(args, o.flags) }

// TestTwoWorkers lets two processes share the work over a Temporal server of its
// own, and kills the one that began it in the middle of an evacuation.
func TestTwoWorkers(t *testing.T) {
	t.Parallel()
	a, server := startAzure(t, "one"), startOutside(t)
	s := newSite(t)
	path := a.fleet(t, "testdata/one.fleet.yaml", nil)
	w := a.ask(t, "first")
	before := w.shape(t)
	begun := a.now(t)

	first := s.start(t, server.with("run", path)...)
	within(t, patience, "the rollout has begun", func() error {
		if code, ended := first.ended(); ended {
			t.Fatalf("run ended with %d:\n%s", code, first.stderr())
		}
		_, err, code := s.run(t, "status")
		if code != 0 {
			return fmt.Errorf("%s", err)
		}
		return nil
	})
	second := s.start(t, server.with("work")...)
	within(t, patience, "the second worker takes part", func() error {
		if code, ended := second.ended(); ended {
			t.Fatalf("work ended with %d:\n%s", code, second.stderr())
		}
		if !strings.Contains(second.stderr(), "takes part") {
			return fmt.Errorf("it says %q", second.stderr())
		}
		return nil
	})

	// An engine of one's own beside them would do everything twice.
	if _, stderr, code := s.run(t, "run", path); code != 4 || !strings.Contains(stderr, "Temporal") {
		t.Errorf("an embedded engine on a folder that workers use: exit code %d, want 4 and a reason that names Temporal:\n%s", code, stderr)
	}
	// Workers that cannot see the ledger must not take its work.
	elsewhere := newSite(t)
	if _, stderr, code := elsewhere.run(t, server.with("work")...); code != 3 || !strings.Contains(stderr, "state folder") {
		t.Errorf("a worker with another state folder: exit code %d, want 3 and a reason that names the state folder:\n%s", code, stderr)
	}
	if _, stderr, code := elsewhere.run(t, server.with("work", "--temporal-namespace", "nowhere")...); code != 6 || !strings.Contains(stderr, "nowhere") {
		t.Errorf("a namespace that is not there: exit code %d, want 6 and a reason that names it:\n%s", code, stderr)
	}

	within(t, patience, "pods are on the move", func() error {
		return w.moving(t)
	})
	first.kill()
	within(t, patience, "the other worker finishes the rollout", func() error {
		if code, ended := second.ended(); ended {
			t.Fatalf("work ended with %d:\n%s", code, second.stderr())
		}
		if r := s.status(t); r.State != fleet.StateSucceeded {
			return fmt.Errorf("%s: %s", r.State, r.Reason)
		}
		return nil
	})

	if out := s.must(t, server.with("run", path)...); !strings.Contains(out, "nothing to do") {
		t.Errorf("run on the finished fleet says %q", out)
	}
	second.end(t)
	if code, _ := second.ended(); code != 0 {
		t.Errorf("work, told to end, ended with %d:\n%s", code, second.stderr())
	}
	if err := w.runs(t, "1.35.4"); err != nil {
		t.Error(err)
	}
	if err := w.clean(t); err != nil {
		t.Error(err)
	}
	after := w.shape(t)
	after.sameAs(t, &before)
	a.unharmed(t)
	a.once(t, begun)
	proven(t, s)
	journalled(t, s)

	// The folder is free again, also for an engine of its own.
	if out := s.must(t, "run", path); !strings.Contains(out, "nothing to do") {
		t.Errorf("run on the finished fleet says %q", out)
	}
}
