package rollout_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

type snapshot struct {
	image string
	at    time.Time
}

func (c *cloud) CreatePool(ctx context.Context, cl fleet.Cluster, like, pool fleet.Pool) (rollout.Operation, error) {
	end, err := c.call(ctx, "CreatePool")
	defer end()
	if err != nil {
		return rollout.Operation{}, err
	}
	one := c.clusters[cl.ID]
	if one.Pool(pool.Name) != nil {
		return rollout.Operation{}, nil
	}
	if one.busy != nil {
		return rollout.Operation{}, c.problem(rollout.CodeBusy, "busy")
	}
	pool.Image = c.image
	if s, ok := c.snapshots[pool.SnapshotID]; ok {
		pool.Image = s.image
	}
	if one.Version.Less(pool.Version) {
		c.t.Errorf("pool %s of %s at %s, before its control plane", pool.Name, one.Name, pool.Version)
	}
	pool.VMSize, pool.OS, pool.Mode = like.VMSize, like.OS, like.Mode
	one.Pools = append(one.Pools, pool)
	return c.start(one, "createPool", pool.Name, "Creating", pool.Name, func() { c.fill(one, pool) })
}

func (c *cloud) upgrade(one *cluster, kind, name string, to fleet.Version, snapshotID string) (rollout.Operation, error) {
	image := c.image
	if s, ok := c.snapshots[snapshotID]; ok {
		image = s.image
	}
	return c.start(one, kind, name, "Upgrading", name, func() {
		p := one.Pool(name)
		p.Version, p.Image = to, image
		leaving := map[string]bool{}
		for _, n := range one.nodes {
			leaving[n.Name] = n.Pool == name
		}
		one.nodes = slices.DeleteFunc(one.nodes, func(n fleet.Node) bool { return n.Pool == name })
		c.fill(one, *p)
		for i := range one.pods {
			if p := &one.pods[i]; leaving[p.Node] { // the provider's own drain
				p.Node, p.Ready = one.nodes[len(one.nodes)-1].Name, true
			}
		}
	})
}

func (c *cloud) UpgradePool(ctx context.Context, cl fleet.Cluster, pool fleet.Pool, to fleet.Version, _, snapshotID string) (rollout.Operation, error) {
	end, err := c.call(ctx, "UpgradePool")
	defer end()
	if err != nil {
		return rollout.Operation{}, err
	}
	return c.upgrade(c.clusters[cl.ID], "upgradePool", pool.Name, to, snapshotID)
}

func (c *cloud) UpgradeNodeImage(ctx context.Context, cl fleet.Cluster, pool fleet.Pool, snapshotID string) (rollout.Operation, error) {
	end, err := c.call(ctx, "UpgradeNodeImage")
	defer end()
	if err != nil {
		return rollout.Operation{}, err
	}
	return c.upgrade(c.clusters[cl.ID], "upgradeNodeImage", pool.Name, pool.Version, snapshotID)
}

func (c *cloud) SetAutoscaler(ctx context.Context, cl fleet.Cluster, pool fleet.Pool, to *fleet.Autoscaler) (rollout.Operation, error) {
	end, err := c.call(ctx, "SetAutoscaler")
	defer end()
	if err != nil {
		return rollout.Operation{}, err
	}
	one := c.clusters[cl.ID]
	what := pool.Name + " off"
	if to != nil {
		what = fmt.Sprintf("%s %d-%d", pool.Name, to.Min, to.Max)
	}
	return c.start(one, "setAutoscaler", pool.Name, "Updating", what, func() { one.Pool(pool.Name).Autoscaler = to })
}

func (c *cloud) ScalePool(ctx context.Context, cl fleet.Cluster, pool fleet.Pool, count int) (rollout.Operation, error) {
	end, err := c.call(ctx, "ScalePool")
	defer end()
	if err != nil {
		return rollout.Operation{}, err
	}
	one := c.clusters[cl.ID]
	p := one.Pool(pool.Name)
	if p.Count >= count {
		return rollout.Operation{}, nil
	}
	op, err := c.start(one, "scalePool", pool.Name, "Scaling", fmt.Sprintf("%s %d", pool.Name, count), func() {
		p := one.Pool(pool.Name)
		more := *p
		more.Count = count - p.Count
		p.Count = count
		c.fill(one, more)
	})
	return op, err
}

