package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/gate"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// Control carries out what people ask of a rollout. Verbs write to the Store
// and the Journal; whoever runs the rollout sees it with the next step, which a
// nudge brings forward.
type Control struct {
	Store   Store
	Journal Journal
	Clock   func() time.Time
}

// Verb is one thing that a person can ask.
type Verb string

// The verbs.
const (
	VerbApprove  Verb = "approve"  // give approval Name of Role to Ring
	VerbPause    Verb = "pause"    // start nothing new
	VerbResume   Verb = "resume"   // undo pause
	VerbSkip     Verb = "skip"     // leave Cluster, or all of Ring, out
	VerbRetry    Verb = "retry"    // take failed clusters up again, with the same pins
	VerbAbort    Verb = "abort"    // stop at the next safe point
	VerbRollback Verb = "rollback" // move Cluster, or all that can, back to the old nodes
)

// Request is what a person asks.
type Request struct {
	Verb    Verb   `json:"verb"`
	Rollout string `json:"rollout,omitempty"` // "" for the latest
	Ring    string `json:"ring,omitempty"`
	Cluster string `json:"cluster,omitempty"` // name or id
	Name    string `json:"name,omitempty"`    // of an approval; "" for the only one that is waited for
	Role    string `json:"role,omitempty"`
	Actor   string `json:"actor"`
	Reason  string `json:"reason,omitempty"`
}

// Answer says what a request did.
type Answer struct {
	Rollout string `json:"rollout"`
	Done    string `json:"done"`
	// Restart: the rollout had ended and must be run again.
	Restart bool `json:"restart,omitempty"`
}

// ErrNoRollout is returned when there is no rollout that a request could mean.
var ErrNoRollout = errors.New("no rollout")

// RefusedError says why a request cannot be carried out.
type RefusedError struct{ What string }

// Error implements error.
func (e *RefusedError) Error() string { return e.What }

func refuse(format string, args ...any) error {
	return &RefusedError{What: fmt.Sprintf(format, args...)}
}

// Latest returns the rollout of an id, or for "" the one that started last.
func (c *Control) Latest(ctx context.Context, id string) (RolloutRecord, error) {
	records, err := c.Store.Records(ctx, id, kindRollout)
	if err != nil {
		return RolloutRecord{}, fmt.Errorf("list rollouts: %w", err)
	}
	var latest RolloutRecord
	for _, r := range records {
		ro, err := decode[RolloutRecord](r)
		if err != nil {
			return RolloutRecord{}, err
		}
		if latest.ID == "" || ro.StartedAt.After(latest.StartedAt) {
			latest = ro
		}
	}
	if latest.ID == "" {
		if id != "" {
			return latest, fmt.Errorf("rollout %s: %w", id, ErrNotFound)
		}
		return latest, fmt.Errorf("%w has been started with this state folder; start one with: liftlock run FLEET_FILE", ErrNoRollout)
	}
	return latest, nil
}

// Do carries out a request. A request that makes no sense in the rollout's
// state is a *RefusedError and changes nothing.
func (c *Control) Do(ctx context.Context, r Request) (Answer, error) {
	ro, err := c.Latest(ctx, r.Rollout)
	if err != nil {
		return Answer{}, err
	}
	if ro.State.Ended() && r.Verb != VerbRetry && r.Verb != VerbRollback {
		return Answer{}, refuse("rollout %s has ended (%s): there is nothing to %s", ro.ID, ro.State, r.Verb)
	}
	answer := Answer{Rollout: ro.ID}
	switch r.Verb {
	case VerbApprove:
		answer.Done, err = c.approve(ctx, ro, r)
	case VerbPause:
		answer.Done = "nothing new is started; what runs at the provider finishes"
		err = c.flag(ctx, ro, func(ro *RolloutRecord) { ro.Paused = true })
	case VerbResume:
		if !ro.Paused {
			return answer, refuse("rollout %s is not paused", ro.ID)
		}
		answer.Done = "goes on"
		err = c.flag(ctx, ro, func(ro *RolloutRecord) { ro.Paused = false })
	case VerbAbort:
		answer.Done = "stops at the next safe point; cordons, replicas and autoscalers are restored, all pools are kept"
		err = c.flag(ctx, ro, func(ro *RolloutRecord) { ro.Aborted = true })
	case VerbSkip:
		answer.Done, err = c.skip(ctx, ro, r)
	case VerbRetry:
		answer.Done, err = c.retry(ctx, ro, r)
		answer.Restart = ro.State.Ended()
	case VerbRollback:
		answer.Done, err = c.rollback(ctx, ro, r)
		answer.Restart = ro.State.Ended()
	default:
		return answer, refuse("verb %q is not known", r.Verb)
	}
	if err != nil {
		return answer, err
	}
	return answer, c.Journal.Write(ctx, fleet.JournalEntry{
		At: c.Clock().UTC(), Rollout: ro.ID, Actor: r.Actor, Ring: r.Ring, Cluster: r.Cluster,
		Action: string(r.Verb), Object: r.Name, Reason: r.Reason, Details: map[string]string{"done": answer.Done},
	})
}

