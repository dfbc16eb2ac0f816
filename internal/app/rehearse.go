package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/adapter/sqlite"
	"liftlock.dev/liftlock/internal/adapter/twin"
	"liftlock.dev/liftlock/internal/adapter/twin/rehearsal"
	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// play is one cluster to rehearse.
type play struct {
	cluster string
	ring    string
	// read yields the cluster's objects as kubectl prints them, and what is to be
	// known about how they were read.
	read func(ctx context.Context) (file string, content []byte, findings []fleet.Finding, err error)
	// live: the cluster itself was asked for all that it has, so that what is not
	// there does not exist, or has a finding of its own.
	live bool
}

// Rehearse tries an upgrade on throw-away control planes.
func (h *Host) Rehearse(ctx context.Context, r cli.RehearseRequest) ([]rollout.Rehearsal, error) {
	target, err := targetOf(r)
	if err != nil {
		return nil, err
	}
	plays, err := playsOf(ctx, r)
	if err != nil {
		return nil, err
	}
	results := make([]rollout.Rehearsal, len(plays))
	errs := make([]error, len(plays))
	var group errgroup.Group
	group.SetLimit(cmp.Or(r.AtOnce, twin.AtOnce(len(plays))))
	for i := range plays {
		group.Go(func() error {
			if results[i], errs[i] = hold(ctx, r, target, &plays[i]); errs[i] != nil && len(plays) > 1 {
				errs[i] = fmt.Errorf("cluster %s: %w", plays[i].cluster, errs[i])
			}
			return nil
		})
	}
	_ = group.Wait()
	results = slices.DeleteFunc(results, func(r rollout.Rehearsal) bool { return r.Cluster == "" })
	return results, errors.Join(errs...)
}

// targetOf finds the version that is tried: the patch that was asked for, or the
// one that was built.
func targetOf(r cli.RehearseRequest) (fleet.Version, error) {
	minor := strings.Join(strings.SplitN(r.Target, ".", 3)[:2], ".")
	built, err := twin.Built(r.BinDir, minor)
	if err != nil {
		return fleet.Version{}, &rollout.InputError{What: fmt.Sprintf("--target %s: %v, or name the folder that has it with --bin-dir", r.Target, err)}
	}
	if r.Target != minor {
		built = r.Target
	}
	return fleet.ParseVersion(built)
}

// playsOf finds what is to be rehearsed.
func playsOf(ctx context.Context, r cli.RehearseRequest) ([]play, error) {
	if r.Snapshot != "" {
		name := cmp.Or(r.Cluster, strings.TrimSuffix(filepath.Base(r.Snapshot), filepath.Ext(r.Snapshot)))
		if r.Snapshot == "-" && r.Cluster == "" {
			name = "snapshot"
		}
		return []play{{cluster: name, ring: r.Ring, read: func(context.Context) (string, []byte, []fleet.Finding, error) { return readSnapshot(r) }}}, nil
	}
	reach, err := (&reaches{log: r.Log, open: map[string]rollout.Reach{}}).of(ctx, &r.Fleet.Spec)
	if err != nil {
		return nil, err
	}
	clusters, rings, err := rollout.ClustersToRehearse(ctx, reach.Provider, &r.Fleet.Spec, r.Ring, r.Cluster)
	if err != nil {
		return nil, err
	}
	connector, ok := reach.Connector.(*kube.Connector)
	if !ok {
		return nil, errors.New("clusters that are reached in another way cannot be read as a whole")
	}
	plays := make([]play, len(clusters))
	for i := range clusters {
		plays[i] = play{cluster: clusters[i].Name, ring: rings[i], live: true, read: func(ctx context.Context) (string, []byte, []fleet.Finding, error) {
			var content bytes.Buffer
			findings, err := connector.Dump(ctx, clusters[i], &content)
			return "cluster " + clusters[i].Name, content.Bytes(), findings, err
		}}
	}
	return plays, nil
}

func readSnapshot(r cli.RehearseRequest) (string, []byte, []fleet.Finding, error) {
	if r.Snapshot == "-" {
		content, err := io.ReadAll(r.In)
		return "standard input", content, nil, err
	}
	content, err := os.ReadFile(r.Snapshot)
	if err != nil {
		return "", nil, nil, &rollout.InputError{What: "read snapshot: " + err.Error()}
	}
	return r.Snapshot, content, nil, nil
}

