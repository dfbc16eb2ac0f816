package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"liftlock.dev/liftlock/internal/rollout"
)

// TaskQueue is where workers wait for work.
const TaskQueue = "liftlock"

// Engine drives rollouts over a Temporal client.
type Engine struct {
	client client.Client
	worker worker.Worker
}

// New returns an engine on a client. The caller closes the client after the engine.
func New(c client.Client) *Engine { return &Engine{client: c} }

// Work takes part in the work until Close: steps are taken by this process.
func (e *Engine) Work(stepper *rollout.Stepper) error {
	w := worker.New(e.client, TaskQueue, worker.Options{
		MaxConcurrentActivityExecutionSize: maxSteps,
		WorkerStopTimeout:                  stopTimeout,
		StickyScheduleToStartTimeout:       stickyTimeout,
		MaxConcurrentWorkflowTaskPollers:   4,
		MaxConcurrentActivityTaskPollers:   4,
	})
	register(w, stepper)
	if err := w.Start(); err != nil {
		return fmt.Errorf("start the worker: %w", err)
	}
	e.worker = w
	return nil
}

const (
	maxSteps    = 64 // steps at once in one process
	stopTimeout = 20 * time.Second
	// What a killed process had in hand is handed on after these; the server's
	// own defaults are for networks, not for one machine.
	stickyTimeout = 2 * time.Second
)

// registry is what workers and test environments have in common.
type registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
	RegisterActivityWithOptions(a any, options activity.RegisterOptions)
}

func register(r registry, stepper *rollout.Stepper) {
	r.RegisterWorkflowWithOptions(FleetRollout, workflow.RegisterOptions{Name: FleetWorkflowName})
	r.RegisterWorkflowWithOptions(RingRollout, workflow.RegisterOptions{Name: RingWorkflowName})
	r.RegisterWorkflowWithOptions(ClusterUpgrade, workflow.RegisterOptions{Name: ClusterWorkflowName})
	r.RegisterWorkflowWithOptions(PoolUpgrade, workflow.RegisterOptions{Name: PoolWorkflowName})
	steps := &Steps{stepper: stepper}
	r.RegisterActivityWithOptions(steps.Step, activity.RegisterOptions{Name: StepActivityName})
}

// Close stops taking part: steps that run are told to end.
func (e *Engine) Close() {
	if e.worker != nil {
		e.worker.Stop()
	}
}

// Start makes sure that the workflow of a rollout runs.
func (e *Engine) Start(ctx context.Context, id string) error {
	task := rollout.Task{Rollout: id}
	_, err := e.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: task.ID(), TaskQueue: TaskQueue,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowTaskTimeout:      workflowTaskTimeout,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, FleetWorkflowName, Input{Task: task})
	if err != nil {
		return fmt.Errorf("start rollout %s: %w", id, err)
	}
	return nil
}

// Nudge makes every running workflow of a rollout look again at once, so that
// what a person has just asked for is seen. Tasks that do not run are left alone.
func (e *Engine) Nudge(ctx context.Context, tasks ...rollout.Task) error {
	var errs []error
	for _, t := range tasks {
		err := e.client.SignalWorkflow(ctx, t.ID(), "", NudgeSignal, nil)
		if _, gone := errors.AsType[*serviceerror.NotFound](err); err != nil && !gone {
			errs = append(errs, fmt.Errorf("nudge %s: %w", t.ID(), err))
		}
	}
	return errors.Join(errs...)
}

// Steps holds the one activity.
type Steps struct{ stepper *rollout.Stepper }

// heartbeatEvery is well within heartbeatTimeout.
const heartbeatEvery = 2 * time.Second

// Step takes one step. It reports that it lives, so that the step of a process
// that was killed is soon taken by another.
func (s *Steps) Step(ctx context.Context, task rollout.Task) (rollout.Turn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(heartbeatEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				activity.RecordHeartbeat(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	turn, err := s.stepper.Step(ctx, task)
	cancel()
	<-done
	return turn, err
}
