package plan

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

var update = flag.Bool("update", false, "write the golden stories anew")

// stories are whole upgrades of a toy cluster.
var stories = []struct {
	name            string
	from, to        string
	strategy        fleet.Strategy
	upgrade, nodeOS string
	pools           []fleet.Pool
	extra           fleet.Amount0
}{
	{name: "blue-green-three-minors", from: "1.33.13", to: "1.36.3", strategy: fleet.BlueGreen, pools: []fleet.Pool{
		{Name: "system", Mode: "System", Count: 2},
		{Name: "apps", Mode: "User", Count: 3, Autoscaler: &fleet.Autoscaler{Min: 2, Max: 6}},
	}},
	{name: "buffer-three-minors", from: "1.33.13", to: "1.36.3", strategy: fleet.Buffer, nodeOS: "NodeImage", pools: []fleet.Pool{
		{Name: "system", Mode: "System", Count: 2},
		{Name: "apps", Mode: "User", Count: 3, Autoscaler: &fleet.Autoscaler{Min: 2, Max: 6}},
	}},
	{name: "in-place-three-minors", from: "1.33.13", to: "1.36.3", strategy: fleet.InPlace, upgrade: "stable", pools: []fleet.Pool{
		{Name: "system", Mode: "System", Count: 2},
		{Name: "apps", Mode: "User", Count: 3, Autoscaler: &fleet.Autoscaler{Min: 2, Max: 6}},
	}},
	{name: "buffer-four-minors-two-passes", from: "1.33.13", to: "1.37.1", strategy: fleet.Buffer, pools: []fleet.Pool{
		{Name: "apps", Mode: "User", Count: 2, Autoscaler: &fleet.Autoscaler{Min: 1, Max: 3}},
	}},
	{name: "blue-green-four-minors-two-passes", from: "1.33.13", to: "1.37.1", strategy: fleet.BlueGreen, pools: []fleet.Pool{
		{Name: "apps", Mode: "User", Count: 2, Autoscaler: &fleet.Autoscaler{Min: 1, Max: 3}},
	}},
	{name: "rolling-green-ten-nodes-three-more", from: "1.34.4", to: "1.35.4", strategy: fleet.BlueGreen, extra: fleet.Amount0{Count: 3}, pools: []fleet.Pool{
		{Name: "system", Mode: "System", Count: 2},
		{Name: "apps", Mode: "User", Count: 10, Autoscaler: &fleet.Autoscaler{Min: 4, Max: 12}},
	}},
	{name: "rolling-green-four-minors-two-passes", from: "1.33.13", to: "1.37.1", strategy: fleet.BlueGreen, extra: fleet.Amount0{Percent: 25}, pools: []fleet.Pool{
		{Name: "apps", Mode: "User", Count: 8},
	}},
	{name: "in-place-four-minors-two-passes", from: "1.33.13", to: "1.37.1", strategy: fleet.InPlace, pools: []fleet.Pool{
		{Name: "apps", Mode: "User", Count: 2},
	}},
}

func build(t *testing.T, i int, seed uint64) *toy {
	s := stories[i]
	w := newToy(t, seed, s.from, s.to, s.strategy, s.pools...)
	w.c.UpgradeChannel, w.c.NodeOSUpgradeChannel = s.upgrade, s.nodeOS
	policy := w.policy
	w.policy = func(pool string) fleet.NodePolicy { p := policy(pool); p.ExtraNodes = s.extra; return p }
	return w
}

func TestStories(t *testing.T) {
	for i, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			w := build(t, i, 1)
			w.drive(nil)
			got := w.story.String() + "\n" + w.end()
			path := filepath.Join("testdata", s.name+".golden")
			if *update {
				if err := os.MkdirAll("testdata", 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("story (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSeeds tells every story with other delays and with operations that fail
// now and then: the end is the same.
func TestSeeds(t *testing.T) {
	for i, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			calm := build(t, i, 1)
			calm.drive(nil)
			want := calm.end()
			for seed := range uint64(60) {
				w := build(t, i, seed)
				w.failing = int(seed % 3 * 20)
				w.drive(nil)
				if diff := cmp.Diff(want, w.end()); diff != "" {
					t.Fatalf("seed %d (-want +got):\n%s\n%s", seed, diff, w.story.String())
				}
			}
		})
	}
}

// TestCrashes loses all memory before one step, and before every step: the
// world decides, so the end is the same.
func TestCrashes(t *testing.T) {
	for i, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			calm := build(t, i, 1)
			calm.drive(nil)
			want, steps := calm.end(), calm.steps
			for at := range steps {
				w := build(t, i, 1)
				w.failing = at % 2 * 20
				w.drive(func(step int) bool { return step == at })
				if diff := cmp.Diff(want, w.end()); diff != "" {
					t.Fatalf("crash at step %d (-want +got):\n%s\n%s", at, diff, w.story.String())
				}
			}
			// Without any memory a soak would begin anew for ever.
			w := build(t, i, 1)
			policy := w.policy
			w.policy = func(p string) fleet.NodePolicy { pol := policy(p); pol.Soak = 0; return pol }
			w.drive(func(int) bool { return true })
			if diff := cmp.Diff(want, w.end()); diff != "" {
				t.Fatalf("no memory at all (-want +got):\n%s\n%s", diff, w.story.String())
			}
		})
	}
}

// TestRollBackAtEveryStep goes back from wherever a pool is: as long as its old
// nodes stand it ends as it began, and beyond that it is refused.
func TestRollBackAtEveryStep(t *testing.T) {
	for _, strategy := range []fleet.Strategy{fleet.BlueGreen, fleet.Buffer, fleet.InPlace} {
		for _, failing := range []int{0, 30} {
			for _, bounds := range []*fleet.Autoscaler{nil, {Min: 1, Max: 4}} {
				t.Run(fmt.Sprintf("%s/%d/%t", strategy, failing, bounds != nil), func(t *testing.T) {
					for at := range 60 {
						rollBackAt(t, strategy, bounds, at, failing)
					}
				})
			}
		}
	}
}

