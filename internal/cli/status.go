package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"liftlock.dev/liftlock/internal/cli/view"
	"liftlock.dev/liftlock/internal/report"
	"liftlock.dev/liftlock/internal/rollout"
)

// lookEvery is how often a view reads the state of the rollout.
const lookEvery = 500 * time.Millisecond

// records is what views and reports read.
type records interface {
	Store() rollout.Store
	Ledger() rollout.Ledger
	Journal() rollout.Journal
}

func overviewOf(ctx context.Context, from records, id string, journalAfter int64) (rollout.Overview, error) {
	return rollout.ReadOverview(ctx, from.Store(), from.Ledger(), from.Journal(), id, journalAfter, time.Now())
}

// reportOf makes the report of a rollout.
func reportOf(ctx context.Context, from records, id string) (report.Report, error) {
	o, err := overviewOf(ctx, from, id, 0)
	if err != nil {
		return report.Report{}, err
	}
	file, err := from.Store().Fleet(ctx, o.Rollout.Digest)
	if err != nil {
		return report.Report{}, err
	}
	return report.Of(o, &file.Spec), nil
}

// follow shows a rollout until it has ended, writes its report, and returns
// what the end means.
func (c *command) follow(ctx context.Context, from records, id string) error {
	switch err := c.watch(ctx, from, id); {
	case errors.Is(err, view.ErrLeft):
		return &exit{ExitInterrupted, errors.New("the view was left, and with it the rollout waits; it goes on with the same command")}
	case err != nil:
		return err
	}
	r, err := reportOf(ctx, from, id)
	if err != nil {
		return err
	}
	folder := filepath.Join(c.stateDir, "reports")
	paths, err := writeReports(folder, r)
	if err != nil {
		return err
	}
	c.say("report: %s", paths[0])
	if err := c.printReport(r); err != nil {
		return err
	}
	return endOf(r)
}

// printReport writes a report as a result.
func (c *command) printReport(r report.Report) error {
	switch c.output {
	case "json":
		return report.JSON(c.Out, r)
	case "yaml":
		return c.print(r, nil)
	}
	return report.Text(c.Out, r)
}

// watch shows a rollout until it has ended, live on a terminal and as plain
// lines elsewhere.
func (c *command) watch(ctx context.Context, from records, id string) error {
	updates := make(chan view.Model)
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(updates)
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			o, err := overviewOf(gctx, from, id, 0)
			if err != nil {
				return err
			}
			select {
			case updates <- view.Of(&o, c.self()):
			case <-gctx.Done():
				return gctx.Err()
			}
			if o.Rollout.State.Ended() {
				return nil
			}
			select {
			case <-ticker.C:
			case <-gctx.Done():
				return gctx.Err()
			}
		}
	})
	group.Go(func() error {
		if c.LiveOut != nil {
			return view.Live(gctx, c.LiveIn, c.LiveOut, updates, view.Options{Color: c.Getenv("NO_COLOR") == ""})
		}
		return view.Plain(c.Err).Follow(gctx, updates)
	})
	return group.Wait()
}

// self is how this person calls the program for the same state.
func (c *command) self() string {
	if c.stateDir == c.defaultState() {
		return "liftlock"
	}
	return "liftlock --state " + c.stateDir
}

// writeReports writes a report as HTML and JSON and returns the paths.
func writeReports(folder string, r report.Report) (paths []string, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	for _, form := range []struct {
		suffix string
		write  func(io.Writer, report.Report) error
	}{{".html", report.HTML}, {".json", report.JSON}, {".xml", report.JUnit}} {
		path := filepath.Join(folder, r.Rollout+form.suffix)
		if err := writeFile(path, r, form.write); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func writeFile(path string, r report.Report, write func(io.Writer, report.Report) error) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return write(file, r)
}

func (c *command) statusCommand() *cobra.Command {
	var id string
	var follow bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show where a rollout stands", Args: cobra.NoArgs,
		Long:    "Show where a rollout stands: rings, clusters, pools, pods moved, what is waited for. With -o json the report so far.",
		Example: "  liftlock status\n  liftlock status --watch\n  liftlock status -o json | jq .violations",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withState(cmd.Context(), func(st State) error {
				ro, err := latest(cmd.Context(), st, id)
				if err != nil {
					return err
				}
				if follow {
					if err := c.watch(cmd.Context(), st, ro.ID); !errors.Is(err, view.ErrLeft) {
						return err
					}
					return nil
				}
				r, err := reportOf(cmd.Context(), st, ro.ID)
				if err != nil {
					return err
				}
				return c.printReport(r)
			})
		},
	}
	cmd.Flags().StringVar(&id, "rollout", "", "id of the rollout (default: the latest)")
	cmd.Flags().BoolVarP(&follow, "watch", "w", false, "follow it until it ends")
	return cmd
}

func (c *command) reportCommand() *cobra.Command {
	var id, folder string
	cmd := &cobra.Command{
		Use: "report", Short: "Write a rollout's report as HTML, JSON and JUnit", Args: cobra.NoArgs,
		Long:    "Write the report of a rollout, also of one that is under way, as HTML (timeline and availability plot), JSON and JUnit.",
		Example: "  liftlock report --dir reports",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withState(cmd.Context(), func(st State) error {
				ro, err := latest(cmd.Context(), st, id)
				if err != nil {
					return err
				}
				r, err := reportOf(cmd.Context(), st, ro.ID)
				if err != nil {
					return err
				}
				paths, err := writeReports(folder, r)
				if err != nil {
					return err
				}
				return c.print(paths, func(w io.Writer) {
					for _, p := range paths {
						fmt.Fprintln(w, p)
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&id, "rollout", "", "id of the rollout (default: the latest)")
	cmd.Flags().StringVar(&folder, "dir", ".", "folder to write to")
	return cmd
}
