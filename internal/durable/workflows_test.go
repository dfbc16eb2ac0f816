package durable

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// script stands in for the steps: it says what each turn of each task returns,
// and remembers when it was asked.
type script struct {
	env  *testsuite.TestWorkflowEnvironment
	turn func(t rollout.Task, n int) (rollout.Turn, error)

	mu    sync.Mutex
	asked map[string][]time.Time
	tasks map[string][]rollout.Task
}

func (s *script) Step(_ context.Context, t rollout.Task) (rollout.Turn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := t.ID()
	s.asked[id] = append(s.asked[id], s.env.Now())
	s.tasks[id] = append(s.tasks[id], t)
	return s.turn(t, len(s.asked[id]))
}

// times is how often a task's step was taken.
func (s *script) times(t rollout.Task) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked[t.ID()])
}

// play makes an environment in which timers take no time.
func play(t *testing.T, turn func(t rollout.Task, n int) (rollout.Turn, error)) (*testsuite.TestWorkflowEnvironment, *script) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	s := &script{env: env, turn: turn, asked: map[string][]time.Time{}, tasks: map[string][]rollout.Task{}}
	for name, w := range map[string]any{
		FleetWorkflowName: FleetRollout, RingWorkflowName: RingRollout, ClusterWorkflowName: ClusterUpgrade, PoolWorkflowName: PoolUpgrade,
	} {
		env.RegisterWorkflowWithOptions(w, workflow.RegisterOptions{Name: name})
	}
	env.RegisterActivityWithOptions(s.Step, activity.RegisterOptions{Name: StepActivityName})
	env.SetTestTimeout(time.Minute)
	return env, s
}

var (
	fleetTask   = rollout.Task{Rollout: "shop-1"}
	ringTask    = rollout.Task{Rollout: "shop-1", Ring: "prod"}
	clusterTask = rollout.Task{Rollout: "shop-1", Ring: "prod", Cluster: "/c/one"}
	poolTask    = rollout.Task{Rollout: "shop-1", Ring: "prod", Cluster: "/c/one", Pool: "apps", To: fleet.MustParseVersion("1.35.4")}
)

// TestAMonth: a rollout that waits for its window, soaks for weeks and moves pods
// in between takes no time here, looks no more often than its turns say, and
// starts each of its parts once.
func TestAMonth(t *testing.T) {
	const day = 24 * time.Hour
	ended := map[string]bool{}
	env, s := play(t, func(task rollout.Task, n int) (rollout.Turn, error) {
		end := func(more rollout.Turn, over bool) (rollout.Turn, error) {
			if over {
				ended[task.ID()] = true
				return rollout.Turn{State: fleet.StateSucceeded, Reason: "done", Ended: true}, nil
			}
			more.State = fleet.StateRunning
			return more, nil
		}
		switch task.ID() {
		case fleetTask.ID():
			return end(rollout.Turn{After: day, Start: []rollout.Task{ringTask}}, ended[ringTask.ID()])
		case ringTask.ID():
			// Seven days until the window opens, then a cluster, then three weeks of soak.
			if n <= 7 {
				return rollout.Turn{State: fleet.StateWaiting, After: day}, nil
			}
			if !ended[clusterTask.ID()] {
				return rollout.Turn{State: fleet.StateRunning, After: day, Start: []rollout.Task{clusterTask}}, nil
			}
			return end(rollout.Turn{After: day}, s30(n))
		case clusterTask.ID():
			return end(rollout.Turn{After: time.Hour, Start: []rollout.Task{poolTask}}, ended[poolTask.ID()])
		}
		return end(rollout.Turn{After: time.Second}, n > 20)
	})
	began := time.Now()
	from := env.Now()
	env.ExecuteWorkflow(FleetWorkflowName, Input{Task: fleetTask})
	if err := env.GetWorkflowError(); err != nil || !env.IsWorkflowCompleted() {
		t.Fatalf("ended %t: %v", env.IsWorkflowCompleted(), err)
	}
	var out Outcome
	if err := env.GetWorkflowResult(&out); err != nil || out != (Outcome{State: "Succeeded", Reason: "done"}) {
		t.Errorf("%+v, %v", out, err)
	}
	if took := env.Now().Sub(from); took < 27*day || took > 33*day {
		t.Errorf("took %s on the rollout's clock", took)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s on the wall's", took)
	}
	for task, most := range map[rollout.Task]int{fleetTask: 40, ringTask: 40, clusterTask: 5, poolTask: 21} {
		if n := s.times(task); n == 0 || n > most {
			t.Errorf("task %s looked %d times, at most %d are needed", task.ID(), n, most)
		}
	}
}

