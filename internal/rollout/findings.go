package rollout

import (
	"fmt"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/gate"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// poolFindings previews the evacuation of a pool: what its owners must know, and
// accept, beforehand.
func poolFindings(snapshot fleet.Snapshot, p *fleet.Pool, policy fleet.NodePolicy, rollout string) []fleet.Finding {
	var leaving []string
	for _, n := range snapshot.Nodes {
		if strings.EqualFold(n.Pool, p.Name) {
			leaving = append(leaving, n.Name)
		}
	}
	in := evacuate.Input{Snapshot: snapshot, Leaving: leaving, Policy: policy.Evacuation, Pace: policy.Pace, Rollout: rollout}
	var findings []fleet.Finding
	if policy.Strategy == fleet.InPlace {
		findings = evacuate.PreviewInPlace(in)
	} else {
		_, _, findings = evacuate.Preview(in)
	}
	if policy.Strategy != fleet.InPlace && len(p.Uncopied) > 0 {
		findings = append(findings, fleet.Finding{
			ID: "pool-setting-not-copied", Severity: fleet.Blocker, Object: "Pool/" + p.Name,
			What:   "a new pool cannot be given: " + strings.Join(p.Uncopied, ", "),
			Remedy: "use strategy inPlace for this pool, or accept that its stand-in lacks these settings",
		})
	}
	if extra := policy.ExtraNodes.Of(p.Count); policy.Strategy == fleet.BlueGreen && extra > 0 && extra < p.Count {
		findings = append(findings, fleet.Finding{
			ID: "pool-rolls", Severity: fleet.Info, Object: "Pool/" + p.Name,
			What:   fmt.Sprintf("its %d nodes are replaced with %d more at a time; the way back ends when the first old node is removed", p.Count, extra),
			Remedy: "allow as many extra nodes as the pool has, if the way back is to stay open until the soak is over",
		})
		if extra < len(p.Zones) {
			findings = append(findings, fleet.Finding{
				ID: "pool-extra-nodes-too-few", Severity: fleet.Warning, Object: "Pool/" + p.Name,
				What:   fmt.Sprintf("extraNodes gives %d new nodes for the pool's %d zones: pods that are spread over zones, or whose volume is in one, may find no node", extra, len(p.Zones)),
				Remedy: fmt.Sprintf("allow %d extra nodes; or a multiple of that; or leave extraNodes out, if the quota allows", len(p.Zones)),
			})
		}
	}
	return findings
}

// judged says of findings which cluster they are about and who accepted them.
func (ct *clusterTurn) judged(findings []fleet.Finding) []fleet.Finding {
	return judge(findings, ct.spec, ct.rec.Name, ct.now())
}

func judge(findings []fleet.Finding, spec *fleet.Spec, cluster string, now time.Time) []fleet.Finding {
	for i := range findings {
		f := &findings[i]
		f.Cluster = cluster
		if a := gate.Accepted(spec.Accept, *f, now, plan.Match); a != nil {
			f.AcceptedBy = a.Owner
		}
	}
	return findings
}
