package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

// Need names a kind of facts that checks depend on.
type Need string

// The kinds of facts.
const (
	NeedTarget      Need = "target"         // the version to upgrade to
	NeedProvider    Need = "provider"       // the cluster as its provider describes it
	NeedOffers      Need = "offers"         // the versions that the provider offers
	NeedSnapshot    Need = "snapshot"       // nodes, pods, workloads, budgets, claims
	NeedServer      Need = "serverVersion"  // the API server's own version
	NeedObjects     Need = "objects"        // objects of every kind, with the versions they were written at
	NeedUsage       Need = "apiUsage"       // deprecated APIs that were asked for since the API server started
	NeedWebhooks    Need = "webhooks"       // admission webhooks and what is behind them
	NeedAPIServices Need = "apiServices"    // aggregated APIs
	NeedQuotas      Need = "resourceQuotas" // quotas of namespaces
	NeedAttach      Need = "attachLimits"   // how many volumes nodes can attach
)

// Facts are all that was gathered about one cluster, or about files that are to
// go to one. What is not in Read must not be looked at: that a list is empty says
// nothing then.
type Facts struct {
	Cluster string    // its name, or that of the file
	Ring    string    // that it belongs to; "" outside of a fleet
	At      time.Time // when they were gathered

	// Target is what the cluster is to be raised to.
	Target fleet.Version
	// Policy is the node policy of a pool; nil for the usual one.
	Policy   func(pool string) fleet.NodePolicy
	Channels fleet.ChannelPolicy

	Managed *fleet.Cluster
	Offers  fleet.Offers
	// NoTarget is why no version could be found that the target means.
	NoTarget string

	Snapshot fleet.Snapshot
	Server   fleet.Version
	Objects  []fleet.Object
	Usage    []lifecycle.Requested // as the API server counts them
	Uses     []lifecycle.Use       // as its audit log has them
	Webhooks []Webhook
	Services []APIService
	Quotas   []Quota
	Attach   []AttachLimit

	// Found is what gathering itself found out.
	Found []fleet.Finding
	// Read are the kinds of facts that are here, be it in part.
	Read map[Need]bool
	// Unread is what is not here, and why.
	Unread []Unread

	moved *moving // what leaves the nodes, worked out once
}

// Unread is what could not be read.
type Unread struct {
	Need Need `json:"need"`
	// What is meant, where it is a part of the need: "secrets", "widgets.example.com".
	What string `json:"what,omitempty"`
	Why  string `json:"why"`
	// Remedy is what to do about it: an RBAC rule to grant, a kind to ask for.
	Remedy string `json:"remedy,omitempty"`
	// Absent: the source does not hold such facts, as a file holds nothing of the
	// provider. Nothing failed.
	Absent bool `json:"absent,omitempty"`
}

// Has notes that facts were read.
func (f *Facts) Has(needs ...Need) {
	if f.Read == nil {
		f.Read = map[Need]bool{}
	}
	for _, n := range needs {
		f.Read[n] = true
	}
}

// Gets notes that facts came from elsewhere than the source, which does not hold
// them.
func (f *Facts) Gets(need Need) {
	f.Has(need)
	f.Unread = slices.DeleteFunc(f.Unread, func(u Unread) bool { return u.Need == need && u.Absent })
}

// Lacks notes what could not be read.
func (f *Facts) Lacks(u Unread) { f.Unread = append(f.Unread, u) }

// policy is the node policy of a pool.
func (f *Facts) policy(pool string) fleet.NodePolicy {
	if f.Policy == nil {
		return fleet.UsualNodePolicy()
	}
	return f.Policy(pool)
}

// Webhook is one webhook of an admission configuration.
type Webhook struct {
	Kind          string // ValidatingWebhookConfiguration, MutatingWebhookConfiguration
	Configuration string
	Name          string
	// Fails: failurePolicy Fail. What it is asked about is refused while it is away.
	Fails bool
	// Asks are the rules in short: "CREATE pods", "* *.apps".
	Asks []string
	// Pods: it is asked about pods that are made or evicted.
	Pods bool
	// Service is "namespace/name"; "" for one outside of the cluster.
	Service   string
	Endpoints []fleet.Endpoint // of the service
	// Missing: there is no such service.
	Missing bool
	// OwnNamespaceExcluded: it is not asked about the namespace of its service.
	OwnNamespaceExcluded bool
	Owner                string
}

// APIService is an API that another server answers.
type APIService struct {
	Name      string // "v1beta1.metrics.k8s.io"
	Service   string // "namespace/name" behind it; "" for the API server itself
	Available bool
	Why       string // the condition's own words
}

// Quota is what a ResourceQuota leaves free of one resource.
type Quota struct {
	Namespace, Name string
	Resource        string // pods, requests.cpu, requests.memory
	Hard, Used      int64  // millicores, bytes, or a count
}

// AttachLimit is how many volumes of a driver a node can have attached.
type AttachLimit struct {
	Node, Driver string
	Limit        int
}

// some lists the first few of many.
func some(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// sortedKeys are a map's keys in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// counted writes a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
