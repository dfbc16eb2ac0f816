package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// looksAtOnce is at how many clusters a plan looks at a time: providers and API
// servers limit their callers.
const looksAtOnce = 8

// PlanFleet says what a rollout of a Fleet file would do now, when and at what
// cost. It changes nothing. path is where the file was read. Clusters whose API
// server cannot be asked are planned without it. Without a store, ledger and
// journal nothing is known of earlier rollouts.
func (s *Stepper) PlanFleet(ctx context.Context, file FleetFile, path string) (fleetplan.Plan, error) {
	in, err := s.planInput(ctx, file, path, nil, true)
	if err != nil {
		return fleetplan.Plan{}, err
	}
	return fleetplan.Make(in), nil
}

// planInput looks at a fleet. pinned, where there is one, says what the target
// means. Without pods, what a plan is based on is gathered and no more.
func (s *Stepper) planInput(ctx context.Context, file FleetFile, path string, pinned map[string]fleet.Version, pods bool) (*fleetplan.Input, error) {
	spec := &file.Spec
	reach, err := s.Reach(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("fleet %s: %w", spec.Name, err)
	}
	r := &reached{Stepper: s, Reach: reach}
	in := &fleetplan.Input{
		Spec: *spec, File: fleetplan.File{Path: path, Digest: file.Digest}, Now: s.now(),
		Rings: map[string]fleetplan.RingInput{}, Images: map[string]string{},
	}
	records := map[string]ClusterRecord{}
	ro, under, err := s.unfinished(ctx, spec.Name)
	if err != nil {
		return nil, err
	}
	if under && pinned == nil {
		if pinned, records, err = s.takenUp(ctx, ro, file, in); err != nil {
			return nil, err
		}
	}
	if in.History, err = s.history(ctx); err != nil {
		return nil, err
	}
	if s.Store != nil {
		if in.Past, err = s.pastPace(ctx); err != nil {
			return nil, err
		}
		if in.Ledger, err = s.Ledger.Entries(ctx, spec.Name); err != nil {
			return nil, fmt.Errorf("read the ledger of fleet %s: %w", spec.Name, err)
		}
	}
	look, err := r.look(ctx, spec, pinned)
	if err != nil {
		return nil, err
	}
	in.Resolved = resolvedOf(look, in.Ongoing)
	in.Target = (&RolloutRecord{Resolved: look.Resolved}).target
	in.Clusters = make([]fleetplan.ClusterInput, len(look.Clusters))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(looksAtOnce)
	for i := range look.Clusters {
		oc := &look.Clusters[i]
		rec := records[oc.Cluster.ID]
		in.Clusters[i] = fleetplan.ClusterInput{Cluster: oc.Cluster, Ring: oc.Ring, Work: oc.Work, State: rec.State, To: rec.To}
		if oc.Ring == "" || oc.Cluster.Stopped {
			continue
		}
		group.Go(func() error { return r.observe(gctx, spec, look, &in.Clusters[i], &in.History, rec.UID, pods) })
	}
	return in, group.Wait()
}

// unfinished finds the rollout of a fleet that has not ended.
func (s *Stepper) unfinished(ctx context.Context, fleetName string) (RolloutRecord, bool, error) {
	if s.Store == nil {
		return RolloutRecord{}, false, nil
	}
	records, err := s.Store.Records(ctx, "", kindRollout)
	if err != nil {
		return RolloutRecord{}, false, fmt.Errorf("list rollouts: %w", err)
	}
	for _, r := range records {
		have, err := decode[RolloutRecord](r)
		if err != nil {
			return RolloutRecord{}, false, err
		}
		if have.Fleet == fleetName && !have.State.Ended() {
			return have, true, nil
		}
	}
	return RolloutRecord{}, false, nil
}

// takenUp adds what is known of a rollout that would be taken up, and returns
// what it has fixed.
func (s *Stepper) takenUp(ctx context.Context, ro RolloutRecord, file FleetFile, in *fleetplan.Input) (pinned map[string]fleet.Version, records map[string]ClusterRecord, err error) {
	in.Ongoing = &fleetplan.Ongoing{Rollout: ro.ID, State: ro.State, Reason: ro.Reason, StartedAt: ro.StartedAt, SameFile: ro.Digest == file.Digest}
	if !in.Ongoing.SameFile {
		return nil, nil, nil
	}
	rings, err := all[RingRecord](ctx, s.Store, ro.ID, kindRing)
	if err != nil {
		return nil, nil, err
	}
	for name, r := range rings {
		in.Rings[name] = fleetplan.RingInput{State: r.State, Given: r.Given}
	}
	if records, err = all[ClusterRecord](ctx, s.Store, ro.ID, kindCluster); err != nil {
		return nil, nil, err
	}
	if in.Proven, err = s.provenVersions(ctx, ro); err != nil {
		return nil, nil, err
	}
	images, err := s.provenImages(ctx, ro, "")
	if err != nil {
		return nil, nil, err
	}
	for family, e := range images {
		in.Images[family] = e.Version
	}
	pinned = ro.Resolved
	if len(pinned) == 0 {
		pinned = ro.Pinned
	}
	return pinned, records, nil
}

