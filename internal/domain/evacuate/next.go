package evacuate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// staleAfter is how long a snapshot may not yet show what was done to it.
const staleAfter = 10 * time.Second

// patience is how long a pod that was moved may fail to start before a person
// is asked.
const patience = 5 * time.Minute

// Next decides the next pass. It is a pure function: the same input gives the
// same pass, to the letter. Carry the actions out, look again, and call it
// with what it remembered and what came of the actions, until its status is
// StatusDone.
func Next(in Input) Pass {
	t := newTurn(in)
	t.learn()
	t.look()
	t.restore()
	t.receive()
	t.prepull()
	t.cordon()
	t.plan()
	t.balance()
	t.canary()
	t.moveAll()
	t.judge()
	return t.pass
}

// turn is one pass in the making.
type turn struct {
	*world
	pass Pass
	mem  *Memory
	// touched are the workloads with pods that have to move, the longest job first.
	touched []*workload
	plans   map[*workload]plan
	// stop is why no new move may start; "" when some may.
	stop string
	// started: the nodes were cordoned for this evacuation.
	started     bool
	limit       int // pods that may be in motion
	motion      int // pods that are
	canaryNodes map[string]bool
	// troubles are pods that were moved and do not start, sorted.
	troubles []trouble
	// unproven are the workloads that were moved and are not yet known to be healthy.
	unproven []string
	steps    map[*workload]int
	// failing are pods that fail where they are, in a rollout that is not settled.
	failing []*pod
	// gates says, by leaving node, why its pods wait for load balancers; opening
	// are the workloads that need not wait.
	gates   map[string]string
	opening map[string]bool
	// imageSizes are those that the leaving nodes report.
	imageSizes map[string]int64
	alike      []*pod // one pod of each kind that may need its images elsewhere
	// obstacles are what kept pods from moving in this pass.
	obstacles []obstacle
	// lagging says that the statuses of budgets lag behind the pods; "" when not.
	lagging string
}

// trouble is a pod, or a workload, that does not come back.
type trouble struct {
	object, what string
	grave        bool // it lasts for longer than patience, or its controller gave up
}

// newTurn indexes the input and copies the memory.
func newTurn(in Input) *turn {
	t := &turn{world: newWorld(in), plans: map[*workload]plan{}, steps: map[*workload]int{}}
	t.pass.Memory = in.Memory
	t.mem = &t.pass.Memory
	t.mem.Acted = cloned(in.Memory.Acted)
	t.mem.Evicted = cloned(in.Memory.Evicted)
	t.mem.Refusals = cloned(in.Memory.Refusals)
	t.mem.Canary = slices.Clone(in.Memory.Canary)
	t.mem.Sent = nil
	if t.mem.StartedAt.IsZero() {
		t.mem.StartedAt = t.now
		t.mem.LastProgress = t.now
	}
	t.limit = t.paceLimit()
	return t
}

