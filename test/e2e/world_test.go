package e2e

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"
	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// world is what is asked of Azure and of a cluster itself, past Liftlock and
// past what the simulator says of itself.
type world struct {
	group string
	name  string
	arm   *armcontainerservice.ClientFactory
	kube  *kubernetes.Clientset
}

// ask signs in to Azure and, with the credentials that it hands out, to a cluster.
func (a *azure) ask(t *testing.T, name string) *world {
	t.Helper()
	id := strings.Split(strings.Trim(a.cluster(t, name).ID, "/"), "/") // subscriptions/S/resourcegroups/G/…
	options := policy.ClientOptions{
		Transport: a.client,
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: a.AuthorityHost,
			Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Audience: a.Audience, Endpoint: a.ARMEndpoint}},
		},
	}
	secret, err := os.ReadFile(a.ClientSecretFile)
	if err != nil {
		t.Fatal(err)
	}
	var credential azcore.TokenCredential
	credential, err = azidentity.NewClientSecretCredential(a.TenantID, a.ClientID, string(secret),
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	factory, err := armcontainerservice.NewClientFactory(id[1], credential, &arm.ClientOptions{ClientOptions: options, DisableRPRegistration: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{group: id[3], name: name, arm: factory}
	credentials, err := factory.NewManagedClustersClient().ListClusterUserCredentials(t.Context(), w.group, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(credentials.Kubeconfigs[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	if w.kube, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return w
}

// shape is what an upgrade must leave as it was.
type shape struct {
	Pools     []poolShape
	Channels  string
	Workloads map[string]string // replicas, bounds and marks by workload
}

type poolShape struct {
	Count, Min, Max int32
	Autoscaler      bool
	Size, Mode      string
	Labels, Taints  string
}

// shape reads the shape of a cluster.
func (w *world) shape(t *testing.T) (s shape) {
	t.Helper()
	ctx := t.Context()
	pools := w.arm.NewAgentPoolsClient().NewListPager(w.group, w.name, nil)
	for pools.More() {
		page, err := pools.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Value {
			props := p.Properties
			one := poolShape{
				Count: value(props.Count), Min: value(props.MinCount), Max: value(props.MaxCount), Autoscaler: value(props.EnableAutoScaling),
				Size: value(props.VMSize), Mode: string(value(props.Mode)), Labels: text(t, props.NodeLabels), Taints: text(t, props.NodeTaints),
			}
			if one.Autoscaler {
				one.Count = 0 // its own business
			}
			s.Pools = append(s.Pools, one)
		}
	}
	slices.SortFunc(s.Pools, func(a, b poolShape) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	c, err := w.arm.NewManagedClustersClient().Get(ctx, w.group, w.name, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Channels = "none none"
	if p := c.Properties.AutoUpgradeProfile; p != nil {
		// None that is said and none that is not are the same.
		s.Channels = cmp.Or(string(value(p.UpgradeChannel)), "none") + " " + cmp.Or(string(value(p.NodeOSUpgradeChannel)), "none")
	}
	s.Workloads = map[string]string{}
	deployments, err := w.kube.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deployments.Items {
		s.Workloads["Deployment/"+d.Namespace+"/"+d.Name] = fmt.Sprint(value(d.Spec.Replicas), text(t, d.Spec.Strategy), ours(d.Annotations))
	}
	sets, err := w.kube.AppsV1().StatefulSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range sets.Items {
		s.Workloads["StatefulSet/"+d.Namespace+"/"+d.Name] = fmt.Sprint(value(d.Spec.Replicas), text(t, d.Spec.UpdateStrategy), ours(d.Annotations))
	}
	scalers, err := w.kube.AutoscalingV2().HorizontalPodAutoscalers("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range scalers.Items {
		s.Workloads["HorizontalPodAutoscaler/"+h.Namespace+"/"+h.Name] = fmt.Sprint(value(h.Spec.MinReplicas), h.Spec.MaxReplicas, ours(h.Annotations))
		// Its Deployment's replicas are its own business.
		delete(s.Workloads, "Deployment/"+h.Namespace+"/"+h.Spec.ScaleTargetRef.Name)
	}
	return s
}

// sameAs complains about what an upgrade has left otherwise than it was.
func (s *shape) sameAs(t *testing.T, before *shape) {
	t.Helper()
	if diff := gocmp.Diff(before, s); diff != "" {
		t.Errorf("not as before (-before +after):\n%s", diff)
	}
}

// clean says what of Liftlock's is left on a cluster, if anything.
func (w *world) clean(t *testing.T) error {
	t.Helper()
	ctx := t.Context()
	var left []string
	nodes, err := w.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		if n.Spec.Unschedulable {
			left = append(left, "node "+n.Name+" is cordoned")
		}
		for _, mark := range slices.Concat(ours(n.Annotations), ours(n.Labels)) {
			left = append(left, "node "+n.Name+" has "+mark)
		}
		for _, taint := range n.Spec.Taints {
			if strings.Contains(taint.Key, "liftlock") {
				left = append(left, "node "+n.Name+" has taint "+taint.Key)
			}
		}
	}
	pods, err := w.kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range pods.Items {
		for _, mark := range slices.Concat(ours(p.Annotations), ours(p.Labels)) {
			// What a rolling restart wrote into the template stays, as with kubectl.
			if !strings.HasPrefix(mark, fleet.MarkRestarted) {
				left = append(left, "pod "+p.Namespace+"/"+p.Name+" has "+mark)
			}
		}
	}
	lease, err := w.kube.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, "liftlock", metav1.GetOptions{})
	switch {
	case err == nil && value(lease.Spec.HolderIdentity) != "":
		left = append(left, "the Lease is held by "+*lease.Spec.HolderIdentity)
	case err != nil && !apierrors.IsNotFound(err):
		return err
	}
	if len(left) > 0 {
		return errors.New(strings.Join(left, "; "))
	}
	return nil
}

// runs says why a cluster is not on a version, by its API server and its nodes.
func (w *world) runs(t *testing.T, version string) error {
	t.Helper()
	server, err := w.kube.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	var wrong []string
	if server.GitVersion != "v"+version {
		wrong = append(wrong, "the API server is "+server.GitVersion)
	}
	nodes, err := w.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(nodes.Items) == 0 {
		wrong = append(wrong, "there is no node")
	}
	for _, n := range nodes.Items {
		if n.Status.NodeInfo.KubeletVersion != "v"+version {
			wrong = append(wrong, n.Name+" runs "+n.Status.NodeInfo.KubeletVersion)
		}
		if !slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}) {
			wrong = append(wrong, n.Name+" is not Ready")
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("cluster %s is not on %s: %s", w.name, version, strings.Join(wrong, "; "))
	}
	return nil
}

// cordoned lists the nodes that take no pods. The API server may be away, as it
// is while the control plane is raised.
func (w *world) cordoned(t *testing.T) (names []string, err error) {
	t.Helper()
	nodes, err := w.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, n := range nodes.Items {
		if n.Spec.Unschedulable {
			names = append(names, n.Name)
		}
	}
	return names, nil
}

// moving says why no pods are on the move, or nil.
func (w *world) moving(t *testing.T) error {
	t.Helper()
	names, err := w.cordoned(t)
	if err == nil && len(names) == 0 {
		err = errors.New("no node is cordoned")
	}
	return err
}

// standIns lists the pools of a cluster that Liftlock has made to stand in for
// others which still stand.
func (w *world) standIns(t *testing.T) (names []string) {
	t.Helper()
	there := map[string]string{}
	pools := w.arm.NewAgentPoolsClient().NewListPager(w.group, w.name, nil)
	for pools.More() {
		page, err := pools.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Value {
			there[value(p.Name)] = value(p.Properties.Tags[plan.TagFor])
		}
	}
	for name, stands := range there {
		if _, both := there[stands]; both && stands != name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ours lists the keys of labels or annotations that are Liftlock's.
func ours(marks map[string]string) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(marks)) {
		if strings.HasPrefix(key, "liftlock.dev/") {
			keys = append(keys, key+"="+marks[key])
		}
	}
	return keys
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func text(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// once complains about every change that the cloud was asked for more than once.
func (a *azure) once(t *testing.T, after int64) {
	t.Helper()
	seen := map[string]int64{}
	for _, e := range a.started(t, after) {
		key := strings.Join([]string{e.Operation, e.Cluster, e.Pool, string(e.Body)}, " ")
		if first, twice := seen[key]; twice {
			t.Errorf("the same was started twice, by calls %d and %d: %s", first, e.Seq, key)
		}
		seen[key] = e.Seq
	}
}

// unharmed complains if the simulator's own watch saw a workload fall below
// what it requires.
func (a *azure) unharmed(t *testing.T) {
	t.Helper()
	watched := 0
	for _, c := range a.witness(t).Clusters {
		watched += len(c.Workloads)
		for _, w := range c.Workloads {
			if w.Falls > 0 {
				t.Errorf("%s of %s fell to %d Ready and needs %d: %+v", w.Workload, c.Cluster, w.Lowest, w.Required, w.Violations)
			}
		}
	}
	if watched == 0 {
		t.Error("the simulator has watched no workload")
	}
}
