package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/domain/plan"
	"liftlock.dev/liftlock/internal/report"
)

// planFleet says what a rollout of a Fleet file would do.
func (c *command) planFleet(ctx context.Context, o *planOptions) error {
	file, err := c.readFleet(ctx, o.fleetFile)
	if err != nil {
		return err
	}
	if err := o.known(&file.Spec); err != nil {
		return &exit{ExitBadInput, err}
	}
	made, err := c.host.PlanFleet(ctx, file, o.fleetFile, c.stateDir, c.logger())
	if err != nil {
		return err
	}
	if o.save != "" {
		if err := savePlan(o.save, &made); err != nil {
			return err
		}
		c.say("kept in %s; carry it out with: liftlock run --plan %s", o.save, o.save)
	}
	if err := o.narrow(&made); err != nil {
		return &exit{ExitBadInput, err}
	}
	switch c.output {
	case "markdown":
		return report.PlanMarkdown(c.Out, &made)
	case "html":
		return report.PlanHTML(c.Out, &made)
	}
	return c.print(&made, func(w io.Writer) {
		var text bytes.Buffer
		drawFleetPlan(&text, &made)
		_, _ = w.Write(bytes.Map(harmless, text.Bytes()))
	})
}

// harmless drops what could steer a terminal out of names that others gave.
func harmless(c rune) rune {
	if unicode.IsControl(c) && c != '\n' || unicode.Is(unicode.Cf, c) {
		return -1
	}
	return c
}

// known says that a ring is not in the Fleet file.
func (o *planOptions) known(spec *fleet.Spec) error {
	if o.ring == "" {
		return nil
	}
	if ring, _ := spec.Ring(o.ring); ring != nil {
		return nil
	}
	var names []string
	for i := range spec.Rings {
		names = append(names, spec.Rings[i].Name)
	}
	return fmt.Errorf("--ring %q is not in %s; its rings are %s", o.ring, o.fleetFile, strings.Join(names, ", "))
}

// narrow leaves in a plan what was asked for. The rings before are planned all the
// same: they say when a ring may start.
func (o *planOptions) narrow(p *fleetplan.Plan) error {
	if o.ring != "" {
		p.Rings = slices.DeleteFunc(p.Rings, func(r fleetplan.Ring) bool { return r.Name != o.ring })
	}
	if o.cluster == "" {
		return nil
	}
	var all []string
	p.Rings = slices.DeleteFunc(p.Rings, func(r fleetplan.Ring) bool {
		return !slices.ContainsFunc(r.Clusters, func(c fleetplan.Cluster) bool {
			all = append(all, c.Name)
			return plan.Match(o.cluster, c.Name)
		})
	})
	for i := range p.Rings {
		r := &p.Rings[i]
		r.Clusters = slices.DeleteFunc(r.Clusters, func(c fleetplan.Cluster) bool { return !plan.Match(o.cluster, c.Name) })
	}
	if len(p.Rings) == 0 {
		return fmt.Errorf("--cluster %q fits no cluster of these rings; there are %s", o.cluster, strings.Join(all, ", "))
	}
	return nil
}

// savePlan keeps a plan in a file, whole or not at all.
func savePlan(path string, p *fleetplan.Plan) (err error) {
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return &exit{ExitBadInput, fmt.Errorf("--save %s: %w", path, err)}
	}
	err = errors.Join(fleetplan.Write(file, p), file.Close())
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("--save %s: %w", path, errors.Join(err, os.Remove(part)))
	}
	return nil
}

// drawFleetPlan draws the plan of a fleet for people.
func drawFleetPlan(w io.Writer, p *fleetplan.Plan) {
	fmt.Fprintf(w, "fleet %s: plan of %s (Fleet file %s, %.12s)\n", p.Fleet, p.CreatedAt.UTC().Format("2006-01-02 15:04 MST"), p.File.Path, p.File.Digest)
	if o := p.Ongoing; o != nil {
		fmt.Fprintf(w, "takes up   rollout %s (%s %s)\n", o.Rollout, o.State, o.Reason)
	}
	for _, r := range p.Target.Resolved {
		of := ""
		if r.For != "*" {
			of = " for " + r.For
		}
		fmt.Fprintf(w, "target     %s%s: %s\n", r.Version, of, report.TargetWords(&r))
	}
	for _, line := range report.PlanSummary(p) {
		fmt.Fprintf(w, "%-10s %s\n", line.Title, line.Text)
	}
	if len(p.Unassigned) > 0 {
		fmt.Fprintf(w, "in no ring %s\n", strings.Join(p.Unassigned, ", "))
	}
	fmt.Fprintln(w)
	rows := make([][]string, 0, len(p.Rings))
	for i := range p.Rings {
		r := &p.Rings[i]
		zone := report.ZoneOf(r)
		c := &r.Calendar
		rows = append(rows, []string{
			r.Name, fmt.Sprint(len(r.Clusters)), fmt.Sprint(r.Concurrency), moment(c.Starts, zone), moment(c.Ends, zone), moment(c.Proven, zone), moment(c.ProvenLate, zone), string(c.Fit.Verdict), r.TimeZone,
		})
	}
	columns(w, "RING\tCLUSTERS\tAT ONCE\tSTARTS\tENDS\tPROVEN\tAT THE LATEST\tWINDOWS\tTIME ZONE", rows)
	for i := range p.Rings {
		drawRing(w, &p.Rings[i])
	}
}

