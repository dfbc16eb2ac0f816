package lifecycle

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// The findings, by what an object's API is at the target.
const (
	removedID    = "api-removed"
	deprecatedID = "api-deprecated"
	notYetID     = "api-not-yet"
	unknownID    = "api-unknown"
	tableEndsID  = "api-table-ends"
)

// Judge says which objects use APIs that the target does not serve, or will not
// for long. There is one finding for an object, of its gravest use; its evidence
// has every sighting, the strongest first.
//
// What an API server answers is no evidence of use by itself, since it converts:
// it counts only where the target serves the kind in no version at all.
func Judge(objects []fleet.Object, target fleet.Version) []fleet.Finding {
	return JudgeUpgrade(objects, fleet.Version{}, target)
}

// JudgeUpgrade is Judge for the objects of a cluster whose version is known: what
// that does not serve already, no upgrade breaks, and no client has written since.
func JudgeUpgrade(objects []fleet.Object, current, target fleet.Version) []fleet.Finding {
	if target.Major != 1 {
		return []fleet.Finding{{
			ID: tableEndsID, Severity: fleet.Blocker, Object: "target",
			What:   fmt.Sprintf("nothing is known about the APIs of Kubernetes %q", target),
			Remedy: "name a target of Kubernetes 1",
		}}
	}
	groups := map[string][]*fleet.Object{}
	keys := make(map[string]bool, len(objects))
	for i := range objects {
		o := &objects[i]
		keys[o.Key()] = true
		groups[identity(o)] = append(groups[identity(o)], o)
	}
	var findings []fleet.Finding
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		for _, sightings := range apart(groups[id]) {
			if owned(sightings, keys) {
				continue // its owner is told, and writes it anew
			}
			if f, found := judgeObject(sightings, current, target); found {
				findings = append(findings, f)
			}
		}
	}
	if target.Minor > newestMinor {
		findings = append(findings, fleet.Finding{
			ID: tableEndsID, Severity: fleet.Warning, Object: "target",
			What:   fmt.Sprintf("the table of APIs ends with Kubernetes 1.%d: what later releases remove is known as far as it was announced", newestMinor),
			Remedy: "use a newer Liftlock, or read the release notes of " + target.MinorString(),
		})
	}
	slices.SortStableFunc(findings, func(a, b fleet.Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(a.Object, b.Object), cmp.Compare(a.ID, b.ID))
	})
	return findings
}

// rank puts blockers first.
func rank(s fleet.Severity) int {
	return slices.Index([]fleet.Severity{fleet.Blocker, fleet.Warning, fleet.Info}, s)
}

// identity tells objects apart, whichever version of their API they were seen at.
func identity(o *fleet.Object) string {
	return home(split(o.APIVersion, o.Kind)) + " " + o.Key()
}

// apart divides the sightings of a name. In files alone, each file has to be
// changed, and a name that a template makes is no name; what a cluster holds is
// one object, and a file of it is another sighting.
func apart(sightings []*fleet.Object) [][]*fleet.Object {
	inCluster := slices.ContainsFunc(sightings, func(o *fleet.Object) bool { return !inFile(o) })
	if inCluster && !strings.Contains(sightings[0].Name, "{{") {
		return [][]*fleet.Object{sightings}
	}
	byFile := map[string][]*fleet.Object{}
	for _, o := range sightings {
		byFile[file(o.Where)] = append(byFile[file(o.Where)], o)
	}
	var out [][]*fleet.Object
	for _, f := range slices.Sorted(maps.Keys(byFile)) {
		out = append(out, byFile[f])
	}
	return out
}

// file is the file of a place such as "deploy/web.yaml:12".
func file(where string) string {
	if i := strings.LastIndexByte(where, ':'); i >= 0 {
		return where[:i]
	}
	return where
}

func inFile(o *fleet.Object) bool {
	return o.Source == fleet.FromManifest || o.Source == fleet.FromTemplate
}

// owned reports whether a controller that is known itself writes the object.
func owned(sightings []*fleet.Object, keys map[string]bool) bool {
	return slices.ContainsFunc(sightings, func(o *fleet.Object) bool { return o.Owner != "" && o.Owner != o.Key() && keys[o.Owner] })
}

// sighting is an object as one source shows it, and what that means.
type sighting struct {
	*fleet.Object
	api     *row
	finding fleet.Finding
	stale   string // why it is no use of today; "" when it is
	bad     bool   // finding says something
}

