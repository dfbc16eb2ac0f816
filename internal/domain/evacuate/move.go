package evacuate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// canary picks the nodes that are emptied alone first, and finds out when that
// is over. Only workloads with pods there move meanwhile.
func (t *turn) canary() {
	if t.in.Pace.CanaryNodes < 1 || t.mem.CanaryDone || t.in.Back || t.stop != "" {
		return
	}
	movable := map[string]int{}
	for _, w := range t.touched {
		p := t.plans[w]
		switch p.move {
		case MoveRoll, MoveSurge, MoveEvict, MoveOrdered:
		case MoveWait, MoveRefuse, MoveDone, MoveBlocked:
			continue
		}
		for _, q := range w.leave {
			if _, refused := p.refused[q]; !refused {
				movable[q.Node]++
			}
		}
	}
	if len(t.mem.Canary) == 0 {
		nodes := sortedKeys(movable)
		slices.SortStableFunc(nodes, func(a, b string) int { return cmp.Compare(movable[a], movable[b]) })
		t.mem.Canary = nodes[:min(len(nodes), t.in.Pace.CanaryNodes)]
		slices.Sort(t.mem.Canary)
	}
	left := 0
	for _, name := range t.mem.Canary {
		left += movable[name]
	}
	for _, p := range t.moving {
		if p.gone && slices.Contains(t.mem.Canary, p.Node) {
			left++
		}
	}
	if left == 0 && len(t.unproven) == 0 && len(t.troubles) == 0 {
		t.mem.CanaryDone = true
		return
	}
	t.canaryNodes = set(t.mem.Canary)
}

// moveAll gives every pod on a leaving node its verdict, and the pass the
// actions that move some of them.
func (t *turn) moveAll() {
	slices.SortStableFunc(t.troubles, func(a, b trouble) int { return cmp.Compare(a.object+a.what, b.object+b.what) })
	for _, tr := range t.troubles {
		if tr.grave {
			t.pass.Findings = append(t.pass.Findings, tr.finding())
		}
	}
	if t.stop == "" && len(t.troubles) > 0 && !t.in.Back {
		t.stop = "waits: " + t.troubles[0].object + " was moved, and its " + t.troubles[0].what
	}
	if t.stop == "" && t.in.Hold != "" {
		t.stop = t.in.Hold
	}
	for _, p := range t.moving {
		if p.gone {
			t.going(p)
		} else if p.owner == nil {
			t.bare(p)
		}
	}
	for _, w := range t.touched {
		t.move(w, t.plans[w])
	}
	t.moveFailing()
	slices.SortStableFunc(t.pass.Verdicts, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.UID, b.UID))
	})
}

// verdict records what was decided for a pod.
func (t *turn) verdict(p *pod, m Move, reason string) {
	v := Verdict{Pod: p.key, UID: p.UID, Node: p.Node, Workload: p.Workload, Move: m, Reason: reason}
	for _, b := range p.budgets {
		v.Budgets = append(v.Budgets, b.numbers())
	}
	if n := t.nodes[p.Node]; n != nil && !n.Ready && m != MoveRefuse {
		v.Reason += " (node " + p.Node + " is not Ready, so the pod serves nothing)"
	}
	t.pass.Verdicts = append(t.pass.Verdicts, v)
}

// verdicts records the same for several pods.
func (t *turn) verdicts(pods []*pod, m Move, reason string) {
	for _, p := range pods {
		t.verdict(p, m, reason)
	}
}

