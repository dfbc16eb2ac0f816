package evacuate

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// randomCluster fills a cluster with workloads and budgets drawn by seed. What
// cannot be moved without an outage is accepted, so that every evacuation can
// come to its end.
func randomCluster(k *toyKube, rng *rand.Rand) {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	for i := range 2 + rng.IntN(7) {
		name := fmt.Sprintf("w%d", i)
		n := int32(1 + rng.IntN(6))
		tpl := toyTemplate{start: [2]int{1, 2 + rng.IntN(12)}, stop: [2]int{1, 1 + rng.IntN(6)}}
		w := fleet.Workload{Kind: fleet.Deployment, Name: name, Replicas: n, MinReadySeconds: int32(rng.IntN(2) * rng.IntN(5))}
		switch rng.IntN(10) {
		case 0:
			w.Kind, tpl.volume = fleet.StatefulSet, rng.IntN(2) == 0
			w.PodManagement = pick("OrderedReady", "Parallel")
		case 1:
			w.Strategy = "Recreate"
		case 2:
			w.Kind = fleet.ReplicaSet
		case 3:
			w.Kind = fleet.Job
		case 4:
			w.Paused = true
		case 5:
			w.Scaler = &fleet.Scaler{Kind: "HorizontalPodAutoscaler", Name: name, Min: n, Max: n + int32(rng.IntN(4))}
		case 6:
			w.Manager = "flux"
		}
		if w.Kind == fleet.Deployment && w.Strategy == "" {
			w.MaxSurge = amountOf(pick("25%", "1", "0", "50%", "100%"))
			w.MaxUnavailable = amountOf(pick("25%", "1", "0", "50%"))
			if w.MaxSurge.String() == "0" && w.MaxUnavailable.String() == "0" {
				w.MaxUnavailable = amountOf("1")
			}
		}
		tpl.labels = map[string]string{"app": name}
		shared := w.Kind == fleet.Deployment && rng.IntN(5) == 0
		if shared {
			tpl.labels["group"] = "shared"
		}
		tw := k.add(w, tpl)
		tw.runs = 20 + rng.IntN(60)
		if w.Kind == fleet.Job {
			tw.Replicas = 0
		}
		if shared {
			continue
		}
		switch rng.IntN(4) {
		case 0:
		case 1:
			k.budget(name, "app="+name, pick("1", "50%", "100%", "2"), "")
		case 2:
			k.budget(name, "app="+name, "", pick("1", "25%", "0", "50%"))
		case 3:
			k.budget(name, "app="+name, "", pick("1", "34%"))
			if rng.IntN(3) == 0 {
				k.budget(name+"-too", "app in ("+name+")", "1", "")
			}
		}
	}
	k.budget("shared", "group=shared", "", pick("1", "25%"))
	if rng.IntN(2) == 0 {
		k.add(fleet.Workload{Kind: fleet.DaemonSet, Name: "agent", Namespace: "kube-system"}, toyTemplate{})
	}
}

var seeds = flag.Uint64("seeds", 150, "how many clusters TestRandomClusters draws")

// TestRandomClusters evacuates hundreds of drawn clusters, forth and back, with
// everything that may happen on the way drawn as well: the memory is lost, the
// API conflicts, the evacuation is paused. After every step of every controller
// no workload may be below what it has to keep; that is in toyKube.check.
func TestRandomClusters(t *testing.T) {
	seeds := *seeds
	if testing.Short() {
		seeds = min(seeds, 40)
	}
	stuck := 0
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !evacuateRandom(t, seed) {
				stuck++
			}
		})
	}
	if stuck > int(seeds)/2 {
		t.Errorf("%d of %d clusters could not be evacuated whole: the test proves too little", stuck, seeds)
	}
}

