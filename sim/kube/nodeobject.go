package kube

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/sim/aks"
)

// newNode is a node as it registers, without saying whether it is Ready.
func newNode(spec aks.NodeSpec) *corev1.Node {
	machine := newMachine(spec)
	taints := make([]corev1.Taint, 0, len(spec.Taints)+len(spec.StartupTaints))
	keys := make([]string, 0, len(spec.StartupTaints))
	for _, taint := range spec.Taints {
		taints = append(taints, corev1.Taint{Key: taint.Key, Value: taint.Value, Effect: corev1.TaintEffect(taint.Effect)})
	}
	for _, taint := range spec.StartupTaints {
		taints = append(taints, corev1.Taint{Key: taint.Key, Value: taint.Value, Effect: corev1.TaintEffect(taint.Effect)})
		keys = append(keys, taint.Key)
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:   spec.Name,
			Labels: machine.labels(),
			Annotations: map[string]string{
				attachDetachAnnotation:         "true",
				"node.alpha.kubernetes.io/ttl": "0",
				"csi.volume.kubernetes.io/nodeid": fmt.Sprintf(`{"%s":"%s"}`,
					diskDriver, spec.Name),
				startupTaintsAnnotation: strings.Join(keys, ","),
			},
		},
		Spec: corev1.NodeSpec{ProviderID: spec.ProviderID, Taints: taints},
		Status: corev1.NodeStatus{
			Capacity:    machine.capacity(),
			Allocatable: machine.allocatable(),
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: machine.address()},
				{Type: corev1.NodeHostName, Address: spec.Name},
			},
			NodeInfo: machine.info(),
		},
	}
}

func newCSINode(node *corev1.Node, spec aks.NodeSpec) *storagev1.CSINode {
	// Azure allows twice as many data disks as a machine has vCPUs, within limits.
	disks := int32(min(max(spec.MilliCPU/1000*2, 4), 64))
	return &storagev1.CSINode{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID,
			}},
		},
		Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{
			Name: diskDriver, NodeID: node.Name, TopologyKeys: []string{diskZoneLabel},
			Allocatable: &storagev1.VolumeNodeResources{Count: &disks},
		}}},
	}
}

// setReady writes the conditions of a node whose machine is otherwise well.
func setReady(node *corev1.Node, ready corev1.ConditionStatus, reason, message string) {
	now := metav1.Now()
	conditions := []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
		{Type: corev1.NodeReady, Status: ready, Reason: reason, Message: message},
	}
	for i := range conditions {
		conditions[i].LastHeartbeatTime, conditions[i].LastTransitionTime = now, now
		for _, was := range node.Status.Conditions {
			if was.Type == conditions[i].Type && was.Status == conditions[i].Status {
				conditions[i].LastTransitionTime = was.LastTransitionTime
			}
		}
	}
	node.Status.Conditions = conditions
}

func withTaint(taints []corev1.Taint, taint corev1.Taint) []corev1.Taint {
	for i := range taints {
		if taints[i].MatchTaint(&taint) {
			taints[i].Value = taint.Value
			return taints
		}
	}
	return append(taints, taint)
}

func withoutTaint(taints []corev1.Taint, keys ...string) []corev1.Taint {
	kept := make([]corev1.Taint, 0, len(taints))
	for _, taint := range taints {
		drop := false
		for _, key := range keys {
			drop = drop || taint.Key == key
		}
		if !drop {
			kept = append(kept, taint)
		}
	}
	return kept
}
