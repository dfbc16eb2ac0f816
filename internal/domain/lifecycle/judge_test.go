package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

var v = fleet.MustParseVersion

// day is a day of 2024.
func day(n int) time.Time { return time.Date(2024, 1, n, 12, 0, 0, 0, time.UTC) }

// object is an object called web in the namespace shop.
func object(source fleet.ObjectSource, apiVersion, kind string, change ...func(*fleet.Object)) fleet.Object {
	o := fleet.Object{APIVersion: apiVersion, Kind: kind, Namespace: "shop", Name: "web", Source: source}
	for _, c := range change {
		c(&o)
	}
	return o
}

func in(where string) func(*fleet.Object) { return func(o *fleet.Object) { o.Where = where } }
func named(name string) func(*fleet.Object) {
	return func(o *fleet.Object) { o.Name = name }
}

func ownedBy(owner string) func(*fleet.Object) {
	return func(o *fleet.Object) { o.Owner = owner }
}

func by(manager string, at time.Time) func(*fleet.Object) {
	return func(o *fleet.Object) { o.By, o.At = manager, at }
}

func TestJudge(t *testing.T) {
	const (
		manifest, template, release = fleet.FromManifest, fleet.FromTemplate, fleet.FromRelease
		managed, applied, live      = fleet.FromManagedFields, fleet.FromLastApplied, fleet.FromStorage
	)
	type objects []fleet.Object
	type want []string // "severity id object"
	tests := map[string]struct {
		target  string
		objects objects
		want    want
		say     string // in the text of the first finding
	}{
		"a file of a removed API": {
			"1.22.0",
			objects{object(manifest, "extensions/v1beta1", "Ingress", in("a.yaml:1"))},
			want{"blocker api-removed Ingress/shop/web"},
			"networking.k8s.io/v1 Ingress",
		},
		"the release before it is removed": {
			"1.21.9",
			objects{object(manifest, "extensions/v1beta1", "Ingress", in("a.yaml:1"))},
			want{"warning api-deprecated Ingress/shop/web"},
			"gone in 1.22",
		},
		"before it is deprecated": {"1.13.0", objects{object(manifest, "extensions/v1beta1", "Ingress")}, nil, ""},
		"a file of an API to come": {
			"1.18.0",
			objects{object(manifest, "networking.k8s.io/v1", "Ingress")},
			want{"warning api-not-yet Ingress/shop/web"},
			"came with 1.19",
		},
		"an object that the cluster has is no API to come": {"1.18.0", objects{object(managed, "networking.k8s.io/v1", "Ingress")}, nil, ""},
		// pluto#495, #512: the annotation names what kubectl applied years ago; since then Helm writes the object.
		"a stale annotation": {
			"1.26.0",
			objects{
				object(applied, "autoscaling/v2beta2", "HorizontalPodAutoscaler"),
				object(managed, "autoscaling/v2", "HorizontalPodAutoscaler", by("helm", day(9))),
				object(live, "autoscaling/v2", "HorizontalPodAutoscaler"),
			},
			want{"warning api-removed HorizontalPodAutoscaler/shop/web"},
			"stale",
		},
		"an annotation that nothing contradicts": {
			"1.26.0",
			objects{
				object(applied, "autoscaling/v2beta2", "HorizontalPodAutoscaler"),
				object(live, "autoscaling/v2", "HorizontalPodAutoscaler"),
			},
			want{"blocker api-removed HorizontalPodAutoscaler/shop/web"},
			"lastApplied: autoscaling/v2beta2",
		},
		"a controller's status is no new writer": {
			"1.25.0",
			objects{
				object(applied, "policy/v1beta1", "PodDisruptionBudget"),
				object(managed, "policy/v1", "PodDisruptionBudget", by("kube-controller-manager", day(9))),
			},
			want{"blocker api-removed PodDisruptionBudget/shop/web"},
			"",
		},
		// pluto#367: an operator's client writes an old version; no annotation tells.
		"an object made by an SDK": {
			"1.25.0",
			objects{
				object(managed, "policy/v1beta1", "PodDisruptionBudget", by("elastic-operator", day(2))),
				object(live, "policy/v1", "PodDisruptionBudget"),
			},
			want{"blocker api-removed PodDisruptionBudget/shop/web"},
			"elastic-operator",
		},
		"a client that has moved on": {
			"1.25.0",
			objects{
				object(managed, "policy/v1beta1", "PodDisruptionBudget", by("elastic-operator", day(2))),
				object(managed, "policy/v1", "PodDisruptionBudget", by("elastic-operator", day(5))),
			},
			want{"warning api-removed PodDisruptionBudget/shop/web"},
			"since",
		},
		"kubectl by another of its names": {
			"1.22.0",
			objects{
				object(managed, "extensions/v1beta1", "Ingress", by("kubectl", day(2))),
				object(managed, "networking.k8s.io/v1", "Ingress", by("kubectl-client-side-apply", day(5))),
			},
			want{"warning api-removed Ingress/shop/web"},
			"since",
		},
		"a client that went back": {
			"1.25.0",
			objects{
				object(managed, "policy/v1beta1", "PodDisruptionBudget", by("elastic-operator", day(7))),
				object(managed, "policy/v1", "PodDisruptionBudget", by("elastic-operator", day(5))),
			},
			want{"blocker api-removed PodDisruptionBudget/shop/web"},
			"",
		},
		"another client's newer write proves nothing about the old one": {
			"1.25.0",
			objects{
				object(managed, "policy/v1beta1", "PodDisruptionBudget", by("elastic-operator", day(2))),
				object(managed, "policy/v1", "PodDisruptionBudget", by("kubectl-edit", day(5))),
			},
			want{"blocker api-removed PodDisruptionBudget/shop/web"},
			"",
		},
		"Kubernetes' own components are upgraded with it": {
			"1.25.0", objects{object(managed, "discovery.k8s.io/v1beta1", "EndpointSlice", by("kube-controller-manager", day(2)))}, nil, "",
		},
		// pluto#461: what a server answers depends on what the client asked for.
		"a dump of a live object is no use": {"1.25.0", objects{object(live, "policy/v1beta1", "PodDisruptionBudget")}, nil, ""},
		"a live object of a kind that is gone altogether": {
			"1.25.0",
			objects{object(live, "policy/v1beta1", "PodSecurityPolicy")},
			want{"blocker api-removed PodSecurityPolicy/shop/web"},
			"no other version",
		},
		"and of extensions, by way of its replacement": {
			"1.25.0",
			objects{object(manifest, "extensions/v1beta1", "PodSecurityPolicy")},
			want{"blocker api-removed PodSecurityPolicy/shop/web"},
			"no other version",
		},
		"a release": {
			"1.25.0",
			objects{object(release, "policy/v1beta1", "PodDisruptionBudget", in("release shop/web, revision 3"))},
			want{"blocker api-removed PodDisruptionBudget/shop/web"},
			"both upgrades and rollbacks of the release fail",
		},
		"an entry of Helm's that the release has outgrown": {
			"1.25.0",
			objects{
				object(managed, "policy/v1beta1", "PodDisruptionBudget", by("helm", day(2))),
				object(release, "policy/v1", "PodDisruptionBudget"),
			},
			want{"warning api-removed PodDisruptionBudget/shop/web"},
			"the release has the object at policy/v1 now",
		},
		"one finding for one object": {
			"1.22.0",
			objects{
				object(applied, "extensions/v1beta1", "Ingress"),
				object(managed, "networking.k8s.io/v1beta1", "Ingress", by("argocd", day(3))),
				object(release, "networking.k8s.io/v1beta1", "Ingress"),
			},
			want{"blocker api-removed Ingress/shop/web"},
			"release: networking.k8s.io/v1beta1\nmanagedFields: networking.k8s.io/v1beta1 by argocd at 2024-01-03 12:00\nlastApplied: extensions/v1beta1",
		},
		"files are changed one by one": {
			"1.22.0",
			objects{
				object(manifest, "extensions/v1beta1", "Ingress", in("a.yaml:1")),
				object(manifest, "extensions/v1beta1", "Ingress", in("b.yaml:1")),
			},
			want{"blocker api-removed Ingress/shop/web", "blocker api-removed Ingress/shop/web"},
			"a.yaml:1",
		},
		"a controller's object is its owner's": {
			"1.22.0",
			objects{
				object(applied, "extensions/v1beta1", "Deployment"),
				object(applied, "extensions/v1beta1", "ReplicaSet", named("web-1"), ownedBy("Deployment/shop/web")),
			},
			want{"blocker api-removed Deployment/shop/web"},
			"",
		},
		"of an owner that is not known it is told": {
			"1.22.0",
			objects{object(applied, "extensions/v1beta1", "ReplicaSet", named("web-1"), ownedBy("Deployment/shop/web"))},
			want{"blocker api-removed ReplicaSet/shop/web-1"},
			"",
		},
		"a template that has a good branch": {
			"1.22.0",
			objects{
				object(template, "extensions/v1beta1", "Ingress", in("t.yaml:3")),
				object(template, "networking.k8s.io/v1", "Ingress", in("t.yaml:1")),
			},
			want{"info api-removed Ingress/shop/web"},
			"can also be rendered",
		},
		"a template that has none": {
			"1.22.0",
			objects{
				object(template, "extensions/v1beta1", "Ingress", in("t.yaml:3")),
				object(template, "networking.k8s.io/v1beta1", "Ingress", in("t.yaml:1")),
			},
			want{"blocker api-removed Ingress/shop/web"},
			"",
		},
		"a template that may not be rendered": {
			"1.25.0",
			objects{object(template, "policy/v1beta1", "PodSecurityPolicy", in("t.yaml:3"))},
			want{"warning api-removed PodSecurityPolicy/shop/web"},
			"decides whether it is rendered",
		},
		"a good template may hold branches to come": {
			"1.18.0",
			objects{
				object(template, "extensions/v1beta1", "Ingress", in("t.yaml:3")),
				object(template, "networking.k8s.io/v1", "Ingress", in("t.yaml:1")),
			},
			nil, "",
		},
		// Kinds that peers miss (pluto#233, #286 and the comparison with upstream).
		"kinds that upstream has deleted": {
			"1.36.0",
			objects{
				object(manifest, "autoscaling/v2beta1", "HorizontalPodAutoscaler", named("a")),
				object(manifest, "storagemigration.k8s.io/v1alpha1", "StorageVersionMigration", named("b")),
				object(manifest, "resource.k8s.io/v1alpha2", "ResourceClaim", named("c")),
				object(manifest, "apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", named("d")),
				object(manifest, "apiregistration.k8s.io/v1beta1", "APIService", named("e")),
				object(manifest, "admissionregistration.k8s.io/v1beta1", "ValidatingAdmissionPolicyBinding", named("f")),
				object(manifest, "policy/v1beta1", "Eviction", named("g")),
				object(manifest, "authentication.k8s.io/v1beta1", "SelfSubjectReview", named("h")),
				object(manifest, "authorization.k8s.io/v1beta1", "SubjectAccessReview", named("i")),
				object(manifest, "storage.k8s.io/v1alpha1", "CSIStorageCapacity", named("j")),
			},
			want{
				"blocker api-removed APIService/shop/e", "blocker api-removed CSIStorageCapacity/shop/j", "blocker api-removed CustomResourceDefinition/shop/d",
				"blocker api-removed Eviction/shop/g", "blocker api-removed HorizontalPodAutoscaler/shop/a", "blocker api-removed ResourceClaim/shop/c",
				"blocker api-removed SelfSubjectReview/shop/h", "blocker api-removed StorageVersionMigration/shop/b", "blocker api-removed SubjectAccessReview/shop/i",
				"blocker api-removed ValidatingAdmissionPolicyBinding/shop/f",
			},
			"",
		},
		// pluto has 1.36 here; upstream moved it.
		"a removal that was moved": {
			"1.36.0",
			objects{object(manifest, "resource.k8s.io/v1beta1", "ResourceClaim")},
			want{"warning api-deprecated ResourceClaim/shop/web"},
			"gone in 1.38",
		},
		// pluto has 1.29 here.
		"flowcontrol v1beta1 went with 1.26": {
			"1.26.0",
			objects{object(manifest, "flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema")},
			want{"blocker api-removed FlowSchema/shop/web"},
			"write it as flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema",
		},
		"a replacement that is gone itself is passed over": {
			"1.36.0",
			objects{object(manifest, "flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema")},
			want{"blocker api-removed FlowSchema/shop/web"},
			"write it as flowcontrol.apiserver.k8s.io/v1 FlowSchema",
		},
		"a component's API": {
			"1.36.0",
			objects{object(manifest, "cert-manager.io/v1alpha2", "Certificate")},
			want{"warning component-api-removed Certificate/shop/web"},
			"not served by cert-manager 1.6",
		},
		"a component's API in what is left of a past": {
			"1.36.0",
			objects{
				object(managed, "source.toolkit.fluxcd.io/v1beta2", "OCIRepository", by("kubectl", day(1))),
				object(managed, "source.toolkit.fluxcd.io/v1", "OCIRepository", by("kubectl", day(2))),
			},
			want{"warning component-api-removed OCIRepository/shop/web"},
			"server-side apply fails",
		},
		"a component's API that goes": {
			"1.36.0",
			objects{object(managed, "gateway.networking.k8s.io/v1alpha2", "TLSRoute", by("argocd", day(1)))},
			want{"info component-api-deprecated TLSRoute/shop/web"},
			"Gateway API",
		},
		"a mistyped API": {
			"1.36.0",
			objects{object(manifest, "apps/v1beta3", "Deployment")},
			want{"info api-unknown Deployment/shop/web"},
			"apps/v1beta3 Deployment",
		},
		"custom resources are nobody's business": {"1.36.0", objects{object(manifest, "example.com/v1", "Thing"), object(manifest, "builtin", "LabelTransformer"), object(manifest, "kustomize.config.k8s.io/v1beta1", "Kustomization")}, nil, ""},
		"same kinds of other groups are other objects": {
			"1.22.0",
			objects{
				object(managed, "serving.knative.dev/v1", "Ingress", by("kn", day(9))),
				object(applied, "extensions/v1beta1", "Ingress"),
			},
			want{"blocker api-removed Ingress/shop/web"},
			"",
		},
		"a target after the table's end": {"1.99.0", objects{}, want{"warning api-table-ends target"}, "as far as it was announced"},
		"a target that makes no sense":   {"0.0.0", objects{}, want{"blocker api-table-ends target"}, "Kubernetes 1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			findings := lifecycle.Judge(test.objects, v(test.target))
			var got want
			for _, f := range findings {
				got = append(got, string(f.Severity)+" "+f.ID+" "+f.Object)
				if f.What == "" || f.Remedy == "" {
					t.Errorf("finding says too little: %+v", f)
				}
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Fatalf("got\n%s\nwant\n%s\n%+v", strings.Join(got, "\n"), strings.Join(test.want, "\n"), findings)
			}
			if len(findings) > 0 {
				f := findings[0]
				text := strings.Join([]string{f.What, f.Why, f.Remedy, f.Owner, f.Evidence}, "\n")
				if !strings.Contains(text, test.say) {
					t.Errorf("finding does not say %q:\n%s", test.say, text)
				}
			}
		})
	}
}

