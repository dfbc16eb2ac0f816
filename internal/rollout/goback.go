package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// mendTime is how long what moved may be below what it requires before the
// health gate has failed: a restart of a pod is no failure.
const mendTime = 5 * time.Minute

// gate keeps the old nodes as long as a workload that moved is below what it
// requires: the soak is not over, and nothing is taken from which there is no
// way back. After mendTime a person is asked, or the pool goes back by itself.
func (pt *poolTurn) gate(ctx context.Context, step plan.Step, view plan.PoolView) (Turn, bool, error) {
	standIn := plan.StandIn(&pt.c, pt.pool.Name)
	if pt.rec.Rollback || standIn == nil || step.Kind != plan.StepSoak && !step.PointOfNoReturn {
		return Turn{}, false, nil
	}
	below := pt.below(standIn.Name)
	if len(below) == 0 {
		if pt.pool.BelowAt.IsZero() {
			return Turn{}, false, nil
		}
		return Turn{}, false, pt.keep(ctx, func(r *PoolRecord) { r.BelowAt = time.Time{} })
	}
	if pt.pool.BelowAt.IsZero() {
		if err := pt.keep(ctx, func(r *PoolRecord) { r.BelowAt = pt.now() }); err != nil {
			return Turn{}, false, err
		}
	}
	why := fmt.Sprintf("%s moved and has had fewer pods than it requires since %s", strings.Join(below[:min(3, len(below))], ", "), pt.pool.BelowAt.Format(time.RFC3339))
	failed := pt.now().Sub(pt.pool.BelowAt) >= mendTime
	if failed && pt.mayGoBack(view) {
		turn, err := pt.goBack(ctx, why)
		return turn, true, err
	}
	turn := Turn{State: fleet.StateSoaking, Reason: why + "; the old nodes are kept until it is back", After: soon}
	if failed {
		turn.State = fleet.StateBlocked
		turn.Reason += "; mend it; or accept workload-not-back for it; or roll back"
	}
	turn, err := pt.say(ctx, turn, "soak", standIn.Name)
	return turn, true, err
}

// below lists workloads on a pool's nodes that are below what they require, and
// were not when the evacuation began. Those that an owner accepted are left out.
func (pt *poolTurn) below(pool string) []string {
	before := []string{}
	if ev := pt.pool.Evacuations[pt.pool.Name]; ev != nil {
		before = ev.Below
	}
	return slices.DeleteFunc(evacuate.Below(pt.snapshot, pt.nodesOf(pool)), func(key string) bool {
		return slices.Contains(before, key) || len(pt.judged([]fleet.Finding{{ID: "workload-not-back", Object: key}})[0].AcceptedBy) > 0
	})
}

// mayGoBack reports whether the policy wants a failed evacuation to go back by
// itself, and there is a way back.
func (pt *poolTurn) mayGoBack(view plan.PoolView) bool {
	if pt.policy.Evacuation.OnFailure != fleet.FailureRollsBack || pt.rec.Rollback {
		return false
	}
	view.Rollback = true
	return plan.NextPoolStep(view).Kind != plan.StepRefuse
}

// goBack turns the cluster round, as a person's rollback does.
func (pt *poolTurn) goBack(ctx context.Context, why string) (Turn, error) {
	if err := pt.journal(ctx, fleet.JournalEntry{
		Rollout: pt.ro.ID, Ring: pt.rec.Ring, Cluster: pt.rec.Name, Pool: pt.pool.Name,
		Action: string(VerbRollback), Object: pt.pool.Name, Reason: "evacuation.onFailure is rollback: " + why,
	}); err != nil {
		return Turn{}, err
	}
	if err := pt.keep(ctx, func(r *PoolRecord) {
		r.again()
		r.State, r.Back, r.Reason = fleet.StateRollingBack, true, "goes back by itself: "+why
		r.Spans = enter(r.Spans, "rollback", pt.pool.Name, pt.now())
	}); err != nil {
		return Turn{}, err
	}
	turn := Turn{State: fleet.StateRollingBack, Reason: "goes back by itself: " + why, After: glance}
	return turn, pt.change(ctx, func(r *ClusterRecord) {
		r.Rollback, r.RollbackWhy = true, why
	})
}
