package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	ClassName string        `xml:"classname,attr"`
	Name      string        `xml:"name,attr"`
	Time      string        `xml:"time,attr"`
	Failure   *junitOutcome `xml:"failure"`
	Skipped   *junitOutcome `xml:"skipped"`
	Out       string        `xml:"system-out,omitempty"`
}

type junitOutcome struct {
	Type    string `xml:"type,attr,omitempty"`
	Message string `xml:"message,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML: a ring is a suite, a cluster a test
// case. It fails where a cluster did not come to the target or a workload fell
// below what it requires, and counts as skipped where a cluster was skipped,
// set aside or not reached.
func JUnit(w io.Writer, r Report) error {
	all := junitSuites{Name: r.Fleet}
	total := 0.0
	for _, ring := range rings(r) {
		suite := junitSuite{Name: ring.Name}
		if !ring.StartedAt.IsZero() {
			suite.Timestamp = ring.StartedAt.UTC().Format("2006-01-02T15:04:05")
		}
		took := 0.0
		for _, c := range inRing(r, ring.Name) {
			one := junitCluster(r, c)
			suite.Tests++
			if one.Failure != nil {
				suite.Failures++
			}
			if one.Skipped != nil {
				suite.Skipped++
			}
			took += c.Seconds
			suite.Cases = append(suite.Cases, one)
		}
		suite.Time = fmt.Sprintf("%.3f", took)
		total += took
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Skipped += suite.Skipped
		all.Suites = append(all.Suites, suite)
	}
	all.Time = fmt.Sprintf("%.3f", total)
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if _, err := fmt.Fprintf(w, "%s%s\n", xml.Header, text); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// junitCluster is one cluster as a test case.
func junitCluster(r Report, c Cluster) junitCase {
	one := junitCase{
		ClassName: r.Fleet + "." + c.Ring, Name: c.Name, Time: fmt.Sprintf("%.3f", c.Seconds),
		Out: fmt.Sprintf("%s: %s to %s, %d of %d pods moved, %s watched, %s", c.State, c.From, c.To,
			c.PodMoves, c.PodsToMove, counted(c.Availability.Workloads, "workload", "workloads"),
			counted(c.Availability.Violations, "fall", "falls")),
	}
	why := c.Reason
	if why == "" {
		why = string(c.State)
	}
	switch c.State {
	case fleet.StatePending, fleet.StateSkipped, fleet.StateSetAside:
		one.Skipped = &junitOutcome{Message: why}
	case fleet.StateFailed, fleet.StateAborted, fleet.StateRolledBack, fleet.StateRollingBack, fleet.StateBlocked,
		fleet.StateWaiting, fleet.StateRunning, fleet.StateSoaking, fleet.StatePaused:
		one.Failure = &junitOutcome{Type: string(c.State), Message: why, Text: "\n" + junitFalls(c)}
	case fleet.StateSucceeded:
	default:
	}
	if one.Failure == nil && c.Availability.Violations > 0 {
		one.Skipped = nil
		one.Failure = &junitOutcome{
			Type:    "Availability",
			Message: "workloads fell below what they require " + counted(c.Availability.Violations, "time", "times"),
			Text:    "\n" + junitFalls(c),
		}
	}
	return one
}

// junitFalls lists the workloads that fell.
func junitFalls(c Cluster) string {
	var text strings.Builder
	for _, l := range c.Availability.Lowest {
		if l.Lowest < l.floor() {
			fmt.Fprintf(&text, "%s: %d Ready, floor %d", l.Workload, l.Lowest, l.floor())
			if !l.At.IsZero() {
				text.WriteString(" at " + l.At.UTC().Format(time.RFC3339))
			}
			text.WriteString("\n")
		}
	}
	return text.String()
}
