package fleetplan

import (
	"fmt"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

func TestForecastPool(t *testing.T) {
	minutes := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	history := History{Pools: []PastPool{
		{Cluster: "c1", Ring: "prod", Stem: "apps", Strategy: fleet.BlueGreen, Nodes: 10, Creation: minutes(4), Took: minutes(24)},
		{Cluster: "c1", Ring: "prod", Stem: "apps", Strategy: fleet.BlueGreen, Nodes: 10, Creation: minutes(4), Took: minutes(44)},
		{Cluster: "c1", Ring: "prod", Stem: "apps", Strategy: fleet.BlueGreen, Nodes: 0, Took: minutes(30)},
		{Cluster: "c2", Ring: "prod", Stem: "apps", Strategy: fleet.InPlace, Nodes: 2, Took: minutes(10)},
	}}
	planned := &evacuate.PoolPlan{Forecast: evacuate.Forecast{P50: 60, P90: 90}}
	for _, tc := range []struct {
		name     string
		history  History
		size     PoolSize
		from     BasedOn
		p50, p90 time.Duration
		says     string
	}{
		{"as it took before", history, PoolSize{Cluster: "c1", Ring: "prod", Stem: "Apps", Strategy: fleet.BlueGreen, Nodes: 10, Planned: planned}, FromHistory, minutes(30), minutes(44), "this pool took so long 3 times before"},
		// Twice the nodes: the creation stays, what follows doubles; the one of which
		// no number is known stays as it was.
		{"by the number of nodes", history, PoolSize{Cluster: "c1", Ring: "prod", Stem: "apps", Strategy: fleet.BlueGreen, Nodes: 20}, FromHistory, minutes(44), minutes(84), "this pool took so long 3 times before"},
		{"another strategy is another matter", history, PoolSize{Cluster: "c1", Ring: "prod", Stem: "apps", Strategy: fleet.Buffer, Nodes: 10, Planned: planned}, FromSnapshot, time.Minute, 90 * time.Second, "its nodes, pods and budgets as they are now; new nodes as is usual"},
		{"what was learned of nodes", History{}, PoolSize{Planned: planned, Learned: "2 pools of this cluster"}, FromSnapshot, time.Minute, 90 * time.Second, "its nodes, pods and budgets as they are now; new nodes as they came before (2 pools of this cluster)"},
		{"as its ring took", history, PoolSize{Cluster: "c9", Ring: "prod", Stem: "x", Strategy: fleet.BlueGreen, Nodes: 10}, FromRing, minutes(44), minutes(44), "2 earlier pools of ring prod, by their number of nodes"},
		{"as is usual", history, PoolSize{Cluster: "c9", Ring: "dev", Stem: "x", Strategy: fleet.BlueGreen, Nodes: 2}, FromUsual, minutes(6), minutes(9), "1m30s a node, as is usual"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.history.ForecastPool(tc.size)
			if got.From != tc.from || got.P50 != tc.p50.Seconds() || got.P90 != tc.p90.Seconds() || got.Says != tc.says {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestLearnedTimes(t *testing.T) {
	h := History{
		Pools: []PastPool{
			{Cluster: "c1", Ring: "dev", Creation: 4 * time.Minute},
			{Cluster: "c2", Ring: "dev", Creation: 6 * time.Minute},
			{Cluster: "c3", Ring: "prod", Creation: 9 * time.Minute},
			{Cluster: "c1", Ring: "dev"},
		},
		ControlPlanes: []PastControlPlane{{"c1", "dev", 5 * time.Minute}, {"c2", "dev", 8 * time.Minute}, {"c3", "prod", 20 * time.Minute}},
	}
	for _, tc := range []struct{ cluster, ring, creation, control string }{
		{"c1", "dev", "4m0s 1 pool of this cluster", "300 300 this control plane took so long once before"},
		{"c9", "dev", "6m0s 2 pools of ring dev", "480 480 2 earlier control planes of ring dev"},
		{"c9", "test", "6m0s 3 pools of all rings", "480 1200 3 earlier control planes of other rings"},
	} {
		takes, says, ok := h.NodeCreation(tc.cluster, tc.ring)
		if got := fmt.Sprintf("%s %s", takes, says); got != tc.creation || !ok {
			t.Errorf("%s in %s: nodes %s", tc.cluster, tc.ring, got)
		}
		f := h.ForecastControlPlane(tc.cluster, tc.ring)
		if got := fmt.Sprintf("%.0f %.0f %s", f.P50, f.P90, f.Says); got != tc.control {
			t.Errorf("%s in %s: control plane %s", tc.cluster, tc.ring, got)
		}
	}
	none := History{}
	if _, _, ok := none.NodeCreation("c1", "dev"); ok {
		t.Error("nothing is known, and something was learned")
	}
	if f := none.ForecastControlPlane("c1", "dev"); f.From != FromUsual || f.P50 != 720 || f.P90 != 900 {
		t.Errorf("control plane %+v", f)
	}
}

// TestSpreadTakesTheRanks holds which of many is the middle, and which nine of
// ten stay below.
func TestSpreadTakesTheRanks(t *testing.T) {
	for n, want := range map[int][2]float64{1: {1, 1}, 2: {2, 2}, 3: {2, 3}, 9: {5, 9}, 20: {11, 19}, 100: {51, 91}} {
		var took []time.Duration
		for i := range n {
			took = append(took, time.Duration(n-i)*time.Second)
		}
		if got := spread(took, "", ""); got.P50 != want[0] || got.P90 != want[1] {
			t.Errorf("of %d: %+v, want %v", n, got, want)
		}
	}
}
