package aks

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Kubernetes runs the control planes and nodes that stand behind managed
// clusters. The managed-cluster rules (what is offered, in which order, what is
// refused) are this package's; how a control plane or a node comes to be is the
// implementation's.
type Kubernetes interface {
	// Create starts a control plane and returns once its API server is ready.
	Create(ctx context.Context, spec ClusterSpec) (Cluster, error)
	// Close stops every control plane and removes what they left on disk.
	Close(ctx context.Context) error
}

// Cluster is one running cluster. All methods block until the effect is visible
// through the cluster's own API, and end early with the context's error.
type Cluster interface {
	// Kubeconfig returns a kubeconfig with a client certificate of
	// cluster-admin rights, as listClusterUserCredential hands out when local
	// accounts are on.
	Kubeconfig(ctx context.Context) ([]byte, error)
	// SetVersion restarts the control plane with the binaries of version
	// ("1.35.4") on the same etcd.
	SetVersion(ctx context.Context, version string) error
	// Apply creates the objects of a multi-document YAML manifest.
	Apply(ctx context.Context, manifest []byte) error

	// AddNode boots a node and returns when it is Ready.
	AddNode(ctx context.Context, node NodeSpec) error
	// Reimage replaces a node's version and image under the same name: it goes
	// NotReady and comes back Ready, still cordoned if it was.
	Reimage(ctx context.Context, node NodeSpec) error
	// RemoveNode deletes a node and the pods still on it.
	RemoveNode(ctx context.Context, name string) error
	// SetUnschedulable cordons or uncordons a node.
	SetUnschedulable(ctx context.Context, name string, unschedulable bool) error
	// SetLabels writes labels to a node; an empty value removes the label.
	SetLabels(ctx context.Context, name string, labels map[string]string) error
	// Drain evicts a node's pods through the Eviction API until none that has
	// to go is left. It returns a *DrainError when the timeout passed first.
	Drain(ctx context.Context, name string, timeout time.Duration) error
	// DeprecatedAPIUse returns the removed-in-target API resources that were
	// used since the API server started, as "group.resource.version".
	DeprecatedAPIUse(ctx context.Context, targetMinor string) ([]string, error)

	// Stop halts the control plane and nodes, keeping etcd's data; Start undoes it.
	Stop(ctx context.Context) error
	Start(ctx context.Context) error
	// Delete ends the cluster for good and removes its data.
	Delete(ctx context.Context) error
}

// ClusterSpec is what a control plane needs to start.
type ClusterSpec struct {
	ID      string // lower-case ARM id; unique
	Name    string // the managed cluster's name
	Version string // "1.34.4"
	// Timing of simulated pods and nodes in this cluster.
	Timing Timing
}

// Timing holds the simulated durations of a cluster. The zero value means
// "as fast as possible". Ranges are drawn uniformly per pod or node, from Seed.
type Timing struct {
	Seed           int64
	NodeBoot       Range // from creation to Ready
	PodStart       Range // from scheduled to Ready; a pod's annotations may say otherwise
	PodTermination Range // from deletion to gone
	VolumeAttach   Range // from scheduled to attached
	VolumeDetach   Range // from pod gone to detached
}

// Range is an inclusive range of durations.
type Range struct{ Min, Max time.Duration }

// NodeSpec describes one virtual machine of an agent pool.
type NodeSpec struct {
	Name         string // "aks-apps-12345678-vmss000000"
	ProviderID   string // "azure:///subscriptions/…/virtualMachineScaleSets/…/virtualMachines/0"
	Version      string // kubelet version without "v": "1.34.4"
	Image        string // node image version: "AKSUbuntu-2204gen2containerd-202611.03.0"
	OS           string // "linux" or "windows"
	Architecture string // "amd64" or "arm64"
	Zone         string // "westeurope-1", or "0" without zones, as AKS labels it
	Region       string
	VMSize       string
	MilliCPU     int64
	MemoryBytes  int64
	MaxPods      int64
	Labels       map[string]string
	Taints       []Taint
	// StartupTaints are removed by the node's own agents shortly after Ready.
	StartupTaints []Taint
	// BootID changes with every boot.
	BootID string
}

// Taint mirrors corev1.Taint without its timestamp.
type Taint struct{ Key, Value, Effect string }

// DrainError says why a drain did not finish in time.
type DrainError struct {
	Node    string
	Blocked []BlockedPod
}

// BlockedPod is a pod whose eviction was refused to the end.
type BlockedPod struct{ Namespace, Pod, Budget, Message string }

// Error reads as AKS reports a drain failure.
func (e *DrainError) Error() string {
	blocked := make([]string, 0, len(e.Blocked))
	for _, b := range e.Blocked {
		blocked = append(blocked, fmt.Sprintf("%s/%s blocked by pdb %s", b.Namespace, b.Pod, b.Budget))
	}
	return fmt.Sprintf("Drain node %s failed when evicting pods: Too Many Requests error. PDB debug info: %s.", e.Node, strings.Join(blocked, "; "))
}
