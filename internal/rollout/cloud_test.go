package rollout_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
	"liftlock.dev/liftlock/internal/rollout"
)

// cloud is a provider with clusters, as AKS as the steps can tell, on a clock
// of its own. It holds every change to what no upgrade may do.
type cloud struct {
	t         *testing.T
	mu        sync.Mutex
	now       time.Time
	order     []string
	clusters  map[string]*cluster
	region    []fleet.OfferedVersion
	withdrawn map[fleet.Version]bool
	image     string // the newest
	snapshots map[string]snapshot
	ops       map[string]*operation
	serial    int
	takes     time.Duration // an operation
	after     time.Duration // Retry-After of polls; zero for none
	polls     []time.Time
	// refuse holds errors to come by method, failing those with which operations end.
	refuse, failing map[string][]error
	// effects counts what really changed.
	effects []string
	enter   func(method string) error
}

type operation struct {
	kind, pool string
	c          *cluster
	ends       time.Time
	done       func()
	err        error
	finished   bool
}

type cluster struct {
	fleet.Cluster
	nodes     []fleet.Node
	pods      []fleet.Pod
	workloads map[string]*fleet.Workload
	busy      *operation
	resume    func()
	gone      bool
	away      error // its API server cannot be reached
	uid       string
	holder    string
	renewed   time.Time
	ttl       time.Duration
	notes     map[string]string
	watched   int
	watchers  int
	// breaks is the version of nodes on which no pod comes up, or stays up.
	breaks fleet.Version
	most   int // nodes that it ever had at a time
	podCPU int64
}

const (
	family   = "AKSUbuntu-2204gen2containerd"
	imageOld = family + "-202609.01.0"
	imageA   = family + "-202610.01.0"
	imageB   = family + "-202611.01.0"
)

func ver(s string) fleet.Version { return fleet.MustParseVersion(s) }

func newCloud(t *testing.T) *cloud {
	c := &cloud{
		t: t, now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), clusters: map[string]*cluster{}, withdrawn: map[fleet.Version]bool{},
		image: imageA, snapshots: map[string]snapshot{}, ops: map[string]*operation{}, takes: 3 * time.Second,
		refuse: map[string][]error{}, failing: map[string][]error{}, enter: func(string) error { return nil },
	}
	for _, s := range []string{"1.33.13", "1.34.4", "1.35.3", "1.35.4", "1.36.3"} {
		c.region = append(c.region, fleet.OfferedVersion{Version: ver(s)})
	}
	return c
}

// add makes a cluster with pools of two nodes and two workloads.
func (c *cloud) add(name, ring, version string, pools ...string) *cluster {
	id := "/subscriptions/s/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/" + name
	one := &cluster{
		Cluster: fleet.Cluster{
			ID: id, Name: name, Subscription: "s", ResourceGroup: "rg", Location: "westeurope", Version: ver(version), ProvisioningState: "Succeeded",
			MaxPools: 100, Tags: map[string]string{"ring": ring}, NodeResourceGroup: "mc_" + name,
		},
		workloads: map[string]*fleet.Workload{}, uid: "uid-" + name, notes: map[string]string{},
	}
	for i, p := range pools {
		mode := "User"
		if i == 0 {
			mode = "System"
		}
		pool := fleet.Pool{
			Name: p, Mode: mode, OS: "Linux", OSSKU: "Ubuntu", Type: "VirtualMachineScaleSets", VMSize: "D4", Count: 2, Version: ver(version), Image: imageOld,
			ProvisioningState: "Succeeded",
		}
		if i > 0 {
			pool.Autoscaler = &fleet.Autoscaler{Min: 2, Max: 5}
		}
		one.Pools = append(one.Pools, pool)
		c.fill(one, pool)
		w := &fleet.Workload{Kind: fleet.StatefulSet, Namespace: "shop", Name: p + "-db", UID: "w-" + p, Replicas: 3, Settled: true, Strategy: "RollingUpdate", PodManagement: "Parallel"}
		one.workloads[w.Key()] = w
		for range 3 {
			c.pod(one, w, p)
		}
		for i := range one.pods {
			one.pods[i].Ready = true
		}
	}
	c.clusters[id] = one
	c.order = append(c.order, id)
	return one
}

