package azure

import (
	"context"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// onPool is what every change of a pool begins with: its name for people, the
// clients, and the pool as it is now.
func (p *Provider) onPool(ctx context.Context, cluster fleet.Cluster, pool, doing string) (act, target, *armcontainerservice.AgentPool, error) {
	a := actOnPool(cluster, pool, doing)
	t, err := p.cluster(cluster.ID, a)
	if err != nil {
		return a, t, nil, err
	}
	had, err := readPool(ctx, t, pool, a)
	return a, t, had, err
}

func actOnPool(cluster fleet.Cluster, pool, doing string) act {
	return act{poolName(pool, strings.TrimPrefix(clusterName(cluster.ID, cluster.Name), "cluster ")), doing}
}

// readPool gets an agent pool whole.
func readPool(ctx context.Context, t target, name string, a act) (*armcontainerservice.AgentPool, error) {
	got, err := t.pools.Get(ctx, t.group, t.name, name, nil)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	if got.Properties == nil {
		return nil, a.refuse(rollout.CodeFailed, "report it: the service answered with something unexpected", "an agent pool without properties")
	}
	return &got.AgentPool, nil
}

// writePool puts a whole pool back under its ETag.
func (p *Provider) writePool(ctx context.Context, t target, kind string, a act, clusterID, name string, pool *armcontainerservice.AgentPool) (rollout.Operation, error) {
	etag := pool.Properties.ETag
	writable(pool.Properties)
	poller, err := t.pools.BeginCreateOrUpdate(ctx, t.group, t.name, name, armcontainerservice.AgentPool{Properties: pool.Properties}, &armcontainerservice.AgentPoolsClientBeginCreateOrUpdateOptions{IfMatch: etag})
	if err != nil {
		return rollout.Operation{}, a.failed(ctx, err)
	}
	return begun(ctx, p, kind, handle{Call: callPutPool, Cluster: clusterID, Pool: name}, a, poller)
}

// CreatePool implements rollout.Provider. The new pool is what the service says
// of like now, with the version, snapshot, count, autoscaler and tags of pool;
// Pool.Tags nil keeps like's tags, Pool.Autoscaler nil fixes the size. A pool of
// that name that carries all of pool's tags is taken for the same request.
func (p *Provider) CreatePool(ctx context.Context, cluster fleet.Cluster, like, pool fleet.Pool) (rollout.Operation, error) {
	a := actOnPool(cluster, pool.Name, fmt.Sprintf("create like pool %s on %s", like.Name, pool.Version))
	t, err := p.cluster(cluster.ID, a)
	if err != nil {
		return rollout.Operation{}, err
	}
	if pool.Version.IsZero() {
		return rollout.Operation{}, a.refuse(rollout.CodeInvalid, "name the version of the new pool", "no version was given")
	}
	there, err := readPool(ctx, t, pool.Name, a)
	switch {
	case err == nil:
		return rollout.Operation{}, sameRequest(a, &pool, there.Properties)
	case rollout.CodeOf(err) != rollout.CodeNotFound:
		return rollout.Operation{}, err
	}
	original, err := readPool(ctx, t, like.Name, act{actOnPool(cluster, like.Name, "").object, "read, to create pool " + pool.Name + " like it"})
	if err != nil {
		return rollout.Operation{}, err
	}
	properties, err := newPool(original.Properties, &pool)
	if err != nil {
		return rollout.Operation{}, a.refuse(rollout.CodeInvalid, "correct what the new pool is to be", "%v", err)
	}
	// Where somebody makes a pool of that name in between, it is not overwritten.
	poller, err := t.pools.BeginCreateOrUpdate(ctx, t.group, t.name, pool.Name, armcontainerservice.AgentPool{Properties: properties}, &armcontainerservice.AgentPoolsClientBeginCreateOrUpdateOptions{IfNoneMatch: new("*")})
	if err != nil {
		return rollout.Operation{}, a.failed(ctx, err)
	}
	return begun(ctx, p, kindCreatePool, handle{Call: callPutPool, Cluster: cluster.ID, Pool: pool.Name}, a, poller)
}

// sameRequest checks that a pool that is there already came of an earlier call
// with the same arguments.
func sameRequest(a act, want *fleet.Pool, there *poolProperties) error {
	state := text(there.ProvisioningState)
	if strings.EqualFold(state, deletingState) {
		return busy(a, state)
	}
	if len(want.Tags) == 0 {
		return a.refuse(rollout.CodeInvalid, "choose another name", "a pool of that name exists, and nothing marks it as this one")
	}
	tags := texts(there.Tags)
	for key, value := range want.Tags {
		if tags[key] != value {
			return a.refuse(rollout.CodeInvalid, "choose another name, or delete that pool if it is of no use", "a pool of that name exists, but its tag %q is %q instead of %q", key, tags[key], value)
		}
	}
	if asked, ok := wholeVersion(text(there.OrchestratorVersion)); ok && asked != want.Version {
		return a.refuse(rollout.CodeInvalid, "delete that pool if it is of no use, then retry", "a pool of that name and with these tags exists on %s", asked)
	}
	return nil
}

// UpgradePool implements rollout.Provider.
func (p *Provider) UpgradePool(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, to fleet.Version, surge, snapshotID string) (rollout.Operation, error) {
	a, t, had, err := p.onPool(ctx, cluster, pool.Name, "upgrade to "+to.String())
	if err != nil {
		return rollout.Operation{}, err
	}
	props := had.Properties
	state := text(props.ProvisioningState)
	runs := running(props.CurrentOrchestratorVersion, props.OrchestratorVersion)
	asked, _ := wholeVersion(text(props.OrchestratorVersion))
	switch {
	case !fleet.Settled(state):
		if asked == to && (snapshotID == "" || pinnedTo(props, snapshotID)) {
			return rollout.Operation{}, nil // on its way
		}
		return rollout.Operation{}, busy(a, state)
	case to.Less(runs):
		return rollout.Operation{}, a.refuse(rollout.CodeSkew, "pools never go back: choose a version above", "it runs %s already", runs)
	case strings.EqualFold(state, succeededState) && runs == to:
		has, err := p.hasImage(ctx, props, snapshotID)
		if has || err != nil {
			return rollout.Operation{}, err
		}
	case stopped(props.PowerState):
		return rollout.Operation{}, a.refuse(rollout.CodeStopped, "start the pool, then retry", "the pool is stopped")
	}
	if err := unchanged(a, pool.ETag, props.ETag); err != nil {
		return rollout.Operation{}, err
	}
	props.OrchestratorVersion = new(to.String())
	// An older snapshot would pin the pool to that one's image and version.
	props.CreationData = creationData(snapshotID)
	if surge != "" {
		if props.UpgradeSettings == nil {
			props.UpgradeSettings = &armcontainerservice.AgentPoolUpgradeSettings{}
		}
		props.UpgradeSettings.MaxSurge = &surge
	}
	return p.writePool(ctx, t, kindUpgradePool, a, cluster.ID, pool.Name, had)
}

// pinnedTo reports whether a pool was last asked for a snapshot's image.
func pinnedTo(props *poolProperties, snapshotID string) bool {
	return props.CreationData != nil && strings.EqualFold(text(props.CreationData.SourceResourceID), snapshotID)
}

// hasImage reports whether a pool has the node image of a snapshot; any image
// will do for none.
func (p *Provider) hasImage(ctx context.Context, props *poolProperties, snapshotID string) (bool, error) {
	if snapshotID == "" {
		return true, nil
	}
	image, _, err := p.SnapshotImage(ctx, snapshotID)
	return err == nil && strings.EqualFold(image, text(props.NodeImageVersion)), err
}

const upgradingImageState = "UpgradingNodeImageVersion"

// UpgradeNodeImage implements rollout.Provider. The newest image has a call of
// its own, which takes no ETag: the pool's is compared before it. A snapshot's
// image is written to the pool.
func (p *Provider) UpgradeNodeImage(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, snapshotID string) (rollout.Operation, error) {
	a, t, had, err := p.onPool(ctx, cluster, pool.Name, "upgrade node image")
	if err != nil {
		return rollout.Operation{}, err
	}
	props := had.Properties
	state := text(props.ProvisioningState)
	switch {
	case !fleet.Settled(state):
		underWay := snapshotID == "" && strings.EqualFold(state, upgradingImageState) || snapshotID != "" && pinnedTo(props, snapshotID)
		if underWay {
			return rollout.Operation{}, nil
		}
		return rollout.Operation{}, busy(a, state)
	case stopped(props.PowerState):
		return rollout.Operation{}, a.refuse(rollout.CodeStopped, "start the pool, then retry", "the pool is stopped")
	}
	if strings.EqualFold(state, succeededState) {
		has, err := p.hasWantedImage(ctx, t, a, pool.Name, props, snapshotID)
		if has || err != nil {
			return rollout.Operation{}, err
		}
	}
	if err := unchanged(a, pool.ETag, props.ETag); err != nil {
		return rollout.Operation{}, err
	}
	if snapshotID != "" {
		props.CreationData = creationData(snapshotID)
		return p.writePool(ctx, t, kindNodeImage, a, cluster.ID, pool.Name, had)
	}
	poller, err := t.pools.BeginUpgradeNodeImageVersion(ctx, t.group, t.name, pool.Name, nil)
	if err != nil {
		return rollout.Operation{}, a.failed(ctx, err)
	}
	return begun(ctx, p, kindNodeImage, handle{Call: callNodeImage, Cluster: cluster.ID, Pool: pool.Name}, a, poller)
}

// hasWantedImage reports whether a pool has the snapshot's image or, for none,
// the newest.
func (p *Provider) hasWantedImage(ctx context.Context, t target, a act, pool string, props *poolProperties, snapshotID string) (bool, error) {
	if snapshotID != "" {
		return p.hasImage(ctx, props, snapshotID)
	}
	profile, err := t.pools.GetUpgradeProfile(ctx, t.group, t.name, pool, nil)
	if err != nil {
		return false, a.failed(ctx, err)
	}
	newest := ""
	if profile.Properties != nil {
		newest = text(profile.Properties.LatestNodeImageVersion)
	}
	return newest != "" && strings.EqualFold(newest, text(props.NodeImageVersion)), nil
}

// SetAutoscaler implements rollout.Provider. Switched off, the pool keeps the
// number of nodes that the service counts now.
func (p *Provider) SetAutoscaler(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, to *fleet.Autoscaler) (rollout.Operation, error) {
	doing := "switch the autoscaler off"
	if to != nil {
		doing = fmt.Sprintf("set the autoscaler to %d..%d nodes", to.Min, to.Max)
	}
	a, t, had, err := p.onPool(ctx, cluster, pool.Name, doing)
	if err != nil {
		return rollout.Operation{}, err
	}
	props := had.Properties
	if has := autoscalerOf(props); has == nil && to == nil || has != nil && to != nil && *has == *to {
		return rollout.Operation{}, nil // there, or on its way
	}
	if state := text(props.ProvisioningState); !fleet.Settled(state) {
		return rollout.Operation{}, busy(a, state)
	}
	if err := unchanged(a, pool.ETag, props.ETag); err != nil {
		return rollout.Operation{}, err
	}
	if err := setAutoscaler(props, to); err != nil {
		return rollout.Operation{}, a.refuse(rollout.CodeInvalid, "correct the bounds", "%v", err)
	}
	return p.writePool(ctx, t, kindAutoscaler, a, cluster.ID, pool.Name, had)
}

// DeletePool implements rollout.Provider. A pool that is gone, or going, is
// done.
func (p *Provider) DeletePool(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool) (rollout.Operation, error) {
	a, t, had, err := p.onPool(ctx, cluster, pool.Name, "delete")
	if err != nil {
		if rollout.CodeOf(err) == rollout.CodeNotFound {
			return rollout.Operation{}, nil
		}
		return rollout.Operation{}, err
	}
	if state := text(had.Properties.ProvisioningState); !fleet.Settled(state) {
		if strings.EqualFold(state, deletingState) {
			return rollout.Operation{}, nil
		}
		return rollout.Operation{}, busy(a, state)
	}
	if err := unchanged(a, pool.ETag, had.Properties.ETag); err != nil {
		return rollout.Operation{}, err
	}
	poller, err := t.pools.BeginDelete(ctx, t.group, t.name, pool.Name, &armcontainerservice.AgentPoolsClientBeginDeleteOptions{IfMatch: had.Properties.ETag})
	if err != nil {
		if gone(err) {
			return rollout.Operation{}, nil
		}
		return rollout.Operation{}, a.failed(ctx, err)
	}
	return begun(ctx, p, kindDeletePool, handle{Call: callDeletePool, Cluster: cluster.ID, Pool: pool.Name}, a, poller)
}
