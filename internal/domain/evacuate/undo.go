package evacuate

import (
	"slices"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Undo lists the actions that take back what evacuations left on a cluster,
// from the marks alone: surges, shaped strategies, deletion costs, cordons,
// soft taints, load-balancer labels. nodes limits it to those nodes and the
// pods on them (nil for all); workloads are always all. rollout limits the
// cordons to those of one rollout ("" for any). Nothing that others did is
// touched.
//
// waiting says what cannot be taken back yet: a strategy that a running restart
// still needs. Look again and call Undo again until both are empty.
func Undo(s fleet.Snapshot, nodes []string, rollout string) (actions []Action, waiting []string) {
	wd := newWorld(Input{Snapshot: s})
	chosen := func(name string) bool { return nodes == nil || slices.Contains(nodes, name) }
	for _, key := range sortedKeys(wd.workloads) {
		w := wd.workloads[key]
		if w.dangling {
			continue
		}
		if _, ok := w.Annotations[fleet.MarkReplicas]; ok {
			actions = append(actions, Action{Kind: RestoreSurge, Workload: key, UID: w.UID, Reason: "its number of replicas goes back to what it was"})
		}
		if w.scalerRaised() {
			actions = append(actions, Action{Kind: RestoreSurge, Workload: key, UID: w.UID, Scaler: w.Scaler.Name, Reason: "its autoscaler's minimum goes back to what it was"})
		}
		switch {
		case !w.shaped():
		case !w.settled():
			waiting = append(waiting, key+" is still being restarted; its strategy goes back to what it was once that is over")
		default:
			actions = append(actions, Action{Kind: RestoreShape, Workload: key, UID: w.UID, Reason: "its strategy goes back to what it was"})
		}
	}
	for i := range s.Pods {
		p := &s.Pods[i]
		if Puller(p) && chosen(p.Node) && p.DeletedAt.IsZero() {
			actions = append(actions, Action{Kind: EndPull, Pod: p.Key(), UID: p.UID, Reason: "images need not be pulled any more"})
		}
		if _, ok := p.Annotations[fleet.MarkDeletionCost]; ok && chosen(p.Node) && p.DeletedAt.IsZero() {
			actions = append(actions, Action{Kind: ForgetCost, Pod: p.Key(), UID: p.UID, Workload: p.Workload, Reason: "a scale-down need not prefer it any more"})
		}
	}
	for _, name := range sortedKeys(wd.nodes) {
		n := wd.nodes[name]
		if !chosen(name) {
			continue
		}
		if by, ok := n.Annotations[fleet.MarkCordoned]; ok && (rollout == "" || by == rollout) {
			actions = append(actions, Action{Kind: Uncordon, Node: name, UID: n.UID, Reason: "it was cordoned by rollout " + by})
		}
		if tainted(n) {
			actions = append(actions, Action{Kind: RemoveTaint, Node: name, UID: n.UID, Reason: "its turn does not come any more"})
		}
		if oursExcluded(n) {
			actions = append(actions, Action{Kind: IncludeLB, Node: name, UID: n.UID, Reason: "it goes back behind load balancers"})
		}
	}
	return actions, waiting
}