func (c *cloud) named(name string) *cluster {
	for _, one := range c.clusters {
		if one.Name == name {
			return one
		}
	}
	c.t.Fatalf("no cluster %s", name)
	return nil
}

func (c *cloud) fill(one *cluster, p fleet.Pool) {
	for range p.Count {
		c.serial++
		one.nodes = append(one.nodes, fleet.Node{
			Name: fmt.Sprintf("%s-%04d", p.Name, c.serial), UID: fmt.Sprintf("n%04d", c.serial), Pool: p.Name, Version: p.Version, Image: p.Image, Ready: true,
			CreatedAt: c.now, Allocatable: fleet.Resources{MilliCPU: 4000, Memory: 16 << 30, Pods: 110}, Labels: map[string]string{}, Annotations: map[string]string{},
		})
	}
	one.most = max(one.most, len(one.nodes))
}

// pod makes a pod of a workload, on a node of the pool if one is given and on
// any that takes pods otherwise.
func (c *cloud) pod(one *cluster, w *fleet.Workload, pool string) {
	c.serial++
	load := map[string]int{}
	for _, p := range one.pods {
		load[p.Node]++
	}
	node := ""
	for _, n := range one.nodes {
		if n.Ready && !n.Unschedulable && (pool == "" || n.Pool == pool) && (one.podCPU == 0 || load[n.Name] == 0) && (node == "" || load[n.Name] < load[node]) {
			node = n.Name
		}
	}
	one.pods = append(one.pods, fleet.Pod{
		Namespace: w.Namespace, Name: fmt.Sprintf("%s-%d", w.Name, c.serial), UID: fmt.Sprintf("p%06d", c.serial), Node: node, Workload: w.Key(), Phase: "Running",
		CreatedAt: c.now, ReadySince: c.now, Revision: "1", Requests: fleet.Resources{MilliCPU: max(100, one.podCPU), Memory: 1 << 20},
	})
}

// advance lets what takes time come to its end.
func (c *cloud) advance() {
	for _, id := range c.order {
		one := c.clusters[id]
		for i := range one.pods {
			p := &one.pods[i]
			if p.Node == "" {
				for _, n := range one.nodes {
					full := one.podCPU > 0 && slices.ContainsFunc(one.pods, func(q fleet.Pod) bool { return q.Node == n.Name })
					if n.Ready && !n.Unschedulable && !full {
						p.Node = n.Name
						p.CreatedAt = c.now
					}
				}
			}
			if one.failsOn(p.Node) {
				p.Ready, p.WaitingReason = false, "CrashLoopBackOff"
				continue
			}
			if p.Node != "" && !p.Ready && c.now.Sub(p.CreatedAt) >= 2*time.Second {
				p.Ready, p.ReadySince = true, c.now
			}
		}
		op := one.busy
		if op == nil || c.now.Before(op.ends) {
			continue
		}
		one.busy, op.finished = nil, true
		state := "Succeeded"
		if op.err != nil {
			state, one.resume = "Failed", op.done
		} else {
			op.done()
		}
		if p := one.Pool(op.pool); p != nil {
			p.ProvisioningState = state
		} else if op.pool == "" {
			one.ProvisioningState = state
		}
		c.check(one)
	}
}

// failsOn reports whether pods fail on a node.
func (one *cluster) failsOn(node string) bool {
	return !one.breaks.IsZero() && slices.ContainsFunc(one.nodes, func(n fleet.Node) bool { return n.Name == node && n.Version == one.breaks })
}

