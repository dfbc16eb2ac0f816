// Package akstest stands in for control planes and nodes where only the rules
// of the managed service are under test: everything happens at once, in memory,
// and is written down. It has no API server; what needs one needs sim/kube.
package akstest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"liftlock.dev/liftlock/sim/aks"
)

// Kubernetes keeps clusters in memory. It is safe for concurrent use.
type Kubernetes struct {
	mu       sync.Mutex
	clusters map[string]*Cluster
}

var (
	_ aks.Kubernetes = (*Kubernetes)(nil)
	_ aks.Cluster    = (*Cluster)(nil)
)

// New returns a Kubernetes without clusters.
func New() *Kubernetes { return &Kubernetes{clusters: map[string]*Cluster{}} }

// Create implements aks.Kubernetes.
func (k *Kubernetes) Create(_ context.Context, spec aks.ClusterSpec) (aks.Cluster, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &Cluster{
		Spec: spec, version: spec.Version, nodes: map[string]*Node{}, blocked: map[string]aks.BlockedPod{}, gates: map[string]chan struct{}{},
	}
	k.clusters[spec.Name] = c
	return c, nil
}

// Close implements aks.Kubernetes.
func (k *Kubernetes) Close(context.Context) error { return nil }

// Cluster returns a cluster by name, or nil.
func (k *Kubernetes) Cluster(name string) *Cluster {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.clusters[name]
}

// Node is a node as it stands.
type Node struct {
	aks.NodeSpec
	Unschedulable bool
}

// Cluster is one cluster in memory.
type Cluster struct {
	Spec aks.ClusterSpec

	mu         sync.Mutex
	version    string
	nodes      map[string]*Node
	stopped    bool
	deleted    bool
	deprecated []string
	blocked    map[string]aks.BlockedPod
	gates      map[string]chan struct{}
	steps      []string
	manifests  []string
}

// Hold makes a step ("drain", "version", "add", "reimage", "remove") wait until
// release is called.
func (c *Cluster) Hold(step string) (release func()) {
	gate := make(chan struct{})
	c.mu.Lock()
	c.gates[step] = gate
	c.mu.Unlock()
	return sync.OnceFunc(func() {
		c.mu.Lock()
		delete(c.gates, step)
		c.mu.Unlock()
		close(gate)
	})
}

// Block lets drains of a node fail because of a pod's budget; an empty pod lets
// them succeed again.
func (c *Cluster) Block(node string, pod aks.BlockedPod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocked[node] = pod
	if pod.Pod == "" {
		delete(c.blocked, node)
	}
}

// Use makes removed APIs look used.
func (c *Cluster) Use(apis ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deprecated = apis
}

// Steps returns what was done so far, oldest first: "drain aks-apps-…".
func (c *Cluster) Steps() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.steps)
}

// Nodes returns the nodes by name.
func (c *Cluster) Nodes() map[string]Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	nodes := map[string]Node{}
	for name, n := range c.nodes {
		nodes[name] = *n
	}
	return nodes
}

// State tells version, whether the cluster is stopped and whether it was deleted.
func (c *Cluster) State() (version string, stopped, deleted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version, c.stopped, c.deleted
}

// step writes a step down and waits at its gate.
func (c *Cluster) step(ctx context.Context, what, on string) error {
	c.mu.Lock()
	c.steps = append(c.steps, strings.TrimSpace(what+" "+on))
	gate := c.gates[what]
	c.mu.Unlock()
	if gate == nil {
		return ctx.Err()
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// node runs change on a node.
func (c *Cluster) node(name string, change func(*Node)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.nodes[name]
	if !ok {
		return fmt.Errorf("node %s is not in cluster %s", name, c.Spec.Name)
	}
	change(n)
	return nil
}

// Kubeconfig implements aks.Cluster; nothing answers where it leads.
func (c *Cluster) Kubeconfig(context.Context) ([]byte, error) {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: %[1]s
clusters: [{name: %[1]s, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: clusterUser, user: {token: none}}]
contexts: [{name: %[1]s, context: {cluster: %[1]s, user: clusterUser}}]
`, c.Spec.Name), nil
}

// SetVersion implements aks.Cluster.
func (c *Cluster) SetVersion(ctx context.Context, version string) error {
	if err := c.step(ctx, "version", version); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version = version
	return nil
}

// Apply implements aks.Cluster.
func (c *Cluster) Apply(_ context.Context, manifest []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.manifests = append(c.manifests, string(manifest))
	return nil
}

// AddNode implements aks.Cluster.
func (c *Cluster) AddNode(ctx context.Context, spec aks.NodeSpec) error {
	if err := c.step(ctx, "add", spec.Name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.nodes[spec.Name]; ok {
		return fmt.Errorf("node %s is in cluster %s already", spec.Name, c.Spec.Name)
	}
	spec.Labels = maps.Clone(spec.Labels)
	c.nodes[spec.Name] = &Node{NodeSpec: spec}
	return nil
}

// Reimage implements aks.Cluster.
func (c *Cluster) Reimage(ctx context.Context, spec aks.NodeSpec) error {
	if err := c.step(ctx, "reimage", spec.Name); err != nil {
		return err
	}
	spec.Labels = maps.Clone(spec.Labels)
	return c.node(spec.Name, func(n *Node) { n.NodeSpec = spec })
}

// RemoveNode implements aks.Cluster.
func (c *Cluster) RemoveNode(ctx context.Context, name string) error {
	if err := c.step(ctx, "remove", name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.nodes, name)
	return nil
}

// SetUnschedulable implements aks.Cluster.
func (c *Cluster) SetUnschedulable(ctx context.Context, name string, unschedulable bool) error {
	what := "uncordon"
	if unschedulable {
		what = "cordon"
	}
	if err := c.step(ctx, what, name); err != nil {
		return err
	}
	return c.node(name, func(n *Node) { n.Unschedulable = unschedulable })
}

// SetLabels implements aks.Cluster.
func (c *Cluster) SetLabels(_ context.Context, name string, labels map[string]string) error {
	return c.node(name, func(n *Node) {
		for key, value := range labels {
			if value == "" {
				delete(n.Labels, key)
				continue
			}
			n.Labels[key] = value
		}
	})
}

// Drain implements aks.Cluster. A blocked drain fails at once.
func (c *Cluster) Drain(ctx context.Context, name string, _ time.Duration) error {
	if err := c.step(ctx, "drain", name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if pod, ok := c.blocked[name]; ok {
		return &aks.DrainError{Node: name, Blocked: []aks.BlockedPod{pod}}
	}
	return nil
}

// DeprecatedAPIUse implements aks.Cluster.
func (c *Cluster) DeprecatedAPIUse(context.Context, string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.deprecated), nil
}

// Stop implements aks.Cluster.
func (c *Cluster) Stop(ctx context.Context) error {
	if err := c.step(ctx, "stop", ""); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	return nil
}

// Start implements aks.Cluster.
func (c *Cluster) Start(ctx context.Context) error {
	if err := c.step(ctx, "start", ""); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = false
	return nil
}

// Delete implements aks.Cluster.
func (c *Cluster) Delete(ctx context.Context) error {
	if err := c.step(ctx, "delete", ""); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deleted = true
	return nil
}
