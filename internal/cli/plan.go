package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// planOptions are the flags of the command plan.
type planOptions struct {
	snapshot, at, fleetFile, ring, cluster string
	save, strategy                         string
	fullPace                               bool
	accept                                 []string
	request                                rollout.PoolRequest
}

func (c *command) planCommand() *cobra.Command {
	o := planOptions{request: rollout.PoolRequest{Assume: evacuate.UsualAssumptions}}
	cmd := &cobra.Command{
		Use: "plan", Short: "Say what would happen to a fleet, or to one pool, when and why", Args: cobra.NoArgs,
		Annotations: map[string]string{moreFormats: "markdown,html"},
		Long: `With --fleet, say what a rollout of a Fleet file would do now: the versions and where
they come from, the hops of each cluster, when each ring may start and whether its
work fits its windows, the steps of every pool with the points of no return, how long
it takes (from what earlier rollouts took, else from the pods as they are now), what
no order of it can beat, what it costs and how many nodes there are more at once, and
what stands in the way. Nothing is touched. --ring and --cluster show a part. --save
keeps the plan in a file, which liftlock run --plan carries out, or refuses to because
the world moved.

With --snapshot, say how the evacuation of one node pool would go, from a file that
kubectl wrote: which way every pod moves, in which waves, how long it takes, the lower
bound that no order of the same moves can beat and what sets it, how often a pod moves,
how many node-hours it costs, and which pods are blocked, by whom, and what can be done.
No cloud and no cluster is needed. What the moves may do is what the Fleet file says
(--fleet), or the defaults of one.

Exit code 0 means that there is a plan, also when something stands in its way. A file,
pool or flag that makes no sense ends with 2; everything that is wrong is said at once.`,
		Example: `  liftlock plan --fleet fleet.yaml
  liftlock plan --fleet fleet.yaml --ring prod
  liftlock plan --fleet fleet.yaml -o markdown > plan.md     # for a pull request
  liftlock plan --fleet fleet.yaml -o html --save plan.json > plan.html
  liftlock run --plan plan.json                              # that, or nothing

  # One pool, offline
  kubectl get nodes,pods,deployments,replicasets,statefulsets,daemonsets,jobs,pdb,hpa,pv,pvc,storageclasses -A -o json > cluster.json
  liftlock plan --snapshot cluster.json --pool apps

  # Ten extra nodes at a time instead of a second pool
  liftlock plan --snapshot cluster.json --pool apps --extra-nodes 10 -o json

  # What the provider's own upgrade would do, and at whose expense
  liftlock plan --snapshot cluster.json --pool apps --strategy inPlace`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.snapshot != "" || o.fleetFile == "" {
				return c.plan(cmd.Context(), &o)
			}
			if err := onlyOffline(cmd); err != nil {
				return &exit{ExitBadInput, err}
			}
			return c.planFleet(cmd.Context(), &o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.snapshot, "snapshot", "", "file with the cluster's objects, as kubectl get -A -o json prints them; - for standard input")
	flags.StringVar(&o.request.Pool, "pool", "", "the pool to empty")
	flags.StringVar(&o.strategy, "strategy", "", "blueGreen, buffer or inPlace (default: the Fleet file's, else blueGreen)")
	flags.IntVar(&o.request.ExtraNodes, "extra-nodes", 0, "so many nodes beside the pool's own at once: fewer cost less and take longer (default: as many as the pool has; inPlace: the provider's surge)")
	flags.StringVar(&o.fleetFile, "fleet", "", "Fleet file to plan; with --snapshot, the one with the policy (spec.nodes, overrides, accept)")
	flags.StringVar(&o.ring, "ring", "", "show this ring only; with --snapshot, the ring whose overrides count")
	flags.StringVar(&o.cluster, "cluster", "", "show clusters of this name (or pattern) only; with --snapshot, the cluster whose overrides and acceptances count")
	flags.StringVar(&o.save, "save", "", "keep the whole plan in this file, for liftlock run --plan")
	flags.BoolVar(&o.fullPace, "full-pace", false, "no canary node, and all pods may be in motion at once")
	flags.StringArrayVar(&o.accept, "accept", nil, "take a finding as accepted: ID, or ID=OBJECT with a pattern (repeatable)")
	flags.StringVar(&o.at, "at", "", "when the snapshot was taken, as 2026-11-23T12:00:00Z (default: the newest time in it)")
	flags.StringVar(&o.request.PoolLabel, "pool-label", "", "node label that names pools (default: those of AKS)")
	flags.DurationVar(&o.request.Assume.NodeCreation, "node-creation", o.request.Assume.NodeCreation, "how long until a new node can receive pods")
	flags.DurationVar(&o.request.Assume.NodeRemoval, "node-removal", o.request.Assume.NodeRemoval, "how long until a node that was given up no longer counts")
	flags.Float64Var(&o.request.Assume.EvictionsPerSecond, "evictions-per-second", 0, "what the API server takes (default: no limit)")
	return cmd
}

// offlineFlags go with --snapshot alone.
var offlineFlags = []string{"pool", "strategy", "extra-nodes", "full-pace", "accept", "at", "pool-label", "node-creation", "node-removal", "evictions-per-second"}

// onlyOffline names the flags that say nothing without --snapshot.
func onlyOffline(cmd *cobra.Command) error {
	var wrong []error
	for _, name := range offlineFlags {
		if cmd.Flags().Changed(name) {
			wrong = append(wrong, fmt.Errorf("--%s goes with --snapshot FILE alone; the plan of a fleet goes by its Fleet file", name))
		}
	}
	return errors.Join(wrong...)
}

// plan reads the file and prints the plan.
func (c *command) plan(ctx context.Context, o *planOptions) error {
	at, err := o.check()
	if c.output == "markdown" || c.output == "html" {
		err = errors.Join(err, fmt.Errorf("--output %s is a format of a fleet's plan alone; choose table, json or yaml", c.output))
	}
	if err != nil {
		return &exit{ExitBadInput, err}
	}
	if err := c.policyOf(ctx, o); err != nil {
		return err
	}
	snapshot, findings, err := c.host.ReadSnapshot(ctx, o.snapshot, c.In, at)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &exit{ExitBadInput, err}
	}
	made, err := rollout.PlanPool(snapshot, findings, o.request)
	if err != nil {
		return &exit{ExitBadInput, fmt.Errorf("%s: %w", o.snapshot, err)}
	}
	return c.print(made, func(w io.Writer) { drawPlan(w, &made) })
}

