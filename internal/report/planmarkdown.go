package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleetplan"
)

// PlanMarkdown writes the plan of a fleet for a pull request or a change request.
func PlanMarkdown(w io.Writer, p *fleetplan.Plan) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Plan for fleet %s\n\n%s\n\n", md(p.Fleet), md(planVerdict(p)))
	for _, r := range p.Target.Resolved {
		of := ""
		if r.For != "*" {
			of = " for clusters at " + r.For
		}
		fmt.Fprintf(&b, "- **target** %s%s: %s\n", md(r.Version.String()), md(of), md(TargetWords(&r)))
	}
	for _, line := range PlanSummary(p) {
		fmt.Fprintf(&b, "- **%s** %s\n", md(line.Title), md(line.Text))
	}
	if len(p.Unassigned) > 0 {
		fmt.Fprintf(&b, "- **in no ring** %s\n", md(strings.Join(p.Unassigned, ", ")))
	}
	if o := p.Ongoing; o != nil {
		fmt.Fprintf(&b, "- **takes up** rollout %s (%s)\n", md(o.Rollout), md(string(o.State)))
	}
	b.WriteString("\n| ring | clusters | at once | starts | ends | proven | at the latest | windows |\n|---|---|---|---|---|---|---|---|\n")
	for i := range p.Rings {
		r := &p.Rings[i]
		zone, c := ZoneOf(r), &r.Calendar
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s | %s | %s | %s |\n", md(r.Name), len(r.Clusters), r.Concurrency,
			mdTime(c.Starts, zone), mdTime(c.Ends, zone), mdTime(c.Proven, zone), mdTime(c.ProvenLate, zone), md(fitWords(c.Fit.Verdict)))
	}
	for i := range p.Rings {
		markdownRing(&b, &p.Rings[i])
	}
	fmt.Fprintf(&b, "\n<sub>Made %s by Liftlock of %s (SHA-256 %s). Nothing was touched.</sub>\n", p.CreatedAt.UTC().Format("2006-01-02 15:04 MST"), md(p.File.Path), md(p.File.Digest))
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

func markdownRing(b *bytes.Buffer, r *fleetplan.Ring) {
	zone := ZoneOf(r)
	fmt.Fprintf(b, "\n## Ring %s\n\n", md(r.Name))
	item := func(title, text string) { fmt.Fprintf(b, "- **%s** %s\n", title, md(text)) }
	for _, o := range r.Obstacles {
		item("in the way", o)
	}
	item("versions", r.Source)
	for _, i := range r.Images {
		item("node image", i.Image+": "+i.Source)
	}
	item("windows", r.Calendar.Fit.Says)
	for _, change := range r.Calendar.Fit.Change {
		fmt.Fprintf(b, "  - to change: %s\n", md(change))
	}
	for _, o := range r.Calendar.Openings {
		used := ""
		if o.Used {
			used = ", used"
		}
		fmt.Fprintf(b, "  - %s to %s%s\n", mdTime(o.Opens, zone), mdTime(o.Closes, zone), used)
	}
	for _, f := range r.Calendar.Freezes {
		fmt.Fprintf(b, "- **freeze in the way** %s, %s to %s\n", md(f.Name), mdTime(f.From, zone), mdTime(f.Until, zone))
	}
	for _, a := range r.Before {
		item("before it starts", ApprovalWords(&a))
	}
	if r.SoakSeconds > 0 {
		item("soak", Length(r.SoakSeconds))
	}
	for _, a := range r.After {
		item("before the next ring", ApprovalWords(&a))
	}
	if len(r.Clusters) == 0 {
		return
	}
	b.WriteString("\n| cluster | versions | starts | forecast | bound | extra node-hours | |\n|---|---|---|---|---|---|---|\n")
	for i := range r.Clusters {
		c := &r.Clusters[i]
		forecast, bound := "–", "–"
		if c.Forecast.P90 > 0 {
			forecast = Between(c.Forecast)
		}
		if c.Bound.Seconds > 0 {
			bound = BoundWords(c.Bound)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %.2f | %s |\n", md(c.Name), md(Versions(c)), mdTime(c.Starts, zone), md(forecast), md(bound), c.NodeHours, md(remark(c)))
	}
	for i := range r.Clusters {
		markdownCluster(b, &r.Clusters[i])
	}
}

// remark is the one thing to know of a cluster.
func remark(c *fleetplan.Cluster) string {
	switch {
	case c.LeftAlone != "":
		return "left as it is: " + c.LeftAlone
	case c.State != "" && c.State.Ended():
		return string(c.State)
	case c.Blocked != "":
		return "blocked: " + c.Blocked
	case c.Unread != "":
		return "not read: " + c.Unread
	case len(c.Needs) > 0:
		return counted(len(c.Needs), "thing is needed", "things are needed")
	case c.Work == "":
		return "nothing to do"
	}
	return ""
}

func markdownCluster(b *bytes.Buffer, c *fleetplan.Cluster) {
	if len(c.Legs) == 0 {
		return
	}
	fmt.Fprintf(b, "\n<details><summary>Steps of %s</summary>\n\n", md(c.Name))
	for _, need := range c.Needs {
		fmt.Fprintf(b, "- **needs** %s\n", md(need))
	}
	if len(c.Needs) > 0 {
		b.WriteByte('\n')
	}
	for i := range c.Legs {
		leg := &c.Legs[i]
		takes := ""
		if leg.Forecast.P50 > 0 {
			takes = fmt.Sprintf(": %s (%s)", Between(leg.Forecast.Forecast), leg.Forecast.Says)
		}
		fmt.Fprintf(b, "%d. %s%s\n", i+1, md(LegWords(leg)), md(takes))
		if leg.Pool == nil {
			continue
		}
		for _, s := range leg.Pool.Steps {
			mark := ""
			if s.PointOfNoReturn {
				mark = " **← no way back from here**"
			}
			fmt.Fprintf(b, "   - %s%s\n", md(StepWords(&s)), mark)
		}
	}
	if len(c.Findings) > 0 {
		b.WriteString("\n| severity | object | finding | accepted by |\n|---|---|---|---|\n")
		for _, f := range c.Findings {
			fmt.Fprintf(b, "| %s | %s | %s (%s) | %s |\n", f.Severity, md(f.Object), md(f.What), md(f.ID), md(f.AcceptedBy))
		}
	}
	b.WriteString("\n</details>\n")
}

func mdTime(at time.Time, zone *time.Location) string {
	if at.IsZero() {
		return "–"
	}
	return at.In(zone).Format("Mon 2006-01-02 15:04 MST")
}

// md takes from a text what Markdown and HTML would act on.
var mdEscapes = strings.NewReplacer(
	"\\", "\\\\", "|", "\\|", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "<", "&lt;", ">", "&gt;", "&", "&amp;", "#", "\\#", "@", "@\u200b", "~", "\\~",
)

func md(s string) string { return mdEscapes.Replace(plain(s)) }