// resolvedOf says what the target means and where that was found.
func resolvedOf(look *Outlook, ongoing *fleetplan.Ongoing) []fleetplan.Resolved {
	list := []fleetplan.Resolved{}
	for _, key := range slices.Sorted(maps.Keys(look.Resolved)) {
		r := fleetplan.Resolved{For: key, Version: look.Resolved[key], Why: look.Why}
		if o, found := look.Origins[key]; found {
			r.Why, r.Cluster, r.Location = o.Why, o.Cluster, o.Location
		} else if ongoing != nil {
			r.Why = "fixed by rollout " + ongoing.Rollout + ", which would be taken up"
		}
		list = append(list, r)
	}
	return list
}

// observe looks at one cluster. What cannot be asked is said in the input; an
// error is returned only when the look as a whole is to end.
func (s *reached) observe(ctx context.Context, spec *fleet.Spec, look *Outlook, c *fleetplan.ClusterInput, past *fleetplan.History, uid string, pods bool) error {
	var err error
	var known bool
	// What was asked for may be another cluster's, of the same region.
	if c.Offers, known = look.offers[c.Cluster.ID]; !known {
		if c.Offers, err = s.Provider.Offers(ctx, c.Cluster); err != nil {
			c.Unoffered = err.Error()
		}
	}
	if !pods {
		return ctx.Err()
	}
	snapshot, aside, err := s.see(ctx, c.Cluster, uid)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.Unread = err.Error()
		c.Pools = unreadPools(spec, c, s.now())
		return nil
	}
	c.Nodes, c.SetAside = snapshot.Nodes, aside
	c.Pools = map[string]fleetplan.PoolInput{}
	if c.Work == "" {
		return nil
	}
	for i := range c.Cluster.Pools {
		p := &c.Cluster.Pools[i]
		if !p.Stopped {
			c.Pools[p.Name] = planOne(spec, c, p, snapshot, past, s.now())
		}
	}
	return ctx.Err()
}

// see reads a cluster's API server.
func (s *reached) see(ctx context.Context, c fleet.Cluster, uid string) (fleet.Snapshot, *plan.Channels, error) {
	kube, err := s.Connector.Connect(ctx, c, uid)
	if err != nil {
		return fleet.Snapshot{}, nil, err
	}
	snapshot, err := kube.Snapshot(ctx)
	if err != nil {
		return fleet.Snapshot{}, nil, err
	}
	notes, err := kube.LeaseNotes(ctx)
	if err != nil {
		return fleet.Snapshot{}, nil, err
	}
	aside, err := channelsOf(notes)
	if snapshot.Nodes == nil {
		snapshot.Nodes = []fleet.Node{}
	}
	return snapshot, aside, err
}

// unreadPools says of pools whose pods nobody can see what is known all the same.
func unreadPools(spec *fleet.Spec, c *fleetplan.ClusterInput, now time.Time) map[string]fleetplan.PoolInput {
	pools := map[string]fleetplan.PoolInput{}
	for i := range c.Cluster.Pools {
		name := c.Cluster.Pools[i].Name
		pools[name] = fleetplan.PoolInput{Backup: backupProblem(policyOf(spec, c.Ring, c.Cluster.Name)(name), now)}
	}
	return pools
}

func backupProblem(policy fleet.NodePolicy, now time.Time) string {
	if err := newEnough(policy, now); err != nil {
		return err.Error()
	}
	return ""
}

// planOne says how the evacuation of one pool would go, and what stands in its way.
func planOne(spec *fleet.Spec, c *fleetplan.ClusterInput, p *fleet.Pool, snapshot fleet.Snapshot, past *fleetplan.History, now time.Time) fleetplan.PoolInput {
	policy := policyOf(spec, c.Ring, c.Cluster.Name)(p.Name)
	out := fleetplan.PoolInput{Backup: backupProblem(policy, now)}
	out.Findings = judge(poolFindings(snapshot, p, policy, "plan"), spec, c.Cluster.Name, now)
	made, learned, err := forecastOf(spec, c.Ring, &c.Cluster, p, snapshot, policy, past)
	if errors.Is(err, errNoNodes) {
		return out
	}
	out.Plan, out.Learned = &made, learned
	return out
}

// errNoNodes says that a pool has no node of which a plan could be made.
var errNoNodes = errors.New("no node is in the pool")

// forecastOf plans the evacuation of a pool with the time that new nodes took.
func forecastOf(spec *fleet.Spec, ring string, c *fleet.Cluster, p *fleet.Pool, snapshot fleet.Snapshot, policy fleet.NodePolicy, past *fleetplan.History) (made evacuate.PoolPlan, learned string, err error) {
	assume := evacuate.UsualAssumptions
	if took, says, ok := past.NodeCreation(c.ID, ring); ok {
		assume.NodeCreation, learned = took, says
	}
	made, err = PlanPool(snapshot, nil, PoolRequest{Pool: p.Name, Policy: policy, Accepted: AcceptancesOf(spec, c.Name), Assume: assume})
	if err != nil {
		return made, learned, errNoNodes
	}
	return made, learned, nil
}