// s30 ends a ring's soak on its thirtieth look.
func s30(n int) bool { return n >= 30 }

// TestNudge: what a person asks is seen at once, not when the turn's time is up.
func TestNudge(t *testing.T) {
	env, s := play(t, func(_ rollout.Task, n int) (rollout.Turn, error) {
		return rollout.Turn{State: fleet.StatePaused, After: 24 * time.Hour, Ended: n == 3}, nil
	})
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(NudgeSignal, nil) }, time.Minute)
	from := env.Now()
	env.ExecuteWorkflow(PoolWorkflowName, Input{Task: poolTask})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	looks := s.asked[poolTask.ID()]
	if len(looks) != 3 {
		t.Fatalf("looked at %v", looks)
	}
	if at := looks[1].Sub(from); at < time.Minute || at > 2*time.Minute {
		t.Errorf("the nudge after a minute was seen after %s", at)
	}
	if at := looks[2].Sub(looks[1]); at < 24*time.Hour {
		t.Errorf("one nudge made it look twice, %s apart", at)
	}
}

// TestStepsThatFail are taken again, and nothing is lost of the operation that
// was under way.
func TestStepsThatFail(t *testing.T) {
	env, s := play(t, func(_ rollout.Task, n int) (rollout.Turn, error) {
		switch n {
		case 1:
			return rollout.Turn{State: fleet.StateRunning, After: time.Second, Op: rollout.Operation{Kind: "createPool", Token: "t"}, Polls: 4}, nil
		case 2, 3, 4:
			return rollout.Turn{}, errors.New("the store is away")
		}
		return rollout.Turn{State: fleet.StateSucceeded, Ended: true}, nil
	})
	env.ExecuteWorkflow(PoolWorkflowName, Input{Task: poolTask})
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	tasks := s.tasks[poolTask.ID()]
	if len(tasks) != 5 {
		t.Fatalf("%d steps, want 5", len(tasks))
	}
	for i, task := range tasks[1:] {
		if task.Op.Token != "t" || task.Polls != 4 {
			t.Errorf("step %d knows of operation %+v, polled %d times", i+2, task.Op, task.Polls)
		}
	}
}

// TestCarriesOver: a long task goes on in a new run with all that it must know.
func TestCarriesOver(t *testing.T) {
	env, s := play(t, func(_ rollout.Task, n int) (rollout.Turn, error) {
		return rollout.Turn{State: fleet.StateRunning, After: time.Second, Op: rollout.Operation{Kind: "upgradePool", Token: "t"}, Polls: n}, nil
	})
	env.ExecuteWorkflow(PoolWorkflowName, Input{Task: poolTask, Parent: "liftlock:shop-1:prod:/c/one"})
	again, ok := errors.AsType[*workflow.ContinueAsNewError](env.GetWorkflowError())
	if !ok {
		t.Fatalf("ended with %v", env.GetWorkflowError())
	}
	if again.WorkflowType.Name != PoolWorkflowName {
		t.Errorf("goes on as %s", again.WorkflowType.Name)
	}
	var carried Input
	if err := converter.GetDefaultDataConverter().FromPayloads(again.Input, &carried); err != nil {
		t.Fatal(err)
	}
	want := Input{Task: poolTask, Parent: "liftlock:shop-1:prod:/c/one"}
	want.Task.Op, want.Task.Polls = rollout.Operation{Kind: "upgradePool", Token: "t"}, maxTurns
	if carried != want {
		t.Errorf("carries %+v, want %+v", carried, want)
	}
	if n := s.times(poolTask); n != maxTurns {
		t.Errorf("after %d turns", n)
	}
}
