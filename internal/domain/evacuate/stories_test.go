package evacuate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// only fills a cluster with one Deployment.
func only(name string, n int32, change ...func(*toyWorkload)) func(*toyKube) {
	return func(k *toyKube) {
		w := k.add(fleet.Workload{Kind: fleet.Deployment, Name: name, Replicas: n}, toyTemplate{})
		for _, c := range change {
			c(w)
		}
	}
}

// TestDemo evacuates a node pool that holds every awkward workload of the demo,
// and moves everything back again.
func TestDemo(t *testing.T) {
	var story strings.Builder
	r := evacuation(t, 1, demo)
	r.story = &story
	r.drive(StatusDone)
	r.checkEnd(0)
	if r.k.refusals > 0 {
		t.Errorf("%d evictions were refused by the API", r.k.refusals)
	}
	story.WriteString("and back:\n")
	r.back()
	r.drive(StatusDone)
	r.checkEnd(0)
	golden(t, "demo", story.String())
}

// back turns the evacuation round, as a rollback does.
func (r *run) back() {
	r.in.Leaving, r.in.Receiving = r.in.Receiving, r.in.Leaving
	r.in.Memory, r.in.Outcomes, r.in.Back = Memory{}, nil, true
	r.k.count(func(p *toyPod) bool { return slices.Contains(r.in.Leaving, p.Node) })
}

// TestDemoAtAnyPace runs the demo's workloads at the default pace, with a
// canary, for many seeds; what moved must be healthy before more moves.
func TestDemoAtAnyPace(t *testing.T) {
	for seed := range uint64(8) {
		r := evacuation(t, seed, demo)
		r.in.Pace = fleet.Pace{CanaryNodes: 1, MaxInMotion: fleet.Amount{Percent: 10}, HealthPasses: 2}
		r.drive(StatusDone)
		r.checkEnd(0)
	}
}

// TestPodsAreListedFirst: what a snapshot says of controllers is newer than its
// pods. A restart that is complete by then is not made again.
func TestPodsAreListedFirst(t *testing.T) {
	for seed := range uint64(16) {
		r := evacuation(t, seed, demo)
		r.apart = true
		r.in.Policy.MaxSurge = fleet.Amount{Percent: 100}
		r.drive(StatusDone)
		r.checkEnd(0)
	}
}

// TestRollbackHalfWay turns round at every tenth of the way.
func TestRollbackHalfWay(t *testing.T) {
	for tenth := range 10 {
		r := evacuation(t, uint64(tenth), demo)
		stop := false
		r.before = func(_ int, r *run) {
			left := 0
			for _, p := range r.k.pods {
				if slices.Contains(r.in.Leaving, p.Node) && !strings.HasPrefix(p.Workload, "DaemonSet") && !p.Finished() {
					left++
				}
			}
			if !stop && left <= 27-27*tenth/10 {
				stop = true
				r.back()
			}
		}
		r.drive(StatusDone)
		if !stop {
			t.Errorf("never turned round")
		}
		for _, p := range r.k.pods {
			if strings.HasPrefix(p.Node, "green") && !strings.HasPrefix(p.Workload, "DaemonSet") && !p.Finished() {
				t.Errorf("pod %s is still on %s", p.Name, p.Node)
			}
		}
	}
}

// TestSurgeStory tells how a Deployment that is only partly affected moves:
// raised by one, the last old pod going with the scale-down.
func TestSurgeStory(t *testing.T) {
	var story strings.Builder
	r := evacuation(t, 4, func(k *toyKube) {
		k.add(fleet.Workload{Kind: fleet.Deployment, Name: "web", Replicas: 3}, toyTemplate{antiAffinity: true})
		scaled := fleet.Workload{Kind: fleet.Deployment, Name: "auto", Replicas: 3}
		scaled.Scaler = &fleet.Scaler{Kind: "HorizontalPodAutoscaler", Name: "auto", Min: 2, Max: 6}
		k.add(scaled, toyTemplate{antiAffinity: true})
	})
	r.in.Leaving = r.in.Leaving[:2]
	r.k.count(func(p *toyPod) bool { return slices.Contains(r.in.Leaving, p.Node) })
	r.story = &story
	r.drive(StatusDone)
	r.checkEnd(0)
	golden(t, "surge", story.String())
}

