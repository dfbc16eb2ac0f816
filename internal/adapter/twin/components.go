package twin

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// The components are tuned for being one of many on a small machine: they
// collect garbage early, and serve nothing that nobody reads. What decides how
// a cluster behaves (admission, authorization, priorities, quota, the grace
// periods of nodes) is left as Kubernetes has it.

// The socket names are relative to the state folder, in which every component
// runs: a path longer than 107 bytes cannot be bound. etcd wants them to look
// like addresses.
const (
	etcdSocket = "unix://etcd.sock:0"
	peerSocket = "unix://peer.sock:0"
)

func etcdArgs() []string {
	return []string{
		"--name=twin",
		"--data-dir=etcd",
		"--listen-client-urls=" + etcdSocket,
		"--advertise-client-urls=" + etcdSocket,
		"--listen-peer-urls=" + peerSocket,
		"--initial-advertise-peer-urls=" + peerSocket,
		"--initial-cluster=twin=" + peerSocket,
		"--unsafe-no-fsync", // what it holds may be lost with the machine
		"--enable-grpc-gateway=false",
		"--log-level=warn",
	}
}

func apiserverArgs(port int) []string {
	return []string{
		"--etcd-servers=" + etcdSocket,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		// The address of the service "kubernetes" would be a loopback one, which
		// the API refuses.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.0.0.0/16",
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--client-ca-file=certificates/ca.crt",
		"--tls-cert-file=certificates/server.crt",
		"--tls-private-key-file=certificates/server.key",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=certificates/accounts.key",
		"--service-account-signing-key-file=certificates/accounts.key",
		"--requestheader-client-ca-file=certificates/front-proxy.crt",
		"--requestheader-allowed-names=" + frontProxyName,
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=certificates/proxy.crt",
		"--proxy-client-key-file=certificates/proxy.key",
		"--profiling=false",
	}
}

func controllerArgs() []string {
	return []string{
		"--kubeconfig=kubeconfig",
		"--authentication-kubeconfig=kubeconfig",
		"--authorization-kubeconfig=kubeconfig",
		"--secure-port=0",
		"--leader-elect=false",
		"--service-account-private-key-file=certificates/accounts.key",
		"--root-ca-file=certificates/ca.crt",
		"--kube-api-qps=200",
		"--kube-api-burst=400",
		"--concurrent-deployment-syncs=10",
		"--concurrent-replicaset-syncs=10",
		"--concurrent-statefulset-syncs=10",
		"--horizontal-pod-autoscaler-sync-period=5s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=5s",
		"--horizontal-pod-autoscaler-cpu-initialization-period=10s",
		"--profiling=false",
	}
}

func schedulerArgs() []string {
	return []string{"--config=scheduler.yaml", "--secure-port=0"}
}

// A pod that did not fit is tried again within seconds, since in a simulation
// minutes are scaled to seconds.
const schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: kubeconfig
  qps: 200
  burst: 400
leaderElection:
  leaderElect: false
podInitialBackoffSeconds: 1
podMaxBackoffSeconds: 4
enableProfiling: false
`

func (c *ControlPlane) writeFiles() error {
	if err := c.credentials.write(filepath.Join(c.options.StateDir, "certificates")); err != nil {
		return err
	}
	files := map[string][]byte{"kubeconfig": c.kubeconfig, "scheduler.yaml": []byte(schedulerConfig)}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(c.options.StateDir, name), content, 0o600); err != nil {
			return fmt.Errorf("write %s of control plane %s: %w", name, c.options.Name, err)
		}
	}
	return nil
}
