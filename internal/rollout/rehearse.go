package rollout

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// RehearsalInput is what is rehearsed.
type RehearsalInput struct {
	Cluster  fleet.Cluster // as of the snapshot, its control plane on the target
	Snapshot fleet.Snapshot
	Pools    []string // in order
	Target   fleet.Version
	Spec     fleet.Spec // the policy, with real times
	Ring     string
	// Speed is by how much everything goes faster than in the cluster.
	Speed float64
	// Progress is told now and then where it stands; nil for nobody.
	Progress func(string)
}

// RehearsalRoom is what a rehearsal is played in.
type RehearsalRoom struct {
	Stage   Stage
	Store   Store
	Ledger  Ledger
	Journal Journal
	Clock   func() time.Time
	Log     *slog.Logger
}

// rehearsalID names the rollout that a rehearsal is.
const rehearsalID = "rehearsal"

// Rehearse upgrades pools on a stage, one after the other, with the steps that an
// upgrade takes. Whatever comes of the upgrade is in the result; an error means
// that it could not be rehearsed.
func Rehearse(ctx context.Context, room RehearsalRoom, in RehearsalInput) (Rehearsal, error) {
	p := &rehearsal{room: room, in: in, refusals: map[string]*BudgetRefusal{}, moves: map[string]evacuate.ActionKind{}, forecasts: map[string]evacuate.Forecast{}}
	if err := p.prepare(ctx); err != nil {
		return Rehearsal{}, err
	}
	watcher := NewWatcher(ctx, room.Store, room.Clock, room.Log)
	defer watcher.Close()
	reach := room.Stage.Reach()
	reach.Connector = &listening{Connector: reach.Connector, heard: p.heard}
	stepper := &Stepper{
		Reach: func(context.Context, *fleet.Spec) (Reach, error) { return reach, nil },
		Store: room.Store, Ledger: room.Ledger, Journal: room.Journal, Watcher: watcher,
		Holder: rehearsalID, Clock: room.Clock, Log: room.Log,
	}
	room.Stage.Begin()
	for _, pool := range in.Pools {
		done, err := p.pool(ctx, stepper, pool)
		if err != nil {
			return Rehearsal{}, err
		}
		if !done {
			break // the pools behind it would not be reached either
		}
	}
	watcher.Stop(ctx, rehearsalID, in.Cluster.ID)
	return p.result(ctx)
}

// rehearsal is one in progress.
type rehearsal struct {
	room     RehearsalRoom
	in       RehearsalInput
	pools    []RehearsedPool
	homeless []HomelessPod // that never left
	// forecasts are those of the plan, by pool.
	forecasts map[string]evacuate.Forecast

	mu       sync.Mutex
	refusals map[string]*BudgetRefusal
	moves    map[string]evacuate.ActionKind // by workload, the first that was chosen
}

// prepare writes the records that the steps of a pool start from.
func (p *rehearsal) prepare(ctx context.Context) error {
	now := p.room.Clock().UTC()
	spec := p.in.Spec
	spec.Digest = rehearsalID
	spec.Nodes = p.hurried(spec.Nodes)
	for i := range spec.Overrides {
		spec.Overrides[i].Nodes = changesAt(spec.Overrides[i].Nodes, p.in.Speed)
	}
	// It is rehearsed at any hour.
	spec.Freezes = nil
	for i := range spec.Rings {
		spec.Rings[i].Windows, spec.Rings[i].Freezes = nil, nil
	}
	if err := p.room.Store.PutFleet(ctx, FleetFile{Digest: spec.Digest, Source: []byte(rehearsalID), Spec: spec}); err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	_, err := update(ctx, p.room.Store, rehearsalID, kindRollout, "", func(r *RolloutRecord) {
		*r = RolloutRecord{
			ID: rehearsalID, Fleet: spec.Name, Digest: spec.Digest, Target: fleet.Target{Channel: fleet.ChannelExact, Version: p.in.Target},
			State: fleet.StateRunning, StartedAt: now, StartedBy: rehearsalID,
		}
	})
	if err != nil {
		return err
	}
	_, err = update(ctx, p.room.Store, rehearsalID, kindCluster, p.in.Cluster.ID, func(r *ClusterRecord) {
		*r = ClusterRecord{
			ID: p.in.Cluster.ID, Name: p.in.Cluster.Name, Ring: p.in.Ring, State: fleet.StateRunning,
			To: p.in.Target, Started: true, StartedAt: now, Findings: p.planned(),
		}
	})
	return err
}

