package view

import (
	"liftlock.dev/liftlock/internal/rollout"
)

// journalKept is how many of the newest journal entries a model carries.
const journalKept = 20

// Of makes the model of what is known of a rollout. liftlock is how this person
// calls the program, with the flags that lead to the same state: "liftlock
// --state /srv/x".
func Of(o *rollout.Overview, liftlock string) Model {
	m := Model{
		Fleet: o.Rollout.Fleet, Target: o.Rollout.Versions(), Rollout: o.Rollout.ID, State: o.Rollout.State, Reason: o.Rollout.Reason,
		Now: o.At, StartedAt: o.Rollout.StartedAt, EndedAt: o.Rollout.EndedAt,
		Violations: o.Violations(), Journal: o.Journal[max(0, len(o.Journal)-journalKept):],
	}
	if m.Target == "" {
		m.Target = string(o.Rollout.Target.Channel)
	}
	for _, a := range o.Availability {
		m.Workloads += len(a.Workloads)
	}
	place := map[string]int{}
	for i, r := range o.Rings {
		place[r.Name] = i
		m.Rings = append(m.Rings, Ring{Name: r.Name, State: r.State, Reason: r.Reason})
		for _, a := range r.Wanted {
			command := liftlock + " approve --ring " + r.Name
			if len(r.Wanted) > 1 {
				command += " --name " + a.Name + " --role " + a.Role
			}
			m.Approvals = append(m.Approvals, Approval{Ring: r.Name, Name: a.Name, Role: a.Role, Command: command})
		}
	}
	for _, rec := range o.Clusters {
		c := Cluster{
			Name: rec.Name, From: rec.From.String(), To: rec.To.String(), State: rec.State, Reason: rec.Reason,
			StartedAt: rec.StartedAt, EndedAt: rec.EndedAt,
		}
		if a, seen := o.Availability[rec.ID]; seen {
			c.Violations = a.Violations()
		}
		for _, p := range o.PoolsOf(rec) {
			moved, total := p.PodsMoved(), p.PodsTotal()
			c.PodsMoved, c.PodsTotal = c.PodsMoved+moved, c.PodsTotal+total
			c.Pools = append(c.Pools, Pool{Name: p.Name, Strategy: p.Strategy, State: p.State, Reason: p.Reason, PodsMoved: moved, PodsTotal: total})
		}
		if i, ok := place[rec.Ring]; ok {
			m.Rings[i].Clusters = append(m.Rings[i].Clusters, c)
		}
	}
	return m
}
