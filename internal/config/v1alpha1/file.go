package v1alpha1

// File is a Fleet file: which clusters are upgraded, in which order, when, and
// how.
type File struct {
	// The version of this format.
	APIVersion string `json:"apiVersion" jsonschema:"required,enum=liftlock.dev/v1alpha1"`
	// What the file describes.
	Kind string `json:"kind" jsonschema:"required,enum=Fleet"`
	// What the fleet is called.
	Metadata Metadata `json:"metadata" jsonschema:"required,example={name: contoso}"`
	// The fleet.
	Spec Fleet `json:"spec" jsonschema:"required"`
}

// Metadata names a fleet.
type Metadata struct {
	// The name of the fleet: lower-case letters, digits and dashes. Rollouts,
	// ledger and journal are kept under it, so keep it when the file changes.
	Name string `json:"name" jsonschema:"required,example=contoso,pattern=^[a-z0-9]([a-z0-9-]{0\\,61}[a-z0-9])?$"`
}

// Fleet says what shall be upgraded, in which order, when, and how.
type Fleet struct {
	// The Azure cloud, and the identity to act as.
	Azure Azure `json:"azure,omitzero"`
	// How the API servers of the clusters are reached.
	Access Access `json:"access,omitzero"`
	// Where clusters are looked for. A cluster belongs to the fleet if any
	// source finds it.
	Sources []Source `json:"sources" jsonschema:"required,minItems=1,example=[{subscription: 00000000-0000-0000-0000-000000000000}]"`
	// The version that clusters are raised to.
	Target Target `json:"target,omitzero" jsonschema:"example={channel: stable}"`
	// The groups of clusters that are upgraded together, in order: a ring
	// starts when the one before it has proven its versions.
	Rings []Ring `json:"rings" jsonschema:"required,minItems=1,example=[{name: test\\, select: {tags: {env: test}}}]"`
	// The IANA time zone of windows and freezes that name none: Europe/Oslo.
	TimeZone string `json:"timeZone,omitempty"`
	// Spans in which nothing starts, in any ring.
	Freezes []Freeze `json:"freezes,omitempty" jsonschema:"example=[{name: christmas\\, from: 2026-12-20\\, until: 2027-01-03\\, timeZone: Europe/Oslo}]"`
	// How node pools are upgraded.
	Nodes Nodes `json:"nodes,omitzero" jsonschema:"example={strategy: blueGreen}"`
	// Other node policies for some rings, clusters or pools. Where several
	// select a pool they add up, and of the same field the last one counts.
	Overrides []Override `json:"overrides,omitempty"`
	// What to do about a cluster's own automatic upgrade channels, which would
	// race a rollout and break its pinned node images: `report` names them and
	// does not start the cluster; `setAside` switches them off for the rollout
	// and restores them afterwards.
	Channels string `json:"channels,omitempty" jsonschema:"enum=report,enum=setAside,default=report"`
	// Findings that their owners have accepted in writing, such as an outage
	// that no move can avoid.
	Accept []Acceptance `json:"accept,omitempty"`
}

// Target is the version policy of a fleet: a channel or an exact version.
type Target struct {
	// `stable` is the latest patch of the minor before the newest that is
	// generally available; `rapid`, of the newest one; `patch`, of the minor
	// that the cluster has; `node-image` keeps the Kubernetes version and takes
	// the newest node image. The first ring resolves it; later rings use what
	// it has proven. `stable` where neither channel nor version is given.
	Channel string `json:"channel,omitempty" jsonschema:"enum=stable,enum=rapid,enum=patch,enum=node-image"`
	// An exact Kubernetes version, such as 1.35.4, instead of a channel.
	Version string `json:"version,omitempty" jsonschema:"pattern=^1\\.[0-9]+\\.[0-9]+$"`
}

// Freeze is a span in which nothing starts.
type Freeze struct {
	// What the freeze is called in messages: lower-case letters, digits and dashes.
	Name string `json:"name" jsonschema:"required,example=contoso,pattern=^[a-z0-9]([a-z0-9-]{0\\,61}[a-z0-9])?$"`
	// When it begins.
	From Moment `json:"from" jsonschema:"required,example=2026-12-20"`
	// When it ends: the first moment at which work may start again. A date
	// alone is the midnight at which that day begins.
	Until Moment `json:"until" jsonschema:"required,example=2027-01-03"`
	// The IANA time zone of from and until; spec.timeZone if not given.
	TimeZone string `json:"timeZone,omitempty"`
}

// Acceptance is an owner's written consent to a finding. It ends by itself.
type Acceptance struct {
	// The id of the finding, as `liftlock check` shows it: workload-recreate.
	Finding string `json:"finding" jsonschema:"required,example=workload-recreate,pattern=^[a-z0-9]([a-z0-9-]{0\\,61}[a-z0-9])?$"`
	// The clusters for which it is accepted, as a pattern.
	Cluster string `json:"cluster,omitempty" jsonschema:"default=*"`
	// The objects for which it is accepted, as a pattern over what the finding
	// names: Deployment/shop/*, pool/apps, or * for all.
	Object string `json:"object" jsonschema:"required,example=Deployment/shop/*"`
	// Who accepts it: a person or a team that can be asked.
	Owner string `json:"owner" jsonschema:"required,example=ann@contoso.example"`
	// Why it is accepted. Auditors read this.
	Reason string `json:"reason" jsonschema:"required,example=runs at night"`
	// When the consent ends. A date alone is the midnight at which that day
	// begins, in spec.timeZone or else UTC.
	Until Moment `json:"until" jsonschema:"required,example=2027-01-03"`
}
