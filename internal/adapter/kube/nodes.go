package kube

import (
	"unique"

	corev1 "k8s.io/api/core/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Labels in which AKS says to which pool a node belongs and which image it runs.
const (
	labelPool    = "kubernetes.azure.com/agentpool"
	labelPoolOld = "agentpool"
	labelImage   = "kubernetes.azure.com/node-image-version"
	labelZone    = corev1.LabelTopologyZone
	labelZoneOld = corev1.LabelFailureDomainBetaZone
)

// toNodes converts one page of nodes.
func toNodes(page *corev1.NodeList) []fleet.Node {
	nodes := make([]fleet.Node, 0, len(page.Items))
	for i := range page.Items {
		nodes = append(nodes, toNode(&page.Items[i]))
	}
	return nodes
}

func toNode(node *corev1.Node) fleet.Node {
	n := fleet.Node{
		Name:          node.Name,
		UID:           string(node.UID),
		Pool:          firstOf(node.Labels, labelPool, labelPoolOld),
		Image:         node.Labels[labelImage],
		ProviderID:    node.Spec.ProviderID,
		BootID:        node.Status.NodeInfo.BootID,
		Zone:          firstOf(node.Labels, labelZone, labelZoneOld),
		Unschedulable: node.Spec.Unschedulable,
		Labels:        node.Labels,
		Annotations:   node.Annotations,
		Allocatable:   toResources(node.Status.Allocatable),
		CreatedAt:     node.CreationTimestamp.UTC(),
	}
	for _, image := range node.Status.Images {
		for _, name := range image.Names {
			if n.Images == nil {
				n.Images = make(map[string]int64, 2*len(node.Status.Images))
			}
			n.Images[unique.Make(name).Value()] = image.SizeBytes
		}
	}
	// A node that has not registered fully names no version; it is not Ready either.
	n.Version, _ = fleet.ParseVersion(node.Status.NodeInfo.KubeletVersion)
	for _, condition := range node.Status.Conditions {
		switch condition.Type { //nolint:exhaustive // the others are news of shutdowns and maintenance, which show in taints
		case corev1.NodeReady:
			n.Ready = condition.Status == corev1.ConditionTrue
		case corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable:
			if condition.Status == corev1.ConditionTrue {
				n.Pressure = append(n.Pressure, string(condition.Type))
			}
		}
	}
	for _, taint := range node.Spec.Taints {
		n.Taints = append(n.Taints, fleet.Taint{Key: taint.Key, Value: taint.Value, Effect: string(taint.Effect)})
	}
	return n
}

func firstOf(labels map[string]string, keys ...string) string {
	for _, key := range keys {
		if value := labels[key]; value != "" {
			return value
		}
	}
	return ""
}
