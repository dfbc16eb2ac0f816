package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// noteChannels is where the Lease keeps the upgrade channels that were set
// aside, so that they can be restored by whoever takes up the work, even when
// the store was lost.
const noteChannels = "set-aside-channels"

// clusterTurn carries what one step of a cluster works on.
type clusterTurn struct {
	*reached
	task Task
	ro   RolloutRecord
	spec *fleet.Spec
	rec  ClusterRecord
	c    fleet.Cluster
	kube Kubernetes
}

// cluster takes a cluster's step: wait for others, raise the control plane,
// let one pool after the other go, and look at every node in the end.
func (s *reached) cluster(ctx context.Context, t Task, ro RolloutRecord, spec *fleet.Spec) (Turn, error) {
	rec, _, err := read[ClusterRecord](ctx, s.Store, ro.ID, kindCluster, t.Cluster)
	if err != nil {
		return Turn{}, err
	}
	if rec.State.Ended() {
		return Turn{State: rec.State, Reason: rec.Reason, Ended: true}, nil
	}
	ct := &clusterTurn{reached: s, task: t, ro: ro, spec: spec, rec: rec}
	turn, err := ct.take(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return Turn{}, err
		}
		cause := err
		if turn, err = ct.failed(ctx, cause); err != nil {
			return Turn{}, err
		}
		if !turn.Ended && stillRuns(cause) {
			turn.Op, turn.Polls = t.Op, t.Polls
		}
	}
	return turn, nil
}

// take observes the cluster and does at most one thing.
func (ct *clusterTurn) take(ctx context.Context) (Turn, error) {
	if ct.task.Op.Token != "" {
		turn, done, err := ct.poll(ctx, ct.task)
		if err != nil {
			return Turn{}, err
		}
		if !done {
			turn.Reason = ct.rec.Reason
			return turn, nil
		}
	}
	c, err := ct.Provider.Cluster(ctx, ct.rec.ID)
	if err != nil {
		if CodeOf(err) == CodeNotFound {
			return ct.end(ctx, fleet.StateFailed, "the cluster is gone: "+err.Error())
		}
		return Turn{}, err
	}
	ct.c = c
	if c.Stopped {
		return ct.end(ctx, fleet.StateSetAside, "the cluster is stopped; a later rollout picks it up when it runs again")
	}
	if ct.rec.To.Less(c.Version) {
		return ct.end(ctx, fleet.StateSetAside, fmt.Sprintf("the control plane is at %s, beyond the target %s", c.Version, ct.rec.To))
	}
	if ct.kube, err = ct.Connector.Connect(ctx, c, ct.rec.UID); err != nil {
		return ct.unreachable(ctx, err)
	}
	if err := ct.lease(ctx); err != nil {
		return ct.unreachable(ctx, err)
	}
	ct.Watcher.Ensure(ct.ro.ID, ct.rec.ID, ct.kube)
	snapshot, err := ct.kube.Snapshot(ctx)
	if err != nil {
		return ct.unreachable(ctx, err)
	}
	if ct.rec.UID == "" {
		if err := ct.change(ctx, func(r *ClusterRecord) { r.UID = ct.kube.UID() }); err != nil {
			return Turn{}, err
		}
	}
	switch {
	case ct.rec.Rollback:
		return ct.rollBack(ctx)
	case ct.rec.Skip:
		return ct.stop(ctx, fleet.StateSkipped, "skipped by a person")
	case ct.ro.Aborted:
		return ct.stop(ctx, fleet.StateAborted, "aborted by a person at a safe point; cordons, replicas and autoscalers are restored, all pools are kept")
	}
	return ct.forward(ctx, snapshot)
}

