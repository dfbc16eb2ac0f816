package sim_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/sim/aks"
	"liftlock.dev/liftlock/sim/fault"
)

func TestNewPoolIsMadeAsAsked(t *testing.T) {
	t.Parallel()
	e := start(t, "1.34.4 # cluster", "1.35.4", "name: apps,", "name: apps, version: 1.34.4,")
	blue := e.pool("apps").Properties
	green := *blue
	green.OrchestratorVersion = new("1.35.4")
	green.NodeLabels = map[string]*string{"workload": new("apps"), "colour": new("green")}
	if err := e.newPool("appsg", green); err != nil {
		t.Fatal(err)
	}
	p := e.pool("appsg")
	if *p.Properties.CurrentOrchestratorVersion != "1.35.4" || *p.Properties.NodeImageVersion != "AKSUbuntu-2204gen2containerd-202611.09.0" ||
		*p.ID != "/subscriptions/"+sub+"/resourcegroups/rg/providers/Microsoft.ContainerService/managedClusters/c/agentPools/appsg" {
		t.Errorf("%+v", p.Properties)
	}
	zones := map[string]int{}
	for _, name := range e.nodesOf("appsg") {
		n := e.kube.Cluster("c").Nodes()[name]
		zones[n.Zone]++
		var number int
		var index string
		if _, err := fmt.Sscanf(n.Name, "aks-appsg-%d-vmss%s", &number, &index); err != nil || number < 10_000_000 || len(index) != 6 {
			t.Errorf("node name %s", n.Name)
		}
		if !strings.HasPrefix(n.ProviderID, "azure:///subscriptions/"+sub+"/resourceGroups/mc_rg_c_westeurope/providers/Microsoft.Compute/virtualMachineScaleSets/aks-appsg-") {
			t.Errorf("provider id %s", n.ProviderID)
		}
		if n.Version != "1.35.4" || n.Labels["colour"] != "green" || n.Taints[0] != (aks.Taint{Key: "team", Value: "a", Effect: "NoSchedule"}) || n.MilliCPU <= 3000 || n.MaxPods != 110 {
			t.Errorf("node %+v", n)
		}
	}
	if len(zones) != 3 || zones["westeurope-1"] != 1 {
		t.Errorf("zones %v", zones)
	}
	if err := e.deletePool("appsg"); err != nil {
		t.Fatal(err)
	}
	if left := e.nodesOf("appsg"); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	_, err := e.pools().Get(t.Context(), group, "c", "appsg", nil)
	refused(t, err, 404, "NotFound")
	if err := e.deletePool("appsg"); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}

