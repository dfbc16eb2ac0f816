package check

import (
	"fmt"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// quotaCheck holds quotas against one pod more of each workload that moves.
func quotaCheck() Check {
	return Check{
		Name: "quotas", Group: InCluster, Title: "Quotas that forbid one more pod", Needs: []Need{NeedQuotas, NeedSnapshot},
		Doc:   "Make before break needs one pod more of a workload than it has. Where a ResourceQuota has no room for that pod, the new one is refused, and what can only be moved by a restart or a surge does not move.",
		Finds: []Kind{{"quota-forbids-surge", "a namespace's quota has no room for one more pod of a workload"}},
		Run: func(f *Facts) []fleet.Finding {
			byNamespace := map[string][]Quota{}
			for _, q := range f.Quotas {
				byNamespace[q.Namespace] = append(byNamespace[q.Namespace], q)
			}
			var out []fleet.Finding
			for _, g := range f.moving().groups {
				w := g.workload
				if w == nil || w.Kind != fleet.Deployment && w.Kind != fleet.ReplicaSet || w.Strategy == "Recreate" {
					continue
				}
				p := g.pods[0]
				for _, q := range byNamespace[p.Namespace] {
					if need, free := demand(p, q.Resource), q.Hard-q.Used; need > free {
						out = append(out, fleet.Finding{
							ID: "quota-forbids-surge", Severity: fleet.Warning, Object: g.object, Owner: "ResourceQuota/" + q.Namespace + "/" + q.Name,
							What:     fmt.Sprintf("quota %s/%s has no room for one more pod of %s: it needs %s, and %s is left", q.Namespace, q.Name, g.object, amount(q.Resource, need), amount(q.Resource, max(0, free))),
							Why:      "the new pod, which is to be Ready before the old one goes, would be refused",
							Remedy:   fmt.Sprintf("raise %s of the quota by %s for the time of the upgrade; or lower what runs in the namespace", q.Resource, amount(q.Resource, need-max(0, free))),
							Evidence: fmt.Sprintf("%s: hard %s, used %s", q.Resource, amount(q.Resource, q.Hard), amount(q.Resource, q.Used)),
						})
						break
					}
				}
			}
			return out
		},
	}
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
