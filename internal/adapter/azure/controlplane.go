package azure

import (
	"context"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// Cluster implements rollout.Provider.
func (p *Provider) Cluster(ctx context.Context, id string) (fleet.Cluster, error) {
	a := act{clusterName(id, ""), "read"}
	t, err := p.cluster(id, a)
	if err != nil {
		return fleet.Cluster{}, err
	}
	mc, err := readCluster(ctx, t, a)
	if err != nil {
		return fleet.Cluster{}, err
	}
	c, err := clusterOf(mc)
	if err != nil {
		return c, a.refuse(rollout.CodeFailed, "report it: the service answered with something unexpected", "%v", err)
	}
	return c, nil
}

// readCluster gets a managed cluster whole.
func readCluster(ctx context.Context, t target, a act) (*armcontainerservice.ManagedCluster, error) {
	got, err := t.clusters.Get(ctx, t.group, t.name, nil)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	if got.Properties == nil {
		return nil, a.refuse(rollout.CodeFailed, "report it: the service answered with something unexpected", "a managed cluster without properties")
	}
	return &got.ManagedCluster, nil
}

// unchanged checks that an object is still the one that the caller has decided
// on. A caller that kept no ETag decides on whatever is there.
func unchanged(a act, decidedOn string, now *string) error {
	if decidedOn == "" || decidedOn == text(now) {
		return nil
	}
	return a.refuse(rollout.CodeChanged, "it will be looked at again", "it was changed since it was looked at")
}

// writeCluster puts a whole cluster back under its ETag.
func (p *Provider) writeCluster(ctx context.Context, t target, kind string, a act, clusterID string, mc *armcontainerservice.ManagedCluster) (rollout.Operation, error) {
	etag := mc.ETag
	// A principal that is sent back without its secret is refused.
	mc.Properties.ServicePrincipalProfile = nil
	mc.ETag, mc.SystemData = nil, nil
	mc.Properties.Status, mc.Properties.ProvisioningState, mc.Properties.PowerState, mc.Properties.CurrentKubernetesVersion = nil, nil, nil, nil
	for _, profile := range mc.Properties.AgentPoolProfiles {
		if profile != nil {
			writableProfile(profile)
		}
	}
	poller, err := t.clusters.BeginCreateOrUpdate(ctx, t.group, t.name, *mc, &armcontainerservice.ManagedClustersClientBeginCreateOrUpdateOptions{IfMatch: etag})
	if err != nil {
		return rollout.Operation{}, a.failed(ctx, err)
	}
	return begun(ctx, p, kind, handle{Call: callPutCluster, Cluster: clusterID}, a, poller)
}

// busy is the refusal of a change to something that is being changed.
func busy(a act, state string) error {
	return a.refuse(rollout.CodeBusy, remedyBusy, "another operation is in progress: it is %s", state)
}

// UpgradeControlPlane implements rollout.Provider. Pools stay as they are; where
// AKS would take them along, it is refused with CodeControlPlaneAloneRefused.
func (p *Provider) UpgradeControlPlane(ctx context.Context, cluster fleet.Cluster, to fleet.Version) (rollout.Operation, error) {
	a := act{clusterName(cluster.ID, cluster.Name), "upgrade control plane to " + to.String()}
	t, err := p.cluster(cluster.ID, a)
	if err != nil {
		return rollout.Operation{}, err
	}
	mc, err := readCluster(ctx, t, a)
	if err != nil {
		return rollout.Operation{}, err
	}
	props := mc.Properties
	state := text(props.ProvisioningState)
	runs := running(props.CurrentKubernetesVersion, props.KubernetesVersion)
	asked, _ := wholeVersion(text(props.KubernetesVersion))
	switch {
	case !fleet.Settled(state):
		if asked == to {
			return rollout.Operation{}, nil // on its way
		}
		return rollout.Operation{}, busy(a, state)
	case strings.EqualFold(state, succeededState) && runs == to:
		return rollout.Operation{}, nil
	case to.Less(runs):
		return rollout.Operation{}, a.refuse(rollout.CodeSkew, "control planes never go back: choose a version above", "it runs %s already", runs)
	case stopped(props.PowerState):
		return rollout.Operation{}, a.refuse(rollout.CodeStopped, "start the cluster, then retry", "the cluster is stopped")
	}
	if err := unchanged(a, cluster.ETag, mc.ETag); err != nil {
		return rollout.Operation{}, err
	}
	if why := takesPoolsAlong(props); why != "" {
		return rollout.Operation{}, a.refuse(rollout.CodeControlPlaneAloneRefused, "upgrade the cluster as a whole, or move it to pools of scale sets", "%s", why)
	}
	props.KubernetesVersion = new(to.String())
	return p.writeCluster(ctx, t, kindControlPlane, a, cluster.ID, mc)
}

// takesPoolsAlong says why AKS upgrades pools together with their control
// plane, without asking; "" where it does not.
func takesPoolsAlong(props *armcontainerservice.ManagedClusterProperties) string {
	const least = 8 // clusters made before there were several pools
	if n := number(props.MaxAgentPools); n > 0 && n < least {
		return fmt.Sprintf("clusters with maxAgentPools below %d (here %d) take their pools along", least, n)
	}
	for _, profile := range props.AgentPoolProfiles {
		if profile != nil && is(profile.Type, armcontainerservice.AgentPoolTypeAvailabilitySet) {
			return fmt.Sprintf("clusters with an AvailabilitySet pool (here %s) take their pools along", text(profile.Name))
		}
	}
	return ""
}

// SetChannels implements rollout.Provider. An empty upgrade channel means none;
// an empty node OS channel leaves that one as it is, since AKS has no such value.
func (p *Provider) SetChannels(ctx context.Context, cluster fleet.Cluster, upgrade, nodeOS string) (rollout.Operation, error) {
	a := act{clusterName(cluster.ID, cluster.Name), fmt.Sprintf("set upgrade channel %q and node OS channel %q", upgrade, nodeOS)}
	t, err := p.cluster(cluster.ID, a)
	if err != nil {
		return rollout.Operation{}, err
	}
	if upgrade == "" {
		upgrade = string(armcontainerservice.UpgradeChannelNone)
	}
	upgradeChannel, ok := one(armcontainerservice.PossibleUpgradeChannelValues(), upgrade)
	if !ok {
		return rollout.Operation{}, a.refuse(rollout.CodeInvalid, "want none, patch, stable, rapid or node-image", "upgrade channel %q is not known", upgrade)
	}
	nodeChannel, ok := one(armcontainerservice.PossibleNodeOSUpgradeChannelValues(), nodeOS)
	if !ok && nodeOS != "" {
		return rollout.Operation{}, a.refuse(rollout.CodeInvalid, "want None, Unmanaged, SecurityPatch or NodeImage", "node OS channel %q is not known", nodeOS)
	}
	mc, err := readCluster(ctx, t, a)
	if err != nil {
		return rollout.Operation{}, err
	}
	props := mc.Properties
	auto := props.AutoUpgradeProfile
	if auto == nil {
		auto = &armcontainerservice.ManagedClusterAutoUpgradeProfile{}
	}
	has := text(auto.UpgradeChannel)
	if has == "" {
		has = string(armcontainerservice.UpgradeChannelNone)
	}
	if strings.EqualFold(has, string(upgradeChannel)) && (nodeOS == "" || strings.EqualFold(text(auto.NodeOSUpgradeChannel), nodeOS)) {
		return rollout.Operation{}, nil
	}
	if state := text(props.ProvisioningState); !fleet.Settled(state) {
		return rollout.Operation{}, busy(a, state)
	}
	if err := unchanged(a, cluster.ETag, mc.ETag); err != nil {
		return rollout.Operation{}, err
	}
	auto.UpgradeChannel = &upgradeChannel
	if nodeOS != "" {
		auto.NodeOSUpgradeChannel = &nodeChannel
	}
	props.AutoUpgradeProfile = auto
	return p.writeCluster(ctx, t, kindChannels, a, cluster.ID, mc)
}

// one finds a word among the service's, whatever its case.
func one[T ~string](words []T, word string) (T, bool) {
	for _, w := range words {
		if strings.EqualFold(string(w), word) {
			return w, true
		}
	}
	return "", false
}

// Reconcile implements rollout.Provider. What is well, or at work already, is
// left alone.
func (p *Provider) Reconcile(ctx context.Context, cluster fleet.Cluster, pool *fleet.Pool) (rollout.Operation, error) {
	name := clusterName(cluster.ID, cluster.Name)
	a := act{name, "resume the failed operation"}
	if pool != nil {
		a.object = poolName(pool.Name, strings.TrimPrefix(name, "cluster "))
	}
	t, err := p.cluster(cluster.ID, a)
	if err != nil {
		return rollout.Operation{}, err
	}
	if pool != nil {
		had, err := readPool(ctx, t, pool.Name, a)
		if err != nil {
			return rollout.Operation{}, err
		}
		if !resumable(text(had.Properties.ProvisioningState)) {
			return rollout.Operation{}, nil
		}
		if err := unchanged(a, pool.ETag, had.Properties.ETag); err != nil {
			return rollout.Operation{}, err
		}
		return p.writePool(ctx, t, kindReconcile, a, cluster.ID, pool.Name, had)
	}
	mc, err := readCluster(ctx, t, a)
	if err != nil {
		return rollout.Operation{}, err
	}
	if !resumable(text(mc.Properties.ProvisioningState)) {
		return rollout.Operation{}, nil
	}
	if err := unchanged(a, cluster.ETag, mc.ETag); err != nil {
		return rollout.Operation{}, err
	}
	return p.writeCluster(ctx, t, kindReconcile, a, cluster.ID, mc)
}

func resumable(state string) bool {
	return fleet.Settled(state) && !strings.EqualFold(state, succeededState)
}
