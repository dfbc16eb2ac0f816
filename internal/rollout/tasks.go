package rollout

import (
	"context"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Tasks lists the tasks of a rollout that have not ended: its own, and those
// of its rings, clusters and pools.
func Tasks(ctx context.Context, s Store, id string) ([]Task, error) {
	tasks := []Task{{Rollout: id}}
	rings, err := all[RingRecord](ctx, s, id, kindRing)
	if err != nil {
		return nil, err
	}
	for name, r := range rings {
		if !r.State.Ended() {
			tasks = append(tasks, Task{Rollout: id, Ring: name})
		}
	}
	clusters, err := all[ClusterRecord](ctx, s, id, kindCluster)
	if err != nil {
		return nil, err
	}
	pools, err := all[PoolRecord](ctx, s, id, kindPool)
	if err != nil {
		return nil, err
	}
	for _, c := range clusters {
		if !c.Started || c.State.Ended() {
			continue
		}
		tasks = append(tasks, Task{Rollout: id, Ring: c.Ring, Cluster: c.ID})
		for _, key := range c.Pools {
			if p := pools[key]; p.State != "" && p.State != fleet.StateSucceeded && !p.State.Ended() {
				tasks = append(tasks, Task{Rollout: id, Ring: c.Ring, Cluster: c.ID, Pool: p.Name, To: p.To})
			}
		}
	}
	return tasks, nil
}
