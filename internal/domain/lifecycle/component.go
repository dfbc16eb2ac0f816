package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Component is an API that a component beside Kubernetes has deprecated or no
// longer serves. Its versions are the component's.
type Component struct {
	Group, Version, Kind string
	Name                 string // of the component
	Deprecated           string
	// Served is the last release known to serve it, where Removed is only the first
	// known not to.
	Served  string
	Removed string
	// Replacement is an apiVersion and a kind; "" where there is none.
	Replacement string
	Source      string
}

// LookupComponent finds an API that a component has deprecated or removed.
func LookupComponent(apiVersion, kind string) (Component, bool) {
	g := split(apiVersion, kind)
	i, found := slices.BinarySearchFunc(componentTable, g, func(c Component, g GroupVersionKind) int {
		return cmp.Or(cmp.Compare(c.Group, g.Group), cmp.Compare(c.Version, g.Version), cmp.Compare(c.Kind, g.Kind))
	})
	if !found {
		return Component{}, false
	}
	return componentTable[i], true
}

// finding is what to tell about an object that uses it. A cluster's version does
// not decide about it, so it never blocks an upgrade of one.
func (c *Component) finding(object, apiVersion string) fleet.Finding {
	api := apiVersion + " " + c.Kind
	f := fleet.Finding{Object: object, Why: "as of " + c.Source}
	switch {
	case c.Removed == "":
		f.ID, f.Severity = "component-api-deprecated", fleet.Info
		f.What = fmt.Sprintf("%s is deprecated by %s since %s", api, c.Name, c.Deprecated)
	case c.Served != "":
		f.ID, f.Severity = "component-api-removed", fleet.Warning
		f.What = fmt.Sprintf("%s %s still serves %s, %s does not", c.Name, c.Served, api, c.Removed)
	default:
		f.ID, f.Severity = "component-api-removed", fleet.Warning
		f.What = fmt.Sprintf("%s is not served by %s %s", api, c.Name, c.Removed)
	}
	if c.Replacement != "" {
		f.Remedy = "write it as " + c.Replacement + " before " + c.Name + " is upgraded"
	} else {
		f.Remedy = "see the release notes of " + c.Name + " for what takes its place"
	}
	if c.Removed != "" && !strings.HasPrefix(c.Source, "http") {
		f.Why += "; which release between was the first without it was not read"
	}
	return f
}
