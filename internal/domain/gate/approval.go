package gate

import (
	"fmt"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Given is an approval that a person gave.
type Given struct {
	Name string    `json:"name"`
	Role string    `json:"role"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

// Missing lists the needed approvals that nobody gave, or whose approval has
// expired at now, with the reason in words.
func Missing(needed []fleet.Approval, given []Given, now time.Time) (missing []fleet.Approval, why string) {
	for _, n := range needed {
		state := "not given"
		for _, g := range given {
			if g.Name != n.Name || g.Role != n.Role {
				continue
			}
			if n.Expires > 0 && now.Sub(g.At) >= n.Expires {
				state = fmt.Sprintf("given by %s, but expired %s", g.By, g.At.Add(n.Expires).UTC().Format(time.RFC3339))
				continue
			}
			state = ""
			break
		}
		if state == "" {
			continue
		}
		missing = append(missing, n)
		if why != "" {
			why += "; "
		}
		why += fmt.Sprintf("approval %q of role %s: %s", n.Name, n.Role, state)
	}
	return missing, why
}
