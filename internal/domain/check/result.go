package check

import (
	"cmp"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/gate"
)

// Result is what the checks said about one cluster, or one set of files.
type Result struct {
	Cluster  string    `json:"cluster"`
	Ring     string    `json:"ring,omitempty"`
	Target   string    `json:"target,omitempty"`
	At       time.Time `json:"at"`
	Findings []Finding `json:"findings"` // blockers first, accepted ones last
	Ran      []string  `json:"ran"`      // names of checks
	NotRun   []NotRun  `json:"notRun"`
}

// Finding is a finding and the check that made it; "" for what gathering found.
type Finding struct {
	fleet.Finding

	Check string `json:"check,omitempty"`
}

// NotRun is a check that could not run, or not on all that it should have seen.
type NotRun struct {
	Check  string `json:"check"`
	Why    string `json:"why"`
	Remedy string `json:"remedy,omitempty"`
	// Absent: the source does not hold what it needs; nothing failed.
	Absent bool `json:"absent,omitempty"`
	// Partly: it ran on what could be read.
	Partly bool `json:"partly,omitempty"`
}

// Run runs checks over facts. A check whose facts were not read does not run, and
// is listed with what to do about it: it never counts as passed.
func Run(f *Facts, checks []Check) Result {
	r := Result{Cluster: f.Cluster, Ring: f.Ring, At: f.At, Ran: []string{}, NotRun: []NotRun{}}
	take := func(check string, list []fleet.Finding) {
		for _, one := range list {
			one.Cluster = f.Cluster
			r.Findings = append(r.Findings, Finding{Finding: one, Check: check})
		}
	}
	take("", f.Found)
	if f.Read[NeedTarget] {
		r.Target = f.Target.String()
	}
	for _, c := range checks {
		var lacking []NotRun
		for _, need := range c.Needs {
			lacking = append(lacking, f.lacking(c.Name, need)...)
		}
		for i, n := range lacking {
			if !slices.Contains(lacking[:i], n) { // one cause may deny several needs
				r.NotRun = append(r.NotRun, n)
			}
		}
		if slices.ContainsFunc(lacking, func(n NotRun) bool { return !n.Partly }) {
			continue
		}
		r.Ran = append(r.Ran, c.Name)
		take(c.Name, c.Run(f))
	}
	r.Findings = tidy(r.Findings)
	return r
}

// lacking says what a check misses of one kind of facts.
func (f *Facts) lacking(check string, need Need) []NotRun {
	var out []NotRun
	for _, u := range f.Unread {
		if u.Need != need {
			continue
		}
		why := u.Why
		if u.What != "" {
			why = u.What + ": " + why
		}
		out = append(out, NotRun{Check: check, Why: why, Remedy: u.Remedy, Absent: u.Absent, Partly: f.Read[need]})
	}
	if len(out) == 0 && !f.Read[need] {
		out = append(out, NotRun{Check: check, Why: "the " + string(need) + " was not gathered", Absent: true})
	}
	return out
}

// Accept marks the findings that an acceptance covers.
func (r *Result) Accept(acceptances []fleet.Acceptance, match func(pattern, name string) bool) {
	for i := range r.Findings {
		if a := gate.Accepted(acceptances, r.Findings[i].Finding, r.At, match); a != nil {
			r.Findings[i].AcceptedBy = a.Owner
		}
	}
	r.Findings = tidy(r.Findings)
}

// Count counts the findings of a severity that nobody accepted.
func (r *Result) Count(s fleet.Severity) int {
	n := 0
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Severity == s && f.AcceptedBy == "" {
			n++
		}
	}
	return n
}

// Accepted counts the findings that are accepted.
func (r *Result) Accepted() int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].AcceptedBy != "" {
			n++
		}
	}
	return n
}

// Acceptance is an acceptance of the Fleet file, and what became of it.
type Acceptance struct {
	fleet.Acceptance

	State AcceptanceState `json:"state"`
}

// AcceptanceState says whether an acceptance is in use.
type AcceptanceState string

// The states of acceptances.
const (
	AcceptanceUsed      AcceptanceState = "used"
	AcceptanceUnused    AcceptanceState = "unused"    // there is no such finding: it can go, or its patterns are wrong
	AcceptanceExpired   AcceptanceState = "expired"   // it no longer counts
	AcceptanceUnchecked AcceptanceState = "unchecked" // nothing that it could cover was looked at
)

// Acceptances says of every acceptance whether it covers a finding.
func Acceptances(list []fleet.Acceptance, results []Result, now time.Time, match func(pattern, name string) bool) []Acceptance {
	finders := map[string][]string{} // checks by what they find
	for _, c := range All() {
		for _, kind := range c.Finds {
			finders[kind.ID] = append(finders[kind.ID], c.Name)
		}
	}
	out := make([]Acceptance, 0, len(list))
	for _, a := range list {
		one := Acceptance{Acceptance: a, State: AcceptanceUnchecked}
		for i := range results {
			r := &results[i]
			switch {
			case one.State == AcceptanceUsed, a.Cluster != "" && !match(a.Cluster, r.Cluster):
			case slices.ContainsFunc(r.Findings, func(f Finding) bool {
				return gate.Accepted([]fleet.Acceptance{a}, f.Finding, now, match) != nil
			}):
				one.State = AcceptanceUsed
			case slices.ContainsFunc(finders[a.Finding], func(name string) bool { return slices.Contains(r.Ran, name) }):
				one.State = AcceptanceUnused
			}
		}
		if !a.Until.IsZero() && !now.Before(a.Until) {
			one.State = AcceptanceExpired
		}
		out = append(out, one)
	}
	return out
}

// rank puts blockers first.
func rank(s fleet.Severity) int {
	return slices.Index([]fleet.Severity{fleet.Blocker, fleet.Warning, fleet.Info}, s)
}

// tidy sorts findings, and keeps of those about one object, id and place the gravest.
func tidy(list []Finding) []Finding {
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.ID, b.ID), cmp.Compare(rank(a.Severity), rank(b.Severity)),
			cmp.Compare(a.What, b.What))
	})
	list = slices.CompactFunc(list, func(a, b Finding) bool { return a.ID == b.ID && a.Object == b.Object && a.Evidence == b.Evidence })
	slices.SortStableFunc(list, func(a, b Finding) int {
		accepted := func(f Finding) int { return min(len(f.AcceptedBy), 1) }
		return cmp.Or(cmp.Compare(accepted(a), accepted(b)), cmp.Compare(rank(a.Severity), rank(b.Severity)))
	})
	if list == nil {
		list = []Finding{}
	}
	return list
}

// Lacking lists the checks that could not see all that they should: those that
// failed to, and those whose source does not hold it. Each is named once.
func (r *Result) Lacking() (failed, absent []string) {
	for _, n := range r.NotRun {
		if !n.Absent && !slices.Contains(failed, n.Check) {
			failed = append(failed, n.Check)
		}
	}
	for _, n := range r.NotRun {
		if n.Absent && !slices.Contains(failed, n.Check) && !slices.Contains(absent, n.Check) {
			absent = append(absent, n.Check)
		}
	}
	return failed, absent
}
