package view

import (
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Model is what there is to see of a rollout at a moment.
type Model struct {
	Fleet     string
	Target    string // the version, or the channel until it is resolved
	Rollout   string // id
	State     fleet.State
	Reason    string
	Now       time.Time // when the values were read
	StartedAt time.Time
	EndedAt   time.Time
	Left      time.Duration // forecast; zero for unknown
	// Workloads is how many are watched, Violations how often one fell below
	// what it requires.
	Workloads  int
	Violations int
	Rings      []Ring     // in order
	Approvals  []Approval // that are waited for
	Journal    []fleet.JournalEntry
}

// Ring is a group of clusters.
type Ring struct {
	Name     string
	State    fleet.State
	Reason   string
	Clusters []Cluster
}

// Cluster is one cluster.
type Cluster struct {
	Name       string
	From, To   string
	State      fleet.State
	Reason     string
	StartedAt  time.Time
	EndedAt    time.Time
	Left       time.Duration // forecast; zero for unknown
	PodsMoved  int
	PodsTotal  int // that have to move; zero until it is known
	Violations int
	Pools      []Pool
}

// Pool is one node pool.
type Pool struct {
	Name      string
	Strategy  fleet.Strategy
	State     fleet.State
	Reason    string
	PodsMoved int
	PodsTotal int
}

// Approval is a consent that the rollout waits for.
type Approval struct {
	Ring    string
	Name    string
	Role    string
	Command string // that gives it: "liftlock approve …"
}