// hold holds the rehearsal of one cluster. Whatever it started has ended when it
// returns.
func hold(ctx context.Context, r cli.RehearseRequest, target fleet.Version, p *play) (_ rollout.Rehearsal, err error) {
	began, processors := time.Now(), twin.ReadProcessors()
	say := func(what string) {
		if r.Progress != nil {
			r.Progress(p.cluster, what)
		}
	}
	say("reads the cluster's objects")
	snapshot, objects, findings, err := p.understood(ctx, r.At)
	if err != nil {
		return rollout.Rehearsal{}, err
	}
	pools, err := rollout.PoolsToRehearse(&snapshot, r.Pool, r.PoolLabel, target)
	if err != nil {
		return rollout.Rehearsal{}, err
	}
	var policy *fleet.Spec
	if r.Fleet != nil {
		policy = &r.Fleet.Spec
	}
	dir, err := os.MkdirTemp("", "liftlock-rehearsal-")
	if err != nil {
		return rollout.Rehearsal{}, fmt.Errorf("folder for a rehearsal: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	say(fmt.Sprintf("starts Kubernetes %s and loads %d objects", target, len(objects.List)))
	stage, err := rehearsal.Open(ctx, rehearsal.Options{
		BinDir: r.BinDir, StateDir: filepath.Join(dir, "twin"), Cluster: rollout.ClusterOf(&snapshot, p.cluster, target), Objects: objects,
		PoolLabel: r.PoolLabel, TakenAt: snapshot.TakenAt, Times: timesOf(snapshot, pools, r), Speed: r.Speed, Log: r.Log,
		Connect: func(kubeconfig func(context.Context, fleet.Cluster) ([]byte, error)) rollout.Connector {
			return kube.NewConnector(kube.Options{Kubeconfig: kubeconfig, Logger: r.Log})
		},
	})
	if err != nil {
		return rollout.Rehearsal{}, err
	}
	defer func() { err = errors.Join(err, stage.Close(context.WithoutCancel(ctx))) }()
	store, err := sqlite.Open(ctx, filepath.Join(dir, sqlite.FileName))
	if err != nil {
		return rollout.Rehearsal{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	result, err := rollout.Rehearse(ctx, rollout.RehearsalRoom{
		Stage: stage, Store: store, Ledger: store, Journal: store, Clock: time.Now, Log: r.Log,
	}, rollout.RehearsalInput{
		Cluster: stage.Cluster(), Snapshot: snapshot, Pools: pools, Target: target,
		Spec: rollout.RehearsalSpec(policy, p.cluster, r.Changes, r.Accepted), Ring: p.ring, Speed: r.Speed, Progress: say,
	})
	if err != nil {
		return rollout.Rehearsal{}, err
	}
	result.Findings = append(result.Findings, findings...)
	result.TookActual, result.Busy = time.Since(began).Seconds(), twin.ReadProcessors().Since(processors)
	return result, nil
}

// understood reads a cluster's objects: as decisions need them, and as they are.
func (p *play) understood(ctx context.Context, at time.Time) (fleet.Snapshot, *rehearsal.Objects, []fleet.Finding, error) {
	file, content, findings, err := p.read(ctx)
	if err != nil {
		return fleet.Snapshot{}, nil, nil, err
	}
	snapshot, found, err := kube.ReadFile(ctx, bytes.NewReader(content), file, at)
	if err != nil {
		return fleet.Snapshot{}, nil, nil, badFile(ctx, err)
	}
	objects, err := rehearsal.Read(bytes.NewReader(content), file)
	if err != nil {
		return fleet.Snapshot{}, nil, nil, badFile(ctx, err)
	}
	// Here every kind is looked at.
	found = slices.DeleteFunc(found, func(f fleet.Finding) bool {
		return f.ID == "snapshot-kind-ignored" || p.live && strings.HasPrefix(f.ID, "snapshot-without-")
	})
	return snapshot, objects, append(findings, found...), nil
}

// badFile is what is wrong with a file, unless reading it was only interrupted.
func badFile(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return &rollout.InputError{What: err.Error()}
}

// timesOf finds how long things take: pods as they were seen to, the rest as it is
// assumed.
func timesOf(s fleet.Snapshot, pools []string, r cli.RehearseRequest) rehearsal.Times {
	t := rehearsal.Times{Start: map[string]evacuate.Start{}, End: r.Assume.PodEnd, Node: r.Assume.NodeCreation, Job: r.Job}
	for _, pool := range pools {
		of, other := evacuate.SeenStarts(s, pool, r.Assume.PodStart)
		maps.Copy(t.Start, of)
		t.Other = other
	}
	t.Never = evacuate.NeverReady(s)
	return t
}
