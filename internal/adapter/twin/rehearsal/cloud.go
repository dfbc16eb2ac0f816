package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// cloud makes and ends the nodes of one stage. What it is asked for takes as long
// as in a cloud, at the stage's speed.
type cloud struct {
	stage *Stage
	like  map[string]*likeness // by pool of the snapshot
	life  context.Context      //nolint:containedctx // operations outlive the calls that start them; close ends them
	end   context.CancelFunc

	mu    sync.Mutex
	pools []fleet.Pool
	nodes map[string][]string // by pool
	from  map[string]string   // which pool of the snapshot a pool is like
	made  int
	ops   map[string]*operation
	work  sync.WaitGroup
}

type operation struct {
	done bool
	err  error
}

var _ rollout.Provider = (*cloud)(nil)

func newCloud(ctx context.Context, s *Stage) *cloud {
	c := &cloud{
		stage: s, like: likenesses(s.options.Objects.List, s.options.PoolLabel), pools: slices.Clone(s.options.Cluster.Pools),
		nodes: map[string][]string{}, from: map[string]string{}, ops: map[string]*operation{},
	}
	c.life, c.end = context.WithCancel(ctx)
	for pool, l := range c.like {
		c.from[pool] = pool
		for _, n := range l.nodes {
			c.nodes[pool] = append(c.nodes[pool], n.name())
		}
	}
	return c
}

func (c *cloud) close() {
	c.end()
	c.work.Wait()
}

// Discover implements rollout.Provider.
func (c *cloud) Discover(ctx context.Context, _ []fleet.Source) ([]fleet.Cluster, error) {
	cluster, err := c.Cluster(ctx, c.stage.options.Cluster.ID)
	return []fleet.Cluster{cluster}, err
}

// Cluster implements rollout.Provider.
func (c *cloud) Cluster(context.Context, string) (fleet.Cluster, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cluster := c.stage.options.Cluster
	cluster.Pools = slices.Clone(c.pools)
	for i := range cluster.Pools {
		cluster.Pools[i].Tags = maps.Clone(cluster.Pools[i].Tags)
	}
	return cluster, nil
}

// Offers implements rollout.Provider.
func (c *cloud) Offers(context.Context, fleet.Cluster) (fleet.Offers, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	offers := fleet.Offers{Region: []fleet.OfferedVersion{{Version: c.stage.options.Cluster.Version}}, NodeImages: map[string]string{}}
	for i := range c.pools {
		offers.NodeImages[c.pools[i].Name] = rollout.RehearsedImage
	}
	return offers, nil
}

// CreatePool implements rollout.Provider.
func (c *cloud) CreatePool(_ context.Context, _ fleet.Cluster, like, pool fleet.Pool) (rollout.Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pool(pool.Name) != nil {
		return rollout.Operation{}, nil
	}
	if pool.Version == like.Version {
		pool.Image = rollout.RehearsedImage
	}
	pool.ProvisioningState = "Creating"
	c.pools, c.from[pool.Name] = append(c.pools, pool), c.from[like.Name]
	return c.start("createPool", pool.Name, func(ctx context.Context) error { return c.add(ctx, pool, pool.Count) }), nil
}

// ScalePool implements rollout.Provider.
func (c *cloud) ScalePool(_ context.Context, _ fleet.Cluster, pool fleet.Pool, count int) (rollout.Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.pool(pool.Name)
	if mine == nil || mine.ProvisioningState != "Succeeded" || mine.Count >= count {
		return rollout.Operation{}, nil
	}
	more := count - mine.Count
	mine.ProvisioningState, mine.Count = "Scaling", count
	grown := *mine
	return c.start("scalePool", pool.Name, func(ctx context.Context) error { return c.add(ctx, grown, more) }), nil
}

// UpgradePool implements rollout.Provider. The pool is empty, so all its nodes are
// made anew at once.
func (c *cloud) UpgradePool(_ context.Context, _ fleet.Cluster, pool fleet.Pool, to fleet.Version, _, _ string) (rollout.Operation, error) {
	return c.renew(pool, "upgradePool", to)
}

// UpgradeNodeImage implements rollout.Provider.
func (c *cloud) UpgradeNodeImage(_ context.Context, _ fleet.Cluster, pool fleet.Pool, _ string) (rollout.Operation, error) {
	return c.renew(pool, "upgradeNodeImage", pool.Version)
}

