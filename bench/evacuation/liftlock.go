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
// loop instead.
func liftlock(how fleet.Strategy, surge fleet.Amount) func(context.Context, *bed) error {
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
		goes := map[fleet.Strategy]string{fleet.BlueGreen: poolName, fleet.Buffer: poolName + "b"}[how]
		life, end := context.WithCancelCause(ctx)
		defer end(nil)
		cloud, err := newProvider(life, b, func(pool string) {
			if pool != goes {
				end(fmt.Errorf("pool %s is deleted, not %s", pool, goes))
				return
			}
			if left := b.recorder.left(onPool(pool)); left != "" {
				end(fmt.Errorf("pool %s is deleted, but there are %s", pool, left))
				return
			}
			end(errDone)
		})
		if err != nil {
			return err
		}
		defer cloud.work.Wait()
		defer end(nil)
		if err := b.rollOut(life, store, cloud, how, surge); !errors.Is(context.Cause(life), errDone) {
			return errors.Join(err, context.Cause(life))
		}
		return nil
	}
}

var errDone = errors.New("the pods have moved")

// rollOut starts the rollout and takes its steps until life ends.
func (b *bed) rollOut(life context.Context, store *sqlite.File, cloud *provider, how fleet.Strategy, surge fleet.Amount) error {
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
	ro, _, _, err := stepper.Start(life, fleetFile(how, surge), "bench")
	if err != nil {
		return err
	}
	if ro.ID == "" {
		return errors.New("the rollout finds nothing to do")
	}
	return newEngine(stepper).run(life, rollout.Task{Rollout: ro.ID})
}

// fleetFile is a Fleet file for the one cluster, at full pace.
func fleetFile(how fleet.Strategy, surge fleet.Amount) rollout.FleetFile {
	spec := fleet.Spec{
		Name: "bench", Digest: "bench", Target: fleet.Target{Channel: fleet.ChannelNodeImage}, Channels: fleet.ChannelsReport,
		Rings: []fleet.Ring{{Name: "all", Select: fleet.Selector{Names: []string{"*"}}, OnClose: fleet.FinishWave, Concurrency: fleet.Amount{Count: 1}}},
		Nodes: fleet.NodePolicy{
			Strategy: how, Pace: fleet.Pace{MaxInMotion: fleet.Amount{Percent: 100}, HealthPasses: 1},
			Evacuation: fleet.EvacuationPolicy{
				BarePods: "refuse", LocalData: "refuse", JobWait: time.Hour, JobsAfter: "refuse", MaxSurge: surge, Timeout: 10 * time.Minute,
			},
		},
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
			return nil //nolint:nilerr // what ended it says why
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
