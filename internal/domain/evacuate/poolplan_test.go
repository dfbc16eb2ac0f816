package evacuate

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// checkPlan holds a plan to what every plan promises.
func checkPlan(t *testing.T, in PoolInput, p PoolPlan) {
	t.Helper()
	want := map[string]bool{}
	nodes := map[string]bool{}
	for _, n := range in.Snapshot.Nodes {
		nodes[n.Name] = n.Pool == in.Pool
	}
	terminating := 0
	for _, q := range in.Snapshot.Pods {
		switch {
		case !nodes[q.Node] || q.Mirror || q.Finished() || strings.HasPrefix(q.Workload, "DaemonSet/"):
		case !q.DeletedAt.IsZero():
			terminating++
		default:
			want[q.Key()] = true
		}
	}
	m := p.Moves
	if sum := m.Roll + m.Surge + m.Evict + m.Ordered + m.Wait + m.Refuse + len(p.Blocked); sum != p.Pods || p.Pods != len(want) || p.Terminating != terminating {
		t.Fatalf("%d pods have to move and %d end; the plan has %d and %d: %+v and %d blocked", len(want), terminating, p.Pods, p.Terminating, m, len(p.Blocked))
	}
	if len(p.Refused) != m.Refuse {
		t.Errorf("%d pods are refused and %d named", m.Refuse, len(p.Refused))
	}
	named := map[string]bool{}
	for _, s := range slices.Concat(p.Blocked, p.Refused) {
		if !want[s.Pod] || named[s.Pod] || s.By == "" || s.Remedy == "" {
			t.Errorf("blocked or refused: %+v", s)
		}
		named[s.Pod] = true
	}
	if p.BoundSeconds > p.Forecast.P50 || p.Forecast.P50 > p.Forecast.P90 || p.BoundSeconds < 0 || math.IsNaN(p.Forecast.P90) {
		t.Errorf("bound %v, forecast %+v", p.BoundSeconds, p.Forecast)
	}
	once := map[string]bool{}
	for _, w := range p.Waves {
		if w.Home {
			continue
		}
		for _, n := range w.Nodes {
			if once[n] || !nodes[n] {
				t.Errorf("node %s is in two waves, or in none of the pool's", n)
			}
			once[n] = true
		}
	}
	if len(once) != p.Nodes {
		t.Errorf("%d nodes in the waves, of %d", len(once), p.Nodes)
	}
	if moving := m.Roll + m.Surge + m.Evict + m.Ordered; moving > 0 && p.MovesPerPod < 1 {
		t.Errorf("%v moves per pod", p.MovesPerPod)
	}
}

// TestPlansOfRandomClusters evacuates drawn clusters and holds the plan that was
// made of them before to what then happened: pods of a move that was foretold, and
// a bound that was not beaten.
func TestPlansOfRandomClusters(t *testing.T) {
	seeds := *seeds
	if testing.Short() {
		seeds = min(seeds, 40)
	}
	tightest := 0.0
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			tightest = max(tightest, planRandom(t, seed))
		})
	}
	if tightest < 0.6 {
		t.Errorf("the bound is nowhere near what happens, at most %.2f of it", tightest)
	}
}

// planRandom returns the share of the time that it took that the bound is.
func planRandom(t *testing.T, seed uint64) float64 {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 5))
	k := newToyKube(t, seed)
	old := k.addNodes("old", 2+rng.IntN(4))
	randomCluster(k, rng)
	exact := map[string]time.Duration{}
	for _, w := range k.workloads {
		w.template.start[0] = w.template.start[1]
		exact[w.Key()] = time.Duration(max(1, w.template.start[1])) * time.Second
	}
	k.settle()
	green := k.addNodes("green", len(old)+1)
	r := &run{k: k, in: Input{
		Leaving: old, Receiving: green, Rollout: "r1", Policy: lenient, AcceptedOutages: map[string]bool{},
		Pace: fleet.Pace{
			MaxInMotion: fleet.Amount{Percent: []int{10, 30, 100}[rng.IntN(3)]}, CanaryNodes: rng.IntN(2), HealthPasses: rng.IntN(3),
		},
	}}
	if rng.IntN(3) == 0 {
		r.in.Policy.MaxSurge = fleet.Amount{Percent: 100}
	}
	r.in.Snapshot = k.snapshot()
	_, _, findings := Preview(r.in)
	for _, f := range findings {
		if f.ID == "workload-outage-unavoidable" && f.Severity == fleet.Blocker {
			r.in.AcceptedOutages[f.Object] = true
			k.down[f.Object] = true
		}
	}
	in := PoolInput{
		Snapshot: r.in.Snapshot, Pool: "old", Strategy: fleet.BlueGreen, Policy: r.in.Policy, Pace: r.in.Pace,
		AcceptedOutages: r.in.AcceptedOutages, Assume: Assumptions{PodStart: 5 * time.Second, PodEnd: 5 * time.Second, Attach: 5 * time.Second, Look: time.Second},
	}
	for _, strategy := range []fleet.Strategy{fleet.BlueGreen, fleet.Buffer, fleet.InPlace} {
		for _, extra := range []int{0, 1, 2, len(old) + 3} {
			other := in
			other.Strategy, other.ExtraNodes = strategy, extra
			checkPlan(t, other, PlanPool(other))
		}
	}

	moves, verdicts, _ := Preview(r.in)
	plan := PlanPool(in)
	got := map[Move]int{
		MoveRoll: plan.Moves.Roll, MoveSurge: plan.Moves.Surge, MoveEvict: plan.Moves.Evict, MoveOrdered: plan.Moves.Ordered,
		MoveWait: plan.Moves.Wait, MoveRefuse: plan.Moves.Refuse, MoveBlocked: len(plan.Blocked),
	}
	for move, n := range got {
		if moves[move] != n {
			t.Errorf("%s: %d planned, and a preview of the same has %d: %+v", move, n, moves[move], verdicts)
		}
	}
	if len(plan.Blocked) > 0 || plan.Moves.Refuse > 0 {
		return 0
	}
	pl := newPlanner(in)
	pl.starts.least = exact
	pl.planEvacuation()
	pl.limit()
	end := r.drive(StatusDone, StatusBlocked)
	if end.Status == StatusBlocked {
		t.Fatalf("nothing was said to be blocked, and it is: %s", end.Reason)
	}
	took := k.now.Sub(k.start).Seconds()
	if pl.out.BoundSeconds > took {
		t.Errorf("the bound is %v s by %+v, and it took %v s: %+v", pl.out.BoundSeconds, pl.out.Binding, took, pl.out.Terms)
	}
	return pl.out.BoundSeconds / took
}

// TestPlanIsTheSame: nothing in a plan depends on the order of maps or on chance.
func TestPlanIsTheSame(t *testing.T) {
	k := newToyKube(t, 3)
	k.addNodes("old", 3)
	demo(k)
	k.settle()
	in := PoolInput{Snapshot: k.snapshot(), Pool: "old", Strategy: fleet.BlueGreen, ExtraNodes: 1, Policy: lenient, Pace: everything, Assume: UsualAssumptions}
	first, err := json.Marshal(PlanPool(in))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		in.Snapshot = k.snapshot() // shuffled
		again, err := json.Marshal(PlanPool(in))
		if err != nil {
			t.Fatal(err)
		}
		if string(first) != string(again) {
			t.Fatalf("another plan of the same cluster:\n%s\n%s", first, again)
		}
	}
}
