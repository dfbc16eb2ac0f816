package evacuate

import (
	"fmt"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// plan is how one workload's pods are to be moved when nothing stands in the
// way at the moment.
type plan struct {
	move   Move
	reason string
	// shape, weight: of a Roll. weight is how many pods it puts in motion.
	shape  *Shape
	weight int
	// surge is how many pods a Surge adds.
	surge int
	// accepted: the owner accepted the outage, so the workload's own strategy
	// is not a limit.
	accepted bool
	// serial: the next pod goes only when the one before is back.
	serial bool
	// refused holds pods that are not moved although the others are.
	refused map[*pod]refusal
	// finding is what has to be said about the workload, if anything.
	findings []fleet.Finding
}

// refusal is why a pod is not moved.
type refusal struct {
	move   Move // MoveRefuse, MoveWait or MoveBlocked
	reason string
	// evict: the pod waited long enough, or its owner agreed: it may be evicted.
	evict bool
}

// choose picks the move of a workload that has pods on leaving nodes.
func (wd *world) choose(w *workload) plan {
	var p plan
	switch w.Kind {
	case fleet.Deployment, fleet.ReplicaSet:
		if p, refused := wd.refuseAll(w); refused {
			return p
		}
		p = wd.chooseReplicated(w)
	case fleet.StatefulSet:
		p = wd.chooseStateful(w)
		if p.move == MoveRoll {
			if p, refused := wd.refuseAll(w); refused {
				return p
			}
			return p
		}
		p.refused = wd.refuseSome(w, &p)
	case fleet.Job:
		p = plan{move: MoveWait, reason: "runs a Job, which is never restarted"}
		p.refused = wd.refuseSome(w, &p)
	case fleet.Other, fleet.DaemonSet:
		p = wd.chooseOther(w)
		p.refused = wd.refuseSome(w, &p)
	}
	return p
}

// refuseAll refuses a whole workload for one pod of it: its pods are alike.
func (wd *world) refuseAll(w *workload) (plan, bool) {
	for _, p := range w.leave {
		if r, f := wd.refuse(p); r.move != "" {
			return plan{move: r.move, reason: r.reason, findings: f}, true
		}
	}
	return plan{}, false
}

// refuseSome refuses single pods of a workload whose pods move one by one.
func (wd *world) refuseSome(w *workload, to *plan) map[*pod]refusal {
	out := map[*pod]refusal{}
	for _, p := range w.leave {
		if r, f := wd.refuse(p); r.move != "" || r.evict {
			out[p] = r
			to.findings = append(to.findings, f...)
		}
	}
	return out
}

// chooseReplicated picks the move of a Deployment or ReplicaSet.
func (wd *world) chooseReplicated(w *workload) plan {
	accepted := wd.in.accepted("workload-outage-unavoidable", w.key)
	if claim := wd.exclusiveClaim(w); claim != "" {
		return wd.chooseExclusive(w, claim, accepted)
	}
	if w.Kind == fleet.Deployment && w.Strategy == "Recreate" {
		return wd.chooseRecreate(w, accepted)
	}
	if w.Kind == fleet.Deployment && w.ProgressFailed != "" && !wd.oursRolling(w) {
		return plan{
			move: MoveEvict, reason: "its own rollout is stuck, so it is not restarted",
			findings: []fleet.Finding{stuckRollout(w)},
		}
	}
	if w.raised() {
		return plan{
			move: MoveSurge, surge: max(0, int(w.Replicas)-w.base), accepted: accepted,
			reason: fmt.Sprintf("it was raised from %d to %d replicas", w.base, w.Replicas),
		}
	}
	if wd.scalerSlow(w) {
		return plan{move: MoveSurge, surge: 1, reason: "its surge is over, and its autoscaler has yet to scale it down"}
	}
	if service := wd.balancers.lacks[w.key]; service != "" && !wd.oursRolling(w) {
		if p, ok := wd.openByOne(w, service); ok {
			return p
		}
	}
	cannotRoll := wd.cannotRoll(w)
	if cannotRoll == "" && (len(w.stay) == 0 || wd.oursRolling(w)) {
		return wd.roll(w, "all its pods are on leaving nodes")
	}
	surge, cannotSurge := wd.smallestSurge(w)
	switch {
	case cannotSurge == "" && surge == 0:
		return plan{move: MoveEvict, reason: "its budgets and its strategy allow it"}
	case cannotSurge == "":
		return plan{
			move: MoveSurge, surge: surge,
			reason: fmt.Sprintf("with %d more than its %d, its budgets and its strategy allow an eviction", surge, w.base),
		}
	case cannotRoll == "":
		return wd.roll(w, cannotSurge)
	}
	if len(w.stay) > 0 {
		cannotRoll = "it cannot be restarted either: " + cannotRoll
	}
	return wd.unavoidable(w, accepted, cannotSurge+"; "+cannotRoll)
}

// openByOne plans a surge for a workload behind a Service that keeps traffic on
// its node: a pod more is Ready on a node that stays while all the old ones still
// serve, so that their nodes can leave the load balancers first. A restart would
// take an old pod as soon as the first new one is Ready.
func (wd *world) openByOne(w *workload, service string) (plan, bool) {
	surge, why := wd.smallestSurge(w)
	surge = max(1, surge)
	if why != "" || w.cannotRaise(surge) != "" {
		return plan{}, false
	}
	return plan{
		move: MoveSurge, surge: surge,
		reason: fmt.Sprintf("with %d more than its %d, Service %s (externalTrafficPolicy Local) gets its endpoint on a node that stays first", surge, w.base, service),
	}, true
}

// cannotRoll says why a workload cannot be restarted with surge, or "".
func (wd *world) cannotRoll(w *workload) string {
	switch {
	case w.Kind == fleet.ReplicaSet:
		return "a ReplicaSet without a Deployment cannot be restarted"
	case w.Kind != fleet.Deployment:
		return "a " + string(w.Kind) + " cannot be restarted with surge"
	case w.Manager != "":
		return w.Manager + " would put back what a restart changes"
	case w.Paused:
		return "its rollout is paused"
	case w.Strategy == "Recreate":
		return "its strategy is Recreate"
	}
	return ""
}

// roll plans a restart that keeps what the workload requires. A restart obeys
// its strategy and sees no budget, so the strategy must keep the budgets too.
func (wd *world) roll(w *workload, reason string) plan {
	n := int(w.Replicas)
	required := wd.required(w)
	own := strategyOf(w.Workload, n)
	surge, unavailable := own.maxSurge, min(own.maxUnavailable, max(0, n-required))
	for _, b := range w.budgets {
		if b.shared() {
			unavailable = 0 // several restarts cannot share out what one budget allows
		}
	}
	bound := wd.surgeBound(w, n)
	if wd.in.Policy.MaxSurge != (fleet.Amount{}) && own.maxSurge > 0 {
		surge = max(surge, min(bound, n)) // more surge buys speed
	}
	if unavailable == 0 && surge == 0 {
		surge = 1 // an owner who wants no surge still wants the budget more
	}
	limit := wd.paceLimit()
	surge = min(surge, limit)
	unavailable = min(unavailable, limit-surge)

	p := plan{move: MoveRoll, reason: reason, weight: min(n, surge+unavailable)}
	if surge != own.maxSurge || unavailable != own.maxUnavailable {
		p.shape = &Shape{MaxUnavailable: int32(unavailable), MaxSurge: int32(surge)}
		p.reason += fmt.Sprintf("; it is restarted with maxUnavailable %d and maxSurge %d, since it requires %d of %d and %d pods may be in motion",
			unavailable, surge, required, n, limit)
	}
	return p
}

// surgeBound is how far the policy lets a workload be raised: by default as far
// as its own strategy does, and at least by one.
func (wd *world) surgeBound(w *workload, replicas int) int {
	if wd.in.Policy.MaxSurge == (fleet.Amount{}) {
		return max(1, strategyOf(w.Workload, replicas).maxSurge)
	}
	return wd.in.Policy.MaxSurge.Of(replicas)
}

// smallestSurge is the smallest number of additional replicas with which the
// workload's budget, worked out anew at that size, allows one eviction and its
// own strategy is kept as well; 0 when none are needed. Otherwise it says why
// no number does.
func (wd *world) smallestSurge(w *workload) (extra int, why string) {
	if len(w.budgets) > 1 && wd.overlap(w) {
		return 0, "its pods are selected by several budgets (" + budgetNames(w.budgets) + "), which the eviction API refuses always"
	}
	bound := wd.surgeBound(w, w.base)
	fits := func(k int) bool {
		if w.base+k-1 < w.strategyRequires {
			return false
		}
		for _, b := range w.budgets {
			if b.allowsAt(k) < 1 || k == 0 && b.stuck() && !w.raised() {
				return false
			}
		}
		return true
	}
	for k := 0; k <= bound; k++ {
		if !fits(k) {
			continue
		}
		if k > 0 {
			if why := w.cannotRaise(k); why != "" {
				return 0, why
			}
		}
		return k, ""
	}
	for k := bound + 1; k <= bound+w.base+1; k++ {
		if fits(k) {
			return 0, fmt.Sprintf("its budgets would allow an eviction at %d replicas more, but the policy allows %d", k, bound)
		}
	}
	return 0, "its budget (" + rules(w.budgets) + ") allows no eviction at any number of replicas"
}

// cannotRaise says why the workload's replicas cannot be raised by k, or "".
func (w *workload) cannotRaise(k int) string {
	switch {
	case w.Manager != "":
		return w.Manager + " would put its number of replicas back"
	case w.Scaler == nil:
		return ""
	case w.Scaler.Kind != "HorizontalPodAutoscaler" && w.Scaler.Kind != "ScaledObject":
		return "its number of replicas belongs to the " + w.Scaler.Kind + " " + w.Scaler.Name
	case int(w.Scaler.Max) < w.base+k:
		return fmt.Sprintf("its %s %s allows %d replicas at most", w.Scaler.Kind, w.Scaler.Name, w.Scaler.Max)
	}
	return ""
}

// overlap reports whether any single leaving pod is selected by several budgets.
func (wd *world) overlap(w *workload) bool {
	for _, p := range w.leave {
		if len(p.budgets) > 1 {
			return true
		}
	}
	return false
}

// exclusiveClaim returns a claim of a leaving pod that a second pod on another
// node could not mount: ReadWriteOnce, or one that the snapshot does not hold.
func (wd *world) exclusiveClaim(w *workload) string {
	for _, p := range w.leave {
		for _, name := range p.Claims {
			c := wd.claims[p.Namespace+"/"+name]
			if c == nil || c.ReadWriteOnce {
				return name
			}
		}
	}
	return ""
}

// chooseExclusive picks the move of a Deployment on a volume that only one node
// can mount: its pods stop here before one can start there.
func (wd *world) chooseExclusive(w *workload, claim string, accepted bool) plan {
	why := "its volume " + claim + " can be mounted on one node only, so the old pods stop before new ones start"
	if c := wd.claims[w.Namespace+"/"+claim]; c == nil {
		why = "its volume claim " + claim + " was not found, so it is taken to be one that only one node can mount"
	}
	switch {
	case wd.required(w) > 0 && !accepted:
		return plan{move: MoveBlocked, reason: why, findings: []fleet.Finding{wd.outage(w, fleet.Blocker, why)}}
	case len(w.budgets) > 0 && accepted && wd.required(w) > 0:
		if w.Manager != "" || w.Kind != fleet.Deployment || w.Paused {
			return plan{
				move: MoveBlocked, reason: why + "; " + rules(w.budgets) + " refuses evictions, and it cannot be restarted",
				findings: []fleet.Finding{wd.outage(w, fleet.Blocker, why)},
			}
		}
		return plan{
			move: MoveRoll, reason: why + " (accepted)", accepted: true, weight: int(w.Replicas),
			shape:    stopFirst(w),
			findings: []fleet.Finding{wd.outage(w, fleet.Warning, why)},
		}
	}
	return plan{
		move: MoveOrdered, reason: why, accepted: true,
		findings: []fleet.Finding{wd.outage(w, fleet.Warning, why)},
	}
}

// stopFirst is the strategy with which a restart stops all pods before it
// starts any; a Recreate strategy does so by itself.
func stopFirst(w *workload) *Shape {
	if w.Strategy == "Recreate" {
		return nil
	}
	return &Shape{MaxUnavailable: max(1, w.Replicas)}
}

// chooseRecreate picks the move of a Deployment that by its own strategy may be
// down, and must never run twice.
func (wd *world) chooseRecreate(w *workload, accepted bool) plan {
	f := wd.outage(w, fleet.Warning, "its strategy is Recreate: the old pods stop before new ones start, and by that it requires none")
	f.ID = "workload-recreate"
	blocked := false
	for _, b := range w.budgets {
		blocked = blocked || b.allowsAt(0) < 1 || b.stuck()
	}
	if !blocked && !wd.overlap(w) {
		return plan{move: MoveEvict, reason: "its strategy is Recreate: by that it requires none", findings: []fleet.Finding{f}}
	}
	if accepted && w.Manager == "" && !w.Paused {
		return plan{
			move: MoveRoll, reason: "its strategy is Recreate, its budget allows no eviction, and its outage was accepted",
			accepted: true, weight: int(w.Replicas), findings: []fleet.Finding{f},
		}
	}
	return wd.unavoidable(w, false, "its strategy is Recreate, so it cannot run twice, and "+rules(w.budgets)+" allows no eviction")
}

// chooseStateful picks the move of a StatefulSet: one pod at a time.
func (wd *world) chooseStateful(w *workload) plan {
	accepted := wd.in.accepted("workload-outage-unavoidable", w.key)
	why := ""
	if wd.overlap(w) {
		why = "its pods are selected by several budgets (" + budgetNames(w.budgets) + "), which the eviction API refuses always"
	}
	for _, b := range w.budgets {
		if b.allowsAt(0) < 1 || b.stuck() {
			why = "a StatefulSet stops a pod before it starts the next one, and " + rules(w.budgets) + " allows none to stop"
		}
	}
	if why == "" {
		p := plan{move: MoveOrdered, reason: "one pod at a time, highest ordinal first", serial: true, accepted: accepted}
		if w.base == 1 {
			p.findings = []fleet.Finding{wd.outage(w, fleet.Warning, "it has one pod, and a StatefulSet stops it before it starts it elsewhere")}
		}
		return p
	}
	if accepted && w.Manager == "" && w.Strategy == "RollingUpdate" && w.Partition == 0 {
		return plan{
			move: MoveRoll, reason: why + "; its outage was accepted, so it is restarted pod by pod", accepted: true, weight: 1,
			findings: []fleet.Finding{wd.outage(w, fleet.Warning, why)},
		}
	}
	return wd.unavoidable(w, false, why)
}

// chooseOther picks the move of a workload that belongs to something Liftlock
// does not know.
func (wd *world) chooseOther(w *workload) plan {
	why := ""
	if wd.overlap(w) {
		why = "its pods are selected by several budgets (" + budgetNames(w.budgets) + "), which the eviction API refuses always"
	}
	for _, b := range w.budgets {
		if b.allowsAt(0) < 1 || b.stuck() {
			why = rules(w.budgets) + " allows no eviction, and Liftlock does not patch what it does not know"
		}
	}
	if why != "" {
		return wd.unavoidable(w, false, why)
	}
	return plan{move: MoveEvict, serial: true, reason: "its controller is not one that Liftlock knows: one pod at a time"}
}

// unavoidable is the plan for a workload that no move keeps up. With its
// owner's acceptance it is evicted if only its own strategy stood in the way.
func (wd *world) unavoidable(w *workload, accepted bool, why string) plan {
	budgetForbids := wd.overlap(w)
	for _, b := range w.budgets {
		budgetForbids = budgetForbids || b.allowsAt(0) < 1 || b.stuck()
	}
	if accepted && !budgetForbids {
		return plan{
			move: MoveEvict, accepted: true, reason: why + " (accepted)",
			findings: []fleet.Finding{wd.outage(w, fleet.Warning, why)},
		}
	}
	f := wd.outage(w, fleet.Blocker, why)
	switch {
	case wd.overlap(w):
		f.ID = "budget-overlap"
		f.Remedy = remedies("merge "+budgetNames(w.budgets)+" into one budget", "narrow their selectors, so that each pod has one",
			"let its owner restart it after the nodes are cordoned")
		f.OutageSeconds = 0
	case budgetForbids:
		f.ID = "budget-allows-none"
		for _, b := range w.budgets {
			f.Why += "; " + b.String()
		}
		f.Remedy = remedies("raise its replicas by one", "let "+budgetNames(w.budgets)+" allow one disruption (maxUnavailable 1)",
			"let its owner restart it after the nodes are cordoned")
		if w.Kind == fleet.StatefulSet || w.Strategy == "Recreate" {
			f.ID = "workload-outage-unavoidable"
			f.Remedy += "; or accept its outage"
		}
	}
	return plan{move: MoveBlocked, reason: why, findings: []fleet.Finding{f}}
}

// oursRolling reports whether a restart of ours is under way or was made.
func (wd *world) oursRolling(w *workload) bool {
	if w.shaped() {
		return true
	}
	if a, ok := wd.in.Memory.Acted[w.key]; ok && a.UID == w.UID && a.Move == MoveRoll {
		return true
	}
	if w.settled() {
		return false
	}
	for _, p := range w.pods {
		if !p.leaving && wd.ours(p) {
			return true
		}
	}
	return false
}

// startSeconds is how long pods of a workload took to become Ready, at the
// most, as far as the snapshot tells.
func startSeconds(w *workload) int {
	longest := time.Duration(0)
	for _, p := range w.pods {
		if p.Ready && p.ReadySince.After(p.CreatedAt) && !p.CreatedAt.IsZero() {
			longest = max(longest, p.ReadySince.Sub(p.CreatedAt))
		}
	}
	const usual, most = 30, 15 * 60 // a pod that became Ready again after days did not start that long
	if longest == 0 || longest > most*time.Second {
		return usual
	}
	return int((longest + time.Second - 1) / time.Second)
}
