package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/report"
	"liftlock.dev/liftlock/internal/rollout"
)

func (c *command) runCommand() *cobra.Command {
	var dryRun, detach bool
	var planFile string
	cmd := &cobra.Command{
		Use: "run [FLEET_FILE]", Short: "Upgrade the fleet, or go on with what was begun", Args: cobra.MaximumNArgs(1),
		Long: `Upgrade the fleet that a file describes, ring by ring. A rollout that was begun with
the same file and has not ended is taken up where it stands. On a fleet that has
arrived nothing is done. The command shows progress until the rollout ends;
interrupted, the rollout is kept and goes on with the same command.

With --plan it does what a plan that was kept says (liftlock plan --save), with its
versions, or refuses with exit code 3 because the world moved since, and names what
moved. The Fleet file is then the one that the plan was made of, unless another path
is given; its content must be the same.`,
		Example: `  liftlock run fleet.yaml --dry-run   # what would be done
  liftlock run fleet.yaml
  liftlock run fleet.yaml --detach    # in the background; see: liftlock status --watch
  liftlock run --plan plan.json       # what the plan says, or nothing`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, kept, err := c.readPlan(planFile, args)
			switch {
			case err != nil:
				return err
			case dryRun && detach:
				return &exit{ExitBadInput, errors.New("--dry-run and --detach exclude each other")}
			case dryRun && kept != nil:
				return &exit{ExitBadInput, errors.New("--dry-run and --plan exclude each other: the plan says what would be done")}
			case dryRun:
				return c.dryRun(cmd.Context(), path)
			case detach:
				return c.detach(cmd.Context(), path, planFile)
			}
			return c.run(cmd.Context(), path, kept)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "look at the fleet and say what would be done; change nothing")
	cmd.Flags().BoolVar(&detach, "detach", false, "run in the background and return")
	cmd.Flags().StringVar(&planFile, "plan", "", "do what this plan says (liftlock plan --save), or refuse because the world moved")
	return cmd
}

// readPlan reads the plan that is to be carried out, if one is, and says where
// the Fleet file is.
func (c *command) readPlan(planFile string, args []string) (path string, kept *rollout.KeptPlan, err error) {
	if len(args) > 0 {
		path = args[0]
	}
	switch {
	case planFile == "" && path == "":
		return "", nil, &exit{ExitBadInput, errors.New("FLEET_FILE is missing; name the Fleet file, or a plan with --plan; see: liftlock run --help")}
	case planFile == "":
		return path, nil, nil
	}
	text, err := os.ReadFile(planFile)
	if err != nil {
		return "", nil, &exit{ExitBadInput, fmt.Errorf("--plan: %w", err)}
	}
	p, err := fleetplan.Read(text, planFile)
	if err != nil {
		return "", nil, &exit{ExitBadInput, err}
	}
	if path == "" {
		path = p.File.Path
	}
	digest := sha256.Sum256(text)
	return path, &rollout.KeptPlan{Plan: p, Digest: hex.EncodeToString(digest[:])}, nil
}

// readFleet reads a Fleet file. One that cannot be read is wrong input, too.
func (c *command) readFleet(ctx context.Context, path string) (rollout.FleetFile, error) {
	file, err := c.host.ReadFleet(ctx, path)
	if err != nil {
		return file, &exit{ExitBadInput, err}
	}
	return file, nil
}

// startEngine opens the state folder and joins its engine, or starts it.
func (c *command) startEngine(ctx context.Context) (Engine, error) {
	engine, err := c.host.StartEngine(ctx, EngineOptions{Dir: c.stateDir, Temporal: c.temporal, Log: c.logger()})
	_, locked := errors.AsType[*LockedError](err)
	_, refused := errors.AsType[*rollout.RefusedError](err)
	if err != nil && !locked && !refused && ctx.Err() == nil {
		return nil, &exit{ExitUnavailable, err}
	}
	return engine, err
}

// run upgrades a fleet and shows progress until the rollout ends.
func (c *command) run(ctx context.Context, path string, kept *rollout.KeptPlan) error {
	file, err := c.readFleet(ctx, path)
	if err != nil {
		return err
	}
	ro, err := c.begin(ctx, file, kept, nil)
	if err != nil || ro == "" {
		return err
	}
	return nil
}

// begin starts an engine, begins or takes up the rollout, and stays with it to
// the end. during, when not nil, runs beside it with a way to send requests.
// It returns the rollout's id, or "" when nothing was to be done.
func (c *command) begin(ctx context.Context, file rollout.FleetFile, kept *rollout.KeptPlan, during func(ctx context.Context, e Engine, id string) error) (id string, err error) {
	engine, err := c.startEngine(ctx)
	if err != nil {
		return "", err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, engine.Close(closing))
	}()
	ro, look, resumed, err := engine.Begin(ctx, file, kept, c.Actor+unverified)
	if err != nil {
		return "", err
	}
	if ro.ID == "" {
		return "", c.print(outlookOf(look), func(w io.Writer) {
			fmt.Fprintf(w, "nothing to do: all %d clusters of fleet %s are at %s\n", len(look.Clusters), file.Spec.Name, versionsOf(look))
		})
	}
	if resumed {
		c.say("goes on with rollout %s, begun %s", ro.ID, ro.StartedAt.Local().Format(time.DateTime))
	} else {
		c.say("rollout %s begins", ro.ID)
	}
	if during != nil {
		duringCtx, cancel := context.WithCancel(ctx)
		defer cancel()
		failed := make(chan error, 1)
		go func() { failed <- during(duringCtx, engine, ro.ID) }()
		defer func() {
			cancel()
			if e := <-failed; e != nil && !errors.Is(e, context.Canceled) {
				err = errors.Join(err, e)
			}
		}()
	}
	watching, stop := context.WithCancel(ctx)
	guarded := make(chan struct{})
	go func() { defer close(guarded); c.guard(watching, engine) }()
	defer func() { stop(); <-guarded }()
	return ro.ID, c.follow(ctx, engine, ro.ID)
}

