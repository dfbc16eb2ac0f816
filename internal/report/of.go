package report

import (
	"fmt"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/rollout"
)

// lowestListed is how many workloads of a cluster a report names.
const lowestListed = 10

// journalListed is how many journal entries a report shows, the newest ones.
const journalListed = 200

// Of makes the report of what is known of a rollout. spec is the Fleet file
// that it started with.
func Of(o rollout.Overview, spec *fleet.Spec) Report {
	r := Report{
		Fleet: o.Rollout.Fleet, State: o.Rollout.State, Target: o.Rollout.Versions(), Violations: o.Violations(),
		Rollout: o.Rollout.ID, Reason: o.Rollout.Reason, StartedAt: o.Rollout.StartedAt, EndedAt: o.Rollout.EndedAt, GeneratedAt: o.At,
		StartedBy: o.Rollout.StartedBy,
	}
	if r.Target == "" {
		r.Target = string(o.Rollout.Target.Channel)
	}
	for _, ring := range o.Rings {
		r.Rings = append(r.Rings, Ring{
			Name: ring.Name, State: ring.State, Reason: ring.Reason,
			StartedAt: ring.StartedAt, EndedAt: ring.EndedAt, ProvenAt: ring.ProvenAt,
		})
		for _, g := range ring.Given {
			r.Approvals = append(r.Approvals, Approval{Ring: ring.Name, Name: g.Name, Role: g.Role, By: g.By, At: g.At})
		}
	}
	for _, c := range o.Clusters {
		r.Clusters = append(r.Clusters, clusterOf(&o, c))
	}
	for _, e := range o.Ledger {
		r.Ledger = append(r.Ledger, LedgerEntry{
			Kind: e.Kind, Subject: e.Subject, Version: e.Version, Digest: e.Digest, Ring: e.Ring,
			ProvenAt: e.ProvenAt, Rollout: e.Rollout, Evidence: e.Evidence,
		})
	}
	for _, a := range spec.Accept {
		r.Acceptances = append(r.Acceptances, Acceptance{Finding: a.Finding, Cluster: a.Cluster, Object: a.Object, Owner: a.Owner, Reason: a.Reason, Until: a.Until})
	}
	r.JournalLeftOut = max(0, len(o.Journal)-journalListed)
	r.Journal = o.Journal[r.JournalLeftOut:]
	return r
}

func clusterOf(o *rollout.Overview, rec rollout.ClusterRecord) Cluster {
	c := Cluster{
		Name: rec.Name, Ring: rec.Ring, From: rec.From.String(), To: rec.To.String(), State: rec.State,
		ID: rec.ID, Reason: rec.Reason, StartedAt: rec.StartedAt, EndedAt: rec.EndedAt, Spans: spansOf(rec.Spans),
		Findings: o.FindingsOf(rec),
	}
	for _, hop := range rec.Hops {
		c.Hops = append(c.Hops, hop.String())
	}
	if !rec.StartedAt.IsZero() {
		end := rec.EndedAt
		if end.IsZero() {
			end = o.At
		}
		c.Seconds = end.Sub(rec.StartedAt).Round(100 * time.Millisecond).Seconds()
	}
	for _, p := range o.PoolsOf(rec) {
		c.PodsToMove += p.PodsToMove()
		c.PodMoves += p.PodMoves()
		pool := Pool{
			Name: p.Name, Strategy: p.Strategy, From: p.From.String(), To: p.To.String(),
			State: p.State, Reason: p.Reason, ToImage: p.Image, Nodes: p.Nodes, Spans: spansOf(p.Spans),
		}
		if f := p.Forecast; f != nil {
			waited := p.Waited().Seconds()
			pool.ForecastSeconds, pool.BoundSeconds, pool.Bound = f.P50+f.SoakSeconds, f.Bound.Seconds+waited+f.SoakSeconds, string(f.Bound.Term)
			switch worst := max(f.Bound.Seconds, waited, f.SoakSeconds); worst {
			case 0:
				pool.Bound = ""
			case f.SoakSeconds:
				pool.Bound = string(fleetplan.TermSoak)
			case waited:
				pool.Bound = string(evacuate.TermCapacity)
			}
		}
		c.Pools = append(c.Pools, pool)
	}
	c.forecast(rec.HopsForecast)
	if a, seen := o.Availability[rec.ID]; seen {
		c.Availability = availabilityOf(&a)
	}
	return c
}

// forecast adds up what was forecast for a cluster's pools, one after the other,
// and for its control plane. Without a forecast of every pool there is none.
func (c *Cluster) forecast(hops float64) {
	forecast, bound, worst, term := hops, 0.0, 0.0, ""
	for i := range c.Pools {
		p := &c.Pools[i]
		if p.ForecastSeconds == 0 {
			return
		}
		forecast += p.ForecastSeconds
		bound += p.BoundSeconds
		if p.BoundSeconds > worst {
			worst, term = p.BoundSeconds, fmt.Sprintf("%s of pool %s", p.Bound, p.Name)
		}
	}
	c.ForecastSeconds, c.BoundSeconds, c.Bound = forecast, bound, term
}

func availabilityOf(a *rollout.Availability) Availability {
	out := Availability{Workloads: len(a.Workloads), Violations: a.Violations()}
	for _, key := range a.Worst(lowestListed) {
		w := a.Workloads[key]
		out.Lowest = append(out.Lowest, Lowest{
			Workload: key, Required: w.Required, Lowest: w.Lowest, AtStart: w.Baseline, At: w.LowestAt, Violations: w.Violations,
		})
	}
	for _, s := range a.Samples {
		out.Samples = append(out.Samples, Sample{At: s.At, Margin: s.Margin, Ready: s.Ready})
	}
	for _, g := range a.Gaps {
		out.Gaps = append(out.Gaps, Gap{From: g.From, Until: g.Until, Why: g.Why})
	}
	return out
}

func spansOf(spans []rollout.Span) []Span {
	var out []Span
	for _, s := range spans {
		out = append(out, Span{Kind: s.Kind, What: strings.TrimSpace(s.What), From: s.From, Until: s.Until})
	}
	return out
}
