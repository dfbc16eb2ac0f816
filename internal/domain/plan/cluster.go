package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// The steps of a cluster, beside those of its pools.
const (
	StepSetAside     StepKind = "setAside"            // not to be upgraded now; Reason says why
	StepSetChannels  StepKind = "setChannels"         // switch automatic upgrades off, or back on
	StepControlPlane StepKind = "upgradeControlPlane" // raise the control plane to Version
	StepPool         StepKind = "pool"                // bring pool Target to Version
	StepVerify       StepKind = "verify"              // everything has arrived: look at all nodes once more
)

// ClusterView is all that the next step of a cluster depends on.
type ClusterView struct {
	Cluster fleet.Cluster
	Nodes   []fleet.Node
	Target  fleet.Version
	Offers  fleet.Offers
	// Images holds the node image that each family must end on; families that are missing are free.
	Images map[string]string
	// ImagePass: the target is a node image, so pools go although their version stays.
	ImagePass bool
	Policy    func(pool string) fleet.NodePolicy
	Channels  fleet.ChannelPolicy
	// SetAside holds the channels that were switched off, to be restored.
	SetAside *Channels
	// Proven are the versions that earlier rings have proven. A stop on the way
	// to the target uses the one of its minor, never a newer one.
	Proven []fleet.Version
}

// Channels are a cluster's automatic upgrade channels.
type Channels struct {
	Upgrade string `json:"upgrade"`
	NodeOS  string `json:"nodeOS"`
}

// Of reports whether a cluster has these channels. "" and "none" are the same.
func (ch *Channels) Of(c *fleet.Cluster) bool {
	same := func(a, b string) bool {
		return strings.EqualFold(a, b) || !channelActive(a) && !channelActive(b)
	}
	return same(c.UpgradeChannel, ch.Upgrade) && same(c.NodeOSUpgradeChannel, ch.NodeOS)
}

// ClusterStep is one thing to do to a cluster.
type ClusterStep struct {
	Kind     StepKind
	Version  fleet.Version
	Target   string // pool
	Channels Channels
	Hops     []Hop
	Reason   string
}

// NextClusterStep says what a cluster needs now.
func NextClusterStep(v ClusterView) ClusterStep {
	c := &v.Cluster
	if c.Stopped {
		return ClusterStep{Kind: StepSetAside, Reason: "the cluster is stopped; it is picked up when it runs again"}
	}
	if what, busy := c.Busy(); busy {
		return ClusterStep{Kind: StepAwait, Reason: what}
	}
	done := c.Version == v.Target && v.firstPool() == ""
	if !done {
		if s, conflict := v.channelConflict(); conflict {
			return s
		}
	}
	if strings.EqualFold(c.ProvisioningState, "Failed") && !done {
		return ClusterStep{Kind: StepReconcile, Reason: "cluster ended Failed: " + c.ProvisioningError}
	}
	hops, err := Hops(c.Version, v.poolVersions(), v.Target, v.provenFirst(), c.ControlPlaneAlone())
	if err != nil {
		return ClusterStep{Kind: StepRefuse, Reason: err.Error()}
	}
	if len(hops) > 0 && hops[0].ControlPlane != c.Version {
		next := hops[0]
		if pool := v.unfinishedPool(); pool != "" {
			return ClusterStep{Kind: StepPool, Target: pool, Version: c.Version, Hops: hops, Reason: fmt.Sprintf("its pass to %s was begun: it is finished before the control plane goes on", c.Version)}
		}
		if why := v.stuckPools(next.ControlPlane); why != "" {
			return ClusterStep{Kind: StepRefuse, Hops: hops, Version: next.ControlPlane, Reason: why}
		}
		if !v.offered(next.ControlPlane) {
			return ClusterStep{Kind: StepRefuse, Hops: hops, Version: next.ControlPlane, Reason: fmt.Sprintf(
				"%s is not offered to this cluster any more (offered: %s); it was withdrawn, or the region lags: retry later, or run a new rollout",
				next.ControlPlane, offeredList(v.Offers.ControlPlane))}
		}
		return ClusterStep{Kind: StepControlPlane, Version: next.ControlPlane, Hops: hops, Reason: fmt.Sprintf("hop to %s on the way to %s", next.ControlPlane, v.Target)}
	}
	if pool := v.firstPool(); pool != "" && (len(hops) == 0 || hops[0].NodePass) {
		return ClusterStep{Kind: StepPool, Target: pool, Version: c.Version, Hops: hops, Reason: fmt.Sprintf("control plane is at %s: the nodes follow", c.Version)}
	}
	if v.SetAside != nil && !v.SetAside.Of(c) {
		return ClusterStep{Kind: StepSetChannels, Channels: *v.SetAside, Reason: "restore the automatic upgrade channels that the rollout had set aside"}
	}
	return ClusterStep{Kind: StepVerify, Reason: "control plane and pools have arrived"}
}

