package check

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

var budgetKinds = []Kind{
	{"budget-never-allows", "a budget allows no eviction although all its pods are healthy"},
	{"budget-allows-none-now", "a budget allows no eviction at present, since pods of its are not healthy"},
	{"budget-allows-none", "a budget forbids every move of a workload"},
	{"budget-overlap", "several budgets select one pod, which the Eviction API refuses always"},
	{"budget-selects-all", "one budget selects all pods of its namespace"},
	{"budget-selector-unreadable", "a budget's selector cannot be read"},
}

// budgetCheck holds budgets against what they select.
func budgetCheck() Check {
	return Check{
		Name: "budgets", Group: Evacuation, Title: "Budgets that allow nothing", Needs: []Need{NeedSnapshot}, Finds: budgetKinds,
		Doc: "A PodDisruptionBudget that can never allow an eviction stops every drain: kubectl's, the provider's own upgrade (AKS refuses it beforehand as UnsatisfiablePDB) and node repair. Liftlock moves such pods in other ways where there are any, and says which have none. What a budget allows is worked out from its own status and, for the replicas that its pods should have, from what it says.",
		Run: func(f *Facts) []fleet.Finding {
			m := f.moving()
			out := f.previewOf(budgetKinds)
			pods := map[string][]*fleet.Pod{} // by namespace
			for _, g := range m.groups {
				for _, p := range g.pods {
					pods[p.Namespace] = append(pods[p.Namespace], p)
				}
			}
			for i := range f.Snapshot.Budgets {
				out = append(out, judgeBudget(&f.Snapshot.Budgets[i], pods)...)
			}
			return out
		},
	}
}

// judgeBudget says what is wrong with one budget that selects pods which have to
// move.
func judgeBudget(b *fleet.Budget, pods map[string][]*fleet.Pod) []fleet.Finding {
	if b.SelectsNothing {
		return nil
	}
	selector, err := labels.Parse(b.Selector)
	if err != nil {
		return nil // the preview says so
	}
	moving := 0
	owner := ""
	for _, p := range pods[b.Namespace] {
		if selector.Matches(labels.Set(p.Labels)) {
			moving++
			owner = p.Workload
		}
	}
	if moving == 0 {
		return nil
	}
	finding := fleet.Finding{
		Severity: fleet.Warning, Object: "PodDisruptionBudget/" + b.Key(), Owner: owner,
		Evidence: fmt.Sprintf("%s; status: %d healthy, %d wanted, %d expected, %d allowed", rule(b), b.CurrentHealthy, b.DesiredHealthy, b.ExpectedPods, b.DisruptionsAllowed),
	}
	expected := int(max(b.ExpectedPods, 1))
	switch allowed := allows(b, expected); {
	case allowed > 0 && b.DisruptionsAllowed > 0, !b.Fresh && allowed > 0:
		return nil
	case allowed > 0:
		finding.ID = "budget-allows-none-now"
		finding.What = fmt.Sprintf("budget %s allows no eviction now: %d of %d pods are healthy, and it wants %d", b.Key(), b.CurrentHealthy, b.ExpectedPods, b.DesiredHealthy)
		finding.Why = fmt.Sprintf("%s on nodes that are to be emptied: they wait until the others are healthy", counted(moving, "of its pods is", "of its pods are"))
		finding.Remedy = "bring its pods up before the upgrade; or set unhealthyPodEvictionPolicy: AlwaysAllow, if pods that are not Ready may go"
	default:
		finding.ID = "budget-never-allows"
		finding.What = fmt.Sprintf("budget %s allows no eviction even when all its %d pods are healthy", b.Key(), expected)
		finding.Why = fmt.Sprintf("%s on nodes that are to be emptied, and drains by kubectl or the provider never end", counted(moving, "of its pods is", "of its pods are"))
		finding.Remedy = "let it allow one disruption (maxUnavailable: 1)"
		if more := allows(b, expected+1); more > 0 {
			finding.Remedy = fmt.Sprintf("run one replica more: of %d pods it allows %d; or %s", expected+1, more, finding.Remedy)
		}
	}
	return []fleet.Finding{finding}
}

// allows is how many evictions a budget allows when n pods are expected and all
// of them are healthy, as the disruption controller rounds.
func allows(b *fleet.Budget, n int) int {
	resolve := func(v *intstr.IntOrString) int {
		out, err := intstr.GetScaledValueFromIntOrPercent(v, n, true)
		if err != nil {
			return n
		}
		return out
	}
	switch {
	case b.MaxUnavailable != nil:
		return min(n, resolve(b.MaxUnavailable))
	case b.MinAvailable != nil:
		return max(0, n-resolve(b.MinAvailable))
	}
	return max(0, n-int(b.DesiredHealthy))
}

// rule is what a budget's owner wrote.
func rule(b *fleet.Budget) string {
	switch {
	case b.MaxUnavailable != nil:
		return "maxUnavailable " + b.MaxUnavailable.String()
	case b.MinAvailable != nil:
		return "minAvailable " + b.MinAvailable.String()
	}
	return "neither minAvailable nor maxUnavailable"
}
