package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

// managerOf names who would put back what we change on an object; "" when
// nobody would.
//
// Helm's app.kubernetes.io/managed-by is no sign: Helm writes when a person
// upgrades a release, not when an object changes.
func managerOf(object *metav1.ObjectMeta) string {
	for i := range object.OwnerReferences {
		// Operators do not agree on setting controller: true, so every owner counts.
		if owner := &object.OwnerReferences[i]; !scheme.Scheme.IsGroupRegistered(groupOf(owner.APIVersion)) {
			return "operator/" + owner.Kind + " " + owner.Name
		}
	}
	for _, sign := range signs {
		for _, place := range []map[string]string{object.Labels, object.Annotations} {
			if value, found := place[sign.key]; found && (sign.value == "" || value == sign.value) {
				return sign.manager
			}
		}
	}
	return ""
}

// signs are the labels and annotations by which continuous reconcilers know
// what is theirs.
var signs = []struct{ key, value, manager string }{
	{key: "argocd.argoproj.io/instance", manager: "argocd"},
	{key: "argocd.argoproj.io/tracking-id", manager: "argocd"},
	{key: "kustomize.toolkit.fluxcd.io/name", manager: "flux"},
	{key: "helm.toolkit.fluxcd.io/name", manager: "flux"},
	{key: "addonmanager.kubernetes.io/mode", value: "Reconcile", manager: "addon-manager"},
	{key: "kubernetes.azure.com/managedby", value: "aks", manager: "addon-manager"},
	{key: "objectset.rio.cattle.io/hash", manager: "rancher"},
	{key: "configmanagement.gke.io/managed", value: "enabled", manager: "config-sync"},
	{key: "kapp.k14s.io/app", manager: "kapp"},
}
