package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"liftlock.dev/liftlock/internal/adapter/azure"
	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/durable"
	"liftlock.dev/liftlock/internal/durable/codec"
	"liftlock.dev/liftlock/internal/durable/embedded"
	"liftlock.dev/liftlock/internal/rollout"
	"liftlock.dev/liftlock/internal/server"
)

// payloadKeyName is the file in the state folder whose key encrypts what
// workflows exchange.
const payloadKeyName = "payload.key"

// engine is one process's part in running rollouts.
type engine struct {
	*state
	stepper *rollout.Stepper
	durable *durable.Engine
	check   func(context.Context) error // of the embedded engine's store; nil without one
	closers []func(context.Context) error
}

var _ cli.Engine = (*engine)(nil)

// StartEngine opens the state folder and starts to run the rollouts in it. With
// a Temporal address it joins that cluster, otherwise it runs the embedded one,
// of which there can be one per folder.
func (h *Host) StartEngine(ctx context.Context, o cli.EngineOptions) (_ cli.Engine, err error) {
	st, err := openState(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	e := &engine{state: st}
	e.onClose(func(context.Context) error { return st.Close() })
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close(context.WithoutCancel(ctx)))
		}
	}()
	taken, err := claimFor(o.Dir, o.Temporal.Address)
	if err != nil {
		return nil, err
	}
	e.onClose(func(context.Context) error { return taken.Close() })
	conn, err := e.join(ctx, o)
	if err != nil {
		return nil, err
	}
	holder, err := e.holder(ctx)
	if err != nil {
		return nil, err
	}
	watcher := rollout.NewWatcher(context.WithoutCancel(ctx), st.file, time.Now, o.Log)
	e.onClose(func(context.Context) error { watcher.Close(); return nil })
	reach := &reaches{log: o.Log, open: map[string]rollout.Reach{}}
	e.stepper = &rollout.Stepper{
		Reach: reach.of, Store: st.file, Ledger: st.file, Journal: st.file, Watcher: watcher,
		Holder: holder, Clock: time.Now, Log: o.Log,
	}
	e.durable = durable.New(conn)
	if err := e.durable.Work(e.stepper); err != nil {
		return nil, err
	}
	e.onClose(func(context.Context) error { e.durable.Close(); return nil })
	if o.Temporal.Address != "" {
		return e, nil
	}
	socket, err := server.Listen(ctx, server.SocketPath(o.Dir), e.Send)
	if err != nil {
		return nil, err
	}
	e.onClose(socket.Close)
	return e, nil
}

// dial starts the embedded engine, or connects to a Temporal cluster.
func (e *engine) dial(ctx context.Context, o cli.EngineOptions, holder string) (client.Client, error) {
	converterOf, err := codec.New(filepath.Join(o.Dir, payloadKeyName))
	if err != nil {
		return nil, err
	}
	options := client.Options{
		DataConverter: converterOf, FailureConverter: codec.NewFailureConverter(converterOf),
		Logger: sdklog.NewStructuredLogger(o.Log), Identity: identityOf(holder),
	}
	var conn client.Client
	if o.Temporal.Address != "" {
		if conn, err = dialRemote(ctx, o.Temporal, options); err != nil {
			return nil, err
		}
		if err := sameStore(ctx, conn, o.Temporal, holder); err != nil {
			conn.Close()
			return nil, err
		}
	} else {
		srv, err := embedded.Start(ctx, embedded.Options{Dir: o.Dir, Logger: o.Log})
		if locked, ok := errors.AsType[*embedded.LockedError](err); ok {
			return nil, &cli.LockedError{Dir: locked.Dir, PID: locked.PID, Err: err}
		}
		if err != nil {
			return nil, err
		}
		e.check = srv.Check
		e.onClose(func(context.Context) error { return srv.Close() })
		if conn, err = srv.Dial(ctx, options); err != nil {
			return nil, err
		}
	}
	e.onClose(func(context.Context) error { conn.Close(); return nil })
	return conn, nil
}

func (e *engine) onClose(f func(context.Context) error) { e.closers = append(e.closers, f) }

