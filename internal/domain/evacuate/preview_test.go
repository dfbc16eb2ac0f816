package evacuate

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// scene is one workload on node "old", which is to be emptied into "green".
type scene struct {
	w       fleet.Workload
	pods    []fleet.Pod
	budgets []fleet.Budget
	claims  []fleet.Claim
	policy  fleet.EvacuationPolicy
	accept  []string
	stay    int // pods of it that are on node "other"
	dying   bool
	onNode  map[string]string // annotations of the old node
}

func (s scene) input() Input {
	zone := func(name, zone string) fleet.Node {
		return fleet.Node{Name: name, UID: "uid-" + name, Zone: zone, Ready: true, Annotations: map[string]string{}, Labels: map[string]string{}}
	}
	old := zone("old", "1")
	old.Unschedulable, old.Annotations[fleet.MarkCordoned] = true, "r1"
	maps.Copy(old.Annotations, s.onNode)
	for i := range s.stay {
		s.pods[i].Node = "other"
	}
	in := Input{
		Snapshot: fleet.Snapshot{
			TakenAt: time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC),
			Nodes:   []fleet.Node{old, zone("green", "1"), zone("other", "2")},
			Pods:    s.pods, Budgets: s.budgets, Claims: s.claims,
		},
		Leaving: []string{"old"}, Receiving: []string{"green"}, Rollout: "r1",
		Policy: s.policy, Pace: everything, AcceptedOutages: set(s.accept),
	}
	if s.w.Name != "" {
		in.Snapshot.Workloads = []fleet.Workload{s.w}
	}
	if s.dying {
		in.Snapshot.TerminatingNamespaces = []string{"shop"}
	}
	return in
}