// forward takes the next step towards the target.
func (ct *clusterTurn) forward(ctx context.Context, snapshot fleet.Snapshot) (Turn, error) {
	offers, err := ct.Provider.Offers(ctx, ct.c)
	if err != nil {
		return Turn{}, err
	}
	images, err := ct.images(ctx, offers)
	if err != nil {
		return Turn{}, err
	}
	proven, err := ct.provenVersions(ctx, ct.ro)
	if err != nil {
		return Turn{}, err
	}
	step := plan.NextClusterStep(plan.ClusterView{
		Cluster: ct.c, Nodes: snapshot.Nodes, Target: ct.rec.To, Offers: offers, Images: images,
		Policy: policyOf(ct.spec, ct.rec.Ring, ct.rec.Name), Channels: ct.spec.Channels, SetAside: ct.rec.SetAside,
		ImagePass: ct.spec.Target.Channel == fleet.ChannelNodeImage, Proven: slices.Concat(proven, ct.ro.Stops),
	})
	open, err := ct.openPools(ctx)
	if err != nil {
		return Turn{}, err
	}
	if why := ct.hold(); why != "" && step.Kind != plan.StepVerify && step.Kind != plan.StepAwait && step.Kind != plan.StepSetAside {
		return ct.say(ctx, Turn{State: fleet.StatePaused, Reason: why, After: patience, Start: open}, "hold", "")
	}
	if turn, wait := ct.finishFirst(step, open); wait {
		return ct.say(ctx, turn, "pools", "")
	}
	switch step.Kind {
	case plan.StepSetAside:
		return ct.end(ctx, fleet.StateSetAside, step.Reason)
	case plan.StepAwait:
		return ct.say(ctx, Turn{State: fleet.StateWaiting, Reason: step.Reason, After: soon, Start: open}, "await", step.Reason)
	case plan.StepRefuse:
		return ct.say(ctx, Turn{State: fleet.StateBlocked, Reason: step.Reason, After: patience, Start: open}, "blocked", step.Reason)
	case plan.StepSetChannels:
		return ct.setChannels(ctx, step)
	case plan.StepControlPlane:
		past, err := ct.recent(ctx)
		if err != nil {
			return Turn{}, err
		}
		if err := ct.change(ctx, func(r *ClusterRecord) {
			r.Planned = step.Hops
			if !slices.Contains(r.Hops, step.Version) {
				r.Hops = append(r.Hops, step.Version)
				r.HopsForecast += past.ForecastControlPlane(r.ID, r.Ring).P50
			}
		}); err != nil {
			return Turn{}, err
		}
		return ct.start(ctx, "upgradeControlPlane", step.Version.String(), step.Reason, func() (Operation, error) {
			return ct.Provider.UpgradeControlPlane(ctx, ct.c, step.Version)
		})
	case plan.StepReconcile:
		return ct.reconcile(ctx, step.Reason)
	case plan.StepPool:
		return ct.pool(ctx, step, snapshot, images)
	case plan.StepVerify:
		return ct.verify(ctx, snapshot)
	default:
		return Turn{}, fmt.Errorf("cluster %s: step %q is not one of a cluster", ct.rec.Name, step.Kind)
	}
}

// reconcile asks the provider to take up what it failed at, a few times.
func (ct *clusterTurn) reconcile(ctx context.Context, reason string) (Turn, error) {
	if ct.rec.Failures >= giveUp {
		return ct.end(ctx, fleet.StateFailed, reason)
	}
	turn, err := ct.start(ctx, "reconcile", "cluster", reason, func() (Operation, error) {
		return ct.Provider.Reconcile(ctx, ct.c, nil)
	})
	if err != nil || turn.Op.Token != "" {
		return turn, err
	}
	turn.After = backoff(ct.rec.Failures)
	return turn, ct.change(ctx, func(r *ClusterRecord) { r.Failures++ })
}

// openPools lists the tasks of the cluster's pools that have not ended.
func (ct *clusterTurn) openPools(ctx context.Context) ([]Task, error) {
	records, err := all[PoolRecord](ctx, ct.Store, ct.ro.ID, kindPool)
	if err != nil {
		return nil, err
	}
	var open []Task
	for _, key := range ct.rec.Pools {
		if p := records[key]; p.Name != "" && !p.State.Ended() {
			open = append(open, Task{Rollout: ct.ro.ID, Ring: ct.rec.Ring, Cluster: ct.rec.ID, Pool: p.Name, To: p.To})
		}
	}
	return open, nil
}

