package kube_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"liftlock.dev/liftlock/sim/aks"
	"liftlock.dev/liftlock/sim/kube"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
			t.Fatalf("%v: run make kube", err)
		}
	}
	return folder
}

// rig is one cluster with a client of its own.
type rig struct {
	cluster aks.Cluster
	client  *kubernetes.Clientset
}

func newRig(t *testing.T, timing aks.Timing) *rig {
	t.Helper()
	state := filepath.Join(t.TempDir(), "state")
	world, err := kube.New(kube.Options{
		BinDir: binaries(t), StateDir: state,
		Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := world.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("state left after Close: %v", err)
		}
		if left := running(t, state); len(left) > 0 {
			t.Errorf("processes left after Close: %v", left)
		}
	})
	cluster, err := world.Create(t.Context(), aks.ClusterSpec{
		ID:   "/subscriptions/s/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/apps",
		Name: "apps", Version: "1.34.4", Timing: timing,
	})
	if err != nil {
		t.Fatal(err)
	}
	content, err := cluster.Kubeconfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(content)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{cluster: cluster, client: client}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// running lists the processes that run in or below a folder.
func running(t *testing.T, folder string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, folder) {
			found = append(found, link)
		}
	}
	return found
}

func nodeSpec(number int, version string) aks.NodeSpec {
	zone := number%3 + 1
	return aks.NodeSpec{
		Name: fmt.Sprintf("aks-apps-12345678-vmss%06d", number),
		ProviderID: fmt.Sprintf("azure:///subscriptions/s/resourceGroups/MC_rg_apps_westeurope/providers/"+
			"Microsoft.Compute/virtualMachineScaleSets/aks-apps-12345678-vmss/virtualMachines/%d", number),
		Version: version, Image: "AKSUbuntu-2204gen2containerd-202610.13.0",
		OS: "linux", Architecture: "amd64",
		Zone: fmt.Sprintf("westeurope-%d", zone), Region: "westeurope", VMSize: "Standard_D4s_v5",
		MilliCPU: 4000, MemoryBytes: 16 << 30, MaxPods: 110,
		Labels:        map[string]string{"kubernetes.azure.com/mode": "user"},
		StartupTaints: []aks.Taint{{Key: "node.cilium.io/agent-not-ready", Value: "true", Effect: "NoSchedule"}},
		BootID:        "first",
	}
}

func (r *rig) addNodes(t *testing.T, from, to int) {
	t.Helper()
	failed := make(chan error, to-from+1)
	for number := from; number <= to; number++ {
		go func() { failed <- r.cluster.AddNode(t.Context(), nodeSpec(number, "1.34.4")) }()
	}
	for range to - from + 1 {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	for number := from; number <= to; number++ {
		name := nodeSpec(number, "1.34.4").Name
		eventually(t, "start-up taints gone", func() (bool, string) {
			taints := r.node(t, name).Spec.Taints
			return len(taints) == 0, fmt.Sprint(taints)
		})
	}
}

func (r *rig) apply(t *testing.T, manifest string) {
	t.Helper()
	if err := r.cluster.Apply(t.Context(), []byte(manifest)); err != nil {
		t.Fatal(err)
	}
}

// eventually polls for a condition that the cluster has to bring about.
func eventually(t *testing.T, what string, holds func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		ok, state := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s; last: %s", what, state)
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
}

func (r *rig) pods(t *testing.T, selector string) []corev1.Pod {
	t.Helper()
	list, err := r.client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func podReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// ready waits until count pods are Ready, and returns them.
func (r *rig) ready(t *testing.T, selector string, count int) []corev1.Pod {
	t.Helper()
	var found []corev1.Pod
	eventually(t, fmt.Sprintf("%d pods %s Ready", count, selector), func() (bool, string) {
		found = found[:0]
		state := ""
		for _, pod := range r.pods(t, selector) {
			if podReady(&pod) && pod.DeletionTimestamp == nil {
				found = append(found, pod)
			} else {
				state += fmt.Sprintf(" %s on %q %s %v;", pod.Name, pod.Spec.NodeName, pod.Status.Phase, pod.Status.Conditions)
			}
		}
		return len(found) == count, fmt.Sprintf("%d Ready; others:%s", len(found), state)
	})
	return found
}

func (r *rig) node(t *testing.T, name string) *corev1.Node {
	t.Helper()
	node, err := r.client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}
