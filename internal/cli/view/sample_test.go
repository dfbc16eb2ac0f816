package view

import (
	"fmt"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// start is when the sample rollout began.
var start = time.Date(2026, time.November, 23, 9, 0, 12, 0, time.UTC)

// after is a time in the sample rollout.
func after(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// four is the demo's fleet with its test ring half-way.
func four() Model {
	m := Model{
		Fleet: "shop", Target: "1.35.4", Rollout: "shop-20261123-090012", State: fleet.StateRunning, Now: after(300), StartedAt: start,
		Left: 4 * time.Minute, Workloads: 31,
	}
	pools := func(state fleet.State) []Pool {
		return []Pool{{Name: "system", Strategy: fleet.BlueGreen, State: state}, {Name: "apps", Strategy: fleet.Buffer, State: state}}
	}
	for i, name := range []string{"sandbox", "dev"} {
		m.Rings = append(m.Rings, Ring{Name: name, State: fleet.StateSucceeded, Reason: "proven", Clusters: []Cluster{{
			Name: name, From: "1.34.8", To: "1.35.4", State: fleet.StateSucceeded, StartedAt: after(i * 130), EndedAt: after(i*130 + 118),
			PodsMoved: 18 + 12*i, PodsTotal: 18 + 12*i, Pools: pools(fleet.StateSucceeded), Reason: "at 1.35.4, checked on its nodes",
		}}})
	}
	m.Rings = append(m.Rings,
		Ring{Name: "test", State: fleet.StateRunning, Clusters: []Cluster{{
			Name: "test", From: "1.34.8", To: "1.35.4", State: fleet.StateRunning, StartedAt: after(262), Left: 80 * time.Second,
			PodsMoved: 24, PodsTotal: 42, Reason: "pools",
			Pools: []Pool{
				{Name: "system", Strategy: fleet.BlueGreen, State: fleet.StateSucceeded, PodsMoved: 12, PodsTotal: 12},
				{
					Name: "apps", Strategy: fleet.Buffer, State: fleet.StateRunning, PodsMoved: 12, PodsTotal: 30,
					Reason: "wave 2: 4 pods in motion; StatefulSet/data/orders waits for its volume to attach to node aks-appslift-000002",
				},
			},
		}}},
		Ring{Name: "prod", State: fleet.StatePending, Clusters: []Cluster{{Name: "prod", From: "1.34.8", To: "1.35.4", State: fleet.StatePending}}})
	for i, action := range []string{"upgradeControlPlane", "createPool", "cordon", "rollingRestart", "evict"} {
		m.Journal = append(m.Journal, fleet.JournalEntry{
			Seq: int64(i + 40), At: after(262 + i*7), Actor: "liftlock", Ring: "test", Cluster: "test", Pool: []string{"", "apps", "apps", "apps", "apps"}[i],
			Action: action, Object: []string{"1.35.4", "appslift", "4 nodes", "Deployment/tools/single-replica", "Pod/shop/web-7d9f-x2x4k"}[i],
			Reason: []string{"the ring's target", "", "all old nodes at once", "its budget allows no eviction", "2 of 8 may be away"}[i],
		})
	}
	return m
}

// waiting is the demo's fleet before its last ring.
func waiting() Model {
	m := four()
	m.Now, m.State, m.Reason, m.Left = after(420), fleet.StateWaiting, "for an approval", 0
	m.Rings[2].State, m.Rings[2].Clusters[0].State, m.Rings[2].Clusters[0].EndedAt = fleet.StateSucceeded, fleet.StateSucceeded, after(410)
	m.Rings[2].Clusters[0].PodsMoved = 42
	m.Rings[3].State, m.Rings[3].Reason = fleet.StateWaiting, "approval release of role sre is not given"
	m.Approvals = []Approval{{Ring: "prod", Name: "release", Role: "sre", Command: "liftlock approve --ring prod release"}}
	return m
}

// finished is the demo's fleet at the end.
func finished() Model {
	m := waiting()
	m.Now, m.EndedAt, m.State, m.Reason, m.Approvals = after(640), after(637), fleet.StateSucceeded, "all clusters are at 1.35.4", nil
	m.Rings[3] = Ring{Name: "prod", State: fleet.StateSucceeded, Clusters: []Cluster{{
		Name: "prod", From: "1.34.8", To: "1.35.4", State: fleet.StateSucceeded, StartedAt: after(430), EndedAt: after(630), PodsMoved: 156, PodsTotal: 156,
	}}}
	return m
}

// many is a fleet of 200 clusters in six rings, the fourth under way in many
// places, with troubles.
func many() Model {
	m := four()
	m.Fleet, m.Rings, m.Workloads, m.Violations = "retail-emea", nil, 4210, 1
	for i, count := range []int{1, 5, 20, 60, 80, 34} {
		r := Ring{Name: fmt.Sprintf("ring-%d", i), State: fleet.StateSucceeded}
		switch {
		case i == 3:
			r.State = fleet.StateRunning
		case i > 3:
			r.State = fleet.StatePending
		}
		for n := range count {
			c := Cluster{Name: fmt.Sprintf("aks-retail-ring-%d-westeurope-%03d", i, n+1), From: "1.34.8", To: "1.35.4", State: fleet.StateSucceeded, StartedAt: start, EndedAt: after(280), PodsMoved: 90, PodsTotal: 90}
			switch {
			case i > 3, i == 3 && n > 43:
				c.State, c.StartedAt, c.EndedAt, c.PodsMoved, c.PodsTotal = fleet.StatePending, time.Time{}, time.Time{}, 0, 0
			case i == 3 && n > 23:
				c.State, c.EndedAt, c.PodsMoved, c.Left = fleet.StateRunning, time.Time{}, n, 2*time.Minute
				c.Reason = "pool apps: evacuate"
				c.Pools = []Pool{{Name: "system", Strategy: fleet.BlueGreen, State: fleet.StateSucceeded}, {Name: "apps", Strategy: fleet.BlueGreen, State: fleet.StateRunning, PodsMoved: n, PodsTotal: 90}}
				if n == 31 {
					c.State, c.Reason = fleet.StateBlocked, "Deployment/shop/checkout: its budget allows 0 of 1; owner team-shop; accept the outage or raise replicas"
				}
				if n == 40 {
					c.Violations = 1
				}
			case i == 3 && n == 7:
				c.State, c.Reason = fleet.StateFailed, "pool apps: quota: 12 vCPU of Standard_D4s_v5 are missing in westeurope; raise the quota, then liftlock retry"
			}
			r.Clusters = append(r.Clusters, c)
		}
		m.Rings = append(m.Rings, r)
	}
	return m
}