// going judges a pod that is on its way out.
func (t *turn) going(p *pod) {
	// The deletion timestamp is when the grace period ends.
	const late = time.Minute
	over := t.now.Sub(p.DeletedAt)
	if p.DeletedAt.IsZero() || over < late {
		t.verdict(p, MoveDone, "is terminating")
		return
	}
	why := "its kubelet has not confirmed that it stopped"
	remedy := remedies("look at the log of the pod and of its node's kubelet", "wait: it may need longer than its grace period",
		"delete it with --force, only when it is known to be down")
	if n := t.nodes[p.Node]; n != nil && !n.Ready {
		why = "node " + p.Node + " is not Ready and cannot confirm that it stopped"
		remedy = remedies("bring the node back", "once it is known to be down, taint it node.kubernetes.io/out-of-service",
			"delete the node object once its machine is gone")
	}
	if len(p.Finalizers) > 0 {
		why = fmt.Sprintf("it has finalizers: %v", p.Finalizers)
		remedy = remedies("see to it that the owners of its finalizers finish", "bring those owners up, if they do not run",
			"remove the finalizers by hand, only when it is known what they guard")
	}
	t.verdict(p, MoveBlocked, fmt.Sprintf("should have ended %s ago: %s", over.Truncate(time.Second), why))
	t.pass.Findings = append(t.pass.Findings, fleet.Finding{
		ID: "pod-stuck-terminating", Severity: fleet.Warning, Object: p.object(),
		What: "pod " + p.key + " on node " + p.Node + " does not end", Why: why, Remedy: remedy,
	})
}

// bare moves, or refuses, a pod without a controller.
func (t *turn) bare(p *pod) {
	r, findings := t.refuse(p)
	t.pass.Findings = append(t.pass.Findings, findings...)
	if r.move != "" {
		t.verdict(p, r.move, r.reason)
		return
	}
	if why := cmp.Or(t.mayStart(nil, []*pod{p}, 1), t.gated(nil, []*pod{p})); why != "" {
		t.verdict(p, MoveEvict, why)
		return
	}
	t.evict(p, nil, MoveEvict, r.reason)
}

// move carries a workload's plan on by what may be done now.
func (t *turn) move(w *workload, p plan) {
	if p.move == MoveWait || p.move == MoveRefuse || p.move == MoveBlocked {
		for _, q := range w.leave {
			r, ok := p.refused[q]
			switch {
			case ok && r.evict:
				t.released(w, q, r)
			case ok:
				t.verdict(q, r.move, r.reason)
			default:
				t.verdict(q, p.move, p.reason)
			}
		}
		return
	}
	pods := make([]*pod, 0, len(w.leave))
	for _, q := range w.leave {
		if r, ok := p.refused[q]; ok && !r.evict {
			t.verdict(q, r.move, r.reason)
			continue
		}
		pods = append(pods, q)
	}
	if !w.settled() && !t.oursRolling(w) && w.ProgressFailed == "" && !w.raised() {
		pods = slices.DeleteFunc(pods, func(q *pod) bool {
			ails := slices.Contains(failing, q.WaitingReason)
			if ails {
				t.failing = append(t.failing, q)
			}
			return ails
		})
		if a, ok := t.mem.Acted[w.key]; ok {
			t.verdicts(pods, a.Move, "waits until its controller has caught up")
		} else {
			t.verdicts(pods, MoveWait, "a rollout of its own is under way; what is left of it is moved afterwards")
		}
		return
	}
	switch p.move {
	case MoveRoll:
		t.roll(w, p, pods)
	case MoveSurge:
		t.surge(w, p, pods)
	case MoveEvict:
		t.evictSome(w, p, pods, len(pods))
	case MoveOrdered:
		t.ordered(w, p, pods)
	case MoveWait, MoveRefuse, MoveDone, MoveBlocked:
	}
}

// moveFailing evicts pods of unsettled workloads that do not start where they
// are: they would not settle by themselves. It comes last, when all else has
// moved, since they will fail elsewhere too (a rollback meets what failed on the
// way forth).
func (t *turn) moveFailing() {
	idle := len(t.pass.Actions) == 0 && t.motion == 0
	for _, p := range t.failing {
		reason := "fails where it is (" + p.WaitingReason + ") in a rollout that is not settled"
		if !idle {
			t.verdict(p, MoveEvict, reason+"; goes last")
			continue
		}
		t.tryEvict(p.owner, plan{move: MoveEvict, reason: reason}, p)
	}
}

// released evicts a single pod that was waited for, or whose loss was agreed to.
func (t *turn) released(w *workload, p *pod, r refusal) {
	if why := cmp.Or(t.mayStart(w, []*pod{p}, 1), t.gated(w, []*pod{p})); why != "" {
		t.verdict(p, MoveEvict, why)
		return
	}
	t.evict(p, w, MoveEvict, r.reason)
}