// TestChoice names, for every kind of workload, the move that it gets, the
// finding that goes with it, and the first action.
func TestChoice(t *testing.T) {
	type change func(*scene)
	workload := func(kind fleet.WorkloadKind, n int32, changes ...func(*fleet.Workload)) change {
		return func(s *scene) { s.w, s.pods = made(kind, "app", n, changes...) }
	}
	budget := func(minAvailable, maxUnavailable string) change {
		return func(s *scene) {
			s.budgets = append(s.budgets, guard("app", minAvailable, maxUnavailable, len(s.pods)))
		}
	}
	pod := func(f func(*fleet.Pod)) change {
		return func(s *scene) {
			for i := range s.pods {
				f(&s.pods[i])
			}
		}
	}
	stay := func(n int) change { return func(s *scene) { s.stay = n } }
	accept := func(what string) change { return func(s *scene) { s.accept = append(s.accept, what) } }
	policy := func(f func(*fleet.EvacuationPolicy)) change { return func(s *scene) { f(&s.policy) } }
	volume := func(c fleet.Claim) change {
		return func(s *scene) {
			c.Namespace, c.Name = "shop", "data"
			s.claims = append(s.claims, c)
			for i := range s.pods {
				s.pods[i].Claims = []string{"data"}
			}
		}
	}
	hpa := func(kind string, most int32) func(*fleet.Workload) {
		return func(w *fleet.Workload) {
			w.Scaler = &fleet.Scaler{Kind: kind, Name: "app", Min: w.Replicas, Max: most}
		}
	}
	node := func(key, value string) change {
		return func(s *scene) { s.onNode = map[string]string{key: value} }
	}
	budgets := func(f func(*fleet.Budget)) change {
		return func(s *scene) {
			for i := range s.budgets {
				f(&s.budgets[i])
			}
		}
	}
	unready := func(s *scene) { s.pods[len(s.pods)-1].Ready = false }
	ready := func(n int32) func(*fleet.Workload) {
		return func(w *fleet.Workload) { w.Ready, w.Available = n, n }
	}
	recreate := func(w *fleet.Workload) { w.Strategy = "Recreate" }
	managed := func(w *fleet.Workload) { w.Manager = "flux" }
	paused := func(w *fleet.Workload) { w.Paused = true }

	tests := []struct {
		name    string
		changes []change
		move    Move
		finding string     // "" for none
		action  ActionKind // "" for none
		surge   int32
		shape   *Shape
	}{
		{"a single replica whose budget allows none is restarted", []change{workload(fleet.Deployment, 1), budget("1", "")}, MoveRoll, "", Roll, 0, nil},
		{"a budget equal to the replicas", []change{workload(fleet.Deployment, 3), budget("3", "")}, MoveRoll, "", Roll, 0, nil},
		{"its own strategy would break its budget", []change{workload(fleet.Deployment, 4), budget("", "0")}, MoveRoll, "", Roll, 0, &Shape{0, 1}},
		{"maxSurge 0 with a budget that allows it is left alone", []change{workload(fleet.Deployment, 4, rolling("1", "0")), budget("", "1")}, MoveRoll, "", Roll, 0, nil},
		{"maxSurge 0 with a budget that allows none is shaped", []change{workload(fleet.Deployment, 4, rolling("1", "0")), budget("", "0")}, MoveRoll, "", Roll, 0, &Shape{0, 1}},
		{"the policy lets it surge more", []change{workload(fleet.Deployment, 4), policy(func(p *fleet.EvacuationPolicy) { p.MaxSurge = fleet.Amount{Percent: 100} })}, MoveRoll, "", Roll, 0, &Shape{0, 4}},
		{"an autoscaled Deployment is restarted, its replicas untouched", []change{workload(fleet.Deployment, 2, hpa("HorizontalPodAutoscaler", 4))}, MoveRoll, "", Roll, 0, nil},
		{"two budgets on one pod: only a restart gets by", []change{workload(fleet.Deployment, 3), budget("1", ""), budget("", "1")}, MoveRoll, "", Roll, 0, nil},
		{"two budgets on one pod, partially affected", []change{workload(fleet.Deployment, 3), budget("1", ""), budget("", "1"), stay(1)}, MoveRoll, "", Roll, 0, nil},

		{"partially affected, and budget and strategy allow it", []change{workload(fleet.Deployment, 4), budget("", "1"), stay(2)}, MoveEvict, "", Evict, 0, nil},
		{"partially affected, and the strategy needs one more", []change{workload(fleet.Deployment, 3), stay(1)}, MoveSurge, "", Surge, 4, nil},
		{"partially affected, and the budget needs one more", []change{workload(fleet.Deployment, 4), budget("4", ""), stay(2)}, MoveSurge, "", Surge, 5, nil},
		{"partially affected, and no size helps", []change{workload(fleet.Deployment, 4), budget("", "0"), stay(2)}, MoveRoll, "", Roll, 0, &Shape{0, 1}},
		{"partially affected, and 100 % never helps", []change{workload(fleet.Deployment, 4), budget("100%", ""), stay(2)}, MoveRoll, "", Roll, 0, &Shape{0, 1}},
		{"partially affected and autoscaled", []change{workload(fleet.Deployment, 3, hpa("HorizontalPodAutoscaler", 4)), stay(1)}, MoveSurge, "", Surge, 4, nil},
		{"its autoscaler has no room", []change{workload(fleet.Deployment, 3, hpa("HorizontalPodAutoscaler", 3)), stay(1)}, MoveRoll, "", Roll, 0, nil},
		{"partially affected and scaled by KEDA", []change{workload(fleet.Deployment, 3, hpa("ScaledObject", 6)), stay(1)}, MoveSurge, "", Surge, 4, nil},
		{"scaled by something else", []change{workload(fleet.Deployment, 3, hpa("Flock", 6)), stay(1)}, MoveRoll, "", Roll, 0, nil},
		{"paused: it cannot be restarted, but raised", []change{workload(fleet.Deployment, 1, paused)}, MoveSurge, "", Surge, 2, nil},
		{"paused, and no size helps", []change{workload(fleet.Deployment, 1, paused), budget("", "0")}, MoveBlocked, "budget-allows-none", "", 0, nil},
		{"a ReplicaSet is raised", []change{workload(fleet.ReplicaSet, 1)}, MoveSurge, "", Surge, 2, nil},
		{"the surge would go beyond the policy", []change{workload(fleet.ReplicaSet, 2), budget("3", ""), policy(func(p *fleet.EvacuationPolicy) { p.MaxSurge = fleet.Amount{Count: 1} })}, MoveBlocked, "budget-allows-none", "", 0, nil},

		{"managed: evicted within its budget and strategy", []change{workload(fleet.Deployment, 4, managed), budget("", "1")}, MoveEvict, "", Evict, 0, nil},
		{"managed with one replica: nothing keeps it up", []change{workload(fleet.Deployment, 1, managed)}, MoveBlocked, "workload-outage-unavoidable", "", 0, nil},
		{"managed with one replica, accepted", []change{workload(fleet.Deployment, 1, managed), accept("Deployment/shop/app")}, MoveEvict, "workload-outage-unavoidable", Evict, 0, nil},
		{"managed, and its budget allows none, accepted in vain", []change{workload(fleet.Deployment, 1, managed), budget("1", ""), accept("Deployment/shop/app")}, MoveBlocked, "budget-allows-none", "", 0, nil},

		{"Recreate is evicted and flagged", []change{workload(fleet.Deployment, 2, recreate)}, MoveEvict, "workload-recreate", Evict, 0, nil},
		{"Recreate with a budget that allows none", []change{workload(fleet.Deployment, 1, recreate), budget("1", "")}, MoveBlocked, "workload-outage-unavoidable", "", 0, nil},
		{"Recreate with a budget that allows none, accepted", []change{workload(fleet.Deployment, 1, recreate), budget("1", ""), accept("Deployment/shop/app")}, MoveRoll, "workload-recreate", Roll, 0, nil},

		{"a StatefulSet goes one by one", []change{workload(fleet.StatefulSet, 3), budget("", "1")}, MoveOrdered, "", Evict, 0, nil},
		{"a StatefulSet of one is down meanwhile, which its strategy allows", []change{workload(fleet.StatefulSet, 1)}, MoveOrdered, "workload-outage-unavoidable", Evict, 0, nil},
		{"a StatefulSet whose budget allows none", []change{workload(fleet.StatefulSet, 3), budget("3", "")}, MoveBlocked, "workload-outage-unavoidable", "", 0, nil},
		{"a StatefulSet whose budget allows none, accepted", []change{workload(fleet.StatefulSet, 3), budget("3", ""), accept("StatefulSet/shop/app")}, MoveRoll, "workload-outage-unavoidable", Roll, 0, nil},
		{"a StatefulSet with two budgets", []change{workload(fleet.StatefulSet, 3), budget("1", ""), budget("", "1")}, MoveBlocked, "budget-overlap", "", 0, nil},
		{"a partitioned StatefulSet cannot be restarted whole", []change{workload(fleet.StatefulSet, 3, func(w *fleet.Workload) { w.Partition = 2 }), budget("3", ""), accept("StatefulSet/shop/app")}, MoveBlocked, "workload-outage-unavoidable", "", 0, nil},

		{"one replica on a disk", []change{workload(fleet.Deployment, 1), volume(fleet.Claim{ReadWriteOnce: true})}, MoveBlocked, "workload-outage-unavoidable", "", 0, nil},
		{"one replica on a disk, accepted", []change{workload(fleet.Deployment, 1), volume(fleet.Claim{ReadWriteOnce: true}), accept("Deployment/shop/app")}, MoveOrdered, "workload-outage-unavoidable", Evict, 0, nil},
		{"one replica on a disk with a budget, accepted", []change{workload(fleet.Deployment, 1), budget("1", ""), volume(fleet.Claim{ReadWriteOnce: true}), accept("Deployment/shop/app")}, MoveRoll, "workload-outage-unavoidable", Roll, 0, &Shape{1, 0}},
		{"Recreate on a disk: its strategy requires none", []change{workload(fleet.Deployment, 1, recreate), volume(fleet.Claim{ReadWriteOnce: true})}, MoveOrdered, "workload-outage-unavoidable", Evict, 0, nil},
		{"a share that many nodes mount", []change{workload(fleet.Deployment, 1), volume(fleet.Claim{})}, MoveRoll, "", Roll, 0, nil},
		{"a claim that was not found", []change{workload(fleet.Deployment, 1), pod(func(p *fleet.Pod) { p.Claims = []string{"lost"} })}, MoveBlocked, "workload-outage-unavoidable", "", 0, nil},
		{"a disk in another zone", []change{workload(fleet.StatefulSet, 1), volume(fleet.Claim{ReadWriteOnce: true, Zones: []string{"3"}})}, MoveOrdered, "pod-no-node workload-outage-unavoidable", "", 0, nil},
		{"a volume that lives on the node", []change{workload(fleet.StatefulSet, 1), volume(fleet.Claim{ReadWriteOnce: true, Local: true})}, MoveBlocked, "pod-local-volume workload-outage-unavoidable", "", 0, nil},

		{"a Job is waited for", []change{workload(fleet.Job, 1), policy(func(p *fleet.EvacuationPolicy) { p.JobWait = time.Hour })}, MoveWait, "job-running", "", 0, nil},
		{"a Job after its time, refused", []change{workload(fleet.Job, 1)}, MoveRefuse, "job-running", "", 0, nil},
		{"a Job after its time, evicted", []change{workload(fleet.Job, 1), policy(func(p *fleet.EvacuationPolicy) { p.JobsAfter = "evict" })}, MoveEvict, "job-running", Evict, 0, nil},

		{"local data", []change{workload(fleet.Deployment, 2), pod(func(p *fleet.Pod) { p.LocalData = []string{"emptyDir scratch"} })}, MoveRefuse, "pod-local-data", "", 0, nil},
		{"local data that may be lost", []change{workload(fleet.Deployment, 2), pod(func(p *fleet.Pod) { p.LocalData = []string{"emptyDir scratch"} }), policy(func(p *fleet.EvacuationPolicy) { p.LocalData = "evict" })}, MoveRoll, "", Roll, 0, nil},
		{"accepting an outage is not accepting the loss of data", []change{workload(fleet.Deployment, 2), pod(func(p *fleet.Pod) { p.LocalData = []string{"emptyDir scratch"} }), accept("Deployment/shop/app")}, MoveRefuse, "pod-local-data", "", 0, nil},
		{"local data, accepted as such", []change{workload(fleet.Deployment, 2), pod(func(p *fleet.Pod) { p.LocalData = []string{"emptyDir scratch"} }), accept("pod-local-data Deployment/shop/app")}, MoveRoll, "", Roll, 0, nil},
		{"marked not safe to evict", []change{workload(fleet.Deployment, 2), pod(func(p *fleet.Pod) {
			p.Annotations = map[string]string{"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
		})}, MoveRefuse, "pod-do-not-disrupt", "", 0, nil},
		{"marked do-not-disrupt", []change{workload(fleet.StatefulSet, 1), pod(func(p *fleet.Pod) {
			p.Annotations = map[string]string{"karpenter.sh/do-not-disrupt": "true"}
		})}, MoveRefuse, "pod-do-not-disrupt workload-outage-unavoidable", "", 0, nil},
		{"marked wait-completed", []change{workload(fleet.Other, 1), pod(func(p *fleet.Pod) {
			p.Labels["cluster.x-k8s.io/drain"] = "wait-completed"
		})}, MoveWait, "", "", 0, nil},
		{"marked drain: skip", []change{workload(fleet.Deployment, 2), pod(func(p *fleet.Pod) { p.Labels["cluster.x-k8s.io/drain"] = "skip" })}, MoveRefuse, "pod-do-not-disrupt", "", 0, nil},
		{"marked, and its disruption accepted", []change{workload(fleet.Deployment, 2), pod(func(p *fleet.Pod) {
			p.Annotations = map[string]string{"karpenter.sh/do-not-disrupt": "true"}
		}), accept("pod-do-not-disrupt Deployment/shop/app")}, MoveRoll, "", Roll, 0, nil},
		{"on a node that Karpenter must not disrupt", []change{workload(fleet.Deployment, 2), node("karpenter.sh/do-not-disrupt", "true")}, MoveRefuse, "pod-do-not-disrupt", "", 0, nil},
		{"on a node that Gardener preserves", []change{workload(fleet.Deployment, 2), node("node.machine.sapcloud.io/preserve", "now")}, MoveRefuse, "pod-do-not-disrupt", "", 0, nil},
		{"on a node that Gardener preserves once it fails", []change{workload(fleet.Deployment, 2), node("node.machine.sapcloud.io/preserve", "when-failed")}, MoveRoll, "", Roll, 0, nil},

		{"an OnDelete StatefulSet goes one by one", []change{workload(fleet.StatefulSet, 3, func(w *fleet.Workload) { w.Strategy, w.Updated = "OnDelete", 1 }), budget("", "1")}, MoveOrdered, "", Evict, 0, nil},
		{"an OnDelete StatefulSet cannot be restarted, accepted in vain", []change{workload(fleet.StatefulSet, 3, func(w *fleet.Workload) { w.Strategy = "OnDelete" }), budget("3", ""), accept("StatefulSet/shop/app")}, MoveBlocked, "workload-outage-unavoidable", "", 0, nil},
		{"a partitioned StatefulSet within its budget", []change{workload(fleet.StatefulSet, 3, func(w *fleet.Workload) { w.Partition, w.Updated = 2, 1 }), budget("", "1")}, MoveOrdered, "", Evict, 0, nil},
		{"a disk that is still attached elsewhere holds the next one up", []change{workload(fleet.StatefulSet, 2), stay(1), volume(fleet.Claim{ReadWriteOnce: true, AttachedTo: []string{"old"}}), budget("", "1")}, MoveOrdered, "", "", 0, nil},

		{"an unready pod, and the budget lets it go always", []change{workload(fleet.ReplicaSet, 4, ready(3)), stay(1), unready, budget("3", ""), budgets(func(b *fleet.Budget) {
			b.AlwaysAllowUnhealthy, b.CurrentHealthy, b.DisruptionsAllowed = true, 3, 0
		})}, MoveEvict, "", Evict, 0, nil},
		{"an unready pod, and the budget counts it", []change{workload(fleet.ReplicaSet, 4, ready(2)), stay(1), unready, budget("3", ""), budgets(func(b *fleet.Budget) {
			b.CurrentHealthy, b.DisruptionsAllowed = 2, 0
		})}, MoveEvict, "", "", 0, nil},
		{"an unready pod, and the budget is met without it", []change{workload(fleet.ReplicaSet, 4, ready(3)), stay(1), unready, budget("3", ""), budgets(func(b *fleet.Budget) {
			b.CurrentHealthy, b.DisruptionsAllowed = 3, 0
		})}, MoveEvict, "", Evict, 0, nil},
		{"a budget whose status is stale is waited for", []change{workload(fleet.ReplicaSet, 4), stay(2), budget("", "1"), budgets(func(b *fleet.Budget) { b.Fresh = false })}, MoveEvict, "", "", 0, nil},
		{"a budget whose selector cannot be read allows nothing", []change{workload(fleet.ReplicaSet, 4), stay(2), budget("", "1"), budgets(func(b *fleet.Budget) { b.Selector = "app in (" })}, MoveBlocked, "budget-allows-none", "", 0, nil},
		{"a budget that selects everything in the namespace", []change{workload(fleet.ReplicaSet, 4), stay(2), budget("", "1"), budgets(func(b *fleet.Budget) { b.Selector = "" })}, MoveEvict, "", Evict, 0, nil},
		{"a budget that selects nothing", []change{workload(fleet.ReplicaSet, 4), stay(2), budget("4", ""), budgets(func(b *fleet.Budget) { b.SelectsNothing = true })}, MoveEvict, "", Evict, 0, nil},
		{"in the middle of a rollout of its own", []change{workload(fleet.Deployment, 4, func(w *fleet.Workload) { w.Updated = 2 })}, MoveRoll, "", "", 0, nil},

		{"a namespace that is being deleted", []change{workload(fleet.Deployment, 1), func(s *scene) { s.dying = true }}, MoveWait, "", "", 0, nil},

		{"a bare pod", []change{workload(fleet.Deployment, 1), pod(func(p *fleet.Pod) { p.Workload = "" })}, MoveRefuse, "pod-bare", "", 0, nil},
		{"a bare pod that may go for good", []change{workload(fleet.Deployment, 1), pod(func(p *fleet.Pod) { p.Workload = "" }), policy(func(p *fleet.EvacuationPolicy) { p.BarePods = "evict" })}, MoveEvict, "pod-bare", Evict, 0, nil},
		{"a pod whose owner was not found", []change{workload(fleet.Deployment, 1), pod(func(p *fleet.Pod) { p.Workload = "Deployment/shop/ghost" })}, MoveRefuse, "pod-bare", "", 0, nil},
		{"an operator's pods", []change{workload(fleet.Other, 3)}, MoveEvict, "", Evict, 0, nil},
		{"an operator's pods, and the budget allows none", []change{workload(fleet.Other, 3), budget("3", "")}, MoveBlocked, "budget-allows-none", "", 0, nil},
		{"a rollout that was stuck before", []change{workload(fleet.Deployment, 4, func(w *fleet.Workload) {
			w.ProgressFailed, w.Updated = "ReplicaSet app-2 has timed out progressing", 1
		})}, MoveEvict, "workload-rollout-stuck", Evict, 0, nil},
		{"DaemonSets stay", []change{workload(fleet.DaemonSet, 1)}, "", "", "", 0, nil},
		{"mirror pods stay", []change{workload(fleet.Deployment, 1), pod(func(p *fleet.Pod) { p.Mirror = true })}, "", "", "", 0, nil},
		{"finished pods stay", []change{workload(fleet.Job, 1), pod(func(p *fleet.Pod) { p.Phase, p.Ready = "Succeeded", false })}, "", "", "", 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s scene
			for _, c := range tt.changes {
				c(&s)
			}
			in := s.input()
			moves, verdicts, findings := Preview(in)
			for _, v := range verdicts {
				if v.Move != tt.move {
					t.Errorf("pod %s: %s (%s), want %s", v.Pod, v.Move, v.Reason, tt.move)
				}
			}
			if tt.move != "" && moves[tt.move] != len(s.pods)-s.stay {
				t.Errorf("moves: %v", moves)
			}
			ids := make([]string, 0, len(findings))
			for _, f := range findings {
				ids = append(ids, f.ID)
				if f.Object == "" || f.What == "" || len(strings.Split(f.Remedy, "; or ")) < 3 {
					t.Errorf("a finding without object, what or three remedies: %+v", f)
				}
			}
			if got := strings.Join(slices.Compact(ids), " "); got != tt.finding {
				t.Errorf("findings %q, want %q: %+v", got, tt.finding, findings)
			}
			pass := Next(in)
			if tt.action == "" {
				if len(pass.Actions) > 0 {
					t.Errorf("actions: %+v", pass.Actions)
				}
				return
			}
			if len(pass.Actions) == 0 {
				t.Fatalf("no action: %s: %s %+v", pass.Status, pass.Reason, pass.Verdicts)
			}
			a := pass.Actions[0]
			if a.Kind != tt.action || a.Replicas != tt.surge || (a.Shape == nil) != (tt.shape == nil) || a.Shape != nil && *a.Shape != *tt.shape {
				t.Errorf("action %+v (shape %v), want %s to %d with %v", a, a.Shape, tt.action, tt.surge, tt.shape)
			}
		})
	}
}

// TestMinReady: a StatefulSet's next pod goes only when the one before has been
// Ready for minReadySeconds.
func TestMinReady(t *testing.T) {
	s := scene{stay: 1}
	s.w, s.pods = made(fleet.StatefulSet, "app", 3, func(w *fleet.Workload) { w.MinReadySeconds = 10 })
	in := s.input()
	for i := range in.Snapshot.Pods {
		in.Snapshot.Pods[i].ReadySince = in.Snapshot.TakenAt.Add(-time.Hour)
	}
	in.Snapshot.Pods[0].ReadySince = in.Snapshot.TakenAt.Add(-9 * time.Second)
	if pass := Next(in); len(pass.Actions) > 0 {
		t.Errorf("9 s after the last one became Ready: %+v", pass.Actions)
	}
	in.Snapshot.TakenAt = in.Snapshot.TakenAt.Add(time.Second)
	if pass := Next(in); len(pass.Actions) != 1 || pass.Actions[0].Pod != "shop/app-2" {
		t.Errorf("after 10 s: %+v", pass.Actions)
	}
}
