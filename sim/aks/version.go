package aks

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Version is a Kubernetes version. Patch is -1 in an alias such as "1.35".
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads "1.35.4", or the alias "1.35".
func ParseVersion(text string) (Version, error) {
	parts := strings.Split(text, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return Version{}, fmt.Errorf("a version such as 1.35.4 or 1.35 (got %q)", text)
	}
	numbers := []int{0, 0, -1}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return Version{}, fmt.Errorf("a version such as 1.35.4 or 1.35 (got %q)", text)
		}
		numbers[i] = n
	}
	return Version{numbers[0], numbers[1], numbers[2]}, nil
}

// String writes "1.35.4", or "1.35" for an alias.
func (v Version) String() string {
	if v.Patch < 0 {
		return v.MinorString()
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// MinorString writes "1.35".
func (v Version) MinorString() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Compare orders versions; an alias comes before its patches.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}

// Less reports whether v comes before w.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

// OfferedVersion is a version that a region offers.
type OfferedVersion struct {
	Version
	Preview bool
	// LongTermOnly versions are for clusters under AKSLongTermSupport alone.
	LongTermOnly bool
	// LongTerm versions may be had under AKSLongTermSupport too.
	LongTerm bool
	Default  bool
}

// supported reports whether the version may be had under the support plan.
func (o OfferedVersion) supported(plan string) bool {
	if plan == planLongTerm {
		return o.LongTerm || o.LongTermOnly
	}
	return !o.LongTermOnly
}

const (
	planOfficial = "KubernetesOfficial"
	planLongTerm = "AKSLongTermSupport"
)

// Region is a location and what is offered there.
type Region struct {
	Name     string
	Versions []OfferedVersion
	// Images holds the node image dates ("202611.03.0") by family, oldest first.
	Images map[string][]string
}

func (r *Region) find(v Version) (OfferedVersion, bool) {
	i := slices.IndexFunc(r.Versions, func(o OfferedVersion) bool { return o.Version == v })
	if i < 0 {
		return OfferedVersion{}, false
	}
	return r.Versions[i], true
}

// latestPatch resolves an alias to the newest GA patch for the plan.
func (r *Region) latestPatch(alias Version, plan string) (Version, bool) {
	best, ok := Version{}, false
	for _, o := range r.Versions {
		if o.Major == alias.Major && o.Minor == alias.Minor && !o.Preview && o.supported(plan) && (!ok || best.Less(o.Version)) {
			best, ok = o.Version, true
		}
	}
	return best, ok
}

// upgrades lists what a control plane on version from may be taken to: patches
// of its minor and the next minor; a version that has left the region's offer
// may go to the lowest supported minor, and long-term clusters may skip minors.
func (r *Region) upgrades(from Version, plan string) []OfferedVersion {
	reach := from.Minor + 1
	if !r.supports(from, plan) {
		if lowest, ok := r.lowest(plan); ok {
			reach = max(reach, lowest.Minor)
		}
	}
	if plan == planLongTerm {
		reach = from.Minor + 3
	}
	var offers []OfferedVersion
	for _, o := range r.Versions {
		if from.Less(o.Version) && o.Major == from.Major && o.Minor <= reach && o.supported(plan) {
			offers = append(offers, o)
		}
	}
	slices.SortFunc(offers, func(a, b OfferedVersion) int { return a.Compare(b.Version) })
	return offers
}

// supports reports whether the version's minor is still offered under the plan.
func (r *Region) supports(v Version, plan string) bool {
	return slices.ContainsFunc(r.Versions, func(o OfferedVersion) bool {
		return o.Major == v.Major && o.Minor == v.Minor && o.supported(plan)
	})
}

func (r *Region) lowest(plan string) (Version, bool) {
	best, ok := Version{}, false
	for _, o := range r.Versions {
		if o.supported(plan) && !o.Preview && (!ok || o.Less(best)) {
			best, ok = o.Version, true
		}
	}
	return best, ok
}

// defaultVersion is what a new cluster gets that names none.
func (r *Region) defaultVersion() (Version, bool) {
	for _, o := range r.Versions {
		if o.Default {
			return o.Version, true
		}
	}
	best, ok := Version{}, false
	for _, o := range r.Versions {
		if !o.Preview && !o.LongTermOnly && (!ok || best.Less(o.Version)) {
			best, ok = o.Version, true
		}
	}
	return best, ok
}

func (r *Region) clone() *Region {
	c := &Region{Name: r.Name, Versions: slices.Clone(r.Versions), Images: map[string][]string{}}
	for family, dates := range r.Images {
		c.Images[family] = slices.Clone(dates)
	}
	return c
}
