package report

import (
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/rollout"
)

// TestForecastsOfClusters holds what the report says was forecast: all pools and
// hops of a cluster, or nothing where one is not known.
func TestForecastsOfClusters(t *testing.T) {
	forecast := func(p50, soak, bound float64, term evacuate.Term) *rollout.PoolForecast {
		return &rollout.PoolForecast{Spread: fleetplan.Spread{Forecast: evacuate.Forecast{P50: p50, P90: 2 * p50}}, SoakSeconds: soak, Bound: evacuate.Limit{Term: term, Seconds: bound}}
	}
	at := func(minute int) time.Time { return time.Date(2026, 3, 2, 8, minute, 0, 0, time.UTC) }
	o := rollout.Overview{
		Rings: []rollout.RingRecord{{Name: "prod", Clusters: []string{"1", "2"}}},
		Clusters: []rollout.ClusterRecord{
			{ID: "1", Name: "west", Ring: "prod", HopsForecast: 720, Pools: []string{"a", "b"}},
			{ID: "2", Name: "east", Ring: "prod", HopsForecast: 720, Pools: []string{"a", "old"}},
		},
		Pools: map[string]rollout.PoolRecord{
			"a": {Name: "apps", Nodes: 7, Forecast: forecast(300, 60, 200, evacuate.TermBudget), Spans: []rollout.Span{
				{Kind: "createPool", From: at(0), Until: at(4)}, {Kind: "evacuate", From: at(4), Until: at(9)}, {Kind: "createPool", From: at(9), Until: at(30)},
			}},
			"b":   {Name: "system", Nodes: 3, Forecast: forecast(100, 600, 90, evacuate.TermPace)},
			"old": {Name: "old"},
		},
	}
	r := Of(o, &fleet.Spec{})
	west, east := r.Clusters[0], r.Clusters[1]
	if west.ForecastSeconds != 720+360+700 || west.BoundSeconds != 500+690 || west.Bound != "soak of pool system" {
		t.Errorf("west: forecast %v, bound %v by %s", west.ForecastSeconds, west.BoundSeconds, west.Bound)
	}
	if p := west.Pools[0]; p.Nodes != 7 || p.ForecastSeconds != 360 || p.BoundSeconds != 500 || p.Bound != "capacity" {
		t.Errorf("pool %+v", p)
	}
	if east.ForecastSeconds != 0 || east.BoundSeconds != 0 || east.Bound != "" {
		t.Errorf("east began before forecasts were written down, and has one: %+v", east)
	}
}
