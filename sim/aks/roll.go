package aks

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const quarantineLabel = "kubernetes.azure.com/upgrade-status"

// roll replaces what a pool's nodes run, as AKS does: surge nodes are added;
// as many old nodes as there are surge nodes (and as may be unavailable) are
// cordoned, drained and reimaged at a time; in the end the surge nodes are
// drained and removed. What an earlier, failed run left of its surge is used.
func (c *Cloud) roll(ctx context.Context, op *Operation, cl *cluster, p *pool) error {
	c.mu.Lock()
	version, image := p.goal()
	var old, fresh []*node
	for _, n := range p.nodes {
		switch {
		case n.version != version || n.image != image:
			old = append(old, n)
		case !n.quarantined:
			fresh = append(fresh, n)
		}
	}
	// Surge nodes have the highest instance numbers, so they are last.
	spare := slices.Clone(fresh[len(fresh)-min(max(p.whole()-p.count(), 0), len(fresh)):])
	settings := p.props.object("upgradeSettings")
	surge, _ := amount(settings.text("maxSurge"), p.count())
	unavailable, _ := amount(settings.text("maxUnavailable"), p.count())
	if surge == 0 && unavailable == 0 {
		surge = 1
	}
	surge = min(surge, len(old))
	behaviour := settings.text("undrainableNodeBehavior")
	soakMinutes, _ := settings.integer("nodeSoakDurationInMinutes")
	grow := max(surge-len(spare), 0)
	if len(old) == 0 {
		grow = 0
	}
	roomErr := c.room(cl, p, grow, false)
	if roomErr != nil && version.Minor >= 35 && grow > 1 && c.room(cl, p, 1, false) == nil {
		// Where the whole surge does not fit, newer versions make do with one node.
		grow, surge, roomErr = 1, 1+len(spare), nil
	}
	c.mu.Unlock()
	if roomErr != nil {
		return roomErr
	}
	if grow > 0 {
		known := len(p.snapshotNodes(c))
		if err := c.grow(ctx, cl, p, grow); err != nil {
			return err
		}
		spare = append(spare, p.snapshotNodes(c)[known:]...)
	}

	r := &rolling{
		cloud: c, op: op, cluster: cl, pool: p, version: version, image: image, total: len(old),
		timeout: c.drainTimeout(p), soak: time.Duration(soakMinutes) * c.pace.Minute, cordon: behaviour == "Cordon", spare: len(spare),
	}
	queue := make(chan *node, len(old))
	for _, n := range old {
		queue <- n
	}
	close(queue)
	var group errgroup.Group
	for range max(min(surge+unavailable, len(old)), min(1, len(old))) {
		group.Go(func() error {
			for n := range queue {
				// After a failure the others finish the node they are at.
				if r.failed.Load() {
					return nil
				}
				if err := r.replace(ctx, n); err != nil {
					r.failed.Store(true)
					return err
				}
			}
			return nil
		})
	}
	err := stopped(ctx, group.Wait())
	// A quarantined node keeps a surge node as its replacement.
	keep := min(r.quarantined, len(spare))
	spare = spare[:len(spare)-keep]
	if err != nil {
		if context.Cause(ctx) == nil {
			// Best effort: what cannot be drained stays until the next attempt.
			if undo := c.retire(ctx, nil, cl, p, spare); undo != nil {
				c.log.InfoContext(ctx, "surge nodes stay", "cluster", cl.id.Name, "pool", p.name, "error", undo)
			}
		}
		return err
	}
	return c.retire(ctx, nil, cl, p, spare)
}

// snapshotNodes copies the list of a pool's nodes.
func (p *pool) snapshotNodes(c *Cloud) []*node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(p.nodes)
}

// rolling is one replacement of a pool's nodes under way.
type rolling struct {
	cloud   *Cloud
	op      *Operation
	cluster *cluster
	pool    *pool
	version Version
	image   string
	timeout time.Duration
	soak    time.Duration
	cordon  bool // what cannot be drained is quarantined instead of failing the upgrade
	total   int
	spare   int

	failed      atomic.Bool
	mu          sync.Mutex
	replaced    int
	quarantined int
}

// replace takes one node through cordon, drain, soak and reimage.
func (r *rolling) replace(ctx context.Context, n *node) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	kube := r.cluster.kube
	if err := kube.SetUnschedulable(ctx, n.name, true); err != nil {
		return fmt.Errorf("cordoning node %s: %w", n.name, err)
	}
	if err := kube.Drain(ctx, n.name, r.timeout); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			// An aborted drain stops where it is: the node stays cordoned.
			return cause
		}
		return r.undrainable(ctx, n, err)
	}
	if err := sleep(ctx, r.soak); err != nil {
		return err
	}
	r.cloud.mu.Lock()
	n.version, n.image = r.version, r.image
	n.boots++
	spec := r.cluster.spec(r.pool, n)
	n.quarantined = false
	r.cloud.mu.Unlock()
	// A machine that is being reimaged finishes, even when the upgrade is aborted.
	whole := context.WithoutCancel(ctx)
	if err := kube.Reimage(whole, spec); err != nil {
		return failed("VMExtensionProvisioningError", "Reimaging node %s failed: %v", n.name, err)
	}
	if err := kube.SetUnschedulable(whole, n.name, false); err != nil {
		return fmt.Errorf("uncordoning node %s: %w", n.name, err)
	}
	r.mu.Lock()
	r.replaced++
	middle := r.replaced >= (r.total+1)/2
	r.mu.Unlock()
	if middle && r.op != nil {
		return r.cloud.reachLocked(ctx, r.op, "middle")
	}
	return nil
}

// undrainable deals with a node that could not be drained: the upgrade fails
// and the node is schedulable again, or the node is set aside and a surge node
// stays in its place.
func (r *rolling) undrainable(ctx context.Context, n *node, err error) error {
	kube, whole := r.cluster.kube, context.WithoutCancel(ctx)
	r.mu.Lock()
	exhausted := r.quarantined >= r.spare
	if r.cordon && !exhausted {
		r.quarantined++
	}
	r.mu.Unlock()
	if !r.cordon || exhausted {
		if undo := kube.SetUnschedulable(whole, n.name, false); undo != nil {
			return fmt.Errorf("uncordoning node %s: %w", n.name, undo)
		}
		failure := drainFailure([]error{err})
		if e, ok := failure.(*Error); ok && r.cordon { //nolint:errorlint // drainFailure returns the service's own error unwrapped
			e.Message = "Cordoned nodes have used all surge nodes but there are more nodes to be upgraded. Please fix your PDBs blocking node drain and kindly retry upgrade operation." + e.Message
		}
		return failure
	}
	r.cloud.mu.Lock()
	n.quarantined = true
	r.cloud.mu.Unlock()
	if err := kube.SetLabels(whole, n.name, map[string]string{quarantineLabel: "Quarantined"}); err != nil {
		return fmt.Errorf("labelling node %s: %w", n.name, err)
	}
	return nil
}
