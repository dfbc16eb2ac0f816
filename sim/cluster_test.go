package sim_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/sim/aks"
)

type (
	managedCluster = armcontainerservice.ManagedCluster
	poolProperties = armcontainerservice.ManagedClusterAgentPoolProfileProperties
)

func TestListsArePagedAndIDsSpelledAsAKSDoes(t *testing.T) {
	t.Parallel()
	e := start(t, "# throttling", "\npageSize: 1", "clusters:\n", `clusters:
- name: b
  subscription: one
  resourceGroup: other
  location: westeurope
  version: 1.34.4
  pools: [{name: system, mode: System, count: 1}]
`)
	var names []string
	pages := 0
	for pager := e.clusters().NewListPager(nil); pager.More(); pages++ {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, cl := range page.Value {
			names = append(names, *cl.Name)
		}
	}
	if slices.Sort(names); !slices.Equal(names, []string{"b", "c"}) || pages != 2 {
		t.Errorf("listed %v in %d pages", names, pages)
	}
	page, err := e.clusters().NewListByResourceGroupPager("OTHER", nil).NextPage(t.Context())
	if err != nil || len(page.Value) != 1 || *page.Value[0].Name != "b" {
		t.Errorf("group other: %v %v", page.Value, err)
	}
	_, err = e.clusters().NewListByResourceGroupPager("none", nil).NextPage(t.Context())
	refused(t, err, http.StatusNotFound, "ResourceGroupNotFound", `"error"`)

	got, err := e.clusters().Get(t.Context(), "RG", "C", nil)
	if err != nil {
		t.Fatal(err)
	}
	cl := got.ManagedCluster
	if *cl.ID != "/subscriptions/"+sub+"/resourcegroups/rg/providers/Microsoft.ContainerService/managedClusters/c" ||
		*cl.Type != "Microsoft.ContainerService/ManagedClusters" || *cl.ETag == "" {
		t.Errorf("id %s, type %s, etag %s", *cl.ID, *cl.Type, *cl.ETag)
	}
	p := cl.Properties
	if *p.KubernetesVersion != "1.34.4" || *p.CurrentKubernetesVersion != "1.34.4" || *p.ProvisioningState != "Succeeded" || *p.PowerState.Code != "Running" ||
		*p.AutoUpgradeProfile.NodeOSUpgradeChannel != "NodeImage" || *p.NodeResourceGroup != "MC_rg_c_westeurope" || *p.MaxAgentPools != 100 || len(p.AgentPoolProfiles) != 2 {
		t.Errorf("properties %+v", p)
	}
	apps := p.AgentPoolProfiles[1]
	if *apps.NodeImageVersion != "AKSUbuntu-2204gen2containerd-202610.12.0" || *apps.NodeLabels["workload"] != "apps" || *apps.NodeTaints[0] != "team=a:NoSchedule" || *apps.Count != 3 {
		t.Errorf("apps %+v", apps)
	}
}

