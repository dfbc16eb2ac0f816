package check_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
	"liftlock.dev/liftlock/internal/domain/plan"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func v(s string) fleet.Version { return fleet.MustParseVersion(s) }

// healthy is a cluster of which no check has anything to say but how it gets to
// its target.
func healthy() *check.Facts {
	f := &check.Facts{
		Cluster: "prod", At: noon, Target: v("1.35.4"), Server: v("1.34.8"), Channels: fleet.ChannelsReport,
		Managed: &fleet.Cluster{Name: "prod", Version: v("1.34.8"), ProvisioningState: "Succeeded", MaxPools: 100, Pools: []fleet.Pool{
			{Name: "apps", Mode: "User", Count: 3, Version: v("1.34.8"), ProvisioningState: "Succeeded", Zones: []string{"1", "2", "3"}},
		}},
		Offers: fleet.Offers{
			ControlPlane: []fleet.OfferedVersion{{Version: v("1.35.4")}},
			Region:       []fleet.OfferedVersion{{Version: v("1.34.8")}, {Version: v("1.35.4")}},
		},
		Snapshot: fleet.Snapshot{TakenAt: noon},
	}
	for i := range 3 {
		name := fmt.Sprintf("apps-%d", i)
		f.Snapshot.Nodes = append(f.Snapshot.Nodes, fleet.Node{
			Name: name, UID: name, Pool: "apps", Version: v("1.34.8"), Ready: true, Zone: fmt.Sprint(i + 1), CreatedAt: noon.Add(-time.Hour),
			Labels:      map[string]string{"agentpool": "apps", "disk": "fast"},
			Allocatable: fleet.Resources{MilliCPU: 4000, Memory: 16 << 30, Pods: 110},
		})
	}
	addWorkload(f, fleet.Workload{Kind: fleet.Deployment, Name: "web", Replicas: 3}, nil)
	one := intstr.FromInt32(1)
	f.Snapshot.Budgets = []fleet.Budget{{
		Namespace: "shop", Name: "web", MaxUnavailable: &one, Selector: "app=web", Fresh: true,
		CurrentHealthy: 3, DesiredHealthy: 2, ExpectedPods: 3, DisruptionsAllowed: 1,
	}}
	for _, n := range []check.Need{
		check.NeedTarget, check.NeedProvider, check.NeedOffers, check.NeedSnapshot, check.NeedServer, check.NeedObjects,
		check.NeedUsage, check.NeedWebhooks, check.NeedAPIServices, check.NeedQuotas, check.NeedAttach,
	} {
		f.Has(n)
	}
	return f
}

// addWorkload adds a workload with its pods, one to each node in turn.
func addWorkload(f *check.Facts, w fleet.Workload, change func(*fleet.Pod)) {
	w.Namespace, w.Settled = "shop", true
	w.UID = w.Key()
	w.Ready, w.Available, w.Updated, w.Current = w.Replicas, w.Replicas, w.Replicas, w.Replicas
	f.Snapshot.Workloads = append(f.Snapshot.Workloads, w)
	for i := range int(w.Replicas) {
		p := fleet.Pod{
			Namespace: "shop", Name: fmt.Sprintf("%s-%d", w.Name, i), UID: fmt.Sprintf("%s-%d", w.Name, i), Node: fmt.Sprintf("apps-%d", i%3),
			Workload: w.Key(), Labels: map[string]string{"app": w.Name}, Phase: "Running", Ready: true, ReadySince: noon.Add(-time.Hour),
			CreatedAt: noon.Add(-time.Hour), GraceSeconds: 30, Images: []string{"registry.example.com/" + w.Name + ":v1"},
			Requests: fleet.Resources{MilliCPU: 100, Memory: 64 << 20},
		}
		if change != nil {
			change(&p)
		}
		f.Snapshot.Pods = append(f.Snapshot.Pods, p)
	}
}

// told lists findings as "severity id object".
func told(list []fleet.Finding) []string {
	out := []string{}
	for _, f := range list {
		out = append(out, fmt.Sprintf("%s %s %s", f.Severity, f.ID, f.Object))
	}
	slices.Sort(out)
	return out
}

