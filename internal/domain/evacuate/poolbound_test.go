package evacuate

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// poolScene builds a cluster for a plan.
type poolScene struct {
	in PoolInput
}

func newPoolScene(nodes int) *poolScene {
	s := &poolScene{in: PoolInput{
		Snapshot: fleet.Snapshot{TakenAt: time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)},
		Pool:     "old", Strategy: fleet.BlueGreen, Pace: everything,
		Assume: Assumptions{NodeCreation: time.Minute, NodeRemoval: time.Minute},
	}}
	for i := range nodes {
		s.node(fmt.Sprintf("old-%d", i), "old", "")
	}
	s.node("other", "other", "")
	return s
}

func (s *poolScene) node(name, pool, zone string) {
	s.in.Snapshot.Nodes = append(s.in.Snapshot.Nodes, fleet.Node{Name: name, UID: "uid-" + name, Pool: pool, Zone: zone, Ready: true})
}

// add adds a workload whose pods took so many seconds to start, on nodes in turn.
func (s *poolScene) add(kind fleet.WorkloadKind, name string, replicas int32, seconds int, nodes []string, change ...func(*fleet.Workload)) {
	w, pods := made(kind, name, replicas, change...)
	for i := range pods {
		pods[i].Node = nodes[i%len(nodes)]
		pods[i].CreatedAt = s.in.Snapshot.TakenAt.Add(-time.Hour)
		pods[i].ReadySince = pods[i].CreatedAt.Add(time.Duration(seconds) * time.Second)
	}
	s.in.Snapshot.Workloads = append(s.in.Snapshot.Workloads, w)
	s.in.Snapshot.Pods = append(s.in.Snapshot.Pods, pods...)
}

func (s *poolScene) budget(b fleet.Budget) { s.in.Snapshot.Budgets = append(s.in.Snapshot.Budgets, b) }

