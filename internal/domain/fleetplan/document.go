package fleetplan

import (
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// What a plan that is kept says it is.
const (
	APIVersion = "liftlock.dev/v1alpha1"
	Kind       = "Plan"
)

// Plan is what a rollout of a fleet would do. Its JSON is a published format:
// keys are added, none gets a new meaning, and lists are never null.
type Plan struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	CreatedAt  time.Time `json:"createdAt"`
	Fleet      string    `json:"fleet"`
	File       File      `json:"fleetFile"`
	// Ongoing is the rollout of this fleet that was begun and has not ended.
	Ongoing *Ongoing `json:"ongoing,omitempty"`
	Target  Target   `json:"target"`
	Rings   []Ring   `json:"rings"`
	// Unassigned are clusters of the sources that no ring selects.
	Unassigned []string `json:"unassigned"`

	// Forecast is how long the whole of it takes with its soaks, windows and
	// freezes, from CreatedAt to the end of the last ring's soak. It is missing
	// where a ring would never end.
	Forecast evacuate.Forecast `json:"forecastSeconds,omitzero"`
	// Work is the rings' own time alone, one after the other, as if every window
	// were open.
	Work           evacuate.Forecast `json:"workSeconds"`
	Bound          evacuate.Limit    `json:"bound"`             // what no order of the same work can beat
	Ends           time.Time         `json:"ends,omitzero"`     // of the last ring, by the middle forecast
	EndsLate       time.Time         `json:"endsLate,omitzero"` // in nine of ten cases at the latest
	ExtraNodeHours float64           `json:"extraNodeHours"`
	Peaks          []Peak            `json:"peaks"`
	// Obstacles are what is in the way of the fleet as a whole.
	Obstacles []string `json:"obstacles"`
	Basis     Basis    `json:"basis"`
}

// File names the Fleet file that a plan is of.
type File struct {
	Path   string `json:"path"`
	Digest string `json:"digest"` // sha256, hex
}

// Ongoing is a rollout that would be taken up.
type Ongoing struct {
	Rollout   string      `json:"rollout"`
	State     fleet.State `json:"state"`
	Reason    string      `json:"reason,omitempty"`
	StartedAt time.Time   `json:"startedAt"`
	SameFile  bool        `json:"sameFile"` // it was started with this very Fleet file
}

// Target is what the Fleet file's target means.
type Target struct {
	Channel  fleet.Channel `json:"channel"`
	Resolved []Resolved    `json:"resolved"`
}

// Resolved is the version that clusters go to.
type Resolved struct {
	// For is what a cluster runs: a version, a minor such as "1.34", or "*" for any.
	For     string        `json:"for"`
	Version fleet.Version `json:"version"`
	Why     string        `json:"why"`
	// Cluster is whose offers it was found in, Location where that is; both are ""
	// where a rollout that is under way has fixed it.
	Cluster  string `json:"cluster,omitempty"`
	Location string `json:"location,omitempty"`
	// Proven says what the ledger holds of the version from earlier rollouts.
	Proven string `json:"proven,omitempty"`
}

// Ring is what would happen to one ring.
type Ring struct {
	Name        string            `json:"name"`
	Order       int               `json:"order"`
	State       fleet.State       `json:"state,omitempty"` // in a rollout that is under way
	Concurrency int               `json:"concurrency"`
	TimeZone    string            `json:"timeZone"`
	OnClose     fleet.OnClose     `json:"onClose"`
	Source      string            `json:"source"` // where its versions come from
	Images      []Image           `json:"images"`
	Before      []Approval        `json:"approvalsBefore"`
	After       []Approval        `json:"approvalsAfter"`
	SoakSeconds float64           `json:"soakSeconds"`
	Clusters    []Cluster         `json:"clusters"`
	Calendar    Calendar          `json:"calendar"`
	Work        evacuate.Forecast `json:"workSeconds"`
	Peaks       []Peak            `json:"peaks"`
	Bound       evacuate.Limit    `json:"bound"`
	Obstacles   []string          `json:"obstacles"`
	NodeHours   float64           `json:"extraNodeHours"`
}

