package evacuate

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

var update = flag.Bool("update", false, "write the golden stories anew")

// run is one evacuation on a toyKube.
type run struct {
	k  *toyKube
	in Input
	// story, when set, is told what happens.
	story *strings.Builder
	// before is called ahead of every pass and may change the world or the input.
	before func(pass int, r *run)
	// enough, when set, ends a drive early.
	enough func(Pass) bool
	last   string
	ticks  [2]int // seconds between passes
	// apart: a second lies between the snapshot's pods and the rest of it, as
	// pods are listed first.
	apart bool
}

var everything = fleet.Pace{MaxInMotion: fleet.Amount{Percent: 100}}

var lenient = fleet.EvacuationPolicy{BarePods: "evict", LocalData: "evict", JobWait: time.Hour, JobsAfter: "refuse"}

// drive carries passes out until the status is one of the given, or for at
// most an hour of the cluster's time.
func (r *run) drive(until ...Status) Pass {
	k := r.k
	k.t.Helper()
	if r.ticks == [2]int{} {
		r.ticks = [2]int{1, 3}
	}
	deadline := k.now.Add(time.Hour)
	for i := 0; ; i++ {
		if r.before != nil {
			r.before(i, r)
		}
		r.in.Snapshot = k.snapshot()
		if r.apart {
			pods, at := r.in.Snapshot.Pods, r.in.Snapshot.TakenAt
			k.tick()
			r.in.Snapshot = k.snapshot()
			r.in.Snapshot.Pods, r.in.Snapshot.TakenAt = pods, at
		}
		pass := Next(r.in)
		if i%16 == 0 {
			if diff := cmp.Diff(pass, Next(r.in)); diff != "" {
				k.t.Fatalf("the same input gave another pass: %s", diff)
			}
		}
		r.checkPass(pass)
		r.tell(pass)
		if slices.Contains(until, pass.Status) || r.enough != nil && r.enough(pass) {
			return pass
		}
		if k.now.After(deadline) {
			k.t.Fatalf("not done after an hour: %s: %s\n%s", pass.Status, pass.Reason, k.describe())
		}
		r.in.Outcomes = make([]Outcome, len(pass.Actions))
		for _, i := range k.rng.Perm(len(pass.Actions)) { // no action may rely on another of its pass
			r.in.Outcomes[i] = k.do(r.in.Rollout, pass.Actions[i])
		}
		r.in.Memory = roundTrip(k.t, pass.Memory)
		for range k.between(r.ticks) {
			k.tick()
		}
	}
}

// roundTrip takes the memory through its JSON, as the caller's store does.
func roundTrip(t *testing.T, m Memory) Memory {
	t.Helper()
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out Memory
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// checkPass holds a pass to what every pass promises.
func (r *run) checkPass(p Pass) {
	r.k.t.Helper()
	want := map[string]bool{}
	for _, q := range r.in.Snapshot.Pods {
		if slices.Contains(r.in.Leaving, q.Node) && !q.Mirror && !q.Finished() && !strings.HasPrefix(q.Workload, "DaemonSet/") {
			want[q.UID] = true
		}
	}
	for _, v := range p.Verdicts {
		if !want[v.UID] {
			r.k.t.Fatalf("a verdict too many: %+v", v)
		}
		delete(want, v.UID)
		if v.Reason == "" || v.Move == "" {
			r.k.t.Fatalf("a verdict without reason or move: %+v", v)
		}
	}
	if len(want) > 0 {
		r.k.t.Fatalf("pods without verdict: %v", sortedKeys(want))
	}
	for _, f := range p.Findings {
		if f.Severity != fleet.Info && len(strings.Split(f.Remedy, "; or ")) < 3 {
			r.k.t.Fatalf("a finding with fewer than three remedies: %+v", f)
		}
	}
	for _, a := range p.Actions {
		if a.Reason == "" || a.UID == "" {
			r.k.t.Fatalf("an action without reason or uid: %+v", a)
		}
	}
	if p.Reason == "" || p.Status == "" {
		r.k.t.Fatalf("a pass without status or reason: %+v", p)
	}
	starts, weight := 0, 0
	for _, s := range p.Memory.Sent {
		if s.Kind == Evict || s.Kind == Roll || s.Kind == Surge {
			starts++
			weight += s.Weight
		}
	}
	if limit := r.in.Pace.MaxInMotion.Of(len(r.in.Snapshot.Pods)); starts > 0 && p.InMotion > limit {
		// What is alone in motion may weigh more than the pace: it could never start otherwise.
		if starts > 1 || p.InMotion > weight {
			r.k.t.Fatalf("%d pods in motion, and the pace is %d: %s\n%v", p.InMotion, limit, p.Reason, p.Actions)
		}
	}
}

// tell writes a pass into the story when there is something new in it.
func (r *run) tell(p Pass) {
	if r.story == nil {
		return
	}
	line := fmt.Sprintf("%s: %s", p.Status, p.Reason)
	if len(p.Actions) > 0 || line != r.last {
		fmt.Fprintf(r.story, "t+%ds %s\n", int(r.k.now.Sub(r.k.start).Seconds()), line)
	}
	r.last = line
	for _, a := range p.Actions {
		what := a.Pod
		if what == "" {
			what = a.Workload + a.Node
		}
		fmt.Fprintf(r.story, "    %s %s", a.Kind, what)
		if a.Shape != nil {
			fmt.Fprintf(r.story, " {maxUnavailable %d, maxSurge %d}", a.Shape.MaxUnavailable, a.Shape.MaxSurge)
		}
		if a.Kind == Surge {
			fmt.Fprintf(r.story, " to %d", a.Replicas)
		}
		if a.Scaler != "" {
			fmt.Fprintf(r.story, " through %s", a.Scaler)
		}
		fmt.Fprintf(r.story, ": %s\n", a.Reason)
	}
}

// golden compares a story with testdata/name.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with go test -run %s -update", err, t.Name())
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the story changed (-want +got); if that is right, run with -update\n%s", diff)
	}
}