// judgeObject judges all sightings of one object.
func judgeObject(objects []*fleet.Object, current, target fleet.Version) (fleet.Finding, bool) {
	all := make([]sighting, 0, len(objects))
	for _, o := range objects {
		all = append(all, sighting{Object: o, api: find(split(o.APIVersion, o.Kind))})
	}
	slices.SortStableFunc(all, func(a, b sighting) int {
		return cmp.Or(cmp.Compare(strength(a.Source), strength(b.Source)), b.At.Compare(a.At), cmp.Compare(a.APIVersion, b.APIVersion), cmp.Compare(a.Where, b.Where))
	})
	worst := -1
	for i := range all {
		s := &all[i]
		s.finding, s.bad = s.judge(target)
		if !s.bad {
			continue
		}
		s.alreadyGone(current)
		if s.stale = outdated(s, all, target); s.stale != "" {
			s.finding.Severity = lower(s.finding.Severity)
			s.finding.Why = s.stale
		}
		if s.Source == fleet.FromTemplate {
			s.asTemplate(all, target)
		}
		if !s.bad {
			continue
		}
		if worst < 0 || rank(s.finding.Severity) < rank(all[worst].finding.Severity) {
			worst = i
		}
	}
	if worst < 0 {
		return fleet.Finding{}, false
	}
	f := all[worst].finding
	f.Evidence = evidence(all)
	return f, true
}

// alreadyGone grades a sighting of an API that the cluster does not serve as it is.
func (s *sighting) alreadyGone(current fleet.Version) {
	if current.IsZero() || s.finding.ID != removedID || s.api == nil || before(current, s.api.removed) {
		return
	}
	now := "Kubernetes " + current.MinorString() + ", which the cluster has, does not serve it either: "
	switch s.Source {
	case fleet.FromManagedFields, fleet.FromLastApplied:
		s.finding.Severity, s.finding.Why = fleet.Info, now+"nothing can have written the object so for long, and what names the version is left of its past"
	case fleet.FromRelease:
		s.finding.Severity, s.finding.Why = fleet.Warning, now+"upgrades and rollbacks of the release fail as it is, and the upgrade of the cluster changes nothing about that"
	case fleet.FromManifest, fleet.FromTemplate, fleet.FromStorage:
	}
}

// asTemplate grades what a template may be rendered to. Where it can be rendered to
// what the target serves, it decides so for clusters such as the target; where it
// has versions, and all are bad, it cannot help it; where it has one, that may not
// be rendered at all.
func (s *sighting) asTemplate(all []sighting, target fleet.Version) {
	good, others := false, false
	for i := range all {
		if o := &all[i]; o.Source == fleet.FromTemplate && o.APIVersion != s.APIVersion {
			others = true
			good = good || fine(o, target) || s.finding.ID == deprecatedID && o.outlives(s)
		}
	}
	switch {
	case good:
		s.bad = s.finding.ID == removedID
		s.finding.Severity = fleet.Info
		s.finding.Why = "the template can also be rendered to a version that the target serves: it decides by its values, or by the cluster"
	case !others:
		s.finding.Severity = lower(s.finding.Severity)
		s.finding.Why = "a template decides whether it is rendered; if it is, " + s.finding.Why
	}
}

// outlives reports whether an API is served longer than another.
func (s *sighting) outlives(other *sighting) bool {
	return s.api != nil && other.api != nil && other.api.removed > 0 && (s.api.removed == 0 || s.api.removed > other.api.removed)
}

// strength orders sources, the strongest first.
func strength(s fleet.ObjectSource) int {
	return slices.Index([]fleet.ObjectSource{
		fleet.FromManifest, fleet.FromTemplate, fleet.FromRelease, fleet.FromManagedFields, fleet.FromLastApplied, fleet.FromStorage,
	}, s)
}

// lower is the next lower severity.
func lower(s fleet.Severity) fleet.Severity {
	if s == fleet.Blocker {
		return fleet.Warning
	}
	return fleet.Info
}