// checkEvery is how soon a person learns that nothing can be written down.
const checkEvery = 3 * time.Second

// guard says when the state folder can no longer be written to, and when it can
// again. The engine tries on by itself.
func (c *command) guard(ctx context.Context, engine Engine) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for told := false; ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		err := engine.Check(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !told:
			c.say("liftlock: %v\nliftlock: nothing is lost; the rollout waits and goes on by itself", err)
		case err == nil && told:
			c.say("the state folder can be written to again; the rollout goes on")
		}
		told = err != nil
	}
}

// closeTimeout bounds how long an engine may take to end.
const closeTimeout = 40 * time.Second

// detach starts this command again in the background and returns.
func (c *command) detach(ctx context.Context, path, planFile string) error {
	if _, err := c.readFleet(ctx, path); err != nil {
		return err
	}
	if err := os.MkdirAll(c.stateDir, 0o700); err != nil {
		return &exit{ExitUnavailable, fmt.Errorf("state folder: %w", err)}
	}
	logPath := filepath.Join(c.stateDir, "run.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return &exit{ExitUnavailable, fmt.Errorf("log file: %w", err)}
	}
	defer func() { _ = log.Close() }()
	args := []string{"run", path, "--state", c.stateDir}
	if planFile != "" {
		args = append(args, "--plan", planFile)
	}
	if t := c.temporal; t.Address != "" {
		args = append(args, "--temporal", t.Address, "--temporal-namespace", t.Namespace, "--temporal-ca", t.CAFile, "--temporal-cert", t.CertFile,
			"--temporal-key", t.KeyFile, "--temporal-server-name", t.ServerName, "--temporal-api-key-file", t.APIKeyFile)
	}
	child := exec.CommandContext(context.WithoutCancel(ctx), c.Executable, args...) //nolint:gosec // this very binary
	child.Stdout, child.Stderr, child.Dir = log, log, c.Dir
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	pid := child.Process.Pid
	if err := child.Process.Release(); err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	return c.print(map[string]any{"pid": pid, "log": logPath}, func(w io.Writer) {
		fmt.Fprintf(w, "runs in the background as process %d, log %s; see: liftlock status --watch\n", pid, logPath)
	})
}

// outlook is what --dry-run prints.
type outlook struct {
	Target   string           `json:"target"`
	Why      string           `json:"why"`
	Clusters []outlookCluster `json:"clusters"`
}

type outlookCluster struct {
	Name    string `json:"name"`
	Ring    string `json:"ring"`
	Version string `json:"version"`
	Work    string `json:"work"`
}

func outlookOf(look *rollout.Outlook) outlook {
	out := outlook{Target: versionsOf(look), Why: look.Why, Clusters: []outlookCluster{}}
	for _, oc := range look.Clusters {
		work := oc.Work
		switch {
		case oc.Ring == "":
			work = "in no ring: left alone"
		case oc.Cluster.Stopped:
			work = "stopped: set aside"
		}
		out.Clusters = append(out.Clusters, outlookCluster{Name: oc.Cluster.Name, Ring: oc.Ring, Version: oc.Cluster.Version.String(), Work: work})
	}
	return out
}

func versionsOf(look *rollout.Outlook) string {
	return (&rollout.RolloutRecord{Resolved: look.Resolved}).Versions()
}

// dryRun says what would be done.
func (c *command) dryRun(ctx context.Context, path string) error {
	file, err := c.readFleet(ctx, path)
	if err != nil {
		return err
	}
	look, err := c.host.Look(ctx, file, c.logger())
	if err != nil {
		return err
	}
	out := outlookOf(look)
	return c.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "target %s (%s)\n\n", out.Target, out.Why)
		rows := make([][]string, len(out.Clusters))
		for i, oc := range out.Clusters {
			if oc.Work == "" {
				oc.Work = "nothing to do"
			}
			rows[i] = []string{oc.Ring, oc.Name, oc.Version, oc.Work}
		}
		columns(w, "RING\tCLUSTER\tVERSION\tTO DO", rows)
	})
}

func (c *command) workCommand() *cobra.Command {
	return &cobra.Command{
		Use: "work", Short: "Take part in the rollouts of a Temporal cluster", Args: cobra.NoArgs,
		Long: `Take part, as one more worker, in the rollouts that run on a Temporal cluster
(--temporal). All workers need the same state folder: ledger and journal are in it.`,
		Example: "  liftlock work --temporal temporal.example:7233 --state /srv/liftlock",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.temporal.Address == "" {
				return &exit{ExitBadInput, errors.New("liftlock work needs --temporal HOST:PORT; the embedded engine has one worker, which liftlock run starts")}
			}
			engine, err := c.startEngine(cmd.Context())
			if err != nil {
				return err
			}
			c.say("takes part in the work on %s until interrupted", c.temporal.Address)
			<-cmd.Context().Done()
			closing, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), closeTimeout)
			defer cancel()
			return engine.Close(closing)
		},
	}
}

// endOf turns the state in which a rollout ended into an exit code.
func endOf(r report.Report) error {
	switch r.State {
	case fleet.StateSucceeded, fleet.StateSkipped:
		return nil
	case fleet.StateAborted:
		return &exit{ExitAborted, fmt.Errorf("rollout %s: %s", r.Rollout, r.Reason)}
	default:
		return &exit{ExitFailed, fmt.Errorf("rollout %s ended %s: %s", r.Rollout, r.State, r.Reason)}
	}
}
