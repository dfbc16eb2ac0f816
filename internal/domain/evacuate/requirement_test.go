package evacuate

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// made builds a workload with its pods, Ready and on node "old".
func made(kind fleet.WorkloadKind, name string, replicas int32, change ...func(*fleet.Workload)) (fleet.Workload, []fleet.Pod) {
	w := fleet.Workload{
		Kind: kind, Namespace: "shop", Name: name, UID: "uid-" + name, Replicas: replicas,
		Ready: replicas, Available: replicas, Updated: replicas, Current: replicas, Settled: true, Strategy: "RollingUpdate",
		Annotations: map[string]string{},
	}
	for _, c := range change {
		c(&w)
	}
	var pods []fleet.Pod
	for i := range int(replicas) {
		pods = append(pods, fleet.Pod{
			Namespace: "shop", Name: fmt.Sprintf("%s-%d", name, i), UID: fmt.Sprintf("uid-%s-%d", name, i),
			Node: "old", Workload: w.Key(), Labels: map[string]string{"app": name}, Phase: "Running", Ready: true,
		})
	}
	return w, pods
}

// guard builds a budget over an app, with the status it has when all is well.
func guard(app, minAvailable, maxUnavailable string, pods int) fleet.Budget {
	b := fleet.Budget{Namespace: "shop", Name: app, Selector: "app=" + app, Fresh: true}
	if minAvailable != "" {
		b.MinAvailable = amountOf(minAvailable)
	}
	if maxUnavailable != "" {
		b.MaxUnavailable = amountOf(maxUnavailable)
	}
	desired := (&budget{Budget: &b}).desired(pods)
	b.CurrentHealthy, b.ExpectedPods, b.DesiredHealthy = int32(pods), int32(pods), int32(desired)
	b.DisruptionsAllowed = int32(max(0, pods-desired))
	return b
}

func rolling(unavailable, surge string) func(*fleet.Workload) {
	return func(w *fleet.Workload) {
		w.MaxUnavailable, w.MaxSurge = amountOf(unavailable), amountOf(surge)
	}
}

