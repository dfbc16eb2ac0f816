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

// Stage is a throw-away control plane of the target version with a cluster's
// objects on it: what a rehearsal is played on.
type Stage interface {
	// Staged says what became of the cluster's objects.
	Staged() Staged
	// Reach is a cloud of this one cluster, and the way to its API server.
	Reach() Reach
	// Begin counts what happens to pods from now on.
	Begin()
	// Seen says what happened to them.
	Seen() StageSight
	// Ask asks the scheduler about the pods that are left on a pool's nodes, and
	// returns those that it has no other node for.
	Ask(ctx context.Context, pool string) ([]HomelessPod, error)
}

// Staged is what became of a cluster's objects on a stage.
type Staged struct {
	Loaded  map[string]int  `json:"loaded"`  // objects by kind that live there
	Tried   map[string]int  `json:"tried"`   // that the API server was asked about, and that were not kept
	LeftOut map[string]int  `json:"leftOut"` // that were neither
	Refused []RefusedObject `json:"refused"`
	// NotTried could not be judged, NotRehearsed have no part in what follows.
	NotTried     []LeftObject `json:"notTried"`
	NotRehearsed []LeftObject `json:"notRehearsed"`
	// Restarted are pods that controllers touched though nothing had begun: of
	// these the rehearsal tells nothing.
	Restarted []LeftObject `json:"restarted"`
	// Notes say what was taken for granted.
	Notes []string `json:"notes"`
}

// RefusedObject is an object that the API server does not take as it is written.
type RefusedObject struct {
	Object     string `json:"object"` // "Deployment/shop/web"
	APIVersion string `json:"apiVersion"`
	Where      string `json:"where,omitempty"` // in the snapshot
	Why        string `json:"why"`             // the API server's own words
	// LoadedAs is the version as which it takes part all the same.
	LoadedAs string `json:"loadedAs,omitempty"`
}

// LeftObject is an object that something does not hold for, and why.
type LeftObject struct {
	Object string `json:"object"`
	Why    string `json:"why"`
}

// StageSight is what was seen of pods on a stage since it began.
type StageSight struct {
	Workloads map[string]WorkloadMoves
	Homeless  []HomelessPod
}

// WorkloadMoves is what happened to the pods of one workload.
type WorkloadMoves struct {
	Pods  int       // at the beginning
	Made  int       // since
	First time.Time // when the first one was made or began to end
	Last  time.Time // when the last one was Ready or gone
}

// Touch notes that something happened to one of its pods.
func (w *WorkloadMoves) Touch(at time.Time) {
	if w.First.IsZero() {
		w.First = at
	}
}

// HomelessPod is a pod that the scheduler finds no node for.
type HomelessPod struct {
	Pod string `json:"pod"`
	Why string `json:"why"` // the scheduler's own words
	// Before: it had none in the cluster either.
	Before bool `json:"before,omitempty"`
}

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

// ClusterOf makes of a snapshot what a cloud would say of the cluster, its control
// plane on the target already. Pools without nodes are not in a snapshot.
func ClusterOf(s *fleet.Snapshot, name string, target fleet.Version) fleet.Cluster {
	c := fleet.Cluster{ID: "rehearsal/" + strings.ToLower(name), Name: name, Version: target, ProvisioningState: "Succeeded", MaxPools: 100}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Pool == "" {
			continue
		}
		p := c.Pool(n.Pool)
		if p == nil {
			os := "Linux"
			if n.Labels["kubernetes.io/os"] == "windows" {
				os = "Windows"
			}
			c.Pools = append(c.Pools, fleet.Pool{
				Name: n.Pool, Mode: "User", OS: os, Type: "VirtualMachineScaleSets", Version: n.Version, Image: n.Image, ProvisioningState: "Succeeded",
			})
			p = &c.Pools[len(c.Pools)-1]
		}
		p.Count++
		if n.Version.Less(p.Version) {
			p.Version = n.Version
		}
	}
	slices.SortFunc(c.Pools, func(a, b fleet.Pool) int { return strings.Compare(a.Name, b.Name) })
	return c
}

