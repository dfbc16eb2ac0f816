package azure_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
	"liftlock.dev/liftlock/sim/aks"
	"liftlock.dev/liftlock/sim/fault"
)

// The contract of rollout.Provider, held against a service that behaves as AKS
// does, through the real SDK, TLS and sign-in.

const (
	subscription = "00000000-0000-4000-8000-000000000001"
	clusterID    = "/subscriptions/00000000-0000-4000-8000-000000000001/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/c"
)

const world = `name: conformance
subscriptions:
- {id: 00000000-0000-4000-8000-000000000001, name: one, resourceGroups: [rg, other]}
regions:
- name: westeurope
  versions:
  - {version: 1.33.13, longTermOnly: true}
  - {version: 1.34.4}
  - {version: 1.35.4, default: true}
  - {version: 1.36.3}
  - {version: 1.37.1, preview: true}
  nodeImages:
    AKSUbuntu-2204gen2containerd: [202610.12.0, 202611.09.0]
throttling: {off: true} # throttling
timing: {minute: 10ms}
pageSize: 1
clusters:
- name: c
  subscription: one
  resourceGroup: rg
  location: westeurope
  version: 1.34.4 # cluster
  tags: {Env: test}
  properties: {networkProfile: {networkPlugin: azure, networkPluginMode: overlay}, autoUpgradeProfile: {nodeOSUpgradeChannel: NodeImage}} # properties
  pools:
  - {name: system, mode: System, count: 1, vmSize: Standard_D2s_v5}
  - {name: apps, count: 3, vmSize: Standard_D4s_v5, zones: ["1", "2", "3"], labels: {workload: apps}, taints: ["team=a:NoSchedule"], properties: {maxPods: 110, enableAutoScaling: true, minCount: 2, maxCount: 6, tags: {owner: shop}}} # apps
- name: spare
  subscription: one
  resourceGroup: other
  location: westeurope
  version: 1.35.4
  tags: {Env: prod}
  pools:
  - {name: system, mode: System, count: 1, vmSize: Standard_D2s_v5}
`

