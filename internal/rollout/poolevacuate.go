package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// evacuationInput is what the decisions about moving pods off a pool look at.
func (pt *poolTurn) evacuationInput(leaving, receiving string) evacuate.Input {
	in := evacuate.Input{
		Snapshot: pt.snapshot, Leaving: pt.nodesOf(leaving), Rollout: pt.ro.ID,
		Policy: pt.policy.Evacuation, Pace: pt.policy.Pace, AcceptedOutages: map[string]bool{},
		Back: pt.rec.Rollback,
	}
	if ev := pt.pool.Evacuations[leaving]; ev != nil {
		in.Memory, in.Outcomes = ev.Memory, ev.Outcomes
	}
	if receiving != "" {
		in.Receiving = pt.nodesOf(receiving)
	}
	for _, f := range pt.rec.Findings {
		if f.AcceptedBy != "" {
			in.AcceptedOutages[evacuate.AcceptKey(f)] = true
		}
	}
	// Pools that are still old come later: nothing should move to them only to
	// move again. On the way back no turn comes any more.
	if pt.rec.Rollback {
		return in
	}
	for i := range pt.c.Pools {
		p := &pt.c.Pools[i]
		if p.Version.Less(pt.pool.To) && !strings.EqualFold(p.Name, leaving) && !strings.EqualFold(p.Name, receiving) {
			in.Later = append(in.Later, pt.nodesOf(p.Name)...)
		}
	}
	return in
}

// emptied reports whether nothing is left to move on a pool's nodes.
func (pt *poolTurn) emptied(pool string) bool {
	in := pt.evacuationInput(pool, "")
	if len(in.Leaving) == 0 {
		return true
	}
	in.Later = nil // marks that other nodes lack are nothing that is left to move
	for _, n := range pt.snapshot.Nodes {
		if slices.Contains(in.Leaving, n.Name) && !n.Unschedulable {
			return false
		}
	}
	pass := evacuate.Next(in)
	return pass.Status == evacuate.StatusDone
}

// unseen is how long passes of an evacuation may be apart; what lies between is
// no standstill of the pods.
const unseen = 2 * time.Minute

// evacuate carries out the next pass of an evacuation.
func (pt *poolTurn) evacuate(ctx context.Context, step plan.Step, view plan.PoolView) (Turn, error) {
	in := pt.evacuationInput(step.Target, step.Receiving)
	if step.Nodes != nil {
		in.Leaving, in.Closing = step.Nodes, without(in.Leaving, step.Nodes)
	}
	ev := &Evacuation{StartedAt: pt.now(), Below: evacuate.Below(pt.snapshot, pt.nodesOf(step.Target))}
	if known := pt.pool.Evacuations[step.Target]; known != nil {
		ev = known
	}
	if why := pt.hold(); why != "" && !pt.rec.Rollback {
		in.Hold = why
	}
	if pt.now().Sub(ev.SeenAt) > unseen {
		in.Memory.LastProgress = pt.now()
	}
	ev.SeenAt = pt.now()
	pass := evacuate.Next(in)
	outcomes := make([]evacuate.Outcome, len(pass.Actions))
	pace := newAPIPace(ev.AtOnce)
	if err := pt.carryOut(ctx, pace, pass.Actions, outcomes); err != nil {
		return Turn{}, err
	}
	ev.AtOnce = pace.limit
	ev.Memory, ev.Outcomes, ev.Reason = pass.Memory, outcomes, pass.Reason
	ev.Total, ev.Moved = max(ev.Total, pass.Total), pass.Moved
	ev.Replacements = pt.replacements(ev)
	ev.Findings = pt.judged(pass.Findings)
	turn := Turn{State: fleet.StateRunning, Reason: pass.Reason, After: glance}
	switch pass.Status {
	case evacuate.StatusBlocked:
		turn.State, turn.After = fleet.StateBlocked, soon
	case evacuate.StatusWaiting:
		turn.State, turn.After = fleet.StateWaiting, time.Second
	case evacuate.StatusHolding:
		turn.State, turn.After = fleet.StatePaused, patience // nothing is in motion, and a resume nudges
	case evacuate.StatusMoving, evacuate.StatusDone:
	}
	turn.After = max(turn.After, pressed(outcomes))
	if pt.rec.Rollback && turn.State == fleet.StateRunning {
		turn.State = fleet.StateRollingBack
	}
	if progress := pass.Memory.LastProgress; pt.policy.Evacuation.Timeout > 0 && in.Hold == "" && !progress.IsZero() && pt.now().Sub(progress) > pt.policy.Evacuation.Timeout {
		why := fmt.Sprintf("no pod has moved for %s: %s", pt.policy.Evacuation.Timeout, pass.Reason)
		if pt.mayGoBack(view) {
			return pt.goBack(ctx, why)
		}
		return pt.end(ctx, fleet.StateFailed, why)
	}
	if len(pass.NotBack) > 0 && pt.mayGoBack(view) {
		return pt.goBack(ctx, pass.Reason)
	}
	return turn, pt.keep(ctx, func(r *PoolRecord) {
		r.State, r.Reason, r.Attempts, r.Failures = turn.State, turn.Reason, 0, 0
		if r.Evacuations == nil {
			r.Evacuations = map[string]*Evacuation{}
		}
		r.Evacuations[step.Target] = ev
		r.Spans = enter(r.Spans, "evacuate", step.Target, pt.now())
	})
}

// replacements adds the pods that were made since the evacuation began for
// workloads whose pods move. DaemonSets and Jobs are not moved.
func (pt *poolTurn) replacements(ev *Evacuation) []string {
	seen := map[string]bool{}
	for _, uid := range ev.Replacements {
		seen[uid] = true
	}
	for _, p := range pt.snapshot.Pods {
		kind, _, _ := strings.Cut(p.Workload, "/")
		moves := p.Workload != "" && kind != string(fleet.DaemonSet) && kind != string(fleet.Job)
		if moves && p.CreatedAt.After(ev.StartedAt) {
			seen[shortUID(p.UID)] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
