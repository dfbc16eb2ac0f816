package rollout_test

import (
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// TestImageIsPinned: a newer image comes out after the first ring has proven
// one. The later rings get the proven one by its snapshot.
func TestImageIsPinned(t *testing.T) {
	for _, strategy := range []fleet.Strategy{fleet.BlueGreen, fleet.Buffer, fleet.InPlace} {
		t.Run(string(strategy), func(t *testing.T) {
			w := newWorld(t, func(s *fleet.Spec) {
				s.Nodes.Strategy = strategy
				s.Accept = []fleet.Acceptance{{Finding: "workload-below-requirement", Owner: "ann"}}
			})
			w.start()
			w.turned = func(task rollout.Task, turn rollout.Turn) bool {
				if task.Ring == "sandbox" && task.Cluster == "" && turn.Ended {
					w.cloud.image = imageB
				}
				return false
			}
			w.finish(fleet.StateSucceeded)
			for name, state := range w.cloud.state() {
				if strings.Contains(state, strings.TrimPrefix(imageB, family)) {
					t.Errorf("%s has an image that nobody proved: %s", name, state)
				}
			}
			snapshots := 0
			for _, e := range w.cloud.effects {
				if strings.Contains(e, "snapshot") {
					snapshots++
				}
			}
			if snapshots > 2 { // one for each ring but the last
				t.Errorf("%d snapshots: %v", snapshots, w.cloud.effects)
			}
		})
	}
}

func TestImageCannotBeHad(t *testing.T) {
	for name, change := range map[string]func(*cloud){
		"snapshot gone": func(c *cloud) { c.snapshots = map[string]snapshot{} },
		"snapshot too old": func(c *cloud) {
			for id, s := range c.snapshots {
				s.at = s.at.Add(-91 * 24 * time.Hour)
				c.snapshots[id] = s
			}
		},
		"another image in it": func(c *cloud) {
			for id, s := range c.snapshots {
				s.image = imageB
				c.snapshots[id] = s
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			blocked := ""
			w.turned = func(task rollout.Task, turn rollout.Turn) bool {
				if task.Ring == "sandbox" && task.Cluster == "" && turn.Ended {
					w.cloud.image = imageB
					change(w.cloud)
				}
				if turn.State == fleet.StateBlocked {
					blocked = turn.Reason
				}
				return blocked != ""
			}
			w.run()
			if !strings.Contains(blocked, imageA) || !strings.Contains(blocked, "run a new rollout") {
				t.Errorf("reason: %s", blocked)
			}
		})
	}
}

// TestNodeImageChannel: same versions, newest images; what appears while a
// cluster is under way is for the next rollout.
func TestNodeImageChannel(t *testing.T) {
	for _, strategy := range []fleet.Strategy{fleet.BlueGreen, fleet.InPlace} {
		for n := range 40 {
			w := newWorld(t, func(s *fleet.Spec) {
				s.Nodes.Strategy, s.Target = strategy, fleet.Target{Channel: fleet.ChannelNodeImage}
				s.Accept = []fleet.Acceptance{{Finding: "workload-below-requirement", Owner: "ann"}}
			})
			w.start()
			w.at(3*n+1, func() { w.cloud.image = imageB })
			w.finish(fleet.StateSucceeded)
			images := map[string]bool{}
			for _, cl := range w.cloud.clusters {
				if cl.Version != ver("1.34.4") {
					t.Fatalf("%s is at %s", cl.Name, cl.Version)
				}
				for _, node := range cl.nodes {
					images[node.Image] = true
				}
			}
			if len(images) != 1 || images[imageOld] {
				t.Fatalf("%s, newer image at turn %d: %v", strategy, 3*n+1, images)
			}
			if t.Failed() {
				return
			}
		}
	}
}

// TestPatchChannel: each minor goes to its own latest patch, and a minor that
// no earlier ring has proven waits.
func TestPatchChannel(t *testing.T) {
	c := newCloud(t)
	c.region = append(c.region, fleet.OfferedVersion{Version: ver("1.34.6")})
	c.add("sandbox-1", "sandbox", "1.35.3", "apps")
	c.add("sandbox-2", "sandbox", "1.34.4", "apps")
	c.add("prod-1", "prod", "1.34.4", "apps")
	c.add("prod-2", "prod", "1.36.3", "apps")
	w := newWorldOf(t, c, func(s *fleet.Spec) { s.Target = fleet.Target{Channel: fleet.ChannelPatch} })
	w.start()
	waited := ""
	w.turned = func(task rollout.Task, turn rollout.Turn) bool {
		if task.Ring == "prod" && strings.Contains(turn.Reason, "no earlier ring has proven 1.36.3") && waited == "" {
			waited = turn.Reason
			w.do(rollout.Request{Verb: rollout.VerbSkip, Cluster: "prod-2"})
		}
		return false
	}
	w.finish(fleet.StateSucceeded)
	for name, want := range map[string]string{"sandbox-1": "1.35.4", "sandbox-2": "1.34.6", "prod-1": "1.34.6", "prod-2": "1.36.3"} {
		if got := c.named(name).Version; got != ver(want) {
			t.Errorf("%s is at %s, want %s", name, got, want)
		}
	}
	if waited == "" {
		t.Error("an unproven version did not wait")
	}
}

// TestStopsOnTheWay: two minors at once; the second ring takes the very patch
// of the minor between that the first has proven.
func TestStopsOnTheWay(t *testing.T) {
	c := newCloud(t)
	c.add("sandbox-1", "sandbox", "1.33.13", "apps")
	c.add("prod-1", "prod", "1.33.13", "apps")
	w := newWorldOf(t, c, func(s *fleet.Spec) { s.Target = fleet.Target{Channel: fleet.ChannelExact, Version: ver("1.36.3")} })
	w.start()
	w.turned = func(task rollout.Task, turn rollout.Turn) bool {
		if task.Ring == "sandbox" && task.Cluster == "" && turn.Ended {
			c.region = append(c.region, fleet.OfferedVersion{Version: ver("1.34.9")}, fleet.OfferedVersion{Version: ver("1.35.9")})
		}
		return false
	}
	w.finish(fleet.StateSucceeded)
	effects := strings.Join(c.effects, "\n")
	for _, cluster := range []string{"sandbox-1", "prod-1"} {
		if strings.Count(effects, cluster+" createPool") != 1 {
			t.Errorf("nodes of %s moved more than once:\n%s", cluster, effects)
		}
		for _, v := range []string{"1.34.4", "1.35.4", "1.36.3"} {
			if !strings.Contains(effects, cluster+" upgradeControlPlane "+v) {
				t.Errorf("%s did not stop at %s:\n%s", cluster, v, effects)
			}
		}
	}
	var hops []string
	for _, e := range w.overview().Ledger {
		if e.Ring == "sandbox" && e.Kind == fleet.LedgerKubernetes {
			hops = append(hops, e.Version)
		}
	}
	if len(hops) != 3 {
		t.Errorf("stops in the ledger: %v", hops)
	}
}
