package evacuate

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// evictSome evicts as many of the pods as budgets, strategy, pace and room
// allow now, unready ones first since they serve nothing. It returns how many.
func (t *turn) evictSome(w *workload, p plan, pods []*pod, most int) int {
	if p.serial {
		if why := t.unsettledSerial(w); why != "" {
			t.verdicts(pods, p.move, why)
			return 0
		}
		most = 1
	}
	order := slices.Clone(pods)
	slices.SortStableFunc(order, func(a, b *pod) int {
		return cmp.Or(cmp.Compare(readiness(a), readiness(b)), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.key, b.key))
	})
	sent := 0
	for _, q := range order {
		if sent >= most {
			t.verdict(q, p.move, p.reason+"; waits for the one before")
			continue
		}
		if ok, _ := t.tryEvict(w, p, q); ok {
			sent++
		}
	}
	return sent
}

// readiness orders pods: 0 for one that serves nothing.
func readiness(p *pod) int {
	if p.Ready {
		return 1
	}
	return 0
}

// unsettledSerial says why the next pod of a workload that moves one by one
// has to wait, or "".
func (t *turn) unsettledSerial(w *workload) string {
	for _, p := range w.pods {
		if p.gone {
			return "waits until pod " + p.key + " has ended"
		}
	}
	if a, ok := t.mem.Acted[w.key]; ok && w.available < a.Before {
		return fmt.Sprintf("waits until %d of its pods are Ready again (%d are)", a.Before, w.available)
	}
	return ""
}

// tryEvict evicts one pod if everything allows it. blocked is set where waiting
// for others would not help, so that they need not wait for it either.
func (t *turn) tryEvict(w *workload, p plan, q *pod) (sent, blocked bool) {
	if r, no := t.refused(Evict, q.key, q.UID); no {
		t.obstruct(q, r.Message, "its eviction was refused: "+r.Message)
		t.verdict(q, MoveBlocked, fmt.Sprintf("its eviction was refused (%d times, tried again at %s): %s",
			r.Times, r.Next.UTC().Format(time.TimeOnly), r.Message))
		return false, true
	}
	if why := cmp.Or(t.mayStart(w, []*pod{q}, 1), t.gated(w, []*pod{q})); why != "" {
		t.verdict(q, p.move, why)
		return false, false
	}
	if t.available(q) && !p.accepted && w.available-1 < t.keeps(w) {
		why := fmt.Sprintf("%d of its pods are Ready and %d are required", w.available, t.keeps(w))
		t.obstruct(q, "", why)
		t.verdict(q, p.move, "waits: "+why)
		return false, false
	}
	ok, costs, why := q.admits()
	if !ok {
		t.obstruct(q, "", why)
		t.verdict(q, p.move, "waits: "+why)
		return false, false
	}
	if n, none := t.place(q); n == nil {
		t.unplaced([]*pod{q}, p.move, none)
		return false, none.never
	}
	if costs {
		q.budgets[0].left--
	}
	t.evict(q, w, p.move, p.reason)
	return true, false
}

// keeps is how many available pods a move must leave of a workload.
func (t *turn) keeps(w *workload) int { return t.required(w) }

// evict sends the eviction of a pod.
func (t *turn) evict(p *pod, w *workload, m Move, reason string) {
	s := Sent{Move: m, Weight: 1}
	a := Action{Kind: Evict, Pod: p.key, UID: p.UID, Workload: p.Workload, Reason: reason}
	if w != nil {
		s.Workload, s.Owner, s.Before = w.key, w.UID, w.available
		s.Ailing = slices.Contains(failing, p.WaitingReason) || w.ProgressFailed != ""
		if t.available(p) {
			w.available--
		}
	}
	if t.do(a, s) {
		t.motion++
	}
	t.verdict(p, m, reason)
}

// ordered moves pods whose successors need the same name or volume.
func (t *turn) ordered(w *workload, p plan, pods []*pod) {
	if !p.serial {
		t.evictSome(w, p, pods, len(pods))
		return
	}
	if why := t.unreadyElsewhere(w); why != "" {
		if len(pods) > 0 {
			t.obstruct(pods[0], "", why)
		}
		t.verdicts(pods, MoveOrdered, why)
		return
	}
	if why := t.mayReplace(w); why != "" {
		t.verdicts(pods, MoveOrdered, why)
		return
	}
	order := slices.Clone(pods)
	slices.SortStableFunc(order, func(a, b *pod) int {
		return cmp.Or(cmp.Compare(readiness(a), readiness(b)), cmp.Compare(ordinal(b.Name), ordinal(a.Name)), cmp.Compare(a.key, b.key))
	})
	tried := false // a pod that is blocked keeps no other from its turn
	for _, q := range order {
		if tried {
			t.verdict(q, MoveOrdered, "waits for its turn: "+p.reason)
			continue
		}
		_, blocked := t.tryEvict(w, p, q)
		tried = !blocked
	}
}

// unreadyElsewhere says which pod of a StatefulSet has to be back before the
// next may go, or "".
func (t *turn) unreadyElsewhere(w *workload) string {
	for _, p := range w.pods {
		if p.gone {
			return "waits until pod " + p.key + " has ended"
		}
	}
	if n := len(w.leave) + len(w.stay); n < int(w.Replicas) {
		return fmt.Sprintf("waits until all its pods exist (%d of %d)", n, w.Replicas)
	}
	for _, p := range w.stay {
		if !t.available(p) {
			return "waits until pod " + p.key + " is Ready"
		}
		for _, name := range p.Claims {
			c := t.claims[p.Namespace+"/"+name]
			if c != nil && len(c.AttachedTo) > 0 && !slices.Contains(c.AttachedTo, p.Node) {
				return "waits until volume " + name + " is attached to node " + p.Node
			}
		}
	}
	return ""
}