func (c *Control) flag(ctx context.Context, ro RolloutRecord, f func(*RolloutRecord)) error {
	_, err := update(ctx, c.Store, ro.ID, kindRollout, "", f)
	return err
}

// approve gives an approval that a ring needs.
func (c *Control) approve(ctx context.Context, ro RolloutRecord, r Request) (string, error) {
	file, err := c.Store.Fleet(ctx, ro.Digest)
	if err != nil {
		return "", err
	}
	rings, err := all[RingRecord](ctx, c.Store, ro.ID, kindRing)
	if err != nil {
		return "", err
	}
	type option struct {
		ring string
		fleet.Approval
	}
	var options, wanted []option
	for _, ring := range file.Spec.Rings {
		if r.Ring != "" && r.Ring != ring.Name {
			continue
		}
		for _, a := range slices.Concat(ring.Before, ring.After) {
			if (r.Name == "" || r.Name == a.Name) && (r.Role == "" || r.Role == a.Role) {
				options = append(options, option{ring.Name, a})
			}
		}
		for _, a := range rings[ring.Name].Wanted {
			if (r.Name == "" || r.Name == a.Name) && (r.Role == "" || r.Role == a.Role) {
				wanted = append(wanted, option{ring.Name, a})
			}
		}
	}
	if len(wanted) > 0 {
		options = wanted
	}
	switch len(options) {
	case 0:
		return "", refuse("no ring of fleet %s asks for such an approval (ring %q, name %q, role %q)", ro.Fleet, r.Ring, r.Name, r.Role)
	case 1:
	default:
		names := make([]string, len(options))
		for i, o := range options {
			names[i] = fmt.Sprintf("--ring %s --name %s", o.ring, o.Name)
		}
		return "", refuse("several approvals could be meant; say which: %s", strings.Join(names, ", or "))
	}
	o := options[0]
	_, err = update(ctx, c.Store, ro.ID, kindRing, o.ring, func(rec *RingRecord) {
		if rec.Name == "" {
			rec.Name, rec.State = o.ring, fleet.StatePending
		}
		rec.Given = append(rec.Given, gate.Given{Name: o.Name, Role: o.Role, By: r.Actor, At: c.Clock().UTC()})
	})
	return fmt.Sprintf("approval %s of role %s given to ring %s", o.Name, o.Role, o.ring), err
}

// choose lists the clusters that a request names.
func (c *Control) choose(ctx context.Context, ro RolloutRecord, r Request, fits func(ClusterRecord) bool) ([]ClusterRecord, error) {
	clusters, err := all[ClusterRecord](ctx, c.Store, ro.ID, kindCluster)
	if err != nil {
		return nil, err
	}
	var chosen []ClusterRecord
	for _, rec := range clusters {
		named := r.Cluster == "" || plan.Match(r.Cluster, rec.Name) || strings.EqualFold(r.Cluster, rec.ID)
		if named && (r.Ring == "" || r.Ring == rec.Ring) && fits(rec) {
			chosen = append(chosen, rec)
		}
	}
	slices.SortFunc(chosen, func(a, b ClusterRecord) int { return strings.Compare(a.Name, b.Name) })
	return chosen, nil
}