// TestCanaryStory tells how one node goes first, alone.
func TestCanaryStory(t *testing.T) {
	var story strings.Builder
	r := evacuation(t, 2, func(k *toyKube) {
		k.add(fleet.Workload{Kind: fleet.StatefulSet, Name: "db", Replicas: 3}, toyTemplate{antiAffinity: true})
		for _, name := range []string{"a", "b", "c", "d"} {
			k.add(fleet.Workload{Kind: fleet.Deployment, Name: name, Replicas: 1}, toyTemplate{})
		}
	})
	r.in.Pace = fleet.Pace{CanaryNodes: 1, MaxInMotion: fleet.Amount{Count: 2}, HealthPasses: 2}
	r.story = &story
	r.drive(StatusDone)
	r.checkEnd(0)
	golden(t, "canary", story.String())
}

// TestBrokenStory tells what happens when what moved does not come back:
// nothing more moves, and the way back works.
func TestBrokenStory(t *testing.T) {
	var story strings.Builder
	r := evacuation(t, 3, func(k *toyKube) {
		k.add(fleet.Workload{Kind: fleet.Deployment, Name: "broken", Replicas: 2}, toyTemplate{}).breaks = true
		for _, name := range []string{"x", "y", "z"} {
			k.add(fleet.Workload{Kind: fleet.Deployment, Name: name, Replicas: 2}, toyTemplate{})
		}
	})
	r.in.Pace = fleet.Pace{MaxInMotion: fleet.Amount{Count: 1}, HealthPasses: 1}
	r.story = &story
	end := r.drive(StatusBlocked)
	if !strings.Contains(end.Reason, "CrashLoopBackOff") {
		t.Errorf("the reason does not name the crash: %s", end.Reason)
	}
	for _, w := range r.k.workloads {
		if w.token > r.k.workloads[0].token {
			t.Errorf("%s was restarted although %s does not come back", w.Key(), r.k.workloads[0].Key())
		}
	}
	story.WriteString("nobody mends it, and everything goes back:\n")
	r.back()
	r.drive(StatusDone)
	for _, w := range r.k.workloads {
		if r.k.ready(w) != int(w.Replicas) {
			t.Errorf("%s: %d of %d Ready", w.Key(), r.k.ready(w), w.Replicas)
		}
	}
	golden(t, "broken", story.String())
}

// TestHold: a pause starts nothing, and finishes what was begun.
func TestHold(t *testing.T) {
	r := evacuation(t, 5, demo)
	r.in.Pace.MaxInMotion = fleet.Amount{Count: 3}
	starts := 0
	r.before = func(pass int, r *run) {
		if pass >= 8 {
			r.in.Hold = "paused by ada"
		}
		if pass > 8 {
			for _, s := range r.in.Memory.Sent {
				if s.Kind == Roll || s.Kind == Evict || s.Kind == Surge || s.Kind == Cordon {
					starts++
				}
			}
		}
	}
	end := r.drive(StatusHolding)
	if starts > 0 {
		t.Errorf("%d moves were started during the pause", starts)
	}
	if end.InMotion > 0 || !strings.Contains(end.Reason, "paused by ada") {
		t.Errorf("%d in motion, %s", end.InMotion, end.Reason)
	}
	for _, w := range r.k.workloads {
		if w.Annotations[fleet.MarkReplicas] != "" || w.Annotations[fleet.MarkStrategy] != "" {
			t.Errorf("%s is left half-way", w.Key())
		}
	}
	r.before, r.in.Hold = nil, ""
	r.drive(StatusDone)
	r.checkEnd(0)

	fresh := evacuation(t, 6, demo)
	fresh.in.Hold = "the window is closed"
	if end := fresh.drive(StatusHolding, StatusDone); len(end.Actions) > 0 {
		t.Errorf("held from the start, and yet: %+v", end.Actions)
	}
}

