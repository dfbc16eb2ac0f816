package rollout_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// at calls f once, after the nth turn.
func (w *world) at(n int, f func()) *bool {
	count, called := 0, false
	w.turned = func(rollout.Task, rollout.Turn) bool {
		if count++; count == n {
			called = true
			f()
		}
		return false
	}
	return &called
}

// whole holds that a cluster is as it was but for versions: bounds, channels,
// marks, pods.
func whole(t *testing.T, at int, w *world, cl *cluster, pools int) {
	t.Helper()
	state := w.cloud.state()[cl.Name]
	if strings.Count(state, "marked 0") != len(cl.Pools) || pools > 0 && len(cl.Pools) != pools || !strings.Contains(state, `""/"NodeImage"`) ||
		!strings.Contains(state, "2-5") || !strings.Contains(state, "3 pods") || strings.Contains(state, "channels]") {
		t.Errorf("at turn %d: left behind: %s", at, state)
	}
}

// TestVerbsAtEveryStep asks for each verb after every turn of an upgrade. The
// safety of the cluster is held by the cloud; what must be restored, here.
func TestVerbsAtEveryStep(t *testing.T) {
	for _, strategy := range []fleet.Strategy{fleet.BlueGreen, fleet.Buffer, fleet.InPlace} {
		for _, verb := range []rollout.Verb{rollout.VerbPause, rollout.VerbAbort, rollout.VerbSkip, rollout.VerbRollback} {
			t.Run(string(strategy)+"/"+string(verb), func(t *testing.T) {
				for n := 1; ; n++ {
					w, cl := one(t, func(s *fleet.Spec) { s.Nodes.Strategy = strategy })
					cl.NodeOSUpgradeChannel = "NodeImage"
					w.start()
					asked := w.verbAt(n, verb)
					got := w.run()
					if !*asked || got == fleet.StateSucceeded && verb != rollout.VerbPause && verb != rollout.VerbSkip {
						break // the upgrade was over before
					}
					checkVerb(t, n, w, cl, verb, got)
					w.finishLeftovers(n)
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// verbAt asks for a verb after the nth turn, if it makes sense by then.
func (w *world) verbAt(n int, verb rollout.Verb) *bool {
	asked := new(bool)
	count, since := 0, 0
	w.turned = func(rollout.Task, rollout.Turn) bool {
		count++
		if count < n {
			return false
		}
		if *asked {
			if since++; verb == rollout.VerbPause && since == 40 {
				w.do(rollout.Request{Verb: rollout.VerbResume})
			}
			return false
		}
		r := rollout.Request{Verb: verb, Actor: "ann", Cluster: "sandbox-1"}
		control := &rollout.Control{Store: w.mem, Journal: w.mem, Clock: w.stepper.Clock}
		_, err := control.Do(w.t.Context(), r)
		if _, refused := errors.AsType[*rollout.RefusedError](err); refused {
			return false // not yet, or not any more
		}
		if err != nil {
			w.t.Fatal(err)
		}
		*asked = true
		for _, e := range w.tasks {
			e.due = w.cloud.now
		}
		return false
	}
	return asked
}

// finishLeftovers takes the steps of tasks that outlive the rollout's own: each
// must end at once.
func (w *world) finishLeftovers(n int) {
	w.t.Helper()
	for id, e := range w.tasks {
		turn, err := w.stepper.Step(w.t.Context(), e.task)
		if err != nil || !turn.Ended {
			w.t.Errorf("at turn %d: task %s goes on: %+v, %v", n, id, turn, err)
		}
	}
	for _, one := range w.cloud.clusters {
		if one.holder != "" {
			w.t.Errorf("at turn %d: the Lease of %s is held by %s", n, one.Name, one.holder)
		}
	}
}

func checkVerb(t *testing.T, n int, w *world, cl *cluster, verb rollout.Verb, got fleet.State) {
	t.Helper()
	rec := w.cluster("sandbox-1")
	switch verb {
	case rollout.VerbPause:
		if got != fleet.StateSucceeded {
			t.Errorf("at turn %d: %s", n, w.describe())
		}
		whole(t, n, w, cl, 1)
	case rollout.VerbAbort:
		if got != fleet.StateAborted {
			t.Errorf("at turn %d: %s", n, w.describe())
		}
		whole(t, n, w, cl, 0)
	case rollout.VerbSkip:
		if rec.State != fleet.StateSkipped {
			t.Errorf("at turn %d: %s", n, w.describe())
		}
		whole(t, n, w, cl, 0)
	case rollout.VerbRollback:
		switch rec.State {
		case fleet.StateRolledBack:
			whole(t, n, w, cl, 1)
			overview := w.overview()
			for _, node := range cl.nodes {
				done := false
				for _, p := range overview.PoolsOf(rec) {
					done = done || p.State == fleet.StateSucceeded
				}
				if node.Version != ver("1.34.4") && !done {
					t.Errorf("at turn %d: rolled back, and node %s runs %s", n, node.Name, node.Version)
				}
			}
		case fleet.StateFailed: // beyond the point of no return: it says so, and retry goes on
			if !strings.Contains(rec.Reason, "retry") || !strings.Contains(rec.Reason, "no way back") {
				t.Errorf("at turn %d: %s", n, rec.Reason)
			}
		default:
			t.Errorf("at turn %d: %s", n, w.describe())
		}
	default:
		t.Fatalf("verb %s is not checked here", verb)
	}
	if verb == rollout.VerbPause || verb == rollout.VerbSkip {
		return
	}
	// Whatever a person stopped, a retry takes up again, to a good end.
	w.turned = nil
	w.tasks = map[string]*entry{}
	answer := w.do(rollout.Request{Verb: rollout.VerbRetry})
	if !answer.Restart {
		t.Errorf("at turn %d: retry of an ended rollout: %+v", n, answer)
	}
	if state := w.run(); state != fleet.StateSucceeded {
		t.Fatalf("at turn %d: retried: %s\n%s", n, state, w.describe())
	}
	whole(t, n, w, cl, 1)
	for _, node := range cl.nodes {
		if node.Version != ver("1.35.4") {
			t.Errorf("at turn %d: retried, and node %s runs %s", n, node.Name, node.Version)
		}
	}
}

// TestPauseStartsNothing: while paused, only what runs at the provider finishes.
func TestPauseStartsNothing(t *testing.T) {
	paused := 0
	for n := 3; n < 60; n += 3 {
		w, _ := one(t)
		w.start()
		effects := 0
		count := 0
		w.turned = func(rollout.Task, rollout.Turn) bool {
			switch count++; {
			case count == n && !w.overview().Rollout.State.Ended():
				w.do(rollout.Request{Verb: rollout.VerbPause})
				effects = len(w.cloud.effects)
			case count == n+60:
				return true
			}
			return false
		}
		if w.run().Ended() {
			continue // it ended before it could be paused
		}
		paused++
		if len(w.cloud.effects) != effects {
			t.Errorf("paused at turn %d: %v", n, w.cloud.effects[effects:])
		}
	}
	if paused < 10 {
		t.Errorf("paused only %d times", paused)
	}
}

func TestRefusedRequests(t *testing.T) {
	w := newWorld(t)
	control := &rollout.Control{Store: w.mem, Journal: w.mem, Clock: w.stepper.Clock}
	if _, err := control.Do(t.Context(), rollout.Request{Verb: rollout.VerbPause}); !errors.Is(err, rollout.ErrNoRollout) {
		t.Errorf("without a rollout: %v", err)
	}
	w.start()
	refused := func(r rollout.Request) {
		t.Helper()
		before := len(w.mem.journal)
		_, err := control.Do(t.Context(), r)
		if _, ok := errors.AsType[*rollout.RefusedError](err); !ok {
			t.Errorf("%+v: %v", r, err)
		}
		if len(w.mem.journal) != before {
			t.Errorf("%+v: journalled", r)
		}
	}
	refused(rollout.Request{Verb: rollout.VerbResume})
	refused(rollout.Request{Verb: rollout.VerbSkip})
	refused(rollout.Request{Verb: rollout.VerbSkip, Cluster: "nobody"})
	refused(rollout.Request{Verb: rollout.VerbRetry})
	refused(rollout.Request{Verb: rollout.VerbRollback})
	refused(rollout.Request{Verb: rollout.VerbApprove})
	refused(rollout.Request{Verb: "dance"})
	if _, err := control.Do(t.Context(), rollout.Request{Verb: rollout.VerbPause, Rollout: "another"}); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("another rollout: %v", err)
	}
	// Another file while it runs is refused, the same one is taken up.
	if ro, _, resumed, err := w.stepper.Start(t.Context(), w.file(), "ben"); err != nil || !resumed || ro.ID != w.id {
		t.Errorf("%+v, %t, %v", ro, resumed, err)
	}
	other := w.file()
	other.Digest = "fedcba9876543210"
	_, _, _, err := w.stepper.Start(t.Context(), other, "ben")
	if _, ok := errors.AsType[*rollout.RefusedError](err); !ok {
		t.Errorf("another file: %v", err)
	}
	w.finish(fleet.StateSucceeded)
	refused(rollout.Request{Verb: rollout.VerbPause})
	refused(rollout.Request{Verb: rollout.VerbRetry})
	refused(rollout.Request{Verb: rollout.VerbRollback})
}

// TestSkip leaves a cluster, then a ring, out; a skipped ring holds up nobody,
// and a plain retry does not bring back what a person left out.
func TestSkip(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.at(2, func() {
		w.do(rollout.Request{Verb: rollout.VerbSkip, Cluster: "prod-1"})
		w.do(rollout.Request{Verb: rollout.VerbSkip, Ring: "dev"})
	})
	w.finish(fleet.StateSucceeded)
	for name, want := range map[string]string{"sandbox-1": "1.35.4", "dev-1": "1.34.4", "prod-1": "1.34.4", "prod-2": "1.35.4"} {
		if got := w.cloud.named(name).Version; got != ver(want) {
			t.Errorf("%s is at %s, want %s", name, got, want)
		}
	}
	control := &rollout.Control{Store: w.mem, Journal: w.mem, Clock: w.stepper.Clock}
	if _, err := control.Do(t.Context(), rollout.Request{Verb: rollout.VerbRetry}); err == nil {
		t.Error("a plain retry took up what was skipped")
	}
	w.restart()
	w.turned = nil
	w.do(rollout.Request{Verb: rollout.VerbRetry, Cluster: "prod-1"})
	w.finish(fleet.StateSucceeded)
	if got := w.cloud.named("prod-1").Version; got != ver("1.35.4") {
		t.Errorf("prod-1 is at %s", got)
	}
}

// TestAbortBeforeARingBegan and retry: the rings that never began go on.
func TestAbortBetweenRings(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.turned = func(task rollout.Task, _ rollout.Turn) bool {
		if task.Ring == "dev" && task.Cluster == "" {
			w.turned = nil
			w.do(rollout.Request{Verb: rollout.VerbAbort})
		}
		return false
	}
	w.finish(fleet.StateAborted)
	w.restart()
	w.do(rollout.Request{Verb: rollout.VerbRetry})
	w.finish(fleet.StateSucceeded)
}

// TestApprovals: given before the rollout has even looked, needed again once
// they ran out, and of the right role.
func TestApprovals(t *testing.T) {
	w := newWorld(t, func(s *fleet.Spec) {
		s.Rings[0].Before = []fleet.Approval{{Name: "begin", Role: "ops"}}
		s.Rings[0].After = []fleet.Approval{{Name: "good", Role: "qa"}}
		s.Rings[2].Before = []fleet.Approval{{Name: "prod", Role: "boss", Expires: 10 * time.Second}}
	})
	w.start()
	w.do(rollout.Request{Verb: rollout.VerbApprove, Ring: "sandbox", Name: "begin", Role: "ops"}) // before the first turn
	given := map[string]int{}
	w.turned = func(task rollout.Task, turn rollout.Turn) bool {
		if task.Cluster != "" || turn.State != fleet.StateWaiting || !strings.Contains(turn.Reason, "approval") {
			return false
		}
		for _, name := range []string{"good", "prod"} {
			if strings.Contains(turn.Reason, fmt.Sprintf("%q", name)) {
				given[name]++
				w.do(rollout.Request{Verb: rollout.VerbApprove, Name: name})
			}
		}
		return false
	}
	w.finish(fleet.StateSucceeded)
	// Two clusters one after the other: the approval has run out in between.
	if given["good"] != 1 || given["prod"] != 2 {
		t.Errorf("given: %v", given)
	}
	if v := w.cloud.named("sandbox-1").Version; v != ver("1.35.4") {
		t.Errorf("sandbox-1 is at %s", v)
	}
	o := w.overview()
	n := 0
	for _, e := range o.Journal {
		if e.Action == "approve" && e.Actor == "ann" {
			n++
		}
	}
	if n != 4 {
		t.Errorf("%d approvals in the journal", n)
	}
}

// TestWindowCloses in the middle: what onClose says decides what still begins.
func TestWindowCloses(t *testing.T) {
	for _, onClose := range []fleet.OnClose{fleet.FinishWave, fleet.FinishCluster, fleet.PauseAtOnce} {
		t.Run(string(onClose), func(t *testing.T) {
			w, _ := one(t, func(s *fleet.Spec) {
				s.Rings[0].OnClose = onClose
				// The forecast is about half an hour; the provider is slower.
				s.Rings[0].Windows = []fleet.Window{{Start: 8 * 60, Duration: time.Hour, TimeZone: "UTC"}}
			})
			w.cloud.takes = 25 * time.Minute
			w.start()
			late := 0
			before := 0
			w.turned = func(rollout.Task, rollout.Turn) bool {
				open := w.cloud.now.Hour() == 8
				if n := len(w.cloud.effects); n != before {
					if !open {
						late++
					}
					before = n
				}
				return false
			}
			w.finish(fleet.StateSucceeded)
			if (late > 0) != (onClose == fleet.FinishCluster) {
				t.Errorf("%d operations began while the window was closed: %v", late, w.cloud.effects)
			}
			if days := w.cloud.now.Day() - 2; (days > 0) != (onClose != fleet.FinishCluster) {
				t.Errorf("took %d days", days)
			}
		})
	}
}

// TestBackup: without a backup that is young enough nothing starts; it goes on
// by itself when there is one.
func TestBackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backup")
	w, _ := one(t, func(s *fleet.Spec) { s.Nodes.RequireBackup, s.Nodes.BackupFile = time.Hour, path })
	w.start()
	blocked := 0
	w.turned = func(_ rollout.Task, turn rollout.Turn) bool {
		if turn.State == fleet.StateBlocked && strings.Contains(turn.Reason, "backup") {
			if blocked++; blocked == 2 {
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(path, w.cloud.now, w.cloud.now); err != nil {
					t.Fatal(err)
				}
			}
		}
		return false
	}
	w.finish(fleet.StateSucceeded)
	if blocked < 2 {
		t.Errorf("blocked %d times", blocked)
	}
}

// TestSoakBeginsAnew: a rollback and a retry do not inherit the soak of the
// first try.
func TestSoakBeginsAnew(t *testing.T) {
	w, _ := one(t, func(s *fleet.Spec) { s.Nodes.Soak = time.Hour })
	w.start()
	soaking := func(task rollout.Task, turn rollout.Turn) bool {
		return task.Pool != "" && turn.State == fleet.StateSoaking
	}
	w.turned = soaking
	w.run()
	w.turned = nil
	w.do(rollout.Request{Verb: rollout.VerbRollback})
	w.finish(fleet.StateFailed)
	w.cloud.now = w.cloud.now.Add(5 * time.Hour)
	w.restart()
	w.do(rollout.Request{Verb: rollout.VerbRetry})
	w.turned = soaking
	w.run()
	began := w.cloud.now
	w.turned = nil
	w.finish(fleet.StateSucceeded)
	if took := w.cloud.now.Sub(began); took < time.Hour {
		t.Errorf("soaked %s", took)
	}
}

// TestNobodyLooked: time in which no pass was made does not look like pods that do not move.
func TestNobodyLooked(t *testing.T) {
	w, cl := one(t)
	w.start()
	w.turned = func(rollout.Task, rollout.Turn) bool {
		for _, n := range cl.nodes {
			if n.Unschedulable {
				w.turned = nil
				w.cloud.now = w.cloud.now.Add(3 * time.Hour)
				w.restart()
				break
			}
		}
		return false
	}
	w.finish(fleet.StateSucceeded)
}
