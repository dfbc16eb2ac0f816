package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// duration writes a length of time as people say it, two units at most.
func duration(d time.Duration) string {
	d = d.Round(time.Second)
	if d < 0 {
		return "0s"
	}
	for _, unit := range []struct {
		big, small         time.Duration
		bigName, smallName string
	}{
		{24 * time.Hour, time.Hour, "d", "h"},
		{time.Hour, time.Minute, "h", "m"},
		{time.Minute, time.Second, "m", "s"},
	} {
		if d < unit.big {
			continue
		}
		d = d.Round(unit.small)
		rest := (d % unit.big) / unit.small
		if rest == 0 {
			return fmt.Sprintf("%d%s", d/unit.big, unit.bigName)
		}
		return fmt.Sprintf("%d%s %d%s", d/unit.big, unit.bigName, rest, unit.smallName)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// seconds is duration for a number of seconds.
func seconds(s float64) string {
	if math.IsNaN(s) || s < 0 {
		return "0s"
	}
	return duration(time.Duration(s * float64(time.Second)))
}

// moment writes a time in UTC, or "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// machineTime writes a time for the datetime attribute.
func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// counted writes a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// signed writes a difference with its sign, nothing before zero.
func signed(n int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%+d", n)
}

// tally is what the clusters of a report add up to.
type tally struct {
	Clusters, Succeeded    int
	Workloads              int
	PodsToMove, PodMoves   int
	Gaps                   int
	Blind                  time.Duration // longest possible time without sight, over all clusters
	Blockers, Warnings     int
	Accepted               int
	States                 map[fleet.State]int
	Seconds                float64
	Forecast, LongestBound float64
}

// add adds the clusters up. Gaps that go on end at the report's own time.
func add(r Report) tally {
	t := tally{Clusters: len(r.Clusters), States: map[fleet.State]int{}}
	findings := append([]fleet.Finding{}, r.Findings...)
	for _, c := range r.Clusters {
		t.States[c.State]++
		t.Workloads += c.Availability.Workloads
		t.PodsToMove += c.PodsToMove
		t.PodMoves += c.PodMoves
		t.Gaps += len(c.Availability.Gaps)
		for _, g := range c.Availability.Gaps {
			t.Blind += end(r, g.Until).Sub(g.From)
		}
		findings = append(findings, c.Findings...)
	}
	t.Succeeded = t.States[fleet.StateSucceeded]
	for _, f := range findings {
		switch {
		case f.AcceptedBy != "":
			t.Accepted++
		case f.Severity == fleet.Blocker:
			t.Blockers++
		case f.Severity == fleet.Warning:
			t.Warnings++
		}
	}
	return t
}

// end is when something ended: its own time, or that of the report if it goes on.
func end(r Report, until time.Time) time.Time {
	switch {
	case !until.IsZero():
		return until
	case !r.EndedAt.IsZero():
		return r.EndedAt
	}
	return r.GeneratedAt
}

// verdict says in one or two sentences how the rollout went.
func verdict(r Report) string {
	t := add(r)
	var s string
	switch {
	case t.Clusters == 0:
		s = "No cluster was touched."
	case t.Succeeded == t.Clusters:
		s = fmt.Sprintf("All %d clusters are on %s, checked on their nodes.", t.Clusters, r.Target)
		if t.Clusters == 1 {
			s = fmt.Sprintf("The cluster is on %s, checked on its nodes.", r.Target)
		}
	default:
		s = fmt.Sprintf("%d of %s at %s.", t.Succeeded, counted(t.Clusters, "cluster is", "clusters are"), r.Target)
	}
	return s + " " + availabilityVerdict(r, t)
}

// availabilityVerdict says whether a workload fell below what it requires, and
// how much of the time was seen.
func availabilityVerdict(r Report, t tally) string {
	var s string
	switch {
	case r.Violations > 0:
		s = fmt.Sprintf("Workloads fell below what they require %s.", counted(r.Violations, "time", "times"))
	case t.Workloads == 0:
		return "No workload was watched."
	default:
		s = "No workload fell below what it requires."
	}
	if t.Gaps > 0 {
		s += fmt.Sprintf(" Nothing could be seen for %s (%s).", duration(t.Blind), counted(t.Gaps, "gap", "gaps"))
	}
	return s
}

// tone groups the states by how they are shown.
func tone(s fleet.State) string {
	switch s {
	case fleet.StateSucceeded:
		return "good"
	case fleet.StateFailed, fleet.StateBlocked:
		return "bad"
	case fleet.StateAborted, fleet.StateRolledBack, fleet.StateRollingBack, fleet.StatePaused:
		return "warn"
	case fleet.StateRunning, fleet.StateSoaking:
		return "busy"
	case fleet.StatePending, fleet.StateWaiting, fleet.StateSkipped, fleet.StateSetAside:
		return "calm"
	}
	return "calm"
}

// mark is the sign beside a state, so that colour is not needed to tell them apart.
func mark(s fleet.State) string {
	return map[string]string{"good": "✓", "bad": "✕", "warn": "↩", "busy": "◐", "calm": "○"}[tone(s)]
}

// rings lists the report's rings, and after them those that only clusters name.
func rings(r Report) []Ring {
	list := append([]Ring{}, r.Rings...)
	known := map[string]bool{}
	for _, ring := range list {
		known[ring.Name] = true
	}
	for _, c := range r.Clusters {
		if !known[c.Ring] {
			known[c.Ring] = true
			list = append(list, Ring{Name: c.Ring})
		}
	}
	return list
}

// inRing lists the clusters of a ring.
func inRing(r Report, ring string) []Cluster {
	var list []Cluster
	for _, c := range r.Clusters {
		if c.Ring == ring {
			list = append(list, c)
		}
	}
	return list
}

// kindWords says a kind of span in words: "upgradeControlPlane" becomes
// "upgrade control plane".
func kindWords(kind string) string {
	var s strings.Builder
	for i, letter := range kind {
		if letter >= 'A' && letter <= 'Z' {
			if i > 0 {
				s.WriteByte(' ')
			}
			letter += 'a' - 'A'
		}
		s.WriteRune(letter)
	}
	return s.String()
}
