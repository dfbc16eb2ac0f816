// Package scenario reads the file that says what a simulated Azure consists of:
// subscriptions, regions with their versions and node images, quotas, subnets,
// clusters with their pools and workloads, the pace of everything, and the
// faults that strike. It decides nothing about how Azure behaves.
package scenario

import (
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"liftlock.dev/liftlock/sim/aks"
	"liftlock.dev/liftlock/sim/fault"
)

// Scenario is a whole simulated Azure. Its zero values mean what the comments say.
type Scenario struct {
	Name          string         `yaml:"name"`
	Identity      Identity       `yaml:"identity"`
	Subscriptions []Subscription `yaml:"subscriptions"`
	Regions       []Region       `yaml:"regions"`
	Quotas        []Quota        `yaml:"quotas"`
	Subnets       []Subnet       `yaml:"subnets"`
	// Manifests are templates of Kubernetes manifests by name, see Cluster.Manifests.
	Manifests map[string]Manifest `yaml:"manifests"`
	Clusters  []Cluster           `yaml:"clusters"`
	Timing    Timing              `yaml:"timing"`
	// RetryAfter in seconds is sent with long-running operations; 0 sends none,
	// as AKS does.
	RetryAfter int `yaml:"retryAfter"`
	// PageSize bounds lists; 0 means 100.
	PageSize   int        `yaml:"pageSize"`
	Throttling Throttling `yaml:"throttling"`
	// BudgetCheck refuses upgrades of pools while any budget in the cluster never
	// allows an eviction (UnsatisfiablePDB), as AKS does unless it is forced.
	BudgetCheck bool          `yaml:"budgetCheck"`
	Faults      []fault.Fault `yaml:"faults"`
}

// Identity is the one application that may sign in. Empty fields get defaults.
type Identity struct {
	TenantID     string `yaml:"tenantId"`
	ClientID     string `yaml:"clientId"`
	ClientSecret string `yaml:"clientSecret"`
	Subject      string `yaml:"subject"`
}

// Subscription is a subscription and its resource groups; those that clusters
// name are added by themselves.
type Subscription struct {
	ID             string   `yaml:"id"`
	Name           string   `yaml:"name"`
	ResourceGroups []string `yaml:"resourceGroups"`
}

// Region is a location with what is offered there.
type Region struct {
	Name     string    `yaml:"name"`
	Versions []Version `yaml:"versions"`
	// NodeImages holds the dates of node images ("202611.03.0") by family,
	// oldest first.
	NodeImages map[string][]string `yaml:"nodeImages"`
}

// Version is an offered Kubernetes version.
type Version struct {
	Version      string `yaml:"version"`
	Preview      bool   `yaml:"preview"`
	LongTermOnly bool   `yaml:"longTermOnly"`
	LongTerm     bool   `yaml:"longTerm"`
	Default      bool   `yaml:"default"`
}

// Quota limits a VM family's vCPUs. Families without one are not limited.
type Quota struct {
	Subscription string `yaml:"subscription"` // name or id
	Region       string `yaml:"region"`
	Family       string `yaml:"family"`
	Limit        int    `yaml:"limit"`
}

// Subnet is a range of addresses; pools name it in properties.vnetSubnetID.
type Subnet struct {
	ID   string `yaml:"id"`
	CIDR string `yaml:"cidr"`
}

// Manifest is a text/template with [[ ]] whose values are a cluster's Values.
type Manifest struct {
	// File is relative to the scenario's own file.
	File string `yaml:"file"`
	Text string `yaml:"text"`
}

// Cluster is a managed cluster that is there from the start.
type Cluster struct {
	Name          string            `yaml:"name"`
	Subscription  string            `yaml:"subscription"` // name or id
	ResourceGroup string            `yaml:"resourceGroup"`
	Location      string            `yaml:"location"`
	Version       string            `yaml:"version"`
	Tags          map[string]string `yaml:"tags"`
	Stopped       bool              `yaml:"stopped"`
	// Properties are the managed cluster's own, as ARM spells them.
	Properties map[string]any `yaml:"properties"`
	SKU        map[string]any `yaml:"sku"`
	Pools      []Pool         `yaml:"pools"`
	// Manifests name what is applied to the cluster, in order.
	Manifests []string       `yaml:"manifests"`
	Values    map[string]any `yaml:"values"`
	// Timing overrides the scenario's for this cluster's nodes and pods.
	Timing *Timing `yaml:"timing"`
}

// Pool is an agent pool that is there from the start.
type Pool struct {
	Name   string            `yaml:"name"`
	Mode   string            `yaml:"mode"` // System or User (default)
	Count  int               `yaml:"count"`
	VMSize string            `yaml:"vmSize"`
	Zones  []string          `yaml:"zones"`
	Labels map[string]string `yaml:"labels"`
	Taints []string          `yaml:"taints"`
	// Version is the cluster's where empty.
	Version string `yaml:"version"`
	// Image is the date of its node image; empty for the oldest of its family.
	Image  string `yaml:"image"`
	Failed bool   `yaml:"failed"`
	// Properties are the agent pool's own, as ARM spells them.
	Properties map[string]any `yaml:"properties"`
}

// Throttling says how much faster than in life the published limits refill.
type Throttling struct {
	Off     bool    `yaml:"off"`
	SpeedUp float64 `yaml:"speedUp"` // 0 means 1
}

// Timing holds durations; each is drawn from a range. Zero means at once.
type Timing struct {
	Seed           int64 `yaml:"seed"`
	NodeBoot       Range `yaml:"nodeBoot"`
	PodStart       Range `yaml:"podStart"`
	PodTermination Range `yaml:"podTermination"`
	VolumeAttach   Range `yaml:"volumeAttach"`
	VolumeDetach   Range `yaml:"volumeDetach"`
	// ControlPlaneUpgrade, Update and Overhead are the operations' own parts.
	ControlPlaneUpgrade Range `yaml:"controlPlaneUpgrade"`
	Update              Range `yaml:"update"`
	Overhead            Range `yaml:"overhead"`
	// Minute is the length of AKS's minutes in drain timeouts and node soaks;
	// zero means a real one.
	Minute fault.Duration `yaml:"minute"`
}

// Range is a range of durations, written "1s-4s" or "2s".
type Range aks.Range

// UnmarshalYAML reads "1s-4s" or "2s".
func (r *Range) UnmarshalYAML(node ast.Node) error {
	complain := func(text string) error {
		return &yaml.SyntaxError{Message: fmt.Sprintf("a range of durations such as 1s-4s, the shorter first (got %q)", text), Token: node.GetToken()}
	}
	scalar, ok := node.(ast.ScalarNode)
	if !ok {
		return complain(node.String())
	}
	text := fmt.Sprint(scalar.GetValue())
	low, high, both := strings.Cut(text, "-")
	if !both {
		high = low
	}
	least, errLow := time.ParseDuration(strings.TrimSpace(low))
	most, errHigh := time.ParseDuration(strings.TrimSpace(high))
	if errLow != nil || errHigh != nil || least < 0 || most < least {
		return complain(text)
	}
	*r = Range{Min: least, Max: most}
	return nil
}

// nodesAndPods is the part of the timing that the Kubernetes side obeys.
func (t Timing) nodesAndPods() aks.Timing {
	return aks.Timing{
		Seed: t.Seed, NodeBoot: aks.Range(t.NodeBoot), PodStart: aks.Range(t.PodStart), PodTermination: aks.Range(t.PodTermination),
		VolumeAttach: aks.Range(t.VolumeAttach), VolumeDetach: aks.Range(t.VolumeDetach),
	}
}
