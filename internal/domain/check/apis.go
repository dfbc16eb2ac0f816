package check

import (
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

// apiChecks are about the versions that objects are written and asked for at.
// Package lifecycle judges both.
func apiChecks() []Check {
	return []Check{
		{
			Name: "apis", Group: APIs, Title: "Objects at versions that the target removes", Needs: []Need{NeedObjects, NeedTarget},
			Doc: "An object whose API version the target no longer serves cannot be applied again, its clients fail, and a Helm release that stores one can be neither upgraded nor rolled back. What the API server answers is no evidence, since it converts; so the fields' managers, kubectl's last-applied annotation, Helm releases and files are looked at, and what a newer writer has overtaken is graded lower.",
			Finds: []Kind{
				{"api-removed", "the target does not serve the object's API"},
				{"api-deprecated", "it is deprecated at the target, and a later version does not serve it"},
				{"api-not-yet", "a file uses an API that the target does not have yet"},
				{"api-unknown", "no release is known to have the API"},
				{"api-table-ends", "the target is newer than what is known of APIs"},
				{"component-api-removed", "a newer release of the component does not serve the API"},
				{"component-api-deprecated", "the component has deprecated the API"},
			},
			Run: func(f *Facts) []fleet.Finding { return lifecycle.Judge(f.Objects, f.Target) },
		},
		{
			Name: "api-requests", Group: APIs, Title: "Deprecated APIs that somebody asks for", Needs: []Need{NeedUsage, NeedTarget},
			Doc:   "The API server counts requests for deprecated APIs since it started (apiserver_requested_deprecated_apis). Whoever makes them fails once the API is gone, also where no object shows it. AKS refuses an upgrade while it has seen such requests in the last twelve hours.",
			Finds: []Kind{{"api-requested", "somebody asks for a deprecated API"}},
			Run:   func(f *Facts) []fleet.Finding { return lifecycle.JudgeRequests(f.Usage, f.Uses, f.Target, f.At) },
		},
	}
}
