package sim

import (
	"context"
	"fmt"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// unsatisfiableBudgets lists the budgets of a cluster that never allow an
// eviction, in the words of AKS.
func unsatisfiableBudgets(ctx context.Context, kubeconfig []byte) ([]string, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	list, err := client.PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing disruption budgets: %w", err)
	}
	var found []string
	for i := range list.Items {
		if text := unsatisfiable(&list.Items[i]); text != "" {
			found = append(found, text)
		}
	}
	return found, nil
}

func unsatisfiable(budget *policyv1.PodDisruptionBudget) string {
	name, expected := budget.Namespace+"/"+budget.Name, int(budget.Status.ExpectedPods)
	switch {
	case expected == 0:
		return ""
	case budget.Spec.MaxUnavailable != nil:
		if n, err := intstr.GetScaledValueFromIntOrPercent(budget.Spec.MaxUnavailable, expected, true); err == nil && n == 0 {
			return "PDB " + name + " has maxUnavailable == 0"
		}
	case budget.Spec.MinAvailable != nil:
		if n, err := intstr.GetScaledValueFromIntOrPercent(budget.Spec.MinAvailable, expected, true); err == nil && n >= expected {
			return fmt.Sprintf("PDB %s has minAvailable(%d) >= expectedPods(%d) ", name, n, expected)
		}
	}
	return ""
}