// TestAbort undoes an evacuation in the middle, at every pass.
func TestAbort(t *testing.T) {
	for at := 1; at < 24; at += 2 {
		r := evacuation(t, uint64(at), func(k *toyKube) {
			demo(k)
			k.add(fleet.Workload{Kind: fleet.Deployment, Name: "partly", Replicas: 4, Paused: true}, toyTemplate{})
			k.budget("partly", "app=partly", "4", "")
		})
		k := r.k
		k.node("old-2").Unschedulable = true // by someone else
		r.in.Later = []string{"later-0"}
		k.addNodes("later", 1)
		before := map[string]string{}
		state := func(w *toyWorkload) string {
			return strings.Join([]string{w.MaxSurge.String(), w.MaxUnavailable.String(), time.Duration(w.Replicas).String()}, " ")
		}
		for _, w := range k.workloads {
			if w.MaxSurge != nil {
				before[w.Key()] = state(w)
			}
		}
		r.before = func(pass int, r *run) {
			if pass == at {
				r.in.Hold = "aborted"
				r.in.Snapshot = k.snapshot()
			}
		}
		for range at {
			r.in.Snapshot = k.snapshot()
			pass := Next(r.in)
			r.in.Outcomes = nil
			for _, a := range pass.Actions {
				r.in.Outcomes = append(r.in.Outcomes, k.do("r1", a))
			}
			r.in.Memory = pass.Memory
			k.tick()
			k.tick()
		}
		for i := 0; ; i++ {
			actions, waiting := Undo(k.snapshot(), nil, "r1")
			if len(actions) == 0 && len(waiting) == 0 {
				break
			}
			if i > 300 {
				t.Fatalf("aborted at pass %d and never undone: %v %v", at, actions, waiting)
			}
			for _, a := range actions {
				k.do("r1", a)
			}
			k.tick()
		}
		for range 120 {
			k.tick()
		}
		for _, n := range k.nodes {
			if n.Unschedulable != (n.Name == "old-2") || len(n.Taints) > 0 {
				t.Errorf("aborted at pass %d: node %s: unschedulable %v, taints %v", at, n.Name, n.Unschedulable, n.Taints)
			}
		}
		for _, w := range k.workloads {
			if was, ok := before[w.Key()]; ok && was != state(w) {
				t.Errorf("aborted at pass %d: %s is %s and was %s", at, w.Key(), state(w), was)
			}
			if w.Kind != fleet.Job && w.Kind != fleet.DaemonSet && k.ready(w) != int(w.Replicas) {
				t.Errorf("aborted at pass %d: %s has %d of %d Ready", at, w.Key(), k.ready(w), w.Replicas)
			}
		}
		for _, p := range k.pods {
			if p.Annotations[fleet.MarkDeletionCost] != "" {
				t.Errorf("aborted at pass %d: pod %s keeps its deletion cost", at, p.Name)
			}
		}
	}
}

// TestRefusedHoldsNoSlot: a pod whose eviction a webhook refuses does not keep
// others from moving, is tried again at growing distance, and is named.
func TestRefusedHoldsNoSlot(t *testing.T) {
	r := evacuation(t, 7, func(k *toyKube) {
		once := func(name string) {
			k.add(fleet.Workload{Kind: fleet.Deployment, Name: name, Replicas: 1, Strategy: "Recreate"}, toyTemplate{})
		}
		once("a-guarded")
		once("b")
		once("c")
	})
	r.in.Pace = fleet.Pace{MaxInMotion: fleet.Amount{Count: 1}}
	var tries []time.Time
	r.k.refuse = func(a Action) string {
		if a.Kind == Evict && strings.Contains(a.Pod, "guarded") && len(tries) < 6 {
			tries = append(tries, r.k.now)
			return "admission webhook \"guard\" denied the request"
		}
		return ""
	}
	end := r.drive(StatusBlocked)
	if end.Moved != 2 || !strings.Contains(end.Reason, `webhook "guard" denied`) {
		t.Errorf("%d moved: %s", end.Moved, end.Reason)
	}
	for end.Status != StatusDone {
		r.k.tick()
		end = r.drive(StatusDone, StatusBlocked)
	}
	for i := 2; i < len(tries); i++ {
		if tries[i].Sub(tries[i-1]) <= tries[i-1].Sub(tries[i-2])-4*time.Second {
			t.Errorf("tries at %v: the distance does not grow", tries)
		}
	}
}

