package traffic

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/adapter/twin/process"
)

// The addresses of the world.
const (
	hostAddress  = "172.30.0.1"
	serviceRange = "10.0.0.0/16" // as package twin has it
	podRange     = "10.244.0.0/16"
	podBridge    = "pods-"
)

// The pools, and the resource group that the product knows the cluster by.
const (
	oldPool       = "apps"
	newPool       = "appsb"
	resourceGroup = "mc_traffic"
	subscription  = "00000000-0000-0000-0000-000000000000"
)

// node is one machine: a containerd, a kubelet, a bridge for its pods.
type node struct {
	name    string
	pool    string
	number  int
	kubelet string // the binary
	folder  string

	processes []*process.Process // in the order in which they were started
}

func (n *node) address() string { return fmt.Sprintf("172.30.0.%d", 10+n.number) }
func (n *node) socket() string  { return filepath.Join(n.folder, "containerd.sock") }

const containerdConfig = `version = 2
root = "%[1]s/containerd"
state = "%[1]s/state"
[grpc]
  address = "%[1]s/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%[2]s"
  disable_apparmor = true
  restrict_oom_score_adj = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "%[3]s"
    conf_dir = "%[1]s/cni"
`

const networkConfig = `{
  "cniVersion": "0.4.0", "name": "pods",
  "plugins": [{
    "type": "bridge", "bridge": "%[1]s", "isGateway": true, "hairpinMode": true,
    "ipam": {
      "type": "host-local", "dataDir": "%[2]s/addresses",
      "ranges": [[{"subnet": "10.244.%[3]d.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`

// kubeletConfig: one of many on a machine, which belongs to none of them.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[2]s
readOnlyPort: 0
healthzPort: 0
authentication:
  anonymous: {enabled: true}
  webhook: {enabled: false}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://%[1]s/containerd.sock
providerID: %[3]s
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi}
resolvConf: %[1]s/resolv.conf
podLogsDir: %[1]s/logs
volumePluginDir: %[1]s/plugins
maxPods: 60
`

// start starts the node and returns when its kubelet runs; the API server knows
// when it is Ready.
func (n *node) start(ctx context.Context, kubeconfig string) error {
	provider := fmt.Sprintf("azure:///subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/virtualMachineScaleSets/%s/virtualMachines/%d",
		subscription, resourceGroup, n.pool, n.number)
	files := map[string]string{
		"containerd.toml":    fmt.Sprintf(containerdConfig, n.folder, imageName("pause"), cniFolder),
		"cni/pods.conflist":  fmt.Sprintf(networkConfig, podBridge+n.name, n.folder, n.number),
		"kubelet.yaml":       fmt.Sprintf(kubeletConfig, n.folder, n.address(), provider),
		"resolv.conf":        "",
		"kubelet/.keep":      "",
		"logs/.keep":         "",
		"plugins/.keep":      "",
		"certificates/.keep": "",
	}
	for name, content := range files {
		path := filepath.Join(n.folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := run("ip", "address", "add", n.address()+"/32", "dev", "nodes"); err != nil {
		return err
	}
	containerd, err := exec.LookPath("containerd")
	if err != nil {
		return err
	}
	if err := n.run(ctx, "containerd", containerd, "--config", filepath.Join(n.folder, "containerd.toml")); err != nil {
		return err
	}
	if err := n.await(ctx, "containerd answers", func() error { return n.ctr("version") }); err != nil {
		return err
	}
	for _, program := range []string{"pause", "web"} {
		if err := n.ctr("--namespace", "k8s.io", "images", "import", filepath.Join(home, program+".tar")); err != nil {
			return err
		}
	}
	return n.run(ctx, "kubelet", n.kubelet, "kubelet",
		"--config="+filepath.Join(n.folder, "kubelet.yaml"), "--kubeconfig="+kubeconfig,
		"--root-dir="+filepath.Join(n.folder, "kubelet"), "--cert-dir="+filepath.Join(n.folder, "certificates"),
		"--hostname-override="+n.name, "--node-ip="+n.address(), "--node-labels=agentpool="+n.pool)
}

// run starts a program that belongs to the node.
func (n *node) run(ctx context.Context, name, path string, args ...string) error {
	started, err := process.Start(ctx, process.Command{
		Name: name + " of " + n.name, Path: path, Args: args, Dir: n.folder,
		Env: []string{"TMPDIR=" + os.TempDir()}, LogFile: filepath.Join(n.folder, name+".log"),
	})
	if err == nil {
		n.processes = append(n.processes, started)
	}
	return err
}

func (n *node) ctr(args ...string) error {
	return run("ctr", append([]string{"--address", n.socket()}, args...)...)
}

// await polls until a check succeeds. It gives up when a program of the node
// has ended.
func (n *node) await(ctx context.Context, what string, check func() error) error {
	return poll(ctx, 2*time.Minute, n.name+": "+what, func() error {
		if err := n.ended(); err != nil {
			return stop{err}
		}
		return check()
	})
}

// ended says which of the node's programs has ended, and why.
func (n *node) ended() error {
	for _, p := range n.processes {
		if err := p.Exited(); err != nil {
			return err
		}
	}
	return nil
}

// remove takes the node away as a cloud does: the machine and the Node.
func (w *world) remove(t *testing.T, n *node) {
	t.Helper()
	for len(n.processes) > 0 {
		last := n.processes[len(n.processes)-1]
		if err := last.Stop(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		n.processes = n.processes[:len(n.processes)-1]
	}
	if err := w.client.CoreV1().Nodes().Delete(t.Context(), n.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func isReady(n *corev1.Node) bool {
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
