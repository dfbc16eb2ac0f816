package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// decisions measures one pass over a large cluster, and how the cost grows.
func decisions(context.Context) ([]figure, error) {
	small, large := pass(4_000), pass(60_000)
	growth := large.Seconds() / small.Seconds()
	// n log n from 4,000 to 60,000 is a factor of 19.9; what is timed in
	// milliseconds gets some room.
	return []figure{
		atMost("evacuation pass over 60,000 pods, seconds", large.Seconds(), 5, nil),
		atMost("evacuation pass, 60,000 pods over 4,000 pods, times", growth, 30, nil),
	}, nil
}

// pass times the first deciding pass over a cluster of that many pods.
func pass(pods int) time.Duration {
	in := evacuate.Input{Snapshot: cluster(pods), Rollout: "bench", Pace: fleet.Pace{MaxInMotion: fleet.Amount{Percent: 10}}}
	for _, n := range in.Snapshot.Nodes {
		if n.Pool == "old" {
			in.Leaving = append(in.Leaving, n.Name)
			continue
		}
		in.Receiving = append(in.Receiving, n.Name)
	}
	best := time.Duration(0)
	for range 3 {
		began := time.Now()
		evacuate.Next(in)
		if took := time.Since(began); best == 0 || took < best {
			best = took
		}
	}
	return best
}

// cluster makes a snapshot with that many pods on the nodes of an old pool, 15
// on each, and as many nodes in a new one.
func cluster(pods int) fleet.Snapshot {
	const perNode, perWorkload, perNamespace = 15, 10, 50
	s := fleet.Snapshot{TakenAt: time.Unix(1_800_000_000, 0).UTC()}
	allocatable := fleet.Resources{MilliCPU: 16_000, Memory: 64 << 30, Pods: 110}
	nodes := (pods + perNode - 1) / perNode
	for i := range nodes {
		for _, pool := range []string{"old", "new"} {
			name := fmt.Sprintf("%s-%05d", pool, i)
			s.Nodes = append(s.Nodes, fleet.Node{
				Name: name, UID: name, Pool: pool, Ready: true, Unschedulable: pool == "old", Allocatable: allocatable,
				Annotations: map[string]string{},
			})
			if pool == "old" {
				s.Nodes[len(s.Nodes)-1].Annotations[fleet.MarkCordoned] = "bench"
			}
		}
	}
	quarter, one := intstr.FromString("25%"), intstr.FromInt32(1)
	for i := range pods {
		w := i / perWorkload
		app, namespace := fmt.Sprintf("app-%05d", w), fmt.Sprintf("team-%03d", w/perNamespace)
		if i%perWorkload == 0 {
			s.Workloads = append(s.Workloads, fleet.Workload{
				Kind: fleet.Deployment, Namespace: namespace, Name: app, UID: app, Replicas: perWorkload, Ready: perWorkload,
				Available: perWorkload, Updated: perWorkload, Current: perWorkload, Settled: true,
				Strategy: "RollingUpdate", MaxUnavailable: &quarter, MaxSurge: &quarter,
			})
			s.Budgets = append(s.Budgets, fleet.Budget{
				Namespace: namespace, Name: app, MaxUnavailable: &one, Selector: "app=" + app, DisruptionsAllowed: 1,
				CurrentHealthy: perWorkload, DesiredHealthy: perWorkload - 1, ExpectedPods: perWorkload, Fresh: true,
			})
		}
		name := fmt.Sprintf("%s-%d", app, i)
		s.Pods = append(s.Pods, fleet.Pod{
			Namespace: namespace, Name: name, UID: name, Node: fmt.Sprintf("old-%05d", i%nodes), Workload: "Deployment/" + namespace + "/" + app,
			Labels: map[string]string{"app": app}, Phase: "Running", Ready: true, ReadySince: s.TakenAt.Add(-time.Hour),
			CreatedAt: s.TakenAt.Add(-time.Hour), Requests: fleet.Resources{MilliCPU: 100, Memory: 128 << 20},
		})
	}
	return s
}
