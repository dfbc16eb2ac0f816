package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/report"
	"liftlock.dev/liftlock/internal/rollout"
)

// checkOptions are the flags of the command check.
type checkOptions struct {
	fleetFile, ring, cluster      string
	snapshot, at, from, poolLabel string
	auditLog                      string
	manifests, target, failOn     string
	only, skip                    []string
	list                          bool

	checks   []check.Check
	to       fleet.Version
	anyPatch bool
	time     time.Time
	server   fleet.Version
	fails    []fleet.Severity
}

func (c *command) checkCommand() *cobra.Command {
	o := &checkOptions{}
	cmd := &cobra.Command{
		Use: "check", Short: "Say beforehand what would fail, stall or interrupt an upgrade", Args: cobra.NoArgs,
		Annotations: map[string]string{moreFormats: "junit,sarif"},
		Long: `Say beforehand what would fail, stall or interrupt an upgrade: of the clusters of a
Fleet file, of one cluster from a file of its objects, or of manifests and charts
that are to go to one. Nothing is changed.

Every finding has an id, a severity, the object, why it matters and what to do. What
the Fleet file accepts is shown as accepted; acceptances that have expired or cover
nothing are named. A check that could not see all that it needs is listed with the
reason and, where a right is missing, with the rule to grant: it never counts as
passed.

Exit codes: 8 when there are blockers that nobody accepted, 9 when there are
warnings and --fail-on warning was given, 10 when nothing of that kind was found but
a check could not see all it needs, 2 when a file or flag is wrong.`,
		Example: `  # All clusters of a fleet, or one, or a ring
  liftlock check --fleet fleet.yaml
  liftlock check --fleet fleet.yaml --cluster prod-west --target 1.36
  liftlock check --fleet fleet.yaml --ring prod -o junit > check.xml

  # Without access to the cluster: what kubectl prints of it
  kubectl get nodes,pods,deployments,replicasets,statefulsets,daemonsets,jobs,pdb,hpa,pv,pvc -A -o json --show-managed-fields > cluster.json
  liftlock check --snapshot cluster.json --from 1.34.8 --target 1.36

  # Manifests and charts in a repository, for code scanning
  liftlock check --manifests deploy/ --target 1.36 -o sarif > check.sarif

  # Which checks there are, and some of them only
  liftlock check --list
  liftlock check --fleet fleet.yaml --only budgets,webhooks,platform`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.checkAll(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.fleetFile, "fleet", "", "Fleet file: its clusters are checked; with --snapshot, its policy and acceptances count")
	flags.StringVar(&o.cluster, "cluster", "", "only the clusters whose name fits; with --snapshot, the name of the cluster in the file")
	flags.StringVar(&o.ring, "ring", "", "only the clusters of a ring; with --snapshot, the ring of the cluster in the file")
	flags.StringVar(&o.snapshot, "snapshot", "", "file with a cluster's objects, as kubectl get -A -o json prints them; - for standard input")
	flags.StringVar(&o.manifests, "manifests", "", "folder or file with manifests and charts; - for standard input")
	flags.StringVar(&o.target, "target", "", "version to upgrade to, as 1.36 or 1.36.2 (default: the Fleet file's target)")
	flags.StringVar(&o.from, "from", "", "with --snapshot: the API server's version, which the file does not tell")
	flags.StringVar(&o.at, "at", "", "with --snapshot: when it was taken, as 2026-11-23T12:00:00Z (default: the newest time in it)")
	flags.StringVar(&o.poolLabel, "pool-label", "", "with --snapshot: node label that names pools (default: those of AKS)")
	flags.StringVar(&o.auditLog, "audit-log", "", "with --snapshot: the API server's audit log, which tells who asks for deprecated APIs")
	flags.StringSliceVar(&o.only, "only", nil, "names of checks, or of groups of them, to run (default: all)")
	flags.StringSliceVar(&o.skip, "skip", nil, "names of checks, or of groups of them, to leave out")
	flags.BoolVar(&o.list, "list", false, "list the checks instead of running them")
	flags.StringVar(&o.failOn, "fail-on", "blocker", "what ends with another exit code than 0: blocker, warning or never")
	_ = cmd.RegisterFlagCompletionFunc("only", completeChecks)
	_ = cmd.RegisterFlagCompletionFunc("skip", completeChecks)
	_ = cmd.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions([]string{"blocker", "warning", "never"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// completeChecks completes names of checks.
func completeChecks(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, one := range check.All() {
		names = append(names, one.Name+"\t"+one.Title)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// checkAll runs the command.
func (c *command) checkAll(ctx context.Context, o *checkOptions) error {
	if err := o.check(); err != nil {
		return &exit{ExitBadInput, err}
	}
	if o.list {
		return c.listChecks(o.checks)
	}
	var file rollout.FleetFile
	if o.fleetFile != "" {
		var err error
		if file, err = c.readFleet(ctx, o.fleetFile); err != nil {
			return err
		}
	}
	var results []check.Result
	var skipped []report.Skipped
	var acceptances []fleet.Acceptance
	var err error
	switch {
	case o.manifests != "":
		results, skipped, err = c.checkManifests(ctx, o)
	case o.snapshot != "":
		if file.Spec.Name != "" {
			acceptances = file.Spec.Accept
		}
		results, err = c.checkSnapshot(ctx, o, &file.Spec)
	default:
		acceptances = file.Spec.Accept
		results, err = c.host.Check(ctx, file, rollout.CheckRequest{
			Checks: o.checks, Cluster: o.cluster, Ring: o.ring, Target: o.to, AnyPatch: o.anyPatch,
		}, c.logger())
	}
	if err != nil {
		return err
	}
	now := results[0].At
	checked := report.NewChecked(results, check.Acceptances(acceptances, results, now, rollout.Matches), skipped)
	checked.Fleet, checked.At, checked.Product = file.Spec.Name, now, "liftlock "+c.host.Version().Version
	if err := c.printChecked(checked, o.fails); err != nil {
		return err
	}
	return o.verdict(checked)
}

// check looks at the flags, and says all that is wrong with them.
func (o *checkOptions) check() error {
	var wrong []error
	sources := 0
	for _, given := range []string{o.snapshot, o.manifests} {
		if given != "" {
			sources++
		}
	}
	switch {
	case o.list:
	case sources > 1:
		wrong = append(wrong, errors.New("--snapshot and --manifests exclude each other"))
	case sources == 0 && o.fleetFile == "":
		wrong = append(wrong, errors.New("nothing to check: give --fleet FILE, --snapshot FILE or --manifests DIR"))
	case o.manifests != "" && o.target == "":
		wrong = append(wrong, errors.New("--target VERSION is missing: what the manifests are to be applied to"))
	}
	if o.snapshot == "" && (o.at != "" || o.from != "" || o.poolLabel != "" || o.auditLog != "") {
		wrong = append(wrong, errors.New("--at, --from, --pool-label and --audit-log go with --snapshot"))
	}
	if o.manifests != "" && (o.fleetFile != "" || o.cluster != "" || o.ring != "") {
		wrong = append(wrong, errors.New("--fleet, --cluster and --ring do not go with --manifests"))
	}
	var err error
	if o.checks, err = check.Choose(o.only, o.skip); err != nil {
		wrong = append(wrong, err)
	}
	if o.target != "" {
		if o.to, err = fleet.ParseVersion(o.target); err != nil {
			wrong = append(wrong, fmt.Errorf("--target %q is not a version such as 1.36 or 1.36.2", o.target))
		}
		o.anyPatch = strings.Count(o.target, ".") == 1
	}
	if o.from != "" {
		if o.server, err = fleet.ParseVersion(o.from); err != nil {
			wrong = append(wrong, fmt.Errorf("--from %q is not a version such as 1.34.8", o.from))
		}
	}
	if o.at != "" {
		if o.time, err = time.Parse(time.RFC3339, o.at); err != nil {
			wrong = append(wrong, fmt.Errorf("--at %q is not a time such as 2026-11-23T12:00:00Z", o.at))
		}
	}
	switch o.failOn {
	case "never":
	case "blocker":
		o.fails = []fleet.Severity{fleet.Blocker}
	case "warning":
		o.fails = []fleet.Severity{fleet.Blocker, fleet.Warning}
	default:
		wrong = append(wrong, fmt.Errorf("--fail-on %q is none; choose blocker, warning or never", o.failOn))
	}
	return errors.Join(wrong...)
}

// checkManifests checks files that are to go to a cluster. Only checks of objects
// apply to them.
func (c *command) checkManifests(ctx context.Context, o *checkOptions) ([]check.Result, []report.Skipped, error) {
	objects, skipped, err := c.host.ReadManifests(ctx, o.manifests, c.In)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, err
		}
		return nil, nil, &exit{ExitBadInput, err}
	}
	if len(objects) == 0 && len(skipped) == 0 {
		return nil, nil, &exit{ExitBadInput, fmt.Errorf("%s holds no object: nothing was checked", o.manifests)}
	}
	facts := check.Facts{Cluster: o.manifests, At: time.Now().UTC().Truncate(time.Second), Target: o.to, Objects: objects}
	facts.Has(check.NeedObjects, check.NeedTarget)
	apply := slices.DeleteFunc(slices.Clone(o.checks), func(one check.Check) bool {
		named := slices.Contains(o.only, one.Name)
		return !named && slices.ContainsFunc(one.Needs, func(n check.Need) bool { return n != check.NeedObjects && n != check.NeedTarget })
	})
	return []check.Result{check.Run(&facts, apply)}, skipped, nil
}

// checkSnapshot checks a cluster from a file of its objects.
func (c *command) checkSnapshot(ctx context.Context, o *checkOptions, spec *fleet.Spec) ([]check.Result, error) {
	facts, err := c.host.ReadFacts(ctx, o.snapshot, c.In, o.time)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &exit{ExitBadInput, err}
	}
	if o.poolLabel != "" {
		for i := range facts.Snapshot.Nodes {
			facts.Snapshot.Nodes[i].Pool = facts.Snapshot.Nodes[i].Labels[o.poolLabel]
		}
	}
	facts.Cluster = cmp.Or(o.cluster, filepath.Base(o.snapshot))
	if o.snapshot == "-" && o.cluster == "" {
		facts.Cluster = "standard input"
	}
	facts.Ring = o.ring
	if facts.At.IsZero() {
		facts.At = time.Now().UTC().Truncate(time.Second)
	}
	target := o.to
	if spec.Name != "" {
		facts.Channels = spec.Channels
		facts.Policy = func(pool string) fleet.NodePolicy { return rollout.PoolPolicy(spec, o.ring, facts.Cluster, pool) }
		if target.IsZero() && spec.Target.Channel == fleet.ChannelExact {
			target = spec.Target.Version
		}
	}
	if o.anyPatch {
		for _, n := range facts.Snapshot.Nodes { // what is there already is the patch that is meant
			if n.Version.SameMinor(target) && target.Less(n.Version) {
				target = n.Version
			}
		}
		if o.server.SameMinor(target) && target.Less(o.server) {
			target = o.server
		}
	}
	if target.IsZero() {
		facts.Lacks(check.Unread{Need: check.NeedTarget, Why: "the version to upgrade to is not known", Remedy: "name it with --target", Absent: true})
	} else {
		facts.Target = target
		facts.Has(check.NeedTarget)
	}
	if !o.server.IsZero() {
		facts.Server = o.server
		facts.Gets(check.NeedServer)
	}
	if o.auditLog != "" {
		uses, unread, err := c.host.ReadAudit(ctx, o.auditLog)
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			return nil, &exit{ExitBadInput, err}
		}
		facts.Uses = uses
		facts.Gets(check.NeedUsage)
		for _, why := range unread {
			facts.Lacks(check.Unread{Need: check.NeedUsage, What: o.auditLog, Why: why})
		}
	}
	result := check.Run(&facts, o.checks)
	result.Accept(spec.Accept, rollout.Matches)
	return []check.Result{result}, nil
}

// printChecked prints results in the format that was asked for.
func (c *command) printChecked(checked report.Checked, fails []fleet.Severity) error {
	switch c.output {
	case "junit":
		return report.CheckJUnit(c.Out, checked, fails)
	case "sarif":
		return report.CheckSARIF(c.Out, checked)
	case "json":
		return report.CheckJSON(c.Out, checked)
	case "table":
		return report.CheckText(c.Out, checked)
	}
	return c.print(checked, nil)
}

// verdict turns what was found into an exit code.
func (o *checkOptions) verdict(c report.Checked) error {
	s := c.Summary
	switch {
	case len(o.fails) == 0:
		return nil
	case s.Blockers > 0:
		return &exit{ExitBlockers, nil}
	case s.Warnings > 0 && slices.Contains(o.fails, fleet.Warning):
		return &exit{ExitWarnings, nil}
	case s.NotRun > 0 || s.Files > 0:
		return &exit{ExitUnchecked, nil}
	}
	// A check that was asked for by its name counts, also where its source never
	// holds what it needs.
	for i := range c.Results {
		_, absent := c.Results[i].Lacking()
		if slices.ContainsFunc(absent, func(name string) bool { return slices.Contains(o.only, name) }) {
			return &exit{ExitUnchecked, nil}
		}
	}
	return nil
}

// listedCheck is a check as it is listed.
type listedCheck struct {
	Name  string       `json:"name"`
	Group check.Group  `json:"group"`
	Title string       `json:"title"`
	Doc   string       `json:"doc"`
	Needs []check.Need `json:"needs"`
	Finds []string     `json:"finds"`
}

func (c *command) listChecks(checks []check.Check) error {
	list := make([]listedCheck, len(checks))
	for i, one := range checks {
		list[i] = listedCheck{one.Name, one.Group, one.Title, one.Doc, one.Needs, nil}
		for _, kind := range one.Finds {
			list[i].Finds = append(list[i].Finds, kind.ID)
		}
	}
	if c.output == "junit" || c.output == "sarif" {
		return &exit{ExitBadInput, fmt.Errorf("--list has no format %s; choose table, json or yaml", c.output)}
	}
	return c.print(list, func(w io.Writer) {
		rows := make([][]string, len(list))
		for i, one := range list {
			rows[i] = []string{one.Name, string(one.Group), one.Title}
		}
		columns(w, "NAME\tGROUP\tTITLE", rows)
	})
}
