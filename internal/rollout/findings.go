package rollout

import (
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/check"
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
	return append(findings, check.PoolFindings(&snapshot, p, policy)...)
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