// TestWaitsForCapacity: no node is cordoned before the new ones can take pods.
func TestWaitsForCapacity(t *testing.T) {
	cases := map[string]func(*toyKube){
		"is not Ready": func(k *toyKube) { k.node("green-1").Ready = false },
		"is cordoned":  func(k *toyKube) { k.node("green-1").Unschedulable = true },
		"agent-not-ready": func(k *toyKube) {
			k.node("green-1").Taints = []fleet.Taint{{Key: "node.cilium.io/agent-not-ready", Effect: "NoExecute"}}
		},
		"is not there yet": func(k *toyKube) {
			k.nodes = slices.DeleteFunc(k.nodes, func(n *fleet.Node) bool { return n.Name == "green-1" })
		},
		"DaemonSet/kube-system/agent": func(*toyKube) {},
	}
	for want, breakIt := range cases {
		t.Run(want, func(t *testing.T) {
			r := evacuation(t, 8, demo)
			if want != "DaemonSet/kube-system/agent" {
				for range 20 {
					r.k.tick()
				}
			}
			breakIt(r.k)
			r.in.Snapshot = r.k.snapshot()
			pass := Next(r.in)
			if pass.Status != StatusWaiting || len(pass.Actions) > 0 || !strings.Contains(pass.Reason, want) {
				t.Errorf("%s: %s %+v", pass.Status, pass.Reason, pass.Actions)
			}
		})
	}
}

// TestNothingFits: pods that find no room are named, and nothing is lost.
func TestNothingFits(t *testing.T) {
	r := evacuation(t, 9, only("big", 3, func(w *toyWorkload) { w.template.requests = fleet.Resources{MilliCPU: 3000, Memory: 1 << 30} }))
	r.in.Receiving = r.in.Receiving[:1]
	r.k.nodes = slices.DeleteFunc(r.k.nodes, func(n *fleet.Node) bool { return n.Name == "green-1" || n.Name == "green-2" })
	end := r.drive(StatusBlocked)
	if !strings.Contains(end.Reason, "finds no node") {
		t.Errorf("the reason does not say what is missing: %s", end.Reason)
	}
	r.k.addNodes("more", 2)
	r.drive(StatusDone)
}

// TestVolumeZone: a StatefulSet's pod is not evicted while no node can take its volume.
func TestVolumeZone(t *testing.T) {
	r := evacuation(t, 10, func(k *toyKube) {
		k.add(fleet.Workload{Kind: fleet.StatefulSet, Name: "db", Replicas: 3}, toyTemplate{volume: true, antiAffinity: true})
	})
	r.in.Receiving = r.in.Receiving[:2] // zone 3 is missing
	r.k.nodes = slices.DeleteFunc(r.k.nodes, func(n *fleet.Node) bool { return n.Name == "green-2" })
	end := r.drive(StatusBlocked)
	if !strings.Contains(end.Reason, "zone 3") || !slices.ContainsFunc(end.Findings, func(f fleet.Finding) bool { return f.ID == "pod-no-node" }) {
		t.Errorf("%s %+v", end.Reason, end.Findings)
	}
	if r.k.ready(r.k.workloads[0]) != 3 {
		t.Errorf("a pod was evicted that cannot come back")
	}
}

