package evacuation

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// rolling is Liftlock's green pool of a tenth of the nodes: as many old nodes as
// fit are emptied onto it and removed, it grows by as many, and so on. It fills in
// what each round was, for its bound.
func rolling(rounds *[]round) func(context.Context, *bed) error {
	nodes := fullPace(fleet.BlueGreen, fleet.Amount{Percent: full})
	nodes.ExtraNodes = fleet.Amount0{Percent: 10}
	return liftlock(nodes, rounds)
}

// round is how many pods of each workload left old nodes together.
type round map[string]int

// batches sees which old nodes go together, and what was on them at the start:
// they are closed from then on, so that leaves with them.
type batches struct {
	held map[string]round // by node
	list []round
}

func newBatches(ctx context.Context, b *bed) (*batches, error) {
	names, err := b.nodes(ctx)
	if err != nil {
		return nil, err
	}
	held := &batches{held: map[string]round{}}
	for _, name := range names {
		held.held[name] = b.recorder.on(name)
	}
	return held, nil
}

// gone adds a round of nodes.
func (b *batches) gone(names []string) {
	sum := round{}
	for _, name := range names {
		for workload, pods := range b.held[name] {
			sum[workload] += pods
		}
		delete(b.held, name)
	}
	b.list = append(b.list, sum)
}

// rounds are all of them; the last one's nodes go with their pool.
func (b *batches) rounds() []round {
	if len(b.held) > 0 {
		b.gone(slices.Collect(maps.Keys(b.held)))
	}
	return b.list
}

// rolling is the least time for rounds one after the other: capacity first, then
// every workload's pods that leave in it.
func (r rules) rolling(apps []app, rounds []round) bound {
	var b bound
	for _, pods := range rounds {
		var longest bound
		for i := range apps {
			a := &apps[i]
			longest = later(longest, bound{r.some(a, pods[a.String()]), a.String()})
		}
		b.least += capacity + longest.least
		b.by = longest.by
	}
	return b
}

// on counts the pods of each workload on a node.
func (r *recorder) on(node string) round {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := round{}
	for _, pod := range r.pods {
		if moves(pod) && pod.Spec.NodeName == node {
			counts[workloadOf(pod)]++
		}
	}
	return counts
}

// workloadOf names a pod's workload as the apps do.
func workloadOf(pod *corev1.Pod) string {
	a := app{kind: deployment, namespace: pod.Namespace, name: pod.Labels["app"]}
	for i := range pod.OwnerReferences {
		if pod.OwnerReferences[i].Kind == string(statefulSet) {
			a.kind = statefulSet
		}
	}
	return a.String()
}
