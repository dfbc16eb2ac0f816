package aks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"liftlock.dev/liftlock/sim/fault"
)

// OperationStatus is how a long-running operation stands.
type OperationStatus string

// The statuses of an operation.
const (
	InProgress OperationStatus = "InProgress"
	Succeeded  OperationStatus = "Succeeded"
	Failed     OperationStatus = "Failed"
	Canceled   OperationStatus = "Canceled"
)

// Operation is a long-running operation.
type Operation struct {
	ID           string
	Kind         string // the REST operation's id: "AgentPools_CreateOrUpdate"
	Subscription string
	Location     string
	Cluster      ClusterID
	Pool         string
	Start        time.Time

	// Guarded by Cloud.mu.
	status   OperationStatus
	end      time.Time
	failure  *Error
	aborting bool

	cancel  context.CancelCauseFunc
	done    chan struct{}
	faults  []fault.Fault
	points  sync.Mutex // guards reached while steps run side by side
	reached map[string]bool
}

// OperationView is an operation at one moment.
type OperationView struct {
	ID       string          `json:"name"`
	Kind     string          `json:"kind"`
	Location string          `json:"location"`
	Cluster  string          `json:"cluster"`
	Pool     string          `json:"pool,omitempty"`
	Status   OperationStatus `json:"status"`
	Start    time.Time       `json:"startTime"`
	End      time.Time       `json:"endTime,omitzero"`
	Failure  *Error          `json:"-"`
	Error    string          `json:"error,omitempty"`
	Settled  bool            `json:"-"`
}

// errAborted is the cause with which an abort ends an operation's context.
var errAborted = errors.New("aborted")

// errClosed is the cause with which closing the cloud ends operations.
var errClosed = errors.New("the simulated cloud was closed")

// target says which resource an operation works on; pool is nil for the
// cluster itself.
type target struct {
	cluster *cluster
	pool    *pool
}

func (t target) setState(state string) {
	if t.pool != nil {
		t.pool.state = state
		return
	}
	t.cluster.state = state
}

func (t target) setFailure(failure *Error) {
	if t.pool != nil {
		t.pool.failure = failure
		return
	}
	t.cluster.failure = failure
}

func (t target) setOperation(op *Operation) {
	if t.pool != nil {
		t.pool.op = op
		return
	}
	t.cluster.op = op
}

// begin starts run as a long-running operation. The caller holds c.mu. The
// resource shows state until run ends; then Succeeded, Failed or Canceled. The
// request's context gives its values alone: an operation outlives its request.
func (c *Cloud) begin(ctx context.Context, kind string, on target, state string, run func(ctx context.Context, op *Operation) error) *Operation {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	op := &Operation{
		ID: c.uuid(), Kind: kind, Subscription: on.cluster.id.Subscription, Location: on.cluster.location, Cluster: on.cluster.id,
		Start: c.now().UTC(), status: InProgress, cancel: cancel, done: make(chan struct{}), reached: map[string]bool{},
	}
	if on.pool != nil {
		op.Pool = on.pool.name
	}
	c.operations[op.ID] = op
	on.setState(state)
	on.setFailure(nil)
	on.setOperation(op)
	c.touch(on)
	if c.closed {
		cancel(errClosed)
	}
	op.faults = c.faults.Strike(fault.OperationClass, fault.Call{Operation: kind, Subscription: op.Subscription, Cluster: on.cluster.id.Name, Pool: op.Pool})
	c.running.Add(1)
	c.log.InfoContext(ctx, "operation started", "kind", kind, "cluster", on.cluster.id.Name, "pool", op.Pool, "operation", op.ID)
	go func() {
		defer c.running.Done()
		err := c.reach(ctx, op, "start")
		if err == nil {
			err = run(ctx, op)
		}
		if err == nil {
			err = c.reach(ctx, op, "middle")
		}
		if err == nil {
			err = c.reach(ctx, op, "end")
		}
		c.finish(ctx, op, on, err)
		cancel(nil)
	}()
	return op
}

