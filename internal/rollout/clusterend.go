package rollout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// setAsideAfter is how long a cluster that nothing was done to yet may be
// unreachable before it is set aside and its ring goes on without it.
const setAsideAfter = 30 * time.Second

// change updates the cluster's record and the turn's own copy of it.
func (ct *clusterTurn) change(ctx context.Context, f func(*ClusterRecord)) error {
	rec, err := update(ctx, ct.Store, ct.ro.ID, kindCluster, ct.rec.ID, f)
	if err == nil {
		ct.rec = rec
	}
	return err
}

// say records where the cluster stands and returns the turn.
func (ct *clusterTurn) say(ctx context.Context, turn Turn, kind, what string) (Turn, error) {
	return turn, ct.change(ctx, func(r *ClusterRecord) {
		r.State, r.Reason, r.Attempts = turn.State, turn.Reason, 0
		if turn.State == fleet.StateRunning {
			r.Failures = 0
		}
		r.Spans = enter(r.Spans, kind, what, ct.now())
	})
}

// start begins a provider operation and journals it.
func (ct *clusterTurn) start(ctx context.Context, action, object, reason string, begin func() (Operation, error)) (Turn, error) {
	op, err := begin()
	if err != nil {
		return Turn{}, err
	}
	if op.Token != "" {
		if err := ct.journal(ctx, fleet.JournalEntry{Rollout: ct.ro.ID, Ring: ct.rec.Ring, Cluster: ct.rec.Name, Action: action, Object: object, Reason: reason}); err != nil {
			return Turn{}, err
		}
	}
	turn := Turn{State: fleet.StateRunning, Reason: reason, After: time.Second, Op: op}
	return turn, ct.change(ctx, func(r *ClusterRecord) {
		r.State, r.Reason = turn.State, turn.Reason
		if action != "reconcile" { // asked for again and again, it backs off
			r.Attempts = 0
		}
		r.Spans = enter(r.Spans, action, object, ct.now())
	})
}

// end writes the cluster's last state, gives up its Lease and stops watching.
func (ct *clusterTurn) end(ctx context.Context, state fleet.State, reason string) (Turn, error) {
	ct.Watcher.Stop(ctx, ct.ro.ID, ct.rec.ID)
	if ct.kube == nil && state == fleet.StateFailed {
		ct.reach(ctx)
	}
	if ct.kube != nil {
		if err := ct.release(ctx); err != nil {
			if state != fleet.StateSetAside && state != fleet.StateFailed {
				return Turn{}, err
			}
			ct.Log.WarnContext(ctx, "the Lease could not be given up; it runs out by itself", "cluster", ct.rec.Name, "error", err)
		}
	}
	if err := ct.journal(ctx, fleet.JournalEntry{Rollout: ct.ro.ID, Ring: ct.rec.Ring, Cluster: ct.rec.Name, Action: "endCluster", Object: string(state), Reason: reason}); err != nil {
		return Turn{}, err
	}
	err := ct.change(ctx, func(r *ClusterRecord) {
		r.State, r.Reason, r.EndedAt = state, reason, ct.now()
		r.Spans = enter(r.Spans, "", "", ct.now())
	})
	return Turn{State: state, Reason: reason, Ended: true}, err
}

// reach connects to the cluster, if it can be had, to give its Lease up.
func (ct *clusterTurn) reach(ctx context.Context) {
	c, err := ct.Provider.Cluster(ctx, ct.rec.ID)
	if err != nil {
		return
	}
	if kube, err := ct.Connector.Connect(ctx, c, ct.rec.UID); err == nil {
		ct.c, ct.kube = c, kube
	}
}

// release gives the Lease up. What it notes is struck out once it is restored.
func (ct *clusterTurn) release(ctx context.Context) error {
	if aside := ct.rec.SetAside; aside != nil && ct.c.ID != "" && aside.Of(&ct.c) {
		if err := ct.kube.AcquireLease(ctx, ct.Holder, leaseTTL, map[string]string{noteChannels: ""}); err != nil {
			return err
		}
	}
	return ct.kube.ReleaseLease(ctx, ct.Holder)
}

