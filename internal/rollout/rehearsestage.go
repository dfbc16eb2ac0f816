package rollout

import (
	"context"
	"time"
)

// Stage is a throw-away control plane of the target version with a cluster's
// objects on it: what a rehearsal is played on.
type Stage interface {
	// Staged says what became of the cluster's objects.
	Staged() Staged
	// Reach is a cloud of this one cluster, and the way to its API server.
	Reach() Reach
	// Begin counts what happens to pods from now on.
	Begin()
	// Seen says what happened to them.
	Seen() StageSight
	// Ask asks the scheduler about the pods that are left on a pool's nodes, and
	// returns those that it has no other node for.
	Ask(ctx context.Context, pool string) ([]HomelessPod, error)
}

// Staged is what became of a cluster's objects on a stage.
type Staged struct {
	Loaded  map[string]int  `json:"loaded"`  // objects by kind that live there
	Tried   map[string]int  `json:"tried"`   // that the API server was asked about, and that were not kept
	LeftOut map[string]int  `json:"leftOut"` // that were neither
	Refused []RefusedObject `json:"refused"`
	// NotTried could not be judged, NotRehearsed have no part in what follows.
	NotTried     []LeftObject `json:"notTried"`
	NotRehearsed []LeftObject `json:"notRehearsed"`
	// Restarted are pods that controllers touched though nothing had begun: of
	// these the rehearsal tells nothing.
	Restarted []LeftObject `json:"restarted"`
	// Notes say what was taken for granted.
	Notes []string `json:"notes"`
}

// RefusedObject is an object that the API server does not take as it is written.
type RefusedObject struct {
	Object     string `json:"object"` // "Deployment/shop/web"
	APIVersion string `json:"apiVersion"`
	Where      string `json:"where,omitempty"` // in the snapshot
	Why        string `json:"why"`             // the API server's own words
	// LoadedAs is the version as which it takes part all the same.
	LoadedAs string `json:"loadedAs,omitempty"`
}

// LeftObject is an object that something does not hold for, and why.
type LeftObject struct {
	Object string `json:"object"`
	Why    string `json:"why"`
}

// StageSight is what was seen of pods on a stage since it began.
type StageSight struct {
	Workloads map[string]WorkloadMoves
	Homeless  []HomelessPod
}

// WorkloadMoves is what happened to the pods of one workload.
type WorkloadMoves struct {
	Pods  int       // at the beginning
	Made  int       // since
	First time.Time // when the first one was made or began to end
	Last  time.Time // when the last one was Ready or gone
}

// Touch notes that something happened to one of its pods.
func (w *WorkloadMoves) Touch(at time.Time) {
	if w.First.IsZero() {
		w.First = at
	}
}

// HomelessPod is a pod that the scheduler finds no node for.
type HomelessPod struct {
	Pod string `json:"pod"`
	Why string `json:"why"` // the scheduler's own words
	// Before: it had none in the cluster either.
	Before bool `json:"before,omitempty"`
}
