package kube

import (
	"fmt"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// toBudget converts a PodDisruptionBudget. A selector that cannot be read is an
// error: taking it for empty or for everything could both break the budget.
func toBudget(pdb *policyv1.PodDisruptionBudget) (fleet.Budget, error) {
	b := fleet.Budget{
		Namespace:          pdb.Namespace,
		Name:               pdb.Name,
		MinAvailable:       pdb.Spec.MinAvailable,
		MaxUnavailable:     pdb.Spec.MaxUnavailable,
		SelectsNothing:     pdb.Spec.Selector == nil,
		DisruptionsAllowed: pdb.Status.DisruptionsAllowed,
		CurrentHealthy:     pdb.Status.CurrentHealthy,
		DesiredHealthy:     pdb.Status.DesiredHealthy,
		ExpectedPods:       pdb.Status.ExpectedPods,
		Fresh:              pdb.Status.ObservedGeneration >= pdb.Generation,
	}
	if policy := pdb.Spec.UnhealthyPodEvictionPolicy; policy != nil {
		b.AlwaysAllowUnhealthy = *policy == policyv1.AlwaysAllow
	}
	if pdb.Spec.Selector != nil {
		selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
		if err != nil {
			return b, fmt.Errorf("PodDisruptionBudget %s/%s: selector: %w", pdb.Namespace, pdb.Name, err)
		}
		b.Selector = selector.String()
	}
	return b, nil
}
