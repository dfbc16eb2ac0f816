package v1alpha1

// Nodes says how node pools are upgraded.
type Nodes struct {
	// `blueGreen` makes a new pool, moves every pod once and deletes the old
	// pool after its soak; `buffer` moves to a temporary pool, upgrades the
	// original in place and moves back, which keeps pool names; `inPlace` is
	// the provider's own surge upgrade, guarded and watched.
	Strategy string `json:"strategy,omitempty" jsonschema:"enum=blueGreen,enum=buffer,enum=inPlace,default=blueGreen"`
	// The order of the pools, as patterns of their names. Pools that match none
	// come last, system pools before user pools.
	PoolOrder []string `json:"poolOrder,omitempty" jsonschema:"minItems=1,uniqueItems=true"`
	// A pool that goes first and soaks alone, as a pattern of its name.
	CanaryPool string `json:"canaryPool,omitempty"`
	// How long a pool's old nodes are kept after its pods have moved, so that
	// moving back stays possible.
	Soak Duration `json:"soak,omitempty" jsonschema:"default=10m"`
	// For `blueGreen`: so many nodes more than a pool has may exist while it is
	// replaced, as a number or a share of the pool. The new pool starts with them
	// and grows as emptied old nodes are removed; the way back ends when the first
	// of those is. Not given, or 0: as many as the pool has.
	ExtraNodes Count `json:"extraNodes,omitempty"`
	// How much of a cluster moves at once.
	Pace Pace `json:"pace,omitzero"`
	// What may be done to awkward pods.
	Evacuation Evacuation `json:"evacuation,omitzero"`
	// Settings of the strategy inPlace.
	InPlace InPlace `json:"inPlace,omitzero"`
	// A backup that must exist before a point of no return.
	RequireBackup *Backup `json:"requireBackup,omitempty"`
}

// Pace bounds how much of a cluster moves at once.
type Pace struct {
	// So many nodes of a pool are emptied alone first. 0 for none.
	CanaryNodes int `json:"canaryNodes,omitempty" jsonschema:"minimum=0,maximum=100,default=1"`
	// So many of the cluster's pods move at once: a number, or a share.
	MaxInMotion Amount `json:"maxInMotion,omitempty" jsonschema:"default=10%"`
	// So many healthy looks in a row are wanted between two waves.
	HealthPasses int `json:"healthPasses,omitempty" jsonschema:"minimum=1,maximum=100,default=2"`
}

// Evacuation says what may be done to awkward pods.
type Evacuation struct {
	// Pods that nothing would start again: `refuse` or `evict` them.
	BarePods string `json:"barePods,omitempty" jsonschema:"enum=refuse,enum=evict,default=refuse"`
	// Pods with data on their node (emptyDir, hostPath) that would be lost:
	// `refuse` or `evict` them.
	LocalData string `json:"localData,omitempty" jsonschema:"enum=refuse,enum=evict,default=refuse"`
	// How long a Job's pod is waited for.
	JobWait Duration `json:"jobWait,omitempty" jsonschema:"default=1h"`
	// What happens to a Job's pod after that: `refuse` or `evict` it.
	JobsAfter string `json:"jobsAfter,omitempty" jsonschema:"enum=refuse,enum=evict,default=refuse"`
	// How far a workload may be raised above its replicas: a number of pods, or
	// a share of them.
	MaxSurge Amount `json:"maxSurge,omitempty" jsonschema:"default=1"`
	// A pool of which no pod has moved for so long fails.
	Timeout Duration `json:"timeout,omitempty" jsonschema:"default=30m"`
	// What happens when what moved does not come back, or no pod has moved for
	// the timeout: `wait` for a person (a pool that timed out fails), or go back
	// by itself (`rollback`) as long as there is a way back.
	OnFailure string `json:"onFailure,omitempty" jsonschema:"enum=wait,enum=rollback,default=wait"`
	// Images that are pulled to the new nodes before the first node is cordoned.
	PrePull PrePull `json:"prePull,omitzero"`
	// Where a Service of type LoadBalancer exists: how long load balancers get to
	// notice new nodes, and nodes that are taken out before their pods go. `0s`
	// leaves all nodes in.
	LoadBalancerSettle Duration `json:"loadBalancerSettle,omitempty" jsonschema:"default=30s"`
}

// PrePull says which images are pulled to the new nodes before the first node is
// cordoned. A short-lived pod on each new node makes its kubelet pull them; it
// runs nothing.
type PrePull struct {
	// `bigImages` from the threshold on, `all`, or none (`off`).
	Images string `json:"images,omitempty" jsonschema:"enum=off,enum=bigImages,enum=all,default=bigImages"`
	// How large a big image is, as its node reports it.
	Threshold Size `json:"threshold,omitempty" jsonschema:"default=1Gi"`
	// How long they are waited for; then pods move all the same.
	Timeout Duration `json:"timeout,omitempty" jsonschema:"default=30m"`
}

// InPlace holds the settings of the strategy inPlace.
type InPlace struct {
	// The surge that the provider is asked for: a number of nodes, or a share
	// of the pool. The pool's own setting if not given.
	MaxSurge Amount `json:"maxSurge,omitempty"`
}

// Backup is a backup that must exist before a point of no return: when `buffer`
// or `inPlace` begin to replace original nodes, and when a control plane moves.
type Backup struct {
	// How old it may be.
	MaxAge Duration `json:"maxAge" jsonschema:"required,example=24h"`
	// A file whose modification time is that of the newest backup. Relative
	// paths begin at this file's folder.
	File string `json:"file" jsonschema:"required,example=last-backup"`
}

// Override changes the node policy of what it selects. It must select
// something, and change something.
type Override struct {
	// The ring, by its name.
	Ring string `json:"ring,omitempty"`
	// The clusters, as a pattern of their names.
	Cluster string `json:"cluster,omitempty"`
	// The pools, as a pattern of their names.
	Pool string `json:"pool,omitempty"`
	// What is different there. Fields that are not given stay as they are.
	Nodes Nodes `json:"nodes" jsonschema:"required,example={strategy: buffer}"`
}