// planned plans each pool from the snapshot, and returns the findings that an owner
// has accepted: what they are about may be moved all the same.
func (p *rehearsal) planned() []fleet.Finding {
	var findings []fleet.Finding
	for _, pool := range p.in.Pools {
		made, err := PlanPool(p.in.Snapshot, nil, PoolRequest{
			Pool: pool, Policy: p.in.Spec.NodePolicyFor(p.in.Ring, p.in.Cluster.Name, pool, plan.Match),
			Accepted: AcceptancesOf(&p.in.Spec, p.in.Cluster.Name), Assume: evacuate.UsualAssumptions,
		})
		if err != nil {
			continue // its nodes are said to be missing where it is begun
		}
		p.forecasts[pool] = made.Forecast
		for _, f := range made.Findings {
			if f.AcceptedBy != "" {
				findings = append(findings, f)
			}
		}
	}
	return findings
}

// hurried is a policy with its times at the rehearsal's speed. What a rehearsal
// has no use for is left out: nobody serves traffic, and no image is pulled.
func (p *rehearsal) hurried(n fleet.NodePolicy) fleet.NodePolicy {
	at := func(d time.Duration) time.Duration { return time.Duration(float64(d) / p.in.Speed) }
	n.Soak, n.RequireBackup = 0, 0
	n.Evacuation.JobWait = at(n.Evacuation.JobWait)
	n.Evacuation.Timeout = 0 // the rehearsal looks itself whether anything moves
	n.Evacuation.OnFailure = fleet.FailureWaits
	n.Evacuation.LoadBalancerSettle = at(n.Evacuation.LoadBalancerSettle)
	n.Evacuation.PrePull.Images = fleet.PrePullOff
	return n
}

// changesAt are changes of a policy at a rehearsal's speed.
func changesAt(c fleet.NodeChanges, speed float64) fleet.NodeChanges {
	at := func(d *time.Duration) *time.Duration {
		if d == nil {
			return nil
		}
		return new(time.Duration(float64(*d) / speed))
	}
	c.Soak, c.RequireBackup, c.Evacuation.Timeout, c.Evacuation.OnFailure, c.Evacuation.PrePull.Images = nil, nil, nil, nil, nil
	c.Evacuation.JobWait = at(c.Evacuation.JobWait)
	c.Evacuation.LoadBalancerSettle = at(c.Evacuation.LoadBalancerSettle)
	return c
}

// How long a rehearsal looks on when nothing moves, and how many failed steps in a
// row it takes.
const (
	standstillAtMost = 2 * time.Minute // of the cluster's time
	standstillLeast  = 8 * time.Second // of the rehearsal's: controllers and scheduler are no faster for it
	stepPatience     = 10
	restLeast        = 50 * time.Millisecond
)

