package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// evacuationChecks are about how pods leave their nodes. Most only sort what the
// preview of the evacuation finds, which a rollout makes again before each pool.
func evacuationChecks() []Check {
	return []Check{
		budgetCheck(),
		previewed("outages", "Workloads that no move keeps up",
			"One replica on a volume that only one node can attach, a StatefulSet whose budget allows none, a single replica that cannot be raised: such a workload is down while its pod moves, for about the seconds that the finding says. Its owner accepts that beforehand, or changes it.",
			Kind{"workload-outage-unavoidable", "no move keeps the workload up"}),
		replicaCheck(),
		previewed("recreate", "Deployments that stop before they start",
			"With strategy Recreate the old pods end before the new ones start, so the workload is down once for every move.",
			Kind{"workload-recreate", "its strategy is Recreate"}),
		previewed("bare-pods", "Pods without a controller",
			"Nothing makes a bare pod anew: once it is evicted it is gone.",
			Kind{"pod-bare", "no controller would make it anew"}),
		previewed("local-data", "Data on the node",
			"What a pod keeps in an emptyDir or on its node's disk is lost when it moves, and a volume that lives on a node cannot follow it.",
			Kind{"pod-local-data", "it keeps data on its node"}, Kind{"pod-local-volume", "its volume lives on its node"}),
		probeCheck(),
		graceCheck(),
		previewed("do-not-disrupt", "Pods marked not to be disturbed",
			"Owners mark pods for the cluster autoscaler, Karpenter, Cluster API or Gardener. Liftlock honours these marks: the pod stays until the mark is gone or its disruption is accepted.",
			Kind{"pod-do-not-disrupt", "it, or its node, is marked not to be disrupted"}),
		previewed("jobs", "Jobs that run",
			"A Job's pod is waited for as long as evacuation.jobWait says; with strategy inPlace the provider's drain ends it.",
			Kind{"job-running", "a Job's pod is on a node that is to be emptied"}, Kind{"job-interrupted", "the provider's drain does not wait for it"}),
		previewed("placement", "Pods that would find no node",
			"Node selectors, the zones of volumes and taints are held against the nodes that stay and against new ones like the old ones. A pod that suits none of them would stay Pending.",
			Kind{"pod-no-node", "no node would take it after the move"},
			Kind{"pool-extra-nodes-too-few", "fewer extra nodes than zones, with volumes bound to zones"}),
		poolNameCheck(),
		previewed("own-rollouts", "Rollouts of workloads that do not get on",
			"A Deployment in the middle of a rollout of its own that is stuck is moved by evictions alone, and a pod that does not end keeps its node from being empty.",
			Kind{"workload-rollout-stuck", "a rollout of its own does not get on"}, Kind{"pod-stuck-terminating", "it should have ended, and has not"}),
		previewed("in-place", "What the provider's own upgrade would break",
			"With strategy inPlace the provider drains the nodes, and honours nothing but budgets. Workloads that require more than their budgets hold may fall below what they require.",
			Kind{"workload-below-requirement", "it requires more pods than its budgets hold"},
			Kind{"budget-blocks-provider", "a budget makes the provider refuse or its drain fail"}),
		imageCheck(),
	}
}

// previewed is a check that takes its findings from the evacuations' previews.
func previewed(name, title, doc string, finds ...Kind) Check {
	return Check{
		Name: name, Group: Evacuation, Title: title, Doc: doc, Needs: []Need{NeedSnapshot}, Finds: finds,
		Run: func(f *Facts) []fleet.Finding { return f.previewOf(finds) },
	}
}

// moving is what would leave its nodes.
type moving struct {
	pools    []string                   // by name; "" for nodes of none
	leaving  map[string]string          // pool by node
	groups   []group                    // of pods, by workload
	preview  map[string][]fleet.Finding // by id; nil until it is asked for
	strategy map[string]fleet.Strategy  // by pool
}

// group is the pods of one workload, or one bare pod, on nodes that are to leave.
type group struct {
	object   string
	workload *fleet.Workload // nil for a bare pod, and for one whose controller is not known
	pods     []*fleet.Pod
}

// moving works out, once, which nodes are to leave and what is on them. Nodes that
// run the target already stay.
func (f *Facts) moving() *moving {
	if f.moved != nil {
		return f.moved
	}
	m := &moving{leaving: map[string]string{}, strategy: map[string]fleet.Strategy{}}
	f.moved = m
	s := &f.Snapshot
	behind := map[string]bool{}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if f.Target.IsZero() || n.Version != f.Target {
			behind[n.Pool] = true
		}
	}
	m.pools = sortedKeys(behind)
	for i := range s.Nodes {
		if n := &s.Nodes[i]; behind[n.Pool] {
			m.leaving[n.Name] = n.Pool
		}
	}
	for _, pool := range m.pools {
		m.strategy[pool] = f.policy(pool).Strategy
	}
	m.group(s)
	return m
}