func (c *cloud) DeleteMachines(ctx context.Context, cl fleet.Cluster, pool fleet.Pool, nodes []string) (rollout.Operation, error) {
	end, err := c.call(ctx, "DeleteMachines")
	defer end()
	if err != nil {
		return rollout.Operation{}, err
	}
	one := c.clusters[cl.ID]
	doomed := func(n fleet.Node) bool { return n.Pool == pool.Name && slices.Contains(nodes, n.Name) }
	if !slices.ContainsFunc(one.nodes, doomed) {
		return rollout.Operation{}, nil
	}
	for _, p := range one.pods {
		if slices.Contains(nodes, p.Node) {
			c.t.Errorf("node %s of %s is removed with pod %s on it", p.Node, one.Name, p.Name)
		}
	}
	return c.start(one, "deleteMachines", pool.Name, "DeletingMachines", pool.Name, func() {
		before := len(one.nodes)
		one.nodes = slices.DeleteFunc(one.nodes, doomed)
		one.Pool(pool.Name).Count -= before - len(one.nodes)
	})
}

func (c *cloud) DeletePool(ctx context.Context, cl fleet.Cluster, pool fleet.Pool) (rollout.Operation, error) {
	end, err := c.call(ctx, "DeletePool")
	defer end()
	if err != nil {
		return rollout.Operation{}, err
	}
	one := c.clusters[cl.ID]
	if one.Pool(pool.Name) == nil {
		return rollout.Operation{}, nil
	}
	for _, p := range one.pods {
		for _, n := range one.nodes {
			if n.Name == p.Node && n.Pool == pool.Name {
				c.t.Errorf("pool %s of %s is deleted with pod %s on it", pool.Name, one.Name, p.Name)
			}
		}
	}
	return c.start(one, "deletePool", pool.Name, "Deleting", pool.Name, func() {
		one.nodes = slices.DeleteFunc(one.nodes, func(n fleet.Node) bool { return n.Pool == pool.Name })
		one.Pools = slices.DeleteFunc(one.Pools, func(p fleet.Pool) bool { return p.Name == pool.Name })
	})
}

func (c *cloud) Reconcile(ctx context.Context, cl fleet.Cluster, pool *fleet.Pool) (rollout.Operation, error) {
	end, err := c.call(ctx, "Reconcile")
	defer end()
	if err != nil {
		return rollout.Operation{}, err
	}
	one := c.clusters[cl.ID]
	name := ""
	if pool != nil {
		name = pool.Name
	}
	done := one.resume
	if done == nil {
		done = func() {}
	}
	return c.start(one, "reconcile", name, "Updating", name, done)
}

func (c *cloud) SnapshotPool(ctx context.Context, cl fleet.Cluster, pool fleet.Pool, name string) (string, error) {
	end, err := c.call(ctx, "SnapshotPool")
	defer end()
	if err != nil {
		return "", err
	}
	id := cl.ResourceGroup + "/" + name
	if _, ok := c.snapshots[id]; !ok {
		c.snapshots[id] = snapshot{c.clusters[cl.ID].Pool(pool.Name).Image, c.now}
		c.effects = append(c.effects, cl.Name+" snapshot "+name)
	}
	return id, nil
}

func (c *cloud) SnapshotImage(ctx context.Context, id string) (string, time.Time, error) {
	end, err := c.call(ctx, "SnapshotImage")
	defer end()
	if err != nil {
		return "", time.Time{}, err
	}
	s, ok := c.snapshots[id]
	if !ok {
		return "", time.Time{}, c.problem(rollout.CodeNotFound, "no such snapshot")
	}
	return s.image, s.at, nil
}
