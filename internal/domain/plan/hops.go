package plan

import (
	"fmt"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// MaxSkew is how many minors a kubelet may be behind its API server
// (kubernetes.io/releases/version-skew-policy, since 1.28; AKS enforces it as
// NodePoolMcVersionIncompatible).
const MaxSkew = 3

// Hop is one stop on the way to a target: the control plane is raised to
// ControlPlane, and then, where NodePass says so, the pools too.
type Hop struct {
	ControlPlane fleet.Version `json:"controlPlane"`
	NodePass     bool          `json:"nodePass"`
}

// Hops lists the stops from where a cluster is to the target, with the fewest
// node passes that the version skew allows. Control planes go one minor at a
// time. Where alone is false, a control plane cannot be raised without its
// pools, and every stop is a node pass. Stops on the way use the newest
// generally available patch on offer. A cluster that is at the target with all
// its pools has no hops.
func Hops(controlPlane fleet.Version, pools []fleet.Version, target fleet.Version, region []fleet.OfferedVersion, alone bool) ([]Hop, error) {
	if target.Less(controlPlane) {
		return nil, fmt.Errorf("control plane is at %s, beyond the target %s; control planes cannot go back", controlPlane, target)
	}
	if target.Major != controlPlane.Major {
		return nil, fmt.Errorf("no way from %s to %s: the major version differs", controlPlane, target)
	}
	oldest := target
	for _, p := range pools {
		if p.Less(oldest) {
			oldest = p
		}
	}
	ga := generallyAvailable(region)
	var hops []Hop
	at := controlPlane
	for at.Minor < target.Minor {
		next := target
		if at.Minor+1 < target.Minor {
			like := fleet.Version{Major: at.Major, Minor: at.Minor + 1}
			v, ok := latestOfMinor(ga, like)
			if !ok {
				return nil, fmt.Errorf("no way from %s to %s: no generally available patch of %s is on offer (on offer: %s)", at, target, like.MinorString(), list(ga))
			}
			next = v
		}
		if next.Minor-oldest.Minor > MaxSkew {
			// The pools must follow to where the control plane stands before it may go on.
			if len(hops) == 0 {
				hops = append(hops, Hop{ControlPlane: at})
			}
			hops[len(hops)-1].NodePass = true
			oldest = at
		}
		hops = append(hops, Hop{ControlPlane: next, NodePass: !alone})
		if !alone {
			oldest = next
		}
		at = next
	}
	if at != target {
		hops = append(hops, Hop{ControlPlane: target})
		at = target
	}
	if oldest.Less(target) {
		if len(hops) == 0 {
			hops = append(hops, Hop{ControlPlane: at})
		}
		hops[len(hops)-1].NodePass = true
	}
	return hops, nil
}