// failed decides what an error means for the cluster.
func (ct *clusterTurn) failed(ctx context.Context, cause error) (Turn, error) {
	failures := ct.rec.Failures
	if failedOperation(cause) {
		failures++
	}
	turn, fatal := trouble(cause, ct.rec.Attempts, failures)
	if fatal {
		return ct.end(ctx, fleet.StateFailed, cause.Error())
	}
	err := ct.change(ctx, func(r *ClusterRecord) {
		r.State, r.Reason, r.Failures = turn.State, turn.Reason, failures
		r.Attempts++
		r.Spans = enter(r.Spans, "waiting", string(CodeOf(cause)), ct.now())
	})
	return turn, err
}

// unreachable sets a cluster aside that could never be reached; one in the
// middle of its upgrade is waited for.
func (ct *clusterTurn) unreachable(ctx context.Context, cause error) (Turn, error) {
	if ctx.Err() != nil {
		return Turn{}, cause
	}
	if _, wrong := errors.AsType[*IdentityError](cause); wrong {
		return Turn{}, cause
	}
	if _, held := errors.AsType[*LeaseHeldError](cause); held {
		return Turn{}, cause
	}
	untouched := len(ct.rec.Hops) == 0 && len(ct.rec.Pools) == 0 && ct.rec.SetAside == nil
	if untouched && ct.now().Sub(ct.rec.StartedAt) > setAsideAfter {
		return ct.end(ctx, fleet.StateSetAside, "its API server cannot be reached: "+cause.Error())
	}
	return Turn{}, cause
}

// images returns the node image that each family must end on: what an earlier
// ring of this rollout has proven, or for a node-image target in the first
// ring the newest on offer.
func (ct *clusterTurn) images(ctx context.Context, offers fleet.Offers) (map[string]string, error) {
	proven, err := ct.provenImages(ctx, ct.ro, ct.rec.Ring)
	if err != nil {
		return nil, err
	}
	if len(proven) > 0 {
		images := map[string]string{}
		for family, e := range proven {
			images[family] = e.Version
		}
		return images, nil
	}
	if ct.spec.Target.Channel != fleet.ChannelNodeImage {
		return nil, nil
	}
	// What appears while the cluster is under way is for the next rollout.
	newest := newestImages(&ct.c, offers)
	err = ct.change(ctx, func(r *ClusterRecord) {
		if r.Wanted == nil {
			r.Wanted = map[string]string{}
		}
		for family, image := range newest {
			if r.Wanted[family] == "" {
				r.Wanted[family] = image
			}
		}
	})
	return ct.rec.Wanted, err
}

// provenImages returns the ledger's node images of this rollout by family, as
// far as another ring has proven them.
func (s *Stepper) provenImages(ctx context.Context, ro RolloutRecord, ring string) (map[string]fleet.LedgerEntry, error) {
	entries, err := s.Ledger.Entries(ctx, ro.Fleet)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of fleet %s: %w", ro.Fleet, err)
	}
	images := map[string]fleet.LedgerEntry{}
	for _, e := range entries {
		if e.Kind != fleet.LedgerNodeImage || e.Rollout != ro.ID || e.Ring == ring {
			continue
		}
		if have, ok := images[e.Subject]; !ok || have.Digest == "" || e.Digest != "" {
			images[e.Subject] = e
		}
	}
	return images, nil
}

// backup refuses a point of no return without a backup that is new enough.
func (ct *clusterTurn) backup(policy fleet.NodePolicy) error { return newEnough(policy, ct.now()) }

