package check

import (
	"fmt"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// apiChecks are about the versions that objects are written at.
func apiChecks() []Check { return []Check{usageCheck()} }

// usageCheck reads the API server's own count of deprecated requests.
func usageCheck() Check {
	return Check{
		Name: "api-requests", Group: APIs, Title: "Deprecated APIs that somebody asks for", Needs: []Need{NeedUsage, NeedTarget},
		Doc: "The API server counts requests for deprecated APIs since it started (apiserver_requested_deprecated_apis). Whoever makes them fails once the API is gone, also where no object shows it. AKS refuses an upgrade while it has seen such requests in the last twelve hours.",
		Finds: []Kind{
			{"api-requested-removed", "somebody asks for an API that the target no longer has"},
			{"api-requested-deprecated", "somebody asks for an API that a later version will not have"},
		},
		Run: func(f *Facts) []fleet.Finding {
			var out []fleet.Finding
			for _, u := range f.Usage {
				name := strings.TrimSuffix(u.Resource+"/"+u.Subresource, "/")
				api := strings.TrimPrefix(u.Group+"/"+u.Version, "/")
				finding := fleet.Finding{
					ID: "api-requested-deprecated", Severity: fleet.Warning, Object: "API/" + api + "/" + name,
					What:     fmt.Sprintf("somebody has asked for %s of %s since the API server started; it is deprecated", name, api),
					Remedy:   "find who asks (the audit log's annotation k8s.io/deprecated names user and client) and raise that client",
					Evidence: "apiserver_requested_deprecated_apis counts it",
				}
				if !u.RemovedIn.IsZero() {
					finding.What += ", and " + u.RemovedIn.MinorString() + " does not have it"
					if u.RemovedIn.Minor <= f.Target.Minor {
						finding.ID, finding.Severity = "api-requested-removed", fleet.Blocker
						finding.Why = "its requests fail at " + f.Target.MinorString() + ", and AKS refuses the upgrade for twelve hours after the last one"
					}
				}
				out = append(out, finding)
			}
			return out
		},
	}
}
