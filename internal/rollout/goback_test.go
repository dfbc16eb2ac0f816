package rollout_test

import (
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// TestGoesBackByItself breaks everything that runs on new nodes after every turn
// of an upgrade. As long as there is a way back, the cluster ends as it began;
// beyond that it says so, and in no case are old nodes taken from what is down.
func TestGoesBackByItself(t *testing.T) {
	for _, strategy := range []fleet.Strategy{fleet.BlueGreen, fleet.Buffer} {
		t.Run(string(strategy), func(t *testing.T) {
			back, last := 0, 0
			for n := 1; ; n++ {
				w, cl := one(t, func(s *fleet.Spec) {
					s.Nodes.Strategy = strategy
					s.Nodes.Evacuation.OnFailure = fleet.FailureRollsBack
				})
				cl.NodeOSUpgradeChannel = "NodeImage"
				w.start()
				broken := w.at(n, func() { cl.breaks = ver("1.35.4") })
				got := w.run()
				if !*broken {
					break
				}
				rec := w.cluster("sandbox-1")
				switch {
				case rec.State == fleet.StateRolledBack:
					back, last = back+1, n
					if !strings.Contains(rec.Reason, "went back by itself") {
						t.Errorf("at turn %d: it does not say why it went back: %s", n, rec.Reason)
					}
					stays := false // a pool that was through before
					overview := w.overview()
					for _, p := range overview.PoolsOf(rec) {
						stays = stays || p.State == fleet.StateSucceeded
					}
					for _, p := range cl.pods {
						if !p.Ready && !stays {
							t.Errorf("at turn %d: rolled back, and pod %s is not Ready: %s", n, p.Name, w.describe())
						}
					}
					if !stays {
						whole(t, n, w, cl, 1)
					}
					if !slicesHas(w.mem.journal, string(rollout.VerbRollback)) {
						t.Errorf("at turn %d: the journal does not tell that it went back", n)
					}
				case got == fleet.StateSucceeded: // it broke after the old nodes were gone
				case rec.State == fleet.StateFailed && strategy == fleet.Buffer: // on the way home there is no way back
				default:
					t.Errorf("at turn %d: %s", n, w.describe())
				}
				w.finishLeftovers(n)
				if t.Failed() {
					return
				}
			}
			if back < 10 {
				t.Errorf("it went back %d times only, the last after turn %d", back, last)
			}
		})
	}
}

func slicesHas(journal []fleet.JournalEntry, action string) bool {
	for _, e := range journal {
		if e.Action == action && e.Actor == "liftlock" {
			return true
		}
	}
	return false
}

// TestWaitsForAPerson: by default what does not come back stops everything else
// and keeps the old nodes; mended, it goes on.
func TestWaitsForAPerson(t *testing.T) {
	w, cl := one(t)
	w.start()
	blocked := 0
	w.turned = func(task rollout.Task, turn rollout.Turn) bool {
		if task.Pool != "" && turn.State == fleet.StateSoaking && cl.breaks.IsZero() && blocked == 0 {
			cl.breaks = ver("1.35.4")
		}
		if task.Pool != "" && turn.State == fleet.StateBlocked && strings.Contains(turn.Reason, "StatefulSet/shop/apps-db") {
			if blocked++; blocked == 20 {
				cl.breaks = fleet.Version{}
			}
		}
		return false
	}
	w.finish(fleet.StateSucceeded)
	if blocked < 20 {
		t.Errorf("nobody was asked (%d times)", blocked)
	}
}

// TestSoakIsAGate: what falls below its requirement during the soak, when the
// evacuation is over and forgotten, keeps the old nodes too.
func TestSoakIsAGate(t *testing.T) {
	w, cl := one(t, func(s *fleet.Spec) { s.Nodes.Soak = 20 * time.Minute })
	w.start()
	held := 0
	w.turned = func(task rollout.Task, turn rollout.Turn) bool {
		if task.Pool == "" {
			return false
		}
		if turn.State == fleet.StateSoaking && cl.breaks.IsZero() && held == 0 {
			cl.breaks = ver("1.35.4")
			w.mem.forgetMoves(w.id)
		}
		if strings.Contains(turn.Reason, "fewer pods than it requires") {
			if turn.State == fleet.StateBlocked {
				if held++; held == 50 {
					cl.breaks = fleet.Version{}
				}
			}
			return false
		}
		return false
	}
	w.finish(fleet.StateSucceeded)
	if held < 50 {
		t.Errorf("nobody was asked (%d times)", held)
	}
}