// renew gives the nodes of a pool a version, or, if they have it, an image.
func (c *cloud) renew(pool fleet.Pool, kind string, to fleet.Version) (rollout.Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.pool(pool.Name)
	image := ""
	if mine != nil && mine.Version == to {
		image = rollout.RehearsedImage
	}
	if mine == nil || mine.ProvisioningState != "Succeeded" || mine.Version == to && mine.Image == image {
		return rollout.Operation{}, nil
	}
	mine.ProvisioningState = "Upgrading"
	names := slices.Clone(c.nodes[pool.Name])
	return c.start(kind, pool.Name, func(ctx context.Context) error {
		if err := pause(ctx, c.stage.at(c.stage.options.Times.Node)); err != nil {
			return err
		}
		for _, name := range names {
			if err := c.renewNode(ctx, name, to, image); err != nil {
				return err
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		mine := c.pool(pool.Name)
		mine.Version = to
		if image != "" {
			mine.Image = image
		}
		return nil
	}), nil
}

func (c *cloud) renewNode(ctx context.Context, name string, to fleet.Version, image string) error {
	patches := map[string]any{"status": map[string]any{"nodeInfo": map[string]any{"kubeletVersion": "v" + to.String(), "bootID": name + "-" + to.String()}}}
	body, err := json.Marshal(patches)
	if err != nil {
		return fmt.Errorf("encode node %s: %w", name, err)
	}
	nodes := c.stage.client.CoreV1().Nodes()
	if _, err := nodes.Patch(ctx, name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("renew node %s: %w", name, err)
	}
	if image == "" {
		return nil
	}
	body, err = json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{labelImage: image}}})
	if err != nil {
		return fmt.Errorf("encode node %s: %w", name, err)
	}
	if _, err := nodes.Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("renew node %s: %w", name, err)
	}
	return nil
}

// DeleteMachines implements rollout.Provider.
func (c *cloud) DeleteMachines(_ context.Context, _ fleet.Cluster, pool fleet.Pool, nodes []string) (rollout.Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.pool(pool.Name)
	going := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return !slices.Contains(c.nodes[pool.Name], n) })
	if mine == nil || mine.ProvisioningState != "Succeeded" || len(going) == 0 {
		return rollout.Operation{}, nil
	}
	mine.ProvisioningState = "Deleting"
	return c.start("deleteMachines", pool.Name, func(ctx context.Context) error {
		if err := c.remove(ctx, going); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.nodes[pool.Name] = slices.DeleteFunc(c.nodes[pool.Name], func(n string) bool { return slices.Contains(going, n) })
		c.pool(pool.Name).Count = len(c.nodes[pool.Name])
		return nil
	}), nil
}

// DeletePool implements rollout.Provider.
func (c *cloud) DeletePool(_ context.Context, _ fleet.Cluster, pool fleet.Pool) (rollout.Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.pool(pool.Name)
	if mine == nil {
		return rollout.Operation{}, nil
	}
	mine.ProvisioningState = "Deleting"
	names := slices.Clone(c.nodes[pool.Name])
	return c.start("deletePool", pool.Name, func(ctx context.Context) error {
		if err := c.remove(ctx, names); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pools = slices.DeleteFunc(c.pools, func(o fleet.Pool) bool { return o.Name == pool.Name })
		delete(c.nodes, pool.Name)
		return nil
	}), nil
}

// SetAutoscaler implements rollout.Provider: a snapshot does not say that a pool
// has one.
func (c *cloud) SetAutoscaler(context.Context, fleet.Cluster, fleet.Pool, *fleet.Autoscaler) (rollout.Operation, error) {
	return rollout.Operation{}, nil
}

