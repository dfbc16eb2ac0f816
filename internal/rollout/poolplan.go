package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/gate"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// PoolRequest asks how the evacuation of one pool would go.
type PoolRequest struct {
	Pool string
	// PoolLabel is the node label that names pools; "" for those of AKS.
	PoolLabel string
	// Strategy wins over the policy's; "" for that.
	Strategy   fleet.Strategy
	ExtraNodes int
	Policy     fleet.NodePolicy
	// Accepted are findings that are taken as accepted.
	Accepted []fleet.Acceptance
	Assume   evacuate.Assumptions
}

// PlanPool says how the evacuation of a pool would go, from a snapshot alone.
// found is what was found out about the snapshot itself. A pool that is not in the
// snapshot is an error that names those that are.
func PlanPool(s fleet.Snapshot, found []fleet.Finding, r PoolRequest) (evacuate.PoolPlan, error) {
	if r.PoolLabel != "" {
		for i := range s.Nodes {
			s.Nodes[i].Pool = s.Nodes[i].Labels[r.PoolLabel]
		}
	}
	name, err := poolNamed(&s, r)
	if err != nil {
		return evacuate.PoolPlan{}, err
	}
	in := evacuate.PoolInput{
		Snapshot: s, Pool: name, Strategy: r.Strategy, ExtraNodes: r.ExtraNodes,
		Policy: r.Policy.Evacuation, Pace: r.Policy.Pace, AcceptedOutages: map[string]bool{}, Assume: r.Assume,
	}
	if in.Strategy == "" {
		in.Strategy = r.Policy.Strategy
	}
	switch {
	case in.ExtraNodes > 0:
	case in.Strategy == fleet.InPlace:
		in.ExtraNodes = surgeNodes(&s, name, r.Policy.MaxSurge)
	case in.Strategy == fleet.BlueGreen:
		in.ExtraNodes = r.Policy.ExtraNodes.Of(nodesIn(&s, name))
	}
	made := evacuate.PlanPool(in)
	// What is accepted is found out by what is found.
	for _, f := range made.Findings {
		if gate.Accepted(r.Accepted, f, s.TakenAt, plan.Match) != nil {
			in.AcceptedOutages[evacuate.AcceptKey(f)] = true
		}
	}
	if len(in.AcceptedOutages) > 0 {
		made = evacuate.PlanPool(in)
	}
	for i := range made.Findings {
		if a := gate.Accepted(r.Accepted, made.Findings[i], s.TakenAt, plan.Match); a != nil {
			made.Findings[i].AcceptedBy = a.Owner
		}
	}
	made.Findings = slices.Concat(found, made.Findings)
	return made, nil
}

// PoolPolicy is the policy that a Fleet file has for a pool.
func PoolPolicy(spec *fleet.Spec, ring, cluster, pool string) fleet.NodePolicy {
	return spec.NodePolicyFor(ring, cluster, pool, plan.Match)
}

// AcceptancesOf are the acceptances of a Fleet file that hold for a cluster; they
// are then of no other one's.
func AcceptancesOf(spec *fleet.Spec, cluster string) []fleet.Acceptance {
	var out []fleet.Acceptance
	for _, a := range spec.Accept {
		if a.Cluster == "" || plan.Match(a.Cluster, cluster) {
			a.Cluster = ""
			out = append(out, a)
		}
	}
	return out
}

// poolNamed is the pool's name as its nodes write it.
func poolNamed(s *fleet.Snapshot, r PoolRequest) (string, error) {
	count := map[string]int{}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Pool != "" && strings.EqualFold(n.Pool, r.Pool) {
			return n.Pool, nil
		}
		count[n.Pool]++
	}
	var pools []string
	for name, nodes := range count {
		if name != "" {
			pools = append(pools, fmt.Sprintf("%s (%d nodes)", name, nodes))
		}
	}
	slices.Sort(pools)
	switch {
	case len(pools) == 0 && r.PoolLabel != "":
		return "", fmt.Errorf("no node of the snapshot has the label %s, which is to name its pool", r.PoolLabel)
	case len(pools) == 0:
		return "", fmt.Errorf("no node of the snapshot says to which pool it belongs (label kubernetes.azure.com/agentpool): name the label that does with --pool-label")
	}
	return "", fmt.Errorf("no node of the snapshot is in pool %q; there are %s", r.Pool, strings.Join(pools, ", "))
}

// surgeNodes resolves the surge that the provider is asked for: "5", "33%".
// Percentages round up, as AKS rounds; 0 where none is given.
func surgeNodes(s *fleet.Snapshot, pool, surge string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(surge, "%"))
	if err != nil || n < 1 {
		return 0
	}
	if !strings.HasSuffix(surge, "%") {
		return n
	}
	return (nodesIn(s, pool)*n + 99) / 100
}

func nodesIn(s *fleet.Snapshot, pool string) (n int) {
	for i := range s.Nodes {
		if s.Nodes[i].Pool == pool {
			n++
		}
	}
	return n
}
