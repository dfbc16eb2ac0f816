package azure

import (
	"encoding/base64"
	"net/http"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

func fixture(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var prodPath = clusterPath(sub1, "rg-prod", "prod")

// prod is the cluster of the fixtures as a caller knows it.
func prod() fleet.Cluster {
	return fleet.Cluster{ID: prodPath, Name: "Prod", Subscription: sub1, ResourceGroup: "RG-Prod", Location: "westeurope"}
}

func TestCluster(t *testing.T) {
	f := newFakeARM(t)
	f.on("GET "+prodPath, http.StatusOK, fixture(t, "cluster.json"))
	got, err := f.provider().Cluster(t.Context(), prodPath)
	if err != nil {
		t.Fatal(err)
	}
	want := fleet.Cluster{
		ID: prodPath, Name: "Prod", Subscription: sub1, ResourceGroup: "RG-Prod", Location: "westeurope",
		Tags:              map[string]string{"Env": "Prod", "cost-center": "42"},
		Version:           fleet.MustParseVersion("1.34.4"),
		ProvisioningState: "Succeeded", ETag: "cluster-1", NodeOSUpgradeChannel: "NodeImage", MaxPools: 100,
		NodeResourceGroup: "MC_RG-Prod_Prod_westeurope", Endpoint: "prod-abc.hcp.westeurope.azmk8s.io",
		Pools: []fleet.Pool{
			{
				Name: "system", Mode: "System", OS: "Linux", OSSKU: "Ubuntu", Type: "VirtualMachineScaleSets", VMSize: "Standard_D4s_v5", Count: 3,
				Version: fleet.MustParseVersion("1.34.4"), Image: "AKSUbuntu-2204gen2containerd-202610.06.0", Zones: []string{"1", "2", "3"},
				Taints: []string{"CriticalAddonsOnly=true:NoSchedule"}, MaxPods: 30, ProvisioningState: "Succeeded", ETag: "system-1",
			},
			{
				Name: "apps", Mode: "User", OS: "Linux", OSSKU: "Ubuntu", Type: "VirtualMachineScaleSets", Spot: true, VMSize: "Standard_D8s_v5", Count: 5,
				Version: fleet.MustParseVersion("1.33.5"), Image: "AKSUbuntu-2204gen2containerd-202609.15.0",
				Labels: map[string]string{"team": "shop"}, Tags: map[string]string{"liftlock-for": "old"}, MaxPods: 110,
				Autoscaler: &fleet.Autoscaler{Min: 3, Max: 12}, ProvisioningState: "Failed",
				ProvisioningError: "UpgradeFailed: Drain node aks-apps-1-vmss000000 failed | the subnet is full", ETag: "apps-1",
				SnapshotID: "/subscriptions/11111111-0000-0000-0000-000000000001/resourcegroups/rg-prod/providers/microsoft.containerservice/snapshots/proven",
				Uncopied:   []string{"enableNodePublicIP: the nodes' public addresses (new nodes get others)"},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Some of what is read differs between clusters; each case changes the fixture.
func TestClusterOddities(t *testing.T) {
	for _, test := range []struct {
		name  string
		edits []any
		check func(c fleet.Cluster) bool
	}{
		{"stopped", []any{"properties.powerState.code", "Stopped"}, func(c fleet.Cluster) bool { return c.Stopped }},
		{"an alias is no version", []any{"properties.currentKubernetesVersion", nil}, func(c fleet.Cluster) bool { return c.Version.IsZero() }},
		{"a whole version serves", []any{"properties.currentKubernetesVersion", nil, "properties.kubernetesVersion", "1.34.2"}, func(c fleet.Cluster) bool { return c.Version == fleet.MustParseVersion("1.34.2") }},
		{"private", []any{"properties.fqdn", nil, "properties.privateFQDN", "p.example"}, func(c fleet.Cluster) bool { return c.Endpoint == "p.example" }},
		{"long-term support", []any{"properties.supportPlan", "AKSLongTermSupport"}, func(c fleet.Cluster) bool { return c.LongTermSupport }},
		{"channel", []any{"properties.autoUpgradeProfile.upgradeChannel", "stable"}, func(c fleet.Cluster) bool { return c.UpgradeChannel == "stable" }},
		{"own machines", []any{
			"properties.agentPoolProfiles.0.vmSize", nil, "properties.agentPoolProfiles.0.count", nil,
			"properties.agentPoolProfiles.0.virtualMachinesProfile.scale.manual",
			[]any{map[string]any{"size": "Standard_D2s_v5", "count": 2}, map[string]any{"size": "Standard_D4s_v5", "count": 1}},
		}, func(c fleet.Cluster) bool {
			return c.Pools[0].Count == 3 && c.Pools[0].VMSize == "Standard_D2s_v5" && len(c.Pools[0].Uncopied) == 1
		}},
		{"error", []any{"properties.provisioningState", "Failed", "properties.status.provisioningError", map[string]any{"code": "QuotaExceeded", "message": "see https://x/y?sig=" + secretMark}}, func(c fleet.Cluster) bool {
			return c.ProvisioningError == "QuotaExceeded: see https://x/y"
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeARM(t)
			f.on("GET "+prodPath, http.StatusOK, edit(t, fixture(t, "cluster.json"), test.edits...))
			c, err := f.provider().Cluster(t.Context(), prodPath)
			if err != nil {
				t.Fatal(err)
			}
			if !test.check(c) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestClusterGoneOrMalformed(t *testing.T) {
	p := newFakeARM(t).provider()
	if _, err := p.Cluster(t.Context(), prodPath); rollout.CodeOf(err) != rollout.CodeNotFound {
		t.Errorf("gone: %v", err)
	}
	for _, id := range []string{"", "prod", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v"} {
		if _, err := p.Cluster(t.Context(), id); rollout.CodeOf(err) != rollout.CodeInvalid {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

func TestOffers(t *testing.T) {
	f := newFakeARM(t)
	f.on("GET "+prodPath+"/upgradeProfiles/default", http.StatusOK, `{"properties":{"controlPlaneProfile":{"kubernetesVersion":"1.34.4","osType":"Linux",
		"upgrades":[{"kubernetesVersion":"1.36.0","isPreview":true},{"kubernetesVersion":"1.35.4"},{"kubernetesVersion":"1.34.9"}]},"agentPoolProfiles":[]}}`)
	f.on("GET /subscriptions/"+sub1+"/providers/Microsoft.ContainerService/locations/westeurope/kubernetesVersions", http.StatusOK, `{"values":[
		{"version":"1.36","isPreview":true,"capabilities":{"supportPlan":["KubernetesOfficial"]},"patchVersions":{"1.36.0":{"upgrades":[]}}},
		{"version":"1.34","capabilities":{"supportPlan":["AKSLongTermSupport"]},"patchVersions":{"1.34.9":{},"1.34.4":{"upgrades":["1.35.4"]}}},
		{"version":"1.35","isDefault":true,"capabilities":{"supportPlan":["KubernetesOfficial","AKSLongTermSupport"]},"patchVersions":{"1.35.4":{}}}]}`)
	f.on("GET "+prodPath+"/agentPools/apps/upgradeProfiles/default", http.StatusOK, `{"properties":{"kubernetesVersion":"1.33.5","osType":"Linux","latestNodeImageVersion":"AKSUbuntu-2204gen2containerd-202611.03.0"}}`)
	cluster := prod()
	cluster.Pools = []fleet.Pool{{Name: "apps"}, {Name: "gone"}}
	got, err := f.provider().Offers(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	version := fleet.MustParseVersion
	want := fleet.Offers{
		ControlPlane: []fleet.OfferedVersion{{Version: version("1.34.9"), LongTermOnly: true}, {Version: version("1.35.4")}, {Version: version("1.36.0"), Preview: true}},
		Region: []fleet.OfferedVersion{
			{Version: version("1.34.4"), LongTermOnly: true},
			{Version: version("1.34.9"), LongTermOnly: true},
			{Version: version("1.35.4")},
			{Version: version("1.36.0"), Preview: true},
		},
		NodeImages: map[string]string{"apps": "AKSUbuntu-2204gen2containerd-202611.03.0"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// kubeconfigs are what the service issues: with a certificate, and naming
// kubelogin for clusters that sign people in with Entra.
const (
	certificateKubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: Prod, cluster: {server: "https://prod:443", certificate-authority-data: Y2E=}}]
users: [{name: clusterUser_RG-Prod_Prod, user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}}]
contexts: [{name: Prod, context: {cluster: Prod, user: clusterUser_RG-Prod_Prod}}]
current-context: Prod
`
	kubeloginKubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: Prod, cluster: {server: "https://prod:443", certificate-authority-data: Y2E=}}]
users:
- name: clusterUser_RG-Prod_Prod
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      command: kubelogin
      args: [get-token, --environment, AzurePublicCloud, --server-id, 6dae42f8-4368-4678-94ff-3960e28e3630, --client-id, 80faf920-1908-4b52-b5ef-a8e7bedfc67a, --tenant-id, t, --login, devicecode]
      installHint: install kubelogin
      provideClusterInfo: false
contexts: [{name: Prod, context: {cluster: Prod, user: clusterUser_RG-Prod_Prod}}]
current-context: Prod
`
)

func TestKubeconfig(t *testing.T) {
	path := "POST " + prodPath + "/listClusterUserCredential"
	get := func(kubeconfig string) (*fakeARM, string, error) {
		f := newFakeARM(t)
		f.on(path, http.StatusOK, `{"kubeconfigs":[{"name":"clusterUser","value":"`+base64.StdEncoding.EncodeToString([]byte(kubeconfig))+`"}]}`)
		got, err := f.provider().Kubeconfig(t.Context(), prod())
		return f, string(got), err
	}
	f, got, err := get(certificateKubeconfig)
	if err != nil || got != certificateKubeconfig {
		t.Errorf("with a certificate: %q, %v", got, err)
	}
	if query := f.asked(path)[0].query; query != "api-version=2026-04-01&format=exec" {
		t.Errorf("query %q", query)
	}

	_, got, err = get(kubeloginKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.Load([]byte(got))
	if err != nil {
		t.Fatal(err)
	}
	user := config.AuthInfos["clusterUser_RG-Prod_Prod"]
	if user == nil || user.Exec != nil || user.Token != secretMark+"-token" || config.Clusters["Prod"].Server != "https://prod:443" || config.Contexts["Prod"] == nil {
		t.Errorf("with Entra: %s", got)
	}

	_, _, err = get("{" + secretMark)
	wantCode(t, err, rollout.CodeFailed)
	empty := newFakeARM(t)
	empty.on(path, http.StatusOK, `{"kubeconfigs":[]}`)
	_, err = empty.provider().Kubeconfig(t.Context(), prod())
	wantCode(t, err, rollout.CodeFailed)
}

func TestServerScope(t *testing.T) {
	for want, args := range map[string][]string{
		"6dae42f8-4368-4678-94ff-3960e28e3630/.default": {"get-token", "--server-id"},
		"own/.default":   {"get-token", "--server-id", "own"},
		"other/.default": {"--server-id=other"},
	} {
		if got := serverScope(args); got != want {
			t.Errorf("%q: %s", args, got)
		}
	}
}
