package traffic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"liftlock.dev/liftlock/internal/adapter/twin"
	"liftlock.dev/liftlock/internal/adapter/twin/process"
)

// nodesPerPool is how many old and how many new nodes there are.
const nodesPerPool = 3

// world is a cluster with real nodes. What it starts ends with the namespaces
// that this process lives in.
type world struct {
	plane      *twin.ControlPlane
	client     *kubernetes.Clientset
	kubeconfig string // file
	nodes      []*node
	proxy      *process.Process
}

const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
bindAddress: %[1]s
clusterCIDR: ` + podRange + `
clientConnection: {kubeconfig: %[2]s}
hostnameOverride: host
healthzBindAddress: ""
metricsBindAddress: ""
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`

// newWorld starts everything and returns when all nodes are Ready.
func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{kubeconfig: filepath.Join(home, "kubeconfig")}
	var err error
	// Of the new version: a control plane goes before its nodes.
	w.plane, err = twin.New(twin.Options{BinDir: bin.kube, StateDir: filepath.Join(home, "plane"), Name: "traffic", Version: newVersion})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			w.tell(t)
		}
		if err := w.plane.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	if err := w.plane.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.kubeconfig, w.plane.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	if w.client, err = kubernetes.NewForConfig(w.plane.Config()); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"pause", "web"} {
		if err := writeImage(filepath.Join(home, program+".tar"), program); err != nil {
			t.Fatal(err)
		}
	}
	w.startProxy(t)
	for number := range 2 * nodesPerPool {
		n := &node{number: number + 1, pool: oldPool, kubelet: bin.old}
		n.name = fmt.Sprintf("old-%d", number+1)
		if number >= nodesPerPool {
			n.pool, n.kubelet = newPool, bin.new
			n.name = fmt.Sprintf("new-%d", number+1-nodesPerPool)
		}
		n.folder = filepath.Join(home, n.name)
		w.nodes = append(w.nodes, n)
	}
	var group errgroup.Group
	for _, n := range w.nodes {
		group.Go(func() error { return n.start(ctx, w.kubeconfig) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.nodes {
		want := oldVersion
		if n.pool == newPool {
			want = newVersion
		}
		if err := n.await(ctx, "it is Ready", func() error {
			found, err := w.client.CoreV1().Nodes().Get(ctx, n.name, metav1.GetOptions{})
			switch {
			case err != nil:
				return err
			case found.Status.NodeInfo.KubeletVersion != "v"+want:
				return fmt.Errorf("its kubelet is %s, not v%s", found.Status.NodeInfo.KubeletVersion, want)
			case !isReady(found):
				return fmt.Errorf("conditions: %+v", found.Status.Conditions)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// startProxy starts the one kube-proxy: all nodes are on one kernel.
func (w *world) startProxy(t *testing.T) {
	t.Helper()
	file := filepath.Join(home, "kube-proxy.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, proxyConfig, hostAddress, w.kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	w.proxy, err = process.Start(t.Context(), process.Command{
		Name: "kube-proxy", Path: bin.new, Args: []string{"kube-proxy", "--config=" + file}, Dir: home,
		LogFile: filepath.Join(home, "kube-proxy.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// pool returns the names of a pool's nodes.
func (w *world) pool(name string) (names []string) {
	for _, n := range w.nodes {
		if n.pool == name {
			names = append(names, n.name)
		}
	}
	return names
}

// schedule lets pods come to one pool, and to no other.
func (w *world) schedule(t *testing.T, pools ...string) {
	t.Helper()
	for _, n := range w.nodes {
		closed := true
		for _, pool := range pools {
			closed = closed && n.pool != pool
		}
		patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, closed)
		if _, err := w.client.CoreV1().Nodes().Patch(t.Context(), n.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// podsOn lists the pods of a pool's nodes, terminating ones included.
func (w *world) podsOn(ctx context.Context, pool string) ([]corev1.Pod, error) {
	all, err := w.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var on []corev1.Pod
	for _, pod := range all.Items {
		for _, name := range w.pool(pool) {
			if pod.Spec.NodeName == name {
				on = append(on, pod)
			}
		}
	}
	return on, nil
}

// tell says how things stand, for whoever wants to know why a test failed. All
// logs are gone with the world.
func (w *world) tell(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if w.client != nil {
		if pods, err := w.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{}); err == nil {
			for _, p := range pods.Items {
				t.Logf("pod %s/%s on %q: %s, deleted %v, %+v", p.Namespace, p.Name, p.Spec.NodeName, p.Status.Phase, p.DeletionTimestamp, p.Status.ContainerStatuses)
			}
		}
		if events, err := w.client.CoreV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{}); err == nil {
			for _, e := range events.Items {
				if e.Type != corev1.EventTypeNormal {
					t.Logf("event %s %s/%s: %s %s", e.LastTimestamp, e.InvolvedObject.Namespace, e.InvolvedObject.Name, e.Reason, e.Message)
				}
			}
		}
	}
	logs, _ := filepath.Glob(filepath.Join(home, "*", "*.log"))
	more, _ := filepath.Glob(filepath.Join(home, "*.log"))
	for _, file := range append(logs, more...) {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(content)), "\n")
		t.Logf("end of %s:\n%s", file, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	// LIFTLOCK_TRAFFIC_LOGS is a folder to keep all of them in.
	if keep := os.Getenv("LIFTLOCK_TRAFFIC_LOGS"); keep != "" {
		if err := os.MkdirAll(keep, 0o755); err != nil {
			t.Log(err)
		}
		for _, file := range append(logs, more...) {
			name := strings.ReplaceAll(strings.TrimPrefix(file, home+"/"), "/", "-")
			if content, err := os.ReadFile(file); err == nil {
				if err := os.WriteFile(filepath.Join(keep, name), content, 0o600); err != nil {
					t.Log(err)
				}
			}
		}
	}
}

// stop is an error that ends polling at once.
type stop struct{ error }

// poll tries until a check succeeds, or fails with a stop, or the time is up.
func poll(ctx context.Context, limit time.Duration, what string, check func() error) error {
	return pollEvery(ctx, 100*time.Millisecond, limit, what, check)
}

func pollEvery(ctx context.Context, pause, limit time.Duration, what string, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		if final, ok := errors.AsType[stop](err); ok {
			return fmt.Errorf("%s: %w", what, final.error)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, limit, err)
		case <-tick.C:
		}
	}
}
