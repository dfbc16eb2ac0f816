package evacuation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// provider is a cloud of one cluster: what Liftlock asks of a cloud, on the
// simulator's machines. Like AKS it does not say when to ask again.
type provider struct {
	bed *bed
	// life ends what it still does.
	life context.Context //nolint:containedctx // operations outlive the calls that start them

	mu    sync.Mutex
	pools []fleet.Pool
	nodes map[string][]string // by pool
	ops   map[string]*operation
	work  sync.WaitGroup
	// emptied is told of each pool that Liftlock deletes, and removed of the nodes
	// that it gives up, before either is gone.
	emptied func(pool string)
	removed func(nodes []string)
}

type operation struct {
	done bool
	err  error
}

func newProvider(ctx context.Context, b *bed, emptied func(pool string), removed func(nodes []string)) (*provider, error) {
	names, err := b.nodes(ctx)
	if err != nil {
		return nil, err
	}
	return &provider{
		bed: b, life: ctx, emptied: emptied, removed: removed, nodes: map[string][]string{poolName: names}, ops: map[string]*operation{},
		pools: []fleet.Pool{{
			Name: poolName, Mode: "System", OS: "Linux", OSSKU: "Ubuntu", Type: "VirtualMachineScaleSets", VMSize: "Standard_D8s_v5",
			Count: len(names), Version: fleet.MustParseVersion(kubernetesVersion), Image: oldImage, MaxPods: 110, ProvisioningState: "Succeeded",
		}},
	}, nil
}

// Discover implements rollout.Provider.
func (p *provider) Discover(ctx context.Context, _ []fleet.Source) ([]fleet.Cluster, error) {
	c, err := p.Cluster(ctx, clusterID)
	return []fleet.Cluster{c}, err
}

// Cluster implements rollout.Provider.
func (p *provider) Cluster(context.Context, string) (fleet.Cluster, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := fleet.Cluster{
		ID: clusterID, Name: "bench", Subscription: "00000000-0000-0000-0000-000000000001", ResourceGroup: "rg-bench", Location: "westeurope",
		Version: fleet.MustParseVersion(kubernetesVersion), ProvisioningState: "Succeeded", MaxPools: 100, NodeResourceGroup: nodeGroup,
		Pools: slices.Clone(p.pools),
	}
	for i := range c.Pools {
		c.Pools[i].Tags = maps.Clone(c.Pools[i].Tags)
	}
	return c, nil
}

// Offers implements rollout.Provider.
func (p *provider) Offers(context.Context, fleet.Cluster) (fleet.Offers, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offers := fleet.Offers{Region: []fleet.OfferedVersion{{Version: fleet.MustParseVersion(kubernetesVersion)}}, NodeImages: map[string]string{}}
	for i := range p.pools {
		offers.NodeImages[p.pools[i].Name] = newImage
	}
	return offers, nil
}

// CreatePool implements rollout.Provider.
func (p *provider) CreatePool(_ context.Context, _ fleet.Cluster, _, pool fleet.Pool) (rollout.Operation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pool(pool.Name) != nil {
		return rollout.Operation{}, nil
	}
	pool.Image, pool.ProvisioningState = newImage, "Creating"
	p.pools = append(p.pools, pool)
	return p.start("createPool", pool.Name, func(ctx context.Context) error {
		names, err := p.bed.machines.add(ctx, pool.Name, pool.Count, newImage)
		p.mu.Lock()
		p.nodes[pool.Name] = names
		p.mu.Unlock()
		return err
	}), nil
}

// UpgradeNodeImage implements rollout.Provider: the pool is empty, so all its
// nodes are reimaged at once.
func (p *provider) UpgradeNodeImage(_ context.Context, _ fleet.Cluster, pool fleet.Pool, _ string) (rollout.Operation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := p.pool(pool.Name)
	if mine.ProvisioningState != "Succeeded" || mine.Image == newImage {
		return rollout.Operation{}, nil
	}
	mine.ProvisioningState = "UpgradingNodeImageVersion"
	names := p.nodes[pool.Name]
	return p.start("upgradeNodeImage", pool.Name, func(ctx context.Context) error {
		if err := p.bed.machines.reimage(ctx, pool.Name, names...); err != nil {
			return err
		}
		p.mu.Lock()
		p.pool(pool.Name).Image = newImage
		p.mu.Unlock()
		return nil
	}), nil
}

// ScalePool implements rollout.Provider.
func (p *provider) ScalePool(_ context.Context, _ fleet.Cluster, pool fleet.Pool, count int) (rollout.Operation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := p.pool(pool.Name)
	if mine.ProvisioningState != "Succeeded" || mine.Count >= count {
		return rollout.Operation{}, nil
	}
	more := count - mine.Count
	mine.ProvisioningState, mine.Count = "Scaling", count
	return p.start("scalePool", pool.Name, func(ctx context.Context) error {
		names, err := p.bed.machines.add(ctx, pool.Name, more, newImage)
		p.mu.Lock()
		p.nodes[pool.Name] = append(p.nodes[pool.Name], names...)
		p.mu.Unlock()
		return err
	}), nil
}

