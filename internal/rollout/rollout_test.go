package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

func TestWholeRollout(t *testing.T) {
	w := newWorld(t)
	w.start()
	var order []string
	w.turned = func(task rollout.Task, turn rollout.Turn) bool {
		if task.Pool == "" && task.Cluster != "" && turn.Ended {
			order = append(order, w.turnName(task))
			if len(order) == 1 { // newer versions appear behind the first ring's back
				w.cloud.region = append(w.cloud.region, fleet.OfferedVersion{Version: ver("1.35.9")}, fleet.OfferedVersion{Version: ver("1.37.1")})
			}
		}
		return false
	}
	w.finish(fleet.StateSucceeded)
	if diff := cmp.Diff([]string{"sandbox-1", "dev-1", "prod-1", "prod-2"}, order); diff != "" {
		t.Errorf("order of clusters: %s", diff)
	}
	for name, state := range w.cloud.state() {
		pools := 2
		if name == "prod-2" {
			pools = 1
		}
		if !strings.HasPrefix(state, "1.35.4 Succeeded") || strings.Count(state, "marked 0") != pools || !strings.Contains(state, fmt.Sprintf("%d pods", 3*pools)) {
			t.Errorf("%s: %s", name, state)
		}
	}
	if got := w.cloud.state()["dev-1"]; !strings.Contains(got, "2-5") {
		t.Errorf("autoscaler bounds: %s", got)
	}
	o := w.overview()
	var proven []string
	for _, e := range o.Ledger {
		proven = append(proven, e.Ring+" "+string(e.Kind)+" "+e.Version)
	}
	want := []string{
		"sandbox kubernetes 1.35.4", "sandbox nodeImage " + imageA, "dev kubernetes 1.35.4", "dev nodeImage " + imageA, "prod kubernetes 1.35.4", "prod nodeImage " + imageA,
	}
	if diff := cmp.Diff(want, proven); diff != "" {
		t.Errorf("ledger: %s", diff)
	}
	if o.Violations() != 0 || len(o.Availability) != 4 {
		t.Errorf("availability: %+v", o.Availability)
	}
	w.checkEffects()
	w.checkJournal()
	// A finished fleet: nothing is to be done, and nothing is done.
	effects := len(w.cloud.effects)
	w.spec.Target = fleet.Target{Channel: fleet.ChannelExact, Version: ver("1.35.4")}
	w.spec.Digest = "another"
	ro, look, resumed, err := w.stepper.Start(t.Context(), w.file(), "ann")
	if err != nil || ro.ID != "" || resumed || !look.NothingToDo() {
		t.Errorf("a finished fleet: %+v, %+v, %t, %v", ro, look, resumed, err)
	}
	if len(w.cloud.effects) != effects {
		t.Errorf("effects: %v", w.cloud.effects[effects:])
	}
}

func (w *world) turnName(task rollout.Task) string {
	return task.Cluster[strings.LastIndex(task.Cluster, "/")+1:]
}

// checkEffects holds that nothing was done twice.
func (w *world) checkEffects() {
	w.t.Helper()
	seen := map[string]int{}
	for _, e := range w.cloud.effects {
		seen[e]++
		if seen[e] > 1 && !strings.Contains(e, "reconcile") {
			w.t.Errorf("done twice: %s", e)
		}
	}
}

// checkJournal holds that every effect is in the journal with its cluster.
func (w *world) checkJournal() {
	w.t.Helper()
	o := w.overview()
	for _, effect := range w.cloud.effects {
		cluster, rest, _ := strings.Cut(effect, " ")
		kind, _, _ := strings.Cut(rest, " ")
		if kind == "snapshot" {
			continue
		}
		if !slices.ContainsFunc(o.Journal, func(e fleet.JournalEntry) bool {
			return e.Cluster == cluster && e.Action == kind && e.Actor == "liftlock" && e.Reason != "" && !e.At.IsZero()
		}) {
			w.t.Errorf("the journal does not tell of %q", effect)
		}
	}
	if e := o.Journal[0]; e.Action != "start" || e.Actor != "ann" {
		w.t.Errorf("the first entry is %+v", e)
	}
}