// What a cluster does not serve as it is, its upgrade does not break.
func TestJudgeUpgrade(t *testing.T) {
	for _, test := range []struct {
		source  fleet.ObjectSource
		current string
		want    fleet.Severity
	}{
		{fleet.FromManagedFields, "1.24.9", fleet.Blocker},
		{fleet.FromManagedFields, "1.25.0", fleet.Info},
		{fleet.FromLastApplied, "1.24.9", fleet.Blocker},
		{fleet.FromLastApplied, "1.30.0", fleet.Info},
		{fleet.FromRelease, "1.24.9", fleet.Blocker},
		{fleet.FromRelease, "1.25.0", fleet.Warning},
		{fleet.FromManifest, "1.25.0", fleet.Blocker},
	} {
		o := object(test.source, "policy/v1beta1", "PodDisruptionBudget", by("somebody", day(1)))
		got := lifecycle.JudgeUpgrade([]fleet.Object{o}, v(test.current), v("1.31.0"))
		if len(got) != 1 || got[0].Severity != test.want {
			t.Errorf("%s at %s: got %+v, want %s", test.source, test.current, got, test.want)
		}
	}
}

func TestJudgeDoesNotDependOnOrder(t *testing.T) {
	objects := []fleet.Object{
		object(fleet.FromLastApplied, "extensions/v1beta1", "Ingress"),
		object(fleet.FromManagedFields, "networking.k8s.io/v1beta1", "Ingress", by("argocd", day(3))),
		object(fleet.FromRelease, "networking.k8s.io/v1beta1", "Ingress"),
		object(fleet.FromStorage, "networking.k8s.io/v1", "Ingress"),
	}
	want := lifecycle.Judge(objects, v("1.22.0"))
	for range objects {
		objects = append(objects[1:], objects[0])
		got := lifecycle.Judge(objects, v("1.22.0"))
		if len(got) != 1 || got[0] != want[0] {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

func TestJudgeRequests(t *testing.T) {
	now := day(10)
	psp := lifecycle.Requested{Group: "policy", Version: "v1beta1", Resource: "podsecuritypolicies", Removed: fleet.Version{Major: 1, Minor: 25}}
	use := func(user, agent string, at time.Time) lifecycle.Use {
		return lifecycle.Use{Group: "batch", Version: "v1beta1", Resource: "cronjobs", Verb: "list", User: user, UserAgent: agent, At: at, Removed: fleet.Version{Major: 1, Minor: 25}}
	}
	tests := map[string]struct {
		requested []lifecycle.Requested
		uses      []lifecycle.Use
		target    string
		want, say string
	}{
		"a metric":                    {[]lifecycle.Requested{psp}, nil, "1.25.0", "blocker policy/v1beta1/podsecuritypolicies", "does not say who"},
		"a metric of what stays":      {[]lifecycle.Requested{psp}, nil, "1.24.0", "warning policy/v1beta1/podsecuritypolicies", "gone in 1.25"},
		"somebody, just now":          {nil, []lifecycle.Use{use("jenkins", "helm/3", now.Add(-time.Hour)), use("jenkins", "helm/3", now)}, "1.25.0", "blocker batch/v1beta1/cronjobs", "list 2 times by jenkins (helm/3)"},
		"somebody, a week ago":        {nil, []lifecycle.Use{use("weekly", "", now.Add(-7*24*time.Hour))}, "1.25.0", "blocker batch/v1beta1/cronjobs", "look-back of 12 hours misses"},
		"what to use":                 {nil, []lifecycle.Use{use("a", "", now)}, "1.25.0", "blocker batch/v1beta1/cronjobs", "batch/v1 CronJob"},
		"only Kubernetes itself":      {nil, []lifecycle.Use{use("system:serviceaccount:kube-system:generic-garbage-collector", "", now)}, "1.25.0", "info batch/v1beta1/cronjobs", "upgraded with the cluster"},
		"Kubernetes and somebody":     {nil, []lifecycle.Use{use("system:apiserver", "", now), use("flux", "", now)}, "1.25.0", "blocker batch/v1beta1/cronjobs", "flux"},
		"removal that nobody stated":  {[]lifecycle.Requested{{Group: "policy", Version: "v1beta1", Resource: "poddisruptionbudgets"}}, nil, "1.25.0", "blocker policy/v1beta1/poddisruptionbudgets", "policy/v1 PodDisruptionBudget"},
		"no removal is announced yet": {[]lifecycle.Requested{{Group: "example.com", Version: "v1", Resource: "things"}}, nil, "1.25.0", "warning example.com/v1/things", "is deprecated"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			findings := lifecycle.JudgeRequests(test.requested, test.uses, v(test.target), now)
			if len(findings) != 1 {
				t.Fatalf("got %d findings, want 1: %+v", len(findings), findings)
			}
			f := findings[0]
			if got := string(f.Severity) + " " + f.Object; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if text := strings.Join([]string{f.What, f.Why, f.Remedy, f.Owner, f.Evidence}, "\n"); !strings.Contains(text, test.say) {
				t.Errorf("finding does not say %q:\n%s", test.say, text)
			}
		})
	}
	if got := lifecycle.JudgeRequests(nil, nil, v("1.25.0"), now); len(got) != 0 {
		t.Errorf("findings out of nothing: %+v", got)
	}
}
