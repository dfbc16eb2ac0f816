package aks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is the whole cloud at one moment, as a test or a demo may assert on it.
type State struct {
	Clusters   []ClusterState  `json:"clusters"`
	Snapshots  []SnapshotState `json:"snapshots,omitempty"`
	Operations []OperationView `json:"operations"`
	Regions    []RegionState   `json:"regions"`
	Quotas     []QuotaState    `json:"quotas,omitempty"`
}

// ClusterState is one cluster in a State.
type ClusterState struct {
	ID                string      `json:"id"`
	Name              string      `json:"name"`
	Version           string      `json:"version"`
	ProvisioningState string      `json:"provisioningState"`
	PowerState        string      `json:"powerState"`
	Pools             []PoolState `json:"pools"`
}

// PoolState is one pool in a State.
type PoolState struct {
	Name              string      `json:"name"`
	Mode              string      `json:"mode"`
	Count             int         `json:"count"`
	Version           string      `json:"version"`
	Image             string      `json:"image"`
	ProvisioningState string      `json:"provisioningState"`
	Error             string      `json:"error,omitempty"`
	Nodes             []NodeState `json:"nodes"`
}

// NodeState is one node in a State.
type NodeState struct {
	Name        string `json:"name"`
	Zone        string `json:"zone"`
	Version     string `json:"version"`
	Image       string `json:"image"`
	Quarantined bool   `json:"quarantined,omitempty"`
}

// SnapshotState is one node pool snapshot in a State.
type SnapshotState struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Image   string `json:"image"`
}

// RegionState is one region in a State.
type RegionState struct {
	Name     string              `json:"name"`
	Versions []string            `json:"versions"`
	Images   map[string][]string `json:"images"`
}

// QuotaState is one quota in a State.
type QuotaState struct {
	Subscription string `json:"subscription"`
	Region       string `json:"region"`
	Family       string `json:"family"`
	Limit        int    `json:"limit"`
	Used         int    `json:"used"`
}

// State returns the whole cloud as it is now.
func (c *Cloud) State() State {
	operations := c.Operations()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := State{Operations: operations, Clusters: []ClusterState{}}
	for _, cl := range c.clusters {
		cs := ClusterState{
			ID: cl.id.String(), Name: cl.id.Name, Version: cl.version.String(), ProvisioningState: cl.state, PowerState: cl.power, Pools: []PoolState{},
		}
		for _, p := range cl.pools {
			ps := PoolState{
				Name: p.name, Mode: p.mode(), Count: p.count(), Version: p.version.String(), Image: p.image, ProvisioningState: p.state, Nodes: []NodeState{},
			}
			if p.failure != nil {
				ps.Error = p.failure.Error()
			}
			for _, n := range p.nodes {
				ps.Nodes = append(ps.Nodes, NodeState{Name: n.name, Zone: n.zone, Version: n.version.String(), Image: n.image, Quarantined: n.quarantined})
			}
			cs.Pools = append(cs.Pools, ps)
		}
		s.Clusters = append(s.Clusters, cs)
	}
	slices.SortFunc(s.Clusters, func(a, b ClusterState) int { return strings.Compare(a.ID, b.ID) })
	for _, snap := range c.snapshots {
		s.Snapshots = append(s.Snapshots, SnapshotState{ID: snap.id.String(), Version: snap.version.String(), Image: snap.image})
	}
	slices.SortFunc(s.Snapshots, func(a, b SnapshotState) int { return strings.Compare(a.ID, b.ID) })
	for _, region := range c.regions {
		r := RegionState{Name: region.Name, Images: region.clone().Images}
		for _, offer := range region.Versions {
			r.Versions = append(r.Versions, offer.String())
		}
		s.Regions = append(s.Regions, r)
	}
	slices.SortFunc(s.Regions, func(a, b RegionState) int { return strings.Compare(a.Name, b.Name) })
	for _, q := range c.quotas {
		s.Quotas = append(s.Quotas, QuotaState{Subscription: q.Subscription, Region: q.Region, Family: q.Family, Limit: q.Limit, Used: c.usedCores(q.Subscription, q.Region, q.Family)})
	}
	return s
}

// Outage stops the control plane of the clusters of a name for a while, without
// the service noticing.
func (c *Cloud) Outage(ctx context.Context, name string, length time.Duration) error {
	for _, cl := range c.named(name) {
		if err := cl.kube.Stop(ctx); err != nil {
			return fmt.Errorf("stopping the control plane of %s: %w", name, err)
		}
	}
	waited := sleep(ctx, length)
	for _, cl := range c.named(name) {
		if err := cl.kube.Start(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("starting the control plane of %s: %w", name, err)
		}
	}
	return waited
}