// finishFirst lets pools that were begun come to their end before the cluster
// goes on to another pool, to its next control plane, or to its own end.
func (ct *clusterTurn) finishFirst(step plan.ClusterStep, open []Task) (Turn, bool) {
	others := slices.DeleteFunc(slices.Clone(open), func(t Task) bool {
		return step.Kind == plan.StepPool && strings.EqualFold(t.Pool, step.Target) && t.To == step.Version
	})
	if len(others) == 0 {
		return Turn{}, false
	}
	switch step.Kind {
	case plan.StepAwait, plan.StepRefuse, plan.StepSetAside, plan.StepReconcile:
		return Turn{}, false
	case plan.StepSetChannels:
		if ct.rec.SetAside == nil || step.Channels != *ct.rec.SetAside {
			return Turn{}, false // the provider's own upgrades would race the pools
		}
	default:
	}
	return Turn{State: fleet.StateRunning, Reason: "pool " + others[0].Pool + " comes to its end first", After: patience, Start: open}, true
}

// hold says why nothing new may begin now, or "".
func (ct *clusterTurn) hold() string { return ct.holdFor(ct.ro, ct.spec, ct.rec.Ring) }

// holdFor says why nothing new may begin in a ring now, or "": a person has
// paused the rollout, or the ring's window has closed.
func (s *Stepper) holdFor(ro RolloutRecord, spec *fleet.Spec, ringName string) string {
	if ro.Paused {
		return "paused by a person; go on with: liftlock resume"
	}
	ring, _ := spec.Ring(ringName)
	if ring == nil || ring.OnClose == fleet.FinishCluster {
		return ""
	}
	if o := opening(spec, ring, s.now()); !o.Open {
		return o.Reason
	}
	return ""
}

// lease takes or renews the cluster's Lease, with what must outlive the store.
func (ct *clusterTurn) lease(ctx context.Context) error {
	notes := map[string]string{"rollout": ct.ro.ID}
	if ct.rec.SetAside == nil {
		kept, err := ct.kube.LeaseNotes(ctx)
		if err != nil {
			return err
		}
		channels, err := channelsOf(kept)
		if err != nil {
			return fmt.Errorf("cluster %s: %w", ct.rec.Name, err)
		}
		if channels != nil {
			if err := ct.change(ctx, func(r *ClusterRecord) { r.SetAside = channels }); err != nil {
				return err
			}
		}
	}
	if ct.rec.SetAside != nil {
		text, err := json.Marshal(ct.rec.SetAside)
		if err != nil {
			return fmt.Errorf("encode channels: %w", err)
		}
		notes[noteChannels] = string(text)
	}
	return ct.kube.AcquireLease(ctx, ct.Holder, leaseTTL, notes)
}

// channelsOf reads from a Lease's notes which channels were set aside; nil for
// none.
func channelsOf(notes map[string]string) (*plan.Channels, error) {
	text := notes[noteChannels]
	if text == "" {
		return nil, nil //nolint:nilnil // none is a good answer
	}
	channels := &plan.Channels{}
	if err := json.Unmarshal([]byte(text), channels); err != nil {
		return nil, fmt.Errorf("the Lease kube-system/liftlock has an unreadable note %s: %w", noteChannels, err)
	}
	return channels, nil
}

// setChannels switches the provider's automatic upgrades off, or back on.
func (ct *clusterTurn) setChannels(ctx context.Context, step plan.ClusterStep) (Turn, error) {
	if ct.rec.SetAside == nil {
		before := plan.Channels{Upgrade: ct.c.UpgradeChannel, NodeOS: ct.c.NodeOSUpgradeChannel}
		if err := ct.change(ctx, func(r *ClusterRecord) { r.SetAside = &before }); err != nil {
			return Turn{}, err
		}
		if err := ct.lease(ctx); err != nil { // noted on the cluster before anything is changed
			return Turn{}, err
		}
	}
	return ct.start(ctx, "setChannels", fmt.Sprintf("upgrade=%q nodeOS=%q", step.Channels.Upgrade, step.Channels.NodeOS), step.Reason, func() (Operation, error) {
		return ct.Provider.SetChannels(ctx, ct.c, step.Channels.Upgrade, step.Channels.NodeOS)
	})
}

