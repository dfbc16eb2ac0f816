package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// poolSnapshot has ten nodes in pool apps, and a bare pod.
func poolSnapshot() fleet.Snapshot {
	s := fleet.Snapshot{TakenAt: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	for i := range 10 {
		s.Nodes = append(s.Nodes, fleet.Node{Name: fmt.Sprintf("n-%d", i), Pool: "apps", Ready: true, Labels: map[string]string{"my/pool": "mine"}})
	}
	s.Nodes = append(s.Nodes, fleet.Node{Name: "s", Pool: "system", Ready: true})
	s.Pods = []fleet.Pod{{Namespace: "shop", Name: "bare", UID: "1", Node: "n-0", Phase: "Running", Ready: true}}
	return s
}

func TestPlanPool(t *testing.T) {
	usual := fleet.UsualNodePolicy()
	inPlace := usual
	inPlace.Strategy, inPlace.MaxSurge = fleet.InPlace, "33%"
	accepted := []fleet.Acceptance{{Finding: "pod-bare", Object: "Pod/shop/*", Owner: "ann"}}
	expired := []fleet.Acceptance{{Finding: "pod-bare", Owner: "ann", Until: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}}
	for _, tc := range []struct {
		name                   string
		request                PoolRequest
		err                    string
		strategy               fleet.Strategy
		extra, evicted, refuse int
	}{
		{"the usual policy", PoolRequest{Pool: "apps", Policy: usual}, "", fleet.BlueGreen, 10, 0, 1},
		{"case does not count", PoolRequest{Pool: "Apps", Policy: usual}, "", fleet.BlueGreen, 10, 0, 1},
		{"accepted", PoolRequest{Pool: "apps", Policy: usual, Accepted: accepted}, "", fleet.BlueGreen, 10, 1, 0},
		{"accepted until yesterday", PoolRequest{Pool: "apps", Policy: usual, Accepted: expired}, "", fleet.BlueGreen, 10, 0, 1},
		{"the policy's strategy and surge", PoolRequest{Pool: "apps", Policy: inPlace, Accepted: accepted}, "", fleet.InPlace, 4, 1, 0},
		{"a strategy of one's own", PoolRequest{Pool: "apps", Policy: inPlace, Strategy: fleet.Buffer}, "", fleet.Buffer, 10, 0, 1},
		{"extra nodes of one's own", PoolRequest{Pool: "apps", Policy: inPlace, ExtraNodes: 2, Accepted: accepted}, "", fleet.InPlace, 2, 1, 0},
		{"another label", PoolRequest{Pool: "mine", PoolLabel: "my/pool", Policy: usual}, "", fleet.BlueGreen, 10, 0, 1},
		{"no such pool", PoolRequest{Pool: "batch", Policy: usual}, `is in pool "batch"; there are apps (10 nodes), system (1 nodes)`, "", 0, 0, 0},
		{"no such label", PoolRequest{Pool: "apps", PoolLabel: "other/pool", Policy: usual}, "has the label other/pool", "", 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.request.Assume = evacuate.UsualAssumptions
			found := []fleet.Finding{{ID: "snapshot-without-budgets"}}
			p, err := PlanPool(poolSnapshot(), found, tc.request)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Strategy != tc.strategy || p.ExtraNodes != tc.extra || p.Moves.Evict != tc.evicted || p.Moves.Refuse != tc.refuse {
				t.Errorf("%s with %d extra nodes: %+v, blocked %+v", p.Strategy, p.ExtraNodes, p.Moves, p.Blocked)
			}
			if p.Findings[0].ID != "snapshot-without-budgets" {
				t.Errorf("what was found out about the file is not in the plan: %+v", p.Findings)
			}
		})
	}
}

func TestAcceptancesOfACluster(t *testing.T) {
	spec := &fleet.Spec{Nodes: fleet.UsualNodePolicy(), Accept: []fleet.Acceptance{
		{Finding: "a"}, {Finding: "b", Cluster: "prod-*"}, {Finding: "c", Cluster: "dev"},
	}, Overrides: []fleet.Override{{Pool: "ap*", Nodes: fleet.NodeChanges{Strategy: new(fleet.Buffer)}}}}
	got := ""
	for _, a := range AcceptancesOf(spec, "prod-west") {
		got += a.Finding + a.Cluster
	}
	if got != "ab" {
		t.Errorf("acceptances %q, want a and b, of no cluster", got)
	}
	if p := PoolPolicy(spec, "", "", "apps"); p.Strategy != fleet.Buffer {
		t.Errorf("strategy %s", p.Strategy)
	}
}
