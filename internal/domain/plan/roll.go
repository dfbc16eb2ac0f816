package plan

import (
	"fmt"
	"strconv"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// wholeSize reads how many nodes the original of a stand-in had that started
// with fewer; false for any other pool.
func wholeSize(standIn *fleet.Pool) (int, bool) {
	if standIn == nil {
		return 0, false
	}
	whole, err := strconv.Atoi(standIn.Tags[TagNodes])
	return whole, err == nil && whole > 0
}

// rollOver replaces a pool with few nodes more than it has: the green pool takes
// the pods of as many old nodes as it has room for; those are removed, the green
// pool grows by as many, and so on. All old nodes are closed from the start, so
// that every pod moves once. The last round is that of any other green pool.
//
// Before the first old node is removed the pool soaks; from then on there is no
// way back.
func (v *PoolView) rollOver(blue, green *fleet.Pool) (Step, bool) {
	whole, rolls := wholeSize(green)
	if !rolls || green.Count >= whole {
		return Step{}, false
	}
	if blue.Autoscaler != nil {
		return Step{Kind: StepFixSize, Target: blue.Name, Reason: "its autoscaler would answer the cordon with new nodes"}, true
	}
	if s, wait := reconcileFailed(blue); wait {
		return s, true
	}
	extra := max(1, v.Policy.ExtraNodes.Of(whole))
	// Nodes are believed, and so is the provider where it counts more of them.
	standing := max(blue.Count, len(v.nodesOf(blue.Name)))
	if grow := min(whole-green.Count, whole+extra-standing-green.Count); grow > 0 {
		return Step{
			Kind: StepScalePool, Target: green.Name, Count: green.Count + grow,
			Reason: fmt.Sprintf("%d of the %d old nodes are removed: as many new ones take their place", whole-standing, whole),
		}, true
	}
	vacant, batch := v.Vacant(blue.Name), v.Batch(blue.Name, green.Name)
	if len(vacant) > 0 && (len(batch) == 0 || len(vacant) >= extra || v.Stuck(blue.Name)) {
		if until := v.soakEnd(); standing >= whole && v.Now.Before(until) {
			return Step{Kind: StepSoak, Target: green.Name, Until: until, Reason: fmt.Sprintf("the pods of %d nodes of pool %s soak on pool %s before the first old node is removed", len(vacant), blue.Name, green.Name)}, true
		}
		return Step{
			Kind: StepDeleteNodes, Target: blue.Name, Nodes: vacant, PointOfNoReturn: true,
			Reason: fmt.Sprintf("%d nodes are empty; the way back ends when the first old node is removed", len(vacant)),
		}, true
	}
	if len(batch) == 0 {
		return Step{Kind: StepRefuse, Reason: fmt.Sprintf("no node of pool %s fits into what is free on pool %s; allow more nodes (extraNodes), or lower what its pods request", blue.Name, green.Name)}, true
	}
	return Step{
		Kind: StepEvacuate, Target: blue.Name, Receiving: green.Name, Nodes: batch,
		Reason: fmt.Sprintf("pods move from %d nodes of pool %s to pool %s", len(batch), blue.Name, green.Name),
	}, true
}