// pool lets a pool go, once nothing that an owner must accept stands in the way.
func (ct *clusterTurn) pool(ctx context.Context, step plan.ClusterStep, snapshot fleet.Snapshot, images map[string]string) (Turn, error) {
	key := poolKey(ct.rec.ID, step.Target, step.Version)
	records, err := all[PoolRecord](ctx, ct.Store, ct.ro.ID, kindPool)
	if err != nil {
		return Turn{}, err
	}
	rec, known := records[key]
	if known && rec.State == fleet.StateFailed {
		return ct.end(ctx, fleet.StateFailed, fmt.Sprintf("pool %s: %s", rec.Name, rec.Reason))
	}
	p := ct.c.Pool(step.Target)
	policy := policyOf(ct.spec, ct.rec.Ring, ct.rec.Name)(step.Target)
	if !known || rec.StartedAt.IsZero() {
		if why, until, err := ct.tooLate(ctx, p); err != nil || why != "" {
			if err != nil {
				return Turn{}, err
			}
			return ct.say(ctx, Turn{State: fleet.StateWaiting, Reason: why, After: min(patience, max(glance, until.Sub(ct.now())))}, "hold", step.Target)
		}
		findings := ct.judged(poolFindings(snapshot, p, policy, ct.ro.ID))
		if err := ct.change(ctx, func(r *ClusterRecord) { r.Findings = mergeFindings(r.Findings, findings) }); err != nil {
			return Turn{}, err
		}
		if blockers := unaccepted(findings); len(blockers) > 0 {
			return ct.say(ctx, Turn{State: fleet.StateBlocked, Reason: "needs acceptance before pool " + step.Target + " may go: " + strings.Join(blockers, "; "), After: patience}, "blocked", "acceptance")
		}
		if err := ct.backup(policy); err != nil {
			return ct.say(ctx, Turn{State: fleet.StateBlocked, Reason: err.Error(), After: patience}, "blocked", "backup")
		}
		image := images[p.ImageFamily()]
		forecast, err := ct.forecast(ctx, snapshot, p, policy)
		if err != nil {
			return Turn{}, err
		}
		if _, err := update(ctx, ct.Store, ct.ro.ID, kindPool, key, func(r *PoolRecord) {
			if !r.StartedAt.IsZero() {
				return
			}
			*r = PoolRecord{Cluster: ct.rec.ID, Name: step.Target, Strategy: policy.Strategy, State: fleet.StateRunning, From: p.Version, To: step.Version, Image: image, StartedAt: ct.now(), Nodes: p.Count, Stem: plan.Stem(p), Forecast: forecast}
		}); err != nil {
			return Turn{}, err
		}
	}
	if known && rec.State.Ended() {
		// The world says otherwise: a node or the image fell back, or it was
		// stopped before its end. Go again.
		if _, err := update(ctx, ct.Store, ct.ro.ID, kindPool, key, func(r *PoolRecord) {
			r.again()
			r.Image = images[p.ImageFamily()]
		}); err != nil {
			return Turn{}, err
		}
	}
	if err := ct.change(ctx, func(r *ClusterRecord) {
		if !slices.Contains(r.Pools, key) {
			r.Pools = append(r.Pools, key)
		}
	}); err != nil {
		return Turn{}, err
	}
	turn := Turn{
		State: fleet.StateRunning, Reason: "pool " + step.Target + ": " + step.Reason, After: patience,
		Start: []Task{{Rollout: ct.ro.ID, Ring: ct.rec.Ring, Cluster: ct.rec.ID, Pool: step.Target, To: step.Version}},
	}
	return ct.say(ctx, turn, "pools", "")
}

// tooLate says why a pool must not begin in this window any more, and when the
// window closes: its forecast says that it would not finish.
func (ct *clusterTurn) tooLate(ctx context.Context, p *fleet.Pool) (why string, closes time.Time, err error) {
	ring, _ := ct.spec.Ring(ct.rec.Ring)
	if ring == nil || ring.OnClose == fleet.FinishCluster {
		return "", closes, nil
	}
	o := opening(ct.spec, ring, ct.now())
	if o.Closes.IsZero() {
		return "", closes, nil
	}
	pace, err := ct.pastPace(ctx)
	if err != nil {
		return "", closes, err
	}
	takes := plan.Forecast(plan.Size{Nodes: p.Count}, pace)
	if !ct.now().Add(takes).After(o.Closes) {
		return "", closes, nil
	}
	return fmt.Sprintf("too late in this window, which closes %s, to finish pool %s (about %s); it starts in the next one",
		o.Closes.Format(time.RFC3339), p.Name, takes.Round(time.Minute)), o.Closes, nil
}

