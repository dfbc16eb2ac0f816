package witness

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// strategy is what a workload's own update strategy demands.
type strategy struct {
	// none: nothing is kept during an update (Recreate), or there is no strategy.
	none           bool
	deployment     bool
	maxUnavailable *intstr.IntOrString
	maxSurge       *intstr.IntOrString
	name           string
}

func deploymentStrategy(d *appsv1.Deployment) strategy {
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return strategy{none: true, name: "Recreate"}
	}
	s := strategy{deployment: true, name: "RollingUpdate"}
	if rolling := d.Spec.Strategy.RollingUpdate; rolling != nil {
		s.maxUnavailable, s.maxSurge = rolling.MaxUnavailable, rolling.MaxSurge
	}
	return s
}

func statefulSetStrategy(set *appsv1.StatefulSet) strategy {
	if set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return strategy{none: true, name: "OnDelete"}
	}
	s := strategy{name: "RollingUpdate"}
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
		s.maxUnavailable = rolling.MaxUnavailable
	}
	return s
}

// keeps is how many of so many replicas the strategy keeps, rounded as the
// controllers round: a Deployment's maxUnavailable down and its maxSurge up,
// one unavailable when both come to nothing; a StatefulSet's up, at least one.
func (s strategy) keeps(replicas int) int {
	switch {
	case s.none || s.name == "":
		return 0
	case s.deployment:
		quarter := intstr.FromString("25%")
		unavailable := scaled(or(s.maxUnavailable, quarter), replicas, false)
		if unavailable == 0 && scaled(or(s.maxSurge, quarter), replicas, true) == 0 {
			unavailable = 1
		}
		return max(replicas-unavailable, 0)
	default:
		return max(replicas-max(scaled(or(s.maxUnavailable, intstr.FromInt32(1)), replicas, true), 1), 0)
	}
}

func or(value *intstr.IntOrString, fallback intstr.IntOrString) intstr.IntOrString {
	if value != nil {
		return *value
	}
	return fallback
}

// scaled resolves a number or percentage; what cannot be read counts as none.
func scaled(value intstr.IntOrString, total int, up bool) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(&value, total, up)
	if err != nil {
		return 0
	}
	return n
}

// require returns the strictest of a workload's budgets and its own strategy.
// A budget over several workloads leaves each what the others cannot cover.
func (v *watch) require(w *workload) (int, []string) {
	required := w.strategy.keeps(w.replicas)
	var demands []string
	if w.strategy.name != "" {
		demands = append(demands, fmt.Sprintf("strategy %s keeps %d of %d", w.strategy.name, required, w.replicas))
	}
	for key, budget := range v.budgets {
		if budget.Namespace != w.namespace {
			continue
		}
		if !budget.selector.Matches(w.template) {
			continue
		}
		expected, others := w.replicas, 0
		for _, other := range v.workloads {
			if other != w && !other.gone && other.namespace == w.namespace && budget.selector.Matches(other.template) {
				others += other.replicas
			}
		}
		expected += others
		desired := 0
		switch {
		case budget.Spec.MaxUnavailable != nil:
			desired = max(expected-scaled(*budget.Spec.MaxUnavailable, expected, true), 0)
		case budget.Spec.MinAvailable != nil:
			desired = scaled(*budget.Spec.MinAvailable, expected, true)
		}
		keeps := min(max(desired-others, 0), w.replicas)
		demands = append(demands, fmt.Sprintf("budget %s keeps %d of %d", key, keeps, w.replicas))
		required = max(required, keeps)
	}
	return required, demands
}
