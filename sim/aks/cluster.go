package aks

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// Clusters lists the managed clusters of a subscription, or of one of its
// resource groups, by name.
func (c *Cloud) Clusters(subscription, group string) []json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*cluster
	for _, cl := range c.clusters {
		if strings.EqualFold(cl.id.Subscription, subscription) && (group == "" || strings.EqualFold(cl.id.Group, group)) {
			found = append(found, cl)
		}
	}
	slices.SortFunc(found, func(a, b *cluster) int { return strings.Compare(a.id.Key(), b.id.Key()) })
	list := make([]json.RawMessage, 0, len(found))
	for _, cl := range found {
		list = append(list, toJSON(cl.render()))
	}
	return list
}

// Cluster returns a managed cluster.
func (c *Cloud) Cluster(id ClusterID) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return nil, err
	}
	return toJSON(cl.render()), nil
}

var clusterName = regexp.MustCompile(`^[a-zA-Z0-9]$|^[a-zA-Z0-9][-_a-zA-Z0-9]{0,61}[a-zA-Z0-9]$`)

// PutCluster creates or changes a managed cluster.
func (c *Cloud) PutCluster(ctx context.Context, id ClusterID, body []byte, pre Preconditions) (Result, error) {
	in, err := decode(body)
	if err != nil {
		return Result{}, err
	}
	guards := c.guards(ctx, id, in)
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if _, ok := c.groups[groupKey(id.Subscription, id.Group)]; err != nil && !ok {
		return Result{}, err
	}
	if err != nil {
		if err := pre.check(false, ""); err != nil {
			return Result{}, err
		}
		return c.createCluster(ctx, id, in)
	}
	if err := pre.check(true, cl.etag); err != nil {
		return Result{}, err
	}
	return c.changeCluster(ctx, cl, in, guards)
}

// busy refuses an operation on a cluster while another one runs on it or, when
// the operation is the whole cluster's, on one of its pools.
func (cl *cluster) busy(on *pool) error {
	if cl.op != nil {
		return notAllowed("Operation is not allowed: Another operation (%s) is in progress, please wait for it to finish before starting a new operation. See https://aka.ms/aks-pending-operation for more details", cl.state)
	}
	for _, p := range cl.pools {
		if p.op != nil && (on == nil || on == p) {
			return notAllowed("Operation is not allowed: Another agentpool operation (%s - %s) is in progress, please wait for it to finish before starting a new operation. See https://aka.ms/aks-pending-operation for more details", p.name, p.state)
		}
	}
	return nil
}

// stopped refuses what a stopped cluster cannot do.
func (cl *cluster) stopped(what string) error {
	if cl.power != powerStopped {
		return nil
	}
	return badRequest("OperationNotAllowed", "managed cluster is in Provisioning State(%s) and Power State(%s), %s cannot be performed", cl.state, cl.power, what)
}

func (c *Cloud) changeCluster(ctx context.Context, cl *cluster, in object, guards guards) (Result, error) {
	if err := cl.busy(nil); err != nil {
		return Result{}, err
	}
	if err := cl.stopped("updating"); err != nil {
		return Result{}, err
	}
	if location := in.text("location"); location != "" && !strings.EqualFold(strings.ReplaceAll(location, " ", ""), cl.location) {
		return Result{}, &Error{
			Status: 409, Code: "InvalidResourceLocation", ARM: true,
			Message: "The resource '" + cl.id.Name + "' already exists in location '" + cl.location + "'. A resource with the same name cannot be created in location '" + location + "'.",
		}
	}
	props := in.object("properties")
	plan, err := c.planCluster(cl, props)
	if err != nil {
		return Result{}, err
	}
	if plan.version != cl.version {
		if err := guards.check(cl, props, plan, c.now()); err != nil {
			return Result{}, err
		}
	}

	merged := cl.props.without()
	for key, value := range props {
		if value != nil && !slices.Contains(clusterReadOnly(), key) {
			merged[key] = value
		}
	}
	top := cl.top.without()
	for key, value := range in {
		if value != nil {
			top[key] = value
		}
	}
	top = top.without("id", "name", "type", "properties", "tags", "eTag", "systemData", "location")
	tags := in.textMap("tags")
	changed := plan.changed || !same(merged, cl.props) || !same(tags, cl.tags) || !same(top, cl.top)
	if !changed && cl.state == stateSucceeded && !slices.ContainsFunc(cl.pools, (*pool).unfinished) {
		return Result{Body: toJSON(cl.render())}, nil
	}
	cl.props, cl.top, cl.tags = merged, top, tags
	cl.asked, cl.goal = plan.asked, Version{}
	if plan.version != cl.version {
		cl.goal = plan.version
	}
	state := stateUpdating
	if plan.version != cl.version || len(plan.goals) > 0 {
		state = stateUpgrading
	}
	var work []*pool
	for i, p := range cl.pools {
		if plan.poolProps[i] != nil {
			p.props = plan.poolProps[i]
		}
		if goal, ok := plan.goals[p]; ok {
			p.setGoal(goal)
		}
		if _, ok := plan.goals[p]; ok || p.unfinished() || plan.poolProps[i] != nil {
			work = append(work, p)
		}
	}
	op := c.begin(ctx, "ManagedClusters_CreateOrUpdate", target{cluster: cl}, state, func(ctx context.Context, op *Operation) error {
		return c.runCluster(ctx, op, cl, plan.version, work)
	})
	return Result{Body: toJSON(cl.render()), Operation: op}, nil
}

