package fleet

// Severity grades a finding.
type Severity string

// The severities.
const (
	Blocker Severity = "blocker" // work does not start until it is gone or accepted
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Finding is what a check says about one object.
type Finding struct {
	ID       string   `json:"id"` // stable, kebab-case: budget-allows-none
	Severity Severity `json:"severity"`
	Cluster  string   `json:"cluster,omitempty"`
	Object   string   `json:"object"` // "Deployment/shop/web", "pool/apps"
	What     string   `json:"what"`
	Why      string   `json:"why,omitempty"`
	Remedy   string   `json:"remedy,omitempty"`
	// Owner is who can mend it: a controller, a Helm release, a team.
	Owner string `json:"owner,omitempty"`
	// Evidence is what was seen, a line each.
	Evidence string `json:"evidence,omitempty"`
	// OutageSeconds is the outage to expect where no move can keep the object up.
	OutageSeconds int `json:"outageSeconds,omitempty"`
	// AcceptedBy names the owner whose acceptance covers it.
	AcceptedBy string `json:"acceptedBy,omitempty"`
}
