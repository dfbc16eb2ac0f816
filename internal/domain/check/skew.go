package check

import (
	"fmt"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// skewCheck holds the kubelets' versions against the control plane's, now and
// after each stop on the way.
func skewCheck() Check {
	return Check{
		Name: "skew", Group: InCluster, Title: "Version skew between nodes and control plane", Needs: []Need{NeedSnapshot, NeedServer, NeedTarget},
		Doc: "A kubelet must not be newer than its API server, and at most three minors older. Liftlock raises pools in between where the way is longer; nodes in no pool of the provider stay behind, and a stopped pool cannot follow.",
		Finds: []Kind{
			{"node-newer-than-server", "a kubelet is newer than the API server"},
			{"node-too-old", "a kubelet is, or would come to be, more than three minors behind"},
			{"target-behind", "the target is older than the control plane"},
		},
		Run: judgeSkew,
	}
}

func judgeSkew(f *Facts) []fleet.Finding {
	var out []fleet.Finding
	if f.Target.Less(f.Server) {
		out = append(out, fleet.Finding{
			ID: "target-behind", Severity: fleet.Blocker, Object: "Cluster/" + f.Cluster,
			What: fmt.Sprintf("the control plane is at %s, beyond the target %s", f.Server, f.Target), Why: "control planes do not go back",
			Remedy: "choose a target of at least " + f.Server.String(),
		})
	}
	for i := range f.Snapshot.Nodes {
		n := &f.Snapshot.Nodes[i]
		if n.Version.IsZero() {
			continue
		}
		finding := fleet.Finding{Object: "Node/" + n.Name, Owner: poolWord(n.Pool), Evidence: fmt.Sprintf("kubelet %s, API server %s, target %s", n.Version, f.Server, f.Target)}
		switch {
		case n.Version.Minor > f.Server.Minor:
			finding.ID, finding.Severity = "node-newer-than-server", fleet.Blocker
			finding.What = fmt.Sprintf("node %s runs kubelet %s, newer than the API server's %s", n.Name, n.Version, f.Server)
			finding.Remedy = "raise the control plane first; or replace the node by one of its version"
		case f.Server.Minor-n.Version.Minor > plan.MaxSkew:
			finding.ID, finding.Severity = "node-too-old", fleet.Blocker
			finding.What = fmt.Sprintf("node %s runs kubelet %s, %d minors behind the API server's %s", n.Name, n.Version, f.Server.Minor-n.Version.Minor, f.Server)
			finding.Why = fmt.Sprintf("at most %d are supported", plan.MaxSkew)
			finding.Remedy = "bring the node's pool to " + f.Server.String() + " before anything else"
		case f.Target.Minor-n.Version.Minor > plan.MaxSkew && !f.follows(n):
			finding.ID, finding.Severity = "node-too-old", fleet.Blocker
			finding.What = fmt.Sprintf("node %s runs kubelet %s and would be %d minors behind %s: nothing raises it on the way", n.Name, n.Version, f.Target.Minor-n.Version.Minor, f.Target)
			finding.Why = fmt.Sprintf("at most %d are supported, and it is in no running pool of the provider", plan.MaxSkew)
			finding.Remedy = "start or delete its pool; or raise the node by hand before the control plane passes " + fmt.Sprintf("%d.%d", n.Version.Major, n.Version.Minor+plan.MaxSkew)
		default:
			continue
		}
		out = append(out, finding)
	}
	return out
}

// follows reports whether a node is raised when its turn comes: it is in a pool
// that runs. Where the provider was not asked, a pool's name is believed.
func (f *Facts) follows(n *fleet.Node) bool {
	if !f.Read[NeedProvider] {
		return n.Pool != ""
	}
	p := f.Managed.Pool(n.Pool)
	return p != nil && !p.Stopped
}
