package aks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// room refuses more nodes than quota or subnet allow. Before anything starts,
// the refusal is worded as AKS's own checks do; inside an operation, as the
// compute and network providers do. The caller holds c.mu.
func (c *Cloud) room(cl *cluster, p *pool, nodes int, upFront bool) error {
	size := p.size()
	need := size.VCPUs * nodes
	if limit, used, limited := c.coresLeft(cl, size.Family); limited && need > 0 && used+need > limit {
		if upFront {
			return badRequest("ErrCode_InsufficientVCPUQuota", "Insufficient vcpu quota requested %d, remaining %d for family %s for region %s. Surge nodes would also consume vcpu quota, please consider use smaller maxSurge or use maxUnavailable to proceed upgrade without surge nodes, see https://aka.ms/aks/maxUnavailable for more details.", need, max(limit-used, 0), size.Family, cl.location)
		}
		return failed("QuotaExceeded", "Provisioning of resource(s) for Agent Pool %s failed. Error: {\n  \"code\": \"OperationNotAllowed\",\n  \"message\": \"Operation could not be completed as it results in exceeding approved %s Cores quota. Additional details - Deployment Model: Resource Manager, Location: %s, Current Limit: %d, Current Usage: %d, Additional Required: %d, (Minimum) New Limit Required: %d. Submit a request for Quota increase at https://aka.ms/ProdportalCRP by specifying parameters listed in the 'Details' section for deployment to succeed.\"\n}", p.name, size.Family, cl.location, limit, used, need, used+need)
	}
	if capacity, used, perNode, limited := c.addresses(cl, p); limited && nodes > 0 && used+nodes*perNode > capacity {
		subnet := p.props.text("vnetSubnetID")
		name := subnet[strings.LastIndex(subnet, "/")+1:]
		if upFront {
			return badRequest("InsufficientSubnetSize", "Pre-allocated IPs %d exceeds IPs available %d in Subnet Cidr %s, Subnet Name %s. http://aka.ms/aks/insufficientsubnetsize", nodes*perNode, max(capacity-used, 0), c.subnets[strings.ToLower(subnet)].Prefix, name)
		}
		return failed("SubnetIsFull", "VMSSAgentPoolReconciler retry failed: Category: ClientError; SubCode: SubnetIsFull; Dependency: Microsoft.Network/Subnet; OrginalError: Code=\"SubnetIsFull\" Message=\"Subnet %s with address prefix %s does not have enough capacity for %d IP addresses.\"; AKSTeam: NodeProvisioning", name, c.subnets[strings.ToLower(subnet)].Prefix, nodes*perNode)
	}
	return nil
}

// scale brings a pool to its count of nodes.
func (c *Cloud) scale(ctx context.Context, cl *cluster, p *pool) error {
	c.mu.Lock()
	missing := p.count() - p.whole()
	c.mu.Unlock()
	switch {
	case missing > 0:
		return c.grow(ctx, cl, p, missing)
	case missing < 0:
		c.mu.Lock()
		var doomed []*node
		for _, n := range slices.Backward(p.nodes) {
			if !n.quarantined && len(doomed) < -missing {
				doomed = append(doomed, n)
			}
		}
		c.mu.Unlock()
		return c.retire(ctx, nil, cl, p, doomed)
	}
	return nil
}

// whole counts the nodes that are not quarantined.
func (p *pool) whole() int {
	n := 0
	for _, node := range p.nodes {
		if !node.quarantined {
			n++
		}
	}
	return n
}

