package rollout_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// one is a world of one cluster with one pool in one ring.
func one(t *testing.T, change ...func(*fleet.Spec)) (*world, *cluster) {
	t.Helper()
	c := newCloud(t)
	cl := c.add("sandbox-1", "sandbox", "1.34.4", "apps")
	cl.Pools[0].Autoscaler = &fleet.Autoscaler{Min: 2, Max: 5}
	w := newWorldOf(t, c, append([]func(*fleet.Spec){func(s *fleet.Spec) {
		s.Rings = s.Rings[:1]
		s.Accept = []fleet.Acceptance{{Finding: "workload-below-requirement", Owner: "ann"}}
	}}, change...)...)
	return w, cl
}

func refusal(code rollout.Code) error {
	return &rollout.ProviderError{Code: code, Object: "cluster sandbox-1", Doing: "test", Message: "because", Remedy: "wait", RetryAfter: 17 * time.Second}
}

// TestRefusals: whatever the provider answers, the state says so, nothing is
// lost, and it goes on by itself when the cause is gone, unless waiting cannot
// help.
func TestRefusals(t *testing.T) {
	state := map[rollout.Code]fleet.State{
		rollout.CodeBusy: fleet.StateWaiting, rollout.CodeThrottled: fleet.StateWaiting, rollout.CodeChanged: fleet.StateWaiting, rollout.CodeUnavailable: fleet.StateWaiting,
		rollout.CodeNotOffered: fleet.StateBlocked, rollout.CodeQuota: fleet.StateBlocked, rollout.CodeAddresses: fleet.StateBlocked, rollout.CodeCapacity: fleet.StateBlocked,
		rollout.CodeLocked: fleet.StateBlocked, rollout.CodeUnauthorized: fleet.StateBlocked, rollout.CodeDeprecatedAPI: fleet.StateBlocked, rollout.CodeStopped: fleet.StateBlocked,
		rollout.CodeSkew: fleet.StateFailed, rollout.CodeControlPlaneAloneRefused: fleet.StateFailed, rollout.CodeInvalid: fleet.StateFailed,
		"": fleet.StateWaiting,
	}
	for code, want := range state {
		for _, method := range []string{"UpgradeControlPlane", "CreatePool", "SetAutoscaler", "DeletePool", "Offers", "Cluster"} {
			t.Run(string(code)+"/"+method, func(t *testing.T) {
				w, _ := one(t)
				err := refusal(code)
				if code == "" {
					err = errors.New("cluster sandbox-1: test: because: connection refused")
				}
				w.start()
				if method == "Offers" {
					w.turned = func(task rollout.Task, _ rollout.Turn) bool { return task.Cluster != "" } // past the beginning
					w.run()
				}
				w.cloud.refuse[method] = slices.Repeat([]error{err}, 5)
				var seen []rollout.Turn
				w.turned = func(task rollout.Task, turn rollout.Turn) bool {
					if strings.Contains(turn.Reason, "because") && task.Cluster != "" {
						seen = append(seen, turn)
					}
					return false
				}
				if want == fleet.StateFailed {
					w.finish(fleet.StateFailed)
					if !strings.Contains(w.cluster("sandbox-1").Reason, "because") {
						t.Errorf("reason: %s", w.cluster("sandbox-1").Reason)
					}
					return
				}
				w.finish(fleet.StateSucceeded)
				if len(seen) < 5 {
					t.Fatalf("the refusal was seen %d times", len(seen))
				}
				for i, turn := range seen[:2] {
					if turn.State != want || turn.Reason == "" {
						t.Errorf("turn %d: %s %s, want %s", i, turn.State, turn.Reason, want)
					}
				}
				switch code {
				case rollout.CodeThrottled:
					if seen[0].After != 17*time.Second {
						t.Errorf("throttled: after %s", seen[0].After)
					}
				case rollout.CodeChanged:
				default:
					if method == "UpgradeControlPlane" && (seen[0].After != time.Second || seen[3].After != 8*time.Second) {
						t.Errorf("backoff: %s … %s", seen[0].After, seen[3].After)
					}
				}
				w.checkEffects()
			})
		}
	}
}

