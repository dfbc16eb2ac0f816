package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const (
	testTaskQueue  = "embedded-test"
	testWorkflowID = "embedded-test"
	testSignal     = "go-on"
	testSteps      = 12
)

// climb takes a number of steps, each an activity and a timer, then waits for a
// signal, and returns what all of them added up to.
func climb(ctx workflow.Context, steps int) (int, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Second, // what a kill in the middle costs
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond},
	})
	sum := 0
	for i := 1; i <= steps; i++ {
		var got int
		if err := workflow.ExecuteActivity(ctx, "Step", i).Get(ctx, &got); err != nil {
			return 0, err
		}
		sum += got
		if err := workflow.Sleep(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
	var bonus int
	workflow.GetSignalChannel(ctx, testSignal).Receive(ctx, &bonus)
	return sum + bonus, nil
}

// steps records each step that was taken by a file, since a process does not
// outlive its test.
type steps struct{ dir string }

// Step takes step n.
func (s steps) Step(_ context.Context, n int) (int, error) {
	return n, os.WriteFile(filepath.Join(s.dir, fmt.Sprintf("step-%02d", n)), nil, 0o600)
}

// taken counts the steps that were taken.
func (s steps) taken(t *testing.T) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "step-*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// startWorker runs a worker for climb until the returned function is called.
func startWorker(c client.Client, dir string) (func(), error) {
	w := worker.New(c, testTaskQueue, worker.Options{
		WorkerStopTimeout:            time.Second,
		StickyScheduleToStartTimeout: time.Second, // likewise
	})
	w.RegisterWorkflow(climb)
	w.RegisterActivityWithOptions(steps{dir: dir}.Step, activity.RegisterOptions{Name: "Step"})
	if err := w.Start(); err != nil {
		return nil, err
	}
	return w.Stop, nil
}

// begin starts climb, or finds it running or done from an earlier process.
func begin(ctx context.Context, c client.Client) (client.WorkflowRun, error) {
	return c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                  testWorkflowID,
		TaskQueue:           testTaskQueue,
		WorkflowTaskTimeout: time.Second, // likewise
	}, climb, testSteps)
}

// finish sends the signal and waits for the sum.
func finish(ctx context.Context, c client.Client) (int, error) {
	const bonus = 1000
	if err := c.SignalWorkflow(ctx, testWorkflowID, "", testSignal, bonus); err != nil {
		return 0, err
	}
	var sum int
	err := c.GetWorkflow(ctx, testWorkflowID, "").Get(ctx, &sum)
	return sum, err
}

// wantSum is what climb returns.
const wantSum = testSteps*(testSteps+1)/2 + 1000

// logRecorder is a slog handler that keeps what it is given.
type logRecorder struct {
	mu    sync.Mutex
	lines []string
}

func (l *logRecorder) Enabled(context.Context, slog.Level) bool { return true }

func (l *logRecorder) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

func (l *logRecorder) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *logRecorder) WithGroup(string) slog.Handler      { return l }

func (l *logRecorder) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// mustStart starts an engine that is closed with the test at the latest.
func mustStart(t *testing.T, options Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// mustDial connects a client that is closed with the test.
func mustDial(t *testing.T, s *Server) client.Client {
	t.Helper()
	c, err := s.Dial(t.Context(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// eventually polls until check returns nil, or fails with its last error.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(errors.Join(fmt.Errorf("not within %s", within), err))
		}
		<-ticker.C
	}
}

// quiet is a client's log that says nothing.
func quiet() sdklog.Logger { return sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)) }