func TestControlPlaneThenPools(t *testing.T) {
	t.Parallel()
	e := start(t)
	before := e.cluster()
	if err := e.putCluster(func(cl *managedCluster) { cl.Properties.KubernetesVersion = new("1.35.4") }); err != nil {
		t.Fatal(err)
	}
	cl := e.cluster()
	if *cl.Properties.CurrentKubernetesVersion != "1.35.4" || *cl.Properties.AgentPoolProfiles[1].CurrentOrchestratorVersion != "1.34.4" {
		t.Errorf("after the control plane: %s, apps %s", *cl.Properties.CurrentKubernetesVersion, *cl.Properties.AgentPoolProfiles[1].CurrentOrchestratorVersion)
	}
	if *cl.ETag == *before.ETag || *cl.Properties.AgentPoolProfiles[1].ETag == *before.Properties.AgentPoolProfiles[1].ETag {
		t.Error("an operation on the cluster must change its etag and those of its pools")
	}
	if version, _, _ := e.kube.Cluster("c").State(); version != "1.35.4" {
		t.Errorf("the control plane runs %s", version)
	}
	names := e.nodesOf("apps")
	skip := len(e.kube.Cluster("c").Steps())
	if err := e.putPool("apps", func(p *poolProperties) { p.OrchestratorVersion = new("1.35.4") }); err != nil {
		t.Fatal(err)
	}
	p := e.pool("apps").Properties
	if *p.CurrentOrchestratorVersion != "1.35.4" || *p.NodeImageVersion != "AKSUbuntu-2204gen2containerd-202611.09.0" || *p.ProvisioningState != "Succeeded" {
		t.Errorf("pool %s %s %s", *p.CurrentOrchestratorVersion, *p.NodeImageVersion, *p.ProvisioningState)
	}
	if *e.cluster().ETag != *cl.ETag {
		t.Error("an operation on a pool must leave the cluster's etag alone")
	}
	if after := e.nodesOf("apps"); !slices.Equal(names, after) {
		t.Errorf("nodes were %v, are %v", names, after)
	}
	for name, n := range e.kube.Cluster("c").Nodes() {
		if n.Labels["agentpool"] == "apps" && (n.Version != "1.35.4" || n.Unschedulable || n.Labels["kubernetes.azure.com/node-image-version"] != *p.NodeImageVersion) {
			t.Errorf("node %s: %+v", name, n)
		}
	}
	// One surge node (10 % of three), then one old node after the other, then the
	// surge node goes.
	surge := strings.TrimSuffix(names[0], "000000") + "000003"
	want := []string{"add " + surge}
	for _, name := range names {
		want = append(want, "cordon "+name, "drain "+name, "reimage "+name, "uncordon "+name)
	}
	want = append(want, "cordon "+surge, "drain "+surge, "remove "+surge)
	if got := e.kube.Cluster("c").Steps()[skip:]; !slices.Equal(got, want) {
		t.Errorf("steps\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFullUpgradeTakesPoolsAlong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		replace []string
		change  func(*managedCluster)
	}{
		"versions of pools set": {nil, func(cl *managedCluster) {
			for _, p := range cl.Properties.AgentPoolProfiles {
				p.OrchestratorVersion = new("1.35.4")
			}
		}},
		"versions of pools left out": {nil, func(cl *managedCluster) {
			for _, p := range cl.Properties.AgentPoolProfiles {
				p.OrchestratorVersion = nil
			}
		}},
		"alias": {nil, func(cl *managedCluster) {
			cl.Properties.KubernetesVersion = new("1.35")
			for _, p := range cl.Properties.AgentPoolProfiles {
				p.OrchestratorVersion = new("1.35")
			}
		}},
		"fewer than eight pools allowed": {[]string{"properties: {", "properties: {maxAgentPools: 1, "}, func(*managedCluster) {}},
		"upgrade channel": {[]string{"properties: {", "properties: {autoUpgradeProfile: {upgradeChannel: stable}, "}, func(cl *managedCluster) {
			for _, p := range cl.Properties.AgentPoolProfiles {
				p.OrchestratorVersion = new("1.35.4")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, test.replace...)
			if err := e.putCluster(func(cl *managedCluster) {
				cl.Properties.KubernetesVersion = new("1.35.4")
				test.change(cl)
			}); err != nil {
				t.Fatal(err)
			}
			for _, p := range e.cluster().Properties.AgentPoolProfiles {
				if *p.CurrentOrchestratorVersion != "1.35.4" || *p.ProvisioningState != "Succeeded" {
					t.Errorf("%s: %s %s", *p.Name, *p.CurrentOrchestratorVersion, *p.ProvisioningState)
				}
			}
		})
	}
}

func TestRefusedClusterChanges(t *testing.T) {
	t.Parallel()
	version := func(v string) func(*managedCluster) {
		return func(cl *managedCluster) { cl.Properties.KubernetesVersion = &v }
	}
	for name, test := range map[string]struct {
		replace []string
		change  func(*managedCluster)
		status  int
		code    string
		text    string
	}{
		"two minors": {nil, version("1.36.3"), 400, "OperationNotAllowed", "Upgrading Kubernetes version 1.34.4 to 1.36.3 is not allowed. Available upgrades: [1.35.4]"},
		"down":       {nil, version("1.34.2"), 400, "OperationNotAllowed", "Downgrading"},
		"not offered": {
			nil, version("1.35.9"), 400, "K8sVersionNotSupported", "is on version 1.35.9 which is not supported in this region",
		},
		"long-term only": {
			[]string{"1.34.4 # cluster", "1.34.4", "{version: 1.35.4, default: true}", "{version: 1.35.4, longTermOnly: true}"},
			version("1.35.4"), 400, "K8sVersionNotSupported", "only available for Long-Term Support",
		},
		"no version": {nil, version("newest"), 400, "InvalidParameter", "kubernetesVersion"},
		"control plane alone under an upgrade channel": {
			[]string{"properties: {", "properties: {autoUpgradeProfile: {upgradeChannel: patch}, "},
			version("1.35.4"), 400, "NotAllAgentPoolOrchestratorVersionSpecifiedAndUnchanged", "all specified or all unspecified",
		},
		"some pools' versions": {nil, func(cl *managedCluster) {
			cl.Properties.KubernetesVersion = new("1.35.4")
			cl.Properties.AgentPoolProfiles[0].OrchestratorVersion = nil
		}, 400, "NotAllAgentPoolOrchestratorVersionSpecifiedAndUnchanged", ""},
		"pools' versions changed alone": {nil, func(cl *managedCluster) {
			cl.Properties.AgentPoolProfiles[0].OrchestratorVersion = new("1.34.2")
		}, 400, "NotAllAgentPoolOrchestratorVersionSpecifiedAndUnchanged", ""},
		"leaving an unsupported version": {
			[]string{"  version: 1.34.4 # cluster", "  version: 1.33.10"},
			version("1.34.4"), 400, "OperationNotAllowed", "no longer supported",
		},
		"pools too old": {
			[]string{"1.34.4 # cluster", "1.35.4", "name: apps,", "name: apps, version: 1.32.4,"},
			version("1.36.3"), 400, "NodePoolMcVersionIncompatible", "cannot be more than 3 versions less than control plane's version",
		},
		"pool left out": {nil, func(cl *managedCluster) {
			cl.Properties.AgentPoolProfiles = cl.Properties.AgentPoolProfiles[:1]
		}, 400, "InvalidParameter", "delete agent pools with the agent pool api"},
		"another size": {nil, func(cl *managedCluster) {
			cl.Properties.AgentPoolProfiles[1].VMSize = new("Standard_D8s_v5")
		}, 400, "PropertyChangeNotAllowed", "Changing property 'properties.vmSize' is not allowed."},
		"another location": {nil, func(cl *managedCluster) { cl.Location = new("northeurope") }, 409, "InvalidResourceLocation", "already exists in location"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, test.replace...)
			before := e.cluster()
			refused(t, e.putCluster(test.change), test.status, test.code, test.text)
			if after := e.cluster(); *after.ETag != *before.ETag || *after.Properties.ProvisioningState != "Succeeded" {
				t.Error("a refused change changed something")
			}
		})
	}
}

