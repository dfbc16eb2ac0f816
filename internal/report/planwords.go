package report

import (
	"fmt"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// Line is one line of a summary.
type Line struct{ Title, Text string }

// PlanSummary says in a few lines what the plan of a fleet comes to.
func PlanSummary(p *fleetplan.Plan) []Line {
	lines := []Line{{"forecast", endsWords(p)}}
	if p.Bound.Seconds > 0 {
		lines = append(lines, Line{"bound", BoundWords(p.Bound)})
	}
	lines = append(lines, Line{"cost", fmt.Sprintf("%.2f node-hours of extra nodes", p.ExtraNodeHours)})
	for i := range p.Peaks {
		lines = append(lines, Line{"peak", PeakWords(&p.Peaks[i])})
	}
	blocked, left, needs := 0, 0, 0
	for i := range p.Rings {
		for k := range p.Rings[i].Clusters {
			c := &p.Rings[i].Clusters[k]
			needs += len(c.Needs)
			if c.Blocked != "" {
				blocked++
			}
			if c.LeftAlone != "" {
				left++
			}
		}
	}
	if needs+blocked > 0 {
		lines = append(lines, Line{"in the way", fmt.Sprintf("%s missing, %s blocked", counted(needs, "acceptance or backup is", "acceptances or backups are"), counted(blocked, "cluster is", "clusters are"))})
	}
	if left > 0 {
		lines = append(lines, Line{"left alone", counted(left, "cluster", "clusters")})
	}
	for _, o := range p.Obstacles {
		lines = append(lines, Line{"IN THE WAY", o})
	}
	return lines
}

func endsWords(p *fleetplan.Plan) string {
	work := fmt.Sprintf("%s of work", Between(p.Work))
	if p.Ends.IsZero() {
		return work + "; it would never come to its end: see the rings' windows"
	}
	return fmt.Sprintf("ends %s UTC, in nine of ten cases by %s UTC (%s from now), %s", minute(p.Ends), minute(p.EndsLate), Between(p.Forecast), work)
}

func minute(at time.Time) string { return at.UTC().Format("Mon 2006-01-02 15:04") }

// Length writes a number of seconds for people.
func Length(s float64) string { return fleetplan.Say(time.Duration(s * float64(time.Second))) }

// Between writes a forecast.
func Between(f evacuate.Forecast) string {
	if Length(f.P50) == Length(f.P90) {
		return Length(f.P50)
	}
	return fmt.Sprintf("%s, at most %s", Length(f.P50), Length(f.P90))
}

// BoundWords writes a bound with what sets it.
func BoundWords(l evacuate.Limit) string {
	if l.Term == "" {
		return Length(l.Seconds)
	}
	return fmt.Sprintf("%s, set by %s (%s)", Length(l.Seconds), l.Term, l.Object)
}

// PeakWords writes a peak.
func PeakWords(p *fleetplan.Peak) string {
	var sizes []string
	for _, s := range p.Sizes {
		sizes = append(sizes, fmt.Sprintf("%d %s", s.Nodes, s.VMSize))
	}
	out := fmt.Sprintf("%s and %d vCPUs more at once in %s of subscription %s (ring %s: %s)", counted(p.Nodes, "node", "nodes"), p.VCPUs, p.Location, p.Subscription, p.Ring, strings.Join(sizes, ", "))
	if len(p.Unknown) > 0 {
		out += "; vCPUs not known of " + strings.Join(p.Unknown, ", ")
	}
	return out
}

// TargetWords says where a version comes from.
func TargetWords(r *fleetplan.Resolved) string {
	out := r.Why
	if r.Cluster != "" {
		out += fmt.Sprintf(" (as offered to cluster %s in %s)", r.Cluster, r.Location)
	}
	if r.Proven != "" {
		return out + "; " + r.Proven
	}
	return out + "; the ledger does not hold it yet"
}

// ApprovalWords writes a consent that a ring waits for.
func ApprovalWords(a *fleetplan.Approval) string {
	out := fmt.Sprintf("approval %s of role %s", a.Name, a.Role)
	if a.ExpiresSeconds > 0 {
		out += ", which holds " + Length(a.ExpiresSeconds)
	}
	if a.GivenBy != "" {
		out += ": given by " + a.GivenBy
	}
	return out
}

// ZoneOf is the time zone in which a ring's times are shown.
func ZoneOf(r *fleetplan.Ring) *time.Location {
	zone, err := time.LoadLocation(r.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// Versions says over which versions a cluster goes.
func Versions(c *fleetplan.Cluster) string {
	way := []string{c.Version.String()}
	at := c.Version
	for _, h := range c.Hops {
		if h.ControlPlane != at {
			way = append(way, h.ControlPlane.String())
			at = h.ControlPlane
		}
	}
	if len(c.Hops) == 0 && c.To != c.Version && c.LeftAlone == "" {
		way = append(way, c.To.String())
	}
	return strings.Join(way, " → ")
}

// LegWords says what a step of a cluster does.
func LegWords(leg *fleetplan.Leg) string {
	switch leg.Kind {
	case plan.StepControlPlane:
		return "control plane to " + leg.Version.String() + " (control planes never go back)"
	case plan.StepVerify:
		return "look at all nodes once more"
	case plan.StepPool:
		if leg.Pool != nil {
			return poolWords(leg.Pool)
		}
	default:
	}
	return kindWords(string(leg.Kind)) + ": " + leg.Reason
}

func poolWords(p *fleetplan.Pool) string {
	out := fmt.Sprintf("pool %s to %s, %s, %s", p.Name, p.To, p.Strategy, counted(p.Nodes, "node", "nodes"))
	if p.Pods > 0 {
		out += fmt.Sprintf(" with %s to move", counted(p.Pods, "pod", "pods"))
	}
	if p.ExtraNodes > 0 {
		out += fmt.Sprintf(", %d more meanwhile (%.2f node-hours)", p.ExtraNodes, p.NodeHours)
	}
	return out
}

// StepWords says what a step of a pool does.
func StepWords(s *fleetplan.Step) string {
	out := kindWords(string(s.Kind)) + " " + s.Target
	if s.Receiving != "" {
		out += " to " + s.Receiving
	}
	var more []string
	if s.SoakSeconds > 0 {
		more = append(more, Length(s.SoakSeconds))
	}
	if s.Nodes > 0 {
		more = append(more, counted(s.Nodes, "node", "nodes"))
	}
	if s.Rounds > 0 {
		more = append(more, fmt.Sprintf("in %d rounds", s.Rounds))
	}
	if len(more) > 0 {
		out += " (" + strings.Join(more, ", ") + ")"
	}
	return out
}

// planTone is how the plan of a fleet is shown as a whole.
func planTone(p *fleetplan.Plan) string {
	tone := "good"
	if len(p.Obstacles) > 0 || p.Ends.IsZero() {
		return "bad"
	}
	for i := range p.Rings {
		if t := ringTone(&p.Rings[i]); t == "bad" {
			return "bad"
		} else if t == "warn" {
			tone = "warn"
		}
		for k := range p.Rings[i].Clusters {
			if c := &p.Rings[i].Clusters[k]; len(c.Needs) > 0 || c.Blocked != "" || c.Unread != "" {
				tone = "warn"
			}
		}
	}
	return tone
}

// ringTone is how a ring's calendar is shown.
func ringTone(r *fleetplan.Ring) string {
	switch {
	case len(r.Obstacles) > 0 || r.Calendar.Fit.Verdict == fleetplan.NeverFits:
		return "bad"
	case r.Calendar.Fit.Verdict == fleetplan.RunsOver:
		return "warn"
	case r.Calendar.Fit.Verdict == fleetplan.NothingToFit:
		return "calm"
	}
	return "good"
}

// fitWords says a verdict in a word or two.
func fitWords(v fleetplan.Verdict) string {
	switch v {
	case fleetplan.NothingToFit:
		return "nothing to do"
	case fleetplan.AlwaysOpen:
		return "always open"
	case fleetplan.FitsOne:
		return "fits its window"
	case fleetplan.FitsSeveral:
		return "takes several windows"
	case fleetplan.RunsOver:
		return "runs over"
	case fleetplan.NeverFits:
		return "never fits"
	}
	return string(v)
}

// planVerdict says in a sentence what the plan comes to.
func planVerdict(p *fleetplan.Plan) string {
	clusters, needs := 0, 0
	for i := range p.Rings {
		for k := range p.Rings[i].Clusters {
			c := &p.Rings[i].Clusters[k]
			if c.LeftAlone == "" && !c.State.Ended() && c.Work != "" {
				clusters++
			}
			needs += len(c.Needs)
			if c.Blocked != "" {
				needs++
			}
		}
	}
	out := fmt.Sprintf("%s to upgrade", counted(clusters, "cluster", "clusters"))
	if p.Ends.IsZero() {
		out += "; as the windows are, it would never come to its end."
	} else {
		out += fmt.Sprintf("; the last ring is proven %s UTC, in nine of ten cases by %s UTC.", minute(p.Ends), minute(p.EndsLate))
	}
	if needs+len(p.Obstacles) > 0 {
		out += fmt.Sprintf(" %s in the way.", counted(needs+len(p.Obstacles), "thing is", "things are"))
	}
	return out
}

// inTheWay reports whether a finding stands in the way.
func inTheWay(f *fleet.Finding) bool { return f.Severity == fleet.Blocker && f.AcceptedBy == "" }