func TestConformanceDiscovery(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	names := func(sources ...fleet.Source) []string {
		t.Helper()
		clusters, err := h.provider.Discover(t.Context(), sources)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range clusters {
			names = append(names, c.Name)
		}
		return names
	}
	for _, test := range []struct {
		source fleet.Source
		want   []string
	}{
		{fleet.Source{Subscription: subscription}, []string{"spare", "c"}}, // by id: other before rg
		{fleet.Source{Subscription: subscription, ResourceGroups: []string{"RG"}}, []string{"c"}},
		{fleet.Source{Subscription: subscription, Tags: map[string]string{"env": "P*"}}, []string{"spare"}},
		{fleet.Source{Subscription: subscription, Exclude: []string{"?"}}, []string{"spare"}},
	} {
		if diff := cmp.Diff(test.want, names(test.source)); diff != "" {
			t.Errorf("%+v: %s", test.source, diff)
		}
	}
	_, err := h.provider.Discover(t.Context(), []fleet.Source{{Subscription: "00000000-0000-4000-8000-00000000dead"}})
	h.refused(rollout.CodeUnauthorized, err)
	_, err = h.provider.Discover(t.Context(), []fleet.Source{{Subscription: subscription, ResourceGroups: []string{"missing"}}})
	h.refused(rollout.CodeNotFound, err)

	c := h.cluster()
	if c.ID != clusterID || c.Version != version("1.34.4") || c.ProvisioningState != "Succeeded" || c.Stopped || c.ETag == "" || c.NodeOSUpgradeChannel != "NodeImage" || c.MaxPools < 8 || c.NodeResourceGroup == "" || c.Endpoint == "" {
		t.Errorf("cluster %+v", c)
	}
	p := h.pool("apps")
	if p.Count != 3 || p.Autoscaler == nil || *p.Autoscaler != (fleet.Autoscaler{Min: 2, Max: 6}) || p.Version != version("1.34.4") || p.Image == "" || len(p.Zones) != 3 || p.Labels["workload"] != "apps" || p.Tags["owner"] != "shop" || len(p.Taints) != 1 || p.MaxPods != 110 || p.ETag == "" {
		t.Errorf("pool %+v", p)
	}
	offers, err := h.provider.Offers(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(offers.ControlPlane) != 1 || offers.ControlPlane[0].Version != version("1.35.4") || len(offers.Region) != 5 || !offers.Region[0].LongTermOnly || !offers.Region[4].Preview || len(offers.NodeImages) != 2 {
		t.Errorf("offers %+v", offers)
	}
	kubeconfig, err := h.provider.Kubeconfig(t.Context(), c)
	if err != nil || !strings.Contains(string(kubeconfig), "kind: Config") {
		t.Errorf("kubeconfig %q, %v", kubeconfig, err)
	}
	if _, err := h.provider.Cluster(t.Context(), strings.Replace(clusterID, "managedclusters/c", "managedclusters/gone", 1)); rollout.CodeOf(err) != rollout.CodeNotFound {
		t.Errorf("gone: %v", err)
	}
}

func TestConformanceControlPlane(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	before := h.cluster()
	release := h.kube.Cluster("c").Hold("version")
	defer release()
	op := h.started(h.provider.UpgradeControlPlane(t.Context(), before, version("1.35.4")))

	// Again, as after a crash: not made twice.
	h.nothing(h.other.UpgradeControlPlane(t.Context(), before, version("1.35.4")))
	_, err := h.other.UpgradeControlPlane(t.Context(), before, version("1.36.3"))
	h.refused(rollout.CodeBusy, err)
	_, err = h.other.UpgradePool(t.Context(), before, fleet.Pool{Name: "apps"}, version("1.34.5"), "", "")
	h.refused(rollout.CodeBusy, err)
	during := h.cluster()
	if what, busy := during.Busy(); !busy {
		t.Errorf("not busy: %s", what)
	}
	if status, err := h.other.Poll(t.Context(), op); err != nil || status.Done {
		t.Errorf("poll: %+v, %v", status, err)
	}
	release()
	if err := h.finish(op); err != nil {
		t.Fatal(err)
	}
	after := h.cluster()
	if after.Version != version("1.35.4") || after.Pool("apps").Version != version("1.34.4") || after.Pool("apps").Image != before.Pool("apps").Image {
		t.Errorf("after: %+v", after)
	}
	h.nothing(h.provider.UpgradeControlPlane(t.Context(), before, version("1.35.4")))
	_, err = h.provider.UpgradeControlPlane(t.Context(), before, version("1.36.3"))
	h.refused(rollout.CodeChanged, err)
	h.done(h.provider.UpgradeControlPlane(t.Context(), after, version("1.36.3")))
	_, err = h.provider.UpgradeControlPlane(t.Context(), h.cluster(), version("1.35.4"))
	h.refused(rollout.CodeSkew, err)
	if labels := h.pool("apps"); labels.Labels["workload"] != "apps" || labels.Tags["owner"] != "shop" || labels.Autoscaler == nil {
		t.Errorf("a control plane upgrade changed the pool: %+v", labels)
	}
}

func TestConformanceControlPlaneRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		replace []string
		prepare func(h *harness)
		to      string
		want    rollout.Code
	}{
		{name: "two minors", to: "1.36.3", want: rollout.CodeNotOffered},
		{name: "never offered", to: "1.35.99", want: rollout.CodeNotOffered},
		{name: "withdrawn meanwhile", prepare: func(h *harness) {
			h.fault(fault.Fault{Effect: fault.VersionWithdrawn, Region: "westeurope", Version: "1.35.4"})
		}, want: rollout.CodeNotOffered},
		{name: "removed API in use", prepare: func(h *harness) {
			h.kube.Cluster("c").Use("flowcontrol.apiserver.k8s.io.flowschemas.v1beta3")
		}, want: rollout.CodeDeprecatedAPI},
		{name: "upgrade channel", replace: []string{"nodeOSUpgradeChannel: NodeImage", "upgradeChannel: patch"}, want: rollout.CodeControlPlaneAloneRefused},
		{name: "few pools", replace: []string{"autoUpgradeProfile:", "maxAgentPools: 1, autoUpgradeProfile:"}, want: rollout.CodeControlPlaneAloneRefused},
		{name: "unsupported version", replace: []string{"{version: 1.34.4}", "{version: 1.34.4, longTermOnly: true}"}, want: rollout.CodeControlPlaneAloneRefused},
		{name: "pools too old", replace: []string{"1.34.4 # cluster", "1.36.3", "name: apps,", "name: apps, version: 1.33.13,", "preview: true", "preview: false"}, to: "1.37.1", want: rollout.CodeSkew},
		{name: "stopped", replace: []string{"version: 1.34.4 # cluster", "version: 1.34.4\n  stopped: true"}, want: rollout.CodeStopped},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, test.replace...)
			if test.prepare != nil {
				test.prepare(h)
			}
			to := "1.35.4"
			if test.to != "" {
				to = test.to
			}
			_, err := h.provider.UpgradeControlPlane(t.Context(), h.cluster(), version(to))
			h.refused(test.want, err)
		})
	}
}

