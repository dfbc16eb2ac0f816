package rollout

import (
	"context"
	"errors"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// podsBound is what no order of the pods' moves can beat, as if new nodes cost no
// time: how long they really take is known in the end only.
func (ct *clusterTurn) podsBound(snapshot fleet.Snapshot, p *fleet.Pool, policy fleet.NodePolicy) (evacuate.Limit, error) {
	assume := evacuate.UsualAssumptions
	assume.NodeCreation, assume.NodeRemoval = 0, 0
	made, err := PlanPool(snapshot, nil, PoolRequest{Pool: p.Name, Policy: policy, Accepted: AcceptancesOf(ct.spec, ct.rec.Name), Assume: assume})
	return evacuate.Limit{Term: made.Binding.Term, Object: made.Binding.Object, Seconds: made.BoundSeconds}, err
}

// forecast says how long a pool that is about to begin will take, and what it
// cannot beat, so that the report can hold it against what it took.
func (ct *clusterTurn) forecast(ctx context.Context, snapshot fleet.Snapshot, p *fleet.Pool, policy fleet.NodePolicy) (*PoolForecast, error) {
	past, err := ct.recent(ctx)
	if err != nil {
		return nil, err
	}
	size := fleetplan.PoolSize{Cluster: ct.rec.ID, Ring: ct.rec.Ring, Stem: plan.Stem(p), Strategy: policy.Strategy, Nodes: p.Count}
	out := &PoolForecast{}
	if policy.Strategy != fleet.InPlace {
		out.SoakSeconds = policy.Soak.Seconds()
	}
	made, learned, err := forecastOf(ct.spec, ct.rec.Ring, &ct.c, p, snapshot, policy, &past)
	if err != nil && !errors.Is(err, errNoNodes) {
		return nil, err
	}
	if err == nil {
		size.Planned, size.Learned = &made, learned
		out.Bound, err = ct.podsBound(snapshot, p, policy)
		if err != nil {
			return nil, err
		}
	}
	out.Spread = past.ForecastPool(size)
	return out, nil
}