// runCluster carries a change of a cluster out: the control plane first, then
// the pools one after the other.
func (c *Cloud) runCluster(ctx context.Context, op *Operation, cl *cluster, version Version, work []*pool) error {
	c.mu.Lock()
	upgrade := version != cl.version
	kube := cl.kube
	c.mu.Unlock()
	pace := c.pace.Update
	if upgrade {
		pace = c.pace.ControlPlaneUpgrade
	}
	if err := sleep(ctx, c.draw(pace)); err != nil {
		return err
	}
	if upgrade {
		if err := c.reach(ctx, op, "middle"); err != nil {
			return err
		}
		// A control plane is never left half-way, even by an abort.
		if err := kube.SetVersion(context.WithoutCancel(ctx), version.String()); err != nil {
			return failed("ControlPlaneUpgradeFailed", "Control plane upgrade to %s failed: %v", version, err)
		}
		c.mu.Lock()
		cl.version, cl.goal = version, Version{}
		c.mu.Unlock()
	}
	for _, p := range work {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		c.mu.Lock()
		p.state, p.failure = stateUpgrading, nil
		c.touch(target{cluster: cl, pool: p})
		c.mu.Unlock()
		err := c.reconcile(ctx, op, cl, p)
		c.mu.Lock()
		p.state = stateSucceeded
		if err != nil {
			p.state = stateFailed
			p.failure = asFailure(err)
			if context.Cause(ctx) != nil {
				p.state, p.failure = stateCanceled, nil
			}
		}
		c.touch(target{cluster: cl, pool: p})
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func asFailure(err error) *Error {
	if failure, ok := err.(*Error); ok { //nolint:errorlint // operations return the service's own errors unwrapped
		return failure
	}
	return failed("InternalOperationError", "Internal server error: %v", err)
}

func clusterReadOnly() []string {
	return []string{
		"provisioningState", "powerState", "currentKubernetesVersion", "kubernetesVersion", "agentPoolProfiles", "fqdn",
		"azurePortalFQDN", "privateFQDN", "resourceUID", "nodeResourceGroup", "maxAgentPools", "status",
	}
}

// PatchTags replaces a cluster's tags, which is itself a long-running operation.
func (c *Cloud) PatchTags(ctx context.Context, id ClusterID, body []byte, pre Preconditions) (Result, error) {
	in, err := decode(body)
	if err != nil {
		return Result{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return Result{}, err
	}
	if err := pre.check(true, cl.etag); err != nil {
		return Result{}, err
	}
	if err := cl.busy(nil); err != nil {
		return Result{}, err
	}
	cl.tags = in.textMap("tags")
	op := c.begin(ctx, "ManagedClusters_UpdateTags", target{cluster: cl}, stateUpdating, func(ctx context.Context, _ *Operation) error {
		return sleep(ctx, c.draw(c.pace.Update))
	})
	return Result{Body: toJSON(cl.render()), Operation: op}, nil
}

// DeleteCluster deletes a cluster. The operation is nil where there was none.
func (c *Cloud) DeleteCluster(ctx context.Context, id ClusterID, pre Preconditions) (*Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return nil, pre.check(false, "")
	}
	if err := pre.check(true, cl.etag); err != nil {
		return nil, err
	}
	if err := cl.busy(nil); err != nil {
		return nil, err
	}
	return c.begin(ctx, "ManagedClusters_Delete", target{cluster: cl}, stateDeleting, func(ctx context.Context, _ *Operation) error {
		return c.vanish(ctx, cl)
	}), nil
}

// vanish removes a cluster and its control plane.
func (c *Cloud) vanish(ctx context.Context, cl *cluster) error {
	c.mu.Lock()
	delete(c.clusters, cl.id.Key())
	kube := cl.kube
	for _, p := range cl.pools {
		if p.op != nil {
			p.op.cancel(errClosed)
		}
	}
	c.mu.Unlock()
	if c.observer != nil {
		c.observer.ClusterGone(cl.id)
	}
	if kube == nil {
		return nil
	}
	return kube.Delete(context.WithoutCancel(ctx))
}

// LoseCluster makes the clusters of a name disappear at once, whatever runs on
// them, as if somebody had deleted them.
func (c *Cloud) LoseCluster(ctx context.Context, name string) error {
	for _, cl := range c.named(name) {
		c.mu.Lock()
		if cl.op != nil {
			cl.op.cancel(errClosed)
		}
		c.mu.Unlock()
		if err := c.vanish(ctx, cl); err != nil {
			return err
		}
	}
	return nil
}

// named returns the clusters of a name, in every subscription.
func (c *Cloud) named(name string) []*cluster {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*cluster
	for _, cl := range c.clusters {
		if strings.EqualFold(cl.id.Name, name) {
			found = append(found, cl)
		}
	}
	return found
}

// Stop and Start turn a cluster's machines off and on.
func (c *Cloud) Stop(ctx context.Context, id ClusterID) (*Operation, error) {
	return c.turn(ctx, id, false)
}

// Start turns a stopped cluster on again.
func (c *Cloud) Start(ctx context.Context, id ClusterID) (*Operation, error) {
	return c.turn(ctx, id, true)
}

func (c *Cloud) turn(ctx context.Context, id ClusterID, on bool) (*Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return nil, err
	}
	if err := cl.busy(nil); err != nil {
		return nil, err
	}
	kind, state, power, what := "ManagedClusters_Stop", stateStopping, powerStopped, "stopping"
	if on {
		kind, state, power, what = "ManagedClusters_Start", stateStarting, powerRunning, "starting"
	}
	if cl.power == power {
		return nil, badRequest("OperationNotAllowed", "managed cluster is in Provisioning State(%s) and Power State(%s), %s cannot be performed", cl.state, cl.power, what)
	}
	return c.begin(ctx, kind, target{cluster: cl}, state, func(ctx context.Context, _ *Operation) error {
		if err := sleep(ctx, c.draw(c.pace.Update)); err != nil {
			return err
		}
		act := cl.kube.Stop
		if on {
			act = cl.kube.Start
		}
		if err := act(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		cl.power = power
		for _, p := range cl.pools {
			p.power = power
		}
		return nil
	}), nil
}

// AbortCluster ends the operation that runs on a cluster, where it stands.
func (c *Cloud) AbortCluster(ctx context.Context, id ClusterID) (*Operation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return nil, err
	}
	if cl.op == nil || cl.op.aborting {
		return nil, notAllowed("There is no ongoing operation on the managed cluster %s to abort: its provisioning state is %s.", cl.id.Name, cl.state)
	}
	return c.abort(ctx, "ManagedClusters_AbortLatestOperation", target{cluster: cl}, cl.op), nil
}

// Credentials returns a cluster's kubeconfig as the user or the admin gets it.
func (c *Cloud) Credentials(ctx context.Context, id ClusterID) ([]byte, error) {
	c.mu.Lock()
	cl, err := c.find(id)
	if err != nil {
		c.mu.Unlock()
		return nil, err
	}
	local, kube := !cl.props.flag("disableLocalAccounts"), cl.kube
	c.mu.Unlock()
	if !local {
		return nil, badRequest("BadRequest", "Getting static credential is not allowed because this cluster is set to disable local accounts.")
	}
	if kube == nil {
		return nil, &Error{Status: 404, Code: "NotFound", Message: "The managed cluster has no control plane yet."}
	}
	kubeconfig, err := kube.Kubeconfig(ctx)
	if err != nil {
		return nil, &Error{Status: 500, Code: "InternalOperationError", Message: "Internal server error: " + err.Error()}
	}
	return kubeconfig, nil
}
