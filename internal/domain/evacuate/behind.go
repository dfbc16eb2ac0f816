package evacuate

import (
	"fmt"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

const (
	// settledFor is how long a pod must have been Ready for its budget's status to
	// have to count it.
	settledFor = 3 * time.Second
	// behindAtMost bounds how long a move waits for budgets' statuses: no longer than
	// what the wait avoids.
	behindAtMost = 2 * time.Minute
)

// budgetsBehind says that the statuses of budgets lag behind the pods, as they do
// when very many pods change: one worker in Kubernetes' disruption controller
// works them all out. It returns "" while they keep up.
//
// It matters to pods that come back under their name. The eviction API notes the
// name on the budget until the controller has seen the pod end. If it looks only
// when the successor is there, it takes the successor for the evicted pod, and the
// budget allows nothing for two minutes. A single budget may be off for that or
// for any other reason; many at once mean that the controller is behind.
func (wd *world) budgetsBehind() string {
	counted, off := 0, 0
	for _, b := range wd.budgets {
		if b.ExpectedPods == 0 || b.unreadable != "" {
			continue
		}
		counted++
		if !wd.upToDate(b) {
			off++
		}
	}
	const few, share = 2, 10 // percent
	if off < few || off*100 < counted*share {
		return ""
	}
	return fmt.Sprintf("waits: the statuses of %d of %d budgets lag behind their pods, and an eviction now could block its budget for two minutes", off, counted)
}

// upToDate reports whether a budget's status counts the pods that are healthy: at
// least those that have been so for a while, at most those that are now.
func (wd *world) upToDate(b *budget) bool {
	most, least := 0, 0
	for _, p := range b.pods {
		if !p.Ready || !p.DeletedAt.IsZero() {
			continue
		}
		most++
		if wd.now.Sub(p.ReadySince) >= settledFor {
			least++
		}
	}
	return int(b.CurrentHealthy) >= least && int(b.CurrentHealthy) <= most
}

// mayReplace says why a pod of a StatefulSet with a budget should not be evicted
// just now although its budget allows it, or "". It does so for a while only.
func (t *turn) mayReplace(w *workload) string {
	if w.Kind != fleet.StatefulSet || len(w.budgets) == 0 {
		return ""
	}
	since := t.mem.StartedAt
	if a, ok := t.mem.Acted[w.key]; ok {
		since = a.At
	}
	if t.now.Sub(since) >= behindAtMost {
		return ""
	}
	return t.lagging
}
