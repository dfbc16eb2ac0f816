package kube

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Rules are all that the identity which Liftlock uses needs in a cluster, to be
// granted by a ClusterRole. For looking alone (plan, check) get, list and watch
// are enough.
func Rules() []rbacv1.PolicyRule {
	rule := func(group string, verbs []string, resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	look := []string{"get", "list", "watch"}
	change := slices.Concat(look, []string{"patch"})
	return []rbacv1.PolicyRule{
		rule("", change, "nodes", "pods", "replicationcontrollers"),
		rule("", []string{"create"}, "pods/eviction"),
		rule("", []string{"create", "delete"}, "pods"), // that pull images beforehand
		rule("", look, "namespaces", "persistentvolumeclaims", "persistentvolumes", "services"),
		rule("discovery.k8s.io", look, "endpointslices"),
		rule("apps", change, "deployments", "statefulsets", "daemonsets", "replicasets"),
		rule("batch", look, "jobs"),
		rule("autoscaling", change, "horizontalpodautoscalers"),
		rule("keda.sh", change, "scaledobjects"),
		rule("policy", look, "poddisruptionbudgets"),
		rule("storage.k8s.io", look, "volumeattachments"),
		rule("coordination.k8s.io", []string{"get", "create", "update"}, "leases"),
	}
}