// pool takes the steps of one pool until it has ended, or does not move any more.
// done says that the next pool may follow.
func (p *rehearsal) pool(ctx context.Context, s *Stepper, name string) (done bool, err error) {
	now := p.room.Clock().UTC()
	t := Task{Rollout: rehearsalID, Cluster: p.in.Cluster.ID, Pool: name, To: p.in.Target}
	policy := p.in.Spec.NodePolicyFor(p.in.Ring, p.in.Cluster.Name, name, plan.Match)
	before := p.in.Cluster.Pool(name)
	if before == nil {
		return false, fmt.Errorf("cluster %s has no pool %s", p.in.Cluster.Name, name)
	}
	key := poolKey(t.Cluster, t.Pool, t.To)
	rec, err := update(ctx, s.Store, rehearsalID, kindPool, key, func(r *PoolRecord) {
		*r = PoolRecord{
			Cluster: t.Cluster, Name: name, Strategy: policy.Strategy, State: fleet.StateRunning,
			From: before.Version, To: t.To, StartedAt: now,
		}
		if before.Version == t.To {
			r.Image = RehearsedImage // the same version on new nodes
		}
	})
	if err != nil {
		return false, err
	}
	standstill := max(standstillLeast, time.Duration(float64(standstillAtMost)/p.in.Speed))
	moved, movedAt, failures := "", now, 0
	for !rec.State.Ended() {
		turn, err := s.Step(ctx, t)
		switch {
		case ctx.Err() != nil:
			return false, fmt.Errorf("rehearse pool %s: %w", name, context.Cause(ctx))
		case err != nil:
			if failures++; failures > stepPatience {
				return false, fmt.Errorf("rehearse pool %s: %w", name, err)
			}
			turn.After = time.Second
		default:
			failures = 0
		}
		if rec, _, err = read[PoolRecord](ctx, s.Store, rehearsalID, kindPool, key); err != nil {
			return false, err
		}
		if p.in.Progress != nil {
			p.in.Progress(fmt.Sprintf("pool %s: %s", name, turn.Reason))
		}
		if now := progressOf(&rec) + turn.Op.Token; now != moved {
			moved, movedAt = now, p.room.Clock().UTC()
		}
		patience := standstill
		if waitsForJobs(&rec) {
			patience += time.Duration(float64(policy.Evacuation.JobWait) / p.in.Speed)
		}
		if p.room.Clock().Sub(movedAt) > patience && turn.Op.Token == "" {
			break
		}
		t.Op, t.Polls = turn.Op, turn.Polls
		if err := rest(ctx, max(restLeast, time.Duration(float64(turn.After)/p.in.Speed))); err != nil {
			return false, fmt.Errorf("rehearse pool %s: %w", name, err)
		}
	}
	p.pools = append(p.pools, p.rehearsed(&rec, before, policy.Strategy))
	if rec.State == fleet.StateSucceeded {
		return true, nil
	}
	p.homeless, err = p.room.Stage.Ask(ctx, name)
	return false, err
}

// RehearsedImage is the node image of pools that are rehearsed on the version that
// they have.
const RehearsedImage = "rehearsed"

// progressOf changes with everything that moves.
func progressOf(r *PoolRecord) string {
	var s strings.Builder
	fmt.Fprint(&s, r.State, r.StandIn, len(r.Spans))
	for _, name := range []string{r.Name, r.StandIn} {
		if e := r.Evacuations[name]; e != nil {
			fmt.Fprintf(&s, "|%d %d %d", e.Total, e.Moved, len(e.Replacements))
		}
	}
	return s.String()
}

// waitsForJobs reports whether pods of Jobs are waited for, which come to their end
// without anything moving.
func waitsForJobs(r *PoolRecord) bool {
	for _, e := range r.Evacuations {
		if slices.ContainsFunc(e.Findings, func(f fleet.Finding) bool { return f.ID == "job-running" }) {
			return true
		}
	}
	return false
}

// rest waits, or ends with ctx.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// heard notes what was asked of the API server, and what it answered.
func (p *rehearsal) heard(a evacuate.Action, o evacuate.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch a.Kind {
	case evacuate.Roll, evacuate.Surge, evacuate.Evict:
	default:
		return
	}
	object := a.Workload
	if object == "" {
		object = "Pod/" + a.Pod
	}
	if _, chosen := p.moves[object]; !chosen {
		p.moves[object] = a.Kind
	}
	if o.Result != evacuate.Refused || o.Busy {
		return
	}
	r := p.refusals[object]
	if r == nil {
		r = &BudgetRefusal{Object: object, Move: string(a.Kind)}
		p.refusals[object] = r
	}
	r.Times++
	r.Message = o.Message
}

// listening hears all that is done to a cluster.
type listening struct {
	Connector
	heard func(evacuate.Action, evacuate.Outcome)
}

// Connect implements Connector.
func (l *listening) Connect(ctx context.Context, c fleet.Cluster, seen string) (Kubernetes, error) {
	k, err := l.Connector.Connect(ctx, c, seen)
	if err != nil {
		return nil, err
	}
	return &heardKubernetes{Kubernetes: k, heard: l.heard}, nil
}

type heardKubernetes struct {
	Kubernetes
	heard func(evacuate.Action, evacuate.Outcome)
}

// Do implements Kubernetes.
func (k *heardKubernetes) Do(ctx context.Context, rollout string, a evacuate.Action) (evacuate.Outcome, error) {
	o, err := k.Kubernetes.Do(ctx, rollout, a)
	if err == nil {
		k.heard(a, o)
	}
	return o, err
}

// InputError says what makes no sense of what was asked for.
type InputError struct{ What string }

// Error implements error.
func (e *InputError) Error() string { return e.What }
