package evacuate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// TestHeldUp: a pass that cannot finish says who is in the way, with the
// budget's numbers and three remedies, and goes on once it is mended.
func TestHeldUp(t *testing.T) {
	r := evacuation(t, 21, func(k *toyKube) {
		k.add(fleet.Workload{Kind: fleet.StatefulSet, Name: "db", Replicas: 3}, toyTemplate{antiAffinity: true})
		k.budget("db", "app=db", "", "1")
	})
	sick := r.k.active(r.k.workloads[0])[0]
	mended := false
	r.before = func(_ int, r *run) {
		if !mended {
			sick.Ready, sick.readyIn = false, 1<<20 // its owner's own trouble
			r.k.floor["StatefulSet/shop/db"], r.k.floor["budget db"] = 2, 2
		}
	}
	// Somebody else's broken pod of the workload takes what its budget allows.
	sick.Node = r.k.addNodes("other", 1)[0]
	deadline := r.k.now.Add(5 * time.Minute)
	r.in.Snapshot = r.k.snapshot()
	end := Pass{}
	r.before(0, r)
	for r.k.now.Before(deadline) && !slices.ContainsFunc(end.Findings, func(f fleet.Finding) bool { return f.ID == "pod-held-up" }) {
		r.in.Snapshot = r.k.snapshot()
		end = Next(r.in)
		r.checkPass(end)
		r.in.Outcomes = nil
		for _, a := range end.Actions {
			r.in.Outcomes = append(r.in.Outcomes, r.k.do("r1", a))
		}
		r.in.Memory = end.Memory
		r.k.tick()
		r.before(1, r)
	}
	i := slices.IndexFunc(end.Findings, func(f fleet.Finding) bool { return f.ID == "pod-held-up" })
	if i < 0 {
		t.Fatalf("nothing says who is in the way: %s %s %+v", end.Status, end.Reason, end.Findings)
	}
	f := end.Findings[i]
	for _, want := range []string{"shop/db-", sick.Name} {
		if !strings.Contains(f.What+f.Why, want) {
			t.Errorf("the finding does not name %q: %+v", want, f)
		}
	}
	if len(strings.Split(f.Remedy, "; or ")) < 3 || !strings.Contains(f.Remedy, "2 are healthy") {
		t.Errorf("remedies without the budget's numbers: %s", f.Remedy)
	}
	if !strings.Contains(end.Reason, f.Remedy) {
		t.Errorf("the reason holds no remedy: %s", end.Reason)
	}
	mended = true
	sick.readyIn = 1
	r.drive(StatusDone)
}

// TestNothingIsPushedOut: a pod of high priority without room is not restarted
// only to push another one out.
func TestNothingIsPushedOut(t *testing.T) {
	fill := func(k *toyKube) {
		k.add(fleet.Workload{Kind: fleet.Deployment, Name: "big", Replicas: 1}, toyTemplate{requests: fleet.Resources{MilliCPU: 3000, Memory: 1 << 30}})
	}
	r := evacuation(t, 22, fill)
	r.k.nodes = slices.DeleteFunc(r.k.nodes, func(n *fleet.Node) bool { return n.Name == "green-1" || n.Name == "green-2" })
	r.in.Receiving = []string{"green-0"}
	low := r.k.bare("low", "green-0")
	low.Requests = fleet.Resources{MilliCPU: 2000, Memory: 1 << 30}
	for _, p := range r.k.pods {
		if p.w != nil {
			p.Priority = 1000
		}
	}
	start := r.k.now
	for r.k.now.Sub(start) < 2*time.Minute {
		r.in.Snapshot = r.k.snapshot()
		pass := Next(r.in)
		for _, a := range pass.Actions {
			if a.Kind == Roll {
				t.Fatalf("restarted without room: %+v", a)
			}
			r.k.do("r1", a)
		}
		r.in.Memory = pass.Memory
		if r.k.now.Sub(start) > time.Minute && !slices.ContainsFunc(pass.Findings, func(f fleet.Finding) bool {
			return f.ID == "pod-held-up" && strings.Contains(f.Why, "no place to go to")
		}) {
			t.Fatalf("nothing says that there is no room: %s %+v", pass.Reason, pass.Findings)
		}
		r.k.tick()
	}
	low.Priority = 1000 // pushes nothing out any more: an autoscaler may see the pod that waits
	r.in.Snapshot = r.k.snapshot()
	if pass := Next(r.in); !slices.ContainsFunc(pass.Actions, func(a Action) bool { return a.Kind == Roll }) {
		t.Errorf("not tried although nothing would be pushed out: %s", pass.Reason)
	}
}

// TestFinalizers: a pod that its finalizers hold is named, with its remedies,
// and holds nothing else up.
func TestFinalizers(t *testing.T) {
	r := evacuation(t, 23, only("web", 4))
	held := r.k.active(r.k.workloads[0])[0]
	held.Finalizers = []string{"example.com/guard"}
	r.before = func(_ int, _ *run) {
		if !held.DeletedAt.IsZero() {
			held.endsAt = r.k.now.Add(time.Hour) // until its owner lets it go
		}
	}
	end := r.drive(StatusBlocked)
	if !slices.ContainsFunc(end.Findings, func(f fleet.Finding) bool {
		return f.ID == "pod-stuck-terminating" && strings.Contains(f.Why, "example.com/guard")
	}) {
		t.Errorf("%s %+v", end.Reason, end.Findings)
	}
	if end.Moved != 3 {
		t.Errorf("%d of 4 have left", end.Moved)
	}
}

// TestSharedBudget: what one budget allows is shared out among the workloads
// that it selects, whatever the order (toyKube.check fails the test otherwise).
func TestSharedBudget(t *testing.T) {
	for seed := range uint64(12) {
		r := evacuation(t, seed, func(k *toyKube) {
			for _, name := range []string{"a", "b", "c"} {
				k.add(fleet.Workload{Kind: fleet.Deployment, Name: name, Replicas: 2}, toyTemplate{labels: map[string]string{"app": name, "tier": "web"}})
			}
			k.add(fleet.Workload{Kind: fleet.StatefulSet, Name: "d", Replicas: 2}, toyTemplate{labels: map[string]string{"app": "d", "tier": "web"}})
			k.budget("tier", "tier=web", "", "1")
		})
		r.drive(StatusDone)
		r.checkEnd(0)
		if r.k.refusals > 0 {
			t.Errorf("seed %d: %d evictions were refused", seed, r.k.refusals)
		}
	}
}
