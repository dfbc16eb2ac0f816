package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// listedOfASeverity is how many findings of a severity other than blockers are
// listed for a cluster in a terminal; the other formats have all.
const listedOfASeverity = 25

// CheckText writes findings for a terminal: by cluster, blockers first, what to do
// under each, what could not be checked, and one line that sums up.
func CheckText(w io.Writer, c Checked) error {
	var text bytes.Buffer
	for i := range c.Results {
		checkedCluster(&text, &c.Results[i])
	}
	for _, s := range c.Skipped {
		at := plain(s.File)
		if s.Line > 0 {
			at = fmt.Sprintf("%s:%d", at, s.Line)
		}
		fmt.Fprintf(&text, "not read: %s: %s\n", at, plain(s.Why))
	}
	if len(c.Skipped) > 0 {
		text.WriteByte('\n')
	}
	for _, a := range c.Acceptances {
		if a.State == check.AcceptanceUsed || a.State == check.AcceptanceUnchecked {
			continue
		}
		what := "covers no finding: it can go, or its patterns are wrong"
		if a.State == check.AcceptanceExpired {
			what = "has expired (" + a.Until.UTC().Format("2006-01-02") + ") and no longer counts"
		}
		fmt.Fprintf(&text, "acceptance of %s %s by %s %s\n", plain(a.Finding), plain(strings.TrimSpace(a.Cluster+" "+a.Object)), plain(a.Owner), what)
	}
	fmt.Fprintf(&text, "%s\n", summed(c))
	if _, err := w.Write(text.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// summed is the line that sums up.
func summed(c Checked) string {
	s := c.Summary
	line := counted(s.Blockers, "blocker", "blockers") + ", " + counted(s.Warnings, "warning", "warnings") + ", " + fmt.Sprintf("%d to know", s.Infos)
	if s.Accepted > 0 {
		line += fmt.Sprintf(", %d accepted", s.Accepted)
	}
	if s.Clusters > 1 {
		line = fmt.Sprintf("%d clusters: ", s.Clusters) + line
	}
	line += fmt.Sprintf("; %s ran, %d could not see all they need", counted(s.Ran, "check", "checks"), s.NotRun)
	if s.Absent > 0 {
		line += fmt.Sprintf(", %d need what this source does not hold", s.Absent)
	}
	if s.Files > 0 {
		line += fmt.Sprintf(", %s not read", counted(s.Files, "place was", "places were"))
	}
	return line
}

func checkedCluster(text *bytes.Buffer, r *check.Result) {
	text.WriteString(plain(r.Cluster))
	if r.Ring != "" {
		fmt.Fprintf(text, " (ring %s)", plain(r.Ring))
	}
	if r.Target != "" {
		fmt.Fprintf(text, " to %s", plain(r.Target))
	}
	fmt.Fprintf(text, ": %s, %s\n\n", counted(r.Count(fleet.Blocker), "blocker", "blockers"), counted(r.Count(fleet.Warning), "warning", "warnings"))
	for _, severity := range []fleet.Severity{fleet.Blocker, fleet.Warning, fleet.Info} {
		said := 0
		for i := range r.Findings {
			f := &r.Findings[i]
			if f.Severity != severity || f.AcceptedBy != "" {
				continue
			}
			if said++; severity != fleet.Blocker && said > listedOfASeverity {
				continue
			}
			fmt.Fprintf(text, "  %-7s  %s: %s\n           %s\n", strings.ToUpper(string(severity)), plain(f.Object), f.ID, plain(f.What))
			if f.Check == "apis" && f.Evidence != "" { // where it is written matters most
				seen, _, more := strings.Cut(f.Evidence, "\n")
				if more {
					seen += " …"
				}
				fmt.Fprintf(text, "           seen: %s\n", plain(seen))
			}
			if f.Why != "" {
				fmt.Fprintf(text, "           why: %s\n", plain(f.Why))
			}
			if f.OutageSeconds > 0 {
				fmt.Fprintf(text, "           outage: about %s\n", seconds(float64(f.OutageSeconds)))
			}
			if f.Owner != "" && !strings.Contains(f.What, f.Owner) && f.Owner != f.Object {
				fmt.Fprintf(text, "           owner: %s\n", plain(f.Owner))
			}
			if f.Remedy != "" {
				fmt.Fprintf(text, "           do: %s\n", plain(f.Remedy))
			}
		}
		if more := said - listedOfASeverity; severity != fleet.Blocker && more > 0 {
			fmt.Fprintf(text, "  and %d more of severity %s; see -o json\n", more, severity)
		}
		if said > 0 {
			text.WriteByte('\n')
		}
	}
	checkedAccepted(text, r)
	checkedNotRun(text, r)
}

func checkedAccepted(text *bytes.Buffer, r *check.Result) {
	if r.Accepted() == 0 {
		return
	}
	text.WriteString("  accepted:\n")
	for i := range r.Findings {
		if f := &r.Findings[i]; f.AcceptedBy != "" {
			fmt.Fprintf(text, "    %s: %s, by %s\n", plain(f.Object), f.ID, plain(f.AcceptedBy))
		}
	}
	text.WriteByte('\n')
}

// checkedNotRun says what could not be checked: checks with the same cause
// together.
func checkedNotRun(text *bytes.Buffer, r *check.Result) {
	type cause struct {
		why, remedy    string
		absent, partly bool
	}
	checks := map[cause][]string{}
	var order []cause
	for _, n := range r.NotRun {
		c := cause{n.Why, n.Remedy, n.Absent, n.Partly}
		if checks[c] == nil {
			order = append(order, c)
		}
		checks[c] = append(checks[c], n.Check)
	}
	if len(order) == 0 {
		return
	}
	for _, c := range order {
		title := "could not run"
		switch {
		case c.partly:
			title = "ran in part"
		case c.absent:
			title = "not run"
		}
		fmt.Fprintf(text, "  %s: %s\n    %s\n", title, strings.Join(checks[c], ", "), plain(c.why))
		if c.remedy != "" {
			fmt.Fprintf(text, "    do: %s\n", plain(c.remedy))
		}
	}
	text.WriteByte('\n')
}
