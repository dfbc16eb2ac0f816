package evacuate

import (
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Input is all that the next pass is decided from.
type Input struct {
	// Snapshot is the cluster; its TakenAt is "now".
	Snapshot fleet.Snapshot
	// Leaving are the nodes to empty. Names of nodes that no longer exist are
	// taken as empty.
	Leaving []string
	// Receiving are the nodes that the moved pods are meant for. No node is
	// cordoned before all of them are capacity in fact. With none, every other
	// schedulable node counts, and one is enough to start.
	Receiving []string
	// Closing are nodes that are emptied after the leaving ones, and closed with
	// them, so that no pod moves there only to move again.
	Closing []string
	// Later are nodes whose turn comes later: they get a soft taint, so that a
	// pod moves once.
	Later []string
	// Rollout is the id that marks are made with.
	Rollout string
	Policy  fleet.EvacuationPolicy
	Pace    fleet.Pace
	// AcceptedOutages holds what owners accepted: AcceptKey of a finding, or a
	// workload's key alone for its outage. Accepting an outage is not accepting
	// the loss of data.
	AcceptedOutages map[string]bool
	// Memory is what the pass before returned; the zero value starts anew, and
	// is safe at any time: what matters is read from the world.
	Memory Memory
	// Outcomes are what came of the actions of the pass before, by their index.
	// Missing ones are unknown; the world tells.
	Outcomes []Outcome
	// Back is set for a rollback: there is no canary, and what does not come
	// back does not keep the rest from moving to nodes that are known to be good.
	Back bool
	// Hold, when not "", is why no new move may start (a pause, a closed
	// window). Moves that were begun are finished.
	Hold string
}

// AcceptKey is the key under which an accepted finding goes into
// Input.AcceptedOutages.
func AcceptKey(f fleet.Finding) string { return f.ID + " " + f.Object }

// accepted reports whether an owner accepted a finding about an object.
func (in *Input) accepted(finding, object string) bool {
	return in.AcceptedOutages[finding+" "+object] ||
		finding == "workload-outage-unavoidable" && in.AcceptedOutages[object]
}

// Move is how a pod gets to another node.
type Move string

// The moves.
const (
	MoveRoll    Move = "roll"    // its Deployment is restarted with surge: the new pod is Ready before the old one stops
	MoveSurge   Move = "surge"   // its workload is raised first, so that its budget allows an eviction
	MoveEvict   Move = "evict"   // Eviction API, as fast as budgets and strategy allow
	MoveOrdered Move = "ordered" // Eviction API, one pod at a time, the next when the last one's volume and pod are back
	MoveWait    Move = "wait"    // a Job's pod, until it is done
	MoveRefuse  Move = "refuse"  // policy or a mark on it forbids moving it
	MoveDone    Move = "done"    // it is on its way out
	MoveBlocked Move = "blocked" // no move keeps what its workload requires; a person must decide
)

// Verdict is what a pass decided for one pod on a leaving node.
type Verdict struct {
	Pod      string `json:"pod"` // namespace/name
	UID      string `json:"uid"`
	Node     string `json:"node"`
	Workload string `json:"workload,omitempty"`
	Move     Move   `json:"move"`
	Reason   string `json:"reason"`
	// Budgets are the numbers of the budgets that select the pod.
	Budgets []BudgetNumbers `json:"budgets,omitempty"`
}

// BudgetNumbers are a budget's own numbers at the time of the snapshot.
type BudgetNumbers struct {
	Budget   string `json:"budget"` // namespace/name
	Healthy  int32  `json:"healthy"`
	Desired  int32  `json:"desired"`
	Expected int32  `json:"expected"`
	Allowed  int32  `json:"allowed"`
}

// Status says where an evacuation stands.
type Status string

// The statuses.
const (
	StatusMoving  Status = "Moving"  // pods move, or this pass starts moving some
	StatusWaiting Status = "Waiting" // nothing moves now, but time or the cluster will change that; Reason says what is waited for
	StatusHolding Status = "Holding" // Input.Hold, and no move is under way
	StatusBlocked Status = "Blocked" // a person must decide; Reason and Findings name what and the remedies
	StatusDone    Status = "Done"    // the nodes are empty and everything that moved is back
)

// Pass is what to do now, and how things stand.
type Pass struct {
	// Actions are to be carried out in order; none of them depends on one
	// before it having succeeded.
	Actions []Action `json:"actions,omitempty"`
	// Verdicts hold every pod on a leaving node that has to go, sorted.
	Verdicts []Verdict `json:"verdicts,omitempty"`
	Status   Status    `json:"status"`
	Reason   string    `json:"reason"`
	// Total pods were to be moved, Moved of them have left, and InMotion pods
	// of the cluster are moving or being started.
	Total    int `json:"total"`
	Moved    int `json:"moved"`
	InMotion int `json:"inMotion"`
	// NotBack are workloads that were moved and, for longer than a start may
	// take, do not come back: the health gate between waves has failed.
	NotBack []string `json:"notBack,omitempty"`
	// Pulled is how far images were pulled beforehand; nil when none are.
	Pulled   *Pulled         `json:"pulled,omitempty"`
	Memory   Memory          `json:"memory"`
	Findings []fleet.Finding `json:"findings,omitempty"`
}

// Memory is carried from pass to pass. Losing it costs time (a canary node is
// chosen again, a refusal is tried again at once), never safety.
type Memory struct {
	StartedAt time.Time `json:"startedAt,omitzero"`
	// LastProgress is when a pod last left, or a move last got somewhere.
	LastProgress time.Time `json:"lastProgress,omitzero"`
	Total        int       `json:"total,omitempty"`
	Left         int       `json:"left,omitempty"` // pods still to go at the pass before

	Canary     []string `json:"canary,omitempty"` // the nodes emptied alone first
	CanaryDone bool     `json:"canaryDone,omitempty"`

	// Acted holds the workloads that were moved and are not yet proven healthy.
	Acted map[string]Acted `json:"acted,omitempty"`
	// Evicted holds when pods were evicted, by uid, until the world shows it.
	Evicted map[string]time.Time `json:"evicted,omitempty"`
	// Refusals hold what the API said no to, by action, and when to ask again.
	Refusals map[string]Refusal `json:"refusals,omitempty"`
	// Balancing is what is remembered of external load balancers.
	Balancing Balancing `json:"balancing,omitzero"`
	// Pulling is what is remembered of images that were pulled beforehand.
	Pulling Pulling `json:"pulling,omitzero"`
	// Sent are the actions of the pass, to match Outcomes with.
	Sent []Sent `json:"sent,omitempty"`
}

// Sent is what has to be known of an action when its outcome comes in.
type Sent struct {
	Kind     ActionKind `json:"kind"`
	Object   string     `json:"object"`             // node, pod or workload
	UID      string     `json:"uid,omitempty"`      // of the object
	Workload string     `json:"workload,omitempty"` // that is moved by it
	Owner    string     `json:"owner,omitempty"`    // the workload's uid
	Move     Move       `json:"move,omitempty"`
	Weight   int        `json:"weight,omitempty"`
	Base     int        `json:"base,omitempty"`
	Before   int        `json:"before,omitempty"`
	Ailing   bool       `json:"ailing,omitempty"`
	At       time.Time  `json:"at,omitzero"`
}

// key tells one action from others, pass after pass.
func (s *Sent) key() string { return string(s.Kind) + " " + s.Object + " " + s.UID }

// Acted is what is remembered of a workload that was touched.
type Acted struct {
	UID  string    `json:"uid"`
	Move Move      `json:"move"`
	At   time.Time `json:"at"` // of the latest action
	// Weight is how many pods the latest action put in motion.
	Weight int `json:"weight"`
	// Base is the replica count before a surge.
	Base int `json:"base,omitempty"`
	// Before is how many of its pods were available when it was first touched:
	// it need not come back better than it was.
	Before int `json:"before"`
	// Looks are the consecutive healthy looks since the latest action.
	Looks int `json:"looks,omitempty"`
	// Ailing: it was failing before it was touched, so it need not come back.
	Ailing bool `json:"ailing,omitempty"`
	// Tries counts restarts, so that one which does not help is not repeated for ever.
	Tries int `json:"tries,omitempty"`
}

// Refusal is what is remembered of an action that the API refused.
type Refusal struct {
	Times   int       `json:"times"`
	Next    time.Time `json:"next"` // when it is tried again
	Message string    `json:"message"`
}
