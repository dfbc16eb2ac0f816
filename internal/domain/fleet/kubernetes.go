package fleet

import (
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// Snapshot is what one look at a cluster's API server found. Everything a
// decision about its pods needs is in it; nothing else may be asked for.
type Snapshot struct {
	TakenAt       time.Time      `json:"takenAt"`
	Nodes         []Node         `json:"nodes"`
	Pods          []Pod          `json:"pods"`
	Workloads     []Workload     `json:"workloads"`
	Budgets       []Budget       `json:"budgets"`
	Claims        []Claim        `json:"claims,omitempty"`
	LoadBalancers []LoadBalancer `json:"loadBalancers,omitempty"`
	// TerminatingNamespaces refuse evictions and new pods.
	TerminatingNamespaces []string `json:"terminatingNamespaces,omitempty"`
}

// Node is a cluster node.
type Node struct {
	Name          string            `json:"name"`
	UID           string            `json:"uid"`
	Pool          string            `json:"pool"`    // the agent pool's name; "" when it is in none
	Version       Version           `json:"version"` // the kubelet's own word
	Image         string            `json:"image,omitempty"`
	ProviderID    string            `json:"providerID,omitempty"`
	BootID        string            `json:"bootID,omitempty"`
	Zone          string            `json:"zone,omitempty"`
	Ready         bool              `json:"ready"`
	Unschedulable bool              `json:"unschedulable,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
	Taints        []Taint           `json:"taints,omitempty"`
	Allocatable   Resources         `json:"allocatable"`
	CreatedAt     time.Time         `json:"createdAt"`
	// Pressure names the conditions that the node suffers from: MemoryPressure,
	// DiskPressure, PIDPressure, NetworkUnavailable.
	Pressure []string `json:"pressure,omitempty"`
	// Images are those that the node says it has, by name with registry and tag,
	// in bytes. Kubelets name their largest ones only.
	Images map[string]int64 `json:"images,omitempty"`
}

// Taint is a node taint.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"` // NoSchedule, PreferNoSchedule, NoExecute
}

// Resources are amounts of what the scheduler counts.
type Resources struct {
	MilliCPU int64 `json:"milliCPU"` // millicores
	Memory   int64 `json:"memory"`   // bytes
	Pods     int64 `json:"pods,omitempty"`
}

// Pod is a pod on, or waiting for, a node.
type Pod struct {
	Namespace    string            `json:"namespace"`
	Name         string            `json:"name"`
	UID          string            `json:"uid"`
	Node         string            `json:"node,omitempty"`     // "" while unscheduled
	Workload     string            `json:"workload,omitempty"` // Workload.Key of the topmost controller; "" for a bare pod
	Labels       map[string]string `json:"labels,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Phase        string            `json:"phase"` // Pending, Running, Succeeded, Failed, Unknown
	Ready        bool              `json:"ready"`
	ReadySince   time.Time         `json:"readySince,omitzero"`
	CreatedAt    time.Time         `json:"createdAt"`
	DeletedAt    time.Time         `json:"deletedAt,omitzero"` // deletionTimestamp
	GraceSeconds int64             `json:"graceSeconds,omitempty"`
	Finalizers   []string          `json:"finalizers,omitempty"`
	Mirror       bool              `json:"mirror,omitempty"`    // a static pod
	LocalData    []string          `json:"localData,omitempty"` // volumes whose data dies with the pod or stays on the node: "emptyDir scratch", "hostPath /data"
	Claims       []string          `json:"claims,omitempty"`    // names of PersistentVolumeClaims in its namespace
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// PoolAffinity are the agent pools that its required node affinity names; it
	// runs on no other one's nodes.
	PoolAffinity []string `json:"poolAffinity,omitempty"`
	// Unprobed: no container has a readiness probe, so it is Ready once it runs.
	Unprobed bool `json:"unprobed,omitempty"`
	// KilledAtOnce: its grace period is 0, so it gets no time to end well.
	KilledAtOnce bool `json:"killedAtOnce,omitempty"`

	Priority    int32     `json:"priority,omitempty"`
	Requests    Resources `json:"requests"`
	Images      []string  `json:"images,omitempty"` // of its containers, as they name them, sorted
	PullSecrets []string  `json:"pullSecrets,omitempty"`
	// Pulls, of a pod that Liftlock made to pull images, say how far it is.
	Pulls []Pull `json:"pulls,omitempty"`
	// Revision is the pod-template-hash or controller-revision-hash.
	Revision string `json:"revision,omitempty"`
	// Unschedulable is the scheduler's message while it finds no node.
	Unschedulable string `json:"unschedulable,omitempty"`
	// WaitingReason is why a container does not run (CrashLoopBackOff, ImagePullBackOff …).
	WaitingReason string `json:"waitingReason,omitempty"`
}

// Pull is one image that a pod of ours pulls.
type Pull struct {
	Image  string `json:"image"`
	Done   bool   `json:"done,omitempty"`
	Failed string `json:"failed,omitempty"` // why it cannot be pulled
}

// Key is "namespace/name".
func (p *Pod) Key() string { return p.Namespace + "/" + p.Name }

// Finished reports whether the pod has run to its end.
func (p *Pod) Finished() bool { return p.Phase == "Succeeded" || p.Phase == "Failed" }

// WorkloadKind is the kind of a pod's topmost known controller.
type WorkloadKind string

// The kinds of controllers that own pods.
const (
	Deployment  WorkloadKind = "Deployment"
	ReplicaSet  WorkloadKind = "ReplicaSet" // one without a Deployment, and ReplicationControllers
	StatefulSet WorkloadKind = "StatefulSet"
	DaemonSet   WorkloadKind = "DaemonSet"
	Job         WorkloadKind = "Job"
	Other       WorkloadKind = "Other" // owned by a kind that Liftlock does not know: evicted, never patched
)

// Workload is a controller of pods, with what is needed to move them safely.
type Workload struct {
	Kind        WorkloadKind      `json:"kind"`
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	UID         string            `json:"uid"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Manager names who would put back what we change ("argocd", "flux", "helm-operator/Widget web",
	// "addon-manager"); "" when nobody would.
	Manager string `json:"manager,omitempty"`

	Replicas  int32 `json:"replicas"` // wanted, spec.replicas
	Ready     int32 `json:"ready"`
	Available int32 `json:"available"`
	Updated   int32 `json:"updated"`
	Current   int32 `json:"current"` // status.replicas
	// Settled: the controller has seen the latest spec (observedGeneration).
	Settled bool `json:"settled"`
	Paused  bool `json:"paused,omitempty"`
	// ProgressFailed is the message of a Deployment past its progress deadline.
	ProgressFailed string `json:"progressFailed,omitempty"`

	Strategy        string              `json:"strategy,omitempty"`       // RollingUpdate, Recreate, OnDelete
	MaxUnavailable  *intstr.IntOrString `json:"maxUnavailable,omitempty"` // defaulted by the API server
	MaxSurge        *intstr.IntOrString `json:"maxSurge,omitempty"`
	Partition       int32               `json:"partition,omitempty"`
	PodManagement   string              `json:"podManagement,omitempty"` // OrderedReady, Parallel
	MinReadySeconds int32               `json:"minReadySeconds,omitempty"`
	Scaler          *Scaler             `json:"scaler,omitempty"`
	// DeadlineAt is when a Job is killed by its activeDeadlineSeconds; zero for never.
	DeadlineAt time.Time `json:"deadlineAt,omitzero"`
}

// Key identifies a workload: "Deployment/shop/web".
func (w *Workload) Key() string { return string(w.Kind) + "/" + w.Namespace + "/" + w.Name }

// Scaler is an autoscaler that owns a workload's replica count.
type Scaler struct {
	Kind string `json:"kind"` // HorizontalPodAutoscaler, ScaledObject
	Name string `json:"name"`
	Min  int32  `json:"min"`
	Max  int32  `json:"max"`
	// Annotations of the scaler object; what was changed on it is marked there.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Budget is a PodDisruptionBudget.
type Budget struct {
	Namespace          string              `json:"namespace"`
	Name               string              `json:"name"`
	MinAvailable       *intstr.IntOrString `json:"minAvailable,omitempty"`
	MaxUnavailable     *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	Selector           string              `json:"selector"`                 // as labels.Parse reads it; "" selects every pod
	SelectsNothing     bool                `json:"selectsNothing,omitempty"` // a nil selector
	DisruptionsAllowed int32               `json:"disruptionsAllowed"`
	CurrentHealthy     int32               `json:"currentHealthy"`
	DesiredHealthy     int32               `json:"desiredHealthy"`
	ExpectedPods       int32               `json:"expectedPods"`
	// Fresh: status.observedGeneration is the current generation.
	Fresh bool `json:"fresh"`
	// AlwaysAllowUnhealthy: unhealthyPodEvictionPolicy AlwaysAllow.
	AlwaysAllowUnhealthy bool `json:"alwaysAllowUnhealthy,omitempty"`
}

// Key is "namespace/name".
func (b *Budget) Key() string { return b.Namespace + "/" + b.Name }

// Claim is a PersistentVolumeClaim with what its volume binds it to.
type Claim struct {
	Namespace     string   `json:"namespace"`
	Name          string   `json:"name"`
	Volume        string   `json:"volume,omitempty"`
	ReadWriteOnce bool     `json:"readWriteOnce,omitempty"` // ReadWriteOnce or ReadWriteOncePod
	Local         bool     `json:"local,omitempty"`         // the volume lives on one node
	Zones         []string `json:"zones,omitempty"`         // zones it can be attached in; empty for any
	AttachedTo    []string `json:"attachedTo,omitempty"`    // nodes it is attached to now
}

// LoadBalancer is a Service of type LoadBalancer.
type LoadBalancer struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Local: externalTrafficPolicy Local. What comes in at a node without a Ready
	// endpoint of its own is dropped; otherwise every node passes it on.
	Local bool `json:"local,omitempty"`
	// Endpoints are those of a Local one; the others' do not matter.
	Endpoints []Endpoint `json:"endpoints,omitempty"`
}

// Key is "namespace/name".
func (l *LoadBalancer) Key() string { return l.Namespace + "/" + l.Name }

// Endpoint is one pod behind a Service.
type Endpoint struct {
	Node  string `json:"node"`
	Pod   string `json:"pod,omitempty"` // its name, in the Service's namespace
	Ready bool   `json:"ready"`
}

// Marks that Liftlock leaves on what it touches, so that its own changes, and
// only those, can be undone by whoever takes up the work.
const (
	// MarkCordoned on a node: value is the rollout that cordoned it.
	MarkCordoned = "liftlock.dev/cordoned-by"
	// MarkRestarted on a pod template: the evacuation that restarted it.
	MarkRestarted = "liftlock.dev/evacuated-at"
	// MarkReplicas on a workload: its replica count before a surge.
	MarkReplicas = "liftlock.dev/replicas-before"
	// MarkStrategy on a Deployment: its rolling-update strategy, as JSON, before it was shaped for a restart.
	MarkStrategy = "liftlock.dev/strategy-before"
	// MarkScalerMin on a HorizontalPodAutoscaler: its minReplicas before a surge.
	MarkScalerMin = "liftlock.dev/min-replicas-before"
	// MarkDeletionCost on a pod: set when Liftlock wrote controller.kubernetes.io/pod-deletion-cost.
	MarkDeletionCost = "liftlock.dev/deletion-cost"
	// MarkPrePull is a label on pods that only pull images: value is the rollout.
	MarkPrePull = "liftlock.dev/prepull"
	// TaintLeaving is the soft taint (PreferNoSchedule) on nodes whose turn comes later.
	TaintLeaving = "liftlock.dev/leaving"
)
