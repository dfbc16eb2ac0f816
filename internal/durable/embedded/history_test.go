package embedded

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protojson"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/durable"
	"liftlock.dev/liftlock/internal/rollout"
)

var keepHistories = flag.Bool("update", false, "keep the histories of this run for replay, beside those of earlier ones")

// acts are steps without a world: every task has its parts, and ends when they
// have.
type acts struct {
	mu    sync.Mutex
	turns map[string]int
	ended map[string]bool
}

var parts = map[string]rollout.Task{
	"liftlock:shop-1":             {Rollout: "shop-1", Ring: "prod"},
	"liftlock:shop-1:prod":        {Rollout: "shop-1", Ring: "prod", Cluster: "/c/one"},
	"liftlock:shop-1:prod:/c/one": {Rollout: "shop-1", Ring: "prod", Cluster: "/c/one", Pool: "apps", To: fleet.MustParseVersion("1.35.4")},
}

// Step is the activity.
func (a *acts) Step(_ context.Context, t rollout.Task) (rollout.Turn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := t.ID()
	a.turns[id]++
	part, whole := parts[id]
	switch {
	case whole && a.ended[part.ID()], !whole && a.turns[id] > 3:
		a.ended[id] = true
		return rollout.Turn{State: fleet.StateSucceeded, Reason: "done", Ended: true}, nil
	case whole:
		return rollout.Turn{State: fleet.StateRunning, After: time.Minute, Start: []rollout.Task{part}}, nil
	}
	return rollout.Turn{State: fleet.StateRunning, After: 10 * time.Millisecond, Op: rollout.Operation{Kind: "createPool", Token: "t"}, Polls: a.turns[id]}, nil
}

// TestHistories runs the workflows of a rollout on the real server: parts nudge
// the whole, so that it does not wait out its minute. With -update it keeps what
// the server recorded, for replay.
func TestHistories(t *testing.T) {
	s, err := Start(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	c, err := s.Dial(t.Context(), client.Options{Identity: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := worker.New(c, durable.TaskQueue, worker.Options{})
	for name, f := range map[string]any{
		durable.FleetWorkflowName: durable.FleetRollout, durable.RingWorkflowName: durable.RingRollout,
		durable.ClusterWorkflowName: durable.ClusterUpgrade, durable.PoolWorkflowName: durable.PoolUpgrade,
	} {
		w.RegisterWorkflowWithOptions(f, workflow.RegisterOptions{Name: name})
	}
	a := &acts{turns: map[string]int{}, ended: map[string]bool{}}
	w.RegisterActivityWithOptions(a.Step, activity.RegisterOptions{Name: durable.StepActivityName})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	began := time.Now()
	if err := durable.New(c).Start(t.Context(), "shop-1"); err != nil {
		t.Fatal(err)
	}
	var out durable.Outcome
	if err := c.GetWorkflow(t.Context(), "liftlock:shop-1", "").Get(t.Context(), &out); err != nil || out.State != "Succeeded" {
		t.Fatalf("%+v, %v", out, err)
	}
	if took := time.Since(began); took > 50*time.Second {
		t.Errorf("took %s: nobody was nudged", took)
	}
	if !*keepHistories {
		return
	}
	for id, name := range map[string]string{
		"liftlock:shop-1": "fleet", "liftlock:shop-1:prod": "ring", "liftlock:shop-1:prod:/c/one": "cluster", "liftlock:shop-1:prod:/c/one:apps:1.35.4": "pool",
	} {
		keep(t, c, id, filepath.Join("..", "testdata", "histories", name+"-"+time.Now().UTC().Format("20060102")+".json"))
	}
}

// keep writes what the server recorded of a workflow.
func keep(t *testing.T, c client.Client, id, path string) {
	t.Helper()
	var h history.History
	for events := c.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		e, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		h.Events = append(h.Events, e)
	}
	text, err := protojson.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}
