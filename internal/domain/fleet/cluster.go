package fleet

import "strings"

// Cluster is a managed cluster as its provider describes it.
type Cluster struct {
	ID            string            `json:"id"` // provider id, lower case; unique over all providers
	Name          string            `json:"name"`
	Subscription  string            `json:"subscription,omitempty"`
	ResourceGroup string            `json:"resourceGroup,omitempty"`
	Location      string            `json:"location,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`

	Version           Version `json:"version"` // what the control plane runs, not what was asked for
	ProvisioningState string  `json:"provisioningState"`
	ProvisioningError string  `json:"provisioningError,omitempty"`
	Stopped           bool    `json:"stopped,omitempty"`
	ETag              string  `json:"-"`

	UpgradeChannel       string `json:"upgradeChannel,omitempty"`       // "", none, patch, stable, rapid, node-image
	NodeOSUpgradeChannel string `json:"nodeOSUpgradeChannel,omitempty"` // None, Unmanaged, SecurityPatch, NodeImage
	MaxPools             int    `json:"maxPools,omitempty"`
	LongTermSupport      bool   `json:"longTermSupport,omitempty"`

	// NodeResourceGroup is where the cluster's machines live; nodes name it in
	// their provider ids, which is how an API server is known to be this cluster's.
	NodeResourceGroup string `json:"nodeResourceGroup,omitempty"`
	Endpoint          string `json:"endpoint,omitempty"` // the API server's host name

	Pools []Pool `json:"pools"`
}

// Pool finds a pool by name, or returns nil.
func (c *Cluster) Pool(name string) *Pool {
	for i := range c.Pools {
		if strings.EqualFold(c.Pools[i].Name, name) {
			return &c.Pools[i]
		}
	}
	return nil
}

// Busy reports whether the provider is at work on the cluster or one of its
// pools, and on what. Unknown provisioning states count as busy.
func (c *Cluster) Busy() (what string, busy bool) {
	if !Settled(c.ProvisioningState) {
		return "cluster is " + c.ProvisioningState, true
	}
	for i := range c.Pools {
		if !Settled(c.Pools[i].ProvisioningState) {
			return "pool " + c.Pools[i].Name + " is " + c.Pools[i].ProvisioningState, true
		}
	}
	return "", false
}

// Settled reports whether a provisioning state is terminal. AKS knows
// Succeeded, Failed and Canceled; every other word means work in progress.
func Settled(provisioningState string) bool {
	switch strings.ToLower(provisioningState) {
	case "succeeded", "failed", "canceled":
		return true
	}
	return false
}

// Pool is a node pool as its provider describes it. Fields that a replacement
// pool must copy are all here; what the provider has beyond them is in
// Uncopied.
type Pool struct {
	Name              string            `json:"name"`
	Mode              string            `json:"mode"`  // System, User, Gateway
	OS                string            `json:"os"`    // Linux, Windows
	OSSKU             string            `json:"osSKU"` // Ubuntu, AzureLinux, Windows2022 …
	Type              string            `json:"type"`  // VirtualMachineScaleSets, AvailabilitySet, VirtualMachines
	Spot              bool              `json:"spot,omitempty"`
	VMSize            string            `json:"vmSize"`
	Count             int               `json:"count"`
	Version           Version           `json:"version"` // what its nodes are said to run
	Image             string            `json:"image"`   // node image version
	Zones             []string          `json:"zones,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Taints            []string          `json:"taints,omitempty"` // key=value:Effect
	Tags              map[string]string `json:"tags,omitempty"`
	MaxPods           int               `json:"maxPods,omitempty"`
	Autoscaler        *Autoscaler       `json:"autoscaler,omitempty"` // nil: off
	ProvisioningState string            `json:"provisioningState"`
	ProvisioningError string            `json:"provisioningError,omitempty"`
	Stopped           bool              `json:"stopped,omitempty"`
	SnapshotID        string            `json:"snapshotID,omitempty"`
	ETag              string            `json:"-"`
	// Uncopied names the settings of this pool that a new pool cannot be given.
	Uncopied []string `json:"uncopied,omitempty"`
}

// Autoscaler holds the bounds of a pool's cluster autoscaler, in nodes.
type Autoscaler struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// ImageFamily is the part of a node image version before its date
// ("AKSUbuntu-2204gen2containerd" of "AKSUbuntu-2204gen2containerd-202611.03.0").
// Images are proven per family.
func (p *Pool) ImageFamily() string {
	if i := strings.LastIndex(p.Image, "-"); i > 0 {
		return p.Image[:i]
	}
	return p.Image
}

// Offers says which versions a provider would take a cluster to.
type Offers struct {
	// ControlPlane are the next versions offered to this very cluster.
	ControlPlane []OfferedVersion `json:"controlPlane"`
	// Region are all versions of the cluster's region.
	Region []OfferedVersion `json:"region"`
	// NodeImages holds the newest node image by pool name, where the provider says so.
	NodeImages map[string]string `json:"nodeImages,omitempty"`
}

// OfferedVersion is one version on offer.
type OfferedVersion struct {
	Version      Version `json:"version"`
	Preview      bool    `json:"preview,omitempty"`
	LongTermOnly bool    `json:"longTermOnly,omitempty"` // offered under long-term support only
}

// minPoolsForControlPlaneAlone: AKS clusters that were made when they could
// have only one pool take the pools along with the control plane
// (azure-cli, acs custom.py aks_upgrade: "legacy" clusters).
const minPoolsForControlPlaneAlone = 8

// ControlPlaneAlone reports whether the control plane can be raised without
// the pools. Active upgrade channels also forbid it, but those can be set aside.
func (c *Cluster) ControlPlaneAlone() bool {
	if c.MaxPools > 0 && c.MaxPools < minPoolsForControlPlaneAlone {
		return false
	}
	for i := range c.Pools {
		if strings.EqualFold(c.Pools[i].Type, "AvailabilitySet") {
			return false
		}
	}
	return true
}