// evacuateRandom reports whether nothing in the cluster was blocked.
func evacuateRandom(t *testing.T, seed uint64) bool {
	rng := rand.New(rand.NewPCG(seed, 99))
	k := newToyKube(t, seed)
	old := k.addNodes("old", 2+rng.IntN(4))
	var leaving []string
	partial := rng.IntN(2) == 0
	randomCluster(k, rng)
	k.settle()
	k.lag = []int{0, 30, 60}[rng.IntN(3)]
	leaving = old
	if partial {
		leaving = old[:1+rng.IntN(len(old)-1)]
	}
	k.count(func(p *toyPod) bool { return slices.Contains(leaving, p.Node) })
	green := k.addNodes("green", len(leaving)+1)
	r := &run{k: k, ticks: [2]int{rng.IntN(2), 1 + rng.IntN(4)}, in: Input{
		Leaving: leaving, Receiving: green, Rollout: "r1", Policy: lenient, AcceptedOutages: map[string]bool{},
		Pace: fleet.Pace{
			MaxInMotion: fleet.Amount{Percent: []int{10, 30, 100}[rng.IntN(3)]}, CanaryNodes: rng.IntN(2), HealthPasses: rng.IntN(3),
		},
	}}
	if rng.IntN(3) == 0 {
		r.in.Policy.MaxSurge = fleet.Amount{Percent: 100}
	}
	behind := rand.New(rand.NewPCG(seed, 1234)) // load balancers and images, drawn by themselves
	if behind.IntN(2) == 0 {
		r.in.Policy.LoadBalancerSettle = 8 * time.Second
		k.balance("any", "app=w0", false)
		// Not every workload can have an endpoint elsewhere first; that nothing
		// waits for it for ever is what counts here.
		k.balance("local", "app=w1", true).lag = 1 << 20
	}
	if behind.IntN(2) == 0 {
		r.in.Policy.PrePull = fleet.PrePull{Images: fleet.PrePullAll, Timeout: time.Duration(1+behind.IntN(10)) * time.Minute}
		for i, w := range k.workloads {
			w.template.image = fmt.Sprintf("registry.example/%s:1", w.Name)
			k.image(w.template.image, 1, behind.IntN(90))
			for _, p := range k.pods {
				if p.w == w {
					p.Images = w.template.images()
				}
			}
			if i == 0 {
				k.pullTakes[w.template.image] = 5
			}
		}
		for _, name := range green { // new nodes have none
			k.node(name).Images = nil
		}
	}
	r.in.Snapshot = k.snapshot()
	_, _, findings := Preview(r.in)
	for _, f := range findings {
		if f.ID == "workload-outage-unavoidable" && f.Severity == fleet.Blocker {
			r.in.AcceptedOutages[f.Object] = true
			k.down[f.Object] = true
		}
	}
	lossy := rng.IntN(3) == 0
	partialRolls := false
	r.before = func(pass int, r *run) {
		for _, w := range k.workloads {
			partialRolls = partialRolls || partial && w.token != ""
		}
		if lossy && rng.IntN(12) == 0 {
			r.in.Memory, r.in.Outcomes = Memory{}, nil
		}
		r.in.Hold = ""
		if pass%20 > 16 && lossy {
			r.in.Hold = "paused"
		}
	}
	k.refuse = func(Action) string {
		if lossy && rng.IntN(15) == 0 {
			return "the server is having a bad day"
		}
		return ""
	}
	end := r.drive(StatusDone, StatusBlocked)
	for end.Status == StatusBlocked && strings.Contains(end.Reason, "bad day") {
		k.tick()
		end = r.drive(StatusDone, StatusBlocked)
	}
	if end.Status == StatusBlocked {
		for _, v := range end.Verdicts {
			if v.Move != MoveBlocked && v.Move != MoveRefuse {
				t.Errorf("blocked, and yet: %+v", v)
			}
		}
		if len(end.Findings) == 0 {
			t.Errorf("blocked without a finding: %s", end.Reason)
		}
		return false
	}
	if !lossy && !partialRolls {
		r.checkEnd(0)
	}
	if !lossy && k.lag == 0 && k.refusals > 0 {
		t.Errorf("the API refused %d evictions: budgets are there to be read first", k.refusals)
	}
	if partial {
		return true
	}
	// And back.
	k.count(func(p *toyPod) bool { return slices.Contains(green, p.Node) })
	r.in.Leaving, r.in.Receiving, r.in.Back = green, old, rng.IntN(2) == 0
	r.in.Memory, r.in.Outcomes = Memory{}, nil
	end = r.drive(StatusDone, StatusBlocked)
	for end.Status == StatusBlocked && strings.Contains(end.Reason, "bad day") {
		k.tick()
		end = r.drive(StatusDone, StatusBlocked)
	}
	if end.Status != StatusDone {
		t.Errorf("not back: %s: %s", end.Status, end.Reason)
	} else if !lossy {
		r.checkEnd(0)
	}
	actions, waiting := Undo(k.snapshot(), nil, "")
	for _, a := range actions {
		if a.Kind != Uncordon && a.Kind != IncludeLB {
			t.Errorf("left behind: %+v", a)
		}
	}
	if len(waiting) > 0 {
		t.Errorf("left behind: %v", waiting)
	}
	return true
}