// moment writes a time in a zone, or a dash for none.
func moment(at time.Time, zone *time.Location) string {
	if at.IsZero() {
		return "–"
	}
	return at.In(zone).Format("Mon 2006-01-02 15:04")
}

func drawRing(w io.Writer, r *fleetplan.Ring) {
	zone := report.ZoneOf(r)
	fmt.Fprintf(w, "\nring %s", r.Name)
	if r.State != "" {
		fmt.Fprintf(w, " (%s)", r.State)
	}
	fmt.Fprintf(w, "\n  versions   %s\n", r.Source)
	for _, i := range r.Images {
		fmt.Fprintf(w, "  image      %s: %s\n", i.Image, i.Source)
	}
	fmt.Fprintf(w, "  windows    %s\n", r.Calendar.Fit.Says)
	for _, change := range r.Calendar.Fit.Change {
		fmt.Fprintf(w, "             to change: %s\n", change)
	}
	for _, o := range r.Calendar.Openings {
		used := ""
		if o.Used {
			used = " (used)"
		}
		if o.Opens.IsZero() {
			fmt.Fprintf(w, "             open until %s%s\n", moment(o.Closes, zone), used)
			continue
		}
		fmt.Fprintf(w, "             %s to %s%s\n", moment(o.Opens, zone), moment(o.Closes, zone), used)
	}
	for _, f := range r.Calendar.Freezes {
		fmt.Fprintf(w, "  freeze     %s, %s to %s\n", f.Name, moment(f.From, zone), moment(f.Until, zone))
	}
	for _, a := range r.Before {
		fmt.Fprintf(w, "  before     %s\n", report.ApprovalWords(&a))
	}
	for _, a := range r.After {
		fmt.Fprintf(w, "  after      %s\n", report.ApprovalWords(&a))
	}
	if r.SoakSeconds > 0 {
		fmt.Fprintf(w, "  soak       %s\n", report.Length(r.SoakSeconds))
	}
	for _, o := range r.Obstacles {
		fmt.Fprintf(w, "  IN THE WAY %s\n", o)
	}
	for i := range r.Clusters {
		drawCluster(w, &r.Clusters[i], zone)
	}
}

func drawCluster(w io.Writer, c *fleetplan.Cluster, zone *time.Location) {
	fmt.Fprintf(w, "\n  cluster %s: %s", c.Name, report.Versions(c))
	if !c.Starts.IsZero() {
		fmt.Fprintf(w, ", %s, takes %s", moment(c.Starts, zone), report.Between(c.Forecast))
	}
	fmt.Fprintln(w)
	switch {
	case c.LeftAlone != "":
		fmt.Fprintf(w, "    left as it is: %s\n", c.LeftAlone)
		return
	case c.State.Ended():
		fmt.Fprintf(w, "    %s\n", c.State)
		return
	case c.Work == "":
		fmt.Fprintln(w, "    nothing to do: its nodes are looked at once more")
	}
	if c.Bound.Seconds > 0 {
		fmt.Fprintf(w, "    bound %s\n", report.BoundWords(c.Bound))
	}
	if c.Unread != "" {
		fmt.Fprintf(w, "    NOT READ: %s; it is set aside unless it can be reached by then, and nothing is known of its pods\n", c.Unread)
	}
	if c.Blocked != "" {
		fmt.Fprintf(w, "    BLOCKED: %s\n", c.Blocked)
	}
	for _, need := range c.Needs {
		fmt.Fprintf(w, "    NEEDS %s\n", need)
	}
	for _, h := range c.Hops {
		if h.NodePass {
			fmt.Fprintf(w, "    nodes move at %s: %s\n", h.ControlPlane, h.Why)
		}
	}
	for i := range c.Legs {
		drawLeg(w, i+1, &c.Legs[i])
	}
	said := 0
	for _, f := range c.Findings {
		if said++; said > mostBlocked {
			fmt.Fprintln(w, "    and more findings; see -o json")
			break
		}
		accepted := ""
		if f.AcceptedBy != "" {
			accepted = ", accepted by " + f.AcceptedBy
		}
		fmt.Fprintf(w, "    %s %s: %s (%s%s)\n", f.Severity, f.Object, f.What, f.ID, accepted)
	}
}

func drawLeg(w io.Writer, n int, leg *fleetplan.Leg) {
	if leg.Pool == nil {
		takes := ""
		if leg.Forecast.P50 > 0 {
			takes = fmt.Sprintf(": %s (%s)", report.Between(leg.Forecast.Forecast), leg.Forecast.Says)
		}
		fmt.Fprintf(w, "    %d. %s%s\n", n, report.LegWords(leg), takes)
		return
	}
	p := leg.Pool
	fmt.Fprintf(w, "    %d. %s: %s (%s)\n", n, report.LegWords(leg), report.Between(leg.Forecast.Forecast), leg.Forecast.Says)
	for _, s := range p.Steps {
		mark := ""
		if s.PointOfNoReturn {
			mark = "  <- no way back from here"
		}
		fmt.Fprintf(w, "         %s%s\n", report.StepWords(&s), mark)
	}
	if p.Blocked > 0 {
		fmt.Fprintf(w, "         %d pods are blocked as things are\n", p.Blocked)
	}
	if p.Bound.Seconds > 0 {
		fmt.Fprintf(w, "         bound %s\n", report.BoundWords(p.Bound))
	}
}
