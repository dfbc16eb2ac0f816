package v1alpha1

// Ring is a group of clusters that are upgraded together.
type Ring struct {
	// The name of the ring: lower-case letters, digits and dashes.
	Name string `json:"name" jsonschema:"required,example=prod,pattern=^[a-z0-9]([a-z0-9-]{0\\,61}[a-z0-9])?$"`
	// Which clusters of the fleet are in it. A cluster belongs to one ring.
	Select Selector `json:"select" jsonschema:"required,example={tags: {env: prod}}"`
	// When work may start. Several windows add up; without any, work may start
	// at any time.
	Windows []Window `json:"windows,omitempty" jsonschema:"minItems=1"`
	// Spans in which nothing starts in this ring, beside those of the fleet.
	Freezes []Freeze `json:"freezes,omitempty" jsonschema:"example=[{name: christmas\\, from: 2026-12-20\\, until: 2027-01-03\\, timeZone: Europe/Oslo}]"`
	// What happens to work that is under way when a window closes:
	// `finishWave` finishes the pods that are in motion and then waits,
	// `finishCluster` finishes the clusters that were started, `pause` starts
	// nothing more at all. Provider operations that run are always let finish.
	OnClose string `json:"onClose,omitempty" jsonschema:"enum=finishWave,enum=finishCluster,enum=pause,default=finishWave"`
	// How many clusters are upgraded at once: a number, or a share of the ring.
	Concurrency Amount `json:"concurrency,omitempty" jsonschema:"default=1"`
	// How long the ring is watched after its last cluster, before its versions
	// count as proven.
	Soak Duration `json:"soak,omitempty" jsonschema:"default=0s"`
	// Who must agree, and when.
	Approvals Approvals `json:"approvals,omitzero"`
	// How many clusters may fail.
	Failures Failures `json:"failures,omitzero"`
	// Another target, for a ring that holds back on purpose. Never beyond what
	// the rings before it have proven.
	Target *Target `json:"target,omitempty" jsonschema:"example={channel: patch}"`
}

// Selector picks clusters of the fleet. All that it gives must match, and it
// must give something.
type Selector struct {
	// Cluster names, as patterns: one of them must match.
	Names []string `json:"names,omitempty" jsonschema:"minItems=1,uniqueItems=true"`
	// Tags that a cluster must have, all of them. Values are patterns.
	Tags map[string]string `json:"tags,omitempty" jsonschema:"example={env: prod}"`
	// Subscription ids: one of them must be the cluster's.
	Subscriptions []string `json:"subscriptions,omitempty" jsonschema:"minItems=1,uniqueItems=true"`
	// Resource groups, as patterns: one of them must match.
	ResourceGroups []string `json:"resourceGroups,omitempty" jsonschema:"minItems=1,uniqueItems=true"`
	// Azure regions, such as westeurope: one of them must be the cluster's.
	Locations []string `json:"locations,omitempty" jsonschema:"minItems=1,uniqueItems=true"`
}

// Window is a recurring span of local time in which work may start. It is meant
// as the clock on the wall shows it, whatever daylight saving does.
type Window struct {
	// The days on which it opens; every day if not given. A window belongs to
	// the day on which it opens: Fri 22:00-04:00 covers Saturday 01:00.
	Days []Day `json:"days,omitempty" jsonschema:"minItems=1,uniqueItems=true"`
	// When it opens: 22:00.
	Start TimeOfDay `json:"start" jsonschema:"required,example=22:00"`
	// When it closes: 04:00. A time at or before the start is the next day's.
	// Give this or duration.
	End TimeOfDay `json:"end,omitempty"`
	// How long it is open, at most 7d. Give this or end.
	Duration Duration `json:"duration,omitempty"`
	// The IANA time zone, such as Europe/Oslo; spec.timeZone if not given.
	TimeZone string `json:"timeZone,omitempty"`
}

// Approvals names who must agree before and after a ring.
type Approvals struct {
	// Needed before the ring starts.
	Before []Approval `json:"before,omitempty"`
	// Needed after the ring, before the next one may start.
	After []Approval `json:"after,omitempty"`
}

// Approval is a person's consent that is waited for.
type Approval struct {
	// What it is called in `liftlock approve`. Unique in its ring.
	Name string `json:"name" jsonschema:"required,example=prod,pattern=^[a-z0-9]([a-z0-9-]{0\\,61}[a-z0-9])?$"`
	// The role that a person must have to give it.
	Role string `json:"role" jsonschema:"required,example=platform"`
	// How long a given approval holds. It does not expire if not given.
	Expires Duration `json:"expires,omitempty"`
}

// Failures says how many clusters of a ring may fail.
type Failures struct {
	// So many clusters may fail before nothing new is started: a number, or a
	// share of the ring. 0 stops at the first.
	Allowed Count `json:"allowed,omitempty" jsonschema:"default=0"`
	// So many of the ring's clusters must succeed for its versions to count as
	// proven: a number, or a share, which is rounded up.
	MinSuccess Amount `json:"minSuccess,omitempty" jsonschema:"default=100%"`
	// Whether clusters that are stopped or cannot be reached count as failed.
	SetAsideCounts bool `json:"setAsideCounts,omitempty" jsonschema:"default=false"`
}
