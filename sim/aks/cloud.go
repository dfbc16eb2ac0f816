package aks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"liftlock.dev/liftlock/sim/fault"
)

// Subscription is a billing account that holds resource groups.
type Subscription struct {
	ID, Name, Tenant string
}

// Quota limits the vCPUs of a VM family in a region of a subscription.
type Quota struct {
	Subscription, Region, Family string
	Limit                        int
}

// Subnet is a range of addresses that pools take theirs from.
type Subnet struct {
	ID     string
	Prefix netip.Prefix
}

// Pace holds the durations of operations beyond what nodes and pods take.
type Pace struct {
	// ControlPlaneUpgrade is what an upgrade takes beyond the restart.
	ControlPlaneUpgrade Range
	// Update is what a change of settings takes.
	Update Range
	// Overhead is what every pool operation takes before its first node.
	Overhead Range
	// Minute is the length of the minutes in drain timeouts and node soaks.
	Minute time.Duration
	// Seed makes the draws repeatable.
	Seed uint64
}

// Observer is told of clusters that come and go.
type Observer interface {
	// ClusterUp is called when a cluster's API server is up for the first time.
	ClusterUp(id ClusterID, kube Cluster)
	// ClusterGone is called when a cluster was deleted.
	ClusterGone(id ClusterID)
}

// Options says what a cloud consists of.
type Options struct {
	Kubernetes    Kubernetes
	Faults        *fault.Set
	Logger        *slog.Logger
	Now           func() time.Time
	Observer      Observer // may be nil
	Subscriptions []Subscription
	Groups        map[string][]string // resource groups by subscription
	Regions       []Region
	Quotas        []Quota
	Subnets       []Subnet
	Pace          Pace
	// Timing of the nodes and pods in a cluster, by cluster name.
	Timing func(cluster string) Timing
	// AddOns is the manifest of what every cluster brings along in kube-system.
	AddOns []byte
	// BudgetCheck returns the budgets of a cluster that never allow an eviction,
	// in AKS's words; nil skips the check before upgrades of pools.
	BudgetCheck func(ctx context.Context, kubeconfig []byte) ([]string, error)
}

// Cloud is the simulated service with all its resources. It is safe for
// concurrent use.
type Cloud struct {
	kube     Kubernetes
	faults   *fault.Set
	log      *slog.Logger
	now      func() time.Time
	observer Observer
	pace     Pace
	timing   func(string) Timing
	addOns   []byte
	budgets  func(context.Context, []byte) ([]string, error)

	running sync.WaitGroup

	mu            sync.Mutex
	closed        bool
	random        *rand.Rand
	subscriptions []Subscription
	groups        map[string]string // canonical names by lower-case "subscription/group"
	regions       map[string]*Region
	quotas        []Quota
	subnets       map[string]Subnet
	clusters      map[string]*cluster
	snapshots     map[string]*snapshot
	operations    map[string]*Operation
}

// New returns a cloud without clusters.
func New(o Options) *Cloud {
	c := &Cloud{
		kube: o.Kubernetes, faults: o.Faults, log: o.Logger, now: o.Now, observer: o.Observer, pace: o.Pace, timing: o.Timing,
		addOns: o.AddOns, budgets: o.BudgetCheck, random: rand.New(rand.NewPCG(o.Pace.Seed, 0x11f7)), //nolint:gosec // a simulation must repeat
		subscriptions: o.Subscriptions, groups: map[string]string{}, regions: map[string]*Region{}, quotas: slices.Clone(o.Quotas),
		subnets: map[string]Subnet{}, clusters: map[string]*cluster{}, snapshots: map[string]*snapshot{}, operations: map[string]*Operation{},
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.faults == nil {
		c.faults = fault.NewSet(c.now)
	}
	if c.pace.Minute == 0 {
		c.pace.Minute = time.Minute
	}
	if c.timing == nil {
		c.timing = func(string) Timing { return Timing{} }
	}
	for _, region := range o.Regions {
		c.regions[strings.ToLower(region.Name)] = region.clone()
	}
	for _, subnet := range o.Subnets {
		c.subnets[strings.ToLower(subnet.ID)] = subnet
	}
	for subscription, groups := range o.Groups {
		for _, group := range groups {
			c.groups[groupKey(subscription, group)] = group
		}
	}
	return c
}

// Close ends all operations, stops every control plane and waits for both.
func (c *Cloud) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	for _, op := range c.operations {
		op.cancel(errClosed)
	}
	c.mu.Unlock()
	stopped := make(chan struct{})
	go func() { c.running.Wait(); close(stopped) }()
	var waited error
	select {
	case <-stopped:
	case <-ctx.Done():
		waited = fmt.Errorf("waiting for operations to stop: %w", ctx.Err())
	}
	return errors.Join(waited, c.kube.Close(ctx))
}

func groupKey(subscription, group string) string { return strings.ToLower(subscription + "/" + group) }

// uuid makes a random identifier. The caller holds c.mu.
func (c *Cloud) uuid() string {
	a, b := c.random.Uint64(), c.random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", a>>32, (a>>16)&0xffff, a&0xfff, (b>>48)&0xfff, b&0xffffffffffff)
}

