package evacuate

import (
	"cmp"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// outage is the finding for a workload that will be down while it moves, with
// the seconds that its past says.
func (wd *world) outage(w *workload, severity fleet.Severity, why string) fleet.Finding {
	grace, volumes := int64(0), false
	for _, p := range w.leave {
		grace = max(grace, p.GraceSeconds)
		volumes = volumes || len(p.Claims) > 0
	}
	seconds := int(min(grace, 30)) + startSeconds(w)
	if volumes {
		seconds += attachSeconds
	}
	f := fleet.Finding{
		ID: "workload-outage-unavoidable", Severity: severity, Object: w.key,
		What:          w.key + " cannot be moved without an outage",
		Why:           why,
		Remedy:        remedies("run more replicas with a strategy and volumes that allow two at once", "move it in a window of its own", "accept its outage"),
		OutageSeconds: seconds,
	}
	if severity != fleet.Blocker {
		f.What = w.key + " is down while it moves"
	}
	return f
}

// finding is what a trouble that lasts is reported as.
func (tr trouble) finding() fleet.Finding {
	return fleet.Finding{
		ID: "workload-not-back", Severity: fleet.Blocker, Object: tr.object,
		What: tr.object + " was moved and does not come back", Why: tr.what,
		Remedy: remedies("mend it", "undo its last change, if that is the cause", "roll back: what was there before still stands until its old nodes are removed"),
	}
}

// attachSeconds is what detaching and attaching a disk usually takes.
const attachSeconds = 60

// stuckRollout is the finding for a Deployment that was stuck before we came.
func stuckRollout(w *workload) fleet.Finding {
	return fleet.Finding{
		ID: "workload-rollout-stuck", Severity: fleet.Warning, Object: w.key,
		What:   w.key + " is in the middle of a rollout of its own that does not get on",
		Why:    w.ProgressFailed,
		Remedy: remedies("finish that rollout", "undo it (kubectl rollout undo)", "leave it: until then only evictions move its pods"),
	}
}

// rules lists budgets with what their owners wrote.
func rules(budgets []*budget) string {
	out := make([]string, 0, len(budgets))
	for _, b := range budgets {
		out = append(out, b.Key()+" "+b.rule())
	}
	return strings.Join(out, ", ")
}

// sortFindings orders findings and drops repeats.
func sortFindings(list []fleet.Finding) []fleet.Finding {
	slices.SortStableFunc(list, func(a, b fleet.Finding) int {
		return cmp.Or(cmp.Compare(severityRank(a.Severity), severityRank(b.Severity)),
			cmp.Compare(a.Object, b.Object), cmp.Compare(a.ID, b.ID), cmp.Compare(a.What, b.What))
	})
	return slices.Compact(list)
}

// severityRank puts blockers first.
func severityRank(s fleet.Severity) int {
	switch s {
	case fleet.Blocker:
		return 0
	case fleet.Warning:
		return 1
	case fleet.Info:
		return 2
	}
	return 3
}