// channelConflict tells of automatic upgrades that would race the rollout or
// break an image pin.
func (v *ClusterView) channelConflict() (ClusterStep, bool) {
	c := &v.Cluster
	upgrade := channelActive(c.UpgradeChannel)
	nodeOS := strings.EqualFold(c.NodeOSUpgradeChannel, "NodeImage")
	if !upgrade && !nodeOS {
		return ClusterStep{}, false
	}
	what := fmt.Sprintf("upgradeChannel %q, nodeOSUpgradeChannel %q", c.UpgradeChannel, c.NodeOSUpgradeChannel)
	if v.Channels == fleet.ChannelsReport {
		if !upgrade {
			return ClusterStep{}, false // the image pin may be lost; a finding says so, the upgrade itself is safe
		}
		return ClusterStep{Kind: StepRefuse, Reason: what + ": the provider's own upgrades would race this rollout; set spec.channels: setAside to switch them off meanwhile, or switch them off yourself"}, true
	}
	to := Channels{Upgrade: c.UpgradeChannel, NodeOS: c.NodeOSUpgradeChannel}
	if upgrade {
		to.Upgrade = "none"
	}
	if nodeOS {
		to.NodeOS = "None"
	}
	return ClusterStep{Kind: StepSetChannels, Channels: to, Reason: "set aside for the rollout: " + what}, true
}

func channelActive(channel string) bool {
	return channel != "" && !strings.EqualFold(channel, "none")
}

// offered reports whether the cluster may go to version now. Where a provider
// lists nothing, its refusal decides.
func (v *ClusterView) offered(to fleet.Version) bool {
	return len(v.Offers.ControlPlane) == 0 && len(v.Offers.Region) == 0 ||
		slices.ContainsFunc(v.Offers.ControlPlane, func(o fleet.OfferedVersion) bool { return o.Version == to })
}

// provenFirst are the versions of the region, of proven minors only the proven
// ones: whether these can still be had is asked when their turn comes.
func (v *ClusterView) provenFirst() []fleet.OfferedVersion {
	var offers []fleet.OfferedVersion
	for _, o := range v.Offers.Region {
		if !slices.ContainsFunc(v.Proven, o.Version.SameMinor) {
			offers = append(offers, o)
		}
	}
	for _, p := range v.Proven {
		offers = append(offers, fleet.OfferedVersion{Version: p})
	}
	return offers
}

// stuckPools says why the control plane may not go to a version for the sake of
// what cannot follow it, or "".
func (v *ClusterView) stuckPools(to fleet.Version) string {
	for i := range v.Cluster.Pools {
		p := &v.Cluster.Pools[i]
		if p.Stopped && to.Minor-p.Version.Minor > MaxSkew {
			return fmt.Sprintf("pool %s is stopped at %s, and at most %d minors may lie between it and the control plane: start it or delete it before the control plane goes to %s", p.Name, p.Version, MaxSkew, to)
		}
	}
	if v.Cluster.ControlPlaneAlone() {
		return ""
	}
	for i := range v.Cluster.Pools {
		if name := v.Cluster.Pools[i].Name; v.Policy(name).Strategy != fleet.InPlace {
			return fmt.Sprintf("the provider takes the pools of this cluster along with its control plane (maxAgentPools %d, or an availability set), so pool %s cannot be upgraded by strategy %s; use strategy inPlace for all its pools, or move its workloads to a new cluster",
				v.Cluster.MaxPools, name, v.Policy(name).Strategy)
		}
	}
	return ""
}

