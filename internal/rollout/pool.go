package rollout

import (
	"context"
	"fmt"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// poolTurn carries what one step of a pool works on.
type poolTurn struct {
	clusterTurn
	pool     PoolRecord
	policy   fleet.NodePolicy
	snapshot fleet.Snapshot
}

// pool takes a pool's step: capacity first, then the pods, then the old nodes.
func (s *reached) pool(ctx context.Context, t Task, ro RolloutRecord, spec *fleet.Spec) (Turn, error) {
	pool, _, err := read[PoolRecord](ctx, s.Store, ro.ID, kindPool, poolKey(t.Cluster, t.Pool, t.To))
	if err != nil {
		return Turn{}, err
	}
	if pool.State.Ended() {
		return Turn{State: pool.State, Reason: pool.Reason, Ended: true}, nil
	}
	rec, _, err := read[ClusterRecord](ctx, s.Store, ro.ID, kindCluster, t.Cluster)
	if err != nil {
		return Turn{}, err
	}
	pt := &poolTurn{
		clusterTurn: clusterTurn{reached: s, task: t, ro: ro, spec: spec, rec: rec},
		pool:        pool, policy: policyOf(spec, rec.Ring, rec.Name)(t.Pool),
	}
	if pool.Strategy != "" {
		pt.policy.Strategy = pool.Strategy // what was begun is finished the same way
	}
	if rec.State.Ended() {
		// The cluster was handed over: nothing on it may be touched any more.
		return pt.end(ctx, fleet.StateAborted, fmt.Sprintf("its cluster has ended (%s): %s", rec.State, rec.Reason))
	}
	turn, err := pt.take(ctx)
	if err == nil || ctx.Err() != nil {
		return turn, err
	}
	failures := pt.pool.Failures
	if failedOperation(err) {
		failures++
	}
	turn, fatal := trouble(err, pt.pool.Attempts, failures)
	if fatal {
		return pt.end(ctx, fleet.StateFailed, err.Error())
	}
	if stillRuns(err) {
		turn.Op, turn.Polls = t.Op, t.Polls
	}
	return turn, pt.keep(ctx, func(r *PoolRecord) {
		r.State, r.Reason, r.Failures = turn.State, turn.Reason, failures
		r.Attempts++
		r.Spans = enter(r.Spans, "waiting", string(CodeOf(err)), s.now())
	})
}

// take observes the pool and does at most one thing.
func (pt *poolTurn) take(ctx context.Context) (Turn, error) {
	if pt.task.Op.Token != "" {
		turn, done, err := pt.poll(ctx, pt.task)
		if err != nil {
			return Turn{}, err
		}
		if !done {
			turn.Reason = pt.pool.Reason
			return turn, nil
		}
	}
	c, err := pt.Provider.Cluster(ctx, pt.rec.ID)
	if err != nil {
		return Turn{}, err
	}
	pt.c = c
	if pt.kube, err = pt.Connector.Connect(ctx, c, pt.rec.UID); err != nil {
		return Turn{}, err
	}
	if err := pt.lease(ctx); err != nil {
		return Turn{}, err
	}
	pt.Watcher.Ensure(pt.ro.ID, pt.rec.ID, pt.kube)
	if pt.snapshot, err = pt.kube.Snapshot(ctx); err != nil {
		return Turn{}, err
	}
	if (pt.ro.Aborted || pt.rec.Skip) && !pt.rec.Rollback {
		return pt.end(ctx, fleet.StateAborted, "stopped by a person at a safe point")
	}
	if what, busy := c.Busy(); busy {
		return pt.say(ctx, Turn{State: fleet.StateWaiting, Reason: what, After: soon}, "await", what)
	}
	return pt.decide(ctx)
}

// decide asks the domain for the next step and takes it.
func (pt *poolTurn) decide(ctx context.Context) (Turn, error) {
	if plan.StandIn(&pt.c, pt.pool.Name) != nil {
		// Pods that came back begin the soak anew.
		if emptied := pt.firstEmptied(); emptied == pt.pool.EmptiedAt.IsZero() {
			if err := pt.keep(ctx, func(r *PoolRecord) {
				r.EmptiedAt = time.Time{}
				if emptied {
					r.EmptiedAt = pt.now()
				}
			}); err != nil {
				return Turn{}, err
			}
		}
	} else if pt.c.Pool(pt.pool.Name) == nil {
		return pt.end(ctx, fleet.StateSkipped, "the pool is gone, and so is its stand-in: somebody deleted them")
	}
	view := plan.PoolView{
		Name: pt.pool.Name, Cluster: pt.c, Nodes: pt.snapshot.Nodes, Emptied: pt.emptied, EmptiedAt: pt.pool.EmptiedAt,
		Version: pt.pool.To, Image: pt.pool.Image, Snapshot: pt.pool.Snapshot, Policy: pt.policy, Rollout: pt.ro.ID,
		Rollback: pt.rec.Rollback, Now: pt.now(), Batch: pt.batch, Vacant: pt.vacant, Stuck: pt.stuck,
	}
	step := plan.NextPoolStep(view)
	if why := pt.hold(); why != "" && !pt.rec.Rollback {
		switch step.Kind {
		case plan.StepDone, plan.StepAwait, plan.StepAwaitNodes, plan.StepRefuse, plan.StepEvacuate, plan.StepRelease:
		default:
			return pt.say(ctx, Turn{State: fleet.StatePaused, Reason: why, After: patience}, "hold", "")
		}
	}
	if turn, held, err := pt.gate(ctx, step, view); err != nil || held {
		return turn, err
	}
	target := pt.c.Pool(step.Target)
	switch step.Kind {
	case plan.StepCreatePool:
		return pt.createPool(ctx, step)
	case plan.StepAwait:
		return pt.say(ctx, Turn{State: fleet.StateWaiting, Reason: step.Reason, After: soon}, "await", step.Reason)
	case plan.StepAwaitNodes:
		return pt.say(ctx, Turn{State: fleet.StateWaiting, Reason: step.Reason, After: time.Second}, "nodes", step.Target)
	case plan.StepFixSize:
		return pt.start(ctx, "setAutoscaler", step.Target, step.Reason, func() (Operation, error) {
			return pt.Provider.SetAutoscaler(ctx, pt.c, *target, step.Autoscaler)
		})
	case plan.StepEvacuate:
		return pt.evacuate(ctx, step, view)
	case plan.StepSoak:
		return pt.say(ctx, Turn{State: fleet.StateSoaking, Reason: step.Reason, After: min(max(step.Until.Sub(pt.now()), glance), patience)}, "soak", step.Target)
	case plan.StepUpgradePool, plan.StepUpgradeImage:
		return pt.upgradePool(ctx, step, target)
	case plan.StepReconcile:
		return pt.reconcile(ctx, step, target)
	case plan.StepDeletePool:
		if step.PointOfNoReturn {
			if err := pt.backup(pt.policy); err != nil {
				return pt.say(ctx, Turn{State: fleet.StateBlocked, Reason: err.Error(), After: patience}, "blocked", "backup")
			}
		}
		return pt.start(ctx, "deletePool", step.Target, step.Reason, func() (Operation, error) {
			return pt.Provider.DeletePool(ctx, pt.c, *target)
		})
	case plan.StepScalePool:
		return pt.start(ctx, string(step.Kind), step.Target, step.Reason, func() (Operation, error) {
			return pt.Provider.ScalePool(ctx, pt.c, *target, step.Count)
		})
	case plan.StepDeleteNodes:
		if err := pt.backup(pt.policy); err != nil {
			return pt.say(ctx, Turn{State: fleet.StateBlocked, Reason: err.Error(), After: patience}, "blocked", "backup")
		}
		return pt.start(ctx, string(step.Kind), step.Target, step.Reason+": "+strings.Join(step.Nodes, ", "), func() (Operation, error) {
			return pt.Provider.DeleteMachines(ctx, pt.c, *target, step.Nodes)
		})
	case plan.StepRelease:
		return pt.release(ctx, step)
	case plan.StepRefuse:
		if pt.rec.Rollback && step.PointOfNoReturn {
			return pt.end(ctx, fleet.StateFailed, step.Reason)
		}
		return pt.say(ctx, Turn{State: fleet.StateBlocked, Reason: step.Reason, After: patience}, "blocked", step.Reason)
	case plan.StepDone:
		state := fleet.StateSucceeded
		if pt.rec.Rollback {
			state = fleet.StateRolledBack
		}
		return pt.end(ctx, state, step.Reason)
	default:
		return Turn{}, fmt.Errorf("pool %s of %s: step %q is not one of a pool", pt.pool.Name, pt.rec.Name, step.Kind)
	}
}

// createPool makes the stand-in, with the proven image pinned where the newest
// one is another.
func (pt *poolTurn) createPool(ctx context.Context, step plan.Step) (Turn, error) {
	like := pt.c.Pool(pt.pool.Name)
	snapshot, why, err := pt.pin(ctx, like)
	if err != nil {
		return Turn{}, err
	}
	if why != "" {
		return pt.say(ctx, Turn{State: fleet.StateBlocked, Reason: why, After: patience}, "blocked", "image")
	}
	step.Pool.SnapshotID = snapshot
	if err := pt.keep(ctx, func(r *PoolRecord) { r.StandIn, r.Snapshot = step.Pool.Name, snapshot }); err != nil {
		return Turn{}, err
	}
	return pt.start(ctx, "createPool", step.Target, step.Reason, func() (Operation, error) {
		return pt.Provider.CreatePool(ctx, pt.c, *like, step.Pool)
	})
}

func (pt *poolTurn) upgradePool(ctx context.Context, step plan.Step, target *fleet.Pool) (Turn, error) {
	if err := pt.backup(pt.policy); err != nil {
		return pt.say(ctx, Turn{State: fleet.StateBlocked, Reason: err.Error(), After: patience}, "blocked", "backup")
	}
	snapshot, why, err := pt.pin(ctx, target)
	if err != nil {
		return Turn{}, err
	}
	if why != "" {
		return pt.say(ctx, Turn{State: fleet.StateBlocked, Reason: why, After: patience}, "blocked", "image")
	}
	return pt.start(ctx, string(step.Kind), step.Target, step.Reason, func() (Operation, error) {
		if step.Kind == plan.StepUpgradeImage {
			return pt.Provider.UpgradeNodeImage(ctx, pt.c, *target, snapshot)
		}
		return pt.Provider.UpgradePool(ctx, pt.c, *target, step.Version, pt.policy.MaxSurge, snapshot)
	})
}

// maxSnapshotAge is how old a node pool snapshot may be to be used for an
// upgrade (AKS documentation, node-pool-snapshot).
const maxSnapshotAge = 90 * 24 * time.Hour

// pin says how the proven image is to be had for a pool: "" when it is the
// newest anyway, a snapshot's id, or why it cannot be had any more.
func (pt *poolTurn) pin(ctx context.Context, like *fleet.Pool) (snapshot, why string, err error) {
	if pt.pool.Image == "" {
		return "", "", nil
	}
	offers, err := pt.Provider.Offers(ctx, pt.c)
	if err != nil {
		return "", "", err
	}
	newest := offers.NodeImages[like.Name]
	if newest == "" || strings.EqualFold(newest, pt.pool.Image) {
		return "", "", nil
	}
	proven, err := pt.provenImages(ctx, pt.ro, pt.rec.Ring)
	if err != nil {
		return "", "", err
	}
	remedy := "; the ring waits: run a new rollout to prove " + newest + " from the first ring on"
	entry, pinned := proven[like.ImageFamily()]
	if !pinned {
		// Nothing was proven yet: what was newest when the cluster began is not to
		// be had any more, so all its pools go to what is newest now.
		if err := pt.change(ctx, func(r *ClusterRecord) {
			if r.Wanted == nil {
				r.Wanted = map[string]string{}
			}
			r.Wanted[like.ImageFamily()] = newest
		}); err != nil {
			return "", "", err
		}
		return "", "", pt.keep(ctx, func(r *PoolRecord) { r.Image = newest })
	}
	if entry.Digest == "" {
		return "", fmt.Sprintf("the proven node image %s is no longer the newest (%s is), and no snapshot of it was kept%s", pt.pool.Image, newest, remedy), nil
	}
	image, createdAt, err := pt.Provider.SnapshotImage(ctx, entry.Digest)
	switch {
	case CodeOf(err) == CodeNotFound:
		return "", fmt.Sprintf("the snapshot %s of the proven node image %s is gone, and %s is newest%s", entry.Digest, pt.pool.Image, newest, remedy), nil
	case err != nil:
		return "", "", err
	case !strings.EqualFold(image, pt.pool.Image):
		return "", fmt.Sprintf("the snapshot %s holds image %s, not the proven %s%s", entry.Digest, image, pt.pool.Image, remedy), nil
	case pt.now().Sub(createdAt) > maxSnapshotAge:
		return "", fmt.Sprintf("the snapshot of the proven node image %s is older than 90 days, AKS does not take it any more%s", pt.pool.Image, remedy), nil
	}
	return entry.Digest, "", nil
}

// reconcile asks the provider to take up what it failed at, a few times.
func (pt *poolTurn) reconcile(ctx context.Context, step plan.Step, target *fleet.Pool) (Turn, error) {
	if pt.pool.Failures >= giveUp {
		return pt.end(ctx, fleet.StateFailed, step.Reason)
	}
	turn, err := pt.start(ctx, "reconcile", step.Target, step.Reason, func() (Operation, error) {
		return pt.Provider.Reconcile(ctx, pt.c, target)
	})
	if err != nil || turn.Op.Token != "" {
		return turn, err
	}
	turn.After = backoff(pt.pool.Failures)
	return turn, pt.keep(ctx, func(r *PoolRecord) { r.Failures++ })
}

// release undoes our marks on the nodes of a pool.
func (pt *poolTurn) release(ctx context.Context, step plan.Step) (Turn, error) {
	actions, _ := evacuate.Undo(pt.snapshot, pt.nodesOf(step.Target), "")
	if err := pt.carryOut(ctx, newAPIPace(0), actions, nil); err != nil {
		return Turn{}, err
	}
	if err := pt.journal(ctx, fleet.JournalEntry{Rollout: pt.ro.ID, Ring: pt.rec.Ring, Cluster: pt.rec.Name, Pool: pt.pool.Name, Action: "release", Object: step.Target, Reason: step.Reason}); err != nil {
		return Turn{}, err
	}
	return pt.say(ctx, Turn{State: fleet.StateRunning, Reason: step.Reason, After: glance}, "release", step.Target)
}

func (pt *poolTurn) nodesOf(pool string) []string {
	names := []string{}
	for _, n := range pt.snapshot.Nodes {
		if strings.EqualFold(n.Pool, pool) {
			names = append(names, n.Name)
		}
	}
	return names
}

// keep updates the pool's record and the turn's own copy of it.
func (pt *poolTurn) keep(ctx context.Context, f func(*PoolRecord)) error {
	rec, err := update(ctx, pt.Store, pt.ro.ID, kindPool, poolKey(pt.task.Cluster, pt.task.Pool, pt.task.To), f)
	if err == nil {
		pt.pool = rec
	}
	return err
}

// say records where the pool stands and returns the turn.
func (pt *poolTurn) say(ctx context.Context, turn Turn, kind, what string) (Turn, error) {
	return turn, pt.keep(ctx, func(r *PoolRecord) {
		r.State, r.Reason, r.Attempts = turn.State, turn.Reason, 0
		if turn.State == fleet.StateRunning || turn.State == fleet.StateSoaking {
			r.Failures = 0
		}
		r.Spans = enter(r.Spans, kind, what, pt.now())
	})
}

// start begins a provider operation and journals it.
func (pt *poolTurn) start(ctx context.Context, action, object, reason string, begin func() (Operation, error)) (Turn, error) {
	op, err := begin()
	if err != nil {
		return Turn{}, err
	}
	if op.Token != "" {
		if err := pt.journal(ctx, fleet.JournalEntry{Rollout: pt.ro.ID, Ring: pt.rec.Ring, Cluster: pt.rec.Name, Pool: pt.pool.Name, Action: action, Object: object, Reason: reason}); err != nil {
			return Turn{}, err
		}
	}
	turn := Turn{State: fleet.StateRunning, Reason: reason, After: time.Second, Op: op}
	return turn, pt.keep(ctx, func(r *PoolRecord) {
		r.State, r.Reason = turn.State, turn.Reason
		if action != "reconcile" { // asked for again and again, it backs off
			r.Attempts = 0
		}
		r.Spans = enter(r.Spans, action, object, pt.now())
	})
}

func (pt *poolTurn) end(ctx context.Context, state fleet.State, reason string) (Turn, error) {
	if err := pt.journal(ctx, fleet.JournalEntry{Rollout: pt.ro.ID, Ring: pt.rec.Ring, Cluster: pt.rec.Name, Pool: pt.pool.Name, Action: "endPool", Object: string(state), Reason: reason}); err != nil {
		return Turn{}, err
	}
	return Turn{State: state, Reason: reason, Ended: true}, pt.keep(ctx, func(r *PoolRecord) {
		r.State, r.Reason, r.EndedAt = state, reason, pt.now()
		r.Back = pt.rec.Rollback
		r.Spans = enter(r.Spans, "", "", pt.now())
		if state == fleet.StateSucceeded || state == fleet.StateRolledBack {
			// The last pods are seen to have left by looking at the nodes, not by a pass.
			for _, e := range r.Evacuations {
				e.Moved, e.Findings = e.Total, nil
			}
		}
	})
}
