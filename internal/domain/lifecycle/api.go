package lifecycle

import (
	"cmp"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// API is a version of a kind, and the Kubernetes versions that matter to it. A
// zero version is one that is not known: of what was there before the oldest
// release that the table was made from, and of what nobody has announced.
type API struct {
	Group, Version, Kind string
	// Introduced has it first.
	Introduced fleet.Version
	// Deprecated warns of its use first.
	Deprecated fleet.Version
	// Removed is the first that does not serve it.
	Removed fleet.Version
	// Replacement is what upstream says to use; Kind is "" where it says nothing.
	Replacement GroupVersionKind
}

// GroupVersionKind names an API.
type GroupVersionKind struct{ Group, Version, Kind string }

// APIVersion is the group and version as manifests write them.
func (g GroupVersionKind) APIVersion() string {
	if g.Group == "" {
		return g.Version
	}
	return g.Group + "/" + g.Version
}

// String is "apps/v1 Deployment".
func (g GroupVersionKind) String() string { return g.APIVersion() + " " + g.Kind }

// row is an API in the table: minors of Kubernetes 1, and 0 for those not known.
type row struct {
	group, version, kind            string
	introduced, deprecated, removed int
	replacement                     string
	clusterScoped                   bool
}

// api is what a row says.
func (r *row) api() API {
	return API{
		Group: r.group, Version: r.version, Kind: r.kind,
		Introduced: minor(r.introduced), Deprecated: minor(r.deprecated), Removed: minor(r.removed),
		Replacement: parseGVK(r.replacement),
	}
}

func minor(n int) fleet.Version {
	if n == 0 {
		return fleet.Version{}
	}
	return fleet.Version{Major: 1, Minor: n}
}

// Lookup finds an API of Kubernetes' own.
func Lookup(apiVersion, kind string) (API, bool) {
	r := find(split(apiVersion, kind))
	if r == nil {
		return API{}, false
	}
	return r.api(), true
}

// ClusterScoped reports whether objects of one of Kubernetes' own kinds belong to
// no namespace.
func ClusterScoped(apiVersion, kind string) bool {
	r := find(split(apiVersion, kind))
	return r != nil && r.clusterScoped
}

// find looks a row up.
func find(g GroupVersionKind) *row {
	i, found := slices.BinarySearchFunc(kubernetesTable, g, func(r row, g GroupVersionKind) int {
		return cmp.Or(cmp.Compare(r.group, g.Group), cmp.Compare(r.version, g.Version), cmp.Compare(r.kind, g.Kind))
	})
	if !found {
		return nil
	}
	return &kubernetesTable[i]
}

// ofGroup are the rows of a group.
func ofGroup(group string) []row {
	from, _ := slices.BinarySearchFunc(kubernetesTable, group, func(r row, group string) int { return cmp.Compare(r.group, group) })
	to := from
	for to < len(kubernetesTable) && kubernetesTable[to].group == group {
		to++
	}
	return kubernetesTable[from:to]
}

// split reads an apiVersion.
func split(apiVersion, kind string) GroupVersionKind {
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	return GroupVersionKind{group, version, kind}
}

// parseGVK reads "apps/v1 Deployment".
func parseGVK(s string) GroupVersionKind {
	apiVersion, kind, found := strings.Cut(s, " ")
	if !found {
		return GroupVersionKind{}
	}
	return split(apiVersion, kind)
}

// served reports whether a version of Kubernetes has an API.
func (r *row) served(at fleet.Version) bool {
	return (r.introduced == 0 || !before(at, r.introduced)) && (r.removed == 0 || before(at, r.removed))
}

// before reports whether a version's minor is older than 1.n.
func before(v fleet.Version, n int) bool {
	return v.Major < 1 || v.Major == 1 && v.Minor < n
}

// successor is what to use in an API's place at a version: what upstream says,
// and after that what it says about that; where it says nothing, the most mature
// version of the same kind.
func successor(g GroupVersionKind, at fleet.Version) (GroupVersionKind, bool) {
	for range 8 { // a chain of replacements is short; a ring of them would be an error upstream
		r := find(g)
		if r == nil {
			break
		}
		next := parseGVK(r.replacement)
		if next.Kind == "" {
			break
		}
		if n := find(next); n != nil && n.served(at) {
			return next, true
		}
		g = next
	}
	var best *row
	rows := ofGroup(g.Group)
	for i := range rows {
		r := &rows[i]
		if r.kind == g.Kind && r.version != g.Version && r.served(at) && (best == nil || compareMaturity(r.version, best.version) > 0) {
			best = r
		}
	}
	if best == nil {
		return GroupVersionKind{}, false
	}
	return GroupVersionKind{best.group, best.version, best.kind}, true
}

// compareMaturity orders versions of a group as Kubernetes does: v2, v1, v1beta2,
// v1beta1, v1alpha1.
func compareMaturity(a, b string) int {
	grade := func(v string) (stage, major, step int) {
		i, n := 1, 0
		for ; i < len(v) && v[i] >= '0' && v[i] <= '9'; i++ {
			n = 10*n + int(v[i]-'0')
		}
		rest := v[min(i, len(v)):]
		for _, c := range rest {
			if c >= '0' && c <= '9' {
				step = 10*step + int(c-'0')
			}
		}
		switch {
		case rest == "":
			stage = 2
		case strings.HasPrefix(rest, "beta"):
			stage = 1
		}
		return stage, n, step
	}
	s1, m1, p1 := grade(a)
	s2, m2, p2 := grade(b)
	return cmp.Or(cmp.Compare(s1, s2), cmp.Compare(m1, m2), cmp.Compare(p1, p2))
}

// home is the group that a kind belongs to after all replacements: an Ingress of
// extensions and one of networking.k8s.io are the same object.
func home(g GroupVersionKind) string {
	for range 8 {
		r := find(g)
		if r == nil || r.replacement == "" {
			break
		}
		next := parseGVK(r.replacement)
		if next.Kind != g.Kind {
			break
		}
		g = next
	}
	return g.Group
}

// gone reports whether no version of a kind is served at a version, though one was.
func gone(g GroupVersionKind, at fleet.Version) bool {
	r := find(g)
	if r == nil || r.served(at) || r.removed == 0 || before(at, r.removed) {
		return false
	}
	_, found := successor(g, at)
	return !found
}
