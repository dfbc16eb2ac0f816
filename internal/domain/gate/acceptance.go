package gate

import (
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Accepted returns the acceptance that covers a finding at now, or nil. match
// compares a pattern with a name.
func Accepted(acceptances []fleet.Acceptance, f fleet.Finding, now time.Time, match func(pattern, name string) bool) *fleet.Acceptance {
	for i := range acceptances {
		a := &acceptances[i]
		if a.Finding != f.ID || !a.Until.IsZero() && !now.Before(a.Until) {
			continue
		}
		if (a.Cluster == "" || match(a.Cluster, f.Cluster)) && (a.Object == "" || match(a.Object, f.Object)) {
			return a
		}
	}
	return nil
}
