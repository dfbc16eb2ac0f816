package traffic

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

const rolloutID = "traffic"

// evacuation moves the pods of one pool to another as package rollout does it,
// at full pace: look, decide, act, look again.
type evacuation struct {
	cluster rollout.Kubernetes
	in      evacuate.Input
	seen    map[string]bool // pods that had to go, by uid
}

// evacuate runs an evacuation to its end, and returns how many pods had to move.
func (w *world) evacuate(t *testing.T, leaving, receiving string) int {
	t.Helper()
	ctx := t.Context()
	connector := kube.NewConnector(kube.Options{
		Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) { return w.plane.Kubeconfig(), nil },
	})
	cluster, err := connector.Connect(ctx, fleet.Cluster{
		ID: "traffic", Name: "traffic", Subscription: subscription, NodeResourceGroup: resourceGroup,
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.AcquireLease(ctx, rolloutID, time.Hour, nil); err != nil {
		t.Fatal(err)
	}
	e := &evacuation{cluster: cluster, seen: map[string]bool{}, in: evacuate.Input{
		Leaving: w.pool(leaving), Receiving: w.pool(receiving), Rollout: rolloutID,
		Policy: fleet.EvacuationPolicy{
			BarePods: "refuse", LocalData: "refuse", JobsAfter: "refuse", MaxSurge: fleet.Amount{Percent: 100}, Timeout: 2 * time.Minute,
		},
		Pace: fleet.Pace{MaxInMotion: fleet.Amount{Percent: 100}},
	}}
	last := ""
	// As often as a rollout looks.
	if err := pollEvery(ctx, 500*time.Millisecond, 4*time.Minute, "the nodes of "+leaving+" are empty", func() error {
		pass, err := e.pass(ctx)
		if err != nil {
			return err
		}
		if pass.Reason != last {
			t.Logf("%s: %s", pass.Status, pass.Reason)
			last = pass.Reason
		}
		switch pass.Status {
		case evacuate.StatusDone:
			return nil
		case evacuate.StatusBlocked:
			return stop{fmt.Errorf("blocked: %s: %+v", pass.Reason, pass.Findings)}
		case evacuate.StatusMoving, evacuate.StatusWaiting, evacuate.StatusHolding:
		}
		return fmt.Errorf("%s: %s", pass.Status, pass.Reason)
	}); err != nil {
		t.Fatal(err)
	}
	if err := cluster.ReleaseLease(ctx, rolloutID); err != nil {
		t.Error(err)
	}
	return len(e.seen)
}

// pass observes, decides and acts once.
func (e *evacuation) pass(ctx context.Context) (evacuate.Pass, error) {
	var err error
	if e.in.Snapshot, err = e.cluster.Snapshot(ctx); err != nil {
		return evacuate.Pass{}, err
	}
	pass := evacuate.Next(e.in)
	for _, v := range pass.Verdicts {
		e.seen[v.UID] = true
	}
	outcomes := make([]evacuate.Outcome, len(pass.Actions))
	// What is done to nodes comes first, and the rest only if that was done.
	err = e.act(ctx, pass.Actions, outcomes, true)
	if err == nil && !slices.ContainsFunc(outcomes, func(o evacuate.Outcome) bool {
		return o.Result == evacuate.Refused || o.Result == evacuate.Retry
	}) {
		err = e.act(ctx, pass.Actions, outcomes, false)
	}
	e.in.Memory, e.in.Outcomes = pass.Memory, outcomes
	return pass, err
}

// act carries out those actions that are, or are not, on nodes.
func (e *evacuation) act(ctx context.Context, actions []evacuate.Action, outcomes []evacuate.Outcome, onNodes bool) error {
	var group errgroup.Group
	group.SetLimit(16)
	for i, a := range actions {
		if (a.Node != "") != onNodes {
			continue
		}
		group.Go(func() (err error) {
			outcomes[i], err = e.cluster.Do(ctx, rolloutID, a)
			return err
		})
	}
	return group.Wait()
}
