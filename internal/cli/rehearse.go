package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// RehearseRequest says what is rehearsed. It is either a snapshot file, or
// clusters of a Fleet file, which are read and nothing else.
type RehearseRequest struct {
	Snapshot string // path, or "-" for In
	In       io.Reader
	At       time.Time // when it was taken; zero for the newest time in it

	Fleet         *rollout.FleetFile // nil for the usual policy
	Ring, Cluster string

	Pool, PoolLabel string
	Target          string // "1.36" or "1.36.2"
	Changes         fleet.NodeChanges
	Accepted        []fleet.Acceptance

	BinDir string
	Speed  float64
	AtOnce int // clusters side by side; 0 for as many as memory allows
	Assume evacuate.Assumptions
	Job    time.Duration // how long the pod of a Job still runs

	Progress func(cluster, what string)
	Log      *slog.Logger
}

// rehearseOptions are the flags of the command rehearse.
type rehearseOptions struct {
	request      RehearseRequest
	at, strategy string
	fleetFile    string
	extraNodes   int
	fullPace     bool
	accept       []string
	speed        float64
}

func (c *command) rehearseCommand() *cobra.Command {
	o := rehearseOptions{request: RehearseRequest{Assume: evacuate.UsualAssumptions}}
	cmd := &cobra.Command{
		Use: "rehearse", Short: "Try an upgrade on a throw-away copy of a cluster", Args: cobra.NoArgs,
		Long: `Try an upgrade before it is done: a control plane of the target version is started on
this machine (a real etcd, API server, controller manager and scheduler; nodes and
pods are simulated), the cluster's objects are loaded into it, and the pool's pods are
moved to new nodes with the very steps that an upgrade takes, at several times the
speed. What comes of it is reported: objects that the target version refuses, in the
API server's words; pods that find no place, in the scheduler's; what blocks; how long
it takes; and how far each workload's Ready pods went down beside what it requires.

The cluster is either a file that kubectl printed (--snapshot), or it is read as it is
now (--fleet with --cluster or --ring); it is never written to. Nothing of it runs:
no image is pulled, no webhook is called, Secrets and ConfigMaps are not read.

Pods start as fast as those in the cluster were seen to; new nodes, ends of pods and
Jobs take what is assumed (see the flags). Times in the result are the cluster's.

Exit code 0 means that it went through: every pod moved, no workload fell below what
it requires, and nothing was refused. Otherwise it is 11.`,
		Example: `  kubectl get nodes,namespaces,pods,deployments,replicasets,statefulsets,daemonsets,jobs,pdb,hpa,pv,pvc,storageclasses,csinodes,priorityclasses,resourcequotas -A -o json > cluster.json
  liftlock rehearse --snapshot cluster.json --pool apps --target 1.36

  # A cluster as it is now, with the policy that its Fleet file has for it
  liftlock rehearse --fleet fleet.yaml --cluster shop-prod --target 1.36

  # All clusters of a ring, as many side by side as memory allows
  liftlock rehearse --fleet fleet.yaml --ring prod --target 1.36 -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.rehearse(cmd.Context(), &o) },
	}
	r := &o.request
	flags := cmd.Flags()
	flags.StringVar(&r.Snapshot, "snapshot", "", "file with the cluster's objects, as kubectl get -A -o json prints them; - for standard input")
	flags.StringVar(&o.fleetFile, "fleet", "", "Fleet file with the policy, and with the clusters where there is no snapshot")
	flags.StringVar(&r.Cluster, "cluster", "", "cluster to read; with --snapshot: whose overrides and acceptances in the Fleet file count")
	flags.StringVar(&r.Ring, "ring", "", "ring whose clusters to read; with --snapshot: whose overrides in the Fleet file count")
	flags.StringVar(&r.Pool, "pool", "", "the pool to upgrade (default: all that are older than the target, one after the other)")
	flags.StringVar(&r.PoolLabel, "pool-label", "", "node label that names pools (default: those of AKS)")
	flags.StringVar(&r.Target, "target", "", "Kubernetes version to try, 1.36 or 1.36.2 (default: the Fleet file's, if it is an exact one)")
	flags.StringVar(&o.strategy, "strategy", "", "blueGreen or buffer (default: the Fleet file's, else blueGreen)")
	flags.IntVar(&o.extraNodes, "extra-nodes", 0, "so many nodes beside the pool's own at once (default: the Fleet file's, else as many as the pool has)")
	flags.BoolVar(&o.fullPace, "full-pace", false, "no canary node, and all pods may be in motion at once")
	flags.StringArrayVar(&o.accept, "accept", nil, "take a finding as accepted: ID, or ID=OBJECT with a pattern (repeatable)")
	flags.Float64Var(&o.speed, "speed", 10, "so many times faster than the cluster, from 1 to 60")
	flags.StringVar(&r.BinDir, "bin-dir", "", "folder of the Kubernetes binaries that make kube builds (default: kube beside this binary)")
	flags.IntVar(&r.AtOnce, "at-once", 0, "clusters to rehearse side by side (default: as many as memory allows)")
	flags.StringVar(&o.at, "at", "", "when the snapshot was taken, as 2026-11-23T12:00:00Z (default: the newest time in it)")
	flags.DurationVar(&r.Assume.NodeCreation, "node-creation", r.Assume.NodeCreation, "how long until a new node can receive pods")
	flags.DurationVar(&r.Assume.PodStart, "pod-start", r.Assume.PodStart, "how long pods take to start of which none like them was seen to")
	flags.DurationVar(&r.Assume.PodEnd, "pod-end", r.Assume.PodEnd, "how long pods take to end, if their grace period is longer")
	flags.DurationVar(&r.Job, "job-runs", 5*time.Minute, "how long the pods of running Jobs still run")
	return cmd
}

// rehearse holds the rehearsals and prints what came of them.
func (c *command) rehearse(ctx context.Context, o *rehearseOptions) error {
	if err := c.rehearsalOf(ctx, o); err != nil {
		return err
	}
	o.request.In, o.request.Log, o.request.Progress = c.In, c.logger(), c.progressOf()
	results, err := c.host.Rehearse(ctx, o.request)
	if ctx.Err() != nil {
		c.say("liftlock: interrupted; all that the rehearsal started has ended, and nothing of it is kept")
		return &exit{ExitInterrupted, nil}
	}
	if err != nil && len(results) == 0 {
		if _, wrong := errors.AsType[*rollout.InputError](err); wrong {
			return &exit{ExitBadInput, err}
		}
		return err
	}
	var value any = results
	if len(results) == 1 && o.request.Ring == "" {
		value = results[0]
	}
	printed := c.print(value, func(w io.Writer) {
		for i := range results {
			if i > 0 {
				fmt.Fprintln(w)
			}
			drawRehearsal(w, &results[i])
		}
	})
	if err := errors.Join(err, printed); err != nil {
		return err
	}
	for i := range results {
		if !results[i].Went {
			return &exit{ExitNotThrough, nil}
		}
	}
	return nil
}

// progressOf says where a rehearsal stands, when it has come further.
func (c *command) progressOf() func(cluster, what string) {
	const pace = 2 * time.Second
	var mu sync.Mutex
	last, said := map[string]string{}, map[string]time.Time{}
	return func(cluster, what string) {
		mu.Lock()
		defer mu.Unlock()
		if what == last[cluster] || time.Since(said[cluster]) < pace {
			return
		}
		last[cluster], said[cluster] = what, time.Now()
		c.say("%s: %s", cluster, what)
	}
}

var versionForm = regexp.MustCompile(`^v?\d+\.\d+(\.\d+)?$`)

// rehearsalOf makes the request of the flags, and says everything that is wrong
// with them.
func (c *command) rehearsalOf(ctx context.Context, o *rehearseOptions) error {
	r := &o.request
	if r.BinDir == "" {
		r.BinDir = filepath.Join(filepath.Dir(c.Executable), "kube")
	}
	var wrong []error
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if o.fleetFile != "" {
		file, err := c.readFleet(ctx, o.fleetFile)
		if err != nil {
			return err
		}
		r.Fleet = &file
		if t := file.Spec.Target; r.Target == "" && t.Channel == fleet.ChannelExact {
			r.Target = t.Version.String()
		}
	}
	switch {
	case r.Snapshot == "" && o.fleetFile == "":
		bad("--snapshot FILE is missing (the file that kubectl get -A -o json wrote), or --fleet FILE with --cluster or --ring to read a cluster")
	case r.Snapshot == "" && r.Cluster == "" && r.Ring == "":
		bad("--cluster NAME or --ring NAME is missing: which cluster of the Fleet file to read")
	}
	switch {
	case r.Target == "":
		bad("--target VERSION is missing, such as 1.36")
	case !versionForm.MatchString(r.Target):
		bad("--target %q is not a version such as 1.36 or 1.36.2", r.Target)
	}
	r.Target = strings.TrimPrefix(r.Target, "v")
	switch s := fleet.Strategy(o.strategy); s {
	case "":
	case fleet.BlueGreen, fleet.Buffer:
		r.Changes.Strategy = &s
	case fleet.InPlace:
		bad("--strategy inPlace leaves the draining to the provider and cannot be rehearsed: see liftlock plan --strategy inPlace")
	default:
		bad("--strategy %q is none; choose blueGreen or buffer", o.strategy)
	}
	switch {
	case o.extraNodes < 0:
		bad("--extra-nodes %d is less than none", o.extraNodes)
	case o.extraNodes > 0:
		r.Changes.ExtraNodes = &fleet.Amount0{Count: o.extraNodes}
	}
	if o.fullPace {
		r.Changes.Pace = fleet.PaceChanges{CanaryNodes: new(int), MaxInMotion: &fleet.Amount{Percent: 100}}
	}
	if r.Speed = o.speed; !(r.Speed >= 1 && r.Speed <= 60) {
		bad("--speed %v is not between 1 and 60", o.speed)
	}
	if r.AtOnce < 0 {
		bad("--at-once %d is less than none", r.AtOnce)
	}
	if a := &r.Assume; min(a.NodeCreation, a.PodStart, a.PodEnd, r.Job) < 0 {
		bad("--node-creation, --pod-start, --pod-end and --job-runs cannot be negative")
	}
	if o.at != "" {
		var err error
		if r.At, err = time.Parse(time.RFC3339, o.at); err != nil {
			bad("--at %q is not a time such as 2026-11-23T12:00:00Z", o.at)
		}
	}
	for _, a := range o.accept {
		id, object, _ := strings.Cut(a, "=")
		r.Accepted = append(r.Accepted, fleet.Acceptance{Finding: id, Object: object, Owner: "--accept"})
	}
	if err := errors.Join(wrong...); err != nil {
		return &exit{ExitBadInput, err}
	}
	return nil
}
