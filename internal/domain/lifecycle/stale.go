package lifecycle

import (
	"fmt"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// outdated says why a sighting is no use of today, though it names an old API.
// Annotations and managed fields outlive the writer that made them; only a later
// sighting at a version that the target serves proves that they have.
func outdated(s *sighting, all []sighting, target fleet.Version) string {
	for i := range all {
		other := &all[i]
		if other.APIVersion == s.APIVersion || !fine(other, target) {
			continue
		}
		switch s.Source {
		case fleet.FromLastApplied:
			if other.Source == fleet.FromManagedFields && !ofControlPlane(other.By) && !other.At.Before(s.At) {
				return fmt.Sprintf("the annotation is likely to be stale: %s has written the object at %s since", other.By, other.APIVersion)
			}
		case fleet.FromManagedFields:
			if s.api == nil {
				return "" // of a custom resource, the very entry does harm
			}
			if other.Source == fleet.FromManagedFields && writer(other.By) == writer(s.By) && !s.At.IsZero() && other.At.After(s.At) {
				return fmt.Sprintf("%s has written the object at %s since; the entry of the older version is what is left of its past", s.By, other.APIVersion)
			}
			if other.Source == fleet.FromRelease && s.By == "helm" {
				return fmt.Sprintf("the release has the object at %s now; the entry of the older version is what is left of its past", other.APIVersion)
			}
		case fleet.FromManifest, fleet.FromTemplate, fleet.FromRelease, fleet.FromStorage:
		}
	}
	return ""
}

// fine reports whether the target serves an object as a sighting shows it.
func fine(s *sighting, target fleet.Version) bool {
	if s.api != nil {
		return s.api.served(target)
	}
	c, found := LookupComponent(s.APIVersion, s.Kind)
	return !found || c.Removed == ""
}

// controlPlane are the field managers of Kubernetes' own components. What they
// wrote at an old version they write at a new one once they are upgraded.
var controlPlane = []string{
	"cloud-controller-manager", "hyperkube", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet",
}

func ofControlPlane(manager string) bool { return slices.Contains(controlPlane, manager) }

// writer is who a field manager is: kubectl has another name for each of its
// commands, and has changed them.
func writer(manager string) string {
	if strings.HasPrefix(manager, "kubectl-") {
		return "kubectl"
	}
	return manager
}

// mostEvidence are the lines of evidence for an object.
const mostEvidence = 20

// evidence has a line for every sighting.
func evidence(all []sighting) string {
	var lines []string
	for i := range all {
		if line := all[i].line(); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if len(lines) > mostEvidence {
		lines = append(lines[:mostEvidence], fmt.Sprintf("and %d more", len(lines)-mostEvidence))
	}
	return strings.Join(lines, "\n")
}

// line tells a sighting.
func (s *sighting) line() string {
	line := string(s.Source) + ": " + s.APIVersion
	if s.Where != "" {
		line += " in " + s.Where
	}
	if s.By != "" {
		line += " by " + s.By
	}
	if !s.At.IsZero() {
		line += " at " + s.At.UTC().Format("2006-01-02 15:04")
	}
	if s.stale != "" {
		line += " (stale)"
	}
	return line
}
