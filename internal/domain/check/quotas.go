package check

import (
	"fmt"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// quotaCheck holds quotas against one pod more of each workload that moves.
func quotaCheck() Check {
	return Check{
		Name: "quotas", Group: InCluster, Title: "Quotas that forbid one more pod", Needs: []Need{NeedQuotas, NeedSnapshot},
		Doc:   "Make before break needs one pod more of a workload than it has. Where a ResourceQuota has no room for that pod, the new one is refused, and what can only be moved by a restart or a surge does not move.",
		Finds: []Kind{{"quota-forbids-surge", "a namespace's quota has no room for one more pod of a workload"}},
		Run:   judgeQuotas,
	}
}

func judgeQuotas(f *Facts) []fleet.Finding {
	byNamespace := map[string][]*group{}
	m := f.moving()
	for i := range m.groups {
		g := &m.groups[i]
		if w := g.workload; w != nil && (w.Kind == fleet.Deployment || w.Kind == fleet.ReplicaSet) && w.Strategy != "Recreate" {
			byNamespace[w.Namespace] = append(byNamespace[w.Namespace], g)
		}
	}
	var out []fleet.Finding
	for _, q := range f.Quotas {
		free := max(0, q.Hard-q.Used)
		most := int64(0)
		var refused []string
		for _, g := range byNamespace[q.Namespace] {
			if need := demand(g.pods[0], q.Resource); need > free {
				refused = append(refused, g.object)
				most = max(most, need)
			}
		}
		if len(refused) == 0 {
			continue
		}
		out = append(out, fleet.Finding{
			ID: "quota-forbids-surge", Severity: fleet.Warning, Object: "ResourceQuota/" + q.Namespace + "/" + q.Name,
			What:     fmt.Sprintf("quota %s/%s leaves %s of %s, and one more pod of %s needs more: %s", q.Namespace, q.Name, amount(q.Resource, free), q.Resource, counted(len(refused), "workload", "workloads"), some(refused)),
			Why:      "the new pod, which is to be Ready before the old one goes, would be refused",
			Remedy:   fmt.Sprintf("raise %s of the quota by %s for the time of the upgrade; or lower what runs in the namespace", q.Resource, amount(q.Resource, most-free)),
			Evidence: fmt.Sprintf("%s: hard %s, used %s\n%s", q.Resource, amount(q.Resource, q.Hard), amount(q.Resource, q.Used), strings.Join(refused, "\n")),
		})
	}
	return out
}

// demand is what a pod takes of a quota's resource.
func demand(p *fleet.Pod, resource string) int64 {
	switch resource {
	case "pods":
		return 1
	case "requests.cpu":
		return p.Requests.MilliCPU
	case "requests.memory":
		return p.Requests.Memory
	}
	return 0
}

// amount writes an amount of a quota's resource.
func amount(resource string, n int64) string {
	switch resource {
	case "requests.cpu":
		return fmt.Sprintf("%dm", n)
	case "requests.memory":
		return fmt.Sprintf("%dMi", n>>20)
	}
	return fmt.Sprint(n)
}
