package fleet

import "time"

// Spec is a Fleet file after defaults and validation: what shall be upgraded,
// in which order, when, and how. It is kept with every rollout by its digest.
type Spec struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // sha256 of the file, hex
	// Cloud, Identity, Access and Sources say where clusters are found and how
	// they are reached.
	Cloud    Cloud    `json:"cloud"`
	Identity Identity `json:"identity"`
	Access   Access   `json:"access"`
	Sources  []Source `json:"sources"`

	Target  Target   `json:"target"`
	Rings   []Ring   `json:"rings"` // in order
	Freezes []Freeze `json:"freezes,omitempty"`
	// Nodes is the policy of pools that no Override names.
	Nodes     NodePolicy `json:"nodes"`
	Overrides []Override `json:"overrides,omitempty"`
	// Channels says what to do about a provider's own automatic upgrades that would race a rollout.
	Channels ChannelPolicy `json:"channels"`
	Accept   []Acceptance  `json:"accept,omitempty"`
}

// Ring finds a ring by name, or returns nil and -1.
func (s *Spec) Ring(name string) (*Ring, int) {
	for i := range s.Rings {
		if s.Rings[i].Name == name {
			return &s.Rings[i], i
		}
	}
	return nil, -1
}

// Cloud names the Azure cloud to talk to.
type Cloud struct {
	Name              string `json:"name"` // Public, Government, China, Custom
	ResourceManager   string `json:"resourceManager,omitempty"`
	Audience          string `json:"audience,omitempty"`
	ActiveDirectory   string `json:"activeDirectory,omitempty"`
	CAFile            string `json:"caFile,omitempty"`
	InstanceDiscovery bool   `json:"instanceDiscovery"`
}

// Identity says which Azure identity to act as. Secrets are never in it: they
// come from files and the environment that it names.
type Identity struct {
	Kind            string `json:"kind"` // Default, WorkloadIdentity, ManagedIdentity, CLI, Certificate, Secret
	TenantID        string `json:"tenantID,omitempty"`
	ClientID        string `json:"clientID,omitempty"`
	TokenFile       string `json:"tokenFile,omitempty"`
	CertificateFile string `json:"certificateFile,omitempty"`
	SecretFile      string `json:"secretFile,omitempty"`
}

// Access says how API servers are reached.
type Access struct {
	Kind string `json:"kind"` // ARM, Kubeconfig
	// File is the kubeconfig for Kind Kubeconfig; Contexts maps cluster names
	// to its contexts. The current context is never used.
	File     string            `json:"file,omitempty"`
	Contexts map[string]string `json:"contexts,omitempty"`
}

// Source is a place where clusters are looked for.
type Source struct {
	Subscription   string            `json:"subscription"`
	ResourceGroups []string          `json:"resourceGroups,omitempty"` // patterns with * and ?, case ignored; empty for all
	Tags           map[string]string `json:"tags,omitempty"`
	Exclude        []string          `json:"exclude,omitempty"` // cluster name patterns
}

// Selector picks clusters of the fleet. All given fields must match.
type Selector struct {
	Names          []string          `json:"names,omitempty"` // patterns
	Tags           map[string]string `json:"tags,omitempty"`  // values are patterns
	Subscriptions  []string          `json:"subscriptions,omitempty"`
	ResourceGroups []string          `json:"resourceGroups,omitempty"` // patterns
	Locations      []string          `json:"locations,omitempty"`
}

// Channel is a version policy.
type Channel string

// The channels of a Target.
const (
	ChannelStable    Channel = "stable"     // latest GA patch of N-1, N being the newest GA minor of the region
	ChannelRapid     Channel = "rapid"      // latest GA patch of N
	ChannelPatch     Channel = "patch"      // latest GA patch of the cluster's own minor
	ChannelNodeImage Channel = "node-image" // newest node image, same Kubernetes version
	ChannelExact     Channel = "exact"      // Target.Version
)

// Target is what a rollout raises clusters to.
type Target struct {
	Channel Channel `json:"channel"`
	Version Version `json:"version,omitzero"` // for ChannelExact
}