func TestConformanceChannels(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "nodeOSUpgradeChannel: NodeImage", "upgradeChannel: patch, nodeOSUpgradeChannel: NodeImage")
	before := h.cluster()
	h.done(h.provider.SetChannels(t.Context(), before, "none", "None"))
	c := h.cluster()
	if c.UpgradeChannel != "none" || c.NodeOSUpgradeChannel != "None" || c.Version != before.Version || len(c.Pools) != 2 {
		t.Errorf("off: %+v", c)
	}
	h.nothing(h.provider.SetChannels(t.Context(), before, "none", "None"))
	h.done(h.provider.UpgradeControlPlane(t.Context(), c, version("1.35.4")))
	h.done(h.provider.SetChannels(t.Context(), h.cluster(), before.UpgradeChannel, before.NodeOSUpgradeChannel))
	if c := h.cluster(); c.UpgradeChannel != "patch" || c.NodeOSUpgradeChannel != "NodeImage" {
		t.Errorf("restored: %+v", c)
	}
}

func TestConformancePools(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "1.34.4 # cluster", "1.35.4", "name: apps,", "name: apps, version: 1.34.4,")
	c := h.cluster()
	like := *c.Pool("apps")

	// A proven image travels as a snapshot.
	h.done(h.provider.UpgradeNodeImage(t.Context(), c, *c.Pool("system"), ""))
	h.nothing(h.provider.UpgradeNodeImage(t.Context(), c, *c.Pool("system"), ""))
	id, err := h.provider.SnapshotPool(t.Context(), c, h.pool("system"), "proven")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.other.SnapshotPool(t.Context(), c, h.pool("system"), "proven"); err != nil || again != id {
		t.Errorf("again: %q, %v", again, err)
	}
	_, err = h.provider.SnapshotPool(t.Context(), c, like, "proven") // its image is another
	h.refused(rollout.CodeInvalid, err)
	image, created, err := h.provider.SnapshotImage(t.Context(), id)
	if err != nil || image != h.pool("system").Image || created.IsZero() || image == like.Image {
		t.Fatalf("snapshot holds %q of %v: %v", image, created, err)
	}

	want := like
	want.Name, want.Version, want.SnapshotID, want.Autoscaler, want.ETag = "appsb", version("1.35.4"), id, nil, ""
	want.Tags = map[string]string{"owner": "shop", "liftlock-for": "apps"}
	release := h.kube.Cluster("c").Hold("add")
	defer release()
	op := h.started(h.provider.CreatePool(t.Context(), c, like, want))
	h.nothing(h.other.CreatePool(t.Context(), c, like, want))
	release()
	if err := h.finish(op); err != nil {
		t.Fatal(err)
	}
	h.nothing(h.provider.CreatePool(t.Context(), c, like, want))
	got := h.pool("appsb")
	want.Image, want.ETag, want.ProvisioningState = image, got.ETag, "Succeeded"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the new pool differs: %s", diff)
	}
	other := want
	other.Tags = map[string]string{"liftlock-for": "system"}
	_, err = h.provider.CreatePool(t.Context(), c, like, other)
	h.refused(rollout.CodeInvalid, err)

	// The autoscaler moves over.
	h.done(h.provider.SetAutoscaler(t.Context(), c, like, nil))
	h.nothing(h.provider.SetAutoscaler(t.Context(), c, like, nil))
	if p := h.pool("apps"); p.Autoscaler != nil || p.Count != 3 || p.Version != version("1.34.4") || p.Image != like.Image {
		t.Errorf("autoscaler off: %+v", p)
	}
	bounds := &fleet.Autoscaler{Min: 2, Max: 6}
	h.done(h.provider.SetAutoscaler(t.Context(), c, h.pool("appsb"), bounds))
	h.nothing(h.provider.SetAutoscaler(t.Context(), c, h.pool("appsb"), bounds))
	if p := h.pool("appsb"); p.Autoscaler == nil || *p.Autoscaler != *bounds || p.SnapshotID != id || p.Image != image {
		t.Errorf("autoscaler on: %+v", p)
	}

	_, err = h.provider.DeletePool(t.Context(), c, like) // it was changed since
	h.refused(rollout.CodeChanged, err)
	hold := h.kube.Cluster("c").Hold("remove")
	defer hold()
	op = h.started(h.provider.DeletePool(t.Context(), c, h.pool("apps")))
	h.nothing(h.other.DeletePool(t.Context(), c, like))
	hold()
	if err := h.finish(op); err != nil {
		t.Fatal(err)
	}
	h.nothing(h.provider.DeletePool(t.Context(), c, like))
	if now := h.cluster(); now.Pool("apps") != nil || now.Pool("appsb") == nil {
		t.Errorf("pools %+v", now.Pools)
	}
	if status, err := h.provider.Poll(t.Context(), op); err != nil || !status.Done {
		t.Errorf("an operation that ended long ago: %+v, %v", status, err)
	}
}