// TestRollingPoolIsSmall: there are never more nodes than the pool has and the
// few that may be more, every pod leaves a node once for each pass, also when the
// memory is lost before any step; and the way back ends with the first old node.
func TestRollingPoolIsSmall(t *testing.T) {
	for count := 2; count <= 12; count += 5 {
		for extra := 1; extra < count; extra += 2 {
			for seed := range uint64(12) {
				w := newToy(t, seed, "1.35.4", "1.35.4", fleet.BlueGreen, fleet.Pool{Name: "apps", Mode: "User", Count: count, Version: v("1.34.4")})
				policy := w.policy
				w.policy = func(pool string) fleet.NodePolicy {
					p := policy(pool)
					p.ExtraNodes = fleet.Amount0{Count: extra}
					return p
				}
				w.failing = int(seed%3) * 15
				lossy := seed%4 == 3
				w.drive(func(step int) bool { return lossy && step%17 == 16 })
				if w.most > count+extra {
					t.Errorf("%d nodes with %d more: there were %d\n%s", count, extra, w.most, w.story.String())
				}
				if want := count * podsPerNode; w.moves != want {
					t.Errorf("%d nodes with %d more: %d pods left a node, want %d", count, extra, w.moves, want)
				}
				if len(w.c.Pools) != 1 || w.c.Pools[0].Count != count || w.pods["appsb"] != count*podsPerNode {
					t.Errorf("%d nodes with %d more: %s", count, extra, w.end())
				}
			}
		}
	}
}

// TestRollingPoolGoesBack asks for the way back after every step.
func TestRollingPoolGoesBack(t *testing.T) {
	back, refused := 0, 0
	for at := range 80 {
		w := newToy(t, uint64(at), "1.35.4", "1.35.4", fleet.BlueGreen, fleet.Pool{Name: "apps", Mode: "User", Count: 6, Version: v("1.34.4"), Autoscaler: &fleet.Autoscaler{Min: 2, Max: 8}})
		policy := w.policy
		w.policy = func(pool string) fleet.NodePolicy {
			p := policy(pool)
			p.ExtraNodes = fleet.Amount0{Count: 2}
			return p
		}
		before := w.end()
		m := memory{emptiedAt: map[string]time.Time{}}
		for range at {
			w.pool("apps", w.target, &m)
			w.tick()
			w.check()
		}
		whole := w.c.Pool("apps") != nil && w.c.Pool("apps").Count == 6
		m.back = true
		for i := 0; ; i++ {
			if i > 300 {
				t.Fatalf("going back at step %d does not end:\n%s", at, w.story.String())
			}
			view := PoolView{
				Name: "apps", Cluster: w.clusterView().Cluster, Nodes: w.look(), Emptied: w.emptied, Batch: w.batch, Vacant: w.vacant, Stuck: func(string) bool { return false },
				Version: w.target, Policy: w.policy("apps"), Rollout: "r1", Rollback: true, Now: w.now,
			}
			s := NextPoolStep(view)
			if s.Kind == StepRefuse && s.PointOfNoReturn {
				refused++
				if whole && w.c.Pool("apps") != nil && w.c.Pool("apps").Count == 6 {
					t.Fatalf("refused at step %d although all old nodes stand: %s", at, s.Reason)
				}
				break
			}
			if s.Kind == StepDone {
				back++
				if diff := cmp.Diff(before, w.end()); diff != "" {
					t.Fatalf("back at step %d (-before +after):\n%s\n%s", at, diff, w.story.String())
				}
				break
			}
			w.pool("apps", w.target, &m)
			w.tick()
			w.check()
		}
	}
	if back < 5 || refused < 5 {
		t.Errorf("went back %d times and refused %d times: the test proves too little", back, refused)
	}
}

func rollBackAt(t *testing.T, strategy fleet.Strategy, bounds *fleet.Autoscaler, at, failing int) {
	t.Helper()
	w := newToy(t, uint64(at), "1.34.4", "1.35.4", strategy, fleet.Pool{Name: "apps", Mode: "User", Count: 3, Autoscaler: bounds})
	w.failing = failing
	w.c.Version = v("1.35.4")
	before := w.end()
	m := memory{emptiedAt: map[string]time.Time{}}
	for range at {
		w.pool("apps", w.target, &m)
		w.tick()
		w.check()
	}
	m.back = true
	for range 300 {
		view := PoolView{
			Name: "apps", Cluster: w.clusterView().Cluster, Nodes: w.look(), Emptied: w.emptied,
			Version: w.target, Policy: w.policy("apps"), Rollout: "r1", Rollback: true, Now: w.now,
		}
		switch s := NextPoolStep(view); {
		case s.Kind == StepRefuse && s.PointOfNoReturn:
			for _, n := range w.nodes {
				if n.Pool == "apps" && n.Version == v("1.34.4") && strategy == fleet.BlueGreen {
					t.Fatalf("refused at step %d although the old nodes stand: %s", at, s.Reason)
				}
			}
			return
		case s.Kind == StepDone:
			if diff := cmp.Diff(before, w.end()); diff != "" {
				t.Fatalf("rolled back at step %d (-before +after):\n%s\n%s", at, diff, w.story.String())
			}
			return
		}
		w.pool("apps", w.target, &m)
		w.tick()
		w.check()
	}
	t.Fatalf("rollback at step %d does not end:\n%s", at, w.story.String())
}