func TestDeprecatedAPIUseBlocksUnlessForced(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.kube.Cluster("c").Use("flowcontrol.apiserver.k8s.io.flowschemas.v1beta3")
	up := func(cl *managedCluster) { cl.Properties.KubernetesVersion = new("1.35.4") }
	refused(t, e.putCluster(up), 400, "ValidationError", "UpgradeBlockedOnDeprecatedAPIUsage", "flowcontrol.apiserver.k8s.io.flowschemas.v1beta3", "which will be removed in 1.35")
	if err := e.putCluster(func(cl *managedCluster) {
		up(cl)
		cl.Properties.UpgradeSettings = &armcontainerservice.ClusterUpgradeSettings{OverrideSettings: &armcontainerservice.UpgradeOverrideSettings{
			ForceUpgrade: new(true), Until: new(time.Now().Add(time.Hour)),
		}}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestOneOperationAtATime(t *testing.T) {
	t.Parallel()
	e := start(t)
	release := e.kube.Cluster("c").Hold("version")
	defer release()
	cl := e.cluster()
	cl.Properties.KubernetesVersion = new("1.35.4")
	poller, err := e.clusters().BeginCreateOrUpdate(t.Context(), group, "c", cl, nil)
	if err != nil {
		t.Fatal(err)
	}
	if state := *e.cluster().Properties.ProvisioningState; state != "Upgrading" {
		t.Errorf("state %s", state)
	}
	const busy = "Operation is not allowed: Another operation (Upgrading) is in progress, please wait for it to finish before starting a new operation. See https://aka.ms/aks-pending-operation for more details"
	refused(t, e.putCluster(func(cl *managedCluster) { cl.Tags["a"] = new("b") }), 409, "OperationNotAllowed", busy)
	refused(t, e.putPool("apps", func(p *poolProperties) { p.Count = to.Ptr[int32](4) }), 409, "OperationNotAllowed", busy)
	refused(t, e.newPool("green", poolProperties{Count: to.Ptr[int32](1)}), 409, "OperationNotAllowed", busy)
	refused(t, e.deletePool("apps"), 409, "OperationNotAllowed", busy)
	release()
	if err := wait(t, poller, nil); err != nil {
		t.Fatal(err)
	}

	release = e.kube.Cluster("c").Hold("add")
	defer release()
	pool := e.pool("apps")
	pool.Properties.Count = to.Ptr[int32](4)
	scaling, err := e.pools().BeginCreateOrUpdate(t.Context(), group, "c", "apps", pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	if state := *e.pool("apps").Properties.ProvisioningState; state != "Scaling" {
		t.Errorf("state %s", state)
	}
	if state := *e.cluster().Properties.ProvisioningState; state != "Succeeded" {
		t.Errorf("the cluster shows %s while a pool is scaled", state)
	}
	const poolBusy = "Another agentpool operation (apps - Scaling) is in progress"
	refused(t, e.putPool("apps", func(p *poolProperties) { p.Count = to.Ptr[int32](5) }), 409, "OperationNotAllowed", poolBusy)
	refused(t, e.putCluster(func(cl *managedCluster) { cl.Tags["a"] = new("b") }), 409, "OperationNotAllowed", poolBusy)
	if err := e.putPool("system", func(p *poolProperties) { p.NodeLabels = map[string]*string{"x": new("y")} }); err != nil {
		t.Errorf("another pool: %v", err)
	}
	release()
	if err := wait(t, scaling, nil); err != nil {
		t.Fatal(err)
	}
}

func TestEtags(t *testing.T) {
	t.Parallel()
	e := start(t)
	put := func(ifMatch, ifNoneMatch string) error {
		cl := e.cluster()
		cl.Tags["n"] = new(ifMatch + ifNoneMatch)
		o := &armcontainerservice.ManagedClustersClientBeginCreateOrUpdateOptions{}
		if ifMatch != "" {
			o.IfMatch = &ifMatch
		}
		if ifNoneMatch != "" {
			o.IfNoneMatch = &ifNoneMatch
		}
		p, err := e.clusters().BeginCreateOrUpdate(t.Context(), group, "c", cl, o)
		return wait(t, p, err)
	}
	old := *e.cluster().ETag
	if err := put(old, ""); err != nil {
		t.Fatal(err)
	}
	refused(t, put(old, ""), 412, "PreconditionFailed")
	refused(t, put("", "*"), 412, "PreconditionFailed")
	refused(t, put(*e.cluster().ETag, "*"), 400, "InvalidParameter", "cannot both be specified")
	refused(t, put("", "abc"), 400, "InvalidParameter")
	pool := e.pool("apps")
	pool.Properties.Count = to.Ptr[int32](1)
	_, err := e.pools().BeginCreateOrUpdate(t.Context(), group, "c", "apps", pool, &armcontainerservice.AgentPoolsClientBeginCreateOrUpdateOptions{IfMatch: &old})
	refused(t, err, 412, "PreconditionFailed")
	_, err = e.pools().BeginCreateOrUpdate(t.Context(), group, "c", "green", pool, &armcontainerservice.AgentPoolsClientBeginCreateOrUpdateOptions{IfMatch: &old})
	refused(t, err, 412, "PreconditionFailed")
	_, err = e.pools().BeginDelete(t.Context(), group, "c", "apps", &armcontainerservice.AgentPoolsClientBeginDeleteOptions{IfMatch: &old})
	refused(t, err, 412, "PreconditionFailed")
}

func TestUnchangedPutStartsNothing(t *testing.T) {
	t.Parallel()
	e := start(t)
	before := e.cluster()
	if err := e.putCluster(func(*managedCluster) {}); err != nil {
		t.Fatal(err)
	}
	if err := e.putPool("apps", func(*poolProperties) {}); err != nil {
		t.Fatal(err)
	}
	if after := e.cluster(); *after.ETag != *before.ETag {
		t.Error("a PUT of what is there started an operation")
	}
}

func TestUpgradeChannelsCanBeSetAside(t *testing.T) {
	t.Parallel()
	e := start(t)
	none := armcontainerservice.NodeOSUpgradeChannelNone
	if err := e.putCluster(func(cl *managedCluster) { cl.Properties.AutoUpgradeProfile.NodeOSUpgradeChannel = &none }); err != nil {
		t.Fatal(err)
	}
	if got := *e.cluster().Properties.AutoUpgradeProfile.NodeOSUpgradeChannel; got != none {
		t.Errorf("channel %s", got)
	}
}

func TestStoppedClusterRefusesAndStartsAgain(t *testing.T) {
	t.Parallel()
	e := start(t)
	p, err := e.clusters().BeginStop(t.Context(), group, "c", nil)
	if err := wait(t, p, err); err != nil {
		t.Fatal(err)
	}
	if got := *e.cluster().Properties.PowerState.Code; got != "Stopped" {
		t.Errorf("power %s", got)
	}
	if _, stopped, _ := e.kube.Cluster("c").State(); !stopped {
		t.Error("the control plane was not stopped")
	}
	refused(t, e.putCluster(func(cl *managedCluster) { cl.Properties.KubernetesVersion = new("1.35.4") }), 400, "OperationNotAllowed", "Power State(Stopped)")
	refused(t, e.putPool("apps", func(p *poolProperties) { p.Count = to.Ptr[int32](4) }), 400, "OperationNotAllowed", "Power State(Stopped)")
	_, err = e.clusters().BeginStop(t.Context(), group, "c", nil)
	refused(t, err, 400, "OperationNotAllowed", "stopping cannot be performed")
	s, err := e.clusters().BeginStart(t.Context(), group, "c", nil)
	if err := wait(t, s, err); err != nil {
		t.Fatal(err)
	}
	if err := e.putPool("apps", func(p *poolProperties) { p.Count = to.Ptr[int32](4) }); err != nil {
		t.Fatal(err)
	}
}

func TestAbortStopsWhereItIsAndPutResumes(t *testing.T) {
	t.Parallel()
	e := start(t, "1.34.4 # cluster", "1.35.4", "name: apps,", "name: apps, version: 1.34.4,")
	_, err := e.clusters().BeginAbortLatestOperation(t.Context(), group, "c", nil)
	refused(t, err, 409, "OperationNotAllowed", "no ongoing operation")
	fake := e.kube.Cluster("c")
	release := fake.Hold("drain")
	defer release()
	pool := e.pool("apps")
	pool.Properties.OrchestratorVersion = new("1.35.4")
	upgrade, err := e.pools().BeginCreateOrUpdate(t.Context(), group, "c", "apps", pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := e.nodesOf("apps")[0]
	eventually(t, "the first drain", func() bool { return slices.Contains(fake.Steps(), "drain "+first) })
	abort, err := e.pools().BeginAbortLatestOperation(t.Context(), group, "c", "apps", nil)
	if err := wait(t, abort, err); err != nil {
		t.Fatal(err)
	}
	if got := *e.pool("apps").Properties.ProvisioningState; got != "Canceled" {
		t.Errorf("state %s", got)
	}
	if err := wait(t, upgrade, nil); err == nil || !strings.Contains(err.Error(), "OperationCanceled") {
		t.Errorf("the aborted operation ended with %v", err)
	}
	release()
	if err := e.putPool("apps", func(p *poolProperties) { p.OrchestratorVersion = new("1.35.4") }); err != nil {
		t.Fatal(err)
	}
	if got := e.nodesOf("apps"); len(got) != 3 {
		t.Errorf("left nodes %v", got)
	}
	for name, n := range fake.Nodes() {
		if n.Unschedulable || n.Version != "1.35.4" {
			t.Errorf("node %s: %s, cordoned %v", name, n.Version, n.Unschedulable)
		}
	}
}

func TestCreateAndDeleteCluster(t *testing.T) {
	t.Parallel()
	e := start(t)
	mode := armcontainerservice.AgentPoolModeSystem
	fresh := managedCluster{Location: new("West Europe"), Properties: &armcontainerservice.ManagedClusterProperties{
		KubernetesVersion: new("1.36"), DNSPrefix: new("x"),
		AgentPoolProfiles: []*armcontainerservice.ManagedClusterAgentPoolProfile{{Name: new("sys"), Mode: &mode, Count: to.Ptr[int32](2)}},
	}}
	p, err := e.clusters().BeginCreateOrUpdate(t.Context(), group, "fresh", fresh, nil)
	if err := wait(t, p, err); err != nil {
		t.Fatal(err)
	}
	got, err := e.clusters().Get(t.Context(), group, "fresh", nil)
	if err != nil || *got.Properties.CurrentKubernetesVersion != "1.36.3" || *got.Properties.KubernetesVersion != "1.36" {
		t.Fatalf("%v %v", got.Properties, err)
	}
	// The alias it was made with is no upgrade, even once there is a newer patch.
	fresh.Properties.AgentPoolProfiles = nil
	_, err = e.clusters().BeginCreateOrUpdate(t.Context(), group, "other", fresh, nil)
	refused(t, err, 400, "BadRequest", "Must define at least one system pool.")
	d, err := e.clusters().BeginDelete(t.Context(), group, "fresh", nil)
	if err := wait(t, d, err); err != nil {
		t.Fatal(err)
	}
	_, err = e.clusters().Get(t.Context(), group, "fresh", nil)
	refused(t, err, 404, "ResourceNotFound", `"error"`, "was not found")
	if _, _, deleted := e.kube.Cluster("fresh").State(); !deleted {
		t.Error("the control plane was left behind")
	}
	again, err := e.clusters().BeginDelete(t.Context(), group, "fresh", nil)
	if err := wait(t, again, err); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}

func TestTagsMaintenanceCredentialsProfiles(t *testing.T) {
	t.Parallel()
	e := start(t)
	p, err := e.clusters().BeginUpdateTags(t.Context(), group, "c", armcontainerservice.TagsObject{Tags: map[string]*string{"a": new("b")}}, nil)
	if err := wait(t, p, err); err != nil {
		t.Fatal(err)
	}
	if tags := e.cluster().Tags; len(tags) != 1 || *tags["a"] != "b" {
		t.Errorf("tags %v", tags)
	}

	windows := e.factory().NewMaintenanceConfigurationsClient()
	day := armcontainerservice.WeekDayFriday
	config := armcontainerservice.MaintenanceConfiguration{Properties: &armcontainerservice.MaintenanceConfigurationProperties{MaintenanceWindow: &armcontainerservice.MaintenanceWindow{
		DurationHours: to.Ptr[int32](8), StartTime: new("01:00"), UTCOffset: new("+01:00"),
		Schedule: &armcontainerservice.Schedule{Weekly: &armcontainerservice.WeeklySchedule{DayOfWeek: &day, IntervalWeeks: to.Ptr[int32](1)}},
	}}}
	if _, err := windows.CreateOrUpdate(t.Context(), group, "c", "aksManagedAutoUpgradeSchedule", config, nil); err != nil {
		t.Fatal(err)
	}
	window, err := windows.Get(t.Context(), group, "c", "aksManagedAutoUpgradeSchedule", nil)
	if err != nil || *window.Properties.MaintenanceWindow.DurationHours != 8 {
		t.Errorf("%v %v", window, err)
	}
	_, err = windows.CreateOrUpdate(t.Context(), group, "c", "mine", config, nil)
	refused(t, err, 400, "InvalidParameter")
	list, err := windows.NewListByManagedClusterPager(group, "c", nil).NextPage(t.Context())
	if err != nil || len(list.Value) != 1 {
		t.Errorf("%v %v", list, err)
	}
	if _, err := windows.Delete(t.Context(), group, "c", "aksManagedAutoUpgradeSchedule", nil); err != nil {
		t.Fatal(err)
	}
	_, err = windows.Get(t.Context(), group, "c", "aksManagedAutoUpgradeSchedule", nil)
	refused(t, err, 404, "ResourceNotFound")

	creds, err := e.clusters().ListClusterUserCredentials(t.Context(), group, "c", nil)
	if err != nil || *creds.Kubeconfigs[0].Name != "clusterUser" || !strings.Contains(string(creds.Kubeconfigs[0].Value), "current-context: c") {
		t.Errorf("%v %v", creds, err)
	}
	admin, err := e.clusters().ListClusterAdminCredentials(t.Context(), group, "c", nil)
	if err != nil || *admin.Kubeconfigs[0].Name != "clusterAdmin" {
		t.Errorf("%v %v", admin, err)
	}
	if err := e.putCluster(func(cl *managedCluster) { cl.Properties.DisableLocalAccounts = new(true) }); err != nil {
		t.Fatal(err)
	}
	_, err = e.clusters().ListClusterAdminCredentials(t.Context(), group, "c", nil)
	refused(t, err, 400, "BadRequest", "disable local accounts")

	profile, err := e.clusters().GetUpgradeProfile(t.Context(), group, "c", nil)
	if err != nil {
		t.Fatal(err)
	}
	if up := profile.Properties.ControlPlaneProfile.Upgrades; len(up) != 1 || *up[0].KubernetesVersion != "1.35.4" {
		t.Errorf("upgrades %v", up)
	}
	versions, err := e.clusters().ListKubernetesVersions(t.Context(), "westeurope", nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]*armcontainerservice.KubernetesVersion{}
	for _, v := range versions.Values {
		seen[*v.Version] = v
	}
	if v := seen["1.34"]; v == nil || v.PatchVersions["1.34.2"] == nil || len(v.PatchVersions["1.34.2"].Upgrades) != 2 || v.IsPreview != nil {
		t.Errorf("1.34: %+v", v)
	}
	if v := seen["1.37"]; v == nil || !*v.IsPreview {
		t.Errorf("1.37: %+v", v)
	}
	if v := seen["1.33"]; v == nil || len(v.Capabilities.SupportPlan) != 1 || *v.Capabilities.SupportPlan[0] != "AKSLongTermSupport" {
		t.Errorf("1.33: %+v", v)
	}
	available, err := e.pools().GetAvailableAgentPoolVersions(t.Context(), group, "c", nil)
	if err != nil || len(available.Properties.AgentPoolVersions) != 2 {
		t.Errorf("%v %v", available.Properties, err)
	}
}

func TestResumeTokenSurvives(t *testing.T) {
	t.Parallel()
	e := start(t)
	release := e.kube.Cluster("c").Hold("version")
	defer release()
	cl := e.cluster()
	cl.Properties.KubernetesVersion = new("1.35.4")
	first, err := e.clusters().BeginCreateOrUpdate(t.Context(), group, "c", cl, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := first.ResumeToken()
	if err != nil {
		t.Fatal(err)
	}
	if len(token) < 2000 {
		t.Errorf("the operation's URL is shorter than a real one: %d", len(token))
	}
	second, err := e.clusters().BeginCreateOrUpdate(t.Context(), group, "c", managedCluster{}, &armcontainerservice.ManagedClustersClientBeginCreateOrUpdateOptions{ResumeToken: token})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Poll(t.Context()); err != nil || second.Done() {
		t.Fatalf("done %v, %v", second.Done(), err)
	}
	release()
	result, err := second.PollUntilDone(t.Context(), &runtime.PollUntilDoneOptions{Frequency: time.Millisecond})
	if err != nil || *result.Properties.CurrentKubernetesVersion != "1.35.4" {
		t.Errorf("%v %v", result.Properties, err)
	}
}

func TestCloseEndsWhatRuns(t *testing.T) {
	t.Parallel()
	e := start(t)
	release := e.kube.Cluster("c").Hold("drain")
	defer release()
	if err := e.server.Cloud().Boot(t.Context(), aks.Seed{ID: aks.ClusterID{Subscription: sub, Group: group, Name: "x"}, Location: "mars"}); err == nil {
		t.Error("a cluster in no region was booted")
	}
	if _, err := e.pools().BeginDelete(t.Context(), group, "c", "apps", nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := e.server.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