// cloned copies a map, and makes one where there is none.
func cloned[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// paceLimit is how many of the cluster's pods may be in motion.
func (wd *world) paceLimit() int { return wd.in.Pace.MaxInMotion.Of(wd.pods) }

// learn takes in what came of the actions of the pass before. An action whose
// outcome is not known is taken as done; what the world shows corrects that.
// Learning the same again changes nothing, so a pass may be decided anew.
func (t *turn) learn() {
	for i, s := range t.in.Memory.Sent {
		outcome := Outcome{Result: Done}
		if i < len(t.in.Outcomes) {
			outcome = t.in.Outcomes[i]
		}
		switch outcome.Result {
		case Refused:
			r := t.mem.Refusals[s.key()]
			r.Times++
			r.Message = outcome.Message
			r.Next = s.At.Add(backoff(r.Times))
			t.mem.Refusals[s.key()] = r
		case Done:
			delete(t.mem.Refusals, s.key())
			t.acted(s)
			if s.At.After(t.mem.LastProgress) { // it only ever moves on
				t.mem.LastProgress = s.At
			}
		case Gone:
			delete(t.mem.Refusals, s.key())
		case Retry:
		}
	}
	alive := make(map[string]bool, len(t.mem.Evicted))
	for i := range t.in.Snapshot.Pods {
		alive[t.in.Snapshot.Pods[i].UID] = true
	}
	maps.DeleteFunc(t.mem.Evicted, func(uid string, at time.Time) bool { return !alive[uid] || t.now.Sub(at) >= staleAfter })
	maps.DeleteFunc(t.mem.Refusals, func(_ string, r Refusal) bool { return t.now.Sub(r.Next) > 10*time.Minute })
}

// backoff is the distance to the next try after so many refusals.
func backoff(times int) time.Duration {
	return min(2*time.Second<<min(times-1, 6), 2*time.Minute)
}

// acted remembers an action that took effect on a workload.
func (t *turn) acted(s Sent) {
	if s.Kind == Evict {
		t.mem.Evicted[s.UID] = s.At
		if w := t.workloads[s.Workload]; w != nil {
			t.hide(w, s.UID)
		}
	}
	if s.Workload == "" {
		return
	}
	a, ok := t.mem.Acted[s.Workload]
	if !ok || a.UID != s.Owner {
		a = Acted{UID: s.Owner, Before: s.Before}
	}
	if a.At.Equal(s.At) {
		a.Weight += s.Weight
	} else {
		a.Weight = s.Weight
	}
	a.Move, a.At, a.Looks = s.Move, s.At, 0
	a.Ailing = a.Ailing || s.Ailing
	if s.Base > 0 {
		a.Base = s.Base
	}
	if s.Kind == Roll {
		a.Tries++
	}
	t.mem.Acted[s.Workload] = a
}

// hide takes a pod that was just evicted as going, although the snapshot does
// not show it yet.
func (t *turn) hide(w *workload, uid string) {
	for _, p := range w.pods {
		if p.UID == uid && !p.gone {
			if t.available(p) {
				w.available--
			}
			p.gone = true
			w.leave = slices.DeleteFunc(w.leave, func(q *pod) bool { return q == p })
			w.stay = slices.DeleteFunc(w.stay, func(q *pod) bool { return q == p })
		}
	}
}

// restore finishes what was begun on workloads that have nothing left on the
// leaving nodes. It does so whatever else stands still.
func (t *turn) restore() {
	for _, key := range sortedKeys(t.workloads) {
		w := t.workloads[key]
		if w.dangling {
			continue
		}
		if w.shaped() && w.settled() && len(w.leave) == 0 && w.available >= int(w.Replicas) {
			t.do(Action{
				Kind: RestoreShape, Workload: key, UID: w.UID,
				Reason: "its restart is complete: its strategy goes back to what it was",
			}, Sent{})
		}
		if w.raised() && len(w.leave) == 0 && w.available >= w.base {
			t.restoreSurge(w, "none of its pods is left on a leaving node")
		}
		if !w.raised() && !w.shrinking() {
			for _, p := range w.stay {
				if _, ok := p.Annotations[fleet.MarkDeletionCost]; ok {
					t.do(Action{
						Kind: ForgetCost, Pod: p.key, UID: p.UID, Workload: key,
						Reason: "it stays, so a scale-down need not prefer it any more",
					}, Sent{})
				}
			}
		}
	}
}

// shrinking reports whether a scale-down is still to be carried out.
func (w *workload) shrinking() bool { return len(w.leave)+len(w.stay) > int(w.Replicas) }

// restoreSurge takes a raised workload back to its own size.
func (t *turn) restoreSurge(w *workload, why string) {
	a := Action{Kind: RestoreSurge, Workload: w.key, UID: w.UID, Reason: why + ": back to its own size"}
	if w.scalerRaised() {
		a.Scaler = w.Scaler.Name
	}
	t.do(a, Sent{})
}

// receive makes the receiving nodes schedulable where it was us who cordoned
// them, and holds everything until they are capacity in fact.
func (t *turn) receive() {
	for _, name := range sortedKeys(t.receiving) {
		n := t.nodes[name]
		if n == nil || t.leaving[name] {
			continue
		}
		if n.Unschedulable && n.Annotations[fleet.MarkCordoned] != "" {
			t.do(Action{Kind: Uncordon, Node: name, UID: n.UID, Reason: "pods are to move here"}, Sent{})
		}
		if tainted(n) {
			t.do(Action{Kind: RemoveTaint, Node: name, UID: n.UID, Reason: "pods are to move here"}, Sent{})
		}
		if oursExcluded(n) {
			t.do(Action{Kind: IncludeLB, Node: name, UID: n.UID, Reason: "pods are to move here"}, Sent{})
		}
	}
	for name := range t.leaving {
		if n := t.nodes[name]; n != nil && n.Unschedulable && n.Annotations[fleet.MarkCordoned] != "" {
			t.started = true
		}
	}
	usable := slices.ContainsFunc(t.room.nodes, func(n *roomNode) bool { return len(t.receiving) == 0 || t.receiving[n.Name] })
	if len(t.room.missing) > 0 && !t.started || !usable {
		t.stop = "waits for capacity: " + some(t.room.missing)
		if len(t.room.missing) == 0 {
			t.stop = "waits for capacity: no node is named that could take the pods"
		}
	}
}

// tainted reports whether a node bears our soft taint.
func tainted(n *fleet.Node) bool {
	return slices.ContainsFunc(n.Taints, func(taint fleet.Taint) bool { return taint.Key == fleet.TaintLeaving })
}

// cordon closes all leaving nodes at once, so that no pod moves twice, and
// makes the nodes whose turn comes later unattractive.
func (t *turn) cordon() {
	if t.stop != "" && !t.started || t.in.Hold != "" && !t.started {
		return
	}
	closing, refused := 0, ""
	for _, name := range slices.Concat(sortedKeys(t.leaving), sortedKeys(t.closing)) {
		n := t.nodes[name]
		if n == nil || n.Unschedulable {
			continue
		}
		closing++
		sent := t.do(Action{Kind: Cordon, Node: name, UID: n.UID, Reason: "it is to be emptied"}, Sent{})
		if !sent {
			refused = "node " + name + " cannot be cordoned: " + t.mem.Refusals[(&Sent{Kind: Cordon, Object: name, UID: n.UID}).key()].Message
		}
	}
	for _, name := range sortedKeys(t.later) {
		n := t.nodes[name]
		if n == nil || t.leaving[name] || t.receiving[name] || tainted(n) {
			continue
		}
		t.do(Action{Kind: SoftTaint, Node: name, UID: n.UID, Reason: "its turn comes later: pods should not move here only to move again"}, Sent{})
	}
	if closing > 0 && t.stop == "" {
		t.stop = "the nodes are being cordoned"
		if refused != "" {
			t.stop = refused
			t.troubles = append(t.troubles, trouble{"nodes", refused, true})
		}
	}
}

// plan chooses the move of every workload that has pods on leaving nodes and
// orders them, the longest job first.
func (t *turn) plan() {
	for _, key := range sortedKeys(t.workloads) {
		w := t.workloads[key]
		if len(w.leave) == 0 || w.Kind == fleet.DaemonSet {
			continue
		}
		p := t.choose(w)
		t.plans[w] = p
		t.steps[w] = steps(w, p) * startSeconds(w)
		t.touched = append(t.touched, w)
		t.pass.Findings = append(t.pass.Findings, p.findings...)
	}
	slices.SortStableFunc(t.touched, func(a, b *workload) int {
		return cmp.Or(cmp.Compare(t.steps[b], t.steps[a]), cmp.Compare(a.key, b.key))
	})
	// What already moves keeps on moving before anything new starts.
	slices.SortStableFunc(t.touched, func(a, b *workload) int { return cmp.Compare(t.idle(a), t.idle(b)) })
}

// idle is 0 for a workload under way and 1 for others.
func (t *turn) idle(w *workload) int {
	if _, ok := t.mem.Acted[w.key]; ok {
		return 0
	}
	return 1
}

// steps is how often the pods of a workload have to start one after another.
func steps(w *workload, p plan) int {
	switch p.move {
	case MoveRoll:
		return (len(w.pods) + p.weight - 1) / max(1, p.weight)
	case MoveOrdered:
		return len(w.leave)
	case MoveEvict, MoveSurge:
		at := max(1, w.base+p.surge-w.strategyRequires)
		for _, b := range w.budgets {
			at = min(at, max(1, b.allowsAt(p.surge)))
		}
		return (len(w.leave) + at - 1) / at
	case MoveWait, MoveRefuse, MoveDone, MoveBlocked:
	}
	return 0
}

// do adds an action to the pass unless the API refused it lately.
func (t *turn) do(a Action, s Sent) bool {
	s.Kind, s.UID, s.At = a.Kind, a.UID, t.now
	switch {
	case a.Pod != "":
		s.Object = a.Pod
	case a.Node != "":
		s.Object = a.Node
	default:
		s.Object = a.Workload
	}
	if r, ok := t.mem.Refusals[s.key()]; ok && t.now.Before(r.Next) {
		return false
	}
	t.pass.Actions = append(t.pass.Actions, a)
	t.mem.Sent = append(t.mem.Sent, s)
	return true
}

// refused returns what the API last said to an action that is not to be tried
// again yet.
func (t *turn) refused(kind ActionKind, object, uid string) (Refusal, bool) {
	r, ok := t.mem.Refusals[(&Sent{Kind: kind, Object: object, UID: uid}).key()]
	return r, ok && t.now.Before(r.Next)
}

// some joins the first few of a list and counts the rest.
func some(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, "; ")
	}
	return strings.Join(list[:most], "; ") + fmt.Sprintf("; and %d more", len(list)-most)
}
