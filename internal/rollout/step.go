package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// Task names what a step is about: a rollout, one of its rings, a cluster, or
// a pool on one hop. The deepest field that is set tells the level.
type Task struct {
	Rollout string        `json:"rollout"`
	Ring    string        `json:"ring,omitempty"`
	Cluster string        `json:"cluster,omitempty"` // id
	Pool    string        `json:"pool,omitempty"`
	To      fleet.Version `json:"to,omitzero"` // of a pool task
	// Op is the provider's operation that the step before has started.
	Op    Operation `json:"op,omitzero"`
	Polls int       `json:"polls,omitempty"` // how often Op was polled
}

// ID is the same for the same task in every process: engines run it once.
func (t Task) ID() string {
	parts := []string{"liftlock", t.Rollout}
	for _, p := range []string{t.Ring, t.Cluster, t.Pool} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if t.Pool != "" {
		parts = append(parts, t.To.String())
	}
	return strings.Join(parts, ":")
}

// Turn is what one step found, and what to wait for before the next.
type Turn struct {
	State  fleet.State `json:"state"`
	Reason string      `json:"reason,omitempty"`
	Ended  bool        `json:"ended,omitempty"`
	// After is when to look again at the latest; a nudge or the end of a task
	// in Start comes earlier. Zero means at once.
	After time.Duration `json:"after,omitempty"`
	// Start lists the tasks that must be running now. Those that run already
	// are left alone.
	Start []Task    `json:"start,omitempty"`
	Op    Operation `json:"op,omitzero"`
	Polls int       `json:"polls,omitempty"`
}

// Reach is how the clusters of one fleet are reached.
type Reach struct {
	Provider  Provider
	Connector Connector
}

// Stepper takes the steps. All fields are required.
type Stepper struct {
	// Reach opens, or returns what is open, for the cloud and the identity of a
	// Fleet file.
	Reach   func(ctx context.Context, spec *fleet.Spec) (Reach, error)
	Store   Store
	Ledger  Ledger
	Journal Journal
	Watcher *Watcher
	// Holder names this engine in the clusters' Leases. It must stay the same
	// over restarts on the same store.
	Holder string
	// Clock tells the time.
	Clock func() time.Time
	Log   *slog.Logger

	past memo
}

// reached is a Stepper together with the reach of the fleet that the step is about.
type reached struct {
	*Stepper
	Reach
}

// How long to wait where nothing says more exactly when something will change.
const (
	glance   = 500 * time.Millisecond // between two passes of an evacuation
	soon     = 2 * time.Second
	patience = 30 * time.Second
	leaseTTL = 2 * time.Minute
	maxPolls = 5 // 1 s << 5 is beyond patience
	giveUp   = 3 // failures of the same provider operation before a pool counts as failed
)

// Step observes what the task is about, lets the domain decide, and does at
// most one thing. It may be called again at any time, also after it was killed
// half-way. An error means that the step could not be taken and should be
// tried again; everything that a person must know is in the Turn instead.
func (s *Stepper) Step(ctx context.Context, t Task) (Turn, error) {
	ro, _, err := read[RolloutRecord](ctx, s.Store, t.Rollout, kindRollout, "")
	if err != nil {
		return Turn{}, err
	}
	file, err := s.Store.Fleet(ctx, ro.Digest)
	if err != nil {
		return Turn{}, fmt.Errorf("fleet file of rollout %s: %w", ro.ID, err)
	}
	spec := &file.Spec
	reach, err := s.Reach(ctx, spec)
	if err != nil {
		return Turn{}, fmt.Errorf("rollout %s: %w", ro.ID, err)
	}
	r := &reached{Stepper: s, Reach: reach}
	switch {
	case t.Pool != "":
		return r.pool(ctx, t, ro, spec)
	case t.Cluster != "":
		return r.cluster(ctx, t, ro, spec)
	case t.Ring != "":
		return r.ring(ctx, t, ro, spec)
	}
	return r.fleet(ctx, ro, spec)
}

// now is the time of the step, in UTC and without a monotonic part, so that it
// survives being stored.
func (s *Stepper) now() time.Time { return s.Clock().UTC().Round(0) }

// journal writes what was done; a journal that cannot be written stops the step.
func (s *Stepper) journal(ctx context.Context, entries ...fleet.JournalEntry) error {
	if len(entries) == 0 {
		return nil
	}
	for i := range entries {
		entries[i].At = s.now()
		if entries[i].Actor == "" {
			entries[i].Actor = "liftlock"
		}
	}
	if err := s.Journal.Write(ctx, entries...); err != nil {
		return fmt.Errorf("journal %s: %w", entries[0].Action, err)
	}
	return nil
}

