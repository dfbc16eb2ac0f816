package rehearsal

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// Labels by which AKS names pools and images.
const (
	labelPool    = "kubernetes.azure.com/agentpool"
	labelPoolOld = "agentpool"
	labelImage   = "kubernetes.azure.com/node-image-version"
	labelHost    = "kubernetes.io/hostname"
)

// likeness makes new nodes that are like those of a pool in the snapshot: what
// they offer, their labels, taints, zones and disk drivers.
type likeness struct {
	nodes   []*Object          // of the pool, by name
	drivers map[string]*Object // CSINodes, by node
	label   string             // that names pools, beside those of AKS
}

// likenesses sorts the snapshot's nodes by their pool.
func likenesses(objects []Object, label string) map[string]*likeness {
	pools, drivers := map[string]*likeness{}, map[string]*Object{}
	for i := range objects {
		o := &objects[i]
		switch o.kind() {
		case kind{"storage.k8s.io", "CSINode"}:
			drivers[o.name()] = o
		case kind{"", "Node"}:
			name := poolOf(o.Content, label)
			if name == "" {
				continue
			}
			if pools[name] == nil {
				pools[name] = &likeness{drivers: drivers, label: label}
			}
			pools[name].nodes = append(pools[name].nodes, o)
		}
	}
	for _, l := range pools {
		slices.SortFunc(l.nodes, func(a, b *Object) int { return strings.Compare(a.name(), b.name()) })
	}
	return pools
}

// poolOf reads the pool that a node says it belongs to.
func poolOf(node map[string]any, label string) string {
	labels := part(node, "metadata", "labels")
	if label != "" {
		return text(labels, label)
	}
	for _, l := range []string{labelPool, labelPoolOld} {
		if name := text(labels, l); name != "" {
			return name
		}
	}
	return ""
}

// make makes the n-th node of a new pool, its status and the CSINode that its
// kubelet would register, which is nil where its like has none.
func (l *likeness) make(pool string, n int, version, image string) (node, status, driver map[string]any) {
	like := l.nodes[n%len(l.nodes)]
	name := fmt.Sprintf("%s-rehearsal-%04d", pool, n)
	node = bare(like)
	was := runtime.DeepCopyJSON(like.Content)
	status = prepareNode(node, was)
	drop(node, "metadata", "ownerReferences")
	drop(node, "spec", "unschedulable")
	drop(node, "spec", "providerID")
	keepTaints(node, func(key string) bool {
		return !strings.HasPrefix(key, "node.kubernetes.io/") && !strings.Contains(key, "liftlock.dev/") && key != "ToBeDeletedByClusterAutoscaler" && key != "DeletionCandidateOfClusterAutoscaler"
	})
	for _, place := range []string{"labels", "annotations"} {
		for key := range part(node, "metadata", place) {
			if strings.Contains(key, "liftlock.dev/") {
				drop(node, "metadata", place, key)
			}
		}
	}
	put(node, name, "metadata", "name")
	labels := part(node, "metadata", "labels")
	for _, key := range []string{labelPool, labelPoolOld, l.label} {
		if _, ok := labels[key]; ok && key != "" {
			labels[key] = pool
		}
	}
	if _, ok := labels[labelHost]; ok {
		labels[labelHost] = name
	}
	// A balancer that the old node was taken out of has the new one.
	delete(labels, "node.kubernetes.io/exclude-from-external-load-balancers")
	if image != "" {
		put(node, image, "metadata", "labels", labelImage)
	}
	put(status, "v"+version, "nodeInfo", "kubeletVersion")
	put(status, name, "nodeInfo", "bootID")
	status["addresses"] = []any{
		map[string]any{"type": "InternalIP", "address": fmt.Sprintf("10.255.%d.%d", n/250, 1+n%250)},
		map[string]any{"type": "Hostname", "address": name},
	}
	status["conditions"] = healthy()
	if d := l.drivers[like.name()]; d != nil {
		driver = bare(d)
		put(driver, name, "metadata", "name")
		drop(driver, "metadata", "ownerReferences")
		for _, one := range items(driver, "spec", "drivers") {
			one["nodeID"] = name
		}
	}
	return node, status, driver
}

// healthy are the conditions of a node that is well.
func healthy() []any {
	condition := func(kind, status, reason string) any {
		return map[string]any{"type": kind, "status": status, "reason": reason, "message": "rehearsed"}
	}
	return []any{
		condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
		condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
		condition("PIDPressure", "False", "KubeletHasSufficientPID"),
		condition("Ready", "True", "KubeletReady"),
	}
}