// check looks at the flags.
func (o *planOptions) check() (at time.Time, err error) {
	var wrong []error
	if o.snapshot == "" {
		wrong = append(wrong, errors.New("--fleet FILE is missing: the Fleet file to plan; or, for one pool, --snapshot FILE is missing: the file that kubectl get -A -o json wrote"))
	}
	if o.save != "" {
		wrong = append(wrong, errors.New("--save goes with --fleet alone: what is kept is the plan of a fleet"))
	}
	if o.request.Pool == "" {
		wrong = append(wrong, errors.New("--pool NAME is missing: the pool to empty"))
	}
	switch o.request.Strategy = fleet.Strategy(o.strategy); o.request.Strategy {
	case "", fleet.BlueGreen, fleet.Buffer, fleet.InPlace:
	default:
		wrong = append(wrong, fmt.Errorf("--strategy %q is none; choose blueGreen, buffer or inPlace", o.strategy))
	}
	if o.request.ExtraNodes < 0 {
		wrong = append(wrong, fmt.Errorf("--extra-nodes %d is less than none", o.request.ExtraNodes))
	}
	if a := &o.request.Assume; a.NodeCreation < 0 || a.NodeRemoval < 0 || a.EvictionsPerSecond < 0 {
		wrong = append(wrong, errors.New("--node-creation, --node-removal and --evictions-per-second cannot be negative"))
	}
	if o.at != "" {
		if at, err = time.Parse(time.RFC3339, o.at); err != nil {
			wrong = append(wrong, fmt.Errorf("--at %q is not a time such as 2026-11-23T12:00:00Z", o.at))
		}
	}
	return at, errors.Join(wrong...)
}