// group finds the pods that have to move.
func (m *moving) group(s *fleet.Snapshot) {
	workloads := make(map[string]*fleet.Workload, len(s.Workloads))
	for i := range s.Workloads {
		workloads[s.Workloads[i].Key()] = &s.Workloads[i]
	}
	at := map[string]int{}
	for i := range s.Pods {
		p := &s.Pods[i]
		if _, leaves := m.leaving[p.Node]; !leaves || p.Mirror || p.Finished() || !p.DeletedAt.IsZero() || evacuate.Puller(p) {
			continue
		}
		object := cmp.Or(p.Workload, "Pod/"+p.Key())
		w := workloads[p.Workload]
		if w != nil && w.Kind == fleet.DaemonSet {
			continue
		}
		n, known := at[object]
		if !known {
			n = len(m.groups)
			at[object] = n
			m.groups = append(m.groups, group{object: object, workload: w})
		}
		m.groups[n].pods = append(m.groups[n].pods, p)
	}
	slices.SortFunc(m.groups, func(a, b group) int { return cmp.Compare(a.object, b.object) })
}

// look previews the evacuation of every pool.
func (m *moving) look(f *Facts) {
	m.preview = map[string][]fleet.Finding{}
	for _, pool := range m.pools {
		policy := f.policy(pool)
		plan := evacuate.PlanPool(evacuate.PoolInput{
			Snapshot: f.Snapshot, Pool: pool, Strategy: policy.Strategy, ExtraNodes: policy.ExtraNodes.Of(m.nodesOf(pool)),
			Policy: policy.Evacuation, Pace: policy.Pace, Assume: evacuate.UsualAssumptions,
		})
		for _, one := range plan.Findings {
			m.preview[one.ID] = append(m.preview[one.ID], one)
		}
	}
}

func (m *moving) nodesOf(pool string) (n int) {
	for _, p := range m.leaving {
		if p == pool {
			n++
		}
	}
	return n
}

// previewOf returns the previews' findings of some kinds.
func (f *Facts) previewOf(kinds []Kind) []fleet.Finding {
	m := f.moving()
	if m.preview == nil {
		m.look(f)
	}
	var out []fleet.Finding
	for _, k := range kinds {
		out = append(out, m.preview[k.ID]...)
	}
	return out
}

// poolWord names a pool for people.
func poolWord(pool string) string {
	if pool == "" {
		return "nodes that are in no pool"
	}
	return "pool " + pool
}

// PoolFindings says what is known to be in the way of one pool beside the preview
// of its evacuation: its settings, and workloads that are bound to its name. A
// rollout asks before it lets the pool go.
func PoolFindings(s *fleet.Snapshot, p *fleet.Pool, policy fleet.NodePolicy) []fleet.Finding {
	f := &Facts{Snapshot: fleet.Snapshot{Pods: s.Pods, Workloads: s.Workloads}, Policy: func(string) fleet.NodePolicy { return policy }}
	for i := range s.Nodes {
		if strings.EqualFold(s.Nodes[i].Pool, p.Name) {
			f.Snapshot.Nodes = append(f.Snapshot.Nodes, s.Nodes[i])
		}
	}
	return append(poolSettings(p, policy), boundToPools(f)...)
}

// poolSettings says what a pool's own settings and its policy mean for its
// replacement.
func poolSettings(p *fleet.Pool, policy fleet.NodePolicy) []fleet.Finding {
	var findings []fleet.Finding
	if policy.Strategy != fleet.InPlace && len(p.Uncopied) > 0 {
		findings = append(findings, fleet.Finding{
			ID: "pool-setting-not-copied", Severity: fleet.Blocker, Object: "Pool/" + p.Name,
			What:   "a new pool cannot be given: " + strings.Join(p.Uncopied, ", "),
			Remedy: "use strategy inPlace for this pool, or accept that its stand-in lacks these settings",
		})
	}
	if extra := policy.ExtraNodes.Of(p.Count); policy.Strategy == fleet.BlueGreen && extra > 0 && extra < p.Count {
		findings = append(findings, fleet.Finding{
			ID: "pool-rolls", Severity: fleet.Info, Object: "Pool/" + p.Name,
			What:   fmt.Sprintf("its %d nodes are replaced with %d more at a time; the way back ends when the first old node is removed", p.Count, extra),
			Remedy: "allow as many extra nodes as the pool has, if the way back is to stay open until the soak is over",
		})
		if extra < len(p.Zones) {
			findings = append(findings, fleet.Finding{
				ID: "pool-extra-nodes-too-few", Severity: fleet.Warning, Object: "Pool/" + p.Name,
				What:   fmt.Sprintf("extraNodes gives %d new nodes for the pool's %d zones: pods that are spread over zones, or whose volume is in one, may find no node", extra, len(p.Zones)),
				Remedy: fmt.Sprintf("allow %d extra nodes; or a multiple of that; or leave extraNodes out, if the quota allows", len(p.Zones)),
			})
		}
	}
	return findings
}