// mayStart says why a move of pods may not start now, or "".
func (t *turn) mayStart(w *workload, pods []*pod, weight int) string {
	if t.stop != "" {
		return t.stop
	}
	// What a Service needs elsewhere first keeps whole nodes from leaving their
	// load balancers, the canary among them.
	first := w != nil && t.balancers.lacks[w.key] != ""
	if t.canaryNodes != nil && !first && !slices.ContainsFunc(pods, func(p *pod) bool { return t.canaryNodes[p.Node] }) &&
		(w == nil || !slices.ContainsFunc(w.leave, func(p *pod) bool { return t.canaryNodes[p.Node] })) {
		return "waits until canary node " + t.mem.Canary[0] + " is empty and what moved from it is healthy"
	}
	if t.motion > 0 && t.motion+weight > t.limit {
		return fmt.Sprintf("waits: %d pods are in motion, and the pace is %d at once", t.motion, t.limit)
	}
	return ""
}

// roll restarts a workload, or follows a restart.
func (t *turn) roll(w *workload, p plan, pods []*pod) {
	a := t.mem.Acted[w.key]
	switch {
	case !w.settled():
		t.verdicts(pods, MoveRoll, fmt.Sprintf("is being restarted: %d of %d pods are new, %d of %d it requires are Ready",
			w.Updated, w.Replicas, w.available, t.required(w)))
		return
	case a.Move == MoveRoll && t.now.Sub(a.At) < staleAfter:
		t.verdicts(pods, MoveRoll, "its restart was asked for")
		return
	case a.Move == MoveRoll && w.shrinking():
		// Pods are read before their Deployment: it may be done by now, and
		// another restart would move every pod once more.
		t.verdicts(pods, MoveRoll, "was restarted: goes, since the new pods are Ready")
		return
	case a.Move == MoveRoll && a.Tries >= 3:
		t.verdicts(pods, MoveBlocked, fmt.Sprintf("was restarted %d times, and its pods still come up on leaving nodes", a.Tries))
		return
	}
	if r, no := t.refused(Roll, w.key, w.UID); no {
		t.obstruct(pods[0], r.Message, "its restart was refused: "+r.Message)
		t.verdicts(pods, MoveBlocked, "its restart was refused: "+r.Message)
		return
	}
	if why := cmp.Or(t.mayStart(w, pods, p.weight), t.gated(w, pods)); why != "" {
		t.verdicts(pods, MoveRoll, why)
		return
	}
	// Without room nothing breaks, since the new pod comes first; so when
	// nothing else moves it is tried, and an autoscaler may see it. But no pod
	// may push out another one, and where emptied nodes make room it comes yet.
	if none := t.placeAll(pods); none.why != "" && (none.never || t.motion > 0 || p.accepted || len(t.closing) > 0 || t.preempts(pods[0])) {
		t.unplaced(pods, MoveRoll, none)
		return
	}
	t.do(Action{
		Kind: Roll, Workload: w.key, UID: w.UID, Shape: p.shape, Reason: p.reason,
		Token: t.in.Rollout + "/" + t.now.UTC().Format("20060102T150405.000Z"),
	}, Sent{Workload: w.key, Owner: w.UID, Move: MoveRoll, Weight: p.weight, Before: w.available})
	t.motion += p.weight
	t.verdicts(pods, MoveRoll, p.reason)
}

// unplaced says that pods have no place to go to.
func (t *turn) unplaced(pods []*pod, m Move, none noRoom) {
	if none.never {
		m = MoveBlocked
		t.pass.Findings = append(t.pass.Findings, noNode(pods[0], none.why))
	} else {
		t.obstacles = append(t.obstacles, obstacle{pod: pods[0], room: true, why: "it has no place to go to: " + none.why})
	}
	t.verdicts(pods, m, "has no place to go to: "+none.why)
}

// noNode is the finding for a pod that no receiving node suits.
func noNode(p *pod, why string) fleet.Finding {
	return fleet.Finding{
		ID: "pod-no-node", Severity: fleet.Blocker, Object: p.object(),
		What:   "pod " + p.key + " would find no node",
		Why:    why,
		Remedy: remedies("add nodes with the labels, taints and zones that it needs", "give the pool's taints and labels to the new nodes", "loosen what it asks for"),
	}
}
