package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// TestWalksAreTheStories holds that what is told beforehand is what happens:
// every story's steps, each told once, in the order in which they first come.
func TestWalksAreTheStories(t *testing.T) {
	for i, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			w := build(t, i, 1)
			walk := TakeWalk(w.clusterView(), "r1", w.now)
			w.drive(nil)
			var want []string
			seen := map[string]bool{}
			leg := ""
			for line := range strings.Lines(w.story.String()) {
				what, _, _ := strings.Cut(line, " - ")
				who, rest, _ := strings.Cut(what, ": ")
				if who != leg {
					seen, leg = map[string]bool{}, who
				}
				if rest = strings.TrimSpace(rest); strings.HasPrefix(rest, string(StepDone)) || seen[rest] && !strings.HasPrefix(rest, string(StepFixSize)) {
					continue
				}
				seen[rest] = true
				want = append(want, who+": "+rest)
			}
			var got []string
			for _, l := range walk.Legs {
				if l.Pass == nil {
					what := string(l.Kind)
					if l.Kind == StepControlPlane {
						what += " " + l.Version.String()
					}
					got = append(got, "cluster: "+what)
					continue
				}
				for _, st := range l.Pass.Steps {
					if st.Kind != StepAwaitNodes && st.Kind != StepAwait {
						got = append(got, "pool "+l.Pass.Pool+": "+string(st.Kind)+" "+st.Target)
					}
				}
			}
			for i := range want { // the channels are told with what they are set to
				if strings.HasPrefix(want[i], "cluster: setChannels") {
					want[i] = "cluster: setChannels"
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what happens (-) is not what is told beforehand (+):\n%s", diff)
			}
			if walk.Blocked != "" || walk.SetAside != "" {
				t.Errorf("blocked %q, set aside %q", walk.Blocked, walk.SetAside)
			}
		})
	}
}

// TestWalkTellsTheCosts holds what is told of soaks, extra nodes, rounds and the
// points of no return.
func TestWalkTellsTheCosts(t *testing.T) {
	type told struct {
		Pool, Ends  string
		Extra       int
		Soak        time.Duration
		NoReturn    string
		Rounds, End int // of evacuations, and of nodes removed
	}
	for name, tc := range map[string]struct {
		strategy fleet.Strategy
		extra    fleet.Amount0
		want     told
	}{
		"a second pool":         {fleet.BlueGreen, fleet.Amount0{}, told{"apps", "appsb", 10, time.Minute, "deletePool", 1, 10}},
		"three nodes at a time": {fleet.BlueGreen, fleet.Amount0{Count: 3}, told{"apps", "appsb", 3, time.Minute, "deleteNodes", 4, 10}},
		"a buffer":              {fleet.Buffer, fleet.Amount0{}, told{"apps", "apps", 10, time.Minute, "upgradePool", 1, 10}},
		"in place":              {fleet.InPlace, fleet.Amount0{}, told{"apps", "apps", 0, 0, "upgradePool", 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newToy(t, 1, "1.34.4", "1.35.4", tc.strategy, fleet.Pool{Name: "apps", Mode: "User", Count: 10})
			policy := w.policy
			view := w.clusterView()
			view.Policy = func(pool string) fleet.NodePolicy { p := policy(pool); p.ExtraNodes = tc.extra; return p }
			walk := TakeWalk(view, "plan", w.now)
			pass := walk.Legs[1].Pass
			got := told{Pool: pass.Pool, Ends: pass.Ends, Extra: pass.Extra, Soak: pass.Soak}
			for _, s := range pass.Steps {
				if s.PointOfNoReturn && got.NoReturn == "" {
					got.NoReturn = string(s.Kind)
				}
				if s.Kind == StepEvacuate && s.Target == "apps" {
					got.Rounds = s.Times
				}
				if s.Kind == StepDeleteNodes || s.Kind == StepDeletePool {
					got.End += s.Count
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWalkStops tells of clusters that do not arrive, and of what is repaired on
// the way.
func TestWalkStops(t *testing.T) {
	for name, tc := range map[string]struct {
		change            func(v *ClusterView)
		blocked, setAside string
		kinds             string
	}{
		"stopped":        {func(v *ClusterView) { v.Cluster.Stopped = true }, "", "stopped", ""},
		"nothing to do":  {func(v *ClusterView) { v.Target = v.Cluster.Version }, "", "", "verify"},
		"beyond":         {func(v *ClusterView) { v.Target = fleet.MustParseVersion("1.33.13") }, "beyond the target", "", ""},
		"not offered":    {func(v *ClusterView) { v.Offers.ControlPlane = offered("1.34.9") }, "not offered to this cluster any more", "", ""},
		"a race":         {func(v *ClusterView) { v.Cluster.UpgradeChannel, v.Channels = "stable", fleet.ChannelsReport }, "would race", "", ""},
		"busy":           {func(v *ClusterView) { v.Cluster.Pools[0].ProvisioningState = "Scaling" }, "", "", "await upgradeControlPlane pool verify"},
		"failed":         {func(v *ClusterView) { v.Cluster.ProvisioningState = "Failed" }, "", "", "reconcile upgradeControlPlane pool verify"},
		"no nodes known": {func(v *ClusterView) { v.Nodes = nil }, "", "", "upgradeControlPlane pool verify"},
		"set aside":      {func(v *ClusterView) { v.Cluster.UpgradeChannel = "stable" }, "", "", "setChannels upgradeControlPlane pool setChannels verify"},
		"an old node":    {func(v *ClusterView) { v.Nodes[0].Version = fleet.MustParseVersion("1.33.13") }, "", "", "pool upgradeControlPlane pool verify"},
		"no such policy": {func(v *ClusterView) { v.Policy = func(string) fleet.NodePolicy { return fleet.NodePolicy{} } }, "strategy \"\" is not known", "", "upgradeControlPlane pool"},
		"no name is free": {func(v *ClusterView) {
			for _, s := range standInSuffixes[1:] {
				v.Cluster.Pools = append(v.Cluster.Pools, fleet.Pool{Name: "apps" + s, Stopped: true, Version: v.Cluster.Version, ProvisioningState: "Succeeded"})
			}
		}, "no free name", "", "upgradeControlPlane pool"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newToy(t, 1, "1.34.4", "1.35.4", fleet.BlueGreen, fleet.Pool{Name: "apps", Mode: "User", Count: 2})
			view := w.clusterView()
			tc.change(&view)
			before := len(view.Cluster.Pools)
			walk := TakeWalk(view, "plan", w.now)
			if !strings.Contains(walk.Blocked, tc.blocked) || (tc.blocked == "") != (walk.Blocked == "") {
				t.Errorf("blocked %q, want %q", walk.Blocked, tc.blocked)
			}
			if !strings.Contains(walk.SetAside, tc.setAside) || (tc.setAside == "") != (walk.SetAside == "") {
				t.Errorf("set aside %q, want %q", walk.SetAside, tc.setAside)
			}
			var kinds []string
			for _, l := range walk.Legs {
				kinds = append(kinds, string(l.Kind))
			}
			if got := strings.Join(kinds, " "); got != tc.kinds {
				t.Errorf("legs %q, want %q", got, tc.kinds)
			}
			if len(view.Cluster.Pools) != before || view.Cluster.Pools[0].Name != "apps" {
				t.Error("the walk changed what it was given")
			}
		})
	}
}
