package evacuate

import (
	"maps"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Start is how long pods of a kind take from their creation until they are Ready:
// the quickest that was seen, and what nine of ten stay below.
type Start struct {
	Least time.Duration `json:"least"`
	Most  time.Duration `json:"most"`
}

// SeenStarts says how the pods of workloads on a pool's nodes were seen to start,
// by workload, and of any pod there; usual is for a pool of which none was seen.
// A workload of which no pod was seen to start is not in the map.
func SeenStarts(s fleet.Snapshot, pool string, usual time.Duration) (of map[string]Start, other Start) {
	pl := newPlanner(PoolInput{Snapshot: s, Pool: pool, Strategy: fleet.BlueGreen})
	of = map[string]Start{}
	for w, took := range pl.starts.of {
		if len(took) > 0 {
			of[w.key] = rangeOf(took)
		}
	}
	if len(pl.starts.pool) == 0 {
		return of, Start{usual, usual}
	}
	return of, rangeOf(pl.starts.pool)
}

// rangeOf is the span of sorted times, without the slowest tenth.
func rangeOf(took []time.Duration) Start {
	return Start{took[0], took[(len(took)-1)*9/10]}
}

// NeverReady are the workloads that have pods of which none is Ready: new ones
// will hardly be. Jobs and pods that have ended do not count.
func NeverReady(s fleet.Snapshot) []string {
	ready := map[string]bool{}
	for i := range s.Pods {
		p := &s.Pods[i]
		if p.Workload == "" || p.Finished() || strings.HasPrefix(p.Workload, string(fleet.Job)+"/") {
			continue
		}
		ready[p.Workload] = ready[p.Workload] || p.Ready
	}
	maps.DeleteFunc(ready, func(_ string, is bool) bool { return is })
	return slices.Sorted(maps.Keys(ready))
}
