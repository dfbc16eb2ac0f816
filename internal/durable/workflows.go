package durable

import (
	"errors"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"liftlock.dev/liftlock/internal/rollout"
)

// The names under which workflows and the activity are registered. They are
// part of histories: never change one.
const (
	FleetWorkflowName   = "FleetRollout"
	RingWorkflowName    = "RingRollout"
	ClusterWorkflowName = "ClusterUpgrade"
	PoolWorkflowName    = "PoolUpgrade"
	StepActivityName    = "Step"
	// NudgeSignal makes a workflow look again at once.
	NudgeSignal = "nudge"
)

// Input is what a workflow starts with, and what it carries over when its
// history has grown long.
type Input struct {
	Task rollout.Task `json:"task"`
	// Parent is nudged when this workflow ends; "" for none.
	Parent string `json:"parent,omitempty"`
}

// Outcome is how a workflow ended.
type Outcome struct {
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// FleetRollout runs one rollout of a whole fleet.
func FleetRollout(ctx workflow.Context, in Input) (Outcome, error) { return turns(ctx, in) }

// RingRollout runs one ring of a rollout.
func RingRollout(ctx workflow.Context, in Input) (Outcome, error) { return turns(ctx, in) }

// ClusterUpgrade runs one cluster of a rollout.
func ClusterUpgrade(ctx workflow.Context, in Input) (Outcome, error) { return turns(ctx, in) }

// PoolUpgrade runs one pool on one hop.
func PoolUpgrade(ctx workflow.Context, in Input) (Outcome, error) { return turns(ctx, in) }

// How long a step may take, and how soon a step of a killed process is noticed.
const (
	stepTimeout      = 10 * time.Minute
	heartbeatTimeout = 10 * time.Second
	// workflowTaskTimeout bounds how long the decisions of a killed process are waited for.
	workflowTaskTimeout = 5 * time.Second
	retryFirst          = time.Second
	retryMost           = 30 * time.Second
	// maxTurns is where a workflow carries itself over, beside the server's own
	// suggestion: a turn is about 12 events, and the limit is 51,200.
	maxTurns = 1000
)

// turns takes one step after the other until the task has ended.
func turns(ctx workflow.Context, in Input) (Outcome, error) {
	stepCtx := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: stepTimeout,
		HeartbeatTimeout:    heartbeatTimeout,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: retryFirst, BackoffCoefficient: 2, MaximumInterval: retryMost,
		},
	})
	nudges := workflow.GetSignalChannel(ctx, NudgeSignal)
	running := map[string]bool{}
	ended := workflow.NewBufferedChannel(ctx, 1)
	for range maxTurns {
		drain(nudges)
		var turn rollout.Turn
		if err := workflow.ExecuteActivity(stepCtx, StepActivityName, in.Task).Get(ctx, &turn); err != nil {
			return Outcome{}, err
		}
		if turn.Ended {
			nudgeParent(ctx, in.Parent)
			return Outcome{State: string(turn.State), Reason: turn.Reason}, nil
		}
		in.Task.Op, in.Task.Polls = turn.Op, turn.Polls
		for _, child := range turn.Start {
			startChild(ctx, child, running, ended)
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			break
		}
		if turn.After > 0 {
			wait(ctx, turn.After, nudges, ended)
		}
	}
	drain(nudges) // a nudge only asks for another look, and the next run begins with one
	return Outcome{}, workflow.NewContinueAsNewError(ctx, workflow.GetInfo(ctx).WorkflowType.Name, in)
}

// wait blocks for a duration, or until a nudge or the end of a child.
func wait(ctx workflow.Context, after time.Duration, nudges workflow.ReceiveChannel, ended workflow.Channel) {
	timerCtx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	workflow.NewSelector(ctx).
		AddFuture(workflow.NewTimer(timerCtx, after), func(workflow.Future) {}).
		AddReceive(nudges, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) }).
		AddReceive(ended, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) }).
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {}).
		Select(ctx)
}

func drain(nudges workflow.ReceiveChannel) {
	for nudges.ReceiveAsync(nil) {
	}
}

// startChild starts the workflow of a task unless it runs already, started by
// this run or by one that this run continues.
func startChild(ctx workflow.Context, task rollout.Task, running map[string]bool, ended workflow.Channel) {
	id := task.ID()
	if running[id] {
		return
	}
	running[id] = true
	childCtx := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            id,
		WorkflowTaskTimeout:   workflowTaskTimeout,
		ParentClosePolicy:     enums.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	})
	future := workflow.ExecuteChildWorkflow(childCtx, workflowFor(task), Input{Task: task, Parent: workflow.GetInfo(ctx).WorkflowExecution.ID})
	workflow.Go(ctx, func(ctx workflow.Context) {
		err := future.Get(ctx, nil)
		delete(running, id)
		if already := (*temporal.ChildWorkflowExecutionAlreadyStartedError)(nil); errors.As(err, &already) {
			return // it nudges us when it ends; the next turn asks for it again
		}
		ended.SendAsync(true)
	})
}

func workflowFor(task rollout.Task) string {
	switch {
	case task.Pool != "":
		return PoolWorkflowName
	case task.Cluster != "":
		return ClusterWorkflowName
	case task.Ring != "":
		return RingWorkflowName
	}
	return FleetWorkflowName
}

// nudgeParent makes the parent look again; a parent that is gone needs no nudge.
func nudgeParent(ctx workflow.Context, parent string) {
	if parent == "" {
		return
	}
	_ = workflow.SignalExternalWorkflow(ctx, parent, "", NudgeSignal, nil).Get(ctx, nil)
}