// TestConformancePoolSize: a pool grows, and machines leave it by name. Asked
// again, by whomever and how far it may have come, nothing happens twice.
func TestConformancePoolSize(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	c := h.cluster()
	h.done(h.provider.SetAutoscaler(t.Context(), c, *c.Pool("apps"), nil))
	machines := func() []string {
		var names []string
		for n := range h.kube.Cluster("c").Nodes() {
			if strings.Contains(n, "-apps-") {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		return names
	}
	h.done(h.provider.ScalePool(t.Context(), c, h.pool("apps"), 5))
	h.nothing(h.provider.ScalePool(t.Context(), c, h.pool("apps"), 5))
	h.nothing(h.provider.ScalePool(t.Context(), c, h.pool("apps"), 4)) // never smaller by a count
	before := machines()
	if p := h.pool("apps"); p.Count != 5 || len(before) != 5 {
		t.Fatalf("%d nodes, machines %v", p.Count, before)
	}
	_, err := h.provider.ScalePool(t.Context(), c, *c.Pool("apps"), 6) // it was changed since
	h.refused(rollout.CodeChanged, err)

	doomed := []string{before[1], before[3]}
	hold := h.kube.Cluster("c").Hold("remove")
	defer hold()
	op := h.started(h.provider.DeleteMachines(t.Context(), c, h.pool("apps"), doomed))
	h.nothing(h.other.DeleteMachines(t.Context(), c, h.pool("apps"), doomed))
	_, err = h.other.ScalePool(t.Context(), c, h.pool("apps"), 7)
	h.refused(rollout.CodeBusy, err)
	hold()
	if err := h.finish(op); err != nil {
		t.Fatal(err)
	}
	h.nothing(h.provider.DeleteMachines(t.Context(), c, h.pool("apps"), doomed))
	if diff := cmp.Diff([]string{before[0], before[2], before[4]}, machines()); diff != "" || h.pool("apps").Count != 3 {
		t.Errorf("%d nodes, machines (-want +got): %s", h.pool("apps").Count, diff)
	}
	// What was cut short is finished: one of the two is gone already.
	h.done(h.provider.DeleteMachines(t.Context(), c, h.pool("apps"), []string{before[1], before[4]}))
	if left := machines(); len(left) != 2 {
		t.Errorf("machines %v", left)
	}
}

func TestConformanceInPlace(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "1.34.4 # cluster", "1.35.4", "name: apps,", "name: apps, version: 1.34.4,")
	c := h.cluster()
	kube := h.kube.Cluster("c")
	for name, node := range kube.Nodes() {
		if node.Labels["workload"] == "apps" {
			kube.Block(name, aks.BlockedPod{Namespace: "shop", Pod: "web-1", Budget: "web", Message: "Cannot evict pod as it would violate the pod's disruption budget."})
		}
	}
	// The provider's own drain gives up; the pool stays Failed until it is resumed.
	err := h.finish(h.started(h.provider.UpgradePool(t.Context(), c, *c.Pool("apps"), version("1.35.4"), "1", "")))
	if pe := h.refusal(rollout.CodeDrainFailed, err); !strings.Contains(pe.Message, "web") || pe.Object != "pool apps of c" {
		t.Errorf("error %+v", pe)
	}
	p := h.pool("apps")
	if p.ProvisioningState != "Failed" || !strings.Contains(p.ProvisioningError, "pdb web") {
		t.Errorf("pool %+v", p)
	}
	for name := range kube.Nodes() {
		kube.Block(name, aks.BlockedPod{})
	}
	h.done(h.provider.Reconcile(t.Context(), c, &p))
	h.nothing(h.provider.Reconcile(t.Context(), c, &p))
	h.nothing(h.provider.Reconcile(t.Context(), c, nil))
	if p = h.pool("apps"); p.Version != version("1.35.4") || p.ProvisioningState != "Succeeded" || p.Count != 3 || p.Autoscaler == nil {
		t.Errorf("pool %+v", p)
	}
	h.nothing(h.provider.UpgradePool(t.Context(), c, *c.Pool("apps"), version("1.35.4"), "1", ""))
	_, err = h.provider.UpgradePool(t.Context(), c, p, version("1.36.3"), "", "")
	h.refused(rollout.CodeSkew, err) // never ahead of its control plane
	_, err = h.provider.UpgradePool(t.Context(), c, p, version("1.34.4"), "", "")
	h.refused(rollout.CodeSkew, err)
}

// A snapshot pins the image of an upgrade, and of an image upgrade alone.
func TestConformancePinnedImage(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "name: system, mode: System,", `name: system, image: "202610.12.0", mode: System,`, "[202610.12.0, 202611.09.0]", "[202610.05.0, 202610.12.0, 202611.09.0]",
		"count: 3,", "image: 202610.05.0, count: 3,")
	c := h.cluster()
	id, err := h.provider.SnapshotPool(t.Context(), c, *c.Pool("system"), "proven")
	if err != nil {
		t.Fatal(err)
	}
	proven := c.Pool("system").Image
	h.done(h.provider.UpgradeNodeImage(t.Context(), c, *c.Pool("apps"), id))
	if p := h.pool("apps"); p.Image != proven || p.Version != version("1.34.4") || p.SnapshotID != id {
		t.Errorf("pinned: %+v", p)
	}
	h.nothing(h.provider.UpgradeNodeImage(t.Context(), c, *c.Pool("apps"), id))
	h.nothing(h.provider.UpgradePool(t.Context(), c, *c.Pool("apps"), version("1.34.4"), "", id))
	h.done(h.provider.UpgradeNodeImage(t.Context(), c, h.pool("apps"), ""))
	if p := h.pool("apps"); p.Image == proven {
		t.Errorf("newest: %+v", p)
	}
}