func unaccepted(findings []fleet.Finding) []string {
	var blockers []string
	for _, f := range findings {
		if f.Severity == fleet.Blocker && f.AcceptedBy == "" {
			blockers = append(blockers, fmt.Sprintf("%s (%s): %s; %s", f.Object, f.ID, f.What, f.Remedy))
		}
	}
	return blockers
}

func mergeFindings(have, more []fleet.Finding) []fleet.Finding {
	for _, f := range more {
		i := slices.IndexFunc(have, func(h fleet.Finding) bool { return h.ID == f.ID && h.Object == f.Object })
		if i >= 0 {
			have[i] = f
			continue
		}
		have = append(have, f)
	}
	return have
}

// verify looks at every node once more, restores nothing that is not ours, and
// ends the cluster.
func (ct *clusterTurn) verify(ctx context.Context, snapshot fleet.Snapshot) (Turn, error) {
	v, err := ct.kube.ServerVersion(ctx)
	if err != nil {
		return Turn{}, err
	}
	if v != ct.rec.To {
		return ct.say(ctx, Turn{State: fleet.StateWaiting, Reason: fmt.Sprintf("the provider says %s, the API server itself says %s", ct.rec.To, v), After: soon}, "verify", "")
	}
	images, pools := map[string]string{}, map[string]string{}
	for _, n := range snapshot.Nodes {
		p := ct.c.Pool(n.Pool)
		if p == nil || p.Stopped {
			continue
		}
		if n.Version != ct.rec.To || !n.Ready {
			return ct.say(ctx, Turn{State: fleet.StateWaiting, Reason: fmt.Sprintf("node %s: version %s, ready %t", n.Name, n.Version, n.Ready), After: soon}, "verify", "")
		}
		if n.Image != "" {
			images[p.ImageFamily()], pools[p.ImageFamily()] = n.Image, p.Name
		}
	}
	if turn, clean, err := ct.undo(ctx, snapshot); err != nil || !clean {
		return turn, err
	}
	if err := ct.change(ctx, func(r *ClusterRecord) { r.Images, r.ImagePools = images, pools }); err != nil {
		return Turn{}, err
	}
	return ct.end(ctx, fleet.StateSucceeded, fmt.Sprintf("control plane and %d nodes run %s", len(snapshot.Nodes), ct.rec.To))
}

// undo takes back what evacuations left on the cluster. Marks of earlier
// rollouts count as our own: the Lease says that nobody else is at work here.
func (ct *clusterTurn) undo(ctx context.Context, snapshot fleet.Snapshot) (turn Turn, clean bool, err error) {
	left, waiting := evacuate.Undo(snapshot, nil, "")
	if len(left) > 0 {
		if err := ct.do(ctx, left); err != nil {
			return Turn{}, false, err
		}
		turn, err = ct.say(ctx, Turn{State: fleet.StateRunning, Reason: "restores what the evacuation had changed", After: glance}, "restore", "")
		return turn, false, err
	}
	if len(waiting) > 0 {
		turn, err = ct.say(ctx, Turn{State: fleet.StateWaiting, Reason: strings.Join(waiting, "; "), After: soon}, "restore", "")
		return turn, false, err
	}
	return Turn{}, true, nil
}

// do carries out actions one after the other, for the few that a cluster's own
// step has.
func (ct *clusterTurn) do(ctx context.Context, actions []evacuate.Action) error {
	var errs []error
	for _, a := range actions {
		outcome, err := ct.kube.Do(ctx, ct.ro.ID, a)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if outcome.Result == evacuate.Refused {
			errs = append(errs, fmt.Errorf("%s %s%s%s: %s", a.Kind, a.Node, a.Workload, a.Pod, outcome.Message))
		}
	}
	return errors.Join(errs...)
}
