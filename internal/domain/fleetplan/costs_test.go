package fleetplan

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/evacuate"
)

func TestVCPUs(t *testing.T) {
	for size, want := range map[string]int{
		"Standard_D4s_v5": 4, "Standard_DS2_v2": 2, "Standard_B2ms": 2, "Standard_E8-4ds_v5": 4, "Standard_NC24ads_A100_v4": 24, "standard_d16as_v4": 16,
		"Standard_F72s_v2": 72, "Basic_A1": 1, "Standard_M416ms_v2": 416, "D4": 4,
		"": 0, "Standard_": 0, "large": 0, "Standard_D99999999999999999999_v5": 0, "Standard_D4000000s": 0,
	} {
		if got := vcpus(size); got != want {
			t.Errorf("%s has %d, want %d", size, got, want)
		}
	}
}

// costly is a cluster of a region whose pools have extra nodes of sizes.
func costly(name, location string, pools ...Pool) Cluster {
	c := Cluster{Name: name, Subscription: "sub", Location: location}
	for i := range pools {
		c.Legs = append(c.Legs, Leg{Pool: &pools[i]})
	}
	return c
}

func TestPeaks(t *testing.T) {
	d4 := func(n int) Pool { return Pool{VMSize: "Standard_D4s_v5", ExtraNodes: n} }
	e8 := func(n int) Pool { return Pool{VMSize: "Standard_E8s_v5", ExtraNodes: n} }
	odd := func(n int) Pool { return Pool{VMSize: "large", ExtraNodes: n} }
	alone := costly("alone", "westeurope", d4(100))
	alone.LeftAlone = "stopped"
	clusters := []Cluster{
		costly("a", "westeurope", d4(10), e8(3)), costly("b", "westeurope", d4(4)), costly("c", "westeurope", d4(6)), alone,
		costly("d", "northeurope", e8(2), odd(5)), costly("e", "northeurope", Pool{VMSize: "Standard_D4s_v5"}),
	}
	for _, tc := range []struct {
		name   string
		atOnce int
		cores  map[string]int
		want   []string
	}{
		{"one at a time", 1, nil, []string{"northeurope 5 nodes 16 vCPUs [Standard_E8s_v5 2 16 large 5 0] unknown [large]", "westeurope 10 nodes 40 vCPUs [Standard_D4s_v5 10 40 Standard_E8s_v5 3 24] unknown []"}},
		// Which two come together is not known: the two largest.
		{"two at once", 2, nil, []string{"northeurope 5 nodes 16 vCPUs [Standard_E8s_v5 2 16 large 5 0] unknown [large]", "westeurope 16 nodes 64 vCPUs [Standard_D4s_v5 16 64 Standard_E8s_v5 3 24] unknown []"}},
		{"more at once than there are", 9, map[string]int{"large": 16}, []string{"northeurope 5 nodes 80 vCPUs [Standard_E8s_v5 2 16 large 5 80] unknown []", "westeurope 20 nodes 80 vCPUs [Standard_D4s_v5 20 80 Standard_E8s_v5 3 24] unknown []"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, p := range Peaks("prod", clusters, tc.atOnce, tc.cores) {
				var sizes []any
				for _, s := range p.Sizes {
					sizes = append(sizes, s.VMSize, s.Nodes, s.VCPUs)
				}
				got = append(got, fmt.Sprintf("%s %d nodes %d vCPUs %v unknown %v", p.Location, p.Nodes, p.VCPUs, sizes, p.Unknown))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	rings := []Ring{
		{Peaks: []Peak{{Subscription: "s", Location: "a", Nodes: 3, Ring: "dev"}, {Subscription: "s", Location: "b", Nodes: 9, Ring: "dev"}}},
		{Peaks: []Peak{{Subscription: "s", Location: "a", Nodes: 7, Ring: "prod"}, {Subscription: "s", Location: "b", Nodes: 9, VCPUs: 1, Ring: "prod"}}},
	}
	got := ""
	for _, p := range highest(rings) {
		got += fmt.Sprintf("%s %d %s ", p.Location, p.Nodes, p.Ring)
	}
	if got != "a 7 prod b 9 prod " {
		t.Errorf("over all rings: %s", got)
	}
}

func TestBounds(t *testing.T) {
	limit := func(term evacuate.Term, s float64) evacuate.Limit {
		return evacuate.Limit{Term: term, Object: "x", Seconds: s}
	}
	c := Cluster{Name: "a", Legs: []Leg{
		{Forecast: Spread{Forecast: evacuate.Forecast{P50: 720, P90: 900}}},
		{Forecast: Spread{Forecast: evacuate.Forecast{P50: 100, P90: 200}}, Pool: &Pool{Name: "apps", SoakSeconds: 600, Bound: limit(evacuate.TermBudget, 90), NodeHours: 2}},
		{Forecast: Spread{Forecast: evacuate.Forecast{P50: 50, P90: 60}}, Pool: &Pool{Name: "sys", Bound: limit(evacuate.TermPace, 700), NodeHours: 1}},
	}}
	c.addUp()
	if c.Forecast != (evacuate.Forecast{P50: 1470, P90: 1760}) || c.Bound != limit(evacuate.TermPace, 1390) || c.NodeHours != 3 {
		t.Errorf("cluster %+v %+v %v", c.Forecast, c.Bound, c.NodeHours)
	}
	two := c
	two.Name = "b"
	alone := c
	alone.LeftAlone = "stopped"
	for _, tc := range []struct {
		name string
		ring Ring
		want evacuate.Limit
	}{
		{"one after the other", Ring{Name: "prod", Concurrency: 1, Clusters: []Cluster{c, two, alone}}, evacuate.Limit{Term: "concurrency", Object: "ring prod", Seconds: 2780}},
		{"both at once", Ring{Name: "prod", Concurrency: 2, Clusters: []Cluster{c, two}}, evacuate.Limit{Term: evacuate.TermPace, Object: "a: x", Seconds: 1390}},
		{"a long soak", Ring{Name: "prod", Concurrency: 2, SoakSeconds: 86400, Clusters: []Cluster{c}}, evacuate.Limit{Term: TermSoak, Object: "ring prod", Seconds: 87790}},
		{"nothing", Ring{Name: "prod"}, evacuate.Limit{}},
	} {
		if got := boundOf(&tc.ring); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
