package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"liftlock.dev/liftlock/internal/durable/embedded"
)

const benchQueue = "bench"

// steps is a workflow of that many activities, as a rollout's turns are.
func steps(ctx workflow.Context, n int) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	for range n {
		if err := workflow.ExecuteActivity(ctx, step).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

func step(context.Context) error { return nil }

// engine measures the embedded engine: how soon it answers, what it carries,
// and what it weighs.
func engine(ctx context.Context) (_ []figure, err error) {
	dir, err := os.MkdirTemp("", "liftlock-bench-")
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	began := time.Now()
	server, err := embedded.Start(ctx, embedded.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	conn, err := server.Dial(ctx, client.Options{})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	up := time.Since(began)
	w := worker.New(conn, benchQueue, worker.Options{})
	w.RegisterWorkflow(steps)
	w.RegisterActivity(step)
	if err := w.Start(); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	defer w.Stop()
	const workflows, each = 20, 20
	began = time.Now()
	runs := make([]client.WorkflowRun, workflows)
	for i := range runs {
		if runs[i], err = conn.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: benchQueue}, steps, each); err != nil {
			return nil, fmt.Errorf("engine: %w", err)
		}
	}
	for _, run := range runs {
		if err := run.Get(ctx, nil); err != nil {
			return nil, fmt.Errorf("engine: %w", err)
		}
	}
	rate := workflows * each / time.Since(began).Seconds()
	resident, err := residentMiB()
	if err != nil {
		return nil, err
	}
	return []figure{
		atMost("embedded engine answers after, seconds", up.Seconds(), 5, nil),
		atLeast("steps per second on one SQLite file, 20 workflows", rate, 20, nil),
		atMost("memory of the process with the engine, MiB", resident, 400, nil),
	}, nil
}

// residentMiB reads this process's resident memory from the kernel.
func residentMiB() (float64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("resident memory: /proc/self/status has no VmRSS")
}
