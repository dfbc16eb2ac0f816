package kube_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
	"liftlock.dev/liftlock/sim/aks"
)

// pullTakes stands for minutes: an image of six gibibytes.
const pullTakes = 15 * time.Second

// heavy is a workload with a large image, behind an external load balancer that
// keeps traffic on its node.
var heavy = fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Secret
metadata: {name: registry, namespace: shop}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths":{}}'}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: big, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: big}}
  template:
    metadata: {labels: {app: big}}
    spec:
      imagePullSecrets: [{name: registry}]
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: big
        image: registry.example/pull-%s/size-6gi/big:1
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
        resources: {requests: {cpu: 50m, memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: big, namespace: shop}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector: {app: big}
  ports: [{port: 80}]
`, pullTakes)

// TestEvacuatesBigImages empties a pool whose image takes long to be pulled,
// with images pulled beforehand and without, and prints how long pods took to be
// Ready. In both cases no workload falls below what it requires, and a node
// leaves its load balancers before its pods go.
func TestEvacuatesBigImages(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
	r := newRig(t)
	old := r.addPool(t, "old", 2)
	if err := r.cluster.Apply(t.Context(), []byte(heavy)); err != nil {
		t.Fatal(err)
	}
	k := r.connect(t, "")
	r.settled(t, k, "Deployment/shop/big", 2)
	settle := 2 * time.Second
	policy := fleet.EvacuationPolicy{
		LoadBalancerSettle: settle,
		PrePull:            fleet.PrePull{Images: fleet.PrePullBig, Threshold: 1 << 30, Timeout: 10 * time.Minute},
	}
	green := r.addPool(t, "green", 2)
	with := r.evacuate(t, k, evacuate.Input{Leaving: old, Receiving: green, Rollout: "with", Policy: policy})

	policy.PrePull.Images = fleet.PrePullOff
	blue := r.addPool(t, "blue", 2)
	without := r.evacuate(t, k, evacuate.Input{Leaving: green, Receiving: blue, Rollout: "without", Policy: policy})
	t.Logf("an image that takes %s to be pulled: slowest pod Ready %s after it was made with images pulled beforehand, %s without", pullTakes, with, without)
	if with > pullTakes/3 || without < pullTakes {
		t.Errorf("slowest pod: %s with images pulled beforehand, %s without", with, without)
	}

	for range 3 { // what is taken back is looked at again
		actions, _ := evacuate.Undo(r.snapshot(t, k), nil, "")
		for _, a := range actions {
			do(t, k, a, evacuate.Done)
		}
	}
	for _, n := range r.snapshot(t, k).Nodes {
		if _, out := n.Labels[evacuate.ExcludeLBLabel]; out || n.Unschedulable {
			t.Errorf("node %s: labels %v, unschedulable %v after everything was undone", n.Name, n.Labels, n.Unschedulable)
		}
	}
}

// evacuate drives an evacuation to its end and returns how long the slowest new
// pod took from being made to being Ready.
func (r *rig) evacuate(t *testing.T, k rollout.Kubernetes, in evacuate.Input) time.Duration {
	t.Helper()
	in.Pace = fleet.Pace{MaxInMotion: fleet.Amount{Percent: 100}}
	began := time.Now()
	whole := began.Truncate(time.Second) // as fine as the API server writes
	watched := follow(t, k)
	slowest := time.Duration(0)
	cordoned, last := false, ""
	outAt := map[string]time.Time{}
	eventually(t, "evacuation "+in.Rollout, func() (bool, string) {
		in.Snapshot = r.snapshot(t, k)
		pass := evacuate.Next(in)
		in.Outcomes = nil
		for _, a := range pass.Actions {
			outcome, err := k.Do(t.Context(), in.Rollout, a)
			if err != nil {
				t.Fatal(err)
			}
			if outcome.Result == evacuate.Refused {
				t.Errorf("%s %s%s%s: %s", a.Kind, a.Node, a.Workload, a.Pod, outcome.Message)
			}
			in.Outcomes = append(in.Outcomes, outcome)
			switch a.Kind {
			case evacuate.Cordon:
				cordoned = true
			case evacuate.ExcludeLB:
				outAt[a.Node] = time.Now()
			case evacuate.PrePull:
				if cordoned {
					t.Errorf("images are pulled after the first cordon: %+v", a)
				}
			case evacuate.Evict, evacuate.RestoreSurge:
				for _, name := range in.Leaving {
					if at := outAt[name]; at.IsZero() || time.Since(at) < in.Policy.LoadBalancerSettle {
						t.Errorf("%s %s%s while load balancers may still send to node %s", a.Kind, a.Pod, a.Workload, name)
					}
				}
			default:
			}
		}
		in.Memory = pass.Memory
		if pass.Reason != last {
			last = pass.Reason
			t.Logf("%s %s: %s", time.Since(began).Round(100*time.Millisecond), pass.Status, pass.Reason)
		}
		for _, p := range in.Snapshot.Pods {
			if p.Workload == "Deployment/shop/big" && p.Ready && !p.CreatedAt.Before(whole) {
				slowest = max(slowest, p.ReadySince.Sub(p.CreatedAt))
			}
		}
		return pass.Status == evacuate.StatusDone, pass.Reason
	})
	if low := watched.lowest("Deployment/shop/big"); low < 2 {
		t.Errorf("Deployment/shop/big fell to %d Ready pods of the 2 that it requires", low)
	}
	if err := watched.end(); err != nil && t.Context().Err() == nil && err != context.Canceled { //nolint:errorlint // as Watch returns it
		t.Error(err)
	}
	pods, err := r.admin.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{LabelSelector: fleet.MarkPrePull})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil {
			t.Errorf("pod %s is left", pods.Items[i].Name)
		}
	}
	return slowest
}

// addPool boots nodes of a pool.
func (r *rig) addPool(t *testing.T, pool string, count int) []string {
	t.Helper()
	var names []string
	for number := range count {
		name := fmt.Sprintf("aks-%s-12345678-vmss%06d", pool, number)
		if err := r.cluster.AddNode(t.Context(), aks.NodeSpec{
			Name: name,
			ProviderID: fmt.Sprintf("azure:///subscriptions/s/resourceGroups/MC_rg_apps_westeurope/providers/"+
				"Microsoft.Compute/virtualMachineScaleSets/aks-%s-12345678-vmss/virtualMachines/%d", pool, number),
			Version: "1.34.4", Image: "AKSUbuntu-2204gen2containerd-202610.13.0", OS: "linux", Architecture: "amd64",
			Region: "westeurope", VMSize: "Standard_D4s_v5", MilliCPU: 4000, MemoryBytes: 16 << 30, MaxPods: 110, BootID: "first",
			Labels: map[string]string{"kubernetes.azure.com/agentpool": pool},
		}); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// TestPullsOnEveryPlatform: what pulls images is taken by the API server where
// the strictest Pod Security Standard holds, for Linux and for Windows, and is
// removed by us alone.
func TestPullsOnEveryPlatform(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	r := newRig(t)
	nodes := r.addPool(t, "old", 1)
	if err := r.cluster.Apply(t.Context(), []byte(heavy)); err != nil {
		t.Fatal(err)
	}
	k := r.connect(t, "")
	for _, os := range []string{"linux", "windows"} {
		a := evacuate.Action{
			Kind: evacuate.PrePull, Node: nodes[0], OS: os, Pod: "shop/liftlock-prepull-" + os,
			Images: []string{"registry.example/a:1", "registry.example/b:2"}, Secrets: []string{"registry"},
		}
		do(t, k, a, evacuate.Done)
		if message := do(t, k, a, evacuate.Done); !strings.Contains(message, "already") {
			t.Errorf("made twice: %s", message)
		}
		pod, err := r.admin.CoreV1().Pods("shop").Get(t.Context(), "liftlock-prepull-"+os, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if pod.Spec.NodeName != nodes[0] || pod.Spec.RestartPolicy != corev1.RestartPolicyNever || len(pod.Spec.Containers) != 2 ||
			pod.Spec.Containers[0].ImagePullPolicy != corev1.PullIfNotPresent || len(pod.Spec.ImagePullSecrets) != 1 {
			t.Errorf("%+v", pod.Spec)
		}
		eventually(t, "its images are seen to be there", func() (bool, string) {
			for _, p := range r.snapshot(t, k).Pods {
				if p.Name == pod.Name {
					return len(p.Pulls) == 2 && p.Pulls[0].Done && p.Pulls[1].Done, fmt.Sprintf("%+v", p.Pulls)
				}
			}
			return false, "not there"
		})
		do(t, k, evacuate.Action{Kind: evacuate.EndPull, Pod: a.Pod, UID: string(pod.UID)}, evacuate.Done)
		do(t, k, evacuate.Action{Kind: evacuate.EndPull, Pod: a.Pod, UID: string(pod.UID)}, evacuate.Gone)
	}
	r.settled(t, k, "Deployment/shop/big", 2)
	victim := podOf(t, r.snapshot(t, k), "Deployment/shop/big")
	do(t, k, evacuate.Action{Kind: evacuate.EndPull, Pod: victim.Key(), UID: victim.UID}, evacuate.Refused)
}
