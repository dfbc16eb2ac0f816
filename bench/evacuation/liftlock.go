package evacuation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/adapter/sqlite"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// liftlock runs a rollout of one cluster's one pool: the product's own steps, on
// its own adapters for API servers and for the store. What is left out is
// Temporal, which adds some milliseconds to a step: the steps are called by a
// loop instead. rounds, if given, is filled with the pods of the nodes that are
// given up together.
func liftlock(nodes fleet.NodePolicy, rounds *[]round) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) (err error) {
		dir, err := os.MkdirTemp("", "liftlock-bench-")
		if err != nil {
			return fmt.Errorf("state folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		store, err := sqlite.Open(ctx, filepath.Join(dir, sqlite.FileName))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()

		// It is done when it deletes the pool that it has emptied.
		goes := map[fleet.Strategy]string{fleet.BlueGreen: poolName, fleet.Buffer: poolName + "b"}[nodes.Strategy]
		batches, err := newBatches(ctx, b)
		if err != nil {
			return err
		}
		life, end := context.WithCancelCause(ctx)
		defer end(nil)
		cloud, err := newProvider(life, b, func(pool string) {
			if pool != goes {
				end(fmt.Errorf("it deletes pool %s, not %s", pool, goes))
				return
			}
			if left := b.recorder.left(onPool(pool)); left != "" {
				end(fmt.Errorf("it deletes pool %s, but there are %s", pool, left))
				return
			}
			end(errDone)
		}, func(names []string) {
			if there := b.recorder.there(names); there != "" {
				end(fmt.Errorf("it removes nodes, but there are %s", there))
			}
			batches.gone(names)
		})
		if err != nil {
			return err
		}
		defer cloud.work.Wait()
		defer end(nil)
		err = b.rollOut(life, store, cloud, nodes)
		if rounds != nil {
			*rounds = batches.rounds()
		}
		if !errors.Is(context.Cause(life), errDone) {
			return errors.Join(err, context.Cause(life))
		}
		return nil
	}
}

var errDone = errors.New("the pods have moved")

// rollOut starts the rollout and takes its steps until life ends.
func (b *bed) rollOut(life context.Context, store *sqlite.File, cloud *provider, nodes fleet.NodePolicy) error {
	log := slog.New(slog.DiscardHandler)
	connector := kube.NewConnector(kube.Options{
		Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) { return b.kubeconfig, nil }, Logger: log,
	})
	watcher := rollout.NewWatcher(life, store, time.Now, log)
	defer watcher.Close()
	stepper := &rollout.Stepper{
		Reach: func(context.Context, *fleet.Spec) (rollout.Reach, error) {
			return rollout.Reach{Provider: cloud, Connector: connector}, nil
		},
		Store: store, Ledger: store, Journal: store, Watcher: watcher, Holder: "bench", Clock: time.Now, Log: log,
	}
	ro, _, _, err := stepper.Start(life, fleetFile(nodes), "bench")
	if err != nil {
		return err
	}
	if ro.ID == "" {
		return errors.New("the rollout finds nothing to do")
	}
	return newEngine(stepper).run(life, rollout.Task{Rollout: ro.ID})
}

// fullPace is a node policy without brakes. surge is how far workloads may be
// raised; zero for as far as their own strategies do.
func fullPace(how fleet.Strategy, surge fleet.Amount) fleet.NodePolicy {
	return fleet.NodePolicy{
		Strategy: how, Pace: fleet.Pace{MaxInMotion: fleet.Amount{Percent: 100}, HealthPasses: 1},
		Evacuation: fleet.EvacuationPolicy{
			BarePods: "refuse", LocalData: "refuse", JobWait: time.Hour, JobsAfter: "refuse", MaxSurge: surge, Timeout: 10 * time.Minute,
		},
	}
}

// fleetFile is a Fleet file for the one cluster.
func fleetFile(nodes fleet.NodePolicy) rollout.FleetFile {
	spec := fleet.Spec{
		Name: "bench", Digest: "bench", Target: fleet.Target{Channel: fleet.ChannelNodeImage}, Channels: fleet.ChannelsReport,
		Rings: []fleet.Ring{{Name: "all", Select: fleet.Selector{Names: []string{"*"}}, OnClose: fleet.FinishWave, Concurrency: fleet.Amount{Count: 1}}},
		Nodes: nodes,
	}
	return rollout.FleetFile{Digest: spec.Digest, Source: []byte("bench"), Spec: spec}
}

// engine calls steps as the product's workflows do: each task again when its
// turn says so, or when a task that it started has ended.
type engine struct {
	stepper *rollout.Stepper
	mu      sync.Mutex
	nudges  map[string]chan struct{}
	work    sync.WaitGroup
	failed  error
}

func newEngine(s *rollout.Stepper) *engine {
	return &engine{stepper: s, nudges: map[string]chan struct{}{}}
}

// run takes the steps of a task, and of those that it starts, until they have
// ended or life has.
func (e *engine) run(life context.Context, t rollout.Task) error {
	e.start(life, t, "")
	e.work.Wait()
	return e.failed
}

// start runs a task beside its parent, unless it runs already.
func (e *engine) start(life context.Context, t rollout.Task, parent string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.nudges[t.ID()] != nil {
		return
	}
	nudge := make(chan struct{}, 1)
	e.nudges[t.ID()] = nudge
	e.work.Go(func() {
		err := e.take(life, t, nudge)
		e.mu.Lock()
		defer e.mu.Unlock()
		if err != nil && life.Err() == nil {
			e.failed = errors.Join(e.failed, err)
		}
		delete(e.nudges, t.ID())
		select {
		case e.nudges[parent] <- struct{}{}:
		default:
		}
	})
}

// take takes one task's steps.
func (e *engine) take(life context.Context, t rollout.Task, nudge <-chan struct{}) error {
	const patience = 10 // failed steps in a row
	for failures := 0; ; {
		turn, err := e.stepper.Step(life, t)
		switch {
		case life.Err() != nil:
			return nil //nolint:nilerr // it has lived long enough; why is the cause of its context
		case err != nil:
			if failures++; failures > patience {
				return fmt.Errorf("step %s: %w", t.ID(), err)
			}
			turn.After = time.Second
		case turn.State == fleet.StateBlocked || turn.Ended && turn.State != fleet.StateSucceeded:
			return fmt.Errorf("step %s: %s: %s", t.ID(), turn.State, turn.Reason)
		default:
			failures = 0
		}
		for _, child := range turn.Start {
			e.start(life, child, t.ID())
		}
		if turn.Ended {
			return nil
		}
		t.Op, t.Polls = turn.Op, turn.Polls
		timer := time.NewTimer(turn.After)
		select {
		case <-timer.C:
		case <-nudge:
		case <-life.Done():
		}
		timer.Stop()
	}
}