// TestUnreachableNode: pods of a node that does not answer still get their
// replacement, and those that cannot be confirmed gone are named.
func TestUnreachableNode(t *testing.T) {
	r := evacuation(t, 11, only("web", 4))
	dead := r.k.node("old-0")
	dead.Ready = false
	for _, p := range r.k.pods {
		if p.Node == dead.Name {
			p.Ready = false
		}
	}
	r.k.floor["Deployment/shop/web"] = min(r.k.floor["Deployment/shop/web"], r.k.ready(r.k.workloads[0]))
	end := r.drive(StatusBlocked)
	if !strings.Contains(end.Reason, "out-of-service") && !slices.ContainsFunc(end.Findings, func(f fleet.Finding) bool {
		return f.ID == "pod-stuck-terminating" && strings.Contains(f.Remedy, "out-of-service")
	}) {
		t.Errorf("%s %+v", end.Reason, end.Findings)
	}
	if r.k.ready(r.k.workloads[0]) != 4 {
		t.Errorf("%d Ready", r.k.ready(r.k.workloads[0]))
	}
}

// TestJob: a running Job holds its node until it is done, and nothing else.
func TestJob(t *testing.T) {
	r := evacuation(t, 12, func(k *toyKube) {
		k.add(fleet.Workload{Kind: fleet.Job, Name: "report"}, toyTemplate{}).runs = 600
		k.add(fleet.Workload{Kind: fleet.Deployment, Name: "web", Replicas: 2}, toyTemplate{})
	})
	end := r.drive(StatusWaiting, StatusDone)
	for end.Status == StatusWaiting && end.Moved == 0 { // for the nodes
		r.k.tick()
		end = r.drive(StatusWaiting, StatusDone)
	}
	if end.Status != StatusWaiting || !strings.Contains(end.Reason, "runs a Job") {
		t.Errorf("%s: %s", end.Status, end.Reason)
	}
	r.drive(StatusDone)
	if made := r.k.workloads[0].replaced; made > 0 {
		t.Errorf("the Job was restarted %d times", made)
	}
}

// TestBare: an empty policy refuses what would be lost, and says what to do.
func TestBare(t *testing.T) {
	r := evacuation(t, 13, func(k *toyKube) { k.bare("loner", "old-1") })
	r.in.Policy = fleet.EvacuationPolicy{}
	end := r.drive(StatusBlocked)
	if len(end.Verdicts) != 1 || end.Verdicts[0].Move != MoveRefuse || !strings.Contains(end.Findings[0].Remedy, "barePods") {
		t.Errorf("%+v %+v", end.Verdicts, end.Findings)
	}
	r.in.AcceptedOutages = map[string]bool{AcceptKey(end.Findings[0]): true}
	r.drive(StatusDone)
}

// TestRestartUnderWayTakesItsRoomOnce: while old and new pods of a restart are
// both there, what it needs is not booked twice, so others are not kept from
// room that is free.
func TestRestartUnderWayTakesItsRoomOnce(t *testing.T) {
	rolling, pods := made(fleet.Deployment, "web", 4)
	rolling.Settled, rolling.Updated, rolling.Current = true, 4, 8
	in := scene{w: rolling, pods: pods}.input()
	in.Snapshot.Nodes[1].Allocatable = fleet.Resources{MilliCPU: 1000, Memory: 1 << 30, Pods: 6}
	in.Snapshot.Nodes[2].Unschedulable = true
	for i := range 4 {
		p := pods[i]
		p.Name, p.UID, p.Node, p.Ready = p.Name+"-new", p.UID+"-new", "green", false
		p.Annotations = map[string]string{fleet.MarkRestarted: "r1/x"}
		in.Snapshot.Pods = append(in.Snapshot.Pods, p)
	}
	db, states := made(fleet.StatefulSet, "db", 1)
	in.Snapshot.Workloads = append(in.Snapshot.Workloads, db)
	in.Snapshot.Pods = append(in.Snapshot.Pods, states...)
	in.Memory.Acted = map[string]Acted{rolling.Key(): {UID: rolling.UID, Move: MoveRoll, At: in.Snapshot.TakenAt.Add(-time.Minute), Weight: 4, Before: 4}}
	pass := Next(in)
	if len(pass.Actions) != 1 || pass.Actions[0].Kind != Evict || pass.Actions[0].Pod != states[0].Key() {
		t.Errorf("two of six places are free, and the pass is %+v: %s", pass.Actions, pass.Reason)
	}
}