// TestBoundTerms lets each term bind once; the sums are worked out by hand.
func TestBoundTerms(t *testing.T) {
	old := []string{"old-0"}
	tests := []struct {
		term   Term
		object string
		bound  float64
		nodes  int
		build  func(s *poolScene)
	}{
		// 2 restarts one after the other, 10 s each, take less than the 60 s until there are nodes.
		{TermCapacity, "Pool/old", 60 + 2*10, 1, func(s *poolScene) {
			s.add(fleet.Deployment, "app", 2, 10, old)
		}},
		// 10 pods, one more at a time, 30 s each.
		{TermStrategy, "Deployment/shop/app", 60 + 10*30, 1, func(s *poolScene) {
			s.add(fleet.Deployment, "app", 10, 30, old, rolling("0", "1"))
		}},
		// 10 pods, 2 more and 1 less at a time: 4 turns.
		{TermStrategy, "Deployment/shop/app", 60 + 4*30, 1, func(s *poolScene) {
			s.add(fleet.Deployment, "app", 10, 30, old, rolling("1", "2"))
		}},
		// Half of its pods leave, one at a time by its budget, 30 s each.
		{TermBudget, "PodDisruptionBudget/shop/app", 60 + 4*30, 1, func(s *poolScene) {
			s.add(fleet.Deployment, "app", 8, 30, []string{"old-0", "other"}, rolling("50%", "50%"))
			s.budget(guard("app", "", "1", 8))
		}},
		// One budget for two workloads: their 8 pods share its one disruption.
		{TermBudget, "PodDisruptionBudget/shop/both", 60 + 8*30, 1, func(s *poolScene) {
			s.add(fleet.Deployment, "a", 8, 30, []string{"old-0", "other"}, rolling("50%", "50%"))
			s.add(fleet.Deployment, "b", 8, 30, []string{"old-0", "other"}, rolling("50%", "50%"))
			b := guard("both", "", "1", 16)
			b.Selector = "app in (a,b)"
			s.budget(b)
		}},
		// A StatefulSet's 3 pods, one after the other.
		{TermOrdered, "StatefulSet/shop/db", 60 + 3*40, 1, func(s *poolScene) {
			s.add(fleet.StatefulSet, "db", 3, 40, old)
		}},
		// minReadySeconds are a part of it.
		{TermOrdered, "StatefulSet/shop/db", 60 + 3*(40+5), 1, func(s *poolScene) {
			s.add(fleet.StatefulSet, "db", 3, 40, old, func(w *fleet.Workload) { w.MinReadySeconds = 5 })
		}},
		// 20 workloads of one pod each, 30 s, two of them at once.
		{TermPace, "pace.maxInMotion", 60 + 20*30/2, 1, func(s *poolScene) {
			for i := range 20 {
				s.add(fleet.Deployment, fmt.Sprintf("app-%d", i), 1, 30, old)
			}
			s.in.Pace.MaxInMotion = fleet.Amount{Count: 2}
		}},
		// 10 evictions at one in ten seconds; starting takes 30 s, all at once.
		{TermAPI, "evictions", 60 + 10*10, 1, func(s *poolScene) {
			s.add(fleet.Deployment, "app", 20, 30, []string{"old-0", "other"}, rolling("50%", "50%"))
			s.in.Assume.EvictionsPerSecond = 0.1
		}},
		// The canary's 100 s come first, then the others' 50 s.
		{TermCanary, "Deployment/shop/slow", 60 + 100 + 50, 2, func(s *poolScene) {
			s.add(fleet.Deployment, "slow", 1, 100, old)
			s.add(fleet.Deployment, "a", 1, 50, []string{"old-1"})
			s.add(fleet.Deployment, "b", 1, 50, []string{"old-1"})
			s.in.Pace.CanaryNodes = 1
		}},
		// 6 nodes, 2 at a time: twice nodes are given up and made anew, 60 s each.
		{TermSlots, "Pool/old", 60 + 2*(60+60), 6, func(s *poolScene) {
			s.add(fleet.Deployment, "app", 2, 10, old)
			s.in.ExtraNodes = 2
		}},
		// 5 of the nodes hold disks of zone a, where half of the new nodes come up: of
		// two at first one, then two of four, three of five; the last two follow.
		{TermZone, "zone/a", 60 + 3*(60+60), 6, func(s *poolScene) {
			for i := range 6 {
				zone := "a"
				if i == 5 {
					zone = "b"
				}
				s.in.Snapshot.Nodes[i].Zone = zone
				name := fmt.Sprintf("db-%d", i)
				s.add(fleet.StatefulSet, name, 1, 10, []string{fmt.Sprintf("old-%d", i)})
				s.in.Snapshot.Pods[i].Claims = []string{name}
				s.in.Snapshot.Claims = append(s.in.Snapshot.Claims, fleet.Claim{Namespace: "shop", Name: name, ReadWriteOnce: true, Zones: []string{zone}})
			}
			s.in.ExtraNodes = 2
		}},
		// inPlace: 10 pods of one node leave one by one; with the last one gone, the node is made anew.
		{TermNode, "Node/old-0", 60 + 9*30 + 60, 2, func(s *poolScene) {
			s.in.Strategy, s.in.ExtraNodes = fleet.InPlace, 2
			s.add(fleet.Deployment, "app", 10, 30, old, rolling("1", "0"))
			s.budget(guard("app", "", "1", 10))
		}},
		// inPlace: 20 pods on 20 nodes, one by one; nodes take no time.
		{TermBudget, "PodDisruptionBudget/shop/app", 20 * 30, 20, func(s *poolScene) {
			s.in.Strategy, s.in.ExtraNodes, s.in.Assume.NodeCreation = fleet.InPlace, 20, 0
			var nodes []string
			for i := range 20 {
				nodes = append(nodes, fmt.Sprintf("old-%d", i))
			}
			s.add(fleet.Deployment, "app", 20, 30, nodes, rolling("1", "0"))
			s.budget(guard("app", "", "1", 20))
		}},
		// buffer: there, the empty nodes one after the other, and back.
		{TermSlots, "Pool/old", 60 + 50 + 3*60 + 50, 3, func(s *poolScene) {
			s.in.Strategy = fleet.Buffer
			s.add(fleet.Deployment, "app", 5, 10, old, rolling("0", "1"))
			s.in.ExtraNodes = 3
		}},
	}
	for _, tt := range tests {
		t.Run(string(tt.term)+" "+strings.ReplaceAll(tt.object, "/", " "), func(t *testing.T) {
			s := newPoolScene(tt.nodes)
			tt.build(s)
			p := PlanPool(s.in)
			checkPlan(t, s.in, p)
			if p.Binding != (Binding{tt.term, tt.object}) || p.BoundSeconds != tt.bound {
				t.Errorf("bound %v s by %+v, want %v s by %s %s: %+v\n%+v", p.BoundSeconds, p.Binding, tt.bound, tt.term, tt.object, p.Terms, p.Blocked)
			}
		})
	}
}

// TestGroups: as many nodes go at once as the new ones have room for.
func TestGroups(t *testing.T) {
	for _, tt := range []struct {
		name  string
		milli int64 // of 1000 that a node has, asked for by its one pod
		extra int
		want  string
	}{
		{"a second pool", 500, 0, "10"},
		// Two nodes take 2 × 900; four when two are given up, of which two are full.
		{"nine tenths full", 900, 2, "2 2 2 2 2"},
		// Of 950 one fits on two nodes, two on three, and so on.
		{"too full for what is spare", 950, 2, "1 1 1 1 1 1 1 1 2"},
		// Two nodes take six pods of 300; then there are eight.
		{"a third full", 300, 2, "6 4"},
		{"empty", 0, 2, "10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newPoolScene(10)
			for i := range 10 {
				s.in.Snapshot.Nodes[i].Allocatable = fleet.Resources{MilliCPU: 1000, Memory: 1 << 30, Pods: 110}
				s.add(fleet.Deployment, fmt.Sprintf("app-%d", i), 1, 10, []string{fmt.Sprintf("old-%d", i)})
				s.in.Snapshot.Pods[i].Requests.MilliCPU = tt.milli
			}
			s.in.ExtraNodes = tt.extra
			p := PlanPool(s.in)
			checkPlan(t, s.in, p)
			var sizes []string
			for _, w := range p.Waves {
				sizes = append(sizes, fmt.Sprint(len(w.Nodes)))
			}
			if got := strings.Join(sizes, " "); got != tt.want {
				t.Errorf("waves of %s nodes, want %s", got, tt.want)
			}
		})
	}
}

