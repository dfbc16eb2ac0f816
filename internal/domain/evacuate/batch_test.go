package evacuate

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// TestRollingPool replaces nine old nodes with three more than there are: batch
// after batch is emptied, removed, and replaced. No workload falls below what it
// requires (toyKube.check), and hardly any pod moves twice.
func TestRollingPool(t *testing.T) {
	for seed := range uint64(6) {
		k := newToyKube(t, seed)
		old := k.addNodes("old", 9)
		demo(k)
		for i := range 12 {
			w := fleet.Workload{Kind: fleet.Deployment, Name: fmt.Sprintf("app-%d", i), Replicas: int32(1 + i%6)}
			k.add(w, toyTemplate{requests: fleet.Resources{MilliCPU: 400, Memory: 1 << 30}})
			if i%3 == 0 {
				k.budget(w.Name, "app="+w.Name, "", "25%")
			}
		}
		k.settle()
		green := k.addNodes("green", 3)
		for range 20 {
			k.tick() // their DaemonSets' pods come up
		}
		r := &run{k: k, in: Input{Rollout: "r1", Policy: lenient, Pace: everything}}
		rounds := 0
		for serial := 0; len(old) > 0; rounds++ {
			if rounds > 30 {
				t.Fatalf("seed %d: %d old nodes are left after %d rounds", seed, len(old), rounds)
			}
			batch := Batch(k.snapshot(), old, green)
			for _, name := range Vacant(k.snapshot(), old) {
				if !slices.Contains(batch, name) {
					batch = append(batch, name)
				}
			}
			if len(batch) == 0 {
				t.Fatalf("seed %d: nothing fits any more, and %d old nodes are left\n%s", seed, len(old), k.describe())
			}
			r.in.Leaving, r.in.Receiving = batch, green
			r.in.Closing = slices.DeleteFunc(slices.Clone(old), func(n string) bool { return slices.Contains(batch, n) })
			r.enough = func(p Pass) bool { // what was emptied makes room for the rest
				return k.now.Sub(p.Memory.LastProgress) > time.Minute && len(Vacant(k.snapshot(), old)) > 0
			}
			if end := r.drive(StatusDone); end.Status != StatusDone {
				batch = Vacant(k.snapshot(), old)
			}
			for _, n := range k.nodes {
				if slices.Contains(old, n.Name) && !n.Unschedulable {
					t.Errorf("seed %d: old node %s takes pods while others are emptied", seed, n.Name)
				}
			}
			for _, name := range batch {
				for _, p := range k.pods {
					if p.Node == name && p.w != nil && p.w.Kind != fleet.DaemonSet && !p.Finished() {
						t.Fatalf("seed %d: node %s is removed with pod %s on it", seed, name, p.Name)
					}
				}
			}
			gone := func(name string) bool { return slices.Contains(batch, name) }
			k.pods = slices.DeleteFunc(k.pods, func(p *toyPod) bool { return gone(p.Node) })
			k.nodes = slices.DeleteFunc(k.nodes, func(n *fleet.Node) bool { return gone(n.Name) })
			old = slices.DeleteFunc(old, gone)
			for range min(len(batch), 9-len(green)) {
				serial++
				green = append(green, k.addNodes(fmt.Sprintf("green%d", serial), 1)...)
				n := k.node(green[len(green)-1])
				n.Zone = strconv.Itoa(serial%3 + 1)
				n.Labels["zone"] = n.Zone
			}
			for range 20 {
				k.tick()
			}
		}
		moved, made := 0, 0
		for _, w := range k.workloads {
			if w.Kind != fleet.DaemonSet && w.Kind != fleet.Job {
				moved += k.onLeaving[w.Key()]
				made += w.replaced
			}
		}
		t.Logf("seed %d: %d rounds, %d pods made for %d that moved: %.3f moves per pod", seed, rounds, made, moved, float64(made)/float64(moved))
		if float64(made) > 1.05*float64(moved) {
			t.Errorf("seed %d: %d pods were made for %d", seed, made, moved)
		}
	}
}

// TestBatchFinishesWhatWasBegun: nodes with the fewest pods first, as many as
// fit, and one in any case while the receiving nodes hold nothing.
func TestBatchFinishesWhatWasBegun(t *testing.T) {
	k := newToyKube(t, 1)
	old := k.addNodes("old", 3)
	pods := map[string]int{"old-0": 3, "old-1": 1, "old-2": 2}
	for node, n := range pods {
		for i := range n {
			k.bare(fmt.Sprintf("%s-pod-%d", node, i), node).Requests = fleet.Resources{MilliCPU: 1500, Memory: 1 << 30}
		}
	}
	green := k.addNodes("green", 1)
	if got := Batch(k.snapshot(), old, green); !slices.Equal(got, []string{"old-1"}) {
		t.Errorf("with 4000m free and 1500m, 3000m, 4500m to move: %v", got)
	}
	k.bare("here", "green-0").Requests = fleet.Resources{MilliCPU: 1000}
	if got := Batch(k.snapshot(), old[:1], green); len(got) != 0 {
		t.Errorf("4500m do not fit into 3000m: %v", got)
	}
	k.pods = slices.DeleteFunc(k.pods, func(p *toyPod) bool { return p.Node == "green-0" })
	if got := Batch(k.snapshot(), old[:1], green); !slices.Equal(got, []string{"old-0"}) {
		t.Errorf("nothing at all is picked for empty nodes: %v", got)
	}
	k.node("old-1").Unschedulable = true
	k.pods = slices.DeleteFunc(k.pods, func(p *toyPod) bool { return p.Node == "old-1" })
	if got := Vacant(k.snapshot(), old); !slices.Equal(got, []string{"old-1"}) {
		t.Errorf("vacant: %v", got)
	}
}
