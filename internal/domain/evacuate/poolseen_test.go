package evacuate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// TestSeenStarts: workloads with pods on the pool's nodes, by all their pods that
// were seen to start.
func TestSeenStarts(t *testing.T) {
	at := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	pod := func(name, workload, node string, took time.Duration) fleet.Pod {
		p := fleet.Pod{Namespace: "shop", Name: name, UID: name, Workload: workload, Node: node, CreatedAt: at.Add(-time.Hour), Phase: "Running"}
		if took > 0 {
			p.Ready, p.ReadySince = true, p.CreatedAt.Add(took)
		}
		return p
	}
	deployment := func(name string) fleet.Workload {
		return fleet.Workload{Kind: fleet.Deployment, Namespace: "shop", Name: name, UID: name, Replicas: 2, Settled: true}
	}
	s := fleet.Snapshot{
		TakenAt:   at,
		Nodes:     []fleet.Node{{Name: "n", Pool: "apps", Ready: true}, {Name: "o", Pool: "other", Ready: true}},
		Workloads: []fleet.Workload{deployment("web"), deployment("elsewhere"), deployment("broken")},
		Pods: []fleet.Pod{
			pod("web-1", "Deployment/shop/web", "n", 20*time.Second), pod("web-2", "Deployment/shop/web", "o", 10*time.Second),
			pod("elsewhere-1", "Deployment/shop/elsewhere", "o", time.Second),
			pod("broken-1", "Deployment/shop/broken", "n", 0), pod("import-1", "Job/shop/import", "n", 0), pod("bare", "", "n", 0),
		},
	}
	of, other := SeenStarts(s, "apps", time.Minute)
	want := map[string]Start{"Deployment/shop/web": {10 * time.Second, 10 * time.Second}}
	if diff := cmp.Diff(want, of); diff != "" || other != want["Deployment/shop/web"] {
		t.Errorf("other %v (-want +got):\n%s", other, diff)
	}
	if none, usual := SeenStarts(s, "nowhere", time.Minute); len(none) > 0 || usual != (Start{time.Minute, time.Minute}) {
		t.Errorf("of a pool without pods: %v, %v", none, usual)
	}
	if diff := cmp.Diff([]string{"Deployment/shop/broken"}, NeverReady(s)); diff != "" {
		t.Error(diff)
	}
}

// TestRangeOf leaves the slowest tenth out.
func TestRangeOf(t *testing.T) {
	var took []time.Duration
	for i := range 20 {
		took = append(took, time.Duration(i+1)*time.Second)
	}
	if got := rangeOf(took); got != (Start{time.Second, 18 * time.Second}) {
		t.Errorf("got %v", got)
	}
}
