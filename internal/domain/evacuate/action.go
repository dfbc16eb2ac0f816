package evacuate

import "time"

// ActionKind is what one Action does to the cluster.
type ActionKind string

// The kinds of actions. Each is idempotent.
const (
	Cordon       ActionKind = "cordon"       // Node: mark unschedulable and with fleet.MarkCordoned; a node that others cordoned is left alone
	Uncordon     ActionKind = "uncordon"     // Node: undo our Cordon only
	SoftTaint    ActionKind = "softTaint"    // Node: add fleet.TaintLeaving (PreferNoSchedule)
	RemoveTaint  ActionKind = "removeTaint"  // Node: remove it
	Roll         ActionKind = "roll"         // Workload: restart by its pod template (fleet.MarkRestarted = Token), with its strategy shaped in the same write where Shape is set
	RestoreShape ActionKind = "restoreShape" // Workload: put the strategy of fleet.MarkStrategy back
	Surge        ActionKind = "surge"        // Workload (or its Scaler): raise to Replicas, keep the old number in fleet.MarkReplicas / MarkScalerMin
	RestoreSurge ActionKind = "restoreSurge" // Workload (or its Scaler): back to the marked number
	PreferDelete ActionKind = "preferDelete" // Pod: give it a low pod-deletion-cost, so that a scale-down takes it
	ForgetCost   ActionKind = "forgetCost"   // Pod: remove the cost we wrote
	Evict        ActionKind = "evict"        // Pod: Eviction API with its UID as precondition
	ExcludeLB    ActionKind = "excludeLB"    // Node: label node.kubernetes.io/exclude-from-external-load-balancers
	IncludeLB    ActionKind = "includeLB"    // Node: remove that label where it is ours
	PrePull      ActionKind = "prePull"      // Pod: make it on Node, so that the kubelet pulls Images with Secrets; it runs nothing
	EndPull      ActionKind = "endPull"      // Pod: delete it, if it is one that PrePull made
)

// ExcludeLBLabel and ExcludeLBValue take a node out of external load balancers.
// Kubernetes looks at the key alone; the value tells our label from others'.
const (
	ExcludeLBLabel = "node.kubernetes.io/exclude-from-external-load-balancers"
	ExcludeLBValue = "liftlock"
)

// Action is one thing to do, and why.
type Action struct {
	Kind     ActionKind `json:"kind"`
	Node     string     `json:"node,omitempty"`
	Workload string     `json:"workload,omitempty"` // fleet.Workload.Key
	UID      string     `json:"uid,omitempty"`      // of the object acted on; another uid means that it is gone
	Pod      string     `json:"pod,omitempty"`      // namespace/name
	Replicas int32      `json:"replicas,omitempty"` // Surge: the new number
	// Scaler is the HorizontalPodAutoscaler whose minReplicas is raised instead ("" for the workload itself).
	Scaler string `json:"scaler,omitempty"`
	// Shape, for Roll: the strategy the restart must obey so that no budget
	// breaks. The strategy from before goes into fleet.MarkStrategy, unless a
	// mark is there already.
	Shape *Shape `json:"shape,omitempty"`
	// Token, for Roll, becomes the value of fleet.MarkRestarted on the pod
	// template. A template that carries it already is not restarted again; one
	// that carries another token is (a rollback restarts what went forth).
	Token string `json:"token,omitempty"`
	// Images, Secrets and OS, for PrePull: what is pulled, with which
	// imagePullSecrets of the pod's namespace, on what kind of node.
	Images  []string `json:"images,omitempty"`
	Secrets []string `json:"secrets,omitempty"`
	OS      string   `json:"os,omitempty"`
	Reason  string   `json:"reason"`
}

// Shape is a rolling-update strategy in pods.
type Shape struct {
	MaxUnavailable int32 `json:"maxUnavailable"`
	MaxSurge       int32 `json:"maxSurge"`
}

// Result is what came of an Action.
type Result string

// The results.
const (
	Done    Result = "done"    // the effect is there (now, or it already was)
	Gone    Result = "gone"    // the object no longer exists or has another uid
	Refused Result = "refused" // the API said no: a budget (429), a webhook, a quota, missing rights
	Retry   Result = "retry"   // conflict or overload: the same action is fine next time
)

// Outcome reports an Action back to the next pass.
type Outcome struct {
	Result Result `json:"result"`
	// Message is the API's own word, with the budget's numbers where it gave them.
	Message string `json:"message,omitempty"`
	// Busy: the API server asked to slow down, or did not answer in time. A
	// budget's refusal is not that. RetryAfter is for how long, where it said so.
	Busy       bool          `json:"busy,omitempty"`
	RetryAfter time.Duration `json:"retryAfter,omitempty"`
}