// policyOf finds the policy that the plan goes by.
func (c *command) policyOf(ctx context.Context, o *planOptions) error {
	o.request.Policy = fleet.UsualNodePolicy()
	if o.fleetFile != "" {
		file, err := c.readFleet(ctx, o.fleetFile)
		if err != nil {
			return err
		}
		o.request.Policy = rollout.PoolPolicy(&file.Spec, o.ring, o.cluster, o.request.Pool)
		o.request.Accepted = rollout.AcceptancesOf(&file.Spec, o.cluster)
	}
	if o.fullPace {
		o.request.Policy.Pace = fleet.Pace{MaxInMotion: fleet.Amount{Percent: 100}}
	}
	for _, a := range o.accept {
		id, object, _ := strings.Cut(a, "=")
		o.request.Accepted = append(o.request.Accepted, fleet.Acceptance{Finding: id, Object: object, Owner: "--accept"})
	}
	return nil
}

// mostBlocked pods are listed in a table; the other formats have all.
const mostBlocked = 20

// drawPlan draws a plan for people.
func drawPlan(w io.Writer, p *evacuate.PoolPlan) {
	m := p.Moves
	fmt.Fprintf(w, "pool %s, strategy %s: %d pods on %d nodes, %d extra nodes\n\n", p.Pool, p.Strategy, p.Pods, p.Nodes, p.ExtraNodes)
	columns(w, "ROLL\tSURGE\tEVICT\tORDERED\tWAIT\tREFUSE\tBLOCKED", [][]string{{
		fmt.Sprint(m.Roll), fmt.Sprint(m.Surge), fmt.Sprint(m.Evict), fmt.Sprint(m.Ordered), fmt.Sprint(m.Wait), fmt.Sprint(m.Refuse), fmt.Sprint(len(p.Blocked)),
	}})
	fmt.Fprintf(w, "\nforecast  %s, in nine of ten cases at most %s\n", seconds(p.Forecast.P50), seconds(p.Forecast.P90))
	fmt.Fprintf(w, "bound     %s, set by %s (%s)\n", seconds(p.BoundSeconds), p.Binding.Term, p.Binding.Object)
	fmt.Fprintf(w, "cost      %.2f node-hours, %.3f moves per pod\n\n", p.ExtraNodeHours, p.MovesPerPod)
	rows := make([][]string, 0, len(p.Waves))
	for i, wave := range p.Waves {
		if len(p.Waves) > mostBlocked && i >= mostBlocked {
			rows = append(rows, []string{"…", fmt.Sprintf("and %d more", len(p.Waves)-i)})
			break
		}
		what := ""
		switch {
		case wave.Canary && wave.Home:
			what = "canary, home again"
		case wave.Canary:
			what = "canary"
		case wave.Home:
			what = "home again"
		}
		rows = append(rows, []string{fmt.Sprint(wave.Wave), fmt.Sprint(len(wave.Nodes)), fmt.Sprint(wave.Pods), seconds(wave.StartSeconds), seconds(wave.Seconds), what})
	}
	columns(w, "WAVE\tNODES\tPODS\tSTARTS AFTER\tTAKES\t", rows)
	stuck := func(title string, list []evacuate.Stuck) {
		if len(list) == 0 {
			return
		}
		fmt.Fprintf(w, "\n%s:\n", title)
		for i, s := range list {
			if i == mostBlocked {
				fmt.Fprintf(w, "  and %d more; see -o json\n", len(list)-i)
				break
			}
			fmt.Fprintf(w, "  %s: %s\n    %s\n", s.Pod, s.By, s.Remedy)
		}
	}
	stuck("blocked until a person decides", p.Blocked)
	stuck("refused by policy or mark", p.Refused)
	said := 0
	for _, f := range p.Findings {
		if f.Severity == fleet.Blocker {
			continue // its pods are listed above
		}
		if said++; said == 1 {
			fmt.Fprintln(w, "\nto know:")
		}
		if said > mostBlocked {
			fmt.Fprintf(w, "  and more; see -o json\n")
			break
		}
		fmt.Fprintf(w, "  %s (%s)\n", f.What, f.ID)
	}
}

// seconds writes a time for people.
func seconds(s float64) string {
	return (time.Duration(s) * time.Second).String()
}
