package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/domain/gate"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// The kinds of records.
const (
	kindRollout      = "rollout"
	kindRing         = "ring"
	kindCluster      = "cluster"
	kindPool         = "pool"
	kindAvailability = "availability"
)

// RolloutRecord is what is remembered of one rollout.
//
//nolint:revive // Record is what the Store keeps; this is one of them
type RolloutRecord struct {
	ID        string       `json:"id"`
	Fleet     string       `json:"fleet"`
	Digest    string       `json:"digest"` // of the Fleet file that it started with
	Target    fleet.Target `json:"target"`
	State     fleet.State  `json:"state"`
	Reason    string       `json:"reason,omitempty"`
	StartedAt time.Time    `json:"startedAt"`
	EndedAt   time.Time    `json:"endedAt,omitzero"`
	StartedBy string       `json:"startedBy"`
	// Resolved maps what a cluster runs (a version, or a minor such as "1.34"),
	// or "*" for every cluster, to the version that the target means. The first
	// turn fixes it once.
	Resolved map[string]fleet.Version `json:"resolved,omitempty"`
	Why      string                   `json:"why,omitempty"`
	// Plan is the digest of the plan that it carries out; "" without one. Pinned is
	// what the target means by that plan, Stops the versions on the way there.
	Plan   string                   `json:"plan,omitempty"`
	Pinned map[string]fleet.Version `json:"pinned,omitempty"`
	Stops  []fleet.Version          `json:"stops,omitempty"`

	Paused  bool `json:"paused,omitempty"`
	Aborted bool `json:"aborted,omitempty"`
	// Unassigned names clusters of the sources that no ring selects.
	Unassigned []string `json:"unassigned,omitempty"`
}

// target returns the version that a cluster which started at from goes to.
func (r *RolloutRecord) target(from fleet.Version) (fleet.Version, bool) {
	for _, key := range []string{"*", from.String(), from.MinorString()} {
		if v, ok := r.Resolved[key]; ok {
			return v, true
		}
	}
	return fleet.Version{}, false
}

// RingRecord is what is remembered of one ring in a rollout.
type RingRecord struct {
	Name      string           `json:"name"`
	Order     int              `json:"order"`
	State     fleet.State      `json:"state"`
	Reason    string           `json:"reason,omitempty"`
	Clusters  []string         `json:"clusters"` // ids, in starting order
	StartedAt time.Time        `json:"startedAt,omitzero"`
	EndedAt   time.Time        `json:"endedAt,omitzero"` // when its last cluster ended
	ProvenAt  time.Time        `json:"provenAt,omitzero"`
	Until     time.Time        `json:"until,omitzero"` // what it waits for comes then
	Given     []gate.Given     `json:"given,omitempty"`
	Wanted    []fleet.Approval `json:"wanted,omitempty"` // approvals that it waits for now
}

// ClusterRecord is what is remembered of one cluster in a rollout.
type ClusterRecord struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Ring    string          `json:"ring"`
	State   fleet.State     `json:"state"`
	Reason  string          `json:"reason,omitempty"`
	From    fleet.Version   `json:"from"`
	To      fleet.Version   `json:"to"`
	Hops    []fleet.Version `json:"hops,omitempty"` // control plane versions that it was raised to
	Planned []plan.Hop      `json:"planned,omitempty"`
	// HopsForecast is how many seconds its control plane was to take for Hops.
	HopsForecast float64   `json:"hopsForecast,omitempty"`
	Nodes        int       `json:"nodes,omitempty"`
	Started      bool      `json:"started,omitempty"`
	StartedAt    time.Time `json:"startedAt,omitzero"`
	EndedAt      time.Time `json:"endedAt,omitzero"`
	// UID is the cluster's identity, pinned at the first look.
	UID      string          `json:"uid,omitempty"`
	SetAside *plan.Channels  `json:"setAside,omitempty"`
	Pools    []string        `json:"pools,omitempty"` // names of its pool records, in order of their start
	Findings []fleet.Finding `json:"findings,omitempty"`
	Spans    []Span          `json:"spans,omitempty"`
	Attempts int             `json:"attempts,omitempty"` // consecutive calls that failed
	Failures int             `json:"failures,omitempty"` // consecutive operations that the provider began and failed
	// Wanted holds the node image of each family that the cluster goes to, for a
	// node-image target in the first ring: what was newest when it began.
	Wanted map[string]string `json:"wanted,omitempty"`
	// Images holds the node image of each family that its nodes ended on.
	Images map[string]string `json:"images,omitempty"`
	// ImagePools names a pool of each family, for its snapshot.
	ImagePools map[string]string `json:"imagePools,omitempty"`

	Skip     bool `json:"skip,omitempty"`
	Rollback bool `json:"rollback,omitempty"`
	// RollbackWhy is why it goes back by itself; "" when a person asked for it.
	RollbackWhy string `json:"rollbackWhy,omitempty"`
}