// TestForgetsEverything: after any step the process may go, and with it all that
// is not in the store. The end is the same, and nothing was done twice.
func TestForgetsEverything(t *testing.T) {
	for _, strategy := range []fleet.Strategy{fleet.BlueGreen, fleet.Buffer, fleet.InPlace} {
		t.Run(string(strategy), func(t *testing.T) {
			small := func() *world {
				c := newCloud(t)
				one := c.add("sandbox-1", "sandbox", "1.34.4", "apps")
				one.NodeOSUpgradeChannel, one.Pools[0].Autoscaler = "NodeImage", &fleet.Autoscaler{Min: 2, Max: 5}
				return newWorldOf(t, c, func(s *fleet.Spec) {
					s.Nodes.Strategy, s.Rings = strategy, s.Rings[:1]
					s.Accept = []fleet.Acceptance{{Finding: "workload-below-requirement", Owner: "ann"}}
				})
			}
			calm := small()
			calm.start()
			calm.finish(fleet.StateSucceeded)
			want, steps := calm.cloud.state(), calm.steps
			for at := 1; at <= steps; at++ {
				w := small()
				w.forget = func(step int) bool { return step == at }
				w.start()
				w.finish(fleet.StateSucceeded)
				if diff := cmp.Diff(want, w.cloud.state()); diff != "" {
					t.Fatalf("forgot everything after step %d: %s", at, diff)
				}
				w.checkEffects()
			}
			// And in the middle of a step, at any call of a port.
			for at := 20; at < 20+10*steps; at += 9 {
				w := small()
				w.start()
				w.killAt(at)
				w.finish(fleet.StateSucceeded)
				if diff := cmp.Diff(want, w.cloud.state()); diff != "" {
					t.Fatalf("killed at call %d: %s", at, diff)
				}
				w.checkEffects()
			}
		})
	}
}

// TestStoreIsLost: the store is gone half-way. A new rollout takes up the work
// from the world as it is, and what was set aside is restored.
func TestStoreIsLost(t *testing.T) {
	for at := 3; at < 120; at += 5 {
		c := newCloud(t)
		c.add("sandbox-1", "sandbox", "1.34.4", "apps", "work")
		c.clusters[c.order[0]].UpgradeChannel = "stable"
		one := func(s *fleet.Spec) { s.Rings = s.Rings[:1] }
		w := newWorldOf(t, c, one)
		w.start()
		n := 0
		w.turned = func(rollout.Task, rollout.Turn) bool { n++; return n == at }
		if w.run().Ended() && n < at {
			break
		}
		w.stepper.Watcher.Close()
		c.mu.Lock()
		c.now = c.now.Add(time.Hour) // the Lease runs out
		c.mu.Unlock()
		again := newWorldOf(t, c, one)
		ro, look, _, err := again.stepper.Start(t.Context(), again.file(), "ben")
		if err != nil {
			t.Fatal(err)
		}
		if ro.ID == "" {
			if !look.NothingToDo() {
				t.Fatalf("%+v", look)
			}
			if got := c.state()["sandbox-1"]; !strings.Contains(got, `"stable"`) {
				t.Errorf("lost at turn %d: nothing is to be done, and the channel was not restored: %s", at, got)
			}
			continue
		}
		again.id = ro.ID
		again.add(rollout.Task{Rollout: ro.ID}, "")
		again.finish(fleet.StateSucceeded)
		got := c.state()["sandbox-1"]
		if !strings.HasPrefix(got, `1.35.4 Succeeded channels "stable"`) || strings.Count(got, "marked 0") != 2 || !strings.Contains(got, "2-5") {
			t.Errorf("lost at turn %d: %s", at, got)
		}
	}
}