// Ring is a group of clusters that are upgraded together.
type Ring struct {
	Name        string        `json:"name"`
	Select      Selector      `json:"select"`
	Windows     []Window      `json:"windows,omitempty"` // none: always open
	Freezes     []Freeze      `json:"freezes,omitempty"`
	OnClose     OnClose       `json:"onClose"`
	Concurrency Amount        `json:"concurrency"` // clusters at once
	Soak        time.Duration `json:"soak,omitempty"`
	Before      []Approval    `json:"before,omitempty"` // needed before the ring starts
	After       []Approval    `json:"after,omitempty"`  // needed before the next ring may start
	Failures    FailurePolicy `json:"failures"`
	Target      *Target       `json:"target,omitempty"` // only where a ring holds back on purpose; never beyond what is proven
}

// OnClose says what happens to work that is under way when its window closes.
type OnClose string

// The choices of OnClose.
const (
	FinishWave    OnClose = "finishWave"    // finish the wave of pods, then wait
	FinishCluster OnClose = "finishCluster" // finish the clusters that were started
	PauseAtOnce   OnClose = "pause"         // start nothing new at all
)

// Amount is a count or a percentage of a whole. Percentages round down but
// yield at least one.
type Amount struct {
	Count   int `json:"count,omitempty"`
	Percent int `json:"percent,omitempty"`
}

// Of resolves the amount against a whole, at least one.
func (a Amount) Of(whole int) int {
	if a.Percent > 0 {
		return max(1, whole*a.Percent/100)
	}
	return max(1, a.Count)
}

// Window is a recurring span of local time in which work may start.
type Window struct {
	Days     []time.Weekday `json:"days,omitempty"` // the days on which it opens; empty for every day
	Start    TimeOfDay      `json:"start"`
	Duration time.Duration  `json:"duration"` // of wall-clock time; may pass midnight
	TimeZone string         `json:"timeZone"` // IANA name
}

// TimeOfDay is minutes since local midnight.
type TimeOfDay int

