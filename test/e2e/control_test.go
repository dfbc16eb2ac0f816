package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// TestControl steers one rollout from other processes, through everything that
// a person can ask of it. Each part goes on where the one before has stopped.
func TestControl(t *testing.T) {
	t.Parallel()
	a := startAzure(t, "control")
	s := newSite(t)
	path := a.fleet(t, "testdata/rings.fleet.yaml", nil)
	w, other := a.ask(t, "first"), a.ask(t, "second")
	before, otherBefore := w.shape(t), other.shape(t)
	c := &controlled{azure: a, site: s, path: path, world: w, before: before}

	steps := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"dry run changes nothing", c.dryRun},
		{"detached, alone, interrupted", c.detached},
		{"pause and resume", c.pause},
		{"abort restores and keeps both pools", c.abort},
		{"rollback goes back to the old pool", c.rollback},
		{"retry, approve, skip", c.finish},
		{"the skipped cluster follows, then nothing is to be done", c.follow},
	}
	for _, step := range steps {
		if !t.Run(step.name, step.run) {
			t.Fatalf("the rollout stands here:\n%s", s.must(t, "status"))
		}
	}
	for name, w := range map[string]*world{"first": w, "second": other} {
		if err := w.runs(t, "1.35.4"); err != nil {
			t.Error(err)
		}
		if err := w.clean(t); err != nil {
			t.Errorf("cluster %s: %v", name, err)
		}
	}
	after, otherAfter := w.shape(t), other.shape(t)
	after.sameAs(t, &before)
	otherAfter.sameAs(t, &otherBefore)
	a.unharmed(t)
}

type controlled struct {
	*azure
	site   *site
	path   string
	world  *world
	before shape
	runner *process // the attached run, where there is one
}

// moving waits until pods of the first cluster are on the move.
func (c *controlled) moving(t *testing.T) {
	t.Helper()
	within(t, patience, "pods are on the move", func() error {
		if c.runner != nil {
			if code, ended := c.runner.ended(); ended {
				t.Fatalf("run ended with %d:\n%s", code, c.runner.stderr())
			}
		}
		return c.world.moving(t)
	})
}

// state waits until the rollout is in a state.
func (c *controlled) state(t *testing.T, want fleet.State) {
	t.Helper()
	within(t, patience, "the rollout is "+string(want), func() error {
		if r := c.site.status(t); r.State != want {
			return fmt.Errorf("%s: %s", r.State, r.Reason)
		}
		return nil
	})
}

// refused runs a command that must be refused.
func (c *controlled) refused(t *testing.T, why string, args ...string) {
	t.Helper()
	before := len(c.site.journal(t))
	if out, stderr, code := c.site.run(t, args...); code != 3 || !strings.Contains(stderr, why) {
		t.Errorf("%v: exit code %d, want 3 and %q:\n%s%s", args, code, why, out, stderr)
	}
	if after := len(c.site.journal(t)); after < before {
		t.Errorf("%v: the journal has shrunk", args)
	}
}

// asked complains unless the journal holds a request of a person that nothing
// but the machine vouches for.
func (c *controlled) asked(t *testing.T, verb, reason string) {
	t.Helper()
	for _, e := range c.site.journal(t) {
		if e.Action == verb && e.Reason == reason && strings.HasSuffix(e.Actor, "(unverified)") {
			return
		}
	}
	t.Errorf("the journal has no %s for %q by somebody unverified", verb, reason)
}

func (c *controlled) dryRun(t *testing.T) {
	begun := c.now(t)
	out := c.site.must(t, "run", c.path, "--dry-run")
	for _, want := range []string{"target 1.35.4", "first", "second", "control plane from 1.34.4 to 1.35.4"} {
		if !strings.Contains(out, want) {
			t.Errorf("the dry run does not say %q:\n%s", want, out)
		}
	}
	if writes := c.writes(t, begun); len(writes) > 0 {
		t.Errorf("the dry run has written: %+v", writes)
	}
	if exists(c.site.dir) {
		t.Error("the dry run has made the state folder")
	}
}