func TestRefusedPools(t *testing.T) {
	t.Parallel()
	system, windows := armcontainerservice.AgentPoolModeSystem, armcontainerservice.OSTypeWindows
	quota := []string{"throttling:", "quotas: [{subscription: one, region: westeurope, family: standardDSv5Family, limit: 16}]\nthrottling:"}
	const subnet = "/subscriptions/x/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes"
	narrow := []string{
		"networkPluginMode: overlay", "networkPolicy: none", "throttling:", "subnets: [{id: " + subnet + ", cidr: 10.0.0.0/25}]\nthrottling:",
	}
	for name, test := range map[string]struct {
		replace []string
		pool    string
		props   poolProperties
		status  int
		code    string
		text    string
	}{
		"upper case":           {nil, "Green", poolProperties{}, 400, "InvalidParameter", "at most 12 lower-case"},
		"thirteen letters":     {nil, "abcdefghijklm", poolProperties{}, 400, "InvalidParameter", "at most 12"},
		"seven under Windows":  {nil, "windows", poolProperties{OSType: &windows}, 400, "InvalidParameter", "at most 6"},
		"newer minor":          {nil, "green", poolProperties{OrchestratorVersion: new("1.35.4")}, 400, "NodePoolMcVersionIncompatible", "Node pool version 1.35.4 and control plane version 1.34.4 are incompatible. Minor version of node pool version 35 is bigger than control plane version 34."},
		"newer patch":          {[]string{"1.34.4 # cluster", "1.34.2"}, "green", poolProperties{OrchestratorVersion: new("1.34.4")}, 400, "NodePoolMcVersionIncompatible", "Patch version"},
		"four minors behind":   {[]string{"1.34.4 # cluster", "1.37.1", "{version: 1.33.13, longTermOnly: true}", "{version: 1.33.13}"}, "green", poolProperties{OrchestratorVersion: new("1.33.13")}, 400, "NodePoolMcVersionIncompatible", "more than 3 versions"},
		"not offered":          {nil, "green", poolProperties{OrchestratorVersion: new("1.34.1")}, 400, "AgentPoolK8sVersionNotSupported", "Version 1.34.1 is not supported in this region"},
		"unknown size":         {nil, "green", poolProperties{VMSize: new("Standard_Z9")}, 400, "BadRequest", "The VM size of Standard_Z9 is not allowed"},
		"empty system pool":    {nil, "green", poolProperties{Mode: &system, Count: to.Ptr[int32](0)}, 400, "InvalidParameter", "at least 1 node"},
		"both surges nothing":  {nil, "green", poolProperties{UpgradeSettings: &armcontainerservice.AgentPoolUpgradeSettings{MaxSurge: new("0"), MaxUnavailable: new("0")}}, 400, "InvalidParameter", "must not both be 0"},
		"short drain timeout":  {nil, "green", poolProperties{UpgradeSettings: &armcontainerservice.AgentPoolUpgradeSettings{DrainTimeoutInMinutes: to.Ptr[int32](1)}}, 400, "InvalidParameter", "between 5 and 1440"},
		"autoscaler unbounded": {nil, "green", poolProperties{EnableAutoScaling: new(true)}, 400, "InvalidParameter", "minCount and maxCount are required"},
		"count out of bounds":  {nil, "green", poolProperties{Count: to.Ptr[int32](9), EnableAutoScaling: new(true), MinCount: to.Ptr[int32](1), MaxCount: to.Ptr[int32](5)}, 400, "InvalidParameter", "between minCount 1 and maxCount 5"},
		"bad taint":            {nil, "green", poolProperties{NodeTaints: []*string{new("x")}}, 400, "InvalidParameter", "not a taint"},
		"bad zone":             {nil, "green", poolProperties{AvailabilityZones: []*string{new("4")}}, 400, "AvailabilityZoneNotSupported", ""},
		"vCPU quota":           {quota, "green", poolProperties{Count: to.Ptr[int32](1), VMSize: new("Standard_D4s_v5")}, 400, "ErrCode_InsufficientVCPUQuota", "Insufficient vcpu quota requested 4, remaining 2 for family standardDSv5Family for region westeurope"},
		"subnet":               {narrow, "green", poolProperties{Count: to.Ptr[int32](2), VnetSubnetID: to.Ptr(subnet)}, 400, "InsufficientSubnetSize", "Pre-allocated IPs 222 exceeds IPs available 123 in Subnet Cidr 10.0.0.0/25, Subnet Name nodes"},
		"unknown snapshot":     {nil, "green", poolProperties{CreationData: &armcontainerservice.CreationData{SourceResourceID: new("/subscriptions/x/resourceGroups/y/providers/Microsoft.ContainerService/snapshots/z")}}, 404, "NotFound", ""},
		"older image":          {nil, "apps", poolProperties{NodeImageVersion: new("AKSUbuntu-2204gen2containerd-202609.01.0")}, 400, "InvalidParameter", "only the current version"},
		"no pools left":        {[]string{"properties: {", "properties: {maxAgentPools: 2, "}, "green", poolProperties{}, 400, "OperationNotAllowed", "at most 2"},
		"system to user":       {nil, "system", poolProperties{Mode: to.Ptr(armcontainerservice.AgentPoolModeUser)}, 400, "OperationNotAllowed", "at least one system agent pool"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, test.replace...)
			refused(t, e.newPool(test.pool, test.props), test.status, test.code, test.text)
		})
	}
	t.Run("last system pool", func(t *testing.T) {
		t.Parallel()
		e := start(t)
		refused(t, e.deletePool("system"), 400, "OperationNotAllowed", "There has to be at least one system agent pool.")
		if err := e.newPool("second", poolProperties{Mode: &system, Count: to.Ptr[int32](1)}); err != nil {
			t.Fatal(err)
		}
		if err := e.deletePool("system"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("overlay takes one address a node", func(t *testing.T) {
		t.Parallel()
		e := start(t, narrow[2:]...)
		if err := e.newPool("green", poolProperties{Count: to.Ptr[int32](20), VnetSubnetID: to.Ptr(subnet)}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("surge beyond the subnet", func(t *testing.T) {
		t.Parallel()
		e := start(t, narrow...)
		if err := e.newPool("green", poolProperties{Count: to.Ptr[int32](1), VnetSubnetID: to.Ptr(subnet), CreationData: nil}); err != nil {
			t.Fatal(err)
		}
		e.fault(fault.Fault{Effect: fault.ImageReleased, Region: "westeurope", Family: "AKSUbuntu-2204gen2containerd", Version: "202611.16.0"})
		eventually(t, "the release", func() bool {
			profile, err := e.pools().GetUpgradeProfile(t.Context(), group, "c", "green", nil)
			return err == nil && strings.HasSuffix(*profile.Properties.LatestNodeImageVersion, "202611.16.0")
		})
		p, err := e.pools().BeginUpgradeNodeImageVersion(t.Context(), group, "c", "green", nil)
		refused(t, wait(t, p, err), http.StatusOK, "SubnetIsFull", "does not have enough capacity for 111 IP addresses")
	})
}

func TestSurgeThatQuotaForbids(t *testing.T) {
	t.Parallel()
	quota := "quotas: [{subscription: one, region: westeurope, family: standardDSv5Family, limit: 18}]\nthrottling:"
	up := func(p *poolProperties) { p.OrchestratorVersion = new("1.34.4") }
	t.Run("fails", func(t *testing.T) {
		t.Parallel()
		e := start(t, "throttling:", quota, "name: apps,", "name: apps, version: 1.34.2, properties: {upgradeSettings: {maxSurge: '100%'}},")
		refused(t, e.putPool("apps", up), http.StatusOK, "QuotaExceeded", "exceeding approved standardDSv5Family Cores quota", "Current Limit: 18, Current Usage: 14, Additional Required: 12")
		if p := e.pool("apps").Properties; *p.ProvisioningState != "Failed" || *p.Status.ProvisioningError.Code != "QuotaExceeded" || *p.CurrentOrchestratorVersion != "1.34.2" {
			t.Errorf("%s %+v", *p.ProvisioningState, p.Status)
		}
		// Once there is room, the same PUT resumes.
		e.fault(fault.Fault{Effect: fault.Quota, Region: "westeurope", Family: "standardDSv5Family", Limit: 100})
		eventually(t, "the quota", func() bool { return e.server.Cloud().State().Quotas[0].Limit == 100 })
		if err := e.putPool("apps", up); err != nil {
			t.Fatal(err)
		}
		if p := e.pool("apps").Properties; *p.ProvisioningState != "Succeeded" || *p.CurrentOrchestratorVersion != "1.34.4" {
			t.Errorf("%s %s", *p.ProvisioningState, *p.CurrentOrchestratorVersion)
		}
	})
	t.Run("newer versions make do with one", func(t *testing.T) {
		t.Parallel()
		e := start(t, "throttling:", quota, "1.34.4 # cluster", "1.35.4", "name: apps,", "name: apps, version: 1.34.4, properties: {upgradeSettings: {maxSurge: '100%'}},")
		if err := e.putPool("apps", func(p *poolProperties) { p.OrchestratorVersion = new("1.35.4") }); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDrainThatBudgetsForbid(t *testing.T) {
	t.Parallel()
	blocked := aks.BlockedPod{Namespace: "shop", Pod: "session-1", Budget: "session", Message: "Cannot evict pod as it would violate the pod's disruption budget."}
	begin := func(t *testing.T, settings string) (*env, []string) {
		t.Helper()
		e := start(t, "1.34.4 # cluster", "1.35.4", "name: apps,", "name: apps, version: 1.34.4, properties: {upgradeSettings: {"+settings+"}},")
		nodes := e.nodesOf("apps")
		e.kube.Cluster("c").Block(nodes[1], blocked)
		return e, nodes
	}
	up := func(p *poolProperties) { p.OrchestratorVersion = new("1.35.4") }
	t.Run("Schedule", func(t *testing.T) {
		t.Parallel()
		e, nodes := begin(t, "maxSurge: '1'")
		refused(t, e.putPool("apps", up), http.StatusOK, "UpgradeFailed", "Drain node "+nodes[1]+" failed when evicting pod session-1 failed with Too Many Requests error", "PDB debug info: shop/session-1 blocked by pdb session with 0 unready pods.")
		p := e.pool("apps").Properties
		if *p.ProvisioningState != "Failed" || *p.CurrentOrchestratorVersion != "1.34.4" || *p.OrchestratorVersion != "1.35.4" || *p.NodeImageVersion != "AKSUbuntu-2204gen2containerd-202610.12.0" {
			t.Errorf("%s: asked %s, current %s, %s", *p.ProvisioningState, *p.OrchestratorVersion, *p.CurrentOrchestratorVersion, *p.NodeImageVersion)
		}
		fake := e.kube.Cluster("c").Nodes()
		if len(e.nodesOf("apps")) != 3 || fake[nodes[0]].Version != "1.35.4" || fake[nodes[1]].Version != "1.34.4" || fake[nodes[1]].Unschedulable {
			t.Errorf("nodes %+v", fake)
		}
		e.kube.Cluster("c").Block(nodes[1], aks.BlockedPod{})
		if err := e.putPool("apps", up); err != nil {
			t.Fatal(err)
		}
		if after := e.nodesOf("apps"); !slices.Equal(after, nodes) {
			t.Errorf("nodes %v, were %v", after, nodes)
		}
	})
	t.Run("Cordon", func(t *testing.T) {
		t.Parallel()
		e, nodes := begin(t, "maxSurge: '1', undrainableNodeBehavior: Cordon")
		if err := e.putPool("apps", up); err != nil {
			t.Fatal(err)
		}
		fake := e.kube.Cluster("c").Nodes()
		stuck := fake[nodes[1]]
		if len(e.nodesOf("apps")) != 4 || !stuck.Unschedulable || stuck.Version != "1.34.4" || stuck.Labels["kubernetes.azure.com/upgrade-status"] != "Quarantined" {
			t.Errorf("nodes %v, stuck %+v", e.nodesOf("apps"), stuck)
		}
		e.kube.Cluster("c").Block(nodes[1], aks.BlockedPod{})
		p, err := e.pools().BeginDeleteMachines(t.Context(), group, "c", "apps", armcontainerservice.AgentPoolDeleteMachinesParameter{MachineNames: []*string{&nodes[1]}}, nil)
		if err := wait(t, p, err); err != nil {
			t.Fatal(err)
		}
		if got := e.nodesOf("apps"); len(got) != 3 || *e.pool("apps").Properties.Count != 3 {
			t.Errorf("nodes %v, count %d", got, *e.pool("apps").Properties.Count)
		}
	})
	t.Run("deleting the pool", func(t *testing.T) {
		t.Parallel()
		e, nodes := begin(t, "maxSurge: '1'")
		refused(t, e.deletePool("apps"), http.StatusOK, "UpgradeFailed", nodes[1])
		d, err := e.pools().BeginDelete(t.Context(), group, "c", "apps", &armcontainerservice.AgentPoolsClientBeginDeleteOptions{IgnorePodDisruptionBudget: new(true)})
		if err := wait(t, d, err); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMaxUnavailableReplacesInPlace(t *testing.T) {
	t.Parallel()
	e := start(t, "1.34.4 # cluster", "1.35.4", "name: apps,", "name: apps, version: 1.34.4, properties: {upgradeSettings: {maxSurge: '0', maxUnavailable: '2', nodeSoakDurationInMinutes: 1}},")
	if err := e.putPool("apps", func(p *poolProperties) { p.OrchestratorVersion = new("1.35.4") }); err != nil {
		t.Fatal(err)
	}
	for _, step := range e.kube.Cluster("c").Steps() {
		if strings.HasSuffix(step, "000003") {
			t.Errorf("a surge node was made: %s", step)
		}
	}
}

func TestNodeImages(t *testing.T) {
	t.Parallel()
	e := start(t)
	old, latest := "AKSUbuntu-2204gen2containerd-202610.12.0", "AKSUbuntu-2204gen2containerd-202611.09.0"
	snapshots := e.factory().NewSnapshotsClient()
	take := func(name, pool string) (armcontainerservice.Snapshot, error) {
		got, err := snapshots.CreateOrUpdate(t.Context(), group, name, armcontainerservice.Snapshot{
			Location:   new("westeurope"),
			Properties: &armcontainerservice.SnapshotProperties{CreationData: &armcontainerservice.CreationData{SourceResourceID: e.pool(pool).ID}},
		}, nil)
		return got.Snapshot, err
	}
	snap, err := take("proven", "apps")
	if err != nil || *snap.Properties.NodeImageVersion != old || *snap.Properties.KubernetesVersion != "1.34.4" || *snap.Properties.VMSize != "Standard_D4s_v5" {
		t.Fatalf("%+v %v", snap.Properties, err)
	}
	p, err := e.pools().BeginUpgradeNodeImageVersion(t.Context(), group, "c", "apps", nil)
	if err := wait(t, p, err); err != nil {
		t.Fatal(err)
	}
	if got := *e.pool("apps").Properties.NodeImageVersion; got != latest {
		t.Errorf("image %s", got)
	}
	again, err := e.pools().BeginUpgradeNodeImageVersion(t.Context(), group, "c", "apps", nil)
	if err := wait(t, again, err); err != nil {
		t.Errorf("a pool on the newest image: %v", err)
	}
	from := &armcontainerservice.CreationData{SourceResourceID: snap.ID}
	if err := e.newPool("pinned", poolProperties{VMSize: new("Standard_D8s_v5"), CreationData: from}); err != nil {
		t.Fatal(err)
	}
	if got := e.pool("pinned").Properties; *got.NodeImageVersion != old || *got.CreationData.SourceResourceID != *snap.ID {
		t.Errorf("pinned pool: %s %+v", *got.NodeImageVersion, got.CreationData)
	}
	refused(t, e.newPool("esv5", poolProperties{VMSize: new("Standard_E4s_v5"), CreationData: from}), 400, "InvalidParameter", "not in the same VM family")
	refused(t, e.newPool("arm", poolProperties{VMSize: new("Standard_D4ps_v5"), CreationData: from}), 400, "InvalidParameter", "not in the same VM family")
	// Back to the pinned image, then to the newest by name.
	if err := e.putPool("apps", func(p *poolProperties) { p.CreationData, p.NodeImageVersion = from, nil }); err != nil {
		t.Fatal(err)
	}
	if got := *e.pool("apps").Properties.NodeImageVersion; got != old {
		t.Errorf("image %s", got)
	}
	if err := e.putPool("apps", func(p *poolProperties) { p.CreationData, p.NodeImageVersion = nil, &latest }); err != nil {
		t.Fatal(err)
	}
	if got := *e.pool("apps").Properties.NodeImageVersion; got != latest {
		t.Errorf("image %s", got)
	}
	if _, err := snapshots.Delete(t.Context(), group, "proven", nil); err != nil {
		t.Fatal(err)
	}
	_, err = snapshots.Get(t.Context(), group, "proven", nil)
	refused(t, err, 404, "ResourceNotFound")
	list, err := snapshots.NewListByResourceGroupPager(group, nil).NextPage(t.Context())
	if err != nil || len(list.Value) != 0 {
		t.Errorf("%v %v", list.Value, err)
	}
	profile, err := e.pools().GetUpgradeProfile(t.Context(), group, "c", "apps", nil)
	if err != nil || *profile.Properties.LatestNodeImageVersion != latest || len(profile.Properties.Upgrades) != 0 {
		t.Errorf("%+v %v", profile.Properties, err)
	}
}

func TestOldSnapshots(t *testing.T) {
	t.Parallel()
	e := start(t, "AKSUbuntu-2204gen2containerd: [202610.12.0, 202611.09.0]", "AKSUbuntu-2204gen2containerd: [202601.05.0, 202611.09.0]")
	snap, err := e.factory().NewSnapshotsClient().CreateOrUpdate(t.Context(), group, "old", armcontainerservice.Snapshot{
		Location:   new("westeurope"),
		Properties: &armcontainerservice.SnapshotProperties{CreationData: &armcontainerservice.CreationData{SourceResourceID: e.pool("apps").ID}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, e.newPool("pinned", poolProperties{CreationData: &armcontainerservice.CreationData{SourceResourceID: snap.ID}}), 400, "InvalidParameter", "older than 90 days")
}

func TestAutoscalerSettings(t *testing.T) {
	t.Parallel()
	e := start(t)
	on := func(count, least, most int32) func(*poolProperties) {
		return func(p *poolProperties) {
			p.EnableAutoScaling, p.Count, p.MinCount, p.MaxCount = new(true), &count, &least, &most
		}
	}
	if err := e.putPool("apps", on(3, 2, 6)); err != nil {
		t.Fatal(err)
	}
	if p := e.pool("apps").Properties; !*p.EnableAutoScaling || *p.MinCount != 2 || *p.MaxCount != 6 {
		t.Errorf("%+v", p)
	}
	refused(t, e.putPool("apps", on(9, 2, 6)), 400, "InvalidParameter", "between minCount 2 and maxCount 6")
	if err := e.putPool("apps", func(p *poolProperties) { p.EnableAutoScaling, p.MinCount, p.MaxCount = new(false), nil, nil }); err != nil {
		t.Fatal(err)
	}
	if p := e.pool("apps").Properties; *p.EnableAutoScaling || p.MinCount != nil {
		t.Errorf("%+v", p)
	}
}

func TestScaleAndLabels(t *testing.T) {
	t.Parallel()
	e := start(t)
	if err := e.putPool("apps", func(p *poolProperties) {
		p.Count = to.Ptr[int32](5)
		p.NodeLabels = map[string]*string{"new": new("1")}
	}); err != nil {
		t.Fatal(err)
	}
	nodes := e.nodesOf("apps")
	if len(nodes) != 5 {
		t.Fatalf("nodes %v", nodes)
	}
	for _, name := range nodes {
		if labels := e.kube.Cluster("c").Nodes()[name].Labels; labels["new"] != "1" || labels["workload"] != "" {
			t.Errorf("%s: %v", name, labels)
		}
	}
	if err := e.putPool("apps", func(p *poolProperties) { p.Count = to.Ptr[int32](1) }); err != nil {
		t.Fatal(err)
	}
	if got := e.nodesOf("apps"); !slices.Equal(got, nodes[:1]) {
		t.Errorf("nodes %v", got)
	}
	machines, err := e.factory().NewMachinesClient().NewListPager(group, "c", "apps", nil).NextPage(t.Context())
	if err != nil || len(machines.Value) != 1 || *machines.Value[0].Name != nodes[0] {
		t.Errorf("%v %v", machines.Value, err)
	}
}
