package kube_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
	"liftlock.dev/liftlock/sim/aks"
	simkube "liftlock.dev/liftlock/sim/kube"
)

const workloads = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxUnavailable: 50%, maxSurge: 2}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "web:1", resources: {requests: {cpu: 50m, memory: 64Mi}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec:
  minAvailable: 4
  selector: {matchLabels: {app: web}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: scaled, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: scaled}}
  template:
    metadata: {labels: {app: scaled}}
    spec:
      containers: [{name: c, image: "c:1", resources: {requests: {cpu: 50m}}}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: scaled, namespace: shop}
spec:
  minReplicas: 1
  maxReplicas: 3
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: scaled}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 90}}}]
`

// TestOnAControlPlane shows on a real API server, with its real controllers and
// scheduler, what objects held in memory cannot: admission, conflicts, budgets,
// rolling updates, watches that break. Liftlock has exactly the rights of Rules.
func TestOnAControlPlane(t *testing.T) {
	goroutines := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, goroutines) })
	r := newRig(t)
	r.addNodes(t, 3)
	if err := r.cluster.Apply(t.Context(), []byte(workloads)); err != nil {
		t.Fatal(err)
	}
	k := r.connect(t, "")
	web := r.settled(t, k, "Deployment/shop/web", 4)
	seen := follow(t, k)

	t.Run("another cluster is refused", func(t *testing.T) {
		target := r.target
		target.NodeResourceGroup = "MC_other"
		_, err := r.connector.Connect(t.Context(), with(target, "other"), "")
		if _, ok := errors.AsType[*rollout.IdentityError](err); !ok {
			t.Errorf("by its nodes: error %v", err)
		}
		_, err = r.connector.Connect(t.Context(), with(r.target, "another"), "some-uid")
		if _, ok := errors.AsType[*rollout.IdentityError](err); !ok {
			t.Errorf("by its uid: error %v", err)
		}
	})

	t.Run("a dump reads as the cluster does", func(t *testing.T) { r.dump(t, k) })

	t.Run("versions", func(t *testing.T) {
		version, err := k.ServerVersion(t.Context())
		if err != nil || version != fleet.MustParseVersion("1.34.4") {
			t.Errorf("server version %s, error %v", version, err)
		}
		for _, node := range r.snapshot(t, k).Nodes {
			if node.Version != version || node.Pool != "apps" || !node.Ready || node.Image == "" || node.Zone == "" {
				t.Errorf("node %+v", node)
			}
		}
	})

	t.Run("snapshot", func(t *testing.T) {
		s := r.snapshot(t, k)
		if web.MaxUnavailable.String() != "50%" || web.Scaler != nil || !web.Settled || web.UID == "" {
			t.Errorf("web is %+v", web)
		}
		if w := find(t, s, "Deployment/shop/scaled"); w.Scaler == nil || w.Scaler.Max != 3 || w.MaxSurge == nil {
			t.Errorf("scaled is %+v", w)
		}
		for i := range s.Pods {
			if p := &s.Pods[i]; p.Workload == "" || p.Node == "" {
				t.Errorf("pod %s has no workload or node: %+v", p.Key(), p)
			}
		}
		i := slices.IndexFunc(s.Budgets, func(b fleet.Budget) bool { return b.Key() == "shop/web" })
		if i < 0 || s.Budgets[i].DesiredHealthy != 4 || !s.Budgets[i].Fresh {
			t.Errorf("budgets %+v", s.Budgets)
		}
	})

	t.Run("cordon and uncordon, taint, load balancer", func(t *testing.T) {
		node := r.snapshot(t, k).Nodes[0]
		on := func(kind evacuate.ActionKind) evacuate.Action {
			return evacuate.Action{Kind: kind, Node: node.Name, UID: node.UID}
		}
		do(t, k, on(evacuate.Cordon), evacuate.Done)
		do(t, k, on(evacuate.SoftTaint), evacuate.Done)
		do(t, k, on(evacuate.ExcludeLB), evacuate.Done)
		changed := r.snapshot(t, k).Nodes[0]
		tainted := slices.Contains(changed.Taints, fleet.Taint{Key: fleet.TaintLeaving, Effect: "PreferNoSchedule"})
		if !changed.Unschedulable || changed.Annotations[fleet.MarkCordoned] != "rollout-7" || !tainted {
			t.Errorf("node %+v", changed)
		}
		do(t, k, on(evacuate.Uncordon), evacuate.Done)
		do(t, k, on(evacuate.RemoveTaint), evacuate.Done)
		do(t, k, on(evacuate.IncludeLB), evacuate.Done)
		// The controller that mirrors cordons as taints lags behind a little.
		eventually(t, "the node is as it was", func() (bool, string) {
			back := r.snapshot(t, k).Nodes[0]
			_, marked := back.Annotations[fleet.MarkCordoned]
			_, excluded := back.Labels[evacuate.ExcludeLBLabel]
			return !back.Unschedulable && !marked && !excluded && len(back.Taints) == 0, fmt.Sprintf("%+v", back)
		})
		stranger := on(evacuate.Cordon)
		stranger.UID = "someone-else"
		do(t, k, stranger, evacuate.Gone)
	})

	t.Run("an eviction that the budget forbids", func(t *testing.T) {
		pod := podOf(t, r.snapshot(t, k), "Deployment/shop/web")
		evict := evacuate.Action{Kind: evacuate.Evict, Pod: pod.Key(), UID: pod.UID}
		if message := do(t, k, evict, evacuate.Refused); !strings.Contains(message, "needs 4 healthy pods and has 4") {
			t.Errorf("message %q", message)
		}
		stale := evict
		stale.UID = "someone-else"
		do(t, k, stale, evacuate.Gone)
		do(t, k, evacuate.Action{Kind: evacuate.Evict, Pod: "shop/never-was", UID: "x"}, evacuate.Gone)
	})

	t.Run("surge, evict, restore", func(t *testing.T) {
		surge := evacuate.Action{Kind: evacuate.Surge, Workload: web.Key(), UID: web.UID, Replicas: 5}
		do(t, k, surge, evacuate.Done)
		do(t, k, surge, evacuate.Done)
		if w := r.settled(t, k, web.Key(), 5); w.Annotations[fleet.MarkReplicas] != "4" {
			t.Errorf("marks %v", w.Annotations)
		}
		pod := podOf(t, r.snapshot(t, k), web.Key())
		evict := evacuate.Action{Kind: evacuate.Evict, Pod: pod.Key(), UID: pod.UID}
		eventually(t, "the eviction is allowed", func() (bool, string) {
			outcome, err := k.Do(t.Context(), "rollout-7", evict)
			return err == nil && outcome.Result != evacuate.Refused, fmt.Sprint(outcome, err)
		})
		eventually(t, "the pod is gone", func() (bool, string) {
			pods := r.snapshot(t, k).Pods
			return !slices.ContainsFunc(pods, func(p fleet.Pod) bool { return p.UID == pod.UID }), ""
		})
		r.settled(t, k, web.Key(), 5)
		do(t, k, evict, evacuate.Gone)

		surge.Kind = evacuate.RestoreSurge
		do(t, k, surge, evacuate.Done)
		do(t, k, surge, evacuate.Done)
		if w := r.settled(t, k, web.Key(), 4); len(marks(w.Annotations)) != 0 {
			t.Errorf("marks left: %v", marks(w.Annotations))
		}
	})

	t.Run("surge through the autoscaler", func(t *testing.T) {
		scaled := find(t, r.snapshot(t, k), "Deployment/shop/scaled")
		surge := evacuate.Action{Kind: evacuate.Surge, Workload: scaled.Key(), UID: scaled.UID, Scaler: scaled.Scaler.Name, Replicas: 2}
		do(t, k, surge, evacuate.Done)
		if w := find(t, r.snapshot(t, k), scaled.Key()); w.Scaler.Min != 2 || w.Scaler.Annotations[fleet.MarkScalerMin] != "1" {
			t.Errorf("scaler %+v", w.Scaler)
		}
		r.settled(t, k, scaled.Key(), 2)
		tooMany := surge
		tooMany.Replicas = 9
		if message := do(t, k, tooMany, evacuate.Refused); !strings.Contains(message, "minReplicas") {
			t.Errorf("message %q", message)
		}
		surge.Kind = evacuate.RestoreSurge
		do(t, k, surge, evacuate.Done)
		if w := find(t, r.snapshot(t, k), scaled.Key()); w.Scaler.Min != 1 || len(marks(w.Scaler.Annotations)) != 0 {
			t.Errorf("scaler after restore %+v", w.Scaler)
		}
	})

	t.Run("restart with a shape, and restore it", func(t *testing.T) {
		before := map[string]bool{}
		for _, p := range r.snapshot(t, k).Pods {
			before[p.UID] = true
		}
		roll := evacuate.Action{
			Kind: evacuate.Roll, Workload: web.Key(), UID: web.UID, Token: "rollout-7/e-1",
			Shape: &evacuate.Shape{MaxUnavailable: 0, MaxSurge: 1},
		}
		do(t, k, roll, evacuate.Done)
		do(t, k, roll, evacuate.Done)
		shaped := find(t, r.snapshot(t, k), web.Key())
		if shaped.MaxUnavailable.String() != "0" || shaped.MaxSurge.String() != "1" {
			t.Errorf("shaped %+v", shaped)
		}
		eventually(t, "all pods are new", func() (bool, string) {
			w := find(t, r.snapshot(t, k), web.Key())
			s := r.snapshot(t, k)
			old := 0
			for i := range s.Pods {
				if s.Pods[i].Workload == web.Key() && before[s.Pods[i].UID] {
					old++
				}
			}
			return old == 0 && w.Settled && w.Ready == 4 && w.Updated == 4, fmt.Sprintf("%d old; %+v", old, w)
		})
		restore := evacuate.Action{Kind: evacuate.RestoreShape, Workload: web.Key(), UID: web.UID}
		do(t, k, restore, evacuate.Done)
		do(t, k, restore, evacuate.Done)
		w := find(t, r.snapshot(t, k), web.Key())
		if w.MaxUnavailable.String() != "50%" || w.MaxSurge.String() != "2" || len(marks(w.Annotations)) != 0 {
			t.Errorf("restored %+v", w)
		}
	})

	t.Run("deletion cost", func(t *testing.T) {
		pod := podOf(t, r.snapshot(t, k), web.Key())
		for _, kind := range []evacuate.ActionKind{evacuate.PreferDelete, evacuate.ForgetCost} {
			do(t, k, evacuate.Action{Kind: kind, Pod: pod.Key(), UID: pod.UID}, evacuate.Done)
		}
	})

	t.Run("one holder of the Lease", func(t *testing.T) {
		// Another process: nothing shared but the cluster.
		other, err := kube.NewConnector(r.options).Connect(t.Context(), r.target, k.UID())
		if err != nil {
			t.Fatal(err)
		}
		notes := map[string]string{"rollout": "rollout-7"}
		if err := k.AcquireLease(t.Context(), "one", time.Hour, notes); err != nil {
			t.Fatal(err)
		}
		err = other.AcquireLease(t.Context(), "two", time.Hour, nil)
		if held, ok := errors.AsType[*rollout.LeaseHeldError](err); !ok || held.Holder != "one" || held.TTL != time.Hour {
			t.Errorf("error %v", err)
		}
		if err := k.ReleaseLease(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		if err := other.AcquireLease(t.Context(), "two", time.Hour, nil); err != nil {
			t.Error(err)
		}
		if got, err := k.LeaseNotes(t.Context()); err != nil || got["rollout"] != "rollout-7" {
			t.Errorf("notes %v, error %v", got, err)
		}
		if err := other.ReleaseLease(t.Context(), "two"); err != nil {
			t.Error(err)
		}
	})

	if low := seen.lowest(web.Key()); low < 4 {
		t.Errorf("web had %d Ready at some time; no action allows that", low)
	}

	t.Run("a watch sees a fall, and outlives the API server", func(t *testing.T) {
		pod := podOf(t, r.snapshot(t, k), web.Key())
		if err := r.admin.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		seen.until(t, "three Ready", func(s fleet.Sight) bool { return ready(s, web.Key()) == 3 })
		seen.until(t, "four Ready again", func(s fleet.Sight) bool { return ready(s, web.Key()) == 4 })
		if err := r.cluster.SetVersion(t.Context(), "1.35.4"); err != nil {
			t.Fatal(err)
		}
		seen.until(t, "blindness", func(s fleet.Sight) bool { return s.Blind != "" })
		seen.until(t, "sight after it", func(s fleet.Sight) bool { return ready(s, web.Key()) == 4 })
		version, err := k.ServerVersion(t.Context())
		if err != nil || version != fleet.MustParseVersion("1.35.4") {
			t.Errorf("server version %s, error %v", version, err)
		}
		if again := r.connect(t, k.UID()); again != k {
			t.Error("the connection did not outlive the API server")
		}
	})
	if err := seen.end(); err != nil {
		t.Errorf("the watch ended with %v", err)
	}
}

// rig is a simulated cluster, and Liftlock's way to it.
type rig struct {
	cluster   aks.Cluster
	admin     kubernetes.Interface
	target    fleet.Cluster
	options   kube.Options
	connector *kube.Connector
}

func newRig(t *testing.T) *rig {
	t.Helper()
	world, err := simkube.New(simkube.Options{BinDir: binaries(t), StateDir: filepath.Join(t.TempDir(), "state")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := world.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	cluster, err := world.Create(t.Context(), aks.ClusterSpec{
		ID:   "/subscriptions/s/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/apps",
		Name: "apps", Version: "1.34.4",
		Timing: aks.Timing{
			Seed:           1,
			NodeBoot:       aks.Range{Min: 100 * time.Millisecond, Max: 200 * time.Millisecond},
			PodStart:       aks.Range{Min: 100 * time.Millisecond, Max: 400 * time.Millisecond},
			PodTermination: aks.Range{Min: 50 * time.Millisecond, Max: 200 * time.Millisecond},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := cluster.Kubeconfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		cluster: cluster,
		admin:   admin,
		target: fleet.Cluster{
			ID: "apps", Name: "apps", Subscription: "s", NodeResourceGroup: "mc_RG_apps_westeurope",
		},
		options: kube.Options{
			Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)),
			Kubeconfig: func(ctx context.Context, _ fleet.Cluster) ([]byte, error) {
				return asLiftlock(ctx, admin, kubeconfig)
			},
		},
	}
	r.connector = kube.NewConnector(r.options)
	return r
}

// asLiftlock makes a kubeconfig of an identity that has the rights of Rules.
func asLiftlock(ctx context.Context, admin kubernetes.Interface, kubeconfig []byte) ([]byte, error) {
	meta := metav1.ObjectMeta{Name: "liftlock"}
	account := &corev1.ServiceAccount{ObjectMeta: meta}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: kube.Rules()}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: meta.Name}},
	}
	// All but the token may be there from an earlier call.
	_, _ = admin.CoreV1().ServiceAccounts("default").Create(ctx, account, metav1.CreateOptions{})
	_, _ = admin.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	_, _ = admin.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	token, err := admin.CoreV1().ServiceAccounts("default").CreateToken(ctx, meta.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, err
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	}
	return clientcmd.Write(*config)
}

func (r *rig) addNodes(t *testing.T, count int) {
	t.Helper()
	for number := range count {
		if err := r.cluster.AddNode(t.Context(), aks.NodeSpec{
			Name: fmt.Sprintf("aks-apps-12345678-vmss%06d", number),
			ProviderID: fmt.Sprintf("azure:///subscriptions/s/resourceGroups/MC_rg_apps_westeurope/providers/"+
				"Microsoft.Compute/virtualMachineScaleSets/aks-apps-12345678-vmss/virtualMachines/%d", number),
			Version: "1.34.4", Image: "AKSUbuntu-2204gen2containerd-202610.13.0",
			OS: "linux", Architecture: "amd64",
			Zone: fmt.Sprintf("westeurope-%d", number+1), Region: "westeurope", VMSize: "Standard_D4s_v5",
			MilliCPU: 4000, MemoryBytes: 16 << 30, MaxPods: 110, BootID: "first",
			Labels: map[string]string{"kubernetes.azure.com/agentpool": "apps"},
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) connect(t *testing.T, seen string) rollout.Kubernetes {
	t.Helper()
	var k rollout.Kubernetes
	eventually(t, "rights are granted and nodes are there", func() (bool, string) {
		var err error
		k, err = r.connector.Connect(t.Context(), r.target, seen)
		return err == nil, fmt.Sprint(err)
	})
	return k
}

func (r *rig) snapshot(t *testing.T, k rollout.Kubernetes) fleet.Snapshot {
	t.Helper()
	s, err := k.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// settled waits until a workload has so many Ready pods and no others.
func (r *rig) settled(t *testing.T, k rollout.Kubernetes, key string, count int32) fleet.Workload {
	t.Helper()
	var w fleet.Workload
	eventually(t, fmt.Sprintf("%s has %d Ready", key, count), func() (bool, string) {
		s := r.snapshot(t, k)
		w = find(t, s, key)
		pods := int32(0)
		for i := range s.Pods {
			if s.Pods[i].Workload == key {
				pods++
			}
		}
		return w.Settled && w.Ready == count && w.Replicas == count && pods == count, fmt.Sprintf("%+v", w)
	})
	return w
}

func with(cluster fleet.Cluster, id string) fleet.Cluster {
	cluster.ID = id
	return cluster
}

func do(t *testing.T, k rollout.Kubernetes, action evacuate.Action, want evacuate.Result) string {
	t.Helper()
	outcome, err := k.Do(t.Context(), "rollout-7", action)
	if err != nil {
		t.Fatal(err)
	}
	if outcome.Result != want {
		t.Fatalf("%s: %s (%s), want %s", action.Kind, outcome.Result, outcome.Message, want)
	}
	return outcome.Message
}

func find(t *testing.T, s fleet.Snapshot, key string) fleet.Workload {
	t.Helper()
	for i := range s.Workloads {
		if s.Workloads[i].Key() == key {
			return s.Workloads[i]
		}
	}
	t.Fatalf("no workload %s", key)
	return fleet.Workload{}
}

func podOf(t *testing.T, s fleet.Snapshot, key string) fleet.Pod {
	t.Helper()
	for i := range s.Pods {
		if p := s.Pods[i]; p.Workload == key && p.Ready && p.DeletedAt.IsZero() {
			return p
		}
	}
	t.Fatalf("no pod of %s is Ready", key)
	return fleet.Pod{}
}

func marks(annotations map[string]string) []string {
	var found []string
	for key := range annotations {
		if strings.HasPrefix(key, "liftlock.dev/") {
			found = append(found, key)
		}
	}
	return found
}

// sights collects what a watch reports.
type sights struct {
	mu   sync.Mutex
	all  []fleet.Sight
	next int // what until has not looked at yet
	stop context.CancelFunc
	done chan error
}

func follow(t *testing.T, k rollout.Kubernetes) *sights {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &sights{stop: stop, done: make(chan error, 1)}
	go func() {
		s.done <- k.Watch(ctx, func(sight fleet.Sight) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.all = append(s.all, sight)
		})
	}()
	t.Cleanup(stop)
	s.until(t, "the present", func(sight fleet.Sight) bool { return sight.Blind == "" })
	return s
}

func (s *sights) until(t *testing.T, what string, fits func(fleet.Sight) bool) {
	t.Helper()
	eventually(t, "the watch sees "+what, func() (bool, string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for s.next < len(s.all) {
			s.next++
			if fits(s.all[s.next-1]) {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d reports", len(s.all))
	})
}

// lowest is the lowest Ready count that was reported of a workload.
func (s *sights) lowest(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	low := 1 << 30
	for _, sight := range s.all {
		if n := ready(sight, key); n >= 0 {
			low = min(low, n)
		}
	}
	return low
}

func (s *sights) end() error {
	s.stop()
	return <-s.done
}

func ready(s fleet.Sight, key string) int {
	for _, w := range s.Workloads {
		if w.Workload == key {
			return w.Ready
		}
	}
	return -1
}

// eventually polls for what the cluster has to bring about.
func eventually(t *testing.T, what string, holds func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		ok, state := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within two minutes: %s; last: %s", what, state)
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
}

// binaries finds bin/kube by walking up to the repository's root. Without them
// nothing here can be proven, so their absence fails the test.
func binaries(t *testing.T) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "hack", "kube")); err == nil {
			break
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			t.Fatal("no hack/kube in any folder above")
		}
		folder = parent
	}
	folder = filepath.Join(folder, "bin", "kube")
	for _, file := range []string{"1.34/kube", "1.35/kube", "kwok"} {
		if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
			t.Fatalf("%v: run make kube-demo", err)
		}
	}
	return folder
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}
