package evacuate

import (
	"fmt"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// crowd is a cluster with that many pods, fifteen to a node, of Deployments of
// ten with a budget each; half of its nodes are to be emptied into as many new ones.
func crowd(pods int) Input {
	in := Input{
		Snapshot: fleet.Snapshot{TakenAt: time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)},
		Rollout:  "r1", Policy: lenient, Pace: everything,
	}
	node := func(name string, cordoned bool) {
		n := fleet.Node{
			Name: name, UID: "uid-" + name, Ready: true, Unschedulable: cordoned, Annotations: map[string]string{},
			Allocatable: fleet.Resources{MilliCPU: 4000, Memory: 16 << 30, Pods: 60},
		}
		if cordoned {
			n.Annotations[fleet.MarkCordoned] = "r1"
			in.Leaving = append(in.Leaving, name)
		}
		in.Snapshot.Nodes = append(in.Snapshot.Nodes, n)
	}
	nodes := pods / 15
	for i := range nodes {
		node(fmt.Sprintf("old-%d", i), i < nodes/2)
	}
	for i := range nodes / 2 {
		name := fmt.Sprintf("green-%d", i)
		node(name, false)
		in.Receiving = append(in.Receiving, name)
	}
	for i := range pods / 10 {
		name := fmt.Sprintf("app-%d", i)
		w, list := made(fleet.Deployment, name, 10, rolling("25%", "25%"))
		for j := range list {
			list[j].Node = fmt.Sprintf("old-%d", (i*10+j*nodes/10)%nodes)
			list[j].Requests = fleet.Resources{MilliCPU: 100, Memory: 256 << 20}
			list[j].Namespace = fmt.Sprintf("ns-%d", i%100)
		}
		w.Namespace = fmt.Sprintf("ns-%d", i%100)
		for j := range list {
			list[j].Workload = w.Key()
		}
		b := guard(name, "", "2", 10)
		b.Namespace = w.Namespace
		in.Snapshot.Workloads = append(in.Snapshot.Workloads, w)
		in.Snapshot.Pods = append(in.Snapshot.Pods, list...)
		in.Snapshot.Budgets = append(in.Snapshot.Budgets, b)
	}
	return in
}

func BenchmarkNext(b *testing.B) {
	for _, pods := range []int{4_000, 16_000, 60_000} {
		in := crowd(pods)
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			for b.Loop() {
				if pass := Next(in); len(pass.Actions) == 0 {
					b.Fatalf("%s: %s", pass.Status, pass.Reason)
				}
			}
		})
	}
}

func BenchmarkPreview(b *testing.B) {
	in := crowd(60_000)
	for b.Loop() {
		Preview(in)
	}
}
