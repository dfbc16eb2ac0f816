package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"liftlock.dev/liftlock/internal/rollout"
)

// unverified marks a person whose identity nothing but the machine vouches for.
const unverified = " (unverified)"

// send carries out a request and prints what it did.
func (c *command) send(ctx context.Context, r rollout.Request) error {
	st, err := c.openSteered(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	r.Actor = c.Actor + unverified
	answer, err := st.Send(ctx, r)
	if err != nil {
		return err
	}
	if answer.Restart {
		c.say("no engine is running on %s; go on with: liftlock run FLEET_FILE", c.stateDir)
	}
	return c.print(answer, func(w io.Writer) { columns(w, "ROLLOUT\tDONE", [][]string{{answer.Rollout, answer.Done}}) })
}

// openSteered opens the state folder to steer what runs on it.
func (c *command) openSteered(ctx context.Context) (State, error) {
	if c.temporal.Address == "" {
		return c.openState(ctx)
	}
	st, err := c.host.JoinState(ctx, EngineOptions{Dir: c.stateDir, Temporal: c.temporal, Log: c.logger()})
	if err != nil && !errors.Is(err, rollout.ErrNoRollout) {
		return nil, &exit{ExitUnavailable, err}
	}
	return st, err
}

// requestCommand builds the command of a verb; shape adds its flags.
func (c *command) requestCommand(verb rollout.Verb, short, long, example string, shape func(cmd *cobra.Command, r *rollout.Request)) *cobra.Command {
	r := rollout.Request{Verb: verb}
	cmd := &cobra.Command{
		Use: string(verb), Short: short, Long: long, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.send(cmd.Context(), r) },
	}
	cmd.Flags().StringVar(&r.Rollout, "rollout", "", "id of the rollout (default: the latest)")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why, for the journal")
	if shape != nil {
		shape(cmd, &r)
	}
	return cmd
}

func clusterFlags(cmd *cobra.Command, r *rollout.Request) {
	cmd.Flags().StringVar(&r.Cluster, "cluster", "", "name (or pattern) of clusters")
	cmd.Flags().StringVar(&r.Ring, "ring", "", "only clusters of this ring")
}

func (c *command) approveCommand() *cobra.Command {
	return c.requestCommand(rollout.VerbApprove, "Give an approval that a ring waits for",
		`Give an approval that a ring waits for. Where only one is waited for, nothing need
be named. Approvals given on a local state folder are journalled as unverified:
nothing but the machine's own login vouches for who gave them.`,
		`  liftlock approve --ring prod --reason CHG-1234
  liftlock approve --ring prod --name go --role platform`,
		func(cmd *cobra.Command, r *rollout.Request) {
			cmd.Flags().StringVar(&r.Ring, "ring", "", "ring that asks for it")
			cmd.Flags().StringVar(&r.Name, "name", "", "name of the approval")
			cmd.Flags().StringVar(&r.Role, "role", "", "role that it is given in")
		})
}

func (c *command) pauseCommand() *cobra.Command {
	return c.requestCommand(rollout.VerbPause, "Start nothing new",
		"Start nothing new. Operations that the provider has begun, and pods that are moving, finish.", "  liftlock pause --reason 'incident 42'", nil)
}

func (c *command) resumeCommand() *cobra.Command {
	return c.requestCommand(rollout.VerbResume, "Go on after a pause", "Go on after a pause.", "  liftlock resume", nil)
}

func (c *command) skipCommand() *cobra.Command {
	return c.requestCommand(rollout.VerbSkip, "Leave clusters out of the rollout",
		"Leave clusters out of the rollout. One that was begun stops at its next safe point. Skipped clusters prove nothing and hold up nobody.",
		"  liftlock skip --cluster test-west\n  liftlock skip --ring test", clusterFlags)
}

func (c *command) retryCommand() *cobra.Command {
	return c.requestCommand(rollout.VerbRetry, "Take failed clusters up again, with the same versions",
		"Take clusters that failed, were aborted, skipped, rolled back or set aside up again, with the versions and images that the rollout has pinned.",
		"  liftlock retry\n  liftlock retry --cluster prod-west", clusterFlags)
}

func (c *command) abortCommand() *cobra.Command {
	return c.requestCommand(rollout.VerbAbort, "Stop at the next safe point",
		"Stop the rollout at the next safe point of each cluster. Own cordons, replica counts and autoscalers are restored; old and new pools are both kept. Take it up again with: liftlock retry.",
		"  liftlock abort --reason 'wrong week'", nil)
}

func (c *command) rollbackCommand() *cobra.Command {
	return c.requestCommand(rollout.VerbRollback, "Move pods back to the old nodes",
		`Move the pods of clusters back to their old nodes, as far as those still stand. That
is possible from the start of a pool until its old nodes are deleted (blueGreen) or
begin to be replaced (buffer, inPlace). Control planes never go back.`,
		"  liftlock rollback --cluster dev", clusterFlags)
}
