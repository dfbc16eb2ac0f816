package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/report"
	"liftlock.dev/liftlock/internal/rollout"
)

// TestBefore asks in all ways what an upgrade would do, and then does what the
// kept plan says. Until then nothing may have changed.
func TestBefore(t *testing.T) {
	t.Parallel()
	a := startAzure(t, "one")
	s := newSite(t)
	path := a.fleet(t, "testdata/one.fleet.yaml", nil)
	w := a.ask(t, "first")
	before := w.shape(t)
	begun := a.now(t)
	kept := filepath.Join(t.TempDir(), "plan.json")

	t.Run("check sees everything and finds no blocker", func(t *testing.T) {
		var r report.Checked
		s.read(t, &r, "check", "--fleet", path)
		if r.Summary.Clusters != 1 || r.Summary.Ran == 0 || r.Summary.NotRun != 0 || r.Summary.Absent != 0 {
			t.Errorf("it checked %+v", r.Summary)
		}
	})
	t.Run("a target that is not on offer is a blocker", func(t *testing.T) {
		if out, stderr, code := s.run(t, "check", "--fleet", path, "--target", "1.40"); code != 8 || !strings.Contains(out, "1.40") {
			t.Errorf("exit code %d, want 8:\n%s%s", code, out, stderr)
		}
	})
	t.Run("plan", func(t *testing.T) {
		out := s.must(t, "plan", "--fleet", path, "--save", kept)
		for _, want := range []string{"1.34.4 → 1.35.4", "no way back from here", "blueGreen"} {
			if !strings.Contains(out, want) {
				t.Errorf("the plan does not say %q:\n%s", want, out)
			}
		}
	})
	t.Run("rehearse", func(t *testing.T) {
		var r rollout.Rehearsal
		s.read(t, &r, "rehearse", "--fleet", path, "--cluster", "first", "--target", "1.35", "--bin-dir", bin.kube)
		if !r.Went || r.Falls != 0 || len(r.Pools) == 0 || r.Pools[0].Moved == 0 || r.Pools[0].Moved != r.Pools[0].Pods {
			t.Errorf("it did not go through: %s; %d falls, pools %+v", r.Verdict, r.Falls, r.Pools)
		}
		if len(r.Findings) > 0 {
			t.Errorf("the cluster itself was asked, and yet something is not known of it: %+v", r.Findings)
		}
	})
	after := w.shape(t)
	after.sameAs(t, &before)
	if writes := a.writes(t, begun); len(writes) > 0 {
		t.Errorf("asking has changed something in the cloud: %+v", writes)
	}
	if err := w.clean(t); err != nil {
		t.Errorf("asking has left something in the cluster: %v", err)
	}

	t.Run("a plan of another world is refused", func(t *testing.T) {
		text, err := os.ReadFile(kept)
		if err != nil {
			t.Fatal(err)
		}
		other := filepath.Join(t.TempDir(), "other.json")
		if err := os.WriteFile(other, []byte(strings.ReplaceAll(string(text), "1.34.4", "1.34.3")), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, stderr, code := s.run(t, "run", "--plan", other); code != 3 || !strings.Contains(stderr, "1.34.3") {
			t.Errorf("exit code %d, want 3 and what moved:\n%s%s", code, out, stderr)
		}
	})
	t.Run("run does what the plan says", func(t *testing.T) {
		s.must(t, "run", "--plan", kept)
		if r := s.status(t); r.State != fleet.StateSucceeded || r.Violations != 0 {
			t.Errorf("it ended %s: %s, %d violations", r.State, r.Reason, r.Violations)
		}
		if err := w.runs(t, "1.35.4"); err != nil {
			t.Error(err)
		}
		if out := s.must(t, "run", "--plan", kept); !strings.Contains(out, "nothing to do") {
			t.Errorf("run --plan on the finished fleet says %q", out)
		}
	})
	after = w.shape(t)
	after.sameAs(t, &before)
	a.unharmed(t)
}