// check holds a cluster to the rules.
func (c *cloud) check(one *cluster) {
	for _, n := range one.nodes {
		if d := one.Version.Minor - n.Version.Minor; d < 0 || d > 3 {
			c.t.Errorf("cluster %s: node %s at %s, control plane at %s", one.Name, n.Name, n.Version, one.Version)
		}
	}
	for _, p := range one.pods {
		if !slices.ContainsFunc(one.nodes, func(n fleet.Node) bool { return n.Name == p.Node }) && p.Node != "" {
			c.t.Errorf("cluster %s: pod %s was lost with its node", one.Name, p.Name)
		}
	}
}

func (c *cloud) problem(code rollout.Code, format string, args ...any) error {
	return &rollout.ProviderError{Code: code, Object: "cluster", Doing: "test", Message: fmt.Sprintf(format, args...)}
}

// call begins a method.
func (c *cloud) call(ctx context.Context, method string) (func(), error) {
	if err := ctx.Err(); err != nil {
		return func() {}, err
	}
	if err := c.enter(method); err != nil {
		return func() {}, err
	}
	c.mu.Lock()
	c.advance()
	if errs := c.refuse[method]; len(errs) > 0 {
		c.refuse[method] = errs[1:]
		return c.mu.Unlock, errs[0]
	}
	return c.mu.Unlock, nil
}

func (c *cloud) view(one *cluster) fleet.Cluster {
	v := one.Cluster
	v.Pools = slices.Clone(v.Pools)
	return v
}

func (c *cloud) Discover(ctx context.Context, _ []fleet.Source) ([]fleet.Cluster, error) {
	end, err := c.call(ctx, "Discover")
	defer end()
	if err != nil {
		return nil, err
	}
	var found []fleet.Cluster
	for _, id := range c.order {
		if !c.clusters[id].gone {
			found = append(found, c.view(c.clusters[id]))
		}
	}
	return found, nil
}

func (c *cloud) Cluster(ctx context.Context, id string) (fleet.Cluster, error) {
	end, err := c.call(ctx, "Cluster")
	defer end()
	if err != nil {
		return fleet.Cluster{}, err
	}
	if one := c.clusters[id]; !one.gone {
		return c.view(one), nil
	}
	return fleet.Cluster{}, c.problem(rollout.CodeNotFound, "no such cluster")
}

func (c *cloud) Offers(ctx context.Context, cl fleet.Cluster) (fleet.Offers, error) {
	end, err := c.call(ctx, "Offers")
	defer end()
	if err != nil {
		return fleet.Offers{}, err
	}
	offers := fleet.Offers{Region: slices.Clone(c.region), NodeImages: map[string]string{}}
	for _, o := range c.region {
		if d := o.Version.Minor - cl.Version.Minor; !c.withdrawn[o.Version] && (d == 1 || d == 0 && cl.Version.Less(o.Version)) {
			offers.ControlPlane = append(offers.ControlPlane, o)
		}
	}
	for i := range cl.Pools {
		offers.NodeImages[cl.Pools[i].Name] = c.image
	}
	return offers, nil
}

// start begins an operation. pool is "" for the cluster itself.
func (c *cloud) start(one *cluster, kind, pool, state, what string, done func()) (rollout.Operation, error) {
	if one.busy != nil {
		return rollout.Operation{}, c.problem(rollout.CodeBusy, "%s is in progress", one.busy.kind)
	}
	if one.Stopped {
		return rollout.Operation{}, c.problem(rollout.CodeStopped, "stopped")
	}
	c.serial++
	token := fmt.Sprintf("op-%d", c.serial)
	op := &operation{kind: kind, pool: pool, c: one, ends: c.now.Add(c.takes), done: done}
	if errs := c.failing[kind]; len(errs) > 0 {
		op.err, c.failing[kind] = errs[0], errs[1:]
	}
	one.busy, c.ops[token] = op, op
	if p := one.Pool(pool); p != nil {
		p.ProvisioningState = state
	} else if pool == "" {
		one.ProvisioningState = state
	}
	c.effects = append(c.effects, strings.TrimSpace(one.Name+" "+kind+" "+what))
	return rollout.Operation{Kind: kind, Token: token}, nil
}