// draw picks a duration from a range.
func (c *Cloud) draw(r Range) time.Duration {
	if r.Max <= r.Min {
		return r.Min
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.Min + time.Duration(c.random.Int64N(int64(r.Max-r.Min)+1))
}

// Subscriptions lists the subscriptions.
func (c *Cloud) Subscriptions() []Subscription { return slices.Clone(c.subscriptions) }

// CheckGroup refuses subscriptions and resource groups that do not exist; group
// may be empty.
func (c *Cloud) CheckGroup(subscription, group string) error {
	if !slices.ContainsFunc(c.subscriptions, func(s Subscription) bool { return strings.EqualFold(s.ID, subscription) }) {
		return subscriptionNotFound(subscription)
	}
	if group == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.groups[groupKey(subscription, group)]; !ok {
		return groupNotFound(group)
	}
	return nil
}

// Groups lists the resource groups of a subscription.
func (c *Cloud) Groups(subscription string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var groups []string
	for key, name := range c.groups {
		if strings.HasPrefix(key, strings.ToLower(subscription)+"/") {
			groups = append(groups, name)
		}
	}
	slices.Sort(groups)
	return groups
}

// find returns a cluster. The caller holds c.mu.
func (c *Cloud) find(id ClusterID) (*cluster, error) {
	if cl, ok := c.clusters[id.Key()]; ok {
		return cl, nil
	}
	if _, ok := c.groups[groupKey(id.Subscription, id.Group)]; !ok {
		return nil, groupNotFound(id.Group)
	}
	return nil, notFound(clusterType, id.Name, id.Group)
}

// usedCores counts the vCPUs that a family's machines take in a region of a
// subscription. The caller holds c.mu.
func (c *Cloud) usedCores(subscription, region, family string) int {
	used := 0
	for _, cl := range c.clusters {
		if !strings.EqualFold(cl.id.Subscription, subscription) || !strings.EqualFold(cl.location, region) || cl.power == powerStopped {
			continue
		}
		for _, p := range cl.pools {
			if size := p.size(); strings.EqualFold(size.Family, family) {
				used += size.VCPUs * len(p.nodes)
			}
		}
	}
	return used
}

// coresLeft returns the limit and use of a family. The caller holds c.mu.
func (c *Cloud) coresLeft(cl *cluster, family string) (limit, used int, limited bool) {
	for _, q := range c.quotas {
		if strings.EqualFold(q.Subscription, cl.id.Subscription) && strings.EqualFold(q.Region, cl.location) && strings.EqualFold(q.Family, family) {
			return q.Limit, c.usedCores(q.Subscription, q.Region, family), true
		}
	}
	return 0, 0, false
}

// SetQuota changes a limit; an empty subscription means all of them.
func (c *Cloud) SetQuota(q Quota) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subscriptions {
		if q.Subscription != "" && !strings.EqualFold(q.Subscription, s.ID) {
			continue
		}
		c.quotas = slices.DeleteFunc(c.quotas, func(other Quota) bool {
			return strings.EqualFold(other.Subscription, s.ID) && strings.EqualFold(other.Region, q.Region) && strings.EqualFold(other.Family, q.Family)
		})
		c.quotas = append(c.quotas, Quota{Subscription: s.ID, Region: q.Region, Family: q.Family, Limit: q.Limit})
	}
}

// addresses returns the room of the subnet that a pool is in: how many
// addresses it has, how many nodes of all pools take, and how many one node of
// this pool takes. The caller holds c.mu.
func (c *Cloud) addresses(cl *cluster, p *pool) (capacity, used, perNode int, limited bool) {
	id := p.props.text("vnetSubnetID")
	subnet, ok := c.subnets[strings.ToLower(id)]
	if !ok {
		return 0, 0, 0, false
	}
	// Azure keeps five addresses of every subnet for itself.
	capacity = max(1<<(subnet.Prefix.Addr().BitLen()-subnet.Prefix.Bits())-5, 0)
	for _, other := range c.clusters {
		for _, q := range other.pools {
			if strings.EqualFold(q.props.text("vnetSubnetID"), id) {
				used += len(q.nodes) * addressesPerNode(other, q)
			}
		}
	}
	return capacity, used, addressesPerNode(cl, p), true
}

// addressesPerNode is one, and one more for each pod where pods live in the
// nodes' subnet.
func addressesPerNode(cl *cluster, p *pool) int {
	network := cl.props.object("networkProfile")
	if strings.EqualFold(network.text("networkPlugin"), "azure") && network.text("networkPluginMode") == "" && p.props.text("podSubnetID") == "" && len(network) > 0 {
		return 1 + p.maxPods()
	}
	return 1
}

// WithdrawVersion takes a version out of a region's offer.
func (c *Cloud) WithdrawVersion(region string, v Version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.regions[strings.ToLower(region)]; r != nil {
		r.Versions = slices.DeleteFunc(r.Versions, func(o OfferedVersion) bool { return o.Version == v })
	}
}

// OfferVersion adds a version to a region's offer.
func (c *Cloud) OfferVersion(region string, o OfferedVersion) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.regions[strings.ToLower(region)]; r != nil {
		r.Versions = slices.DeleteFunc(r.Versions, func(other OfferedVersion) bool { return other.Version == o.Version })
		r.Versions = append(r.Versions, o)
	}
}

// ReleaseImage makes a date the newest of a family's node images in a region.
func (c *Cloud) ReleaseImage(region, family, date string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.regions[strings.ToLower(region)]; r != nil {
		r.Images[family] = append(slices.DeleteFunc(r.Images[family], func(d string) bool { return d == date }), date)
	}
}