// unfinishedPool names a pool whose pass to the control plane's present version
// was begun and is not over, or "".
func (v *ClusterView) unfinishedPool() string {
	for _, name := range PoolOrder(&v.Cluster, v.Policy) {
		p := v.Cluster.Pool(name)
		if v.standsIn(p) || p.Stopped {
			continue
		}
		if standIn := StandIn(&v.Cluster, name); standIn != nil || p.Version == v.Cluster.Version && v.nodesBehind(p) {
			return name
		}
	}
	return ""
}

// poolVersions are the versions of the pools that can follow, and of their
// nodes, which may be behind what the provider says.
func (v *ClusterView) poolVersions() []fleet.Version {
	var versions []fleet.Version
	for i := range v.Cluster.Pools {
		if p := &v.Cluster.Pools[i]; !p.Stopped {
			versions = append(versions, p.Version)
		}
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if p := v.Cluster.Pool(n.Pool); p != nil && !p.Stopped && !n.Version.IsZero() {
			versions = append(versions, n.Version)
		}
	}
	return versions
}

func (v *ClusterView) standsIn(p *fleet.Pool) bool {
	original := p.Tags[TagFor]
	return original != "" && v.Cluster.Pool(original) != nil && StandIn(&v.Cluster, original) == p
}

// firstPool names the pool whose turn it is, or "" when all have arrived.
func (v *ClusterView) firstPool() string {
	for _, name := range PoolOrder(&v.Cluster, v.Policy) {
		p := v.Cluster.Pool(name)
		if v.standsIn(p) || p.Stopped {
			continue
		}
		if standIn := StandIn(&v.Cluster, name); standIn != nil {
			return name // begun and not finished
		}
		behind := p.Version != v.Cluster.Version
		image := v.Images[p.ImageFamily()]
		if behind || v.ImagePass && image != "" && !strings.EqualFold(image, p.Image) || strings.EqualFold(p.ProvisioningState, "Failed") || v.nodesBehind(p) {
			return name
		}
	}
	return ""
}

// nodesBehind reports whether a node of the pool runs another version than
// the provider claims: nodes are believed, "Succeeded" is not.
func (v *ClusterView) nodesBehind(p *fleet.Pool) bool {
	return slices.ContainsFunc(v.Nodes, func(n fleet.Node) bool {
		return strings.EqualFold(n.Pool, p.Name) && (n.Version != v.Cluster.Version || n.Annotations[fleet.MarkCordoned] != "")
	})
}

// PoolOrder lists a cluster's pools in the order in which they are upgraded:
// the canary pool, then by the patterns of poolOrder, then System before User,
// then by name.
func PoolOrder(c *fleet.Cluster, policy func(pool string) fleet.NodePolicy) []string {
	rank := func(p *fleet.Pool) int {
		pol := policy(p.Name)
		if pol.CanaryPool != "" && Match(pol.CanaryPool, p.Name) {
			return -1
		}
		if i := slices.IndexFunc(pol.PoolOrder, func(pattern string) bool { return Match(pattern, p.Name) }); i >= 0 {
			return i
		}
		return len(pol.PoolOrder)
	}
	pools := make([]*fleet.Pool, len(c.Pools))
	for i := range c.Pools {
		pools[i] = &c.Pools[i]
	}
	slices.SortStableFunc(pools, func(a, b *fleet.Pool) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		if as, bs := strings.EqualFold(a.Mode, "System"), strings.EqualFold(b.Mode, "System"); as != bs {
			if as {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	names := make([]string, len(pools))
	for i, p := range pools {
		names[i] = p.Name
	}
	return names
}

// Match reports whether a name fits a pattern with * and ?, case ignored. A *
// also spans slashes, as in "Deployment/*". A pattern that cannot be read fits
// nothing.
func Match(pattern, name string) bool {
	flat := strings.NewReplacer("/", "\x00")
	ok, err := path.Match(flat.Replace(strings.ToLower(pattern)), flat.Replace(strings.ToLower(name)))
	return err == nil && ok
}

func offeredList(offers []fleet.OfferedVersion) string {
	versions := make([]fleet.Version, len(offers))
	for i, o := range offers {
		versions[i] = o.Version
	}
	return list(versions)
}
