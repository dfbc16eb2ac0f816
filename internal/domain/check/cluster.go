package check

import (
	"fmt"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// clusterChecks are about what is in a cluster beside the pods that move.
func clusterChecks() []Check {
	return []Check{webhookCheck(), nodeCheck(), leftoverCheck(), apiServiceCheck(), managerCheck(), quotaCheck(), attachCheck(), skewCheck()}
}

// upgradeStatus is the label with which AKS sets a node aside whose drain failed.
const upgradeStatus = "kubernetes.azure.com/upgrade-status"

// nodeCheck names nodes that are not as they should be.
func nodeCheck() Check {
	return Check{
		Name: "nodes", Group: InCluster, Title: "Nodes that are not well", Needs: []Need{NeedSnapshot},
		Doc: "Pods of a node that is not Ready serve nobody, and cannot be known to have ended. A node that somebody else cordoned may be cordoned for a reason, and is not there to take pods. A node under pressure evicts pods by itself.",
		Finds: []Kind{
			{"node-not-ready", "a node is not Ready"},
			{"node-cordoned", "somebody else cordoned a node"},
			{"node-pressure", "a node is short of memory, disk, processes or network"},
			{"node-quarantined", "AKS set a node aside since its drain failed"},
		},
		Run: func(f *Facts) []fleet.Finding {
			var out []fleet.Finding
			for i := range f.Snapshot.Nodes {
				out = append(out, judgeNode(&f.Snapshot.Nodes[i])...)
			}
			return out
		},
	}
}

func judgeNode(n *fleet.Node) []fleet.Finding {
	var out []fleet.Finding
	add := func(id, what, why, remedy string) {
		out = append(out, fleet.Finding{ID: id, Severity: fleet.Warning, Object: "Node/" + n.Name, What: what, Why: why, Remedy: remedy, Owner: poolWord(n.Pool)})
	}
	if !n.Ready {
		add("node-not-ready", "node "+n.Name+" is not Ready", "pods on it serve nobody, and budgets count them as down", "bring it back; or delete it, if its machine is gone")
	}
	if n.Unschedulable && n.Annotations[fleet.MarkCordoned] == "" {
		add("node-cordoned", "node "+n.Name+" was cordoned by somebody else", "it takes no pods, and Liftlock leaves it cordoned", "kubectl uncordon it, if the reason is gone")
	}
	if len(n.Pressure) > 0 {
		add("node-pressure", "node "+n.Name+" reports "+strings.Join(n.Pressure, ", "), "its kubelet evicts pods by itself and takes no new ones", "find what uses it up; or replace the node")
	}
	if status := n.Labels[upgradeStatus]; strings.EqualFold(status, "Quarantined") {
		add("node-quarantined", "node "+n.Name+" is left from an upgrade that could not drain it", upgradeStatus+"="+status+": its surge node took its place, and nobody removed it",
			"move what is still on it and delete the machine (az aks nodepool delete-machines)")
	}
	return out
}

// leftoverCheck names what earlier rollouts left behind.
func leftoverCheck() Check {
	return Check{
		Name: "leftovers", Group: InCluster, Title: "Marks of an earlier rollout", Needs: []Need{NeedSnapshot},
		Doc:   "Liftlock marks what it touches. Marks on nodes and workloads while no rollout runs are left from one that was ended in the middle. The next rollout takes them up and undoes them; until then nodes are closed and workloads raised.",
		Finds: []Kind{{"node-left-cordoned", "an earlier rollout cordoned it"}, {"workload-left-raised", "an earlier rollout raised or shaped it"}},
		Run: func(f *Facts) []fleet.Finding {
			var out []fleet.Finding
			for i := range f.Snapshot.Nodes {
				n := &f.Snapshot.Nodes[i]
				if by := n.Annotations[fleet.MarkCordoned]; by != "" {
					out = append(out, fleet.Finding{
						ID: "node-left-cordoned", Severity: fleet.Warning, Object: "Node/" + n.Name, Owner: by,
						What: "node " + n.Name + " was cordoned by rollout " + by, Why: "unless that rollout still runs, it is left over",
						Remedy: "liftlock status says whether it runs; the next rollout restores the node, and liftlock abort does, too",
					})
				}
			}
			for i := range f.Snapshot.Workloads {
				w := &f.Snapshot.Workloads[i]
				for _, mark := range []string{fleet.MarkReplicas, fleet.MarkStrategy} {
					if before := w.Annotations[mark]; before != "" {
						out = append(out, fleet.Finding{
							ID: "workload-left-raised", Severity: fleet.Warning, Object: w.Key(), Owner: w.Manager,
							What: w.Key() + " bears the mark " + mark + " of a rollout", Why: "it was " + before + " before",
							Remedy: "liftlock status says whether that rollout runs; the next one restores it",
						})
						break
					}
				}
			}
			return out
		},
	}
}

// apiServiceCheck names aggregated APIs that do not answer.
func apiServiceCheck() Check {
	return Check{
		Name: "api-services", Group: InCluster, Title: "Aggregated APIs that do not answer", Needs: []Need{NeedAPIServices},
		Doc:   "While an aggregated API is unavailable, namespaces do not end, quotas and garbage collection lag, autoscalers do not see their metrics, and kubectl and operators fail in discovery.",
		Finds: []Kind{{"api-service-unavailable", "an APIService is not Available"}},
		Run: func(f *Facts) []fleet.Finding {
			var out []fleet.Finding
			for _, a := range f.Services {
				if a.Available {
					continue
				}
				out = append(out, fleet.Finding{
					ID: "api-service-unavailable", Severity: fleet.Warning, Object: "APIService/" + a.Name, Owner: a.Service,
					What: "API " + a.Name + " is not available", Why: a.Why,
					Remedy: "bring service " + a.Service + " up; or delete the APIService, if what made it is gone",
				})
			}
			return out
		},
	}
}

// managerCheck names who would put back what is changed on workloads.
func managerCheck() Check {
	return Check{
		Name: "managers", Group: InCluster, Title: "Workloads that others keep as they are", Needs: []Need{NeedSnapshot},
		Doc:   "Argo CD, Flux, the add-on manager and operators put back what others change. Liftlock never patches such objects: their pods are evicted, so that a single replica without a second pod, or a budget that allows none, has no move left that keeps it up.",
		Finds: []Kind{{"workloads-managed", "workloads that a reconciler keeps"}},
		Run: func(f *Facts) []fleet.Finding {
			kept := map[string][]string{}
			for _, g := range f.moving().groups {
				if g.workload != nil && g.workload.Manager != "" {
					kept[g.workload.Manager] = append(kept[g.workload.Manager], g.object)
				}
			}
			var out []fleet.Finding
			for _, manager := range sortedKeys(kept) {
				list := kept[manager]
				out = append(out, fleet.Finding{
					ID: "workloads-managed", Severity: fleet.Info, Object: "Manager/" + manager, Owner: manager,
					What:     fmt.Sprintf("%s would put back what is changed on %s: %s", manager, counted(len(list), "workload", "workloads"), some(list)),
					Why:      "such objects are evicted, never patched: no restart with surge, no raised replicas",
					Remedy:   "run two replicas of what must stay up; or pause the reconciler for the time of the upgrade",
					Evidence: strings.Join(list[:min(20, len(list))], "\n"),
				})
			}
			return out
		},
	}
}