// Image is the node image that a family's nodes of a ring end on.
type Image struct {
	Family string `json:"family"`
	Image  string `json:"image"`
	Source string `json:"source"`
}

// Approval is a consent that a ring waits for.
type Approval struct {
	Name           string  `json:"name"`
	Role           string  `json:"role"`
	ExpiresSeconds float64 `json:"expiresSeconds,omitempty"`
	GivenBy        string  `json:"givenBy,omitempty"`
}

// Calendar is when a ring may work.
type Calendar struct {
	// Earliest is when the rings before have soaked, by the middle forecast, if
	// every approval is given at once.
	Earliest time.Time `json:"earliest,omitzero"`
	Starts   time.Time `json:"starts,omitzero"` // of its first cluster
	Ends     time.Time `json:"ends,omitzero"`   // of its last cluster
	Proven   time.Time `json:"proven,omitzero"` // after its soak
	// EndsLate and ProvenLate are the same in nine of ten cases at the latest.
	EndsLate   time.Time `json:"endsLate,omitzero"`
	ProvenLate time.Time `json:"provenLate,omitzero"`
	Openings   []Opening `json:"openings"`
	Freezes    []Freeze  `json:"freezes"` // that are in the way
	Fit        Fit       `json:"fit"`
}

// Opening is one span in which work may start, after freezes were cut out.
type Opening struct {
	Opens  time.Time `json:"opens,omitzero"`  // zero: no beginning in sight
	Closes time.Time `json:"closes,omitzero"` // zero: no end in sight
	Used   bool      `json:"used"`            // by the middle forecast
}

