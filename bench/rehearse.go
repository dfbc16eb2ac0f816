package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"liftlock.dev/liftlock/internal/app"
	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/domain/evacuate"
)

// rehearsals measures a rehearsal as people hold it, all in: from the file to the
// last process that has ended.
func rehearsals(ctx context.Context) (_ []figure, err error) {
	const nodes, pods = 50, 1000
	dir, err := os.MkdirTemp("", "liftlock-bench-")
	if err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "cluster.json")
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	if err := errors.Join(rehearsable(file, nodes, pods), file.Close()); err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	peak := watchMemory(ctx)
	began := time.Now()
	results, err := (&app.Host{}).Rehearse(ctx, cli.RehearseRequest{
		Snapshot: path, Pool: "apps", Target: "1.35", BinDir: filepath.Join("bin", "kube"), Speed: 10,
		Assume: evacuate.UsualAssumptions, Job: 5 * time.Minute,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	took, memory := time.Since(began), peak()
	if err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	r := &results[0]
	if !r.Went {
		return nil, fmt.Errorf("rehearse: it did not go through: %s", r.Verdict)
	}
	say := func(what string) string {
		return fmt.Sprintf("rehearsal of %d nodes and %d pods: %s", nodes, pods, what)
	}
	return []figure{
		atMost(say("seconds all in"), took.Seconds(), 180, nil),
		atMost(say("falls below requirement"), float64(r.Falls), 0, nil),
		info(say("moves per pod"), r.Pools[0].MovesPerPod),
		info(say("seconds of the cluster that it foretells"), r.Pools[0].Seconds),
		info(say("peak memory of this process and all it started, MiB"), memory),
	}, nil
}