// backoff doubles from one second with every attempt, up to patience.
func backoff(attempts int) time.Duration {
	return min(time.Second<<min(max(attempts, 0), maxPolls), patience)
}

// trouble turns a failed call into what a person reads and when to look again.
// attempts counts the failed calls before it, failures the operations that the
// provider failed, this one included. fatal reports that waiting cannot help.
func trouble(err error, attempts, failures int) (turn Turn, fatal bool) {
	turn = Turn{State: fleet.StateWaiting, Reason: err.Error(), After: backoff(max(attempts, failures))}
	if held, ok := errors.AsType[*LeaseHeldError](err); ok {
		turn.State, turn.After = fleet.StateBlocked, min(patience, max(soon, held.TTL/4))
		return turn, false
	}
	if _, ok := errors.AsType[*IdentityError](err); ok {
		turn.State, turn.After = fleet.StateBlocked, patience
		return turn, false
	}
	pe, ok := errors.AsType[*ProviderError](err)
	if !ok {
		return turn, false
	}
	switch pe.Code {
	case CodeBusy, CodeUnavailable:
	case CodeThrottled:
		turn.After = max(pe.RetryAfter, time.Second)
	case CodeChanged:
		turn.After = time.Second
	case CodeNotOffered, CodeQuota, CodeAddresses, CodeCapacity, CodeLocked, CodeUnauthorized, CodeDeprecatedAPI, CodeStopped:
		turn.State = fleet.StateBlocked
	case CodeDrainFailed, CodeFailed:
		turn.State = fleet.StateBlocked
		fatal = failures >= giveUp
	case CodeNotFound, CodeSkew, CodeControlPlaneAloneRefused, CodeInvalid:
		fatal = true
	}
	return turn, fatal
}

// failedOperation reports whether an error says that the provider began an
// operation and failed at it.
func failedOperation(err error) bool {
	code := CodeOf(err)
	return code == CodeFailed || code == CodeDrainFailed
}

// pollError is an operation's bad end, or that its state could not be asked for.
type pollError struct{ err error }

func (e *pollError) Error() string { return e.err.Error() }
func (e *pollError) Unwrap() error { return e.err }

// stillRuns reports whether err leaves open what became of an operation, so that
// the very same is asked for again.
func stillRuns(err error) bool {
	if _, polled := errors.AsType[*pollError](err); !polled {
		return false
	}
	switch CodeOf(err) {
	case "", CodeBusy, CodeThrottled, CodeUnavailable, CodeUnauthorized:
		return true
	case CodeChanged, CodeNotFound, CodeNotOffered, CodeSkew, CodeQuota, CodeAddresses, CodeCapacity, CodeDrainFailed, CodeDeprecatedAPI,
		CodeLocked, CodeStopped, CodeControlPlaneAloneRefused, CodeInvalid, CodeFailed:
	}
	return false
}

// poll asks once for the state of a running operation. One that the provider
// does not know any more is over: the world tells how it went.
func (s *reached) poll(ctx context.Context, t Task) (turn Turn, done bool, err error) {
	status, err := s.Provider.Poll(ctx, t.Op)
	if CodeOf(err) == CodeNotFound {
		return Turn{}, true, nil
	}
	if err != nil {
		return Turn{}, false, &pollError{err}
	}
	if status.Done {
		return Turn{}, true, nil
	}
	after := status.RetryAfter
	if after <= 0 {
		after = pollAfter(t.Polls)
	}
	return Turn{State: fleet.StateRunning, After: after, Op: t.Op, Polls: t.Polls + 1}, false, nil
}

// pollAfter is the pause after so many polls of an operation whose provider
// names none: a second, and then a fiftieth of the time so far, up to
// patience. So an operation's end is noticed late by a small part of what it
// took, and the polls stay far below what providers allow.
func pollAfter(polls int) time.Duration {
	const growth, most = 1.02, 200 // growth to the power of most is beyond patience
	return min(time.Duration(float64(time.Second)*math.Pow(growth, float64(min(polls, most)))), patience)
}

// policyOf returns the node policy by pool for one cluster.
func policyOf(spec *fleet.Spec, ring, cluster string) func(pool string) fleet.NodePolicy {
	return func(pool string) fleet.NodePolicy { return spec.NodePolicyFor(ring, cluster, pool, plan.Match) }
}
