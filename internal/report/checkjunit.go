package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// CheckJUnit writes JUnit XML: a cluster is a suite, a check a test case. A check
// fails where a finding of one of the severities is not accepted, and counts as
// skipped where it could not run.
func CheckJUnit(w io.Writer, c Checked, fails []fleet.Severity) error {
	all := junitSuites{Name: "liftlock check", Time: "0.000"}
	if c.Fleet != "" {
		all.Name = c.Fleet
	}
	for i := range c.Results {
		r := &c.Results[i]
		suite := junitSuite{Name: clean(r.Cluster), Time: "0.000"}
		if !r.At.IsZero() {
			suite.Timestamp = r.At.UTC().Format("2006-01-02T15:04:05")
		}
		suite.Cases = junitChecks(r, fails)
		for _, one := range suite.Cases {
			suite.Tests++
			if one.Failure != nil {
				suite.Failures++
			}
			if one.Skipped != nil {
				suite.Skipped++
			}
		}
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Skipped += suite.Skipped
		all.Suites = append(all.Suites, suite)
	}
	if len(c.Skipped) > 0 {
		one := junitCase{ClassName: "files", Name: "read", Time: "0.000", Failure: &junitOutcome{Type: "NotRead", Message: counted(len(c.Skipped), "place was not read", "places were not read")}}
		for _, s := range c.Skipped {
			one.Failure.Text += clean(fmt.Sprintf("\n%s:%d: %s", s.File, s.Line, s.Why))
		}
		all.Suites = append(all.Suites, junitSuite{Name: "files", Tests: 1, Failures: 1, Time: "0.000", Cases: []junitCase{one}})
		all.Tests++
		all.Failures++
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if _, err := fmt.Fprintf(w, "%s%s\n", xml.Header, text); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// junitChecks are the checks of a cluster as test cases.
func junitChecks(r *check.Result, fails []fleet.Severity) []junitCase {
	names := slices.Clone(r.Ran)
	for _, n := range r.NotRun {
		names = append(names, n.Check)
	}
	if slices.ContainsFunc(r.Findings, func(f check.Finding) bool { return f.Check == "" }) {
		names = append(names, "")
	}
	slices.Sort(names)
	var cases []junitCase
	for _, name := range slices.Compact(names) {
		one := junitCase{ClassName: clean(r.Cluster), Name: name, Time: "0.000"}
		if name == "" {
			one.Name = "gathering"
		}
		var bad, rest, lacks []string
		for i := range r.Findings {
			f := &r.Findings[i]
			if f.Check != name {
				continue
			}
			if f.AcceptedBy == "" && slices.Contains(fails, f.Severity) {
				bad = append(bad, line(f))
			} else {
				rest = append(rest, line(f))
			}
		}
		for _, n := range r.NotRun {
			if n.Check == name {
				lacks = append(lacks, strings.TrimSuffix(n.Why+"; "+n.Remedy, "; "))
			}
		}
		switch {
		case len(bad) > 0:
			one.Failure = &junitOutcome{Type: "Findings", Message: counted(len(bad), "finding", "findings"), Text: clean("\n" + strings.Join(bad, "\n") + "\n")}
			rest = append(rest, lacks...)
		case len(lacks) > 0:
			one.Skipped = &junitOutcome{Message: clean(strings.Join(lacks, "; "))}
		}
		one.Out = clean(strings.Join(rest, "\n"))
		cases = append(cases, one)
	}
	return cases
}

// line is a finding in one line.
func line(f *check.Finding) string {
	s := fmt.Sprintf("%s: %s (%s)", f.Severity, f.What, f.ID)
	if f.AcceptedBy != "" {
		s = fmt.Sprintf("accepted by %s: %s (%s)", f.AcceptedBy, f.What, f.ID)
	}
	if f.Remedy != "" {
		s += "; do: " + f.Remedy
	}
	return s
}

// clean keeps what XML and terminals take, line by line.
func clean(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = plain(lines[i])
	}
	return strings.Join(lines, "\n")
}
