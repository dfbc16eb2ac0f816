package check

import (
	"fmt"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Group says what a check is about.
type Group string

// The groups of checks.
const (
	Evacuation Group = "evacuation" // how pods leave their nodes
	InCluster  Group = "cluster"    // what is in the cluster beside them
	Platform   Group = "platform"   // what the provider says
	APIs       Group = "apis"       // versions of objects
)

// Check is one check. Name is published: a name is never given a new meaning.
type Check struct {
	Name  string
	Group Group
	Title string
	Doc   string // why it matters, a few sentences
	Needs []Need
	Finds []Kind // all the findings that it may make
	Run   func(*Facts) []fleet.Finding
}

// Kind is one sort of finding.
type Kind struct {
	ID   string
	Says string
}

// All lists every check, in the order in which they are documented. With no
// policy all of them run.
func All() []Check {
	return slices.Concat(apiChecks(), evacuationChecks(), clusterChecks(), platformChecks())
}

// Names lists the names of all checks.
func Names() []string {
	all := All()
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return names
}

// Choose picks checks by a policy: only those named, without those to skip.
// Groups may be named, too. Every name that is not known is reported, with the
// one that was likely meant.
func Choose(only, skip []string) ([]Check, error) {
	var wrong []string
	all := All()
	named := func(list []string) func(Check) bool {
		for _, name := range list {
			if !slices.ContainsFunc(all, func(c Check) bool { return c.Name == name || string(c.Group) == name }) {
				wrong = append(wrong, unknown(name))
			}
		}
		return func(c Check) bool { return slices.Contains(list, c.Name) || slices.Contains(list, string(c.Group)) }
	}
	wanted, unwanted := named(only), named(skip)
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%s; list them with: liftlock check --list", strings.Join(wrong, "; "))
	}
	chosen := slices.DeleteFunc(all, func(c Check) bool { return len(only) > 0 && !wanted(c) || unwanted(c) })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no check is left: all that are named are skipped; list them with: liftlock check --list")
	}
	return chosen, nil
}

// unknown says that there is no such check, and which one may be meant.
func unknown(name string) string {
	best, distance := "", 1+len(name)/3
	for _, candidate := range Names() {
		if d := edits(strings.ToLower(name), candidate); d <= distance {
			best, distance = candidate, d-1
		}
	}
	if best == "" {
		return fmt.Sprintf("there is no check %q", name)
	}
	return fmt.Sprintf("there is no check %q; did you mean %s?", name, best)
}

// edits counts the insertions, deletions and replacements between two words.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, before+1, row[j]+1)
		}
	}
	return row[len(b)]
}
