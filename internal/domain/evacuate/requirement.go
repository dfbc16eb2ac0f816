package evacuate

import (
	"encoding/json"
	"strconv"

	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Required is how many Ready pods a workload requires: the strictest of the
// budgets that select its pods and of its own update strategy, both rounded as
// Kubernetes rounds. Our own marks are seen through: a workload that was raised
// or whose strategy was shaped requires what it required before.
//
// pods and budgets may be those of the whole cluster; what does not belong to
// the workload is used only to share a budget that selects several workloads.
// For a whole cluster Requirements is cheaper.
//
// A ReplicaSet without a Deployment has no update strategy; it is taken to want
// what a Deployment wants by default. DaemonSets and Jobs require nothing, and
// neither does a workload of an unknown kind that has no budget.
func Required(w fleet.Workload, pods []fleet.Pod, budgets []fleet.Budget) int {
	s := fleet.Snapshot{Pods: pods, Budgets: budgets, Workloads: []fleet.Workload{w}}
	world := newWorld(Input{Snapshot: s})
	return world.required(world.workloads[w.Key()])
}

// Requirements is what every workload of a snapshot requires, by its key.
func Requirements(s fleet.Snapshot) map[string]int {
	world := newWorld(Input{Snapshot: s})
	required := make(map[string]int, len(world.workloads))
	for key, w := range world.workloads {
		if !w.dangling {
			required[key] = world.required(w)
		}
	}
	return required
}

// required combines a workload's strategy with its budgets.
func (wd *world) required(w *workload) int {
	switch w.Kind {
	case fleet.DaemonSet, fleet.Job:
		return 0
	case fleet.Deployment, fleet.ReplicaSet, fleet.StatefulSet, fleet.Other:
	}
	most := w.strategyRequires
	for _, b := range w.budgets {
		most = max(most, b.requires(w))
	}
	return min(most, w.base)
}

// strategy is a rolling-update strategy in pods.
type strategy struct {
	maxSurge, maxUnavailable int
}

// strategyOf resolves the strategy that a workload had before we shaped it, for
// a number of replicas.
func strategyOf(w *fleet.Workload, replicas int) strategy {
	unavailable, surge := w.MaxUnavailable, w.MaxSurge
	if mark, ok := w.Annotations[fleet.MarkStrategy]; ok {
		if u, s, ok := parseStrategy(mark); ok {
			unavailable, surge = u, s
		}
	}
	switch w.Kind {
	case fleet.Deployment:
		st := strategy{
			maxSurge:       scaled(surge, "25%", replicas, true),
			maxUnavailable: scaled(unavailable, "25%", replicas, false),
		}
		if st.maxSurge == 0 && st.maxUnavailable == 0 {
			st.maxUnavailable = 1 // as the Deployment controller resolves it
		}
		st.maxUnavailable = min(st.maxUnavailable, replicas)
		return st
	case fleet.ReplicaSet:
		return strategy{
			maxSurge:       scaled(nil, "25%", replicas, true),
			maxUnavailable: scaled(nil, "25%", replicas, false),
		}
	case fleet.StatefulSet:
		return strategy{maxUnavailable: min(max(1, scaled(unavailable, "1", replicas, false)), replicas)}
	case fleet.DaemonSet, fleet.Job, fleet.Other:
	}
	return strategy{maxUnavailable: replicas}
}

// strategyRequires is how many pods a workload's own update strategy keeps.
func strategyRequires(w *fleet.Workload, replicas int) int {
	if w.Kind == fleet.Deployment && w.Strategy == "Recreate" {
		return 0
	}
	return max(0, replicas-strategyOf(w, replicas).maxUnavailable)
}

// scaled resolves a count or percentage; value nil means the fallback, and so
// does one that cannot be read.
func scaled(value *intstr.IntOrString, fallback string, total int, roundUp bool) int {
	f := intstr.Parse(fallback)
	if value == nil {
		value = &f
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(value, total, roundUp)
	if err != nil {
		n, err = intstr.GetScaledValueFromIntOrPercent(&f, total, roundUp)
		if err != nil {
			return 0
		}
	}
	return max(0, n)
}

// parseStrategy reads fleet.MarkStrategy: a Deployment's strategy, or the
// rolling-update part of it.
func parseStrategy(mark string) (unavailable, surge *intstr.IntOrString, ok bool) {
	type rolling struct {
		MaxUnavailable *intstr.IntOrString `json:"maxUnavailable"`
		MaxSurge       *intstr.IntOrString `json:"maxSurge"`
	}
	var v struct {
		rolling
		RollingUpdate *rolling `json:"rollingUpdate"`
	}
	if err := json.Unmarshal([]byte(mark), &v); err != nil {
		return nil, nil, false
	}
	if v.RollingUpdate != nil {
		return v.RollingUpdate.MaxUnavailable, v.RollingUpdate.MaxSurge, true
	}
	return v.MaxUnavailable, v.MaxSurge, true
}

// markedNumber reads a number that was marked on an object.
func markedNumber(annotations map[string]string, mark string) (int, bool) {
	value, ok := annotations[mark]
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, false
	}
	return n, true
}
