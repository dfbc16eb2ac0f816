package evacuate

import (
	"slices"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Below lists the workloads that have pods on any of the nodes, or none at all,
// and have fewer available than they require, sorted.
func Below(s fleet.Snapshot, nodes []string) []string {
	wd := newWorld(Input{Snapshot: s})
	var below []string
	for _, key := range sortedKeys(wd.workloads) {
		w := wd.workloads[key]
		if w.dangling || w.available >= wd.required(w) {
			continue
		}
		here := slices.ContainsFunc(w.pods, func(p *pod) bool { return slices.Contains(nodes, p.Node) })
		if here || len(w.pods) == 0 {
			below = append(below, key)
		}
	}
	return below
}
