package report

import (
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Report is what happened in one rollout. Its JSON is a published format:
// fields are added, never given a new meaning, and lists are never null. Fields
// with omitempty or omitzero may be missing.
type Report struct {
	Fleet    string        `json:"fleet"`
	State    fleet.State   `json:"state"`
	Target   string        `json:"target"` // the version, as resolved; the channel before that
	Clusters []Cluster     `json:"clusters"`
	Ledger   []LedgerEntry `json:"ledger"`
	// Violations counts falls of a workload below the lower of what it requires
	// and what was Ready at the start, over all clusters.
	Violations int `json:"violations"`

	Rollout     string       `json:"rollout,omitempty"` // id
	Reason      string       `json:"reason,omitempty"`  // of State
	StartedAt   time.Time    `json:"startedAt,omitzero"`
	EndedAt     time.Time    `json:"endedAt,omitzero"`
	GeneratedAt time.Time    `json:"generatedAt,omitzero"`
	StartedBy   string       `json:"startedBy,omitempty"`
	Product     string       `json:"product,omitempty"` // "liftlock v0.1.0"
	Rings       []Ring       `json:"rings,omitempty"`   // in order; clusters name theirs
	Approvals   []Approval   `json:"approvals,omitempty"`
	Acceptances []Acceptance `json:"acceptances,omitempty"`
	// Findings are those of the fleet; a cluster's are with the cluster.
	Findings []fleet.Finding      `json:"findings,omitempty"`
	Journal  []fleet.JournalEntry `json:"journal,omitempty"`
	// JournalLeftOut is how many entries Journal lacks, where it is an excerpt.
	JournalLeftOut int `json:"journalLeftOut,omitempty"`
}

// Ring is a group of clusters that were upgraded together.
type Ring struct {
	Name      string      `json:"name"`
	State     fleet.State `json:"state"`
	Reason    string      `json:"reason,omitempty"`
	StartedAt time.Time   `json:"startedAt,omitzero"`
	EndedAt   time.Time   `json:"endedAt,omitzero"`  // when its last cluster ended
	ProvenAt  time.Time   `json:"provenAt,omitzero"` // when its soak was over
	Spans     []Span      `json:"spans,omitempty"`   // windows and approvals that it waited for
}

// Cluster is what happened to one cluster.
type Cluster struct {
	Name         string       `json:"name"`
	Ring         string       `json:"ring"`
	From         string       `json:"from"`
	To           string       `json:"to"`
	State        fleet.State  `json:"state"`
	Hops         []string     `json:"hops"` // control plane versions that it was raised to, in order
	Pools        []Pool       `json:"pools"`
	PodsToMove   int          `json:"podsToMove"` // evictable pods on replaced nodes
	PodMoves     int          `json:"podMoves"`   // their replacements
	Availability Availability `json:"availability"`
	Seconds      float64      `json:"seconds"` // from the first action to the end

	ID        string    `json:"id,omitempty"` // of the provider
	Reason    string    `json:"reason,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	// ForecastSeconds is what the plan said, BoundSeconds what no plan could
	// beat, and Bound the term that sets it.
	ForecastSeconds float64         `json:"forecastSeconds,omitempty"`
	BoundSeconds    float64         `json:"boundSeconds,omitempty"`
	Bound           string          `json:"bound,omitempty"`
	Findings        []fleet.Finding `json:"findings,omitempty"`
	Spans           []Span          `json:"spans,omitempty"` // of the cluster itself: control plane, waits
}

// Pool is what happened to one node pool.
type Pool struct {
	Name     string         `json:"name"`
	Strategy fleet.Strategy `json:"strategy"`
	From     string         `json:"from"`
	To       string         `json:"to"`

	State     fleet.State `json:"state,omitempty"`
	Reason    string      `json:"reason,omitempty"`
	FromImage string      `json:"fromImage,omitempty"`
	ToImage   string      `json:"toImage,omitempty"`
	Nodes     int         `json:"nodes,omitempty"`
	Spans     []Span      `json:"spans,omitempty"`
	// ForecastSeconds, BoundSeconds and Bound are as those of the cluster.
	ForecastSeconds float64 `json:"forecastSeconds,omitempty"`
	BoundSeconds    float64 `json:"boundSeconds,omitempty"`
	Bound           string  `json:"bound,omitempty"`
}

// Span is a stretch of time spent on one kind of step. The kinds are the
// journal's actions (upgradeControlPlane, createPool, evacuate, soak,
// deletePool …) and those of waiting (waiting, window, approval, blocked …).
type Span struct {
	Kind  string    `json:"kind"`
	What  string    `json:"what,omitempty"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"` // zero: it goes on
}

// Availability is what was seen of a cluster's workloads through its upgrade.
type Availability struct {
	Workloads  int      `json:"workloads"` // how many were watched
	Violations int      `json:"violations"`
	Lowest     []Lowest `json:"lowest"` // those nearest to, or farthest below, what they require first

	Samples []Sample `json:"samples,omitempty"`
	Gaps    []Gap    `json:"gaps,omitempty"`
}

// Lowest is the worst moment of one workload, in Ready pods.
type Lowest struct {
	Workload string `json:"workload"`
	Required int    `json:"required"`
	Lowest   int    `json:"lowest"`

	AtStart    int       `json:"atStart"` // Ready at the first sight
	At         time.Time `json:"at,omitzero"`
	Violations int       `json:"violations,omitempty"`
}

// Sample is the smallest distance of any workload to what it must not fall
// below, and the Ready pods of all workloads, from a moment on.
type Sample struct {
	At     time.Time `json:"at"`
	Margin int       `json:"margin"`
	Ready  int       `json:"ready"`
}

// Gap is a stretch in which nothing could be seen.
type Gap struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"` // zero: it goes on
	Why   string    `json:"why"`
}

// LedgerEntry is a version that a ring has proven.
type LedgerEntry struct {
	Kind     fleet.LedgerKind `json:"kind"`
	Subject  string           `json:"subject"`
	Version  string           `json:"version"`
	Digest   string           `json:"digest"`
	Ring     string           `json:"ring"`
	ProvenAt time.Time        `json:"provenAt"`

	Rollout  string `json:"rollout,omitempty"`
	Evidence string `json:"evidence,omitempty"`
}

// Approval is a consent that was given.
type Approval struct {
	Ring string    `json:"ring"`
	Name string    `json:"name"`
	Role string    `json:"role"`
	By   string    `json:"by"` // unverified people end in " (unverified)"
	At   time.Time `json:"at"`
}

// Acceptance is an owner's consent to a finding, from the Fleet file.
type Acceptance struct {
	Finding string    `json:"finding"`
	Cluster string    `json:"cluster,omitempty"`
	Object  string    `json:"object,omitempty"`
	Owner   string    `json:"owner"`
	Reason  string    `json:"reason"`
	Until   time.Time `json:"until,omitzero"`
}

// floor is what the workload must not fall below.
func (l Lowest) floor() int { return min(l.Required, l.AtStart) }
