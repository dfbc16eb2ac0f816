package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"liftlock.dev/liftlock/internal/adapter/apiusage"
	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/adapter/manifest"
	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/config"
	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
	"liftlock.dev/liftlock/internal/report"
	"liftlock.dev/liftlock/internal/rollout"
)

// version is set by the build.
var version = "devel"

// Host gives the commands what they need of the adapters and the engine.
type Host struct{}

var _ cli.Host = (*Host)(nil)

// Main runs the command line of this process and returns its exit code.
func Main() int {
	ctx, stop := cli.Interruptible()
	defer stop()
	return cli.Run(ctx, cli.Process(), &Host{})
}

// ReadFleet reads a Fleet file.
func (h *Host) ReadFleet(_ context.Context, path string) (rollout.FleetFile, error) {
	spec, source, err := config.Read(path)
	if err != nil {
		return rollout.FleetFile{}, err
	}
	return rollout.FleetFile{Digest: spec.Digest, Source: source, Spec: spec}, nil
}

// Look says what would be done to a fleet, and changes nothing.
func (h *Host) Look(ctx context.Context, file rollout.FleetFile, log *slog.Logger) (*rollout.Outlook, error) {
	reach := &reaches{log: log, open: map[string]rollout.Reach{}}
	stepper := &rollout.Stepper{Reach: reach.of, Clock: time.Now, Log: log}
	return stepper.Look(ctx, &file.Spec)
}

// PlanFleet says what a rollout would do, and changes nothing. Without a state
// folder nothing is known of earlier rollouts.
func (h *Host) PlanFleet(ctx context.Context, file rollout.FleetFile, path, dir string, log *slog.Logger) (fleetplan.Plan, error) {
	reach := &reaches{log: log, open: map[string]rollout.Reach{}}
	stepper := &rollout.Stepper{Reach: reach.of, Clock: time.Now, Log: log}
	switch err := begun(dir); {
	case err == nil:
		st, err := openState(ctx, dir)
		if err != nil {
			return fleetplan.Plan{}, err
		}
		defer func() { _ = st.Close() }()
		stepper.Store, stepper.Ledger, stepper.Journal = st.file, st.file, st.file
	case !errors.Is(err, rollout.ErrNoRollout):
		return fleetplan.Plan{}, err
	}
	return stepper.PlanFleet(ctx, file, path)
}

// ReadSnapshot reads a cluster's objects from a file.
func (h *Host) ReadSnapshot(ctx context.Context, path string, in io.Reader, at time.Time) (_ fleet.Snapshot, _ []fleet.Finding, err error) {
	if path == "-" {
		return kube.ReadFile(ctx, in, "standard input", at)
	}
	file, err := os.Open(path)
	if err != nil {
		return fleet.Snapshot{}, nil, fmt.Errorf("read snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return kube.ReadFile(ctx, file, path, at)
}

// Check runs checks on the clusters of a fleet, and changes nothing.
func (h *Host) Check(ctx context.Context, file rollout.FleetFile, request rollout.CheckRequest, log *slog.Logger) ([]check.Result, error) {
	reach := &reaches{log: log, open: map[string]rollout.Reach{}}
	stepper := &rollout.Stepper{Reach: reach.of, Clock: time.Now, Log: log}
	return stepper.Check(ctx, &file.Spec, request)
}

// ReadFacts reads what checks need from a file of a cluster's objects.
func (h *Host) ReadFacts(ctx context.Context, path string, in io.Reader, at time.Time) (_ check.Facts, err error) {
	if path == "-" {
		return kube.ReadFacts(ctx, in, "standard input", at, readers())
	}
	file, err := os.Open(path)
	if err != nil {
		return check.Facts{}, fmt.Errorf("read snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return kube.ReadFacts(ctx, file, path, at, readers())
}

// ReadManifests reads the objects of files that are to go to a cluster.
func (h *Host) ReadManifests(ctx context.Context, path string, in io.Reader) ([]fleet.Object, []report.Skipped, error) {
	var objects []fleet.Object
	var skipped []manifest.Skipped
	var err error
	if path == "-" {
		objects, skipped, err = manifest.ReadStream(ctx, in, "standard input")
	} else {
		objects, skipped, err = manifest.Read(ctx, path)
	}
	if err != nil {
		return nil, nil, err
	}
	out := make([]report.Skipped, len(skipped))
	for i, s := range skipped {
		out[i] = report.Skipped{File: s.File, Line: s.Line, Why: s.Why}
	}
	return objects, out, nil
}

// ReadAudit reads who asked for deprecated APIs from an audit log.
func (h *Host) ReadAudit(ctx context.Context, path string) (_ []lifecycle.Use, unread []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read audit log: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return apiusage.ReadAudit(ctx, file, path)
}

// Version is what this binary is.
func (h *Host) Version() cli.VersionInfo {
	info := cli.VersionInfo{Version: version, Go: runtime.Version()}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				info.Commit = s.Value
			}
		}
	}
	return info
}