// grow adds nodes, all at once, and returns when they are Ready. What did not
// come up is removed again.
func (c *Cloud) grow(ctx context.Context, cl *cluster, p *pool, count int) error {
	c.mu.Lock()
	if err := c.room(cl, p, count, false); err != nil {
		c.mu.Unlock()
		return err
	}
	version, image := p.goal()
	added := make([]*node, count)
	specs := make([]NodeSpec, count)
	for i := range added {
		added[i] = cl.newNode(p, version, image)
		specs[i] = cl.spec(p, added[i])
	}
	c.mu.Unlock()
	group, groupCtx := errgroup.WithContext(ctx)
	for i, n := range added {
		group.Go(func() error {
			if err := cl.kube.AddNode(groupCtx, specs[i]); err != nil {
				c.mu.Lock()
				p.remove(n)
				c.mu.Unlock()
				if undo := cl.kube.RemoveNode(context.WithoutCancel(ctx), n.name); undo != nil {
					c.log.WarnContext(ctx, "removing a node that did not come up", "node", n.name, "error", undo)
				}
				return fmt.Errorf("node %s did not come up: %w", n.name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return failed("VMExtensionProvisioningError", "VMSSAgentPoolReconciler retry failed: Agent Pool %s: %v", p.name, err)
	}
	return nil
}

// retire drains and removes nodes, all at once. Nodes that could not be drained
// stay, schedulable.
func (c *Cloud) retire(ctx context.Context, op *Operation, cl *cluster, p *pool, doomed []*node) error {
	timeout := c.drainTimeout(p)
	// All of them first, so that no pod moves from one to the next.
	for _, n := range doomed {
		if err := cl.kube.SetUnschedulable(ctx, n.name, true); err != nil {
			return stopped(ctx, err)
		}
	}
	var mu sync.Mutex
	var failures []error
	var group errgroup.Group
	for i, n := range doomed {
		group.Go(func() error {
			err := cl.kube.Drain(ctx, n.name, timeout)
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			if err != nil {
				mu.Lock()
				failures = append(failures, err)
				mu.Unlock()
				return cl.kube.SetUnschedulable(context.WithoutCancel(ctx), n.name, false)
			}
			if err := cl.kube.RemoveNode(context.WithoutCancel(ctx), n.name); err != nil {
				return err
			}
			c.mu.Lock()
			p.remove(n)
			c.mu.Unlock()
			if op != nil && i == len(doomed)/2 {
				return c.reachLocked(ctx, op, "middle")
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return stopped(ctx, err)
	}
	return drainFailure(failures)
}

// drainFailure words drains that did not end in time as AKS does.
func drainFailure(failures []error) error {
	if len(failures) == 0 {
		return nil
	}
	var texts []string
	for _, err := range failures {
		var drain *DrainError
		if !errors.As(err, &drain) {
			return err
		}
		text := drain.Error()
		for _, blocked := range drain.Blocked {
			text = fmt.Sprintf("Drain node %s failed when evicting pod %s failed with Too Many Requests error. This is often caused by a restrictive Pod Disruption Budget (PDB) policy. See https://aka.ms/aks/debugdrainfailures. Original error: %s. PDB debug info: %s/%s blocked by pdb %s with 0 unready pods.",
				drain.Node, blocked.Pod, blocked.Message, blocked.Namespace, blocked.Pod, blocked.Budget)
			break
		}
		texts = append(texts, text)
	}
	return failed("UpgradeFailed", "%s", strings.Join(texts, " "))
}

// stopped prefers the reason for which a context ended over what it caused.
func stopped(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (c *Cloud) drainTimeout(p *pool) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	minutes, ok := p.props.object("upgradeSettings").integer("drainTimeoutInMinutes")
	if !ok {
		minutes = 30
	}
	return time.Duration(minutes) * c.pace.Minute
}

func (c *Cloud) deletePool(ctx context.Context, op *Operation, cl *cluster, p *pool, ignoreBudgets bool) error {
	if err := sleep(ctx, c.draw(c.pace.Overhead)); err != nil {
		return err
	}
	c.mu.Lock()
	doomed := slices.Clone(p.nodes)
	c.mu.Unlock()
	if ignoreBudgets {
		for _, n := range doomed {
			if err := cl.kube.RemoveNode(context.WithoutCancel(ctx), n.name); err != nil {
				return err
			}
			c.mu.Lock()
			p.remove(n)
			c.mu.Unlock()
		}
	} else if err := c.retire(ctx, op, cl, p, doomed); err != nil {
		return err
	}
	if err := c.reach(ctx, op, "end"); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl.pools = slices.DeleteFunc(cl.pools, func(other *pool) bool { return other == p })
	cl.etag = c.uuid()
	return nil
}

// reachLocked is reach for operations whose steps run side by side.
func (c *Cloud) reachLocked(ctx context.Context, op *Operation, point string) error {
	op.points.Lock()
	defer op.points.Unlock()
	return c.reach(ctx, op, point)
}

// reconcile brings a pool to what was asked of it: first what its nodes run,
// then how many there are, then their labels.
func (c *Cloud) reconcile(ctx context.Context, op *Operation, cl *cluster, p *pool) error {
	if err := sleep(ctx, c.draw(c.pace.Overhead)); err != nil {
		return err
	}
	if err := c.roll(ctx, op, cl, p); err != nil {
		return err
	}
	c.mu.Lock()
	p.version, p.image = p.goal()
	c.mu.Unlock()
	if err := c.scale(ctx, cl, p); err != nil {
		return err
	}
	c.mu.Lock()
	labels := p.props.textMap("nodeLabels")
	for _, key := range p.labelled {
		if _, ok := labels[key]; !ok {
			labels[key] = ""
		}
	}
	labels["kubernetes.azure.com/mode"] = strings.ToLower(p.mode())
	p.labelled = nil
	for key, value := range labels {
		if value != "" {
			p.labelled = append(p.labelled, key)
		}
	}
	nodes := slices.Clone(p.nodes)
	c.mu.Unlock()
	for _, n := range nodes {
		if err := cl.kube.SetLabels(ctx, n.name, labels); err != nil {
			return stopped(ctx, err)
		}
	}
	return nil
}
