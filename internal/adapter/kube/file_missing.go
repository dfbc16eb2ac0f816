package kube

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// missing names what a file should hold and does not: nobody can tell whether it
// was not asked for or is not there.
func (f *fileReader) missing() []fleet.Finding {
	var findings []fleet.Finding
	if f.counts["PodDisruptionBudget"] == 0 {
		findings = append(findings, fleet.Finding{
			ID: "snapshot-without-budgets", Severity: fleet.Warning, Object: "snapshot",
			What:   "the file holds no PodDisruptionBudget: if the cluster has some, they are not honoured here",
			Remedy: "ask kubectl for pdb, too",
		})
	}
	if f.counts["HorizontalPodAutoscaler"] == 0 && f.counts["ScaledObject"] == 0 {
		findings = append(findings, fleet.Finding{
			ID: "snapshot-without-autoscalers", Severity: fleet.Info, Object: "snapshot",
			What:   "the file holds no HorizontalPodAutoscaler: if the cluster has some, how far workloads can be raised is not known here",
			Remedy: "ask kubectl for hpa, too (and scaledobjects, where KEDA is)",
		})
	}
	kinds := slices.Sorted(maps.Keys(f.ignored))
	kinds = slices.DeleteFunc(kinds, func(kind string) bool { return kind == "storage.k8s.io/StorageClass" })
	if len(kinds) > 0 && !f.facts {
		findings = append(findings, fleet.Finding{
			ID: "snapshot-kind-ignored", Severity: fleet.Info, Object: "snapshot",
			What: "objects of these kinds say nothing about an evacuation and were not looked at: " + strings.Join(kinds, ", "),
		})
	}
	return findings
}

// ownerless names the controllers of pods that are not in the file, by kind.
func ownerless(s *fleet.Snapshot) []fleet.Finding {
	known := make(map[string]bool, len(s.Workloads))
	for i := range s.Workloads {
		known[s.Workloads[i].Key()] = true
	}
	pods, example := map[string]int{}, map[string]string{}
	for i := range s.Pods {
		p := &s.Pods[i]
		if p.Workload == "" || known[p.Workload] || p.Finished() {
			continue
		}
		kind, _, _ := strings.Cut(p.Workload, "/")
		if pods[kind]++; pods[kind] == 1 {
			example[kind] = p.Key() + " of " + p.Workload
		}
	}
	var findings []fleet.Finding
	for _, kind := range slices.Sorted(maps.Keys(pods)) {
		findings = append(findings, fleet.Finding{
			ID: "snapshot-owners-missing", Severity: fleet.Warning, Object: "snapshot",
			What:   fmt.Sprintf("%d pods belong to a %s that the file does not hold, such as pod %s: how they may move is not known, so they are not moved", pods[kind], kind, example[kind]),
			Remedy: "ask kubectl for " + strings.ToLower(kind) + "s, too",
		})
	}
	return findings
}