// PoolsToRehearse are the pools of a snapshot that a rehearsal goes through: the
// named one, or all that the target is new to. Those that no node names are an
// error that says which there are.
func PoolsToRehearse(s *fleet.Snapshot, name, label string, target fleet.Version) ([]string, error) {
	if label != "" {
		for i := range s.Nodes {
			s.Nodes[i].Pool = s.Nodes[i].Labels[label]
		}
	}
	if name != "" {
		found, err := poolNamed(s, PoolRequest{Pool: name, PoolLabel: label})
		if err != nil {
			return nil, &InputError{What: err.Error()}
		}
		if c := ClusterOf(s, "", target); target.Less(c.Pool(found).Version) {
			return nil, &InputError{What: fmt.Sprintf("pool %s runs %s already, which is newer than %s", found, c.Pool(found).Version, target)}
		}
		return []string{found}, nil
	}
	var pools []string
	c := ClusterOf(s, "", target)
	for i := range c.Pools {
		if c.Pools[i].Version.Less(target) {
			pools = append(pools, c.Pools[i].Name)
		}
	}
	switch {
	case len(c.Pools) == 0:
		_, err := poolNamed(s, PoolRequest{PoolLabel: label})
		return nil, &InputError{What: err.Error()}
	case len(pools) == 0:
		return nil, &InputError{What: "all pools run " + target.String() + " or newer: name the one to rehearse with --pool"}
	}
	return pools, nil
}

// ClustersToRehearse are the clusters of a fleet that a rehearsal goes through: all
// of a ring, or one by its name, or both. Rings tells which ring each is in.
func ClustersToRehearse(ctx context.Context, provider Provider, spec *fleet.Spec, ring, name string) (clusters []fleet.Cluster, rings []string, err error) {
	if ring != "" {
		if r, _ := spec.Ring(ring); r == nil {
			names := make([]string, 0, len(spec.Rings))
			for i := range spec.Rings {
				names = append(names, spec.Rings[i].Name)
			}
			return nil, nil, &InputError{What: fmt.Sprintf("the Fleet file has no ring %q; there are: %s", ring, strings.Join(names, ", "))}
		}
	}
	all, err := provider.Discover(ctx, spec.Sources)
	if err != nil {
		return nil, nil, err
	}
	var others []string
	for i := range all {
		in := ringOf(spec, &all[i])
		if (ring == "" || in == ring) && (name == "" || strings.EqualFold(all[i].Name, name)) {
			clusters, rings = append(clusters, all[i]), append(rings, in)
			continue
		}
		others = append(others, all[i].Name)
	}
	if len(clusters) == 0 {
		what := "no cluster of the fleet"
		if name != "" {
			what += fmt.Sprintf(" is called %q", name)
		}
		if ring != "" {
			what += fmt.Sprintf(" is in ring %q", ring)
		}
		return nil, nil, &InputError{What: what + "; there are: " + strings.Join(others, ", ")}
	}
	return clusters, rings, nil
}

// InputError says what makes no sense of what was asked for.
type InputError struct{ What string }

// Error implements error.
func (e *InputError) Error() string { return e.What }

// RehearsalSpec is the policy of a rehearsal: that of a Fleet file, or the usual
// one, with what was asked for beside it.
func RehearsalSpec(file *fleet.Spec, cluster string, changes fleet.NodeChanges, accepted []fleet.Acceptance) fleet.Spec {
	spec := fleet.Spec{Name: rehearsalID, Nodes: fleet.UsualNodePolicy()}
	if file != nil {
		spec = *file
	}
	spec.Overrides = append(slices.Clone(spec.Overrides), fleet.Override{Nodes: changes})
	spec.Rings = slices.Clone(spec.Rings)
	spec.Accept = append(AcceptancesOf(&spec, cluster), accepted...)
	return spec
}