func named(t *testing.T, name string) check.Check {
	t.Helper()
	for _, c := range check.All() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %s", name)
	return check.Check{}
}

// TestHealthyCluster: no check cries where nothing is wrong.
func TestHealthyCluster(t *testing.T) {
	r := check.Run(healthy(), check.All())
	var found []fleet.Finding
	for _, f := range r.Findings {
		found = append(found, f.Finding)
	}
	if diff := cmp.Diff([]string{"info way-to-target Cluster/prod"}, told(found)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(r.NotRun) > 0 || len(r.Ran) != len(check.All()) {
		t.Errorf("not run: %+v", r.NotRun)
	}
}

// TestChecks holds each check against a cluster in which one thing is wrong.
func TestChecks(t *testing.T) {
	none, all, two := intstr.FromInt32(0), intstr.FromString("100%"), intstr.FromInt32(2)
	deployment := func(name string, replicas int32) fleet.Workload {
		return fleet.Workload{Kind: fleet.Deployment, Name: name, Replicas: replicas}
	}
	budget := func(f *check.Facts, b fleet.Budget) {
		b.Namespace, b.Name, b.Selector, b.Fresh = "shop", "b", "app=web", true
		f.Snapshot.Budgets = []fleet.Budget{b}
	}
	policy := func(change func(*fleet.NodePolicy)) func(string) fleet.NodePolicy {
		return func(string) fleet.NodePolicy {
			p := fleet.UsualNodePolicy()
			change(&p)
			return p
		}
	}
	inPlace := policy(func(p *fleet.NodePolicy) { p.Strategy = fleet.InPlace })
	hook := func(change func(*check.Webhook)) func(*check.Facts) {
		return func(f *check.Facts) {
			w := check.Webhook{
				Kind: "ValidatingWebhookConfiguration", Configuration: "policy", Name: "policy.example.com", Fails: true, Asks: []string{"CREATE pods"}, Pods: true,
				Service: "policy/policy", Endpoints: []fleet.Endpoint{{Node: "apps-0", Pod: "a", Ready: true}, {Node: "apps-1", Pod: "b", Ready: true}},
			}
			change(&w)
			f.Webhooks = []check.Webhook{w}
		}
	}
	for _, tc := range []struct {
		check, name string
		change      func(*check.Facts)
		want        []string
	}{
		{"budgets", "maxUnavailable 0", func(f *check.Facts) {
			budget(f, fleet.Budget{MaxUnavailable: &none, CurrentHealthy: 3, DesiredHealthy: 3, ExpectedPods: 3})
		}, []string{"warning budget-never-allows PodDisruptionBudget/shop/b"}},
		{"budgets", "minAvailable 100%", func(f *check.Facts) {
			budget(f, fleet.Budget{MinAvailable: &all, CurrentHealthy: 3, DesiredHealthy: 3, ExpectedPods: 3})
		}, []string{"warning budget-never-allows PodDisruptionBudget/shop/b"}},
		{"budgets", "allows some, but not now", func(f *check.Facts) {
			budget(f, fleet.Budget{MinAvailable: &two, CurrentHealthy: 2, DesiredHealthy: 2, ExpectedPods: 3})
		}, []string{"warning budget-allows-none-now PodDisruptionBudget/shop/b"}},
		{"budgets", "a stale status is not believed", func(f *check.Facts) {
			budget(f, fleet.Budget{MinAvailable: &two, CurrentHealthy: 2, DesiredHealthy: 2, ExpectedPods: 3})
			f.Snapshot.Budgets[0].Fresh = false
		}, nil},
		{"budgets", "of pods that do not move", func(f *check.Facts) {
			budget(f, fleet.Budget{MaxUnavailable: &none, CurrentHealthy: 3, DesiredHealthy: 3, ExpectedPods: 3})
			f.Target = v("1.34.8")
		}, nil},
		{"budgets", "in another namespace", func(f *check.Facts) {
			budget(f, fleet.Budget{MaxUnavailable: &none, CurrentHealthy: 3, DesiredHealthy: 3, ExpectedPods: 3})
			f.Snapshot.Budgets[0].Namespace = "other"
		}, nil},
		{"budgets", "two select one pod", func(f *check.Facts) {
			addWorkload(f, fleet.Workload{Kind: fleet.StatefulSet, Name: "db", Replicas: 2}, nil)
			for _, name := range []string{"a", "b"} {
				f.Snapshot.Budgets = append(f.Snapshot.Budgets, fleet.Budget{Namespace: "shop", Name: name, Selector: "app=db", MaxUnavailable: &two, Fresh: true, CurrentHealthy: 2, ExpectedPods: 2, DisruptionsAllowed: 2})
			}
		}, []string{"blocker budget-overlap StatefulSet/shop/db"}},

		{"single-replicas", "one", func(f *check.Facts) { addWorkload(f, deployment("one", 1), nil) }, []string{"info workload-single-replica Deployment/shop/one"}},
		{"outages", "a StatefulSet's only pod", func(f *check.Facts) {
			addWorkload(f, fleet.Workload{Kind: fleet.StatefulSet, Name: "db", Replicas: 1}, nil)
		}, []string{"warning workload-outage-unavoidable StatefulSet/shop/db"}},
		{"recreate", "Recreate", func(f *check.Facts) {
			w := deployment("old", 1)
			w.Strategy = "Recreate"
			addWorkload(f, w, nil)
		}, []string{"warning workload-recreate Deployment/shop/old"}},
		{"bare-pods", "a bare pod", func(f *check.Facts) {
			addWorkload(f, deployment("bare", 1), func(p *fleet.Pod) { p.Workload = "" })
		}, []string{"blocker pod-bare Pod/shop/bare-0"}},
		{"local-data", "an emptyDir", func(f *check.Facts) {
			addWorkload(f, deployment("cache", 1), func(p *fleet.Pod) { p.LocalData = []string{"emptyDir scratch"} })
		}, []string{"blocker pod-local-data Deployment/shop/cache"}},
		{"readiness", "no probe", func(f *check.Facts) {
			addWorkload(f, deployment("blind", 2), func(p *fleet.Pod) { p.Unprobed = true })
		}, []string{"warning workload-no-readiness Deployment/shop/blind"}},
		{"grace", "killed at once", func(f *check.Facts) {
			addWorkload(f, deployment("hasty", 2), func(p *fleet.Pod) { p.KilledAtOnce = true })
		}, []string{"warning pod-killed-at-once Deployment/shop/hasty"}},
		{"do-not-disrupt", "marked", func(f *check.Facts) {
			addWorkload(f, deployment("shy", 1), func(p *fleet.Pod) { p.Annotations = map[string]string{"karpenter.sh/do-not-disrupt": "true"} })
		}, []string{"blocker pod-do-not-disrupt Deployment/shop/shy"}},
		{"jobs", "running", func(f *check.Facts) {
			addWorkload(f, fleet.Workload{Kind: fleet.Job, Name: "import", Replicas: 1}, nil)
		}, []string{"info job-running Job/shop/import"}},
		{"placement", "a zone without nodes", func(f *check.Facts) {
			addWorkload(f, fleet.Workload{Kind: fleet.StatefulSet, Name: "db", Replicas: 1}, func(p *fleet.Pod) { p.Claims = []string{"data"} })
			f.Snapshot.Claims = []fleet.Claim{{Namespace: "shop", Name: "data", Zones: []string{"9"}}}
		}, []string{"blocker pod-no-node StatefulSet/shop/db"}},
		{"pool-names", "a selector", func(f *check.Facts) {
			addWorkload(f, deployment("tied", 2), func(p *fleet.Pod) { p.NodeSelector = map[string]string{"agentpool": "apps"} })
		}, []string{"blocker workload-bound-to-pool Deployment/shop/tied"}},
		{"pool-names", "affinity", func(f *check.Facts) {
			addWorkload(f, deployment("tied", 2), func(p *fleet.Pod) { p.PoolAffinity = []string{"apps"} })
		}, []string{"blocker workload-bound-to-pool Deployment/shop/tied"}},
		{"pool-names", "affinity to a pool that stays, too", func(f *check.Facts) {
			addWorkload(f, deployment("tied", 2), func(p *fleet.Pod) { p.PoolAffinity = []string{"apps", "other"} })
		}, nil},
		{"pool-names", "a name that is kept", func(f *check.Facts) {
			addWorkload(f, deployment("tied", 2), func(p *fleet.Pod) { p.NodeSelector = map[string]string{"agentpool": "apps"} })
			f.Policy = inPlace
		}, nil},
		{"pool-names", "a label of its own", func(f *check.Facts) {
			addWorkload(f, deployment("free", 2), func(p *fleet.Pod) { p.NodeSelector = map[string]string{"disk": "fast"} })
		}, nil},
		{"own-rollouts", "stuck", func(f *check.Facts) {
			w := deployment("half", 2)
			w.ProgressFailed = "has timed out"
			addWorkload(f, w, nil)
			f.Snapshot.Workloads[len(f.Snapshot.Workloads)-1].Updated = 1
		}, []string{"warning workload-rollout-stuck Deployment/shop/half"}},
		{"in-place", "more than budgets hold", func(f *check.Facts) {
			addWorkload(f, deployment("loose", 3), nil)
			f.Policy = inPlace
		}, []string{"blocker workload-below-requirement Deployment/shop/loose", "blocker workload-below-requirement Deployment/shop/web"}},
		{"image-tags", "latest, none, a port, a digest", func(f *check.Facts) {
			addWorkload(f, deployment("drift", 1), func(p *fleet.Pod) {
				p.Images = []string{"nginx", "a/b:latest", "host:5000/c:v1", "d:latest@sha256:00"}
			})
			addWorkload(f, deployment("port", 1), func(p *fleet.Pod) { p.Images = []string{"host:5000/c"} })
			addWorkload(f, deployment("fixed", 1), func(p *fleet.Pod) { p.Images = []string{"host:5000/c:v1", "c@sha256:00"} })
		}, []string{"warning image-tag-moves Deployment/shop/drift", "warning image-tag-moves Deployment/shop/port"}},

		{
			"webhooks", "nobody answers", hook(func(w *check.Webhook) { w.Endpoints[0].Ready, w.Endpoints[1].Ready, w.Pods = false, false, false }),
			[]string{"blocker webhook-unanswered ValidatingWebhookConfiguration/policy"},
		},
		{
			"webhooks", "the service is gone", hook(func(w *check.Webhook) { w.Endpoints, w.Missing = nil, true }),
			[]string{"blocker webhook-unanswered ValidatingWebhookConfiguration/policy"},
		},
		{
			"webhooks", "one endpoint", hook(func(w *check.Webhook) { w.Endpoints = w.Endpoints[:1] }),
			[]string{"warning webhook-one-endpoint ValidatingWebhookConfiguration/policy"},
		},
		{"webhooks", "one endpoint, not asked about pods", hook(func(w *check.Webhook) { w.Endpoints, w.Pods = w.Endpoints[:1], false }), nil},
		{
			"webhooks", "all leave together", hook(func(*check.Webhook) {}),
			[]string{"warning webhook-on-leaving-nodes ValidatingWebhookConfiguration/policy"},
		},
		{
			"webhooks", "its own namespace is let through", hook(func(w *check.Webhook) { w.OwnNamespaceExcluded = true }),
			[]string{"info webhook-on-leaving-nodes ValidatingWebhookConfiguration/policy"},
		},
		{"webhooks", "some stay", func(f *check.Facts) {
			hook(func(*check.Webhook) {})(f)
			f.Snapshot.Nodes[1].Pool = "other"
			f.Snapshot.Nodes[1].Version = f.Target
		}, nil},
		{"webhooks", "failure is ignored", hook(func(w *check.Webhook) { w.Endpoints, w.Fails = nil, false }), nil},
		{"webhooks", "outside of the cluster", hook(func(w *check.Webhook) { w.Endpoints, w.Service = nil, "" }), nil},

		{"nodes", "all that a node can have", func(f *check.Facts) {
			n := f.Snapshot.Nodes
			n[0].Ready = false
			n[1].Unschedulable = true
			n[2].Pressure = []string{"DiskPressure"}
			n[2].Labels["kubernetes.azure.com/upgrade-status"] = "Quarantined"
		}, []string{"warning node-cordoned Node/apps-1", "warning node-not-ready Node/apps-0", "warning node-pressure Node/apps-2", "warning node-quarantined Node/apps-2"}},
		{"nodes", "a cordon of ours is a leftover", func(f *check.Facts) {
			f.Snapshot.Nodes[0].Unschedulable = true
			f.Snapshot.Nodes[0].Annotations = map[string]string{fleet.MarkCordoned: "r1"}
		}, nil},
		{"leftovers", "marks", func(f *check.Facts) {
			f.Snapshot.Nodes[0].Annotations = map[string]string{fleet.MarkCordoned: "r1"}
			f.Snapshot.Workloads[0].Annotations = map[string]string{fleet.MarkReplicas: "2", fleet.MarkStrategy: "{}"}
		}, []string{"warning node-left-cordoned Node/apps-0", "warning workload-left-raised Deployment/shop/web"}},
		{"api-services", "unavailable", func(f *check.Facts) {
			f.Services = []check.APIService{{Name: "v1.apps", Available: true}, {Name: "v1beta1.metrics.k8s.io", Service: "kube-system/metrics-server"}}
		}, []string{"warning api-service-unavailable APIService/v1beta1.metrics.k8s.io"}},
		{"managers", "argocd", func(f *check.Facts) { f.Snapshot.Workloads[0].Manager = "argocd" }, []string{"info workloads-managed Manager/argocd"}},
		{"quotas", "no room", func(f *check.Facts) {
			f.Quotas = []check.Quota{
				{Namespace: "shop", Name: "team", Resource: "requests.cpu", Hard: 350, Used: 300},
				{Namespace: "shop", Name: "wide", Resource: "requests.cpu", Hard: 400, Used: 300},
				{Namespace: "shop", Name: "few", Resource: "pods", Hard: 3, Used: 3},
				{Namespace: "other", Name: "full", Resource: "pods", Hard: 3, Used: 3},
			}
		}, []string{"warning quota-forbids-surge ResourceQuota/shop/few", "warning quota-forbids-surge ResourceQuota/shop/team"}},
		{"attach-limits", "full in one zone", func(f *check.Facts) {
			f.Attach = []check.AttachLimit{{Node: "apps-0", Limit: 2}, {Node: "apps-1", Limit: 2}, {Node: "apps-2", Limit: 2}}
			f.Snapshot.Claims = []fleet.Claim{{Namespace: "x", Name: "a", AttachedTo: []string{"apps-0"}}, {Namespace: "x", Name: "b", AttachedTo: []string{"apps-0"}}, {Namespace: "x", Name: "c", AttachedTo: []string{"apps-1"}}}
		}, []string{"warning volume-attach-limit Pool/apps"}},
		{"skew", "kubelets of all ages", func(f *check.Facts) {
			f.Target = v("1.36.0")
			f.Snapshot.Nodes[0].Version = v("1.35.0")
			f.Snapshot.Nodes[1].Version = v("1.30.0")
			f.Snapshot.Nodes[2].Version, f.Snapshot.Nodes[2].Pool = v("1.32.0"), ""
		}, []string{"blocker node-newer-than-server Node/apps-0", "blocker node-too-old Node/apps-1", "blocker node-too-old Node/apps-2"}},
		{"skew", "nodes that follow on the way", func(f *check.Facts) {
			f.Target = v("1.36.0")
			f.Snapshot.Nodes[0].Version = v("1.32.0")
		}, nil},
		{"skew", "a target behind", func(f *check.Facts) { f.Target = v("1.33.1") }, []string{"blocker target-behind Cluster/prod"}},

		{"version-offered", "not offered", func(f *check.Facts) { f.NoTarget = "target 1.40.0 is not on offer" }, []string{"blocker version-not-offered Cluster/prod"}},
		{"hops", "two stops", func(f *check.Facts) { f.Target = v("1.36.2") }, []string{"info way-to-target Cluster/prod"}},
		{"hops", "no stop in between, and the next is not offered", func(f *check.Facts) {
			f.Target = v("1.37.0")
			f.Offers.Region = f.Offers.Region[:1]
		}, []string{"blocker no-way-to-target Cluster/prod"}},
		{"hops", "the next stop is not offered to this cluster", func(f *check.Facts) {
			f.Offers.ControlPlane = []fleet.OfferedVersion{{Version: v("1.34.9")}}
		}, []string{"blocker no-way-to-target Cluster/prod", "info way-to-target Cluster/prod"}},
		{"hops", "pools go along", func(f *check.Facts) { f.Managed.MaxPools = 1 }, []string{"blocker pools-go-along Pool/apps", "info way-to-target Cluster/prod"}},
		{"hops", "a stopped pool", func(f *check.Facts) { f.Managed.Pools[0].Stopped = true }, []string{"info pool-stopped Pool/apps", "info way-to-target Cluster/prod"}},
		{"hops", "a stopped pool that is too old", func(f *check.Facts) {
			f.Managed.Pools[0].Stopped, f.Managed.Pools[0].Version = true, v("1.31.0")
		}, []string{"blocker pool-stopped Pool/apps", "info way-to-target Cluster/prod"}},
		{"hops", "at the target", func(f *check.Facts) {
			f.Managed.Version, f.Managed.Pools[0].Version = f.Target, f.Target
		}, nil},
		{"operations", "at work", func(f *check.Facts) { f.Managed.Pools[0].ProvisioningState = "Scaling" }, []string{"warning operation-in-progress Cluster/prod"}},
		{"operations", "failed and stopped", func(f *check.Facts) {
			f.Managed.Stopped = true
			f.Managed.ProvisioningState, f.Managed.Pools[0].ProvisioningState = "Failed", "Canceled"
		}, []string{"warning cluster-stopped Cluster/prod", "warning provisioning-failed Cluster/prod", "warning provisioning-failed Pool/apps"}},
		{
			"upgrade-channels", "both on", func(f *check.Facts) { f.Managed.UpgradeChannel, f.Managed.NodeOSUpgradeChannel = "stable", "NodeImage" },
			[]string{"blocker upgrade-channel-races Cluster/prod", "warning node-image-channel-races Cluster/prod"},
		},
		{
			"upgrade-channels", "set aside", func(f *check.Facts) { f.Managed.UpgradeChannel, f.Channels = "stable", fleet.ChannelsSetAside },
			[]string{"info upgrade-channel-races Cluster/prod"},
		},
		{"upgrade-channels", "off", func(f *check.Facts) {
			f.Managed.UpgradeChannel, f.Managed.NodeOSUpgradeChannel = "none", "SecurityPatch"
		}, nil},
		{"pool-settings", "not to be copied, and rolled", func(f *check.Facts) {
			f.Managed.Pools[0].Uncopied = []string{"hostGroup"}
			f.Policy = policy(func(p *fleet.NodePolicy) { p.ExtraNodes = fleet.Amount0{Count: 1} })
		}, []string{"blocker pool-setting-not-copied Pool/apps", "info pool-rolls Pool/apps", "warning pool-extra-nodes-too-few Pool/apps"}},
		{"pool-settings", "of a stand-in", func(f *check.Facts) {
			f.Managed.Pools[0].Uncopied, f.Managed.Pools[0].Tags = []string{"hostGroup"}, map[string]string{plan.TagFor: "old"}
		}, nil},

		{"apis", "removed", func(f *check.Facts) {
			f.Objects = []fleet.Object{{APIVersion: "policy/v1beta1", Kind: "PodDisruptionBudget", Namespace: "shop", Name: "b", Source: fleet.FromManagedFields, By: "old"}}
		}, []string{"blocker api-removed PodDisruptionBudget/shop/b"}},
		{"api-requests", "removed", func(f *check.Facts) {
			f.Usage = []lifecycle.Requested{{Group: "policy", Version: "v1beta1", Resource: "poddisruptionbudgets", Removed: v("1.25")}}
		}, []string{"blocker api-requested policy/v1beta1/poddisruptionbudgets"}},
	} {
		t.Run(tc.check+": "+tc.name, func(t *testing.T) {
			f := healthy()
			tc.change(f)
			before := written(t, f)
			c := named(t, tc.check)
			found := c.Run(f)
			want := tc.want
			if want == nil {
				want = []string{}
			}
			if diff := cmp.Diff(want, told(found)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, one := range found {
				if !slices.ContainsFunc(c.Finds, func(k check.Kind) bool { return k.ID == one.ID }) {
					t.Errorf("finding %s is not among those that the check says it makes", one.ID)
				}
				if one.What == "" || one.Severity != fleet.Info && one.Remedy == "" {
					t.Errorf("finding %s says too little: %+v", one.ID, one)
				}
			}
			if diff := cmp.Diff(before, written(t, f)); diff != "" {
				t.Errorf("the facts were changed:\n%s", diff)
			}
		})
	}
}

// written is what facts hold, for comparison.
func written(t *testing.T, f *check.Facts) string {
	t.Helper()
	text, err := json.Marshal([]any{f.Snapshot, f.Managed, f.Offers, f.Webhooks, f.Objects, f.Quotas, f.Attach, f.Services, f.Usage})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRegistry: what is published about checks is whole.
func TestRegistry(t *testing.T) {
	names := map[string]bool{}
	groups := []check.Group{check.APIs, check.Evacuation, check.InCluster, check.Platform}
	for _, c := range check.All() {
		if names[c.Name] || c.Title == "" || c.Doc == "" || len(c.Needs) == 0 || len(c.Finds) == 0 || c.Run == nil || !slices.Contains(groups, c.Group) {
			t.Errorf("check %q is there twice, or says too little", c.Name)
		}
		names[c.Name] = true
		for _, k := range c.Finds {
			if k.ID == "" || k.Says == "" {
				t.Errorf("check %s: finding %q says nothing", c.Name, k.ID)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	some := func(only, skip string) (string, error) {
		list := func(s string) []string {
			if s == "" {
				return nil
			}
			return strings.Split(s, ",")
		}
		chosen, err := check.Choose(list(only), list(skip))
		var names []string
		for _, c := range chosen {
			names = append(names, c.Name)
		}
		return strings.Join(names, ","), err
	}
	for _, tc := range []struct{ only, skip, want, wrong string }{
		{"", "", strings.Join(check.Names(), ","), ""},
		{"webhooks,budgets", "", "budgets,webhooks", ""},
		{"apis", "api-requests", "apis", ""},
		{"platform", "hops,operations,upgrade-channels", "version-offered,pool-settings", ""},
		{"budget", "", "", `there is no check "budget"; did you mean budgets?`},
		{"Webhook", "yolo", "", `there is no check "Webhook"; did you mean webhooks?; there is no check "yolo"; list them`},
		{"budgets", "budgets", "", "no check is left"},
	} {
		got, err := some(tc.only, tc.skip)
		if tc.wrong == "" && (err != nil || got != tc.want) {
			t.Errorf("only %q, skip %q: %q, %v; want %q", tc.only, tc.skip, got, err, tc.want)
		}
		if tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)) {
			t.Errorf("only %q, skip %q: error %v, want %q", tc.only, tc.skip, err, tc.wrong)
		}
	}
}

// TestWhatWasNotReadDoesNotPass: a check without its facts does not run, is
// listed with the remedy, and one that lacks a part of them runs and is listed.
func TestWhatWasNotReadDoesNotPass(t *testing.T) {
	f := healthy()
	delete(f.Read, check.NeedQuotas)
	f.Lacks(check.Unread{Need: check.NeedQuotas, Why: "refused", Remedy: "grant it"})
	delete(f.Read, check.NeedAttach)
	f.Lacks(check.Unread{Need: check.NeedObjects, What: "widgets", Why: "refused", Remedy: "grant that"})
	delete(f.Read, check.NeedProvider)
	delete(f.Read, check.NeedOffers)
	for _, n := range []check.Need{check.NeedProvider, check.NeedOffers} {
		f.Lacks(check.Unread{Need: n, Why: "a file has none", Absent: true})
	}
	r := check.Run(f, check.All())
	want := []check.NotRun{
		{Check: "apis", Why: "widgets: refused", Remedy: "grant that", Partly: true},
		{Check: "quotas", Why: "refused", Remedy: "grant it"},
		{Check: "attach-limits", Why: "the attachLimits was not gathered", Absent: true},
		{Check: "version-offered", Why: "a file has none", Absent: true},
		{Check: "hops", Why: "a file has none", Absent: true},
		{Check: "operations", Why: "a file has none", Absent: true},
		{Check: "upgrade-channels", Why: "a file has none", Absent: true},
		{Check: "pool-settings", Why: "a file has none", Absent: true},
	}
	if diff := cmp.Diff(want, r.NotRun); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.Contains(r.Ran, "apis") || slices.Contains(r.Ran, "quotas") {
		t.Errorf("ran: %v", r.Ran)
	}
	failed, absent := r.Lacking()
	if diff := cmp.Diff([]string{"apis", "quotas"}, failed); diff != "" {
		t.Error(diff)
	}
	if len(absent) != 6 {
		t.Errorf("absent: %v", absent)
	}
}

// TestAcceptances: what is accepted comes last and does not count; what an
// acceptance could not have covered here is not called unused.
func TestAcceptances(t *testing.T) {
	f := healthy()
	addWorkload(f, fleet.Workload{Kind: fleet.Deployment, Name: "bare", Replicas: 2}, func(p *fleet.Pod) { p.Workload = "" })
	checks, err := check.Choose([]string{"bare-pods"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := check.Run(f, checks)
	if r.Count(fleet.Blocker) != 2 {
		t.Fatalf("findings: %+v", r.Findings)
	}
	list := []fleet.Acceptance{
		{Finding: "pod-bare", Object: "Pod/shop/bare-0", Owner: "ann"},
		{Finding: "pod-bare", Object: "Pod/shop/bare-1", Owner: "bob", Until: noon},
		{Finding: "pod-bare", Object: "Pod/shop/other", Owner: "cleo"},
		{Finding: "pod-bare", Cluster: "dev", Owner: "dan"},
		{Finding: "pod-local-data", Owner: "eve"},
	}
	match := func(pattern, name string) bool { return pattern == name }
	r.Accept(list, match)
	if r.Count(fleet.Blocker) != 1 || r.Accepted() != 1 || r.Findings[1].AcceptedBy != "ann" {
		t.Errorf("findings: %+v", r.Findings)
	}
	var states []check.AcceptanceState
	for _, a := range check.Acceptances(list, []check.Result{r}, noon, match) {
		states = append(states, a.State)
	}
	want := []check.AcceptanceState{check.AcceptanceUsed, check.AcceptanceExpired, check.AcceptanceUnused, check.AcceptanceUnchecked, check.AcceptanceUnchecked}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPoolFindings: a rollout hears of what is bound to the pool that it is about
// to replace, and of no other one's.
func TestPoolFindings(t *testing.T) {
	f := healthy()
	addWorkload(f, fleet.Workload{Kind: fleet.Deployment, Name: "tied", Replicas: 1}, func(p *fleet.Pod) { p.NodeSelector = map[string]string{"agentpool": "apps"} })
	p := &f.Managed.Pools[0]
	p.Uncopied = []string{"hostGroup"}
	policy := fleet.UsualNodePolicy()
	got := told(check.PoolFindings(&f.Snapshot, p, policy))
	if diff := cmp.Diff([]string{"blocker pool-setting-not-copied Pool/apps", "blocker workload-bound-to-pool Deployment/shop/tied"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := check.PoolFindings(&f.Snapshot, &fleet.Pool{Name: "other"}, policy); len(got) > 0 {
		t.Errorf("another pool: %v", told(got))
	}
	policy.Strategy = fleet.InPlace
	if got := check.PoolFindings(&f.Snapshot, p, policy); len(got) > 0 {
		t.Errorf("in place: %v", told(got))
	}
}
