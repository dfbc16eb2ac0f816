package sim_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"liftlock.dev/liftlock/sim"
	"liftlock.dev/liftlock/sim/kube"
	"liftlock.dev/liftlock/sim/scenario"
	"liftlock.dev/liftlock/sim/witness"
)

// TestWithRealControlPlanes takes the small scenario from 1.34 to 1.35 on real
// binaries, in place, past a budget that allows no eviction.
func TestWithRealControlPlanes(t *testing.T) {
	binaries := filepath.Join("..", "bin", "kube")
	for _, file := range []string{"kwok", "1.34/kube", "1.35/kube"} {
		if _, err := os.Stat(filepath.Join(binaries, file)); err != nil || testing.Short() {
			t.Skipf("needs the binaries that make kube builds (%v), and no -short", err)
		}
	}
	sc, err := scenario.Load("small")
	if err != nil {
		t.Fatal(err)
	}
	sc.BudgetCheck = true
	kubernetesSide, err := kube.New(kube.Options{BinDir: binaries, StateDir: filepath.Join(t.TempDir(), "kube")})
	if err != nil {
		t.Fatal(err)
	}
	server, err := sim.Start(t.Context(), sim.Options{Scenario: sc, Kubernetes: kubernetesSide, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	e := &env{t: t, server: server}
	e.options = &arm.ClientOptions{DisableRPRegistration: true, ClientOptions: e.clientOptions()}
	at := server.Endpoint()
	e.cred, err = azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: e.clientOptions(), ClientID: at.ClientID, TenantID: at.TenantID, TokenFilePath: at.TokenFile, DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	factory, err := armcontainerservice.NewClientFactory(at.Subscriptions[0], e.cred, e.options)
	if err != nil {
		t.Fatal(err)
	}
	clusters, pools := factory.NewManagedClustersClient(), factory.NewAgentPoolsClient()
	const rg, name = "rg-small", "small"
	upgrade := func(force bool) error {
		got, err := clusters.Get(t.Context(), rg, name, nil)
		if err != nil {
			return err
		}
		cl := got.ManagedCluster
		cl.Properties.KubernetesVersion = new("1.35.4")
		if force {
			cl.Properties.UpgradeSettings = &armcontainerservice.ClusterUpgradeSettings{OverrideSettings: &armcontainerservice.UpgradeOverrideSettings{ForceUpgrade: new(true), Until: new(time.Now().Add(time.Hour))}}
		}
		p, err := clusters.BeginCreateOrUpdate(t.Context(), rg, name, cl, nil)
		return wait(t, p, err)
	}
	upgradeApps := func() error {
		got, err := pools.Get(t.Context(), rg, name, "apps", nil)
		if err != nil {
			return err
		}
		got.Properties.OrchestratorVersion = new("1.35.4")
		got.Properties.UpgradeSettings.DrainTimeoutInMinutes = to.Ptr[int32](5)
		p, err := pools.BeginCreateOrUpdate(t.Context(), rg, name, "apps", got.AgentPool, nil)
		return wait(t, p, err)
	}
	if err := upgrade(false); err != nil {
		t.Fatalf("the control plane: %v", err)
	}
	credentials, err := clusters.ListClusterUserCredentials(t.Context(), rg, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(credentials.Kubeconfigs[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if version, err := client.Discovery().ServerVersion(); err != nil || version.GitVersion != "v1.35.4" {
		t.Fatalf("the API server: %v %v", version, err)
	}
	refused(t, upgradeApps(), http.StatusBadRequest, "UnsatisfiablePDB", "PDB shop/session has minAvailable(1) >= expectedPods(1)  can't proceed with put operation")
	if err := upgrade(true); err != nil {
		t.Fatalf("setting force: %v", err)
	}
	refused(t, upgradeApps(), http.StatusOK, "UpgradeFailed", "blocked by pdb session")
	if got := server.Witness().Report(); got.Violations != 0 {
		t.Errorf("budgets kept every workload up, and yet: %+v", got)
	}
	if err := client.PolicyV1().PodDisruptionBudgets("shop").Delete(t.Context(), "session", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := upgradeApps(); err != nil {
		t.Fatalf("after the budget is gone: %v", err)
	}
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{LabelSelector: "agentpool=apps"})
	if err != nil || len(nodes.Items) != 2 {
		t.Fatalf("%d nodes, %v", len(nodes.Items), err)
	}
	for i := range nodes.Items {
		if n := &nodes.Items[i]; n.Status.NodeInfo.KubeletVersion != "v1.35.4" || n.Spec.Unschedulable {
			t.Errorf("node %s: %s, cordoned %v", n.Name, n.Status.NodeInfo.KubeletVersion, n.Spec.Unschedulable)
		}
	}
	// A single replica evicted without a budget falls, and the witness saw it.
	var session witness.Workload
	for _, w := range server.Witness().Report().Clusters[0].Workloads {
		if w.Workload == "Deployment/shop/session" {
			session = w
		}
	}
	if session.Falls == 0 || session.Lowest != 0 {
		t.Errorf("the witness missed the fall: %+v", session)
	}
}