// PoolRecord is what is remembered of one pool on one hop.
type PoolRecord struct {
	Cluster   string         `json:"cluster"`
	Name      string         `json:"name"`
	Strategy  fleet.Strategy `json:"strategy"`
	State     fleet.State    `json:"state"`
	Reason    string         `json:"reason,omitempty"`
	From      fleet.Version  `json:"from"`
	To        fleet.Version  `json:"to"`
	Image     string         `json:"image,omitempty"` // the proven image it must end on; "" for any
	Snapshot  string         `json:"snapshot,omitempty"`
	StandIn   string         `json:"standIn,omitempty"`
	StartedAt time.Time      `json:"startedAt,omitzero"`
	EndedAt   time.Time      `json:"endedAt,omitzero"`
	EmptiedAt time.Time      `json:"emptiedAt,omitzero"`
	BelowAt   time.Time      `json:"belowAt,omitzero"`   // since when what moved is below what it requires
	Attempts  int            `json:"attempts,omitempty"` // as those of the cluster
	Failures  int            `json:"failures,omitempty"`
	Back      bool           `json:"back,omitempty"` // it was sent back to its old nodes
	Spans     []Span         `json:"spans,omitempty"`
	// Nodes is how many it had at the start, Stem its name without what stand-ins
	// add: later forecasts go by them.
	Nodes int    `json:"nodes,omitempty"`
	Stem  string `json:"stem,omitempty"`
	// Forecast is what was forecast when it began.
	Forecast *PoolForecast `json:"forecast,omitempty"`
	// Evacuations holds what the decisions remember, by leaving pool.
	Evacuations map[string]*Evacuation `json:"evacuations,omitempty"`
}

// PoolForecast is how long a pool was to take, and what it could not beat.
type PoolForecast struct {
	fleetplan.Spread
	SoakSeconds float64 `json:"soakSeconds,omitempty"`
	// Bound is of the moves of its pods alone: the wait for new nodes comes on top.
	Bound evacuate.Limit `json:"bound"`
}

// Waited is how long the pool waited for new nodes before its pods could move.
func (p *PoolRecord) Waited() time.Duration {
	_, creation := worked(p.Spans)
	return creation
}

// again makes a pool that has ended go once more.
func (p *PoolRecord) again() {
	p.State, p.Reason, p.EndedAt, p.EmptiedAt, p.BelowAt = fleet.StateRunning, "", time.Time{}, time.Time{}, time.Time{}
	p.Attempts, p.Failures, p.Back = 0, 0, false
	for _, e := range p.Evacuations {
		e.Memory, e.Outcomes, e.SeenAt = evacuate.Memory{}, nil, time.Time{}
	}
}

