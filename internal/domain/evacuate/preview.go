package evacuate

import (
	"cmp"
	"slices"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Preview says beforehand how every pod on the leaving nodes will move when
// nothing unforeseen happens, how many there are of each move, and what needs
// an owner's word, with remedies. Where receiving nodes are not there yet, the
// cluster's other nodes are not judged in their place.
func Preview(in Input) (moves map[Move]int, verdicts []Verdict, findings []fleet.Finding) {
	t := newTurn(in)
	t.room = t.newRoom()
	t.plan()
	findings = t.pass.Findings
	for _, p := range t.moving {
		switch {
		case p.gone:
			t.verdict(p, MoveDone, "is terminating")
		case p.owner == nil:
			r, f := t.refuse(p)
			findings = append(findings, f...)
			t.verdict(p, cmp.Or(r.move, MoveEvict), r.reason)
		}
	}
	for _, w := range t.touched {
		plan := t.plans[w]
		for _, p := range w.leave {
			r, ok := plan.refused[p]
			switch {
			case ok && r.evict:
				t.verdict(p, MoveEvict, r.reason)
			case ok:
				t.verdict(p, r.move, r.reason)
			default:
				t.verdict(p, plan.move, plan.reason)
			}
		}
	}
	if len(in.Receiving) > 0 && len(t.room.missing) == 0 {
		for _, w := range t.touched {
			for _, p := range w.leave {
				if n, none := t.place(p); n == nil && none.never {
					findings = append(findings, noNode(p, none.why))
					break // its other pods ask for the same
				}
			}
		}
	}
	slices.SortStableFunc(t.pass.Verdicts, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.UID, b.UID))
	})
	moves = map[Move]int{}
	for _, v := range t.pass.Verdicts {
		moves[v.Move]++
	}
	return moves, t.pass.Verdicts, sortFindings(findings)
}
