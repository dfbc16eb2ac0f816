package fleetplan

import (
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/gate"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// Input is all that the plan of a fleet is made from.
type Input struct {
	Spec fleet.Spec
	File File
	Now  time.Time
	// Resolved says what the target means, Target which of it holds for a cluster.
	Resolved []Resolved
	Target   func(from fleet.Version) (fleet.Version, bool)
	// Clusters are in the order in which they are started.
	Clusters []ClusterInput
	History  History
	// Past is what a rollout itself goes by when it asks whether a cluster still
	// fits into a window.
	Past []plan.Past
	// Ledger is all that was proven in this fleet, oldest first.
	Ledger []fleet.LedgerEntry

	// Ongoing is the rollout that would be taken up; nil for a new one.
	Ongoing *Ongoing
	// Rings are its rings by name, Proven and Images what it has proven.
	Rings  map[string]RingInput
	Proven []fleet.Version
	Images map[string]string
}

// RingInput is a ring of a rollout that is under way.
type RingInput struct {
	State fleet.State
	Given []gate.Given
}

// ClusterInput is one cluster as it was found.
type ClusterInput struct {
	Cluster fleet.Cluster
	Ring    string // "" for none
	Work    string // what is to be done first; "" for nothing
	State   fleet.State
	To      fleet.Version // fixed by a rollout that is under way; zero for none
	Offers  fleet.Offers
	// Unoffered says why nobody could be asked what is on offer.
	Unoffered string
	// Nodes are those that the API server knows; nil where it was not asked, and
	// Unread says why.
	Nodes  []fleet.Node
	Unread string
	// SetAside are channels that an earlier rollout has switched off.
	SetAside *plan.Channels
	// Pools is what was found out about each pool, by its name.
	Pools map[string]PoolInput
}

// PoolInput is what was found out about one pool.
type PoolInput struct {
	Plan *evacuate.PoolPlan // how its evacuation would go; nil where nobody could be asked
	// Learned says where the plan has its time of a new node from; "" for the usual.
	Learned  string
	Findings []fleet.Finding
	// Backup says what is wrong with the backup that it needs; "" for nothing.
	Backup string
}