// newEnough says what is wrong with the backup that a policy requires.
func newEnough(policy fleet.NodePolicy, now time.Time) error {
	if policy.RequireBackup == 0 || policy.BackupFile == "" {
		return nil
	}
	info, err := os.Stat(policy.BackupFile)
	if err != nil {
		return fmt.Errorf("a backup younger than %s is required, but %s cannot be read: %w", policy.RequireBackup, policy.BackupFile, err)
	}
	if age := now.Sub(info.ModTime()); age > policy.RequireBackup {
		return fmt.Errorf("a backup younger than %s is required, but %s is %s old; make a new one, the rollout then goes on by itself", policy.RequireBackup, policy.BackupFile, age.Round(time.Minute))
	}
	return nil
}

// rollBack moves the pods of every pool that still has its old nodes back to
// them, one pool after the other.
func (ct *clusterTurn) rollBack(ctx context.Context) (Turn, error) {
	records, err := all[PoolRecord](ctx, ct.Store, ct.ro.ID, kindPool)
	if err != nil {
		return Turn{}, err
	}
	name, to, found := ct.nextBack(records)
	if found {
		rec, err := update(ctx, ct.Store, ct.ro.ID, kindPool, poolKey(ct.rec.ID, name, to), func(r *PoolRecord) {
			if r.Name == "" {
				*r = PoolRecord{Cluster: ct.rec.ID, Name: name, To: to, StartedAt: ct.now()}
				if p := ct.c.Pool(name); p != nil {
					r.From = p.Version
				}
			}
			if !r.Back || r.State.Ended() {
				r.again()
				r.State, r.Back = fleet.StateRollingBack, true
			}
		})
		if err != nil {
			return Turn{}, err
		}
		if err := ct.change(ctx, func(r *ClusterRecord) {
			if key := poolKey(r.ID, name, to); !slices.Contains(r.Pools, key) {
				r.Pools = append(r.Pools, key)
			}
		}); err != nil {
			return Turn{}, err
		}
		turn := Turn{
			State: fleet.StateRollingBack, Reason: strings.TrimSuffix("pool "+name+" moves back to its old nodes: "+rec.Reason, ": "), After: patience,
			Start: []Task{{Rollout: ct.ro.ID, Ring: ct.rec.Ring, Cluster: ct.rec.ID, Pool: name, To: to}},
		}
		return ct.say(ctx, turn, "rollback", name)
	}
	if what, busy := ct.c.Busy(); busy {
		return ct.say(ctx, Turn{State: fleet.StateRollingBack, Reason: "waits: " + what, After: soon}, "await", what)
	}
	turn, cleaned, err := ct.restore(ctx)
	if err != nil || !cleaned {
		return turn, err
	}
	var stuck, stay []string
	for _, key := range ct.rec.Pools {
		switch p := records[key]; {
		case p.State == fleet.StateSucceeded:
			stay = append(stay, p.Name)
		case p.Back && p.State == fleet.StateFailed:
			stuck = append(stuck, p.Reason)
		}
	}
	if len(stuck) > 0 {
		return ct.end(ctx, fleet.StateFailed, strings.Join(stuck, "; ")+"; go on with: liftlock retry")
	}
	reason := "pods are on the old nodes; the control plane stays at " + ct.c.Version.String()
	if ct.rec.RollbackWhy != "" {
		reason = "went back by itself (" + ct.rec.RollbackWhy + "): " + reason
	}
	if len(stay) > 0 {
		reason += "; upgraded before, and staying so: pool " + strings.Join(stay, ", ")
	}
	return ct.end(ctx, fleet.StateRolledBack, reason)
}

// nextBack finds a pool that has to go back: one that is under way, or one whose
// stand-in is there. Those for which there is no way back are left out.
func (ct *clusterTurn) nextBack(records map[string]PoolRecord) (name string, to fleet.Version, found bool) {
	for _, key := range ct.rec.Pools {
		if p := records[key]; p.Name != "" && !p.State.Ended() {
			return p.Name, p.To, true
		}
	}
	for i := range ct.c.Pools {
		name := ct.c.Pools[i].Name
		if plan.StandIn(&ct.c, name) == nil {
			continue
		}
		to := ct.rec.poolHop(name, ct.c.Version)
		if rec := records[poolKey(ct.rec.ID, name, to)]; rec.Back && rec.State == fleet.StateFailed {
			continue
		}
		return name, to, true
	}
	return "", fleet.Version{}, false
}

