package evacuate

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// budget is a PodDisruptionBudget with what it selects.
type budget struct {
	*fleet.Budget
	selector labels.Selector
	// unreadable is why the selector could not be parsed. It then is taken to
	// select every pod of its namespace and to allow nothing.
	unreadable string
	// selected counts the pods that it selects, by workload key ("" for bare ones).
	selected map[string]int
	pods     []*pod // that it selects
	// base is how many pods it expects when every workload it selects is at
	// its own size, without our surge.
	base int
	// ready counts the pods that it selects, Ready and not going.
	ready int
	// left is how many evictions its status still allows in this pass.
	left int
}

// newBudget parses the selector of b.
func newBudget(b *fleet.Budget, parsed map[string]labels.Selector) *budget {
	out := &budget{Budget: b, selected: map[string]int{}, left: int(max(0, b.DisruptionsAllowed))}
	if b.SelectsNothing {
		out.selector = labels.Nothing()
		return out
	}
	if sel, ok := parsed[b.Selector]; ok {
		out.selector = sel
		return out
	}
	sel, err := labels.Parse(b.Selector)
	if err != nil {
		out.unreadable = err.Error()
		out.left = 0
		out.selector = labels.Everything()
		return out
	}
	parsed[b.Selector] = sel
	out.selector = sel
	return out
}

// desired is how many healthy pods the budget wants when n are expected, as the
// disruption controller computes it: percentages round up.
func (b *budget) desired(n int) int {
	switch {
	case b.unreadable != "":
		return n
	case b.MaxUnavailable != nil:
		return max(0, n-scaled(b.MaxUnavailable, "0", n, true))
	case b.MinAvailable != nil:
		return scaled(b.MinAvailable, "100%", n, true)
	}
	return int(b.DesiredHealthy)
}

// allowsAt is how many evictions the budget allows when all it expects is
// healthy and extra pods are added.
func (b *budget) allowsAt(extra int) int {
	n := b.base + extra
	return max(0, n-b.desired(n))
}

// requires is the share of the budget's demand that falls on one workload: what
// is left of it when all its other pods are healthy.
func (b *budget) requires(w *workload) int {
	mine := b.selected[w.key]
	if mine == 0 {
		return 0
	}
	if mine >= len(w.pods) {
		mine = w.base
	}
	others := max(0, b.base-mine)
	return max(0, min(mine, b.desired(b.base)-others))
}

// shared reports whether the budget selects pods of more than one workload.
func (b *budget) shared() bool { return len(b.selected) > 1 }

// stuck reports whether the budget's own status says that it allows nothing
// although every pod it expects is healthy. Right after an eviction none is
// allowed either; then fewer are wanted than are healthy.
func (b *budget) stuck() bool {
	return b.Fresh && b.ExpectedPods > 0 && b.DisruptionsAllowed <= 0 &&
		b.CurrentHealthy >= b.ExpectedPods && b.DesiredHealthy >= b.CurrentHealthy
}

// numbers are the budget's own numbers.
func (b *budget) numbers() BudgetNumbers {
	return BudgetNumbers{
		Budget: b.Key(), Healthy: b.CurrentHealthy, Desired: b.DesiredHealthy,
		Expected: b.ExpectedPods, Allowed: b.DisruptionsAllowed,
	}
}

// rule is what the budget's owner wrote.
func (b *budget) rule() string {
	switch {
	case b.unreadable != "":
		return "its selector cannot be read: " + b.unreadable
	case b.MaxUnavailable != nil:
		return "maxUnavailable " + b.MaxUnavailable.String()
	case b.MinAvailable != nil:
		return "minAvailable " + b.MinAvailable.String()
	}
	return "neither minAvailable nor maxUnavailable"
}

// String names the budget with its rule and numbers.
func (b *budget) String() string {
	return fmt.Sprintf("budget %s (%s; %d healthy, %d wanted, %d expected, %d allowed)",
		b.Key(), b.rule(), b.CurrentHealthy, b.DesiredHealthy, b.ExpectedPods, b.DisruptionsAllowed)
}

// admits reports whether the eviction API would take this pod now as far as
// budgets go, whether that costs an eviction of a budget, and otherwise why not.
func (p *pod) admits() (ok, costs bool, why string) {
	if p.Phase == "Pending" || len(p.budgets) == 0 {
		return true, false, ""
	}
	if len(p.budgets) > 1 {
		return false, false, "is selected by several budgets (" + budgetNames(p.budgets) + "), and the eviction API refuses such a pod always"
	}
	b := p.budgets[0]
	if b.unreadable != "" {
		return false, false, b.String()
	}
	if !p.Ready {
		if b.AlwaysAllowUnhealthy {
			return true, false, ""
		}
		if b.CurrentHealthy >= b.DesiredHealthy && b.DesiredHealthy > 0 {
			return true, false, ""
		}
	}
	if !b.Fresh {
		return false, false, "budget " + b.Key() + " was changed and its status is not yet worked out anew"
	}
	if b.left < 1 {
		return false, false, b.String()
	}
	return true, true, ""
}

// budgetNames lists budgets by name, sorted.
func budgetNames(budgets []*budget) string {
	names := make([]string, 0, len(budgets))
	for _, b := range budgets {
		names = append(names, b.Key())
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
