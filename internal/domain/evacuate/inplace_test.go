package evacuate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

func TestPreviewInPlace(t *testing.T) {
	quarter, one := intstr.FromString("25%"), intstr.FromInt32(1)
	pod := func(name, app, workload string) fleet.Pod {
		return fleet.Pod{Namespace: "shop", Name: name, UID: name, Node: "old", Workload: workload, Labels: map[string]string{"app": app}, Phase: "Running", Ready: true}
	}
	web := func(replicas int32) fleet.Workload {
		return fleet.Workload{Kind: fleet.Deployment, Namespace: "shop", Name: "web", UID: "web", Replicas: replicas, Ready: replicas, Available: replicas, Settled: true, Strategy: "RollingUpdate", MaxUnavailable: &quarter, MaxSurge: &quarter}
	}
	budget := func(allowed, healthy, desired int32) fleet.Budget {
		return fleet.Budget{Namespace: "shop", Name: "web", MaxUnavailable: &one, Selector: "app=web", DisruptionsAllowed: allowed, CurrentHealthy: healthy, DesiredHealthy: desired, ExpectedPods: healthy, Fresh: true}
	}
	two := []fleet.Pod{pod("web-0", "web", "Deployment/shop/web"), pod("web-1", "web", "Deployment/shop/web")}
	tests := []struct {
		name     string
		snapshot fleet.Snapshot
		want     []string
	}{
		{"two replicas of the default strategy and no budget can both be drained", fleet.Snapshot{Workloads: []fleet.Workload{web(2)}, Pods: two}, []string{"workload-below-requirement Deployment/shop/web"}},
		{"a budget of one unavailable holds one of the two that the strategy requires", fleet.Snapshot{Workloads: []fleet.Workload{web(2)}, Pods: two, Budgets: []fleet.Budget{budget(1, 2, 1)}}, []string{"workload-below-requirement Deployment/shop/web"}},
		{"a budget that allows none holds all, and stops the provider", fleet.Snapshot{Workloads: []fleet.Workload{web(2)}, Pods: two, Budgets: []fleet.Budget{{
			Namespace: "shop", Name: "web", MinAvailable: new(intstr.FromInt32(2)), Selector: "app=web", CurrentHealthy: 2, DesiredHealthy: 2, ExpectedPods: 2, Fresh: true,
		}}}, []string{"budget-blocks-provider PodDisruptionBudget/shop/web"}},
		{"a bare pod is lost", fleet.Snapshot{Pods: []fleet.Pod{pod("debug", "debug", "")}}, []string{"pod-bare Pod/shop/debug"}},
		{"pods elsewhere are no concern", fleet.Snapshot{Workloads: []fleet.Workload{web(1)}, Pods: []fleet.Pod{{Namespace: "shop", Name: "web-0", UID: "a", Node: "other", Workload: "Deployment/shop/web", Phase: "Running", Ready: true}}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snapshot.Nodes = []fleet.Node{{Name: "old", UID: "old", Ready: true}, {Name: "other", UID: "other", Ready: true}}
			var got []string
			for _, f := range PreviewInPlace(Input{Snapshot: tt.snapshot, Leaving: []string{"old"}}) {
				if f.Severity != fleet.Blocker || f.Remedy == "" {
					t.Errorf("finding %+v must block and have a remedy", f)
				}
				got = append(got, f.ID+" "+f.Object)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