// poolHop finds the hop on which a pool is, from the pool's record name.
func (r *ClusterRecord) poolHop(pool string, otherwise fleet.Version) fleet.Version {
	for _, key := range r.Pools {
		rest, ok := strings.CutPrefix(key, r.ID+"|"+pool+"|")
		if !ok {
			continue
		}
		if v, err := fleet.ParseVersion(rest); err == nil {
			otherwise = v
		}
	}
	return otherwise
}

// stop ends the cluster where it stands: own cordons, replica counts and
// autoscalers are restored, both pools are kept.
func (ct *clusterTurn) stop(ctx context.Context, state fleet.State, reason string) (Turn, error) {
	open, err := ct.openPools(ctx)
	if err != nil {
		return Turn{}, err
	}
	if len(open) > 0 {
		return ct.say(ctx, Turn{State: fleet.StateWaiting, Reason: "stops when pool " + open[0].Pool + " has reached a safe point", After: soon, Start: open}, "stop", open[0].Pool)
	}
	if what, busy := ct.c.Busy(); busy {
		return ct.say(ctx, Turn{State: fleet.StateWaiting, Reason: "stops at the safe point: " + what, After: soon}, "stop", what)
	}
	turn, cleaned, err := ct.restore(ctx)
	if err != nil || !cleaned {
		return turn, err
	}
	return ct.end(ctx, state, reason)
}

// restore undoes, one thing at a time, what the rollout had changed for its
// own needs. cleaned reports that nothing is left.
func (ct *clusterTurn) restore(ctx context.Context) (turn Turn, cleaned bool, err error) {
	snapshot, err := ct.kube.Snapshot(ctx)
	if err != nil {
		return Turn{}, false, err
	}
	if turn, clean, err := ct.undo(ctx, snapshot); err != nil || !clean {
		return turn, false, err
	}
	for i := range ct.c.Pools {
		p := &ct.c.Pools[i]
		standIn := plan.StandIn(&ct.c, p.Name)
		if standIn == nil {
			continue
		}
		if bounds := plan.Bounds(standIn); bounds != nil && p.Autoscaler == nil {
			turn, err = ct.start(ctx, "setAutoscaler", p.Name, "restores the autoscaler of pool "+p.Name, func() (Operation, error) {
				return ct.Provider.SetAutoscaler(ctx, ct.c, *p, bounds)
			})
			return turn, false, err
		}
	}
	if aside := ct.rec.SetAside; aside != nil && !aside.Of(&ct.c) {
		turn, err = ct.start(ctx, "setChannels", aside.Upgrade+"/"+aside.NodeOS, "restores the automatic upgrade channels", func() (Operation, error) {
			return ct.Provider.SetChannels(ctx, ct.c, aside.Upgrade, aside.NodeOS)
		})
		return turn, false, err
	}
	return Turn{}, true, nil
}

// pastPace reads how long the clusters of all rollouts took.
func (s *Stepper) pastPace(ctx context.Context) ([]plan.Past, error) {
	clusters, err := s.Store.Records(ctx, "", kindCluster)
	if err != nil {
		return nil, fmt.Errorf("read how long earlier clusters took: %w", err)
	}
	var past []plan.Past
	for _, r := range clusters {
		c, err := decode[ClusterRecord](r)
		if err != nil {
			return nil, err
		}
		if c.State == fleet.StateSucceeded && c.EndedAt.After(c.StartedAt) && len(c.Pools) > 0 {
			past = append(past, plan.Past{Size: plan.Size{Nodes: c.Nodes, Minors: c.To.Minor - c.From.Minor}, Took: c.EndedAt.Sub(c.StartedAt)})
		}
	}
	return past, nil
}