func TestConformanceLimits(t *testing.T) {
	t.Parallel()
	t.Run("quota", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t, "throttling: {off: true}", "quotas:\n- {subscription: one, region: westeurope, family: standardDSv5Family, limit: 16}\nthrottling: {off: true}")
		c := h.cluster()
		op, err := h.provider.CreatePool(t.Context(), c, *c.Pool("apps"), fleet.Pool{Name: "appsb", Version: version("1.34.4"), Count: 3, Tags: map[string]string{"liftlock-for": "apps"}})
		if err == nil {
			err = h.finish(op)
		}
		h.refused(rollout.CodeQuota, err)
	})
	t.Run("addresses", func(t *testing.T) {
		t.Parallel()
		subnet := "/subscriptions/" + subscription + "/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes"
		h := newHarness(t, "throttling: {off: true}", "subnets:\n- {id: "+subnet+", cidr: 10.0.0.0/28}\nthrottling: {off: true}",
			"properties: {maxPods: 110,", "properties: {vnetSubnetID: "+subnet+", maxPods: 110,")
		c := h.cluster()
		op, err := h.provider.CreatePool(t.Context(), c, *c.Pool("apps"), fleet.Pool{Name: "appsb", Version: version("1.34.4"), Count: 40, Tags: map[string]string{"liftlock-for": "apps"}})
		if err == nil {
			err = h.finish(op)
		}
		h.refused(rollout.CodeAddresses, err)
	})
	t.Run("throttled", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		c := h.cluster()
		h.fault(fault.Fault{Effect: fault.Throttle, Match: fault.Match{Operation: "AgentPools_CreateOrUpdate"}, RetryAfter: 90})
		_, err := h.provider.SetAutoscaler(t.Context(), c, *c.Pool("apps"), nil)
		if pe := h.refusal(rollout.CodeThrottled, err); pe.RetryAfter != 90*time.Second {
			t.Errorf("RetryAfter %s", pe.RetryAfter)
		}
	})
	t.Run("failing operation", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		c := h.cluster()
		h.fault(fault.Fault{Effect: fault.OperationFails, Match: fault.Match{Pool: "apps"}, Code: "ReconcileVMSSAgentPoolFailed", Message: "VMSSAgentPoolReconciler retry failed: Code='ZonalAllocationFailed' Message='Allocation failed.'"})
		h.refused(rollout.CodeCapacity, h.finish(h.started(h.provider.UpgradeNodeImage(t.Context(), c, *c.Pool("apps"), ""))))
	})
}