// TestFailedOperations: an operation that ends badly is resumed; one that ends
// badly for ever fails the cluster, and a retry goes on once the cause is gone.
func TestFailedOperations(t *testing.T) {
	for _, kind := range []string{"upgradeControlPlane", "createPool", "setAutoscaler", "upgradePool", "deletePool", "setChannels"} {
		for _, times := range []int{1, 2, 99} {
			t.Run(fmt.Sprintf("%s/%d", kind, times), func(t *testing.T) {
				w, cl := one(t, func(s *fleet.Spec) { s.Nodes.Strategy = fleet.Buffer })
				cl.NodeOSUpgradeChannel = "NodeImage"
				failing := slices.Repeat([]error{refusal(rollout.CodeFailed)}, times)
				w.cloud.failing[kind], w.cloud.failing["reconcile"] = failing[:1], failing[1:]
				if times > 2 {
					w.cloud.failing[kind], w.cloud.failing["reconcile"] = failing, failing
				}
				// Trouble on the way there must not count as failures of the operation.
				w.cloud.refuse["Cluster"] = slices.Repeat([]error{refusal(rollout.CodeUnavailable)}, 7)
				w.start()
				if times < 3 {
					w.finish(fleet.StateSucceeded)
					return
				}
				w.finish(fleet.StateFailed)
				if !strings.Contains(w.cluster("sandbox-1").Reason, "because") && !strings.Contains(w.cluster("sandbox-1").Reason, "Failed") {
					t.Errorf("reason: %s", w.cluster("sandbox-1").Reason)
				}
				if n := strings.Count(strings.Join(w.cloud.effects, "\n"), "reconcile"); n > 4 {
					t.Errorf("%d attempts to resume", n)
				}
				w.cloud.failing = map[string][]error{}
				w.restart()
				w.do(rollout.Request{Verb: rollout.VerbRetry})
				w.finish(fleet.StateSucceeded)
				if cl.NodeOSUpgradeChannel != "NodeImage" || cl.Pools[0].Autoscaler == nil || len(cl.Pools) != 1 {
					t.Errorf("left behind: %v", w.cloud.state())
				}
			})
		}
	}
}

