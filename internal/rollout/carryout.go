package rollout

import (
	"context"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// carryOut does the actions of a pass side by side, keeps what came of each,
// and journals those that changed something. An API that cannot be asked fails
// the pass: the world is looked at again. pace is how many may be under way.
func (pt *poolTurn) carryOut(ctx context.Context, pace *apiPace, actions []evacuate.Action, outcomes []evacuate.Outcome) error {
	results := outcomes
	if results == nil {
		results = make([]evacuate.Outcome, len(actions))
	}
	// What is done to nodes comes first: pods that are restarted before their
	// old nodes are cordoned would come back to them.
	err := pt.sideBySide(ctx, pace, actions, results, func(a evacuate.Action) bool { return a.Pod == "" && a.Node != "" })
	if err == nil && !slices.ContainsFunc(results, func(o evacuate.Outcome) bool { return o.Result == evacuate.Refused || o.Result == evacuate.Retry }) {
		err = pt.sideBySide(ctx, pace, actions, results, func(a evacuate.Action) bool { return a.Pod != "" || a.Node == "" })
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
func (pt *poolTurn) sideBySide(ctx context.Context, pace *apiPace, actions []evacuate.Action, results []evacuate.Outcome, wanted func(evacuate.Action) bool) error {
	var chosen []int
	for i, a := range actions {
		if wanted(a) {
			chosen = append(chosen, i)
		}
	}
	return pace.each(ctx, chosen, results, func(ctx context.Context, i int) (evacuate.Outcome, error) {
		return pt.kube.Do(ctx, pt.ro.ID, actions[i])
	})
}

// pressed is how long the API server asked to be left alone for.
func pressed(outcomes []evacuate.Outcome) time.Duration {
	longest := time.Duration(0)
	for _, o := range outcomes {
		longest = max(longest, o.RetryAfter)
	}
	return min(longest, patience)
}
