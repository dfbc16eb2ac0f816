package evacuate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// standstill is how long nothing may move before what is in the way is reported
// with its remedies. Budgets need some seconds after every eviction.
const standstill = 30 * time.Second

// obstacle is what kept a pod from moving in this pass.
type obstacle struct {
	pod *pod
	// refused is what the API said; "" where a budget, the workload's strategy or
	// a lack of room is known from the snapshot.
	refused string
	room    bool // it has no place to go to
	why     string
}

// obstruct remembers why a pod did not move.
func (t *turn) obstruct(p *pod, refused, why string) {
	t.obstacles = append(t.obstacles, obstacle{pod: p, refused: refused, why: why})
}

// still reports whether nothing moves, and nothing but a change from outside
// will change that.
func (t *turn) still() bool {
	return len(t.pass.Actions) == 0 && t.motion == 0 && t.stop == "" && len(t.gates) == 0 && t.now.Sub(t.mem.LastProgress) >= standstill
}

// report names who is in the way once nothing moves any more: one finding for
// each workload, with the numbers of its budgets and what can be done.
func (t *turn) report() {
	if !t.still() {
		return
	}
	said := map[string]bool{}
	slices.SortStableFunc(t.obstacles, func(a, b obstacle) int { return cmp.Compare(a.pod.key, b.pod.key) })
	for _, o := range t.obstacles {
		if object := o.pod.object(); !said[object] {
			said[object] = true
			t.pass.Findings = append(t.pass.Findings, o.finding())
		}
	}
}

func (o obstacle) finding() fleet.Finding {
	p := o.pod
	f := fleet.Finding{
		ID: "pod-held-up", Severity: fleet.Warning, Object: p.object(),
		What: "pod " + p.key + " on node " + p.Node + " does not get away", Why: o.why,
	}
	for _, b := range p.budgets {
		if o.refused != "" {
			f.Why += "; " + b.String()
		}
	}
	name := p.object()
	switch {
	case o.room:
		f.Remedy = remedies("add nodes to the pool that takes the pods", "lower what "+name+" requests", "free room on those nodes")
	case len(p.budgets) > 0:
		b := p.budgets[0]
		list := []string{
			fmt.Sprintf("bring more pods of it up: %d are healthy, and an eviction needs %d", b.CurrentHealthy, b.DesiredHealthy+1),
			"raise the replicas of " + name + " by one",
			"let budget " + budgetNames(p.budgets) + " allow one disruption (maxUnavailable 1)",
		}
		if !p.Ready && !b.AlwaysAllowUnhealthy {
			list = append(list, "set unhealthyPodEvictionPolicy: AlwaysAllow on budget "+b.Key()+", since pod "+p.Name+" is not Ready")
		}
		f.Remedy = remedies(list...)
	case o.refused != "":
		f.Remedy = remedies("see to what the API server names (a webhook, a quota, missing rights)",
			"let the owner of "+name+" restart or delete the pod: its node is cordoned already", "roll back")
	default:
		f.Remedy = remedies("bring the other pods of "+name+" up", "raise the replicas of "+name+" by one", "loosen its update strategy (maxUnavailable)")
	}
	return f
}