func (c *controlled) detached(t *testing.T) {
	var started struct {
		PID int
		Log string
	}
	c.site.read(t, &started, "run", c.path, "--detach")
	t.Cleanup(func() { _ = syscall.Kill(started.PID, syscall.SIGKILL) }) // it has ended already, unless the test failed
	within(t, patience, "the rollout has begun", func() error {
		if _, stderr, code := c.site.run(t, "status"); code != 0 {
			return errors.New(stderr)
		}
		return nil
	})
	if _, stderr, code := c.site.run(t, "run", c.path); code != 4 || !strings.Contains(stderr, fmt.Sprintf("process %d", started.PID)) {
		t.Errorf("a second run: exit code %d, want 4 and process %d named:\n%s", code, started.PID, stderr)
	}
	c.moving(t)
	if err := syscall.Kill(started.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	within(t, patience, "the detached process has ended", func() error { return remains(c.site.dir) })
	if r := c.site.status(t); r.State.Ended() {
		t.Errorf("interrupted, the rollout is %s: %s", r.State, r.Reason)
	}
}

func (c *controlled) pause(t *testing.T) {
	c.runner = c.site.start(t, "run", c.path)
	c.moving(t)
	c.site.must(t, "pause", "--reason", "incident 42")
	c.asked(t, "pause", "incident 42")
	c.state(t, fleet.StatePaused)
	within(t, patience, "the pool is paused", func() error {
		r := c.site.status(t)
		for _, p := range clusterOf(t, &r, "first").Pools {
			if p.State == fleet.StatePaused {
				return nil
			}
		}
		return fmt.Errorf("%+v", clusterOf(t, &r, "first").Pools)
	})
	// What it would have to do next it does not do: the old nodes keep their pods.
	begun := c.now(t)
	for range 10 {
		if r := c.site.status(t); r.State != fleet.StatePaused {
			t.Fatalf("paused, the rollout is %s: %s", r.State, r.Reason)
		}
	}
	if started := c.started(t, begun); len(started) > 0 {
		t.Errorf("paused, it has started %+v", started)
	}
	if !strings.Contains(c.runner.err.String(), "goes on with rollout") {
		t.Errorf("run does not say that it goes on:\n%s", c.runner.stderr())
	}
}

func (c *controlled) abort(t *testing.T) {
	c.site.must(t, "resume")
	c.asked(t, "resume", "")
	c.refused(t, "is not paused", "resume")
	c.moving(t)
	c.site.must(t, "abort", "--reason", "wrong week")
	c.asked(t, "abort", "wrong week")
	if code := c.runner.wait(t, patience); code != 5 {
		t.Errorf("the aborted run ended with %d, want 5:\n%s", code, c.runner.stderr())
	}
	c.runner = nil
	c.state(t, fleet.StateAborted)
	if err := c.world.clean(t); err != nil {
		t.Error(err)
	}
	if names := c.world.standIns(t); len(names) != 1 {
		t.Errorf("the new pool is not kept: %v", names)
	}
	c.restored(t)
	c.refused(t, "has ended", "approve", "--ring", "prod")
	c.refused(t, "has ended", "pause")
}

// restored complains about workloads, channels or the old pool that are not as
// they were at the start. A new pool may stand beside it.
func (c *controlled) restored(t *testing.T) {
	t.Helper()
	now := c.world.shape(t)
	if !slices.Contains(now.Pools, c.before.Pools[0]) {
		t.Errorf("the old pool is not as it was: %+v, was %+v", now.Pools, c.before.Pools)
	}
	now.Pools = c.before.Pools
	now.sameAs(t, &c.before)
}

func (c *controlled) rollback(t *testing.T) {
	if out, stderr, code := c.site.run(t, "retry"); code != 0 || !strings.Contains(out+stderr, "liftlock run") {
		t.Errorf("retry without an engine: exit code %d, want 0 and a word about liftlock run:\n%s%s", code, out, stderr)
	}
	c.runner = c.site.start(t, "run", c.path)
	c.moving(t)
	c.site.must(t, "rollback", "--cluster", "first", "--reason", "slow")
	c.asked(t, "rollback", "slow")
	if code := c.runner.wait(t, patience); code != 1 {
		t.Errorf("the run that was rolled back ended with %d, want 1:\n%s", code, c.runner.stderr())
	}
	c.runner = nil
	r := c.site.status(t)
	if got := clusterOf(t, &r, "first"); got.State != fleet.StateRolledBack {
		t.Errorf("cluster first is %s: %s", got.State, got.Reason)
	}
	if names := c.world.standIns(t); len(names) != 0 {
		t.Errorf("the new pool is still there: %v", names)
	}
	if err := c.world.clean(t); err != nil {
		t.Error(err)
	}
	after := c.world.shape(t)
	after.sameAs(t, &c.before)
	for _, n := range c.cluster(t, "first").Pools[0].Nodes {
		if n.Version != "1.34.4" {
			t.Errorf("node %s runs %s after the rollback", n.Name, n.Version)
		}
	}
}

func (c *controlled) finish(t *testing.T) {
	c.site.must(t, "retry", "--cluster", "first")
	runner := c.site.start(t, "run", c.path)
	within(t, patience, "ring prod waits for its approval", func() error {
		if code, ended := runner.ended(); ended {
			t.Fatalf("run ended with %d:\n%s", code, runner.stderr())
		}
		r := c.site.status(t)
		for _, ring := range r.Rings {
			if ring.Name == "prod" && ring.State == fleet.StateWaiting && strings.Contains(ring.Reason, "approval") {
				return nil
			}
		}
		return fmt.Errorf("%s: %s", r.State, r.Reason)
	})
	c.refused(t, "no ring", "approve", "--ring", "prod", "--name", "nonsense")
	c.site.must(t, "approve", "--reason", "CHG-1234")
	c.asked(t, "approve", "CHG-1234")
	c.site.must(t, "skip", "--cluster", "second", "--reason", "not today")
	c.asked(t, "skip", "not today")
	if code := runner.wait(t, patience); code != 0 {
		t.Errorf("run ended with %d, want 0:\n%s", code, runner.stderr())
	}
	r := c.site.status(t)
	if got := clusterOf(t, &r, "second"); got.State != fleet.StateSkipped {
		t.Errorf("cluster second is %s: %s", got.State, got.Reason)
	}
	if got := clusterOf(t, &r, "first"); got.State != fleet.StateSucceeded {
		t.Errorf("cluster first is %s: %s", got.State, got.Reason)
	}
}

func (c *controlled) follow(t *testing.T) {
	runner := c.site.start(t, "run", c.path)
	within(t, patience, "the approval is taken", func() error {
		// The rollout before asks for nothing any more.
		if _, stderr, code := c.site.run(t, "approve", "--ring", "prod"); code != 0 {
			return errors.New(stderr)
		}
		return nil
	})
	if code := runner.wait(t, patience); code != 0 {
		t.Fatalf("run ended with %d:\n%s", code, runner.stderr())
	}
	begun := c.now(t)
	out := c.site.must(t, "run", c.path)
	if !strings.Contains(out, "nothing to do: all 2 clusters") {
		t.Errorf("run on the finished fleet says %q", out)
	}
	if writes := c.writes(t, begun); len(writes) > 0 {
		t.Errorf("run on the finished fleet has written: %+v", writes)
	}
}
