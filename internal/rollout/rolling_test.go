package rollout_test

import (
	"strings"
	"testing"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// few makes a cluster with one pool of five nodes, one of which is replaced at a
// time, and with a pod on each that fills it.
func few(t *testing.T) (*world, *cluster) {
	t.Helper()
	c := newCloud(t)
	cl := c.add("sandbox-1", "sandbox", "1.34.4", "apps")
	cl.Pools[0].Count = 5
	more := cl.Pools[0]
	more.Count = 3
	c.fill(cl, more)
	w := cl.workloads["StatefulSet/shop/apps-db"]
	w.Replicas = 5
	c.pod(cl, w, "apps")
	c.pod(cl, w, "apps")
	for i := range cl.pods {
		cl.pods[i].Ready = true
		cl.pods[i].Node = cl.nodes[i].Name
		cl.pods[i].Requests = fleet.Resources{MilliCPU: 3000, Memory: 1 << 30}
	}
	cl.podCPU = 3000
	return newWorldOf(t, c, func(s *fleet.Spec) {
		s.Rings = s.Rings[:1]
		s.Nodes.ExtraNodes = fleet.Amount0{Count: 1}
	}), cl
}

// checkFew holds that the pool was replaced whole, with one node more at the most.
func checkFew(t *testing.T, at int, w *world, cl *cluster) {
	t.Helper()
	if cl.most > 6 {
		t.Errorf("at %d: there were %d nodes, and five and one are allowed", at, cl.most)
	}
	if len(cl.Pools) != 1 || cl.Pools[0].Count != 5 || cl.Pools[0].Version != ver("1.35.4") || len(cl.nodes) != 5 || len(cl.pods) != 5 {
		t.Errorf("at %d: %s", at, w.describe())
	}
	for _, p := range w.overview().Pools {
		if moves := p.PodMoves(); moves > 5 {
			t.Errorf("at %d: five pods moved %d times", at, moves)
		}
	}
}

// TestRollingPool replaces a pool of five nodes with one node more.
func TestRollingPool(t *testing.T) {
	w, cl := few(t)
	w.start()
	w.finish(fleet.StateSucceeded)
	checkFew(t, 0, w, cl)
	removals := 0
	for _, e := range w.cloud.effects {
		if strings.Contains(e, "deleteMachines") {
			removals++
		}
	}
	if removals != 4 {
		t.Errorf("%d removals of a node, want 4 and then the pool: %v", removals, w.cloud.effects)
	}
}

// TestRollingPoolKilled kills the process at every call of a port, and loses all
// tasks after every step: nothing is done twice, and the end is the same.
func TestRollingPoolKilled(t *testing.T) {
	for n := 1; ; n += 3 {
		w, cl := few(t)
		w.start()
		w.killAt(n)
		fired := false
		w.forget = func(int) bool { return false }
		w.turned = func(rollout.Task, rollout.Turn) bool { fired = fired || w.killed != nil; return false }
		if got := w.run(); got != fleet.StateSucceeded {
			t.Fatalf("killed at call %d: %s\n%s", n, got, w.describe())
		}
		checkFew(t, n, w, cl)
		if t.Failed() {
			return
		}
		if n > 1200 {
			break
		}
		if n > 60 {
			n += 20
		}
	}
	w, cl := few(t)
	w.start()
	w.forget = func(step int) bool { return step%5 == 0 }
	if got := w.run(); got != fleet.StateSucceeded {
		t.Fatalf("%s\n%s", got, w.describe())
	}
	checkFew(t, -1, w, cl)
}

// TestRollingPoolGoesBackAtEveryStep asks for a rollback after every turn: until
// the first old node is removed everything goes back; then it says that there is
// no way back, and a retry goes on.
func TestRollingPoolGoesBackAtEveryStep(t *testing.T) {
	back, beyond := 0, 0
	for n := 1; ; n += 2 {
		w, cl := few(t)
		w.start()
		asked := w.verbAt(n, rollout.VerbRollback)
		got := w.run()
		if !*asked || got == fleet.StateSucceeded {
			break
		}
		rec := w.cluster("sandbox-1")
		switch rec.State {
		case fleet.StateRolledBack:
			back++
			if strings.Contains(rec.Reason, "upgraded before, and staying so: pool apps") {
				checkFew(t, n, w, cl)
				continue
			}
			if len(cl.Pools) != 1 || cl.Pools[0].Name != "apps" || len(cl.nodes) != 5 || cl.nodes[0].Version != ver("1.34.4") {
				t.Errorf("at turn %d: %s", n, w.describe())
			}
		case fleet.StateFailed:
			beyond++
			if !strings.Contains(rec.Reason, "old nodes of pool apps are removed") && !strings.Contains(rec.Reason, "no way back") {
				t.Errorf("at turn %d: %s", n, rec.Reason)
			}
			w.turned, w.tasks = nil, map[string]*entry{}
			w.do(rollout.Request{Verb: rollout.VerbRetry})
			if state := w.run(); state != fleet.StateSucceeded {
				t.Fatalf("at turn %d: retried: %s\n%s", n, state, w.describe())
			}
			checkFew(t, n, w, cl)
		default:
			t.Errorf("at turn %d: %s", n, w.describe())
		}
		if t.Failed() {
			return
		}
	}
	if back < 5 || beyond < 5 {
		t.Errorf("went back %d times, was beyond %d times: the test proves too little", back, beyond)
	}
}