// reach lets the operation's faults strike at a point of its course.
func (c *Cloud) reach(ctx context.Context, op *Operation, point string) error {
	if op.reached[point] {
		return nil
	}
	op.reached[point] = true
	for _, f := range op.faults {
		switch {
		case f.Effect == fault.OperationSlow && point == "start":
			if err := sleep(ctx, time.Duration(f.Delay)); err != nil {
				return err
			}
		case f.Effect == fault.OperationFails && (f.At == point || f.At == "" && point == "start"):
			message := f.Message
			if message == "" {
				message = fmt.Sprintf("The operation failed (%s).", f.Code)
			}
			return &Error{Code: f.Code, Message: message, Subcode: f.Subcode}
		}
	}
	return nil
}

func (c *Cloud) finish(ctx context.Context, op *Operation, on target, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	op.end = c.now().UTC()
	var failure *Error
	switch {
	case err == nil:
		op.status = Succeeded
		on.setState(stateSucceeded)
	case errors.Is(context.Cause(ctx), errAborted):
		op.status = Canceled
		op.failure = failed("OperationCanceled", "The operation was canceled: it was aborted by request.")
		on.setState(stateCanceled)
	default:
		if !errors.As(err, &failure) {
			failure = failed("InternalOperationError", "Internal server error: %v", err)
		}
		op.status = Failed
		op.failure = failure
		on.setState(stateFailed)
		on.setFailure(failure)
	}
	on.setOperation(nil)
	c.touch(on)
	c.log.InfoContext(ctx, "operation ended", "kind", op.Kind, "cluster", op.Cluster.Name, "pool", op.Pool, "operation", op.ID, "status", string(op.status), "error", err)
	close(op.done)
}

// touch gives a resource a new etag: an operation on a cluster changes those of
// its pools too.
func (c *Cloud) touch(on target) {
	if on.pool != nil {
		on.pool.etag = c.uuid()
		return
	}
	on.cluster.etag = c.uuid()
	for _, p := range on.cluster.pools {
		p.etag = c.uuid()
	}
}

// Operation returns an operation of a subscription by id.
func (c *Cloud) Operation(subscription, id string) (OperationView, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	op, ok := c.operations[id]
	if !ok || !strings.EqualFold(op.Subscription, subscription) {
		return OperationView{}, false
	}
	return op.view(), true
}

func (op *Operation) view() OperationView {
	v := OperationView{
		ID: op.ID, Kind: op.Kind, Location: op.Location, Cluster: op.Cluster.String(), Pool: op.Pool,
		Status: op.status, Start: op.Start, End: op.end, Failure: op.failure, Settled: op.status != InProgress,
	}
	if op.failure != nil {
		v.Error = op.failure.Error()
	}
	return v
}

// Operations returns all operations, oldest first.
func (c *Cloud) Operations() []OperationView {
	c.mu.Lock()
	defer c.mu.Unlock()
	views := make([]OperationView, 0, len(c.operations))
	for _, op := range c.operations {
		views = append(views, op.view())
	}
	slices.SortFunc(views, func(a, b OperationView) int { return a.Start.Compare(b.Start) })
	return views
}

// Busy reports whether any operation is running.
func (c *Cloud) Busy() bool {
	return slices.ContainsFunc(c.Operations(), func(v OperationView) bool { return !v.Settled })
}

// abort ends an operation and returns the operation that does so, which is done
// once the aborted one has stopped. The caller holds c.mu.
func (c *Cloud) abort(ctx context.Context, kind string, on target, victim *Operation) *Operation {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	op := &Operation{
		ID: c.uuid(), Kind: kind, Subscription: victim.Subscription, Location: victim.Location, Cluster: victim.Cluster, Pool: victim.Pool,
		Start: c.now().UTC(), status: InProgress, cancel: cancel, done: make(chan struct{}),
	}
	c.operations[op.ID] = op
	victim.aborting = true
	on.setState(stateCanceling)
	c.touch(on)
	victim.cancel(errAborted)
	c.running.Go(func() {
		defer cancel(nil)
		select {
		case <-victim.done:
		case <-ctx.Done():
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		op.status = Succeeded
		op.end = c.now().UTC()
		close(op.done)
	})
	return op
}

// sleep waits for d or for the context's end, whose cause it then returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