// Close ends this process's part; rollouts are taken up by the next engine.
func (e *engine) Close(ctx context.Context) error {
	var errs []error
	for _, closer := range slices.Backward(e.closers) {
		errs = append(errs, closer(ctx))
	}
	e.closers = nil
	return errors.Join(errs...)
}

// holder returns the name under which engines on this store hold Leases.
func (e *engine) holder(ctx context.Context) (string, error) {
	key := rollout.Key{Kind: "engine", Name: "holder"}
	for {
		record, err := e.file.Record(ctx, key)
		if err == nil {
			var holder string
			if err := json.Unmarshal(record.Value, &holder); err != nil {
				return "", fmt.Errorf("read the engine's name: %w", err)
			}
			return holder, nil
		}
		if !errors.Is(err, rollout.ErrNotFound) {
			return "", fmt.Errorf("read the engine's name: %w", err)
		}
		host, err := os.Hostname()
		if err != nil {
			host = "liftlock"
		}
		value, err := json.Marshal(host + "-" + rand.Text()[:8])
		if err != nil {
			return "", fmt.Errorf("encode the engine's name: %w", err)
		}
		if _, err := e.file.PutRecord(ctx, rollout.Record{Key: key, Value: value}); err != nil && !errors.Is(err, rollout.ErrStaleWrite) {
			return "", fmt.Errorf("keep the engine's name: %w", err)
		}
	}
}

// Begin starts a rollout of a Fleet file, or takes up the unfinished one.
func (e *engine) Begin(ctx context.Context, file rollout.FleetFile, kept *rollout.KeptPlan, actor string) (rollout.RolloutRecord, *rollout.Outlook, bool, error) {
	ro, look, resumed, err := e.stepper.StartPlan(ctx, file, kept, actor)
	if err != nil || ro.ID == "" {
		return ro, look, resumed, err
	}
	return ro, look, resumed, e.durable.Start(ctx, ro.ID)
}

// Check says why the embedded engine's store cannot be written to. Records,
// ledger and journal lie beside it.
func (e *engine) Check(ctx context.Context) error {
	if e.check == nil {
		return nil
	}
	return e.check(ctx)
}

// Resume makes sure that a rollout that was begun is running.
func (e *engine) Resume(ctx context.Context, id string) error { return e.durable.Start(ctx, id) }

// Send carries out a person's request and makes the rollout look at once.
func (e *engine) Send(ctx context.Context, request rollout.Request) (rollout.Answer, error) {
	answer, err := e.control().Do(ctx, request)
	if err != nil {
		return answer, err
	}
	if answer.Restart {
		if err := e.durable.Start(ctx, answer.Rollout); err != nil {
			return answer, err
		}
		answer.Restart = false
	}
	tasks, err := rollout.Tasks(ctx, e.file, answer.Rollout)
	if err != nil {
		return answer, err
	}
	return answer, e.durable.Nudge(ctx, tasks...)
}

// reaches keeps one way to the cloud for each cloud and identity.
type reaches struct {
	log  *slog.Logger
	mu   sync.Mutex
	open map[string]rollout.Reach
}

func (r *reaches) of(ctx context.Context, spec *fleet.Spec) (rollout.Reach, error) {
	key, err := json.Marshal([]any{spec.Cloud, spec.Identity, spec.Access})
	if err != nil {
		return rollout.Reach{}, fmt.Errorf("encode access: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if reach, ok := r.open[string(key)]; ok {
		return reach, nil
	}
	provider, err := azure.New(ctx, azure.Options{Cloud: spec.Cloud, Identity: spec.Identity, Logger: r.log})
	if err != nil {
		return rollout.Reach{}, &rollout.ProviderError{
			Code: rollout.CodeUnauthorized, Object: "Azure", Doing: "sign in", Message: err.Error(),
			Remedy: "see spec.azure of the Fleet file", Err: err,
		}
	}
	options := kube.Options{Kubeconfig: provider.Kubeconfig, Logger: r.log, Readers: readers()}
	if spec.Access.Kind == "Kubeconfig" {
		options = kube.Options{File: spec.Access.File, Contexts: spec.Access.Contexts, Logger: r.log, Readers: readers()}
	}
	reach := rollout.Reach{Provider: provider, Connector: kube.NewConnector(options)}
	r.open[string(key)] = reach
	return reach, nil
}
