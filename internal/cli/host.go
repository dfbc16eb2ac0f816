package cli

import (
	"context"
	"io"
	"log/slog"
	"time"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
	"liftlock.dev/liftlock/internal/report"
	"liftlock.dev/liftlock/internal/rollout"
)

// Host is what the commands need from the rest of Liftlock. Package app fills it.
type Host interface {
	// ReadFleet reads a Fleet file. What is wrong with it is a *config.Error.
	ReadFleet(ctx context.Context, path string) (rollout.FleetFile, error)
	// OpenState opens a state folder. One without a store, in which nothing was
	// ever begun, is a rollout.ErrNoRollout.
	OpenState(ctx context.Context, dir string) (State, error)
	// JoinState is OpenState for a folder whose rollouts run on a Temporal
	// cluster: its Send makes them look at once.
	JoinState(ctx context.Context, o EngineOptions) (State, error)
	// StartEngine opens a state folder and runs the rollouts in it. A folder
	// that another engine runs on is a *LockedError.
	StartEngine(ctx context.Context, o EngineOptions) (Engine, error)
	// Look says what would be done to a fleet, and changes nothing.
	Look(ctx context.Context, file rollout.FleetFile, log *slog.Logger) (*rollout.Outlook, error)
	// PlanFleet says what a rollout of a Fleet file would do, when and at what cost,
	// and changes nothing. path is where the file was read; the state folder, if
	// there is one, tells of earlier rollouts.
	PlanFleet(ctx context.Context, file rollout.FleetFile, path, dir string, log *slog.Logger) (fleetplan.Plan, error)
	// ReadSnapshot reads a cluster's objects from a file, or from in where the path
	// is "-". The snapshot is of the time at, or where that is zero, of the newest
	// time in it. What can be read but does not seem to be right or whole is a
	// finding.
	ReadSnapshot(ctx context.Context, path string, in io.Reader, at time.Time) (fleet.Snapshot, []fleet.Finding, error)
	// Check runs checks on the clusters of a fleet, and changes nothing.
	Check(ctx context.Context, file rollout.FleetFile, request rollout.CheckRequest, log *slog.Logger) ([]check.Result, error)
	// ReadFacts reads what checks need from a file, as ReadSnapshot reads one.
	ReadFacts(ctx context.Context, path string, in io.Reader, at time.Time) (check.Facts, error)
	// ReadManifests reads the objects of files that are to go to a cluster, and says
	// what of them could not be read.
	ReadManifests(ctx context.Context, path string, in io.Reader) ([]fleet.Object, []report.Skipped, error)
	// ReadAudit reads who asked for deprecated APIs from an API server's audit log,
	// and says what of it could not be read.
	ReadAudit(ctx context.Context, path string) (uses []lifecycle.Use, unread []string, err error)
	// Rehearse tries an upgrade on throw-away control planes, one for each cluster.
	// What was asked for and makes no sense is a *rollout.InputError. Results come
	// as they are, also beside an error.
	Rehearse(ctx context.Context, r RehearseRequest) ([]rollout.Rehearsal, error)
	// Version is what this binary is.
	Version() VersionInfo
}

// State is an open state folder.
type State interface {
	Store() rollout.Store
	Ledger() rollout.Ledger
	Journal() rollout.Journal
	// Send hands a request to the engine that runs on the folder, or carries it
	// out on the folder itself where none does.
	Send(ctx context.Context, request rollout.Request) (rollout.Answer, error)
	// Snapshot copies the store to a new file while others use it.
	Snapshot(ctx context.Context, path string) error
	Close() error
}

// Engine runs rollouts in this process.
type Engine interface {
	Store() rollout.Store
	Ledger() rollout.Ledger
	Journal() rollout.Journal
	Send(ctx context.Context, request rollout.Request) (rollout.Answer, error)
	// Begin starts a rollout of a Fleet file, or takes up the unfinished one. A
	// record without id means that nothing is to be done. With a plan that was kept,
	// which may be nil, the rollout does what it says, or is refused.
	Begin(ctx context.Context, file rollout.FleetFile, kept *rollout.KeptPlan, actor string) (ro rollout.RolloutRecord, look *rollout.Outlook, resumed bool, err error)
	// Check says why nothing can be written down, such as a full disk. Without it
	// that shows only as rollouts that do not move.
	Check(ctx context.Context) error
	// Resume makes sure that a rollout that was begun is running.
	Resume(ctx context.Context, id string) error
	// Close ends this process's part. Rollouts are kept and go on with the next engine.
	Close(ctx context.Context) error
}

// EngineOptions says where an engine keeps its state and what it runs on.
type EngineOptions struct {
	Dir      string
	Temporal Temporal // zero for the embedded engine
	Log      *slog.Logger
}

// Temporal is an outside Temporal cluster. Secrets come from files.
type Temporal struct {
	Address    string
	Namespace  string
	CAFile     string
	CertFile   string
	KeyFile    string
	ServerName string
	APIKeyFile string
}

// VersionInfo says what a binary is.
type VersionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// LockedError says that another engine holds the state folder.
type LockedError struct {
	Dir string
	PID int
	Err error
}

// Error implements error.
func (e *LockedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *LockedError) Unwrap() error { return e.Err }