func TestRequired(t *testing.T) {
	recreate := func(w *fleet.Workload) { w.Strategy = "Recreate" }
	tests := []struct {
		name     string
		kind     fleet.WorkloadKind
		replicas int32
		change   func(*fleet.Workload)
		budgets  []fleet.Budget
		want     int
	}{
		{"a default Deployment of one requires one", fleet.Deployment, 1, nil, nil, 1},
		{"25 % of three rounds down to none", fleet.Deployment, 3, nil, nil, 3},
		{"25 % of four is one", fleet.Deployment, 4, nil, nil, 3},
		{"maxUnavailable 0 and maxSurge 0 % resolve to one unavailable", fleet.Deployment, 3, rolling("0", "0%"), nil, 2},
		{"10 % and 0 surge of five resolve to one unavailable", fleet.Deployment, 5, rolling("10%", "0"), nil, 4},
		{"more unavailable than there are", fleet.Deployment, 2, rolling("5", "1"), nil, 0},
		{"Recreate requires none", fleet.Deployment, 3, recreate, nil, 0},
		{"Recreate with a budget requires the budget", fleet.Deployment, 3, recreate, []fleet.Budget{guard("app", "1", "", 3)}, 1},
		{"a StatefulSet lets one go", fleet.StatefulSet, 3, nil, nil, 2},
		{"a StatefulSet of one requires none by itself", fleet.StatefulSet, 1, nil, nil, 0},
		{"a StatefulSet's percentage rounds down, but to one at least", fleet.StatefulSet, 5, rolling("30%", "0"), nil, 4},
		{"a ReplicaSet is taken as a default Deployment", fleet.ReplicaSet, 1, nil, nil, 1},
		{"Jobs require none", fleet.Job, 3, nil, []fleet.Budget{guard("app", "3", "", 3)}, 0},
		{"DaemonSets require none", fleet.DaemonSet, 3, nil, nil, 0},
		{"unknown kinds require what budgets say", fleet.Other, 3, nil, []fleet.Budget{guard("app", "2", "", 3)}, 2},
		{"unknown kinds without budget require none", fleet.Other, 3, nil, nil, 0},
		{"the budget is stricter", fleet.Deployment, 4, rolling("50%", "1"), []fleet.Budget{guard("app", "", "1", 4)}, 3},
		{"the strategy is stricter", fleet.Deployment, 4, rolling("0", "1"), []fleet.Budget{guard("app", "1", "", 4)}, 4},
		{"minAvailable 50 % of three rounds up", fleet.Deployment, 3, rolling("3", "1"), []fleet.Budget{guard("app", "50%", "", 3)}, 2},
		{"maxUnavailable 34 % of three rounds up", fleet.Deployment, 3, rolling("3", "1"), []fleet.Budget{guard("app", "", "34%", 3)}, 1},
		{"maxUnavailable 0", fleet.Deployment, 2, rolling("1", "1"), []fleet.Budget{guard("app", "", "0", 2)}, 2},
		{"more than there are is all there are", fleet.Deployment, 2, rolling("1", "1"), []fleet.Budget{guard("app", "5", "", 2)}, 2},
		{"the strictest of two budgets", fleet.Deployment, 4, rolling("4", "1"), []fleet.Budget{guard("app", "1", "", 4), guard("app", "", "1", 4)}, 3},
		{"a budget of another app", fleet.Deployment, 2, rolling("2", "1"), []fleet.Budget{guard("other", "2", "", 2)}, 0},
		{"a budget that selects nothing", fleet.Deployment, 2, rolling("2", "1"), []fleet.Budget{{Namespace: "shop", MinAvailable: amountOf("2"), SelectsNothing: true}}, 0},
		{"a budget that selects everything", fleet.Deployment, 2, rolling("2", "1"), []fleet.Budget{{Namespace: "shop", MinAvailable: amountOf("1")}}, 1},
		{"a selector that cannot be read keeps everything", fleet.Deployment, 2, rolling("2", "1"), []fleet.Budget{{Namespace: "shop", Selector: "app in (", MaxUnavailable: amountOf("2")}}, 2},
		{"another namespace", fleet.Deployment, 2, rolling("2", "1"), []fleet.Budget{{Namespace: "other", MinAvailable: amountOf("2")}}, 0},
		{"our surge is seen through", fleet.Deployment, 5, func(w *fleet.Workload) {
			w.Annotations[fleet.MarkReplicas] = "4"
		}, nil, 3},
		{"our shape is seen through", fleet.Deployment, 4, func(w *fleet.Workload) {
			rolling("0", "2")(w)
			w.Annotations[fleet.MarkStrategy] = `{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"50%","maxSurge":1}}`
		}, nil, 2},
		{"a mark that cannot be read is ignored", fleet.Deployment, 4, func(w *fleet.Workload) {
			rolling("1", "2")(w)
			w.Annotations[fleet.MarkStrategy], w.Annotations[fleet.MarkReplicas] = `{`, "many"
		}, nil, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, pods := made(tt.kind, "app", tt.replicas)
			if tt.change != nil {
				tt.change(&w)
			}
			if got := Required(w, pods, tt.budgets); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
			all := Requirements(fleet.Snapshot{Workloads: []fleet.Workload{w}, Pods: pods, Budgets: tt.budgets})
			if all[w.Key()] != tt.want {
				t.Errorf("Requirements: got %d, want %d", all[w.Key()], tt.want)
			}
		})
	}
}

// A budget over two workloads asks of each what the other cannot give.
func TestRequiredSharedBudget(t *testing.T) {
	a, podsA := made(fleet.Deployment, "a", 2, rolling("2", "1"))
	b, podsB := made(fleet.Deployment, "b", 3, rolling("3", "1"))
	shared := fleet.Budget{Namespace: "shop", Name: "both", MinAvailable: amountOf("4"), Fresh: true}
	all := Requirements(fleet.Snapshot{
		Workloads: []fleet.Workload{a, b}, Pods: append(podsA, podsB...), Budgets: []fleet.Budget{shared},
	})
	if all[a.Key()] != 1 || all[b.Key()] != 2 {
		t.Errorf("got %v, want 1 of a and 2 of b", all)
	}
}

func TestScaledFallsBack(t *testing.T) {
	bad := intstr.FromString("many")
	if got := scaled(&bad, "25%", 4, false); got != 1 {
		t.Errorf("got %d, want the fallback's 1", got)
	}
}
