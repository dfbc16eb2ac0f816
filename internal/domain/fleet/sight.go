package fleet

import "time"

// Sight is one observation of every workload's availability in a cluster.
type Sight struct {
	At time.Time `json:"at"`
	// Blind is why nothing could be seen at that moment; "" when Workloads holds.
	Blind     string                 `json:"blind,omitempty"`
	Workloads []WorkloadAvailability `json:"workloads,omitempty"`
}

// WorkloadAvailability is how many pods of a workload were Ready at a moment,
// and how many it requires.
type WorkloadAvailability struct {
	Workload string `json:"workload"` // Workload.Key
	// Required is the strictest of the workload's budgets and of its own
	// update strategy (replicas − maxUnavailable, rounded as Kubernetes rounds).
	Required int `json:"required"`
	Ready    int `json:"ready"` // Ready and not terminating
}