// Freeze is a span in which nothing starts.
type Freeze struct {
	Name     string    `json:"name"`
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`              // exclusive
	TimeZone string    `json:"timeZone,omitempty"` // IANA name, for messages
}

// Approval is a person's consent that a gate waits for.
type Approval struct {
	Name    string        `json:"name"`
	Role    string        `json:"role"`
	Expires time.Duration `json:"expires,omitempty"` // how long a given approval holds; zero for ever
}

// FailurePolicy says how many clusters of a ring may fail.
type FailurePolicy struct {
	// Allowed clusters may fail before nothing new is started; 0 stops at the first.
	Allowed Amount0 `json:"allowed"`
	// MinSuccess of the ring's clusters must succeed for its versions to count as proven.
	MinSuccess Amount `json:"minSuccess"`
	// FailOnSetAside counts stopped and unreachable clusters as failed.
	FailOnSetAside bool `json:"failOnSetAside,omitempty"`
}

// Needed is how many of a ring's clusters must succeed: percentages round up,
// and no policy means all.
func (f FailurePolicy) Needed(clusters int) int {
	switch {
	case f.MinSuccess.Percent > 0:
		return (clusters*f.MinSuccess.Percent + 99) / 100
	case f.MinSuccess.Count > 0:
		return min(f.MinSuccess.Count, clusters)
	}
	return clusters
}

// Amount0 is an Amount that may be none; percentages round down.
type Amount0 struct {
	Count   int `json:"count,omitempty"`
	Percent int `json:"percent,omitempty"`
}

// Of resolves the amount against a whole.
func (a Amount0) Of(whole int) int {
	if a.Percent > 0 {
		return whole * a.Percent / 100
	}
	return a.Count
}

// Strategy is how the nodes of a pool come to the target.
type Strategy string

// The strategies. See docs/concepts.md.
const (
	BlueGreen Strategy = "blueGreen"
	Buffer    Strategy = "buffer"
	InPlace   Strategy = "inPlace"
)

// NodePolicy says how pools are upgraded.
type NodePolicy struct {
	Strategy   Strategy         `json:"strategy"`
	PoolOrder  []string         `json:"poolOrder,omitempty"`  // patterns; pools that match none come last, System before User
	CanaryPool string           `json:"canaryPool,omitempty"` // pattern; goes first and soaks alone
	Soak       time.Duration    `json:"soak,omitempty"`       // between a pool's move and the deletion of its old nodes
	Pace       Pace             `json:"pace"`
	Evacuation EvacuationPolicy `json:"evacuation"`
	// ExtraNodes is how many nodes more than the pool has may exist while
	// blueGreen replaces it; none means as many as the pool has.
	ExtraNodes Amount0 `json:"extraNodes,omitzero"`
	MaxSurge   string  `json:"maxSurge,omitempty"` // for inPlace: the provider's surge ("33%", "5")
	// RequireBackup, when not zero, wants a backup at most that old before a point of no return.
	RequireBackup time.Duration `json:"requireBackup,omitempty"`
	BackupFile    string        `json:"backupFile,omitempty"` // a file whose modification time is the newest backup's
}

// Pace bounds how much of a cluster moves at once.
type Pace struct {
	CanaryNodes  int    `json:"canaryNodes"`  // nodes emptied alone first; 0 for none
	MaxInMotion  Amount `json:"maxInMotion"`  // pods of the cluster that move at once
	HealthPasses int    `json:"healthPasses"` // consecutive healthy looks between waves
}

// EvacuationPolicy says what may be done to awkward pods.
type EvacuationPolicy struct {
	BarePods  string        `json:"barePods"`  // refuse, evict
	LocalData string        `json:"localData"` // refuse, evict
	JobWait   time.Duration `json:"jobWait"`   // how long a Job's pod is waited for; then it is refused
	JobsAfter string        `json:"jobsAfter"` // refuse, evict: what happens after JobWait
	MaxSurge  Amount        `json:"maxSurge"`  // how far a workload may be raised above its replicas
	Timeout   time.Duration `json:"timeout"`   // a pool whose pods do not move for that long fails
	// OnFailure is what happens when what moved does not come back, or nothing
	// moves for Timeout: wait (for a person; a pool that timed out fails) or
	// rollback.
	OnFailure OnFailure `json:"onFailure,omitempty"`
	// LoadBalancerSettle is how long external load balancers get to notice new
	// nodes, and nodes that were taken out; zero leaves all nodes in.
	LoadBalancerSettle time.Duration `json:"loadBalancerSettle,omitempty"`
	PrePull            PrePull       `json:"prePull,omitzero"`
}

// PrePull says which images are pulled to new nodes before the first cordon.
type PrePull struct {
	Images    PrePullImages `json:"images,omitempty"`
	Threshold int64         `json:"threshold,omitempty"` // bytes from which an image is big
	Timeout   time.Duration `json:"timeout,omitempty"`   // how long they are waited for
}

// PrePullImages picks images.
type PrePullImages string

// The choices of PrePull.
const (
	PrePullOff PrePullImages = "off"
	PrePullBig PrePullImages = "bigImages"
	PrePullAll PrePullImages = "all"
)

// OnFailure is what follows when an evacuation's health gate fails.
type OnFailure string

// The choices of OnFailure.
const (
	FailureWaits     OnFailure = "wait"
	FailureRollsBack OnFailure = "rollback"
)

// ChannelPolicy says what to do about automatic upgrades of the provider.
type ChannelPolicy string

// The choices of ChannelPolicy.
const (
	ChannelsReport   ChannelPolicy = "report"   // name the conflict and do not start the cluster
	ChannelsSetAside ChannelPolicy = "setAside" // switch off for the rollout, restore afterwards
)

// Acceptance is an owner's written consent to a finding.
type Acceptance struct {
	Finding string    `json:"finding"`           // finding id
	Cluster string    `json:"cluster,omitempty"` // pattern
	Object  string    `json:"object,omitempty"`  // pattern
	Owner   string    `json:"owner"`
	Reason  string    `json:"reason"`
	Until   time.Time `json:"until"`
}