func TestConformanceTrouble(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	c := h.cluster()
	h.fault(fault.Fault{Effect: fault.Unreachable, Match: fault.Match{Operation: "ManagedClusters_Get"}})
	if got := h.cluster(); got.ETag != c.ETag {
		t.Error("one reset is retried")
	}
	h.fault(fault.Fault{Effect: fault.Unreachable, Match: fault.Match{Operation: "ManagedClusters_Get"}, Times: 20, ID: "down"})
	_, err := h.provider.Cluster(t.Context(), clusterID)
	h.refused(rollout.CodeUnavailable, err)
	h.server.RemoveFault("down")
	h.fault(fault.Fault{Effect: fault.Error, Match: fault.Match{Operation: "ManagedClusters_Get"}, Status: 503, Code: "ServiceUnavailable", Message: "busy", Times: 3})
	_, err = h.provider.Cluster(t.Context(), clusterID)
	h.refused(rollout.CodeUnavailable, err)
	h.fault(fault.Fault{Effect: fault.Unauthorized, Match: fault.Match{Operation: "ManagedClusters_Get"}})
	_, err = h.provider.Cluster(t.Context(), clusterID)
	h.refused(rollout.CodeUnauthorized, err)
	h.fault(fault.Fault{Effect: fault.Error, Match: fault.Match{Operation: "ManagedClusters_CreateOrUpdate"}, Status: 409, Code: "ScopeLocked", Message: "The scope is locked."})
	_, err = h.provider.UpgradeControlPlane(t.Context(), c, version("1.35.4"))
	h.refused(rollout.CodeLocked, err)

	// A write whose answer was lost is found again, not repeated.
	release := h.kube.Cluster("c").Hold("version")
	defer release()
	op := h.started(h.provider.UpgradeControlPlane(t.Context(), c, version("1.35.4")))
	h.nothing(h.newProvider().UpgradeControlPlane(t.Context(), c, version("1.35.4")))
	release()
	if err := h.finish(op); err != nil {
		t.Fatal(err)
	}
}

// A cluster that disappears while it is upgraded is found to be gone.
func TestConformanceClusterDeleted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	c := h.cluster()
	release := h.kube.Cluster("c").Hold("version")
	defer release()
	op := h.started(h.provider.UpgradeControlPlane(t.Context(), c, version("1.35.4")))
	if _, err := h.server.AddFault(fault.Fault{Effect: fault.ClusterDeleted, Match: fault.Match{Cluster: "c"}}); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if _, err := h.provider.Cluster(t.Context(), clusterID); rollout.CodeOf(err) == rollout.CodeNotFound {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	if status, err := h.other.Poll(t.Context(), op); status.Done && err == nil {
		t.Error("the operation ended well")
	}
	for name, err := range map[string]error{
		"upgrade": second(h.provider.UpgradeControlPlane(t.Context(), c, version("1.35.4"))),
		"pool":    second(h.provider.UpgradePool(t.Context(), c, c.Pools[1], version("1.34.5"), "", "")),
		"offers":  second(h.provider.Offers(t.Context(), c)),
	} {
		if rollout.CodeOf(err) != rollout.CodeNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}