// TestMovesPerPod: blueGreen moves a pod once, buffer twice, and the provider's own
// upgrade as often as uniform placement makes it, e-1 times in the end.
func TestMovesPerPod(t *testing.T) {
	for _, tt := range []struct {
		strategy     fleet.Strategy
		nodes, extra int
		want         float64
	}{
		{fleet.BlueGreen, 10, 0, 1},
		{fleet.Buffer, 10, 0, 2},
		{fleet.InPlace, 10, 1, 1.594}, // 1.1^10 - 1
		{fleet.InPlace, 10, 10, 1},
		{fleet.InPlace, 10, 3, 1.417}, // 1.3^3 - 1 and a last batch of one
		{fleet.InPlace, 200, 1, 1.712},
	} {
		s := newPoolScene(tt.nodes)
		for i := range tt.nodes {
			s.add(fleet.Other, fmt.Sprintf("app-%d", i), 1, 10, []string{fmt.Sprintf("old-%d", i)})
		}
		s.in.Strategy, s.in.ExtraNodes = tt.strategy, tt.extra
		if p := PlanPool(s.in); math.Abs(p.MovesPerPod-tt.want) > 0.0006 {
			t.Errorf("%s, %d nodes and %d extra: %v moves per pod, want %v", tt.strategy, tt.nodes, tt.extra, p.MovesPerPod, tt.want)
		}
	}
}

// TestPoolPlanSays: what a plan says beside the numbers.
func TestPoolPlanSays(t *testing.T) {
	s := newPoolScene(3)
	for i, zone := range []string{"a", "b", "c"} {
		s.in.Snapshot.Nodes[i].Zone = zone
		s.in.Snapshot.Nodes[i].Labels = map[string]string{"agentpool": "old", "disk": "fast", hostname: s.in.Snapshot.Nodes[i].Name}
	}
	s.add(fleet.Deployment, "app", 2, 10, []string{"old-0"})
	s.add(fleet.Deployment, "by-pool", 1, 10, []string{"old-1"})
	s.add(fleet.Deployment, "by-label", 1, 10, []string{"old-1"})
	s.add(fleet.Deployment, "by-host", 1, 10, []string{"old-2"})
	s.add(fleet.StatefulSet, "db", 1, 10, []string{"old-2"})
	selectors := []map[string]string{{"agentpool": "old"}, {"disk": "fast"}, {hostname: "old-2"}}
	for i, selector := range selectors {
		s.in.Snapshot.Pods[2+i].NodeSelector = selector
	}
	s.in.Snapshot.Pods[5].Claims = []string{"data"}
	s.in.Snapshot.Claims = []fleet.Claim{{Namespace: "shop", Name: "data", ReadWriteOnce: true, Zones: []string{"c"}}}
	all := guard("all", "", "1", 6)
	all.Selector = ""
	s.budget(all)
	s.in.ExtraNodes = 1
	p := PlanPool(s.in)
	checkPlan(t, s.in, p)
	ids := map[string]bool{}
	for _, f := range p.Findings {
		ids[f.ID] = true
	}
	for _, id := range []string{"budget-selects-all", "pool-extra-nodes-too-few", "pod-no-node"} {
		if !ids[id] {
			t.Errorf("no finding %s: %+v", id, p.Findings)
		}
	}
	var blocked []string
	for _, b := range p.Blocked {
		blocked = append(blocked, b.Pod)
	}
	if got := strings.Join(blocked, " "); got != "shop/by-host-0 shop/by-pool-0" {
		t.Errorf("blocked: %s", got)
	}
	s.in.Strategy = fleet.InPlace // which keeps the pool's name
	for _, b := range PlanPool(s.in).Blocked {
		if strings.Contains(b.By, "agentpool") {
			t.Errorf("blocked for the name of a pool that stays: %+v", b)
		}
	}

	empty := PlanPool(PoolInput{Snapshot: s.in.Snapshot, Pool: "none", Strategy: fleet.BlueGreen, Pace: everything, Assume: UsualAssumptions})
	if empty.Pods != 0 || empty.Nodes != 0 || empty.BoundSeconds != 0 || empty.Forecast.P90 != 0 {
		t.Errorf("the plan of a pool without nodes: %+v", empty)
	}
}
