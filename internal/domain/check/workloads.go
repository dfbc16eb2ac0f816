package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// replicaCheck names workloads that have a single pod.
func replicaCheck() Check {
	return Check{
		Name: "single-replicas", Group: Evacuation, Title: "Workloads with one replica", Needs: []Need{NeedSnapshot},
		Doc:   "A single replica is moved by a restart with surge, so that the new pod is Ready before the old one ends. Whatever else takes a node (a drain by others, a repair, a crash) takes the workload down.",
		Finds: []Kind{{"workload-single-replica", "it has one replica"}},
		Run: func(f *Facts) []fleet.Finding {
			var out []fleet.Finding
			for _, g := range f.moving().groups {
				w := g.workload
				if w == nil || w.Replicas != 1 || w.Strategy == "Recreate" || w.Kind != fleet.Deployment && w.Kind != fleet.ReplicaSet {
					continue // a StatefulSet's only pod is down while it moves: the preview says so
				}
				out = append(out, fleet.Finding{
					ID: "workload-single-replica", Severity: fleet.Info, Object: g.object, Owner: w.Manager,
					What:   g.object + " has one replica",
					Why:    "Liftlock brings the new pod up before the old one goes where it can; a drain by others does not",
					Remedy: "run two replicas; or give it a budget, so that drains by others wait",
				})
			}
			return out
		},
	}
}

// probeCheck names workloads whose pods count as Ready as soon as they run.
func probeCheck() Check {
	return Check{
		Name: "readiness", Group: Evacuation, Title: "Pods without a readiness probe", Needs: []Need{NeedSnapshot},
		Doc:   "A pod without a readiness probe is Ready once its containers run. Every promise about availability, Kubernetes' own and Liftlock's, then means running processes, not answered requests: the old pod may end before the new one can serve.",
		Finds: []Kind{{"workload-no-readiness", "none of its containers has a readiness probe"}},
		Run: func(f *Facts) []fleet.Finding {
			var out []fleet.Finding
			for _, g := range f.moving().groups {
				if g.workload == nil || g.workload.Kind == fleet.Job || !g.pods[0].Unprobed {
					continue
				}
				out = append(out, fleet.Finding{
					ID: "workload-no-readiness", Severity: fleet.Warning, Object: g.object, Owner: g.workload.Manager,
					What:   "no container of " + g.object + " has a readiness probe",
					Why:    "its pods count as Ready once they run, so the old ones end before anybody knows that the new ones serve",
					Remedy: "give its main container a readinessProbe; or set minReadySeconds to what its start takes",
				})
			}
			return out
		},
	}
}

// graceCheck names pods that are killed without a word.
func graceCheck() Check {
	return Check{
		Name: "grace", Group: Evacuation, Title: "Pods that are killed at once", Needs: []Need{NeedSnapshot},
		Doc:   "With terminationGracePeriodSeconds 0 a container is killed without SIGTERM: requests under way are lost, and the API server forgets the pod before its node has stopped it.",
		Finds: []Kind{{"pod-killed-at-once", "its grace period is 0"}},
		Run: func(f *Facts) []fleet.Finding {
			var out []fleet.Finding
			for _, g := range f.moving().groups {
				if !slices.ContainsFunc(g.pods, func(p *fleet.Pod) bool { return p.KilledAtOnce }) {
					continue
				}
				out = append(out, fleet.Finding{
					ID: "pod-killed-at-once", Severity: fleet.Warning, Object: g.object,
					What:   "pods of " + g.object + " have a grace period of 0 seconds",
					Why:    "they are killed without SIGTERM, and requests under way are lost",
					Remedy: "set terminationGracePeriodSeconds to what a clean end takes (30 is usual)",
				})
			}
			return out
		},
	}
}

// poolNameCheck names workloads that are bound to a pool by its name.
func poolNameCheck() Check {
	return Check{
		Name: "pool-names", Group: Evacuation, Title: "Selectors bound to a pool's name", Needs: []Need{NeedSnapshot},
		Doc:   "The pool that takes another one's place has another name, so pods that ask for nodes by agentpool=NAME run on the old nodes only. Labels of your own, which the new pool is given too, do not have this flaw. Strategy inPlace keeps the name throughout.",
		Finds: []Kind{{"workload-bound-to-pool", "its node selector or affinity names an agent pool"}},
		Run:   boundToPools,
	}
}

func boundToPools(f *Facts) []fleet.Finding {
	m := f.moving()
	var out []fleet.Finding
	for i := range m.groups {
		g := &m.groups[i]
		how := m.boundBy(g)
		if len(how) == 0 {
			continue
		}
		out = append(out, fleet.Finding{
			ID: "workload-bound-to-pool", Severity: fleet.Blocker, Object: g.object,
			What:     g.object + " runs only on nodes of a pool with that name: " + strings.Join(how, ", "),
			Why:      "the pool that takes its place has another name, and no pod of it would be scheduled there",
			Remedy:   "select the nodes by a label of your own that the pool has; or use strategy inPlace for this pool",
			Evidence: strings.Join(how, "\n"),
		})
	}
	return out
}

// boundBy says how a group's pods are bound to pools that all get another name;
// nothing where one of the pools that they may run in keeps its own.
func (m *moving) boundBy(g *group) []string {
	bound := map[string]string{} // how, by pool
	for _, p := range g.pods {
		for _, key := range []string{"kubernetes.azure.com/agentpool", "agentpool"} {
			if pool := p.NodeSelector[key]; pool != "" {
				bound[pool] = "nodeSelector " + key + "=" + pool
			}
		}
		for _, pool := range p.PoolAffinity {
			bound[pool] = cmp.Or(bound[pool], "required node affinity to agentpool "+pool)
		}
	}
	var how []string
	for _, pool := range sortedKeys(bound) {
		if strategy, leaves := m.strategy[pool]; !leaves || strategy == fleet.InPlace {
			return nil
		}
		how = append(how, bound[pool])
	}
	return how
}

// imageCheck names images whose tag may mean something else by now.
func imageCheck() Check {
	return Check{
		Name: "image-tags", Group: Evacuation, Title: "Image tags that move", Needs: []Need{NeedSnapshot},
		Doc:   "A pod that moves pulls its images anew on a node that does not have them. Where the tag is latest, or there is none, that may be another image than the one that runs: the upgrade becomes a release that nobody planned. Digests and fixed tags do not have this flaw.",
		Finds: []Kind{{"image-tag-moves", "an image is named by tag latest, or by none"}},
		Run: func(f *Facts) []fleet.Finding {
			var out []fleet.Finding
			for _, g := range f.moving().groups {
				var loose []string
				for _, image := range g.pods[0].Images {
					if tagMoves(image) {
						loose = append(loose, image)
					}
				}
				if len(loose) == 0 {
					continue
				}
				out = append(out, fleet.Finding{
					ID: "image-tag-moves", Severity: fleet.Warning, Object: g.object,
					What:     fmt.Sprintf("%s has images without a fixed version: %s", g.object, some(loose)),
					Why:      "on a new node they are pulled anew, and may not be what runs now",
					Remedy:   "name the version or the digest (image@sha256:…)",
					Evidence: strings.Join(loose, "\n"),
				})
			}
			return out
		},
	}
}

// tagMoves reports whether an image is named without a digest, and by tag latest
// or none.
func tagMoves(image string) bool {
	if image == "" || strings.Contains(image, "@") {
		return false
	}
	name := image[strings.LastIndex(image, "/")+1:]
	_, tag, tagged := strings.Cut(name, ":")
	return !tagged || tag == "latest"
}
