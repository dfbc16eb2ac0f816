package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"liftlock.dev/liftlock/internal/config"
	"liftlock.dev/liftlock/internal/rollout"
)

// command carries what all commands share.
type command struct {
	Streams
	host Host

	stateDir string
	output   string
	verbose  bool
	temporal Temporal
}

// exit ends a command with a code; err may be nil when everything was said.
type exit struct {
	code int
	err  error
}

// Error implements error.
func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the cause.
func (e *exit) Unwrap() error { return e.err }

// Run runs a command line and returns its exit code.
func Run(ctx context.Context, streams Streams, host Host) int {
	c := &command{Streams: streams, host: host}
	root := c.root()
	root.SetArgs(streams.Args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	code := codeOf(ctx, err)
	if e, quiet := errors.AsType[*exit](err); err != nil && (!quiet || e.err != nil) {
		fmt.Fprintln(streams.Err, "liftlock:", err)
		if code == ExitInterrupted {
			fmt.Fprintln(streams.Err, "liftlock: interrupted; a rollout that was begun is kept and goes on with the same command")
		}
	}
	return code
}

func codeOf(ctx context.Context, err error) int {
	if err == nil {
		return ExitOK
	}
	if e, ok := errors.AsType[*exit](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return ExitBadInput
	}
	if _, ok := errors.AsType[*rollout.RefusedError](err); ok {
		return ExitRefused
	}
	if _, ok := errors.AsType[*LockedError](err); ok {
		return ExitLocked
	}
	if pe, ok := errors.AsType[*rollout.ProviderError](err); ok && pe.Code != rollout.CodeFailed {
		return ExitUnavailable
	}
	switch {
	case errors.Is(err, rollout.ErrNotFound), errors.Is(err, rollout.ErrNoRollout):
		return ExitNotFound
	case ctx.Err() != nil:
		return ExitInterrupted
	}
	return ExitFailed
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "liftlock",
		Short: "Raise fleets of Kubernetes clusters from one version to the next",
		Long: `Liftlock raises a fleet of Kubernetes clusters from one version to the next: ring
by ring, in the hours that their owners allow, only on versions that an earlier
ring has proven, without dropping a request.

Results go to stdout, progress and messages to stderr. Exit codes:
  0 done, or nothing to do       4 another engine holds the state folder
  1 failed                       5 aborted by a person
  2 wrong input, nothing touched 6 cloud, credentials or state folder unusable
  3 request refused              7 no such rollout       130 interrupted
liftlock check also ends with 8 for blockers, 9 for warnings, 10 for what it could
not check; liftlock rehearse with 11 when the upgrade would not go through.`,
		Example: `  # See it work, without any cloud: four simulated clusters, real Kubernetes
  liftlock demo

  # What stands in the way, what would happen, then do it
  liftlock check --fleet fleet.yaml
  liftlock plan --fleet fleet.yaml
  liftlock run fleet.yaml

  # From another terminal
  liftlock status --watch
  liftlock approve --ring prod`,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &exit{ExitBadInput, fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())}
	})
	flags := root.PersistentFlags()
	flags.StringVar(&c.stateDir, "state", c.defaultState(), "folder that holds ledger, journal, rollouts and the engine's file (LIFTLOCK_STATE)")
	flags.StringVarP(&c.output, "output", "o", "table", "format of results: table, json or yaml; check also knows junit and sarif, plan markdown and html")
	flags.BoolVarP(&c.verbose, "verbose", "v", false, "also write what the engine does to stderr")
	flags.StringVar(&c.temporal.Address, "temporal", "", "HOST:PORT of a Temporal cluster to use instead of the embedded engine")
	flags.StringVar(&c.temporal.Namespace, "temporal-namespace", "liftlock", "namespace on that cluster")
	flags.StringVar(&c.temporal.CAFile, "temporal-ca", "", "PEM file with the cluster's certificate authority")
	flags.StringVar(&c.temporal.CertFile, "temporal-cert", "", "PEM file with the client certificate (mTLS)")
	flags.StringVar(&c.temporal.KeyFile, "temporal-key", "", "PEM file with its key")
	flags.StringVar(&c.temporal.ServerName, "temporal-server-name", "", "name in the cluster's certificate, where it is not the host")
	flags.StringVar(&c.temporal.APIKeyFile, "temporal-api-key-file", "", "file with an API key")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return c.checkFlags(cmd) }
	root.AddCommand(
		c.demoCommand(), c.checkCommand(), c.planCommand(), c.rehearseCommand(), c.runCommand(), c.workCommand(), c.statusCommand(),
		c.approveCommand(), c.pauseCommand(), c.resumeCommand(), c.skipCommand(), c.retryCommand(), c.abortCommand(), c.rollbackCommand(),
		c.ledgerCommand(), c.journalCommand(), c.reportCommand(), c.snapshotCommand(), c.versionCommand(),
	)
	refuseArgs(root)
	for _, sub := range root.Commands() {
		refuseArgs(sub)
	}
	return root
}

// refuseArgs makes wrong arguments exit with ExitBadInput, as wrong flags do.
func refuseArgs(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &exit{ExitBadInput, fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}

func (c *command) defaultState() string {
	if dir := c.Getenv("LIFTLOCK_STATE"); dir != "" {
		return dir
	}
	return c.Home
}

// moreFormats is the annotation with the formats of results that a command has
// beside those of all commands.
const moreFormats = "formats"

// checkFlags looks at the flags that all commands have.
func (c *command) checkFlags(cmd *cobra.Command) error {
	formats := []string{"table", "json", "yaml"}
	if more := cmd.Annotations[moreFormats]; more != "" {
		formats = append(formats, strings.Split(more, ",")...)
	}
	if !slices.Contains(formats, c.output) {
		last := len(formats) - 1
		return &exit{ExitBadInput, fmt.Errorf("--output %q is not a format; choose %s or %s", c.output, strings.Join(formats[:last], ", "), formats[last])}
	}
	if c.stateDir == "" {
		return &exit{ExitBadInput, errors.New("no state folder: give --state or set LIFTLOCK_STATE")}
	}
	dir, err := filepath.Abs(c.stateDir)
	if err != nil {
		return &exit{ExitBadInput, fmt.Errorf("--state %s: %w", c.stateDir, err)}
	}
	c.stateDir = dir
	if (c.temporal.CertFile == "") != (c.temporal.KeyFile == "") {
		return &exit{ExitBadInput, errors.New("--temporal-cert and --temporal-key go together")}
	}
	return nil
}

// logger writes what operators of Liftlock want to know, which people who only
// use it do not.
func (c *command) logger() *slog.Logger {
	level := slog.LevelError
	if c.verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(c.Err, &slog.HandlerOptions{Level: level}))
}

// say writes a message for a person.
func (c *command) say(format string, args ...any) {
	fmt.Fprintf(c.Err, strings.TrimSuffix(format, "\n")+"\n", args...)
}
