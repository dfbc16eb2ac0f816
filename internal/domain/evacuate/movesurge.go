package evacuate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// surge raises a workload, evicts what the larger size allows, and lets the
// last old pods go with the scale-down, so that no pod moves twice.
func (t *turn) surge(w *workload, p plan, pods []*pod) {
	if !w.raised() {
		t.raise(w, p, pods)
		return
	}
	ready := 0
	for _, q := range w.stay {
		if t.available(q) {
			ready++
		}
	}
	if ready < len(w.stay) || len(w.leave)+len(w.stay) < int(w.Replicas) {
		if len(pods) > 0 {
			t.obstruct(pods[0], "", fmt.Sprintf("%d of its other pods are Ready, and %d are wanted before one goes", ready, int(w.Replicas)-len(w.leave)))
		}
		t.verdicts(pods, MoveSurge, fmt.Sprintf("%s; waits until all its other pods are Ready (%d of %d)",
			p.reason, ready, int(w.Replicas)-len(w.leave)))
		return
	}
	extra := max(1, int(w.Replicas)-w.base)
	if w.scalerRaised() {
		if before, ok := markedNumber(w.Scaler.Annotations, fleet.MarkScalerMin); ok {
			extra = max(1, min(extra, int(w.Scaler.Min)-before))
		}
	}
	if len(pods) > extra && t.stop == "" {
		if t.evictSome(w, p, pods[:len(pods)-extra], len(pods)-extra) > 0 || !t.deadlocked(w) {
			t.verdicts(pods[len(pods)-extra:], MoveSurge, "goes with the scale-down at the end")
			return
		}
		t.pass.Verdicts = t.pass.Verdicts[:len(t.pass.Verdicts)-(len(pods)-extra)]
	}
	t.finishSurge(w, pods, min(extra, len(pods)))
}

// deadlocked reports whether a raised workload is entirely healthy and its
// budgets still allow nothing.
func (t *turn) deadlocked(w *workload) bool {
	return slices.ContainsFunc(w.budgets, (*budget).stuck)
}

// finishSurge lets the scale-down take old pods: they are preferred for it
// first, and it is asked for once the cluster shows that.
func (t *turn) finishSurge(w *workload, pods []*pod, extra int) {
	if why := t.gated(w, pods[:extra]); why != "" {
		t.verdicts(pods, MoveSurge, why)
		return
	}
	preferred := 0
	for _, q := range pods[:extra] {
		if _, ok := q.Annotations[fleet.MarkDeletionCost]; ok {
			preferred++
			continue
		}
		t.do(Action{
			Kind: PreferDelete, Pod: q.key, UID: q.UID, Workload: w.key,
			Reason: "the scale-down that ends the surge is to take it",
		}, Sent{})
	}
	if preferred == extra {
		t.restoreSurge(w, "all its other pods are Ready, and the scale-down takes the old ones")
	}
	t.verdicts(pods[:extra], MoveSurge, "goes with the scale-down that ends the surge")
	t.verdicts(pods[extra:], MoveSurge, cmp.Or(t.stop, "waits for the next surge"))
}

// raise starts a surge.
func (t *turn) raise(w *workload, p plan, pods []*pod) {
	if w.shrinking() || t.scalerSlow(w) {
		t.verdicts(pods, MoveSurge, "waits for the scale-down that ends its surge")
		return
	}
	if a := t.mem.Acted[w.key]; a.Move == MoveSurge && t.now.Sub(a.At) < staleAfter && a.Looks == 0 {
		t.verdicts(pods, MoveSurge, "its surge was asked for")
		return
	}
	if r, no := t.refused(Surge, w.key, w.UID); no {
		t.obstruct(pods[0], r.Message, "its surge was refused: "+r.Message)
		t.verdicts(pods, MoveBlocked, "its surge was refused: "+r.Message)
		return
	}
	if why := t.mayStart(w, pods, p.surge); why != "" {
		t.verdicts(pods, MoveSurge, why)
		return
	}
	if none := t.placeAll(pods[:min(p.surge, len(pods))]); none.why != "" && (none.never || t.motion > 0 || len(t.closing) > 0 || t.preempts(pods[0])) {
		t.unplaced(pods, MoveSurge, none)
		return
	}
	action := Action{
		Kind: Surge, Workload: w.key, UID: w.UID, Replicas: w.Replicas + int32(p.surge), Reason: p.reason,
	}
	if w.Scaler != nil {
		action.Scaler = w.Scaler.Name
	}
	t.do(action, Sent{Workload: w.key, Owner: w.UID, Move: MoveSurge, Weight: p.surge, Base: w.base, Before: w.available})
	t.motion += p.surge
	t.verdicts(pods, MoveSurge, p.reason)
}

// scalerSlow reports whether an autoscaler that got its bounds back has yet to
// scale down: all that is left is marked for that.
func (wd *world) scalerSlow(w *workload) bool {
	a, ok := wd.in.Memory.Acted[w.key]
	if w.Scaler == nil || !ok || a.Move != MoveSurge || a.Base == 0 || int(w.Replicas) <= a.Base {
		return false
	}
	const slow = 2 * time.Minute
	return wd.now.Sub(a.At) < slow && !slices.ContainsFunc(w.leave, func(p *pod) bool {
		_, marked := p.Annotations[fleet.MarkDeletionCost]
		return !marked
	})
}