// demo fills a cluster with the awkward workloads of the demo.
func demo(k *toyKube) {
	dep := func(name string, n int32) fleet.Workload {
		return fleet.Workload{Kind: fleet.Deployment, Name: name, Replicas: n}
	}
	k.add(dep("single", 1), toyTemplate{})
	k.budget("single", "app=single", "1", "")
	k.add(dep("strict", 3), toyTemplate{})
	k.budget("strict", "app=strict", "3", "")
	k.add(dep("web", 8), toyTemplate{spread: true})
	k.budget("web", "app=web", "", "25%")
	k.add(dep("apart", 3), toyTemplate{antiAffinity: true})
	k.budget("apart", "app=apart", "50%", "")
	recreate := dep("once", 2)
	recreate.Strategy = "Recreate"
	k.add(recreate, toyTemplate{})
	noSurge := dep("nosurge", 4)
	noSurge.MaxSurge, noSurge.MaxUnavailable = amountOf("0"), amountOf("1")
	k.add(noSurge, toyTemplate{})
	k.budget("nosurge", "app=nosurge", "", "0")
	scaled := dep("scaled", 2)
	scaled.Scaler = &fleet.Scaler{Kind: "HorizontalPodAutoscaler", Name: "scaled", Min: 2, Max: 6}
	k.add(scaled, toyTemplate{})
	k.add(fleet.Workload{Kind: fleet.StatefulSet, Name: "db", Replicas: 3}, toyTemplate{volume: true})
	k.budget("db", "app=db", "", "1")
	k.add(fleet.Workload{Kind: fleet.Job, Name: "report"}, toyTemplate{}).runs = 60
	k.add(fleet.Workload{Kind: fleet.DaemonSet, Name: "agent", Namespace: "kube-system"}, toyTemplate{})
}

// evacuation sets up three old nodes full of the demo and three new ones.
func evacuation(t *testing.T, seed uint64, fill func(*toyKube)) *run {
	t.Helper()
	k := newToyKube(t, seed)
	old := k.addNodes("old", 3)
	fill(k)
	k.settle()
	green := k.addNodes("green", 3)
	return &run{k: k, in: Input{
		Leaving: old, Receiving: green, Rollout: "r1", Policy: lenient, Pace: everything,
	}}
}

// checkEnd makes sure that every pod moved once and that nothing of ours is left.
func (r *run) checkEnd(extraMoves int) {
	k := r.k
	k.t.Helper()
	moved, made := 0, 0
	for _, w := range k.workloads {
		if w.Kind == fleet.DaemonSet || w.Kind == fleet.Job {
			continue
		}
		moved += k.onLeaving[w.Key()]
		made += w.replaced
		if w.replaced > k.onLeaving[w.Key()]+extraMoves {
			k.t.Errorf("%s: %d pods were made for %d that had to move", w.Key(), w.replaced, k.onLeaving[w.Key()])
		}
		if k.ready(w) != int(w.Replicas) {
			k.t.Errorf("%s: %d of %d Ready in the end", w.Key(), k.ready(w), w.Replicas)
		}
		for _, mark := range []string{fleet.MarkReplicas, fleet.MarkStrategy} {
			if w.Annotations[mark] != "" {
				k.t.Errorf("%s still bears %s", w.Key(), mark)
			}
		}
		if w.Scaler != nil && w.Scaler.Annotations[fleet.MarkScalerMin] != "" {
			k.t.Errorf("the autoscaler of %s still bears %s", w.Key(), fleet.MarkScalerMin)
		}
	}
	for _, p := range k.pods {
		if slices.Contains(r.in.Leaving, p.Node) && p.made && !strings.HasPrefix(p.Workload, "DaemonSet") {
			k.t.Errorf("pod %s was made on leaving node %s", p.Name, p.Node)
		}
		if p.Annotations[fleet.MarkDeletionCost] != "" {
			k.t.Errorf("pod %s still bears a deletion cost", p.Name)
		}
	}
}
