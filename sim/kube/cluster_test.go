package kube_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/sim/aks"
)

const web = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 30
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "web:1", resources: {requests: {cpu: 50m, memory: 64Mi}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec:
  maxUnavailable: 0
  selector: {matchLabels: {app: web}}
`

// TestUpgrade takes one cluster through what a managed service does to it, in
// the order in which it does it.
func TestUpgrade(t *testing.T) {
	r := newRig(t, aks.Timing{
		Seed:           1,
		NodeBoot:       aks.Range{Min: 300 * time.Millisecond, Max: 600 * time.Millisecond},
		PodStart:       aks.Range{Min: 100 * time.Millisecond, Max: 400 * time.Millisecond},
		PodTermination: aks.Range{Min: 50 * time.Millisecond, Max: 200 * time.Millisecond},
	})
	r.addNodes(t, 0, 2)
	r.apply(t, web)
	before := r.ready(t, "app=web", 30)
	r.ready(t, "k8s-app=kube-dns", 2)
	r.ready(t, "component=kube-proxy", 3)

	t.Run("a node tells what it is", func(t *testing.T) {
		node := r.node(t, "aks-apps-12345678-vmss000001")
		if got := node.Status.NodeInfo.KubeletVersion; got != "v1.34.4" {
			t.Errorf("kubelet version %s", got)
		}
		for label, want := range map[string]string{
			"agentpool":                               "apps",
			"kubernetes.azure.com/agentpool":          "apps",
			"kubernetes.azure.com/mode":               "user",
			"kubernetes.azure.com/cluster":            "MC_rg_apps_westeurope",
			"kubernetes.azure.com/node-image-version": "AKSUbuntu-2204gen2containerd-202610.13.0",
			"topology.kubernetes.io/zone":             "westeurope-2",
			"topology.disk.csi.azure.com/zone":        "westeurope-2",
			"node.kubernetes.io/instance-type":        "Standard_D4s_v5",
		} {
			if got := node.Labels[label]; got != want {
				t.Errorf("label %s is %q, want %q", label, got, want)
			}
		}
		if free := node.Status.Allocatable.Cpu().MilliValue(); free != 3860 {
			t.Errorf("%dm CPU allocatable, want 3860m", free)
		}
		if _, err := r.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), node.Name, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	})

	t.Run("an upgrade leaves pods alone", func(t *testing.T) {
		if err := r.cluster.SetVersion(t.Context(), "1.35.4"); err != nil {
			t.Fatal(err)
		}
		info, err := r.client.Discovery().ServerVersion()
		if err != nil || info.GitVersion != "v1.35.4" {
			t.Errorf("server version %v, %v", info, err)
		}
		was := map[string]int32{}
		for _, pod := range before {
			was[string(pod.UID)] = pod.Status.ContainerStatuses[0].RestartCount
		}
		for _, pod := range r.ready(t, "app=web", 30) {
			if restarts, ok := was[string(pod.UID)]; !ok || restarts != pod.Status.ContainerStatuses[0].RestartCount {
				t.Errorf("pod %s is not what it was", pod.Name)
			}
		}
	})

	t.Run("nodes work on after an upgrade", func(t *testing.T) {
		if err := r.cluster.AddNode(t.Context(), nodeSpec(3, "1.35.4")); err != nil {
			t.Fatal(err)
		}
		r.ready(t, "component=kube-proxy", 4)
	})

	const first = "aks-apps-12345678-vmss000000"
	t.Run("a budget blocks a drain", func(t *testing.T) {
		err := r.cluster.Drain(t.Context(), first, 1500*time.Millisecond)
		var blocked *aks.DrainError
		if !errors.As(err, &blocked) {
			t.Fatalf("got %v, want a DrainError", err)
		}
		if len(blocked.Blocked) == 0 || blocked.Blocked[0].Budget != "web" || !strings.Contains(blocked.Blocked[0].Message, "disruption budget") {
			t.Errorf("blocked: %+v", blocked.Blocked)
		}
		if !r.node(t, first).Spec.Unschedulable {
			t.Error("a drained node takes pods")
		}
	})

	t.Run("a drain empties a node", func(t *testing.T) {
		r.apply(t, strings.Replace(web[strings.LastIndex(web, "---"):], "maxUnavailable: 0", "maxUnavailable: 5", 1))
		if err := r.cluster.Drain(t.Context(), first, 30*time.Second); err != nil {
			t.Fatal(err)
		}
		for _, pod := range r.pods(t, "") {
			if pod.Spec.NodeName == first && pod.OwnerReferences[0].Kind != "DaemonSet" {
				t.Errorf("pod %s is still there", pod.Name)
			}
		}
		r.ready(t, "app=web", 30)
	})

	t.Run("a reimaged node comes back cordoned", func(t *testing.T) {
		spec := nodeSpec(0, "1.35.4")
		spec.Image, spec.BootID = "AKSUbuntu-2204gen2containerd-202611.03.0", "second"
		if err := r.cluster.Reimage(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		node := r.node(t, first)
		if node.Status.NodeInfo.KubeletVersion != "v1.35.4" || node.Status.NodeInfo.BootID != "second" ||
			node.Labels["kubernetes.azure.com/node-image-version"] != spec.Image || !node.Spec.Unschedulable {
			t.Errorf("node after reimage: %+v %v unschedulable %t", node.Status.NodeInfo, node.Labels, node.Spec.Unschedulable)
		}
		for _, pod := range r.ready(t, "component=kube-proxy", 4) {
			restarts := pod.Status.ContainerStatuses[0].RestartCount
			if (pod.Spec.NodeName == first) != (restarts == 1) {
				t.Errorf("pod on %s was restarted %d times", pod.Spec.NodeName, restarts)
			}
		}
		if err := r.cluster.SetUnschedulable(t.Context(), first, false); err != nil {
			t.Fatal(err)
		}
		cordoned := func(taint corev1.Taint) bool { return taint.Key == corev1.TaintNodeUnschedulable }
		if node := r.node(t, first); node.Spec.Unschedulable || slices.ContainsFunc(node.Spec.Taints, cordoned) {
			t.Errorf("after uncordon: %+v", node.Spec)
		}
		// Kubernetes takes away in its own time what it had marked while it was down.
		eventually(t, "the node is as one that starts", func() (bool, string) {
			taints := r.node(t, first).Spec.Taints
			return len(taints) <= 1, fmt.Sprint(taints)
		})
	})

	t.Run("labels come and go", func(t *testing.T) {
		if err := r.cluster.SetLabels(t.Context(), first, map[string]string{"team": "a", "agentpool": ""}); err != nil {
			t.Fatal(err)
		}
		labels := r.node(t, first).Labels
		if _, ok := labels["agentpool"]; ok || labels["team"] != "a" {
			t.Errorf("labels %v", labels)
		}
	})

	t.Run("a removed node takes its pods along", func(t *testing.T) {
		const second = "aks-apps-12345678-vmss000001"
		if err := r.cluster.RemoveNode(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		if _, err := r.client.CoreV1().Nodes().Get(t.Context(), second, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("node is still there: %v", err)
		}
		for _, pod := range r.pods(t, "") {
			if pod.Spec.NodeName == second {
				t.Errorf("pod %s is still on it", pod.Name)
			}
		}
		r.ready(t, "app=web", 30)
		if err := r.cluster.RemoveNode(t.Context(), second); err != nil {
			t.Errorf("once more: %v", err)
		}
	})

	t.Run("a stopped cluster comes back", func(t *testing.T) {
		if err := r.cluster.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.cluster.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.ready(t, "app=web", 30)
		used, err := r.cluster.DeprecatedAPIUse(t.Context(), "1.36")
		if err != nil || len(used) > 0 {
			t.Errorf("deprecated API use %v, %v", used, err)
		}
	})
}
