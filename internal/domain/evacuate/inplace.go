package evacuate

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// PreviewInPlace says beforehand what a provider's own surge upgrade of the
// leaving nodes would do to their pods. The provider picks and drains nodes
// itself and honours nothing but budgets: a workload that requires more than
// its budgets hold, a bare pod and local data need their owner's word, and a
// budget that allows nothing stops the provider's drain (AKS refuses such an
// upgrade beforehand as UnsatisfiablePDB, wherever in the cluster the budget is).
func PreviewInPlace(in Input) []fleet.Finding {
	wd := newWorld(in)
	var findings []fleet.Finding
	for _, key := range sortedKeys(wd.workloads) {
		w := wd.workloads[key]
		if len(w.leave) == 0 || w.Kind == fleet.DaemonSet {
			continue
		}
		held := 0
		for _, b := range w.budgets {
			held = max(held, b.requires(w))
		}
		if need := wd.required(w); need > held {
			findings = append(findings, fleet.Finding{
				ID: "workload-below-requirement", Severity: fleet.Blocker, Object: key,
				What:   fmt.Sprintf("%s requires %d of %d pods, but its budgets hold only %d: the provider's own drain may take it below", key, need, w.base, held),
				Remedy: remedies("use strategy blueGreen or buffer for this pool", "give it a budget", "accept it"),
			})
		}
		if w.Kind == fleet.Job {
			findings = append(findings, fleet.Finding{
				ID: "job-interrupted", Severity: fleet.Blocker, Object: key,
				What:   key + " is running, and the provider's drain does not wait for it",
				Remedy: remedies("start when it is done", "use strategy blueGreen or buffer", "accept it"),
			})
		}
	}
	for i := range in.Snapshot.Pods {
		p := &in.Snapshot.Pods[i]
		if !wd.leaving[p.Node] || p.Mirror || Puller(p) || p.Finished() || !p.DeletedAt.IsZero() || p.Workload != "" {
			continue
		}
		findings = append(findings, fleet.Finding{
			ID: "pod-bare", Severity: fleet.Blocker, Object: "Pod/" + p.Key(),
			What:   "pod " + p.Key() + " has no controller: the provider's drain ends it for good",
			Remedy: remedies("give it a controller", "delete it", "accept its loss"),
		})
	}
	for i := range in.Snapshot.Budgets {
		b := newBudget(&in.Snapshot.Budgets[i], map[string]labels.Selector{})
		if b.stuck() {
			findings = append(findings, fleet.Finding{
				ID: "budget-blocks-provider", Severity: fleet.Blocker, Object: "PodDisruptionBudget/" + b.Key(),
				What:   fmt.Sprintf("budget %s allows no eviction (%d healthy, %d wanted): the provider refuses the upgrade, or its drain fails", b.Key(), b.CurrentHealthy, b.DesiredHealthy),
				Remedy: remedies("use strategy blueGreen for this pool", "relax the budget", "run one more replica"),
			})
		}
	}
	return sortFindings(findings)
}
