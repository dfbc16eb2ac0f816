package report

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleetplan"
)

// planPage is what the template of a plan is given.
type planPage struct {
	*fleetplan.Plan
	Verdict  string
	Tone     string
	Summary  []Line
	Clusters int
	Calendar planChart
}

// PlanHTML writes the plan of a fleet as one page, which needs no other file, no
// network and no script.
func PlanHTML(w io.Writer, p *fleetplan.Plan) error {
	tmpl, err := template.New("plan.html.tmpl").Funcs(template.FuncMap{
		"length": Length, "between": Between, "bound": BoundWords, "target": TargetWords, "approval": ApprovalWords, "versions": Versions,
		"leg": LegWords, "step": StepWords, "peak": PeakWords, "fit": fitWords, "ringtone": ringTone, "remark": remark, "blocks": inTheWay,
		"counted": counted, "minute": minute, "machine": machineTime,
		"in": func(r *fleetplan.Ring, at time.Time) string {
			if at.IsZero() {
				return "–"
			}
			return at.In(ZoneOf(r)).Format("Mon 2006-01-02 15:04")
		},
		"px": func(x float64) string { return fmt.Sprintf("%.1f", x) },
	}).ParseFS(files, "plan.html.tmpl", "style.css")
	if err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	page := planPage{Plan: p, Verdict: planVerdict(p), Tone: planTone(p), Summary: PlanSummary(p), Calendar: newPlanChart(p)}
	for i := range p.Rings {
		page.Clusters += len(p.Rings[i].Clusters)
	}
	var text bytes.Buffer
	if err := tmpl.Execute(&text, page); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	if _, err := w.Write(bytes.Map(visible, text.Bytes())); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

// planChart is the calendar of a plan: a row for each ring, with its windows, the
// clusters' work and the soak.
type planChart struct {
	Width, Height, Left, Right, Bottom float64
	Days                               []planDay
	Rows                               []planLane
}

type planDay struct {
	X     float64
	Label string
}

type planLane struct {
	Ring   string
	Y      float64
	Middle float64
	Open   []planBar
	Frozen []planBar
	Work   []planBar
	Soak   planBar
}

type planBar struct {
	X, Width float64
	Title    string
}

// The measures of the chart.
const (
	planWidth = 1140.0
	planLeft  = 170.0
	planRight = 1120.0
	planTop   = 34.0
	planRow   = 34.0
	thinnest  = 3.0 // a bar that is shorter is not seen
	mostDays  = 14  // labels that fit
)

// newPlanChart draws the calendar from the plan's making to its end. A plan that
// never ends is drawn up to the last time that it knows.
func newPlanChart(p *fleetplan.Plan) planChart {
	c := planChart{Width: planWidth, Left: planLeft, Right: planRight}
	from, until := p.CreatedAt, p.CreatedAt.Add(time.Hour)
	for i := range p.Rings {
		cal := &p.Rings[i].Calendar
		for _, at := range []time.Time{cal.Ends, cal.Proven, cal.ProvenLate} {
			if at.After(until) {
				until = at
			}
		}
	}
	if len(p.Rings) == 0 {
		return c
	}
	span := until.Sub(from)
	x := func(at time.Time) float64 {
		return min(max(planLeft+(planRight-planLeft)*float64(at.Sub(from))/float64(span), planLeft), planRight)
	}
	bar := func(a, b time.Time, title string) (planBar, bool) {
		if a.IsZero() || a.Before(from) {
			a = from
		}
		if b.IsZero() || b.After(until) {
			b = until
		}
		if !b.After(a) {
			return planBar{}, false
		}
		return planBar{X: x(a), Width: max(thinnest, x(b)-x(a)), Title: title}, true
	}
	for i := range p.Rings {
		r := &p.Rings[i]
		row := planLane{Ring: r.Name, Y: planTop + planRow*float64(i)}
		row.Middle = row.Y + planRow/2
		zone := ZoneOf(r)
		words := func(what string, a, b time.Time) string {
			return fmt.Sprintf("%s, %s to %s", what, mdTime(a, zone), mdTime(b, zone))
		}
		for _, o := range r.Calendar.Openings {
			if b, ok := bar(o.Opens, o.Closes, words("window", o.Opens, o.Closes)); ok {
				row.Open = append(row.Open, b)
			}
		}
		for _, f := range r.Calendar.Freezes {
			if b, ok := bar(f.From, f.Until, words("freeze "+f.Name, f.From, f.Until)); ok {
				row.Frozen = append(row.Frozen, b)
			}
		}
		for k := range r.Clusters {
			cl := &r.Clusters[k]
			if cl.Starts.IsZero() {
				continue
			}
			if b, ok := bar(cl.Starts, cl.Ends, words(cl.Name, cl.Starts, cl.Ends)); ok {
				row.Work = append(row.Work, b)
			}
		}
		if !r.Calendar.Ends.IsZero() {
			row.Soak, _ = bar(r.Calendar.Ends, r.Calendar.Proven, words("soak", r.Calendar.Ends, r.Calendar.Proven))
		}
		c.Rows = append(c.Rows, row)
	}
	c.Bottom = planTop + planRow*float64(len(p.Rings))
	c.Height = c.Bottom + 14
	days := int(span.Hours()/24) + 1
	step := max(1, (days+mostDays-1)/mostDays)
	day := from.UTC().Truncate(24 * time.Hour)
	for n := 0; !day.After(until); n++ {
		if day = from.UTC().Truncate(24*time.Hour).AddDate(0, 0, n*step); day.After(from) && day.Before(until) {
			c.Days = append(c.Days, planDay{X: x(day), Label: day.Format("2 Jan")})
		}
	}
	return c
}