// TestPolls: at Retry-After, else so that an end is noticed soon for what it took; and a
// poll that goes wrong does not lose the operation.
func TestPolls(t *testing.T) {
	gaps := func(w *world) []time.Duration {
		var gaps []time.Duration
		for i := 1; i < len(w.cloud.polls); i++ {
			gaps = append(gaps, w.cloud.polls[i].Sub(w.cloud.polls[i-1]).Round(time.Second))
		}
		return gaps
	}
	t.Run("nothing said", func(t *testing.T) {
		for _, takes := range []time.Duration{20 * time.Second, time.Minute, 10 * time.Minute, time.Hour} {
			w, _ := one(t)
			w.cloud.takes = takes
			w.start()
			asked := 0 // when the operation had ended
			w.turned = func(rollout.Task, rollout.Turn) bool {
				n := len(w.cloud.polls)
				if n > 0 && asked == 0 && w.cloud.polls[n-1].Sub(w.cloud.polls[0]) >= takes-time.Second {
					asked = n
				}
				return asked > 0
			}
			w.run()
			between := gaps(w)
			late := w.cloud.polls[asked-1].Sub(w.cloud.polls[0]) + time.Second - takes
			if late > min(takes/50+time.Second+time.Second/10, 31*time.Second) {
				t.Errorf("%s: its end was noticed %s late", takes, late)
			}
			for i := 1; i < len(between); i++ {
				if between[i] < between[i-1] || between[i] > 30*time.Second {
					t.Errorf("%s: gaps %v", takes, between)
				}
			}
			if asked > 180+int(takes/(30*time.Second)) {
				t.Errorf("%s: %d polls", takes, asked)
			}
		}
	})
	t.Run("retry after", func(t *testing.T) {
		w, _ := one(t)
		w.cloud.takes, w.cloud.after = 2*time.Minute, 25*time.Second
		w.start()
		w.turned = func(rollout.Task, rollout.Turn) bool { return len(w.cloud.polls) == 4 }
		w.run()
		if diff := cmp.Diff(slices.Repeat([]time.Duration{25 * time.Second}, 3), gaps(w)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("trouble", func(t *testing.T) {
		w, _ := one(t)
		w.cloud.takes = time.Minute
		w.cloud.refuse["Poll"] = []error{refusal(rollout.CodeUnavailable), refusal(rollout.CodeThrottled), errors.New("because")}
		w.start()
		w.turned = func(_ rollout.Task, turn rollout.Turn) bool {
			if strings.Contains(turn.Reason, "because") && turn.Op.Token == "" {
				t.Errorf("the operation was lost: %+v", turn)
			}
			return len(w.cloud.polls) == 6
		}
		w.run()
	})
	t.Run("forgotten by the provider", func(t *testing.T) {
		w, _ := one(t)
		w.cloud.refuse["Poll"] = []error{refusal(rollout.CodeNotFound)}
		w.start()
		w.finish(fleet.StateSucceeded)
		w.checkEffects()
	})
}

func TestStoppedAndUnreachable(t *testing.T) {
	t.Run("stopped from the start", func(t *testing.T) {
		w := newWorld(t, func(s *fleet.Spec) { s.Rings[2].Concurrency.Count = 2 })
		w.cloud.named("prod-1").Stopped = true
		w.start()
		w.finish(fleet.StateSucceeded)
		if c := w.cluster("prod-1"); c.State != fleet.StateSetAside || !strings.Contains(c.Reason, "stopped") {
			t.Errorf("%s: %s", c.State, c.Reason)
		}
	})
	t.Run("stopped, patch channel", func(t *testing.T) {
		w := newWorld(t, func(s *fleet.Spec) { s.Target = fleet.Target{Channel: fleet.ChannelPatch} })
		for _, name := range []string{"sandbox-1", "dev-1", "prod-2"} {
			cl := w.cloud.named(name)
			cl.Version = ver("1.35.3")
			for i := range cl.Pools {
				cl.Pools[i].Version = ver("1.35.3")
			}
			for i := range cl.nodes {
				cl.nodes[i].Version = ver("1.35.3")
			}
		}
		w.cloud.named("prod-1").Stopped = true
		w.start()
		w.finish(fleet.StateSucceeded)
		if v := w.cloud.named("prod-2").Version; v != ver("1.35.4") {
			t.Errorf("prod-2 is at %s", v)
		}
	})
	t.Run("counts by policy", func(t *testing.T) {
		w := newWorld(t, func(s *fleet.Spec) { s.Rings[1].Failures.FailOnSetAside = true })
		w.cloud.named("dev-1").Stopped = true
		w.start()
		w.finish(fleet.StateFailed)
	})
	t.Run("unreachable", func(t *testing.T) {
		w := newWorld(t)
		w.cloud.named("prod-1").away = errors.New("connection refused")
		w.start()
		w.finish(fleet.StateSucceeded)
		if c := w.cluster("prod-1"); c.State != fleet.StateSetAside || !strings.Contains(c.Reason, "connection refused") {
			t.Errorf("%s: %s", c.State, c.Reason)
		}
	})
	t.Run("away for minutes in the middle", func(t *testing.T) {
		w, cl := one(t)
		n := 0
		w.turned = func(task rollout.Task, _ rollout.Turn) bool {
			if task.Pool == "" {
				return false
			}
			switch n++; n {
			case 6:
				cl.away = errors.New("connection refused")
			case 20:
				cl.away = nil
			}
			return false
		}
		w.start()
		w.finish(fleet.StateSucceeded)
	})
	t.Run("stopped in the middle", func(t *testing.T) {
		w, cl := one(t)
		n := 0
		w.turned = func(task rollout.Task, _ rollout.Turn) bool {
			if task.Pool != "" {
				if n++; n == 8 {
					cl.Stopped = true
					cl.away = errors.New("stopped")
				}
			}
			return false
		}
		w.start()
		w.finish(fleet.StateFailed) // a ring of set-aside clusters proves nothing
		cl.Stopped, cl.away = false, nil
		w.restart()
		w.turned = nil
		w.do(rollout.Request{Verb: rollout.VerbRetry})
		w.finish(fleet.StateSucceeded)
	})
	t.Run("gone in the middle", func(t *testing.T) {
		w := newWorld(t, func(s *fleet.Spec) {
			s.Rings[2].Failures = fleet.FailurePolicy{Allowed: fleet.Amount0{Count: 1}, MinSuccess: fleet.Amount{Count: 1}}
		})
		w.turned = func(task rollout.Task, _ rollout.Turn) bool {
			if task.Pool != "" && strings.HasSuffix(task.Cluster, "prod-1") {
				w.cloud.named("prod-1").gone = true
			}
			return false
		}
		w.start()
		w.finish(fleet.StateSucceeded)
		if c := w.cluster("prod-1"); c.State != fleet.StateFailed || !strings.Contains(c.Reason, "gone") {
			t.Errorf("%s: %s", c.State, c.Reason)
		}
	})
}

func TestOthers(t *testing.T) {
	t.Run("another Liftlock holds the Lease", func(t *testing.T) {
		w, cl := one(t)
		cl.holder, cl.renewed, cl.ttl = "other", w.cloud.now, 2*time.Minute
		w.start()
		blocked := false
		w.turned = func(_ rollout.Task, turn rollout.Turn) bool {
			blocked = blocked || turn.State == fleet.StateBlocked && strings.Contains(turn.Reason, "other")
			if cl.holder == "other" && len(w.cloud.effects) > 0 {
				t.Fatalf("hands off: %v", w.cloud.effects)
			}
			return false
		}
		w.finish(fleet.StateSucceeded)
		if !blocked {
			t.Error("the reason was not said")
		}
	})
	t.Run("another cluster answers", func(t *testing.T) {
		w, cl := one(t)
		was, n := cl.uid, 0
		w.start()
		w.turned = func(task rollout.Task, _ rollout.Turn) bool {
			switch n++; n {
			case 8:
				cl.uid = "another"
			case 16:
				if got := w.turns[task.ID()]; got.State == "" {
					t.Error("no turn")
				}
				if c := w.cluster("sandbox-1"); c.State != fleet.StateBlocked || !strings.Contains(c.Reason, "not this cluster's") {
					t.Errorf("%s: %s", c.State, c.Reason)
				}
				cl.uid = was
			}
			return false
		}
		w.finish(fleet.StateSucceeded)
	})
	t.Run("pool deleted by somebody", func(t *testing.T) {
		c := newCloud(t)
		cl := c.add("sandbox-1", "sandbox", "1.34.4", "apps", "extra")
		w := newWorldOf(t, c, func(s *fleet.Spec) { s.Rings = s.Rings[:1] })
		w.start()
		w.turned = func(task rollout.Task, _ rollout.Turn) bool {
			if task.Pool == "extra" && cl.Pool("extra") != nil && len(cl.Pools) == 2 {
				for i := range cl.pods {
					cl.pods[i].Node = cl.nodes[len(cl.nodes)-1].Name
				}
				cl.Pools = slices.DeleteFunc(cl.Pools, func(p fleet.Pool) bool { return p.Name == "extra" })
				cl.nodes = slices.DeleteFunc(cl.nodes, func(n fleet.Node) bool { return n.Pool == "extra" })
				for i := range cl.pods {
					cl.pods[i].Node = cl.nodes[0].Name
				}
			}
			return false
		}
		w.finish(fleet.StateSucceeded)
	})
	t.Run("pool added by somebody", func(t *testing.T) {
		w, cl := one(t)
		w.start()
		added := false
		w.turned = func(task rollout.Task, _ rollout.Turn) bool {
			if task.Pool == "apps" && !added {
				added = true
				p := fleet.Pool{Name: "late", Mode: "User", Count: 1, Version: ver("1.34.4"), Image: imageOld, ProvisioningState: "Succeeded"}
				cl.Pools = append(cl.Pools, p)
				w.cloud.fill(cl, p)
			}
			return false
		}
		w.finish(fleet.StateSucceeded)
		for _, n := range cl.nodes {
			if n.Version != ver("1.35.4") {
				t.Errorf("node %s at %s", n.Name, n.Version)
			}
		}
	})
	t.Run("version withdrawn", func(t *testing.T) {
		w := newWorld(t)
		w.start()
		blocked := 0
		w.turned = func(task rollout.Task, turn rollout.Turn) bool {
			if task.Ring == "dev" && task.Cluster == "" && blocked == 0 {
				w.cloud.withdrawn[ver("1.35.4")] = true
			}
			if turn.State == fleet.StateBlocked && strings.Contains(turn.Reason, "withdrawn") {
				if blocked++; blocked == 3 {
					w.cloud.withdrawn = map[fleet.Version]bool{}
				}
			}
			return false
		}
		w.finish(fleet.StateSucceeded)
		if blocked < 3 {
			t.Errorf("blocked %d times", blocked)
		}
	})
}