func (c *cloud) UpgradeControlPlane(ctx context.Context, cl fleet.Cluster, to fleet.Version) (rollout.Operation, error) {
	end, err := c.call(ctx, "UpgradeControlPlane")
	defer end()
	if err != nil {
		return rollout.Operation{}, err
	}
	one := c.clusters[cl.ID]
	if one.Version == to {
		return rollout.Operation{}, nil
	}
	if to.Minor-one.Version.Minor > 1 || to.Less(one.Version) {
		c.t.Errorf("control plane of %s from %s to %s", one.Name, one.Version, to)
		return rollout.Operation{}, c.problem(rollout.CodeSkew, "one minor at a time")
	}
	for i := range one.Pools {
		if plan.StandIn(&one.Cluster, one.Pools[i].Name) != nil {
			c.t.Errorf("control plane of %s goes on while pool %s is half-way", one.Name, one.Pools[i].Name)
		}
	}
	return c.start(one, "upgradeControlPlane", "", "Upgrading", to.String(), func() { one.Version = to })
}

func (c *cloud) SetChannels(ctx context.Context, cl fleet.Cluster, upgrade, nodeOS string) (rollout.Operation, error) {
	end, err := c.call(ctx, "SetChannels")
	defer end()
	if err != nil {
		return rollout.Operation{}, err
	}
	one := c.clusters[cl.ID]
	return c.start(one, "setChannels", "", "Updating", upgrade+"/"+nodeOS, func() { one.UpgradeChannel, one.NodeOSUpgradeChannel = upgrade, nodeOS })
}

func (c *cloud) Poll(ctx context.Context, o rollout.Operation) (rollout.OperationStatus, error) {
	end, err := c.call(ctx, "Poll")
	defer end()
	c.polls = append(c.polls, c.now)
	if err != nil {
		return rollout.OperationStatus{}, err
	}
	op := c.ops[o.Token]
	if op == nil {
		return rollout.OperationStatus{}, c.problem(rollout.CodeNotFound, "no such operation")
	}
	if op.finished && op.err != nil {
		return rollout.OperationStatus{}, op.err
	}
	return rollout.OperationStatus{Done: op.finished, RetryAfter: c.after}, nil
}

// state is what must be the same however a rollout went.
func (c *cloud) state() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]string{}
	for _, one := range c.clusters {
		lines := []string{fmt.Sprintf("%s %s channels %q/%q lease %q notes %v", one.Version, one.ProvisioningState, one.UpgradeChannel, one.NodeOSUpgradeChannel, one.holder, slices.Sorted(maps.Keys(one.notes)))}
		for i := range one.Pools {
			p := &one.Pools[i]
			bounds := "fixed"
			if p.Autoscaler != nil {
				bounds = fmt.Sprintf("%d-%d", p.Autoscaler.Min, p.Autoscaler.Max)
			}
			nodes, marked := 0, 0
			for _, n := range one.nodes {
				if n.Pool != p.Name {
					continue
				}
				nodes++
				if n.Unschedulable || len(n.Annotations) > 0 || len(n.Taints) > 0 || len(n.Labels) > 0 {
					marked++
				}
			}
			lines = append(lines, fmt.Sprintf("%s %s %s %s %s nodes %d marked %d", p.Name, p.ProvisioningState, p.Version, strings.TrimPrefix(p.Image, family), bounds, nodes, marked))
		}
		ready := 0
		for _, p := range one.pods {
			if p.Ready || c.now.Sub(p.CreatedAt) >= time.Second {
				ready++
			}
		}
		slices.Sort(lines[1:])
		all[one.Name] = strings.Join(append(lines, fmt.Sprintf("%d pods", ready)), "\n")
	}
	return all
}
