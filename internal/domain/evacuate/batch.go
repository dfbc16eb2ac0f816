package evacuate

import (
	"cmp"
	"slices"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// headroom is the part of a node that a batch leaves free.
const headroom = 10

// Batch picks the nodes of a pool that are to be emptied now, where not all of
// them can be: as many as what is free on the receiving nodes can take, those
// with the fewest pods first, so that what was begun is finished. Of nodes that
// hold something, one is always picked when the receiving nodes are as good as
// empty: what does not fit in the end is said by the evacuation itself.
func Batch(s fleet.Snapshot, old, receiving []string) []string {
	wd := newWorld(Input{Snapshot: s, Leaving: old, Receiving: receiving})
	wd.room = wd.newRoom()
	wd.room.nodes = slices.DeleteFunc(wd.room.nodes, func(n *roomNode) bool { return !wd.receiving[n.Name] })
	for _, n := range wd.room.nodes { // the scheduler does not pack as well as we could
		n.free.MilliCPU -= n.Allocatable.MilliCPU / headroom
		n.free.Memory -= n.Allocatable.Memory / headroom
		n.free.Pods -= n.Allocatable.Pods / headroom
	}
	idle := true
	for i := range s.Pods {
		p := &s.Pods[i]
		if w := wd.workloads[p.Workload]; wd.receiving[p.Node] && !p.Finished() && (w == nil || w.Kind != fleet.DaemonSet) {
			idle = false
		}
	}
	pods := map[string][]*pod{}
	for _, name := range old {
		if n := wd.nodes[name]; n != nil && !n.Unschedulable {
			pods[name] = nil // also where it is empty, it has to be closed
		}
	}
	for _, p := range wd.moving {
		pods[p.Node] = append(pods[p.Node], p)
	}
	nodes := sortedKeys(pods)
	slices.SortStableFunc(nodes, func(a, b string) int { return cmp.Compare(len(pods[a]), len(pods[b])) })
	if len(nodes) > 0 && len(wd.room.missing) > 0 {
		return nodes[:1] // the evacuation says what it waits for; then it is decided anew
	}
	var batch []string
	placed := map[*pod]bool{}
	for _, name := range nodes {
		// Pods that no node suits are named by the evacuation; they take no room.
		goes := slices.Clone(pods[name])
		for _, p := range pods[name] {
			// A workload that can only be restarted takes all its pods along.
			if w := p.owner; w != nil && wd.onlyRolls(w) {
				goes = append(goes, w.leave...)
			}
		}
		suited := slices.DeleteFunc(goes, func(p *pod) bool {
			if placed[p] {
				return true
			}
			placed[p] = true
			zones, bound := wd.zones(p)
			return p.gone || !slices.ContainsFunc(wd.room.nodes, func(n *roomNode) bool { return wd.suits(p, n, zones, bound) })
		})
		if none := wd.placeAll(suited); none.why != "" && (!idle || len(batch) > 0) {
			break
		}
		batch = append(batch, name)
	}
	slices.Sort(batch)
	return batch
}

// onlyRolls reports whether a workload that is only partly affected could not be
// moved pod by pod, but would be restarted whole.
func (wd *world) onlyRolls(w *workload) bool {
	if w.Kind != fleet.Deployment || wd.cannotRoll(w) != "" {
		return false
	}
	_, why := wd.smallestSurge(w)
	return why != ""
}

// Vacant lists the nodes that are closed and hold nothing that would have to move.
func Vacant(s fleet.Snapshot, nodes []string) []string {
	wd := newWorld(Input{Snapshot: s, Leaving: nodes})
	held := map[string]bool{}
	for _, p := range wd.moving {
		held[p.Node] = true
	}
	var vacant []string
	for _, name := range nodes {
		if n := wd.nodes[name]; n != nil && n.Unschedulable && !held[name] {
			vacant = append(vacant, name)
		}
	}
	slices.Sort(vacant)
	return vacant
}