// DeleteMachines implements rollout.Provider.
func (p *provider) DeleteMachines(_ context.Context, _ fleet.Cluster, pool fleet.Pool, nodes []string) (rollout.Operation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := p.pool(pool.Name)
	going := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return !slices.Contains(p.nodes[pool.Name], n) })
	if mine.ProvisioningState != "Succeeded" || len(going) == 0 {
		return rollout.Operation{}, nil
	}
	p.removed(going)
	mine.ProvisioningState = "Deleting"
	return p.start("deleteMachines", pool.Name, func(ctx context.Context) error {
		if err := p.bed.machines.remove(ctx, going...); err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.nodes[pool.Name] = slices.DeleteFunc(p.nodes[pool.Name], func(n string) bool { return slices.Contains(going, n) })
		p.pool(pool.Name).Count = len(p.nodes[pool.Name])
		return nil
	}), nil
}

// DeletePool implements rollout.Provider.
func (p *provider) DeletePool(_ context.Context, _ fleet.Cluster, pool fleet.Pool) (rollout.Operation, error) {
	p.emptied(pool.Name)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pool(pool.Name) == nil {
		return rollout.Operation{}, nil
	}
	p.pool(pool.Name).ProvisioningState = "Deleting"
	names := p.nodes[pool.Name]
	return p.start("deletePool", pool.Name, func(ctx context.Context) error {
		if err := p.bed.machines.remove(ctx, names...); err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pools = slices.DeleteFunc(p.pools, func(o fleet.Pool) bool { return o.Name == pool.Name })
		return nil
	}), nil
}

// start runs an operation beside the call that started it. The caller holds mu.
func (p *provider) start(kind, pool string, do func(context.Context) error) rollout.Operation {
	op := &operation{}
	token := fmt.Sprintf("%s %s", kind, pool)
	p.ops[token] = op
	p.work.Go(func() {
		err := do(p.life)
		p.mu.Lock()
		defer p.mu.Unlock()
		op.done, op.err = true, err
		if mine := p.pool(pool); mine != nil {
			mine.ProvisioningState = "Succeeded"
			if err != nil {
				mine.ProvisioningState, mine.ProvisioningError = "Failed", err.Error()
			}
		}
	})
	return rollout.Operation{Kind: kind, Token: token}
}

// pool finds a pool. The caller holds mu.
func (p *provider) pool(name string) *fleet.Pool {
	i := slices.IndexFunc(p.pools, func(o fleet.Pool) bool { return strings.EqualFold(o.Name, name) })
	if i < 0 {
		return nil
	}
	return &p.pools[i]
}

// Poll implements rollout.Provider.
func (p *provider) Poll(_ context.Context, o rollout.Operation) (rollout.OperationStatus, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	op := p.ops[o.Token]
	if op == nil {
		return rollout.OperationStatus{}, p.refuse("poll " + o.Token)
	}
	if op.err != nil {
		return rollout.OperationStatus{}, &rollout.ProviderError{Code: rollout.CodeFailed, Object: "cluster bench", Doing: o.Token, Message: op.err.Error(), Err: op.err}
	}
	return rollout.OperationStatus{Done: op.done}, nil
}

// The benchmark's rollout changes node images only, so these are never asked for.

// UpgradeControlPlane implements rollout.Provider.
func (p *provider) UpgradeControlPlane(context.Context, fleet.Cluster, fleet.Version) (rollout.Operation, error) {
	return rollout.Operation{}, p.refuse("upgrade the control plane")
}

// UpgradePool implements rollout.Provider.
func (p *provider) UpgradePool(context.Context, fleet.Cluster, fleet.Pool, fleet.Version, string, string) (rollout.Operation, error) {
	return rollout.Operation{}, p.refuse("upgrade a pool in place")
}

// SetAutoscaler implements rollout.Provider.
func (p *provider) SetAutoscaler(context.Context, fleet.Cluster, fleet.Pool, *fleet.Autoscaler) (rollout.Operation, error) {
	return rollout.Operation{}, p.refuse("set an autoscaler")
}

// SetChannels implements rollout.Provider.
func (p *provider) SetChannels(context.Context, fleet.Cluster, string, string) (rollout.Operation, error) {
	return rollout.Operation{}, p.refuse("set upgrade channels")
}

// Reconcile implements rollout.Provider.
func (p *provider) Reconcile(context.Context, fleet.Cluster, *fleet.Pool) (rollout.Operation, error) {
	return rollout.Operation{}, p.refuse("reconcile")
}

// SnapshotPool implements rollout.Provider.
func (p *provider) SnapshotPool(context.Context, fleet.Cluster, fleet.Pool, string) (string, error) {
	return "", p.refuse("take a node pool snapshot")
}

// SnapshotImage implements rollout.Provider.
func (p *provider) SnapshotImage(context.Context, string) (string, time.Time, error) {
	return "", time.Time{}, p.refuse("read a node pool snapshot")
}

func (p *provider) refuse(doing string) error {
	return &rollout.ProviderError{Code: rollout.CodeInvalid, Object: "cluster bench", Doing: doing, Message: "the benchmark's cloud does not do that"}
}

// onPool tells the nodes of a pool.
func onPool(pool string) func(*corev1.Node) bool {
	return func(n *corev1.Node) bool { return n.Labels["agentpool"] == pool }
}
