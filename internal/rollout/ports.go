package rollout

import (
	"context"
	"errors"
	"time"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Provider is a cloud that has clusters and node pools. Every method may be
// called again after a crash with the same arguments: a change that is already
// there, or under way, is not made twice.
//
// Errors are *ProviderError where the provider answered; anything else means
// that it could not be asked, and may be retried.
type Provider interface {
	// Discover lists the clusters of the sources, in a stable order.
	Discover(ctx context.Context, sources []fleet.Source) ([]fleet.Cluster, error)
	// Cluster reads one cluster with its pools. A cluster that is gone is a
	// ProviderError of code CodeNotFound.
	Cluster(ctx context.Context, id string) (fleet.Cluster, error)
	// Offers reads what the provider would take the cluster to now.
	Offers(ctx context.Context, cluster fleet.Cluster) (fleet.Offers, error)

	// The following start a long-running operation and return at once. They
	// use the cluster's or pool's ETag where they got one: CodeChanged means
	// that the world moved and must be looked at again.

	// UpgradeControlPlane raises the control plane alone, pools untouched.
	UpgradeControlPlane(ctx context.Context, cluster fleet.Cluster, to fleet.Version) (Operation, error)
	// CreatePool makes pool like the given one. pool.Name, Version, SnapshotID,
	// Tags and Count say what differs from like.
	CreatePool(ctx context.Context, cluster fleet.Cluster, like, pool fleet.Pool) (Operation, error)
	// UpgradePool raises a pool in place. surge is the provider's maxSurge, ""
	// for the pool's own; snapshotID pins the node image, "" for the newest.
	UpgradePool(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, to fleet.Version, surge, snapshotID string) (Operation, error)
	// UpgradeNodeImage moves a pool to the newest image, or to a snapshot's.
	UpgradeNodeImage(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, snapshotID string) (Operation, error)
	// SetAutoscaler sets the bounds of a pool's autoscaler; nil switches it off
	// and fixes the count.
	SetAutoscaler(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, to *fleet.Autoscaler) (Operation, error)
	// ScalePool makes a pool larger. A pool that has that many nodes, or more, is
	// left alone.
	ScalePool(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, count int) (Operation, error)
	// DeleteMachines removes those nodes of a pool with their machines, and makes
	// the pool smaller by them. Nodes that are gone are left out.
	DeleteMachines(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, nodes []string) (Operation, error)
	// DeletePool removes a pool and its nodes.
	DeletePool(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool) (Operation, error)
	// SetChannels writes the cluster's automatic upgrade channels.
	SetChannels(ctx context.Context, cluster fleet.Cluster, upgrade, nodeOS string) (Operation, error)
	// Reconcile repeats the last write of a pool (or, with pool nil, of the
	// cluster) that ended Failed, so that the provider resumes it.
	Reconcile(ctx context.Context, cluster fleet.Cluster, pool *fleet.Pool) (Operation, error)

	// SnapshotPool keeps a pool's node image under a name, in the cluster's
	// resource group, and returns its id. It is idempotent by name.
	SnapshotPool(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, name string) (id string, err error)
	// SnapshotImage returns the node image and creation time of a snapshot.
	SnapshotImage(ctx context.Context, id string) (image string, createdAt time.Time, err error)

	// Poll asks for the state of an operation. An operation that ended badly is
	// a ProviderError.
	Poll(ctx context.Context, op Operation) (OperationStatus, error)
}

// Operation is a started long-running operation. Token lets any process poll
// it; it holds signed URLs and is a secret. The zero value is "no operation".
type Operation struct {
	Kind  string `json:"kind"` // upgradeControlPlane, createPool …
	Token string `json:"token"`
}

// OperationStatus is how far an operation has come.
type OperationStatus struct {
	Done       bool
	RetryAfter time.Duration // zero where the provider named none
}

// Code is the machine-readable reason of a ProviderError.
type Code string

// The codes. Busy and Throttled pass by waiting; Changed by looking again;
// Unavailable is worth a retry with backoff; the others need a person or
// another decision.
const (
	CodeBusy                     Code = "Busy"                     // another operation is in progress
	CodeThrottled                Code = "Throttled"                // RetryAfter says how long
	CodeChanged                  Code = "Changed"                  // the ETag no longer matches
	CodeUnavailable              Code = "Unavailable"              // server error, connection refused, timeout
	CodeNotFound                 Code = "NotFound"                 // the object does not exist (any more)
	CodeNotOffered               Code = "NotOffered"               // the version is not, or no longer, on offer
	CodeSkew                     Code = "Skew"                     // the version rules forbid it
	CodeQuota                    Code = "Quota"                    // vCPU or address quota used up
	CodeAddresses                Code = "Addresses"                // the subnet is full
	CodeCapacity                 Code = "Capacity"                 // the region has no machines of that size now
	CodeDrainFailed              Code = "DrainFailed"              // the provider's own drain did not finish
	CodeDeprecatedAPI            Code = "DeprecatedAPI"            // refused for recent use of a removed API
	CodeLocked                   Code = "Locked"                   // a management lock or policy forbids it
	CodeUnauthorized             Code = "Unauthorized"             // credentials missing, refused or without rights
	CodeStopped                  Code = "Stopped"                  // the cluster is stopped
	CodeControlPlaneAloneRefused Code = "ControlPlaneAloneRefused" // pools would have to go along
	CodeInvalid                  Code = "Invalid"                  // the request was refused for what it says
	CodeFailed                   Code = "Failed"                   // the operation failed for a reason of its own
)

// ProviderError is a provider's refusal or failure.
type ProviderError struct {
	Code       Code
	Object     string        // "cluster prod", "pool apps of prod"
	Doing      string        // "upgrade control plane to 1.35.4"
	Message    string        // the provider's own words, free of signed URLs and secrets
	Remedy     string        // what to do next
	RetryAfter time.Duration // for CodeThrottled
	Err        error
}

// Error says what failed on which object, why, and what to do.
func (e *ProviderError) Error() string {
	s := e.Object + ": " + e.Doing + ": " + string(e.Code) + ": " + e.Message
	if e.Remedy != "" {
		s += " (" + e.Remedy + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *ProviderError) Unwrap() error { return e.Err }

// CodeOf returns the code of the ProviderError in err's tree, or "".
func CodeOf(err error) Code {
	if pe, ok := errors.AsType[*ProviderError](err); ok {
		return pe.Code
	}
	return ""
}

// Connector reaches the API servers of clusters.
type Connector interface {
	// Connect opens the API of a cluster and makes sure that what answers is
	// that cluster: its nodes name the cluster's node resource group, and its
	// kube-system namespace has the uid in seen (when seen is not ""). A
	// mismatch is an *IdentityError. Connections are shared; Close is not needed.
	Connect(ctx context.Context, cluster fleet.Cluster, seen string) (Kubernetes, error)
}

// IdentityError says that the API server that answered is another cluster's.
type IdentityError struct{ Cluster, Expected, Found string }

// Error implements error.
func (e *IdentityError) Error() string {
	return "cluster " + e.Cluster + ": the API server that answered is not this cluster's: expected " + e.Expected +
		", found " + e.Found + "; check the kubeconfig context or the credentials, nothing was touched"
}

// Kubernetes is one cluster's API server.
type Kubernetes interface {
	// UID is the uid of the kube-system namespace: the cluster's identity.
	UID() string
	// ServerVersion is the API server's own word.
	ServerVersion(ctx context.Context) (fleet.Version, error)
	// Snapshot looks at everything that decisions need.
	Snapshot(ctx context.Context) (fleet.Snapshot, error)
	// Inspect gathers facts for checks. What could not be read is noted in them,
	// with the reason and the right that is missing.
	Inspect(ctx context.Context, needs []check.Need) check.Facts
	// Do carries out one action of an evacuation pass. It is idempotent, works
	// with UID preconditions, and reports what came of it; only an API that
	// could not be asked is an error.
	Do(ctx context.Context, rollout string, action evacuate.Action) (evacuate.Outcome, error)

	// AcquireLease takes or renews the Lease kube-system/liftlock for holder.
	// Another live holder is a *LeaseHeldError. The notes are kept on it.
	AcquireLease(ctx context.Context, holder string, ttl time.Duration, notes map[string]string) error
	// LeaseNotes reads what AcquireLease kept there.
	LeaseNotes(ctx context.Context) (map[string]string, error)
	// ReleaseLease gives the Lease up if holder has it.
	ReleaseLease(ctx context.Context, holder string) error

	// Watch reports the Ready counts of all workloads until the context ends:
	// once for every change, starting with the present. It reconnects by
	// itself and says when it could not see.
	Watch(ctx context.Context, report func(fleet.Sight)) error
}

// LeaseHeldError says that another Liftlock acts on the cluster.
type LeaseHeldError struct {
	Cluster, Holder string
	RenewedAt       time.Time
	TTL             time.Duration
}

// Error implements error.
func (e *LeaseHeldError) Error() string {
	return "cluster " + e.Cluster + ": another Liftlock (" + e.Holder + ") holds the Lease kube-system/liftlock, renewed " +
		e.RenewedAt.UTC().Format(time.RFC3339) + " for " + e.TTL.String() + "; stop it there, or wait until the Lease runs out"
}