// Freeze is a freeze that closes windows which the ring would use.
type Freeze struct {
	Name  string    `json:"name"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// Verdict is how a ring's work fits its windows. The list is part of the
// interface.
type Verdict string

// The verdicts.
const (
	NothingToFit Verdict = "nothing"  // no cluster of the ring has work
	AlwaysOpen   Verdict = "always"   // no window or freeze bounds it
	FitsOne      Verdict = "fits"     // all of it in one window
	FitsSeveral  Verdict = "several"  // every cluster in a window of its own, the ring in several
	RunsOver     Verdict = "runsOver" // a cluster is not done when its window closes
	NeverFits    Verdict = "never"    // a cluster would never be started
)

// Fit says whether the work of a ring fits its windows.
type Fit struct {
	Verdict Verdict `json:"verdict"`
	Says    string  `json:"says"`
	// Change is what would make it fit, in words with the numbers.
	Change []string `json:"change"`
}

// BasedOn is what a forecast was made from. The list is part of the interface.
type BasedOn string

// What forecasts are made from.
const (
	FromHistory  BasedOn = "history"  // what the same pool took in earlier rollouts
	FromSnapshot BasedOn = "snapshot" // the cluster's nodes, pods and budgets as they are now
	FromRing     BasedOn = "ring"     // what pools of the same ring took
	FromUsual    BasedOn = "usual"    // the usual figures
)

// Spread is a forecast with what it is based on.
type Spread struct {
	evacuate.Forecast
	From BasedOn `json:"from,omitempty"`
	Says string  `json:"says,omitempty"`
}

// Cluster is what would happen to one cluster.
type Cluster struct {
	ID           string        `json:"id"`
	Name         string        `json:"name"`
	Subscription string        `json:"subscription"`
	Location     string        `json:"location"`
	Version      fleet.Version `json:"version"`
	To           fleet.Version `json:"to"`
	State        fleet.State   `json:"state,omitempty"` // in a rollout that is under way
	Work         string        `json:"work,omitempty"`  // what is to be done first; "" for nothing
	// LeftAlone says why the cluster would be set aside.
	LeftAlone string `json:"leftAlone,omitempty"`
	// Unread says why its API server could not be asked. Its forecast is then made
	// without it, and nothing is known of what stands in the way.
	Unread    string            `json:"unread,omitempty"`
	Blocked   string            `json:"blocked,omitempty"` // why it would stand still on the way
	Hops      []Hop             `json:"hops"`
	Legs      []Leg             `json:"steps"`
	Findings  []fleet.Finding   `json:"findings"`
	Needs     []string          `json:"needs"` // acceptances and backups that are missing
	Starts    time.Time         `json:"starts,omitzero"`
	Ends      time.Time         `json:"ends,omitzero"`
	Forecast  evacuate.Forecast `json:"forecastSeconds"`  // with the soaks of its pools
	Admission float64           `json:"admissionSeconds"` // what must be left of a window before it is started
	Bound     evacuate.Limit    `json:"bound"`
	NodeHours float64           `json:"extraNodeHours"`
}

// Hop is a stop of a cluster, with the reason for moving nodes there.
type Hop struct {
	plan.Hop
	Why string `json:"why,omitempty"`
}

// Leg is one step of a cluster, or one pool on one version with all its steps.
type Leg struct {
	Kind     plan.StepKind `json:"kind"`
	Version  fleet.Version `json:"version,omitzero"`
	Reason   string        `json:"reason"`
	Forecast Spread        `json:"forecastSeconds,omitzero"`
	Pool     *Pool         `json:"pool,omitempty"`
}

// Pool is what would happen to one pool on one version.
type Pool struct {
	Name        string         `json:"name"`
	Ends        string         `json:"ends"` // the pool that holds the pods in the end
	Strategy    fleet.Strategy `json:"strategy"`
	From        fleet.Version  `json:"from"`
	To          fleet.Version  `json:"to"`
	Image       string         `json:"image,omitempty"`
	Nodes       int            `json:"nodes"`
	ExtraNodes  int            `json:"extraNodes"`
	VMSize      string         `json:"vmSize"`
	Pods        int            `json:"pods"` // that have to move; 0 where nobody could be asked
	Steps       []Step         `json:"steps"`
	SoakSeconds float64        `json:"soakSeconds"`
	// NoReturn is the step after which there is no way back by evacuation.
	NoReturn string         `json:"pointOfNoReturn"`
	Bound    evacuate.Limit `json:"bound"`
	Blocked  int            `json:"blockedPods"`
	// NodeHours are those of the extra nodes, the soak included.
	NodeHours float64 `json:"extraNodeHours"`
}

// Step is one step of a pool.
type Step struct {
	Kind            plan.StepKind `json:"kind"`
	Target          string        `json:"target"`
	Receiving       string        `json:"receiving,omitempty"`
	Nodes           int           `json:"nodes,omitempty"`
	Rounds          int           `json:"rounds,omitempty"` // where there is more than one
	SoakSeconds     float64       `json:"soakSeconds,omitempty"`
	PointOfNoReturn bool          `json:"pointOfNoReturn,omitempty"`
	Reason          string        `json:"reason"`
}

// Peak is how many nodes more there are at once, at the most, in one region of
// one subscription.
type Peak struct {
	Subscription string     `json:"subscription"`
	Location     string     `json:"location"`
	Ring         string     `json:"ring"` // in which it comes
	Nodes        int        `json:"nodes"`
	VCPUs        int        `json:"vCPUs"`
	Sizes        []PeakSize `json:"sizes"`
	// Unknown are VM sizes whose vCPUs nobody could say; VCPUs lacks theirs.
	Unknown []string `json:"unknownSizes"`
}

// PeakSize is a peak of one VM size. The sizes of a region need not come to
// theirs at the same time.
type PeakSize struct {
	VMSize string `json:"vmSize"`
	Nodes  int    `json:"nodes"`
	VCPUs  int    `json:"vCPUs"`
}