// add makes nodes side by side.
func (c *cloud) add(ctx context.Context, pool fleet.Pool, count int) error {
	if err := pause(ctx, c.stage.at(c.stage.options.Times.Node)); err != nil {
		return err
	}
	c.mu.Lock()
	like, image := c.like[c.from[pool.Name]], ""
	if pool.Image == rollout.RehearsedImage {
		image = pool.Image
	}
	first := c.made
	c.made += count
	c.mu.Unlock()
	if like == nil {
		return fmt.Errorf("no node of the snapshot is like those of pool %s", pool.Name)
	}
	names := make([]string, count)
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range count {
		group.Go(func() (err error) {
			node, status, driver := like.make(pool.Name, first+i, pool.Version.String(), image)
			names[i], err = c.stage.addNode(within, node, status, driver)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[pool.Name] = append(c.nodes[pool.Name], names...)
	return nil
}

// addNode makes one node, and what its kubelet would register.
func (s *Stage) addNode(ctx context.Context, node, status, driver map[string]any) (string, error) {
	o := &Object{Content: node}
	made, err := s.loader.post(ctx, "v1", resource{"nodes", false}, node, false)
	if err != nil {
		return "", fmt.Errorf("make node %s: %w", o.name(), err)
	}
	if err := s.loader.writeStatus(ctx, o, made, status); err != nil {
		return "", fmt.Errorf("make node %s: %w", o.name(), err)
	}
	if driver != nil {
		if _, err := s.loader.post(ctx, "storage.k8s.io/v1", resource{"csinodes", false}, driver, false); err != nil {
			return "", fmt.Errorf("register the disk drivers of node %s: %w", o.name(), err)
		}
	}
	return o.name(), nil
}

// remove ends nodes, side by side: the node before its pods, so that none is
// replaced there.
func (c *cloud) remove(ctx context.Context, names []string) error {
	core := c.stage.client.CoreV1()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	now := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
	for _, name := range names {
		group.Go(func() error {
			if err := core.Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("remove node %s: %w", name, err)
			}
			pods, err := core.Pods("").List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", name).String()})
			if err != nil {
				return fmt.Errorf("list the pods of node %s: %w", name, err)
			}
			for i := range pods.Items {
				p := &pods.Items[i]
				now := now
				now.Preconditions = metav1.NewUIDPreconditions(string(p.UID))
				if err := core.Pods(p.Namespace).Delete(ctx, p.Name, now); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
					return fmt.Errorf("end pod %s/%s of node %s: %w", p.Namespace, p.Name, name, err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// start runs an operation beside the call that started it. The caller holds mu.
func (c *cloud) start(kind, pool string, do func(context.Context) error) rollout.Operation {
	op := &operation{}
	token := kind + " " + pool
	c.ops[token] = op
	c.work.Go(func() {
		err := do(c.life)
		c.mu.Lock()
		defer c.mu.Unlock()
		op.done, op.err = true, err
		if mine := c.pool(pool); mine != nil {
			mine.ProvisioningState = "Succeeded"
			if err != nil {
				mine.ProvisioningState, mine.ProvisioningError = "Failed", err.Error()
			}
		}
	})
	return rollout.Operation{Kind: kind, Token: token}
}

// pool finds a pool. The caller holds mu.
func (c *cloud) pool(name string) *fleet.Pool {
	i := slices.IndexFunc(c.pools, func(o fleet.Pool) bool { return strings.EqualFold(o.Name, name) })
	if i < 0 {
		return nil
	}
	return &c.pools[i]
}

// Poll implements rollout.Provider.
func (c *cloud) Poll(_ context.Context, o rollout.Operation) (rollout.OperationStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	op := c.ops[o.Token]
	if op == nil {
		return rollout.OperationStatus{}, c.refuse("poll " + o.Token)
	}
	if op.err != nil {
		return rollout.OperationStatus{}, &rollout.ProviderError{Code: rollout.CodeFailed, Object: "cluster " + c.stage.options.Cluster.Name, Doing: o.Token, Message: op.err.Error(), Err: op.err}
	}
	return rollout.OperationStatus{Done: op.done}, nil
}

// A rehearsal begins when the control plane is on the target, and ends with its
// pools, so these are never asked for.

// UpgradeControlPlane implements rollout.Provider.
func (c *cloud) UpgradeControlPlane(context.Context, fleet.Cluster, fleet.Version) (rollout.Operation, error) {
	return rollout.Operation{}, c.refuse("upgrade the control plane")
}

// SetChannels implements rollout.Provider.
func (c *cloud) SetChannels(context.Context, fleet.Cluster, string, string) (rollout.Operation, error) {
	return rollout.Operation{}, c.refuse("set upgrade channels")
}

// Reconcile implements rollout.Provider: what failed here fails again.
func (c *cloud) Reconcile(_ context.Context, _ fleet.Cluster, pool *fleet.Pool) (rollout.Operation, error) {
	why := errors.New("the rehearsal's cloud failed")
	if pool != nil && pool.ProvisioningError != "" {
		why = errors.New(pool.ProvisioningError)
	}
	return rollout.Operation{}, &rollout.ProviderError{Code: rollout.CodeInvalid, Object: "cluster " + c.stage.options.Cluster.Name, Doing: "reconcile", Message: why.Error(), Err: why}
}

// SnapshotPool implements rollout.Provider.
func (c *cloud) SnapshotPool(context.Context, fleet.Cluster, fleet.Pool, string) (string, error) {
	return "", c.refuse("take a node pool snapshot")
}

// SnapshotImage implements rollout.Provider.
func (c *cloud) SnapshotImage(context.Context, string) (string, time.Time, error) {
	return "", time.Time{}, c.refuse("read a node pool snapshot")
}

func (c *cloud) refuse(doing string) error {
	return &rollout.ProviderError{Code: rollout.CodeInvalid, Object: "cluster " + c.stage.options.Cluster.Name, Doing: doing, Message: "a rehearsal's cloud does not do that"}
}

// pause waits, or ends early with the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
