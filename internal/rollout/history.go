package rollout

import (
	"context"
	"fmt"
	"sync"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// memo keeps what was read of earlier rollouts for a while: pools that begin read
// all of it, and it changes when others end.
type memo struct {
	mu   sync.Mutex
	at   time.Time
	past fleetplan.History
}

// memoFor is how long a memo is good.
const memoFor = 10 * time.Minute

// recent is history, as it was within the last minutes.
func (s *Stepper) recent(ctx context.Context) (fleetplan.History, error) {
	m := &s.past
	m.mu.Lock()
	defer m.mu.Unlock()
	now := s.now()
	if !m.at.IsZero() && now.Sub(m.at) < memoFor {
		return m.past, nil
	}
	past, err := s.history(ctx)
	if err == nil {
		m.at, m.past = now, past
	}
	return past, err
}

// history reads how long pools and control planes took in earlier rollouts.
// Without a store there is none.
func (s *Stepper) history(ctx context.Context) (fleetplan.History, error) {
	var h fleetplan.History
	if s.Store == nil {
		return h, nil
	}
	type key struct{ rollout, cluster string }
	rings := map[key]string{}
	clusters, err := s.Store.Records(ctx, "", kindCluster)
	if err != nil {
		return h, fmt.Errorf("read how long earlier clusters took: %w", err)
	}
	for _, r := range clusters {
		c, err := decode[ClusterRecord](r)
		if err != nil {
			return h, err
		}
		rings[key{r.Rollout, c.ID}] = c.Ring
		for _, span := range c.Spans {
			if span.Kind == string(plan.StepControlPlane) && span.Until.After(span.From) {
				h.ControlPlanes = append(h.ControlPlanes, fleetplan.PastControlPlane{Cluster: c.ID, Ring: c.Ring, Took: span.Until.Sub(span.From)})
			}
		}
	}
	pools, err := s.Store.Records(ctx, "", kindPool)
	if err != nil {
		return h, fmt.Errorf("read how long earlier pools took: %w", err)
	}
	for _, r := range pools {
		p, err := decode[PoolRecord](r)
		if err != nil {
			return h, err
		}
		if p.State != fleet.StateSucceeded || p.Back {
			continue
		}
		past := fleetplan.PastPool{Cluster: p.Cluster, Ring: rings[key{r.Rollout, p.Cluster}], Stem: p.Stem, Strategy: p.Strategy, Nodes: p.Nodes}
		if past.Stem == "" {
			past.Stem = p.Name
		}
		past.Took, past.Creation = worked(p.Spans)
		if past.Took > 0 {
			h.Pools = append(h.Pools, past)
		}
	}
	return h, nil
}

// worked adds up the spans of a pool in which work was done, and of these the
// ones until the first pods could move to new nodes. Soaks, and what it waited
// for, are no work.
func worked(spans []Span) (all, creation time.Duration) {
	moved := false
	for _, s := range spans {
		if !s.Until.After(s.From) {
			continue
		}
		took := s.Until.Sub(s.From)
		switch s.Kind {
		case "soak", "hold", "blocked", "waiting", "await", "rollback":
			continue
		case "createPool", "nodes":
			if !moved {
				creation += took
			}
		case "evacuate":
			moved = true
		}
		all += took
	}
	if !moved {
		creation = 0 // in place: what came first were no new nodes that waited for pods
	}
	return all, creation
}
