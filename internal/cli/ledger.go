package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// withState runs f on the state folder.
func (c *command) withState(ctx context.Context, f func(st State) error) error {
	st, err := c.openState(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(st), st.Close())
}

// openState opens the state folder. One that is not there holds no rollout, and
// is not made by looking.
func (c *command) openState(ctx context.Context) (State, error) {
	st, err := c.host.OpenState(ctx, c.stateDir)
	if err != nil && !errors.Is(err, rollout.ErrNoRollout) {
		return nil, &exit{ExitUnavailable, err}
	}
	return st, err
}

func (c *command) ledgerCommand() *cobra.Command {
	var fleetName string
	cmd := &cobra.Command{
		Use: "ledger", Short: "List the versions that rings have proven", Args: cobra.NoArgs,
		Long:    "List the Kubernetes versions and node images that rings have proven. Later rings use exactly these.",
		Example: "  liftlock ledger\n  liftlock ledger -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withState(cmd.Context(), func(st State) error {
				if fleetName == "" {
					ro, err := latest(cmd.Context(), st, "")
					if err != nil {
						return err
					}
					fleetName = ro.Fleet
				}
				entries, err := st.Ledger().Entries(cmd.Context(), fleetName)
				if err != nil {
					return err
				}
				if entries == nil {
					entries = []fleet.LedgerEntry{}
				}
				return c.print(entries, func(w io.Writer) {
					rows := make([][]string, len(entries))
					for i, e := range entries {
						rows[i] = []string{string(e.Kind), e.Subject, e.Version, e.Ring, e.ProvenAt.Format(time.RFC3339), e.Evidence}
					}
					columns(w, "KIND\tSUBJECT\tVERSION\tRING\tPROVEN\tEVIDENCE", rows)
				})
			})
		},
	}
	cmd.Flags().StringVar(&fleetName, "fleet", "", "name of the fleet (default: that of the latest rollout)")
	return cmd
}

func latest(ctx context.Context, st State, id string) (rollout.RolloutRecord, error) {
	return (&rollout.Control{Store: st.Store()}).Latest(ctx, id)
}

func (c *command) journalCommand() *cobra.Command {
	var id string
	var after int64
	cmd := &cobra.Command{
		Use: "journal", Short: "Show what was done, by whom and why", Args: cobra.NoArgs,
		Long:    "Show the append-only record of what was done, by whom and why: what an auditor reads.",
		Example: "  liftlock journal\n  liftlock journal --rollout contoso-20261123-220102 -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withState(cmd.Context(), func(st State) error {
				ro, err := latest(cmd.Context(), st, id)
				if err != nil {
					return err
				}
				entries, err := st.Journal().Read(cmd.Context(), ro.ID, after, 0)
				if err != nil {
					return err
				}
				if entries == nil {
					entries = []fleet.JournalEntry{}
				}
				return c.print(entries, func(w io.Writer) {
					rows := make([][]string, len(entries))
					for i, e := range entries {
						rows[i] = []string{fmt.Sprint(e.Seq), e.At.Format(time.TimeOnly), e.Actor, e.Cluster, e.Pool, e.Action, e.Object, e.Reason}
					}
					columns(w, "SEQ\tTIME\tACTOR\tCLUSTER\tPOOL\tACTION\tOBJECT\tREASON", rows)
				})
			})
		},
	}
	cmd.Flags().StringVar(&id, "rollout", "", "id of the rollout (default: the latest)")
	cmd.Flags().Int64Var(&after, "after", 0, "only entries after this sequence number")
	return cmd
}

func (c *command) snapshotCommand() *cobra.Command {
	return &cobra.Command{
		Use: "snapshot FILE", Short: "Copy rollouts, ledger and journal to a file, while others use them", Args: cobra.ExactArgs(1),
		Long:    "Copy rollouts, ledger and journal of the state folder to a new SQLite file, also while a rollout runs.",
		Example: "  liftlock snapshot backup-2026-11-23.db",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return &exit{ExitBadInput, err}
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				return &exit{ExitBadInput, fmt.Errorf("%s is there already; name a new file", path)}
			}
			return c.withState(cmd.Context(), func(st State) error {
				if err := st.Snapshot(cmd.Context(), path); err != nil {
					return err
				}
				return c.print(map[string]string{"file": path}, func(w io.Writer) { fmt.Fprintln(w, path) })
			})
		},
	}
}

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say what this binary is", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := c.host.Version()
			return c.print(v, func(w io.Writer) { fmt.Fprintf(w, "liftlock %s (%s, %s)\n", v.Version, v.Commit, v.Go) })
		},
	}
}
