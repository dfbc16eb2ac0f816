// Package traffic proves with real containers and real requests what the other
// tests show by counting Ready pods: while Liftlock replaces the nodes under
// them, services that stop gracefully answer every request, and the same
// services lose requests to kubectl drain.
//
// The test makes a small world: one control plane; three old and three new
// nodes, each a real kubelet with a containerd of its own; a real kube-proxy;
// and a client that opens a new connection to a ClusterIP for every request. The
// whole world lives in process, mount, network and cgroup namespaces of its own,
// which the kernel takes away with the process that made them, however it ends:
// no bridge, mount, rule or container can be left on the machine.
//
// It needs root, Debian packages that it installs by itself, and what
// `make kube-demo kube-nodes` builds. Where one of them is not to be had, the
// test is skipped and says which; with LIFTLOCK_TRAFFIC=must it fails instead.
package traffic
