package rollout

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// actionsAtOnce bounds the calls that one pass makes to an API server at a
// time; priority and fairness there does the rest.
const actionsAtOnce = 16

// carryOut does the actions of a pass side by side, keeps what came of each,
// and journals those that changed something. An API that cannot be asked fails
// the pass: the world is looked at again.
func (pt *poolTurn) carryOut(ctx context.Context, actions []evacuate.Action, outcomes []evacuate.Outcome) error {
	results := outcomes
	if results == nil {
		results = make([]evacuate.Outcome, len(actions))
	}
	// What is done to nodes comes first: pods that are restarted before their
	// old nodes are cordoned would come back to them.
	err := pt.sideBySide(ctx, actions, results, func(a evacuate.Action) bool { return a.Node != "" })
	if err == nil && !slices.ContainsFunc(results, func(o evacuate.Outcome) bool { return o.Result == evacuate.Refused || o.Result == evacuate.Retry }) {
		err = pt.sideBySide(ctx, actions, results, func(a evacuate.Action) bool { return a.Node == "" })
	}
	var done []fleet.JournalEntry
	for i, a := range actions {
		if results[i].Result != evacuate.Done {
			continue
		}
		object := strings.TrimLeft(a.Node+" "+a.Workload+" "+a.Pod, " ")
		done = append(done, fleet.JournalEntry{
			Rollout: pt.ro.ID, Ring: pt.rec.Ring, Cluster: pt.rec.Name, Pool: pt.pool.Name,
			Action: string(a.Kind), Object: strings.TrimSpace(object), Reason: a.Reason,
		})
	}
	// In one write: a pass over a large pool does hundreds of things, and pods
	// wait while each is made durable by itself.
	if jerr := pt.journal(ctx, done...); jerr != nil {
		return jerr
	}
	return err
}

// sideBySide does those actions that are wanted.
func (pt *poolTurn) sideBySide(ctx context.Context, actions []evacuate.Action, results []evacuate.Outcome, wanted func(evacuate.Action) bool) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(actionsAtOnce)
	for i, a := range actions {
		if !wanted(a) {
			continue
		}
		group.Go(func() error {
			outcome, err := pt.kube.Do(gctx, pt.ro.ID, a)
			results[i] = outcome
			return err
		})
	}
	return group.Wait()
}
