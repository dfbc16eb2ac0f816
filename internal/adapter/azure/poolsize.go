package azure

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// deletingMachinesState is what a pool is in while machines of it are removed.
const deletingMachinesState = "DeletingMachines"

// ScalePool implements rollout.Provider. It only ever makes a pool larger: which
// nodes a smaller count would take is up to the service.
func (p *Provider) ScalePool(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, count int) (rollout.Operation, error) {
	a, t, had, err := p.onPool(ctx, cluster, pool.Name, fmt.Sprintf("scale to %d nodes", count))
	if err != nil {
		return rollout.Operation{}, err
	}
	props := had.Properties
	has := 0
	if props.Count != nil {
		has = int(*props.Count)
	}
	switch state := text(props.ProvisioningState); {
	case has >= count && (!fleet.Settled(state) || strings.EqualFold(state, succeededState)):
		return rollout.Operation{}, nil // there, or on its way
	case !fleet.Settled(state):
		return rollout.Operation{}, busy(a, state)
	case autoscalerOf(props) != nil:
		return rollout.Operation{}, a.refuse(rollout.CodeInvalid, "switch its autoscaler off first", "its autoscaler decides how many nodes it has")
	}
	if err := unchanged(a, pool.ETag, props.ETag); err != nil {
		return rollout.Operation{}, err
	}
	props.Count = new(int32(count))
	return p.writePool(ctx, t, kindScalePool, a, cluster.ID, pool.Name, had)
}

// DeleteMachines implements rollout.Provider. Machines are named as their nodes;
// those that are gone are left out, so that the rest of an earlier call goes on.
func (p *Provider) DeleteMachines(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, nodes []string) (rollout.Operation, error) {
	a, t, had, err := p.onPool(ctx, cluster, pool.Name, fmt.Sprintf("delete %d machines", len(nodes)))
	if err != nil {
		if rollout.CodeOf(err) == rollout.CodeNotFound {
			return rollout.Operation{}, nil // gone with all its machines
		}
		return rollout.Operation{}, err
	}
	if state := text(had.Properties.ProvisioningState); !fleet.Settled(state) {
		if strings.EqualFold(state, deletingMachinesState) || strings.EqualFold(state, deletingState) {
			return rollout.Operation{}, nil
		}
		return rollout.Operation{}, busy(a, state)
	}
	var names []*string
	pages := t.machines.NewListPager(t.group, t.name, pool.Name, nil)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return rollout.Operation{}, a.failed(ctx, err)
		}
		for _, m := range page.Value {
			if m != nil && m.Name != nil && slices.ContainsFunc(nodes, func(n string) bool { return strings.EqualFold(n, *m.Name) }) {
				names = append(names, m.Name)
			}
		}
	}
	if len(names) == 0 {
		return rollout.Operation{}, nil
	}
	if err := unchanged(a, pool.ETag, had.Properties.ETag); err != nil {
		return rollout.Operation{}, err
	}
	poller, err := t.pools.BeginDeleteMachines(ctx, t.group, t.name, pool.Name, armcontainerservice.AgentPoolDeleteMachinesParameter{MachineNames: names}, nil)
	if err != nil {
		return rollout.Operation{}, a.failed(ctx, err)
	}
	return begun(ctx, p, kindDeleteMachines, handle{Call: callDeleteMachines, Cluster: cluster.ID, Pool: pool.Name}, a, poller)
}
