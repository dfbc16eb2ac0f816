package report

import (
	"fmt"
	"math/rand/v2"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// day is when the sample's rollout began.
var day = time.Date(2026, time.November, 23, 9, 0, 12, 0, time.UTC)

// teller builds a sample: each step moves the clock.
type teller struct {
	at  time.Time
	rng *rand.Rand
}

// span makes a span of so many seconds from now and moves the clock to its end.
func (s *teller) span(kind, what string, seconds int) Span {
	from := s.at
	s.at = s.at.Add(time.Duration(seconds) * time.Second)
	return Span{Kind: kind, What: what, From: from, Until: s.at}
}

// cluster tells the upgrade of a cluster of two pools that began at the teller's time.
func (s *teller) cluster(name, ring string, nodes, pods int) Cluster {
	began := s.at
	c := Cluster{
		Name: name, Ring: ring, From: "1.34.8", To: "1.35.4", State: fleet.StateSucceeded, Hops: []string{"1.35.4"},
		PodsToMove: pods, PodMoves: pods, StartedAt: began,
		ID: "/subscriptions/7b1e/resourcegroups/shop/providers/microsoft.containerservice/managedclusters/" + name,
	}
	c.Spans = append(c.Spans, s.span("waiting", "operation", 2), s.span("upgradeControlPlane", "1.35.4", 24+nodes))
	var evacuations []Span
	for i, strategy := range []fleet.Strategy{fleet.BlueGreen, fleet.Buffer} {
		p := Pool{
			Name: []string{"system", "apps"}[i], Strategy: strategy, From: "1.34.8", To: "1.35.4", State: fleet.StateSucceeded,
			FromImage: "AKSUbuntu-2204gen2containerd-202610.12.0", ToImage: "AKSUbuntu-2204gen2containerd-202611.03.0", Nodes: 1 + i*nodes,
		}
		p.Spans = append(p.Spans, s.span("createPool", p.Name+"lift", 14+nodes), s.span("evacuate", p.Name, 12+pods/3*(i+1)/2))
		evacuations = append(evacuations, p.Spans[1])
		p.Spans = append(p.Spans, s.span("soak", "", 10), s.span("deletePool", p.Name, 9))
		c.Pools = append(c.Pools, p)
	}
	c.Spans = append(c.Spans, Span{Kind: "verify", From: s.at, Until: s.at.Add(4 * time.Second)})
	s.at = s.at.Add(4 * time.Second)
	c.EndedAt = s.at
	c.Seconds = c.EndedAt.Sub(began).Seconds()
	c.ForecastSeconds, c.BoundSeconds, c.Bound = c.Seconds*1.08, c.Seconds*0.71, "volumes move one after another"
	c.Availability = s.availability(began, s.at, evacuations, pods)
	return c
}

// availability tells what was seen: surges while new pods start, and a margin
// that never falls below zero.
func (s *teller) availability(from, _ time.Time, evacuations []Span, pods int) Availability {
	a := Availability{Workloads: 9 + pods/12}
	a.Samples = append(a.Samples, Sample{At: from, Margin: 1, Ready: pods})
	for _, e := range evacuations {
		for at := e.From.Add(time.Second); at.Before(e.Until); at = at.Add(time.Duration(900+s.rng.IntN(2600)) * time.Millisecond) {
			a.Samples = append(a.Samples, Sample{At: at, Margin: s.rng.IntN(3), Ready: pods + s.rng.IntN(max(2, pods/9)) - s.rng.IntN(3)})
		}
		a.Samples = append(a.Samples, Sample{At: e.Until, Margin: 1, Ready: pods})
	}
	names := []string{
		"Deployment/shop/checkout", "StatefulSet/data/orders", "Deployment/shop/web", "Deployment/tools/single-replica",
		"Deployment/shop/cart", "Deployment/batch/importer", "DaemonSet/kube-system/node-agent", "Deployment/shop/search",
	}
	for i, name := range names {
		required := []int{4, 2, 6, 1, 3, 0, 3, 8}[i]
		start := []int{4, 3, 8, 1, 4, 1, 3, 10}[i]
		lowest := []int{4, 2, 6, 1, 3, 0, 3, 9}[i]
		a.Lowest = append(a.Lowest, Lowest{Workload: name, Required: required, Lowest: lowest, AtStart: start, At: evacuations[i%2].From.Add(time.Duration(7+i) * time.Second)})
	}
	return a
}

// sample is a rollout of four clusters as the demo does it.
func sample() Report {
	s := &teller{at: day, rng: rand.New(rand.NewPCG(1, 2))}
	r := Report{
		Fleet: "shop", State: fleet.StateSucceeded, Target: "1.35.4", Rollout: "shop-20261123-090012", StartedAt: day,
		StartedBy: "ada@example.com (unverified)", Product: "liftlock v0.1.0",
		Acceptances: []Acceptance{{
			Finding: "recreate-strategy", Cluster: "*", Object: "Deployment/batch/importer", Owner: "team-batch@example.com",
			Reason: "imports are resumed from their last row", Until: time.Date(2027, time.January, 31, 0, 0, 0, 0, time.UTC),
		}},
	}
	for i, ring := range []string{"sandbox", "dev", "test", "prod"} {
		began := s.at
		rg := Ring{Name: ring, State: fleet.StateSucceeded, StartedAt: began}
		if ring == "prod" {
			rg.Spans = append(rg.Spans, s.span("approval", "release by sre", 8))
			r.Approvals = append(r.Approvals, Approval{Ring: ring, Name: "release", Role: "sre", By: "demo (unverified)", At: s.at})
		}
		c := s.cluster(ring, ring, []int{3, 3, 4, 12}[i], []int{18, 30, 42, 156}[i])
		if i == 0 {
			c.Findings = append(c.Findings, fleet.Finding{
				ID: "recreate-strategy", Severity: fleet.Warning, Cluster: ring, Object: "Deployment/batch/importer",
				What: "stops before it starts again", Why: "its strategy is Recreate, so it requires none by its own word",
				Remedy: "use RollingUpdate, or accept the outage", OutageSeconds: 12, AcceptedBy: "team-batch@example.com",
			})
		}
		if ring == "prod" {
			c.Findings = append(c.Findings, fleet.Finding{
				ID: "budget-allows-none", Severity: fleet.Info, Cluster: ring, Object: "PodDisruptionBudget/tools/single-replica",
				What: "allows no eviction of its only pod", Why: "minAvailable is 1 and there is 1 replica",
				Remedy: "none needed: the workload is moved by a rolling restart with surge",
			})
			c.Availability.Gaps = append(c.Availability.Gaps, Gap{From: c.StartedAt.Add(5 * time.Second), Until: c.StartedAt.Add(11 * time.Second), Why: "the API server restarted"})
		}
		rg.EndedAt = s.at
		s.at = s.at.Add(15 * time.Second)
		rg.ProvenAt = s.at
		r.Rings, r.Clusters = append(r.Rings, rg), append(r.Clusters, c)
		r.Ledger = append(r.Ledger,
			LedgerEntry{Kind: fleet.LedgerKubernetes, Subject: "aks", Version: "1.35.4", Ring: ring, ProvenAt: s.at, Evidence: "1 of 1 clusters, soaked 15s, 0 falls"},
			LedgerEntry{
				Kind: fleet.LedgerNodeImage, Subject: "AKSUbuntu-2204gen2containerd", Version: "AKSUbuntu-2204gen2containerd-202611.03.0",
				Digest: "/subscriptions/7b1e/resourceGroups/shop/providers/Microsoft.ContainerService/snapshots/lift-202611030", Ring: ring, ProvenAt: s.at,
				Evidence: "on all nodes of 1 of 1 clusters",
			})
		for j, action := range []string{"upgradeControlPlane", "createPool", "cordon", "rollingRestart", "evict", "deletePool", "verify"} {
			r.Journal = append(r.Journal, fleet.JournalEntry{
				Seq: int64(len(r.Journal) + 1), At: c.StartedAt.Add(time.Duration(j*9) * time.Second), Rollout: r.Rollout, Actor: "liftlock",
				Ring: ring, Cluster: ring, Pool: []string{"", "apps", "apps", "apps", "apps", "apps", ""}[j], Action: action,
				Object: []string{"1.35.4", "appslift", "3 nodes", "Deployment/tools/single-replica", "Pod/shop/web-7d9f-x2x4k", "apps", ""}[j],
				Reason: []string{"the ring’s target", "same as apps", "all old nodes at once, so that a pod moves once", "its budget allows no eviction", "2 of 8 may be away", "empty, soak over", "all nodes run 1.35.4"}[j],
			})
		}
	}
	r.EndedAt, r.GeneratedAt = s.at, s.at.Add(time.Second)
	r.JournalLeftOut = 412
	return r
}

// troubled is a rollout over weeks and many clusters, with soaks of days, a
// failure, a fall and gaps, that still goes on.
func troubled() Report {
	s := &teller{at: day, rng: rand.New(rand.NewPCG(3, 4))}
	r := Report{
		Fleet: "retail-emea", State: fleet.StateBlocked, Target: "1.35.4", Rollout: "retail-emea-20261123-090012", StartedAt: day,
		Reason: "ring prod-1: 2 clusters failed, 1 is allowed; fix them and run liftlock retry, or skip them",
	}
	for i, count := range []int{1, 4, 12, 24} {
		ring := fmt.Sprintf("ring-%d", i)
		rg := Ring{Name: ring, State: fleet.StateSucceeded, StartedAt: s.at}
		rg.Spans = append(rg.Spans, s.span("window", "opens Tuesday 22:00 Europe/Berlin", 9*3600+i*86400))
		began, last := s.at, s.at
		for n := range count {
			s.at = began.Add(time.Duration(n/4*19) * time.Minute)
			c := s.cluster(fmt.Sprintf("aks-retail-%s-weu-%03d", ring, n+1), ring, 10+n%7, 90+n*3)
			if i == 3 && n%9 == 4 && n < 20 {
				c.State, c.Reason = fleet.StateFailed, "pool apps: quota: 12 vCPU of Standard_D4s_v5 are missing in westeurope; raise the quota, then liftlock retry"
				c.Availability.Violations, c.Availability.Samples[5].Margin = 1, -2
				c.Availability.Lowest[0].Lowest, c.Availability.Lowest[0].Violations = 2, 1
				r.Violations++
			}
			if i == 3 && n > 19 {
				c = Cluster{Name: c.Name, Ring: ring, From: "1.34.8", To: "1.35.4", State: fleet.StatePending}
			}
			r.Clusters = append(r.Clusters, c)
			last = latest(last, s.at)
		}
		s.at = last
		rg.EndedAt = last
		s.at = s.at.Add(3*24*time.Hour + 7*time.Hour)
		rg.ProvenAt = s.at
		if i == 3 {
			rg.State, rg.ProvenAt, rg.EndedAt = fleet.StateBlocked, time.Time{}, time.Time{}
			s.at = last
		}
		r.Rings = append(r.Rings, rg)
	}
	r.GeneratedAt = s.at
	return r
}

// hostile is a report whose every text tries to be more than text.
func hostile() Report {
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(2)>` + "'; } \x1b[31m\u202e</style></title></svg>{{.}}${x}`"
	at := day
	span := []Span{{Kind: bad, What: bad, From: at, Until: at.Add(time.Minute)}, {Kind: "evacuate", What: bad, From: at.Add(time.Minute)}}
	finding := fleet.Finding{ID: bad, Severity: bad, Cluster: bad, Object: bad, What: bad, Why: bad, Remedy: "javascript:alert(3)", AcceptedBy: bad}
	return Report{
		Fleet: bad, State: bad, Target: bad, Rollout: bad, Reason: bad, StartedBy: bad, Product: bad, StartedAt: at, EndedAt: at.Add(time.Hour),
		Rings: []Ring{{Name: bad, State: bad, Reason: bad, Spans: span}},
		Clusters: []Cluster{{
			Name: bad, Ring: bad, From: bad, To: bad, State: bad, Hops: []string{bad}, Reason: bad, Bound: bad, BoundSeconds: 1, Spans: span,
			Pools: []Pool{{Name: bad, Strategy: bad, From: bad, To: bad, State: bad, Reason: bad, FromImage: bad, ToImage: bad + "2", Spans: span}},
			Availability: Availability{
				Workloads: 1, Violations: 1, Lowest: []Lowest{{Workload: bad, Required: 1, AtStart: 1, Violations: 1}},
				Samples: []Sample{{At: at, Margin: 0, Ready: 1}, {At: at.Add(time.Second), Margin: -1}}, Gaps: []Gap{{From: at, Until: at.Add(time.Second), Why: bad}},
			},
			Findings: []fleet.Finding{finding},
		}},
		Ledger:      []LedgerEntry{{Kind: bad, Subject: bad, Version: bad, Digest: bad, Ring: bad, ProvenAt: at, Evidence: bad}},
		Approvals:   []Approval{{Ring: bad, Name: bad, Role: bad, By: bad, At: at}},
		Acceptances: []Acceptance{{Finding: bad, Cluster: bad, Object: bad, Owner: bad, Reason: bad}},
		Findings:    []fleet.Finding{finding},
		Journal: []fleet.JournalEntry{{
			Actor: bad, Ring: bad, Cluster: bad, Pool: bad, Action: bad, Object: bad, Reason: bad, At: at, Details: map[string]string{bad: bad},
		}},
	}
}
