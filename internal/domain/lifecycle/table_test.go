package lifecycle

import (
	"slices"
	"testing"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

func TestTablesAreSorted(t *testing.T) {
	for i := range kubernetesTable {
		r := &kubernetesTable[i]
		if got := find(GroupVersionKind{r.group, r.version, r.kind}); got != r {
			t.Errorf("%s/%s %s is not found where it is", r.group, r.version, r.kind)
		}
	}
	for _, c := range componentTable {
		g := GroupVersionKind{c.Group, c.Version, c.Kind}
		if got, found := LookupComponent(g.APIVersion(), c.Kind); !found || got != c {
			t.Errorf("%s is not found where it is", g)
		}
		if c.Source == "" || c.Removed == "" && c.Deprecated == "" {
			t.Errorf("%s has no source or says nothing", g)
		}
	}
}

func TestTableMakesSense(t *testing.T) {
	for i := range kubernetesTable {
		r := &kubernetesTable[i]
		g := GroupVersionKind{r.group, r.version, r.kind}
		if r.removed > 0 && (r.introduced > r.removed || r.deprecated > r.removed) {
			t.Errorf("%s goes before it comes: %+v", g, *r)
		}
		// Upstream names an apps/v1 DeploymentRollback, which never was.
		if next := parseGVK(r.replacement); r.replacement != "" && find(next) == nil && r.kind != "DeploymentRollback" {
			t.Errorf("%s is replaced by %s, which is not in the table", g, next)
		}
	}
}

// What everybody has met, from the deprecation guide of Kubernetes' documentation.
func TestLookup(t *testing.T) {
	tests := []struct {
		apiVersion, kind                string
		introduced, deprecated, removed int
		replacement                     string
	}{
		{"extensions/v1beta1", "Deployment", 1, 8, 16, "apps/v1 Deployment"},
		{"apps/v1beta2", "DaemonSet", 8, 9, 16, "apps/v1 DaemonSet"},
		{"extensions/v1beta1", "Ingress", 1, 14, 22, "networking.k8s.io/v1 Ingress"},
		{"apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", 7, 16, 22, "apiextensions.k8s.io/v1 CustomResourceDefinition"},
		{"apiregistration.k8s.io/v1beta1", "APIService", 7, 19, 22, "apiregistration.k8s.io/v1 APIService"},
		{"policy/v1beta1", "PodSecurityPolicy", 10, 21, 25, ""},
		{"batch/v1beta1", "CronJob", 8, 21, 25, "batch/v1 CronJob"},
		{"autoscaling/v2beta2", "HorizontalPodAutoscaler", 12, 23, 26, "autoscaling/v2 HorizontalPodAutoscaler"},
		{"flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", 26, 29, 32, "flowcontrol.apiserver.k8s.io/v1 FlowSchema"},
		{"networking.k8s.io/v1beta1", "IngressClass", 18, 19, 22, "networking.k8s.io/v1 IngressClass"},
		{"apps/v1", "Deployment", 9, 0, 0, ""},
		// Their methods named later releases than the one that dropped them.
		{"resource.k8s.io/v1alpha1", "ResourceClass", 26, 0, 27, ""},
		{"networking.k8s.io/v1alpha1", "ClusterCIDR", 25, 28, 29, ""},
	}
	for _, test := range tests {
		got, found := Lookup(test.apiVersion, test.kind)
		g := split(test.apiVersion, test.kind)
		want := API{g.Group, g.Version, g.Kind, minor(test.introduced), minor(test.deprecated), minor(test.removed), parseGVK(test.replacement)}
		if !found || got != want {
			t.Errorf("%s %s: got %+v (%v), want %+v", test.apiVersion, test.kind, got, found, want)
		}
	}
	if _, found := Lookup("apps/v7", "Deployment"); found {
		t.Error("apps/v7 was found")
	}
}

func TestSuccessor(t *testing.T) {
	at := func(n int) fleet.Version { return fleet.Version{Major: 1, Minor: n} }
	tests := []struct {
		api  string
		at   int
		want string
	}{
		{"extensions/v1beta1 Ingress", 22, "networking.k8s.io/v1 Ingress"},
		{"extensions/v1beta1 PodSecurityPolicy", 24, "policy/v1beta1 PodSecurityPolicy"},
		{"extensions/v1beta1 PodSecurityPolicy", 25, ""},
		{"flowcontrol.apiserver.k8s.io/v1alpha1 FlowSchema", 31, "flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema"},
		{"flowcontrol.apiserver.k8s.io/v1alpha1 FlowSchema", 32, "flowcontrol.apiserver.k8s.io/v1 FlowSchema"},
		{"discovery.k8s.io/v1beta1 EndpointSlice", 25, "discovery.k8s.io/v1 EndpointSlice"}, // upstream names none
		{"resource.k8s.io/v1alpha2 ResourceClaim", 32, "resource.k8s.io/v1beta1 ResourceClaim"},
		{"resource.k8s.io/v1alpha2 ResourceClaim", 36, "resource.k8s.io/v1 ResourceClaim"},
		{"example.com/v1 Thing", 36, ""},
	}
	for _, test := range tests {
		got, found := successor(parseGVK(test.api), at(test.at))
		if found != (test.want != "") || found && got.String() != test.want {
			t.Errorf("successor of %s at 1.%d is %s (%v), want %q", test.api, test.at, got, found, test.want)
		}
	}
}

func TestPlural(t *testing.T) {
	for kind, want := range map[string]string{
		"Ingress": "ingresses", "IngressClass": "ingressclasses", "PodSecurityPolicy": "podsecuritypolicies", "NetworkPolicy": "networkpolicies",
		"CronJob": "cronjobs", "Endpoints": "endpoints", "CSIStorageCapacity": "csistoragecapacities", "StorageClass": "storageclasses",
	} {
		if got := plural(kind); got != want {
			t.Errorf("plural of %s is %s, want %s", kind, got, want)
		}
	}
}

func TestMaturity(t *testing.T) {
	want := []string{"v1alpha1", "v2alpha1", "v1beta1", "v1beta2", "v2beta1", "v1", "v2"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareMaturity)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