func namesOf(clusters []ClusterRecord) string {
	names := make([]string, len(clusters))
	for i, c := range clusters {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

func (c *Control) skip(ctx context.Context, ro RolloutRecord, r Request) (string, error) {
	if r.Cluster == "" && r.Ring == "" {
		return "", refuse("say what to skip: --cluster NAME or --ring NAME")
	}
	chosen, err := c.choose(ctx, ro, r, func(rec ClusterRecord) bool { return !rec.State.Ended() })
	if err != nil {
		return "", err
	}
	if len(chosen) == 0 {
		return "", refuse("no cluster of rollout %s that has not ended is named %q in ring %q", ro.ID, r.Cluster, r.Ring)
	}
	for _, rec := range chosen {
		_, err := update(ctx, c.Store, ro.ID, kindCluster, rec.ID, func(rec *ClusterRecord) {
			rec.Skip = true
			if !rec.Started {
				rec.State, rec.Reason, rec.EndedAt = fleet.StateSkipped, "skipped by a person", c.Clock().UTC()
			}
		})
		if err != nil {
			return "", err
		}
	}
	return "skipped: " + namesOf(chosen), nil
}

// retry takes up failed clusters with the same pins, and what follows from them.
func (c *Control) retry(ctx context.Context, ro RolloutRecord, r Request) (string, error) {
	chosen, err := c.choose(ctx, ro, r, func(rec ClusterRecord) bool {
		switch rec.State {
		case fleet.StateSkipped:
			return r.Cluster != "" // what a person left out comes back by its name only
		case fleet.StateFailed, fleet.StateAborted, fleet.StateRolledBack, fleet.StateSetAside, fleet.StateBlocked:
			return true
		case fleet.StatePending, fleet.StateWaiting, fleet.StateRunning, fleet.StateSoaking, fleet.StatePaused, fleet.StateRollingBack, fleet.StateSucceeded:
		}
		return false
	})
	if err != nil {
		return "", err
	}
	if len(chosen) == 0 && !ro.Aborted {
		return "", refuse("no cluster of rollout %s has failed, was skipped, aborted, rolled back or set aside", ro.ID)
	}
	rings := map[string]bool{}
	for _, rec := range chosen {
		rings[rec.Ring] = true
		if rec.State == fleet.StateBlocked { // under way: it looks again at once
			if err := c.unblock(ctx, ro, rec); err != nil {
				return "", err
			}
			continue
		}
		if err := c.reopen(ctx, ro, rec, func(rec *ClusterRecord) { rec.Rollback, rec.RollbackWhy = false, "" }, fleet.StatePending); err != nil {
			return "", err
		}
	}
	if ro.Aborted { // rings that were stopped before any of their clusters began
		all, err := all[RingRecord](ctx, c.Store, ro.ID, kindRing)
		if err != nil {
			return "", err
		}
		for name, rec := range all {
			if rec.State == fleet.StateAborted {
				rings[name] = true
			}
		}
	}
	if err := c.reopenRings(ctx, ro, rings); err != nil {
		return "", err
	}
	return "taken up again with the same versions: " + namesOf(chosen), c.flag(ctx, ro, func(ro *RolloutRecord) {
		ro.State, ro.Reason, ro.EndedAt, ro.Aborted = fleet.StateRunning, "", time.Time{}, false
	})
}

// unblock forgets how often a cluster that is under way has failed.
func (c *Control) unblock(ctx context.Context, ro RolloutRecord, rec ClusterRecord) error {
	_, err := update(ctx, c.Store, ro.ID, kindCluster, rec.ID, func(rec *ClusterRecord) { rec.Attempts, rec.Failures = 0, 0 })
	for _, key := range rec.Pools {
		if err != nil {
			return err
		}
		_, err = update(ctx, c.Store, ro.ID, kindPool, key, func(p *PoolRecord) {
			p.Attempts, p.Failures = 0, 0
			if p.State == fleet.StateFailed { // the cluster has not seen it yet
				p.again()
			}
		})
	}
	return err
}

// reopen makes a cluster that has ended go again. Pools that ended well stay so.
func (c *Control) reopen(ctx context.Context, ro RolloutRecord, rec ClusterRecord, f func(*ClusterRecord), state fleet.State) error {
	for _, key := range rec.Pools {
		_, err := update(ctx, c.Store, ro.ID, kindPool, key, func(p *PoolRecord) {
			if p.State != fleet.StateSucceeded {
				p.again()
			}
		})
		if err != nil {
			return err
		}
	}
	_, err := update(ctx, c.Store, ro.ID, kindCluster, rec.ID, func(rec *ClusterRecord) {
		f(rec)
		rec.Attempts, rec.Failures, rec.Reason, rec.EndedAt, rec.Skip = 0, 0, "", time.Time{}, false
		rec.State = state
		if state == fleet.StatePending {
			rec.Started = false
		}
	})
	return err
}

// reopenRings lets rings that have ended go again.
func (c *Control) reopenRings(ctx context.Context, ro RolloutRecord, rings map[string]bool) error {
	for name := range rings {
		_, err := update(ctx, c.Store, ro.ID, kindRing, name, func(r *RingRecord) {
			if r.State.Ended() {
				r.State, r.Reason, r.EndedAt = fleet.StatePending, "", time.Time{}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rollback sends clusters back to their old nodes, as far as those still stand.
func (c *Control) rollback(ctx context.Context, ro RolloutRecord, r Request) (string, error) {
	chosen, err := c.choose(ctx, ro, r, func(rec ClusterRecord) bool {
		return rec.Started && rec.State != fleet.StateSucceeded && rec.State != fleet.StateRolledBack && rec.State != fleet.StateSetAside
	})
	if err != nil {
		return "", err
	}
	if len(chosen) == 0 {
		return "", refuse("no cluster of rollout %s can be rolled back: that is possible from its start until its old nodes are deleted or replaced", ro.ID)
	}
	rings := map[string]bool{}
	for _, rec := range chosen {
		rings[rec.Ring] = true
		if !rec.State.Ended() {
			if _, err := update(ctx, c.Store, ro.ID, kindCluster, rec.ID, func(rec *ClusterRecord) { rec.Rollback = true }); err != nil {
				return "", err
			}
			continue
		}
		if err := c.reopen(ctx, ro, rec, func(rec *ClusterRecord) { rec.Rollback = true }, fleet.StateRollingBack); err != nil {
			return "", err
		}
	}
	if err := c.reopenRings(ctx, ro, rings); err != nil {
		return "", err
	}
	if !ro.State.Ended() {
		return "goes back to the old nodes: " + namesOf(chosen), nil
	}
	return "goes back to the old nodes: " + namesOf(chosen), c.flag(ctx, ro, func(ro *RolloutRecord) {
		ro.State, ro.Reason, ro.EndedAt, ro.Aborted = fleet.StateRunning, "", time.Time{}, false
	})
}
