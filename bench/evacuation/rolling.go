package evacuation

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// rolling is a green pool of a tenth of the nodes: they are added, as many old
// nodes as fit are emptied onto them by Liftlock's evacuation and deleted, and
// so on. It fills in what each round was, for its bound.
func rolling(rounds *[]round) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		*rounds = nil
		left, err := b.nodes(ctx)
		if err != nil {
			return err
		}
		extra := max(1, len(left)/10)
		cluster, err := b.connect(ctx)
		if err != nil {
			return err
		}
		var green []string
		for len(left) > 0 {
			made, err := b.machines.add(ctx, poolName+"b", extra, newImage)
			if err != nil {
				return err
			}
			green = append(green, made...)
			n := b.recorder.fit(left, green)
			if n == 0 {
				return fmt.Errorf("no old node fits on %d new ones", len(green))
			}
			*rounds = append(*rounds, b.recorder.on(left[:n]))
			if err := b.empty(ctx, cluster, left[:n], green, left[n:]); err != nil {
				return err
			}
			if err := b.machines.remove(ctx, left[:n]...); err != nil {
				return err
			}
			left = left[n:]
		}
		return nil
	}
}

// round is how many pods of each workload left old nodes together.
type round map[string]int

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

// connect opens the cluster as the product does.
func (b *bed) connect(ctx context.Context) (rollout.Kubernetes, error) {
	connector := kube.NewConnector(kube.Options{
		Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) { return b.kubeconfig, nil }, Logger: slog.New(slog.DiscardHandler),
	})
	cluster, err := connector.Connect(ctx, fleet.Cluster{ID: clusterID, Name: "bench", NodeResourceGroup: nodeGroup}, "")
	if err != nil {
		return nil, err
	}
	return cluster, nil
}

// empty carries out passes until an evacuation is done, as a pool's step does.
func (b *bed) empty(ctx context.Context, cluster rollout.Kubernetes, leaving, receiving, later []string) error {
	policy := fleetFile(fleet.BlueGreen, fleet.Amount{Percent: full}).Spec.Nodes
	in := evacuate.Input{
		Leaving: leaving, Receiving: receiving, Later: later, Rollout: "bench", Policy: policy.Evacuation, Pace: policy.Pace,
	}
	const between = 500 * time.Millisecond
	for {
		if err := cluster.AcquireLease(ctx, "bench", 2*time.Minute, nil); err != nil {
			return err
		}
		var err error
		if in.Snapshot, err = cluster.Snapshot(ctx); err != nil {
			return err
		}
		pass := evacuate.Next(in)
		switch pass.Status {
		case evacuate.StatusDone:
			return nil
		case evacuate.StatusBlocked:
			return fmt.Errorf("the evacuation is blocked: %s", pass.Reason)
		case evacuate.StatusMoving, evacuate.StatusWaiting, evacuate.StatusHolding:
		}
		if in.Outcomes, err = carryOut(ctx, cluster, pass.Actions); err != nil {
			return err
		}
		in.Memory = pass.Memory
		select {
		case <-time.After(between):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// carryOut does what is to be done to nodes first.
func carryOut(ctx context.Context, cluster rollout.Kubernetes, actions []evacuate.Action) ([]evacuate.Outcome, error) {
	outcomes := make([]evacuate.Outcome, len(actions))
	for _, nodes := range []bool{true, false} {
		group, gctx := errgroup.WithContext(ctx)
		group.SetLimit(16)
		for i, a := range actions {
			if (a.Node != "") != nodes {
				continue
			}
			group.Go(func() (err error) {
				outcomes[i], err = cluster.Do(gctx, "bench", a)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// fit is how many of the old nodes, in order, have pods that new nodes have
// room for by their requests.
func (r *recorder) fit(leaving, receiving []string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	type amounts struct{ cpu, memory, pods int64 }
	used := map[string]amounts{}
	moving := map[string]amounts{}
	for _, pod := range r.pods {
		var a amounts
		for i := range pod.Spec.Containers {
			requests := pod.Spec.Containers[i].Resources.Requests
			a.cpu += requests.Cpu().MilliValue()
			a.memory += requests.Memory().Value()
		}
		a.pods = 1
		for _, sum := range []map[string]amounts{used, moving} {
			s := sum[pod.Spec.NodeName]
			sum[pod.Spec.NodeName] = amounts{s.cpu + a.cpu, s.memory + a.memory, s.pods + a.pods}
			if !moves(pod) {
				break // stays where it is, or ends there
			}
		}
	}
	var free amounts
	for _, name := range receiving {
		if n := r.nodes[name]; n != nil {
			has := n.Status.Allocatable
			free.cpu += has.Cpu().MilliValue() - used[name].cpu
			free.memory += has.Memory().Value() - used[name].memory
			free.pods += has.Pods().Value() - used[name].pods
		}
	}
	for i, name := range leaving {
		free.cpu -= moving[name].cpu
		free.memory -= moving[name].memory
		free.pods -= moving[name].pods
		if free.cpu < 0 || free.memory < 0 || free.pods < 0 {
			return i
		}
	}
	return len(leaving)
}

// on counts the pods of each workload on some nodes.
func (r *recorder) on(nodes []string) round {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := round{}
	for _, pod := range r.pods {
		if !moves(pod) || !slices.Contains(nodes, pod.Spec.NodeName) {
			continue
		}
		counts[workloadOf(pod)]++
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