// judge says what one sighting means by itself.
func (s *sighting) judge(target fleet.Version) (fleet.Finding, bool) {
	if s.Source == fleet.FromManagedFields && ofControlPlane(s.By) {
		return fleet.Finding{}, false // it is upgraded with the cluster
	}
	g := split(s.APIVersion, s.Kind)
	if s.api == nil {
		return s.judgeForeign(g)
	}
	if s.Source == fleet.FromStorage {
		if !gone(g, target) {
			return fleet.Finding{}, false
		}
	}
	f := fleet.Finding{Object: s.Key(), Owner: cmp.Or(s.Owner, s.By), Severity: fleet.Warning}
	r := s.api
	switch {
	case r.removed > 0 && !before(target, r.removed):
		f.ID, f.Severity = removedID, fleet.Blocker
		f.What = fmt.Sprintf("%s is not served by Kubernetes %s: it was removed in 1.%d", g, target.MinorString(), r.removed)
		f.Why = s.consequence()
	case r.introduced > 0 && before(target, r.introduced):
		if !inFile(s.Object) {
			return f, false
		}
		f.ID = notYetID
		f.What = fmt.Sprintf("%s is not served by Kubernetes %s yet: it came with 1.%d", g, target.MinorString(), r.introduced)
		f.Why = "the file cannot be applied to a cluster of the target version"
	case r.deprecated > 0 && !before(target, r.deprecated) && s.Source != fleet.FromStorage:
		f.ID = deprecatedID
		f.What = fmt.Sprintf("%s is deprecated since Kubernetes 1.%d", g, r.deprecated)
		if r.removed > 0 {
			f.What += fmt.Sprintf(" and gone in 1.%d", r.removed)
		}
		f.Why = "it works at the target, and breaks with a later upgrade"
	default:
		return f, false
	}
	f.Remedy = s.remedy(g, target)
	return f, true
}

// judgeForeign judges an API that is none of Kubernetes' own.
func (s *sighting) judgeForeign(g GroupVersionKind) (fleet.Finding, bool) {
	if c, found := LookupComponent(s.APIVersion, s.Kind); found && s.Source != fleet.FromStorage {
		f := c.finding(s.Key(), s.APIVersion)
		if s.Source == fleet.FromManagedFields && c.Removed != "" {
			// An API server forgives its own kinds that, and custom resources not.
			f.Why += "; as long as the object's managed fields name the version, server-side apply fails over it"
		}
		f.Owner = cmp.Or(s.Owner, s.By)
		return f, true
	}
	if !inFile(s.Object) || !looksLikeVersion(g.Version) || len(ofGroup(g.Group)) == 0 || strings.HasSuffix(s.Kind, "Options") || g.Group == "" && (s.Kind == "Config" || s.Kind == "Status") {
		return fleet.Finding{}, false
	}
	return fleet.Finding{
		ID: unknownID, Severity: fleet.Info, Object: s.Key(),
		What:   fmt.Sprintf("no release of Kubernetes up to 1.%d is known to have %s", newestMinor, g),
		Why:    "a mistyped version or kind cannot be applied; of one that is newer nothing is known",
		Remedy: "look at the apiVersion and the kind",
	}, true
}

// looksLikeVersion reports whether a version is written as Kubernetes writes them.
// Kustomize has an apiVersion called builtin.
func looksLikeVersion(version string) bool {
	return len(version) > 1 && version[0] == 'v' && version[1] >= '0' && version[1] <= '9'
}

// consequence says what breaks where a removed API is used.
func (s *sighting) consequence() string {
	switch s.Source {
	case fleet.FromManifest, fleet.FromTemplate:
		return "the file cannot be applied to a cluster of the target version"
	case fleet.FromRelease:
		return "the API is in the manifest that Helm stored for the release: after the upgrade of the cluster, both upgrades and rollbacks of the release fail"
	case fleet.FromManagedFields:
		return cmp.Or(s.By, "a client") + " writes the object at this version, and fails once the cluster is upgraded"
	case fleet.FromLastApplied:
		return "it was applied at this version last, and cannot be applied so again"
	case fleet.FromStorage:
		return "the target serves the kind in no version: the object can no longer be reached there, and nothing acts on it"
	}
	return ""
}

// remedy says what to do, where the object is written.
func (s *sighting) remedy(g GroupVersionKind, target fleet.Version) string {
	next, found := successor(g, target)
	if !found {
		return "remove it, or move to what the release notes name: Kubernetes " + target.MinorString() + " serves the kind in no other version"
	}
	to := next.String()
	switch s.Source {
	case fleet.FromRelease:
		return "upgrade the release to a chart that uses " + to + " before the cluster; if there is none, rewrite its stored manifest (helm mapkubeapis)"
	case fleet.FromManagedFields:
		return "make " + cmp.Or(s.By, "its writer") + " use " + to
	case fleet.FromManifest, fleet.FromTemplate, fleet.FromLastApplied, fleet.FromStorage:
	}
	return "write it as " + to + "; the fields may differ (kubectl convert, release notes)"
}