// Evacuation is the progress of emptying one pool.
type Evacuation struct {
	StartedAt time.Time          `json:"startedAt"`
	Memory    evacuate.Memory    `json:"memory"`
	Outcomes  []evacuate.Outcome `json:"outcomes,omitempty"` // of the last pass
	Total     int                `json:"total"`              // evictable pods that were on the leaving nodes
	Moved     int                `json:"moved"`
	// Replacements are short uids of pods that were made for movable workloads
	// since it began; their number over Total is the moves per pod.
	Replacements []string `json:"replacements,omitempty"`
	Reason       string   `json:"reason,omitempty"`
	// Below are the workloads that had fewer pods than they require when it
	// began: they need not come back better.
	Below []string `json:"below,omitempty"`
	// Findings are what the last pass said of what is in the way.
	Findings []fleet.Finding `json:"findings,omitempty"`
	// AtOnce is how many calls the API server took at a time lately.
	AtOnce int `json:"atOnce,omitempty"`
	// SeenAt is when a pass was last made. Time in which nobody looked does not
	// count as a standstill.
	SeenAt time.Time `json:"seenAt,omitzero"`
}

// Span is a stretch of time that a cluster or pool spent on one kind of step.
type Span struct {
	Kind  string    `json:"kind"`
	What  string    `json:"what,omitempty"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"`
}

// enter closes the open span and opens one of the given kind, unless it is
// open already.
func enter(spans []Span, kind, what string, at time.Time) []Span {
	if n := len(spans); n > 0 && spans[n-1].Until.IsZero() {
		if spans[n-1].Kind == kind && spans[n-1].What == what {
			return spans
		}
		spans[n-1].Until = at
	}
	if kind == "" {
		return spans
	}
	return append(spans, Span{Kind: kind, What: what, From: at})
}

// poolKey names a pool record: the same pool is upgraded once per hop.
func poolKey(cluster, pool string, to fleet.Version) string {
	return cluster + "|" + pool + "|" + to.String()
}

// read decodes one record.
func read[T any](ctx context.Context, s Store, rollout, kind, name string) (value T, revision int64, err error) {
	r, err := s.Record(ctx, Key{Rollout: rollout, Kind: kind, Name: name})
	if err != nil {
		return value, 0, fmt.Errorf("read %s %q of rollout %s: %w", kind, name, rollout, err)
	}
	value, err = decode[T](r)
	return value, r.Revision, err
}

// update changes one record; change is called again when another writer was
// faster, so it must do nothing but change the value. A record that does not
// exist starts as the zero value.
func update[T any](ctx context.Context, s Store, rollout, kind, name string, change func(*T)) (T, error) {
	for {
		value, revision, err := read[T](ctx, s, rollout, kind, name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return value, err
		}
		before, err := json.Marshal(value)
		if err != nil {
			return value, fmt.Errorf("encode %s %q: %w", kind, name, err)
		}
		change(&value)
		after, err := json.Marshal(value)
		if err != nil {
			return value, fmt.Errorf("encode %s %q: %w", kind, name, err)
		}
		if revision != 0 && string(before) == string(after) {
			return value, nil
		}
		_, err = s.PutRecord(ctx, Record{Key: Key{Rollout: rollout, Kind: kind, Name: name}, Revision: revision, Value: after})
		if errors.Is(err, ErrStaleWrite) {
			continue
		}
		if err != nil {
			return value, fmt.Errorf("write %s %q of rollout %s: %w", kind, name, rollout, err)
		}
		return value, nil
	}
}

// all decodes every record of a kind in a rollout, by name.
func all[T any](ctx context.Context, s Store, rollout, kind string) (map[string]T, error) {
	records, err := s.Records(ctx, rollout, kind)
	if err != nil {
		return nil, fmt.Errorf("list %s records of rollout %s: %w", kind, rollout, err)
	}
	values := make(map[string]T, len(records))
	for _, r := range records {
		if values[r.Name], err = decode[T](r); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func decode[T any](r Record) (value T, err error) {
	if err := json.Unmarshal(r.Value, &value); err != nil {
		return value, fmt.Errorf("read %s %q of rollout %s: %w", r.Kind, r.Name, r.Rollout, err)
	}
	return value, nil
}

// shortUID is enough of a uid to tell pods of one cluster apart.
func shortUID(uid string) string {
	return strings.ReplaceAll(uid, "-", "")[:min(12, len(strings.ReplaceAll(uid, "-", "")))]
}
