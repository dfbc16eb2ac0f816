package rollout

import (
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// batch picks the nodes of a pool that are emptied next: those whose pods fit on
// the receiving pool, and those that are empty while what moved is not yet back.
func (pt *poolTurn) batch(leaving, receiving string) []string {
	old := pt.nodesOf(leaving)
	batch := evacuate.Batch(pt.snapshot, old, pt.nodesOf(receiving))
	if len(pt.vacant(leaving)) == 0 {
		batch = append(batch, evacuate.Vacant(pt.snapshot, old)...)
	}
	slices.Sort(batch)
	return slices.Compact(batch)
}

// vacant lists the nodes of a pool that are empty, if all that moved is back, or
// nothing moves any more for lack of room.
func (pt *poolTurn) vacant(pool string) []string {
	nodes := pt.nodesOf(pool)
	vacant := evacuate.Vacant(pt.snapshot, nodes)
	if len(vacant) == 0 {
		return nil
	}
	in := pt.evacuationInput(pool, "")
	in.Leaving, in.Closing = vacant, without(nodes, vacant)
	if evacuate.Next(in).Status != evacuate.StatusDone && !pt.stuck(pool) {
		return nil
	}
	return vacant
}

// stuckFor is how long no pod may get away before what is empty is removed to
// make room for the rest.
const stuckFor = time.Minute

// stuck reports whether the pods of a pool stand still.
func (pt *poolTurn) stuck(pool string) bool {
	ev := pt.pool.Evacuations[pool]
	return ev != nil && pt.now().Sub(ev.SeenAt) < unseen && pt.now().Sub(ev.Memory.LastProgress) > stuckFor
}

// firstEmptied reports whether a pool is empty or, where it is replaced with few
// nodes at a time, whether the first of its nodes are.
func (pt *poolTurn) firstEmptied() bool {
	standIn := plan.StandIn(&pt.c, pt.pool.Name)
	if original := pt.c.Pool(pt.pool.Name); original != nil && standIn != nil && standIn.Tags[plan.TagNodes] != "" && len(pt.nodesOf(pt.pool.Name)) > 0 {
		return len(pt.vacant(pt.pool.Name)) > 0 || pt.emptied(pt.pool.Name)
	}
	return pt.emptied(pt.pool.Name)
}

// without lists what is in one list and not in the other.
func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}
