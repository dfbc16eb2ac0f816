package evacuate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// deployments follows pkg/controller/deployment: rolling.go, recreate.go.
func (k *toyKube) deployments() {
	for _, w := range k.workloads {
		if w.Kind != fleet.Deployment {
			continue
		}
		w.Settled = true
		available := map[int]int{}
		pods := map[int]int{}
		total := 0
		for _, p := range k.active(w) {
			pods[p.rev]++
			if k.isAvailable(p) {
				available[p.rev]++
				total++
			}
		}
		replicas := int(w.Replicas)
		old, all := 0, 0
		for rev, n := range w.sets {
			all += n
			if rev != w.rev {
				old += n
			}
		}
		switch {
		case w.Paused && old > 0:
		case w.Strategy == "Recreate":
			oldPods := 0
			for _, p := range k.pods {
				if p.w == w && p.rev != w.rev {
					oldPods++
				}
			}
			for rev := range w.sets {
				if rev != w.rev {
					w.sets[rev] = 0
				}
			}
			if oldPods == 0 {
				w.sets[w.rev] = replicas
			}
		default:
			surge := scaled(w.MaxSurge, "25%", replicas, true)
			unavailable := scaled(w.MaxUnavailable, "25%", replicas, false)
			if surge == 0 && unavailable == 0 {
				unavailable = 1
			}
			switch {
			case w.sets[w.rev] > replicas || old == 0:
				w.sets[w.rev] = replicas
			case w.sets[w.rev] < replicas && all < replicas+surge:
				w.sets[w.rev] += min(replicas+surge-all, replicas-w.sets[w.rev])
			case old > 0:
				least := replicas - unavailable
				newUnavailable := w.sets[w.rev] - available[w.rev]
				room := all - least - newUnavailable
				revs := sortedKeys(w.sets)
				for _, rev := range revs { // the unhealthy ones first
					if rev == w.rev || room <= 0 {
						continue
					}
					n := min(room, max(0, w.sets[rev]-available[rev]))
					w.sets[rev] -= n
					room -= n
				}
				spare := total - least
				for _, rev := range revs {
					if rev == w.rev {
						continue
					}
					n := min(max(0, spare), w.sets[rev], max(0, room))
					w.sets[rev] -= n
					spare -= n
					room -= n
				}
			}
		}
		w.Updated, w.Current = int32(pods[w.rev]), 0
		for _, n := range pods {
			w.Current += int32(n)
		}
		w.Ready, w.Available = int32(k.ready(w)), int32(total)
	}
}

func (k *toyKube) isAvailable(p *toyPod) bool {
	return p.Ready && p.DeletedAt.IsZero() && k.now.Sub(p.ReadySince) >= time.Duration(p.w.MinReadySeconds)*time.Second
}

// replicaSets makes and deletes pods; the order of deletion is that of
// controller.ActivePodsWithRanks.
func (k *toyKube) replicaSets() {
	for _, w := range k.workloads {
		sets := w.sets
		switch w.Kind {
		case fleet.ReplicaSet:
			sets = map[int]int{1: int(w.Replicas)}
			w.Ready, w.Current, w.Updated, w.Settled = int32(k.ready(w)), int32(len(k.active(w))), int32(len(k.active(w))), true
		case fleet.Deployment:
		default:
			continue
		}
		for _, rev := range sortedKeys(sets) {
			var have []*toyPod
			for _, p := range k.active(w) {
				if p.rev == rev {
					have = append(have, p)
				}
			}
			for range sets[rev] - len(have) {
				k.newPod(w, fmt.Sprintf("%s-%d-%04d", w.Name, rev, k.serial+1), rev)
			}
			if surplus := len(have) - sets[rev]; surplus > 0 {
				rank := func(p *toyPod) (r [4]int) {
					if p.Node != "" {
						r[0] = 1
					}
					if p.Phase != "Pending" {
						r[1] = 1
					}
					if p.Ready {
						r[2] = 1
					}
					if p.Annotations[fleet.MarkDeletionCost] == "" {
						r[3] = 1
					}
					return r
				}
				k.rng.Shuffle(len(have), func(i, j int) { have[i], have[j] = have[j], have[i] })
				slices.SortStableFunc(have, func(a, b *toyPod) int {
					ra, rb := rank(a), rank(b)
					return cmp.Or(cmp.Compare(ra[0], rb[0]), cmp.Compare(ra[1], rb[1]), cmp.Compare(ra[2], rb[2]), cmp.Compare(ra[3], rb[3]),
						b.ReadySince.Compare(a.ReadySince))
				})
				for _, p := range have[:surplus] {
					k.remove(p)
				}
			}
		}
	}
}

func (k *toyKube) statefulSets() {
	for _, w := range k.workloads {
		if w.Kind != fleet.StatefulSet {
			continue
		}
		w.Settled = true
		byOrdinal := map[int]*toyPod{}
		for _, p := range k.pods {
			if p.w == w {
				byOrdinal[ordinal(p.Name)] = p
			}
		}
		w.Current, w.Updated, w.Ready = 0, 0, int32(k.ready(w))
		for _, p := range byOrdinal {
			w.Current++
			if p.rev == w.rev {
				w.Updated++
			}
		}
		ordered := w.PodManagement != "Parallel"
		allReady := true
		for i := range int(w.Replicas) {
			p := byOrdinal[i]
			if p == nil {
				k.newPod(w, fmt.Sprintf("%s-%d", w.Name, i), w.rev)
				allReady = false
			} else if !p.Ready || !p.DeletedAt.IsZero() {
				allReady = false
			}
			if !allReady && ordered {
				break
			}
		}
		if !allReady || w.Strategy == "OnDelete" {
			continue
		}
		for i := int(w.Replicas) - 1; i >= int(w.Partition); i-- {
			if p := byOrdinal[i]; p.rev != w.rev {
				k.remove(p)
				break
			}
		}
	}
}

func (k *toyKube) jobs() {
	for _, w := range k.workloads {
		if w.Kind != fleet.Job {
			continue
		}
		w.Settled = true
		done := false
		for _, p := range k.pods {
			if p.w != w {
				continue
			}
			if p.Ready && p.finishAt.IsZero() {
				p.finishAt = k.now.Add(time.Duration(w.runs) * time.Second)
			}
			if p.DeletedAt.IsZero() && !p.finishAt.IsZero() && k.now.After(p.finishAt) {
				p.Phase, p.Ready = "Succeeded", false
			}
			done = done || p.Phase == "Succeeded"
		}
		if !done && len(k.active(w)) == 0 {
			k.newPod(w, fmt.Sprintf("%s-%04d", w.Name, k.serial+1), 1)
		}
	}
}

func (k *toyKube) daemonSets() {
	for _, w := range k.workloads {
		if w.Kind != fleet.DaemonSet {
			continue
		}
		on := map[string]bool{}
		for _, p := range k.pods {
			if p.w == w {
				on[p.Node] = true
			}
		}
		for _, n := range k.nodes {
			if !on[n.Name] && (w.onlyOn == "" || n.Pool == w.onlyOn) {
				p := k.newPod(w, fmt.Sprintf("%s-%04d", w.Name, k.serial+1), 1)
				p.Node, p.boundAt = n.Name, k.now
			}
		}
	}
}

// others is an operator that keeps one pod per replica.
func (k *toyKube) others() {
	for _, w := range k.workloads {
		if w.Kind != fleet.Other {
			continue
		}
		w.Settled = true
		for range int(w.load) - len(k.active(w)) {
			k.newPod(w, fmt.Sprintf("%s-%04d", w.Name, k.serial+1), 1)
		}
	}
}

func (k *toyKube) autoscale() {
	for _, w := range k.workloads {
		if w.Scaler != nil {
			if want := min(max(w.load, w.Scaler.Min), w.Scaler.Max); want != w.Replicas {
				w.Replicas, w.Settled = want, false
			}
		}
	}
}

// disruption follows pkg/controller/disruption.
func (k *toyKube) disruption() {
	for _, b := range k.budgets {
		sel, err := labels.Parse(b.Selector)
		if err != nil {
			k.t.Fatal(err)
		}
		healthy, pods, scale := 0, 0, 0
		seen := map[*toyWorkload]bool{}
		alive := map[string]bool{}
		for _, p := range k.pods {
			if p.Namespace != b.Namespace || !sel.Matches(labels.Set(p.Labels)) || p.Finished() {
				continue
			}
			alive[p.UID] = p.DeletedAt.IsZero()
			pods++
			if p.w != nil && !seen[p.w] {
				seen[p.w] = true
				scale += int(p.w.Replicas)
			}
			if p.Ready && p.DeletedAt.IsZero() && !b.disrupted[p.UID] {
				healthy++
			}
		}
		maps.DeleteFunc(b.disrupted, func(uid string, _ bool) bool { return !alive[uid] })
		expected, desired := pods, 0
		switch {
		case b.MaxUnavailable != nil:
			expected = scale
			desired = max(0, expected-scaled(b.MaxUnavailable, "0", expected, true))
		case b.MinAvailable.Type == intstr.Int:
			desired = b.MinAvailable.IntValue()
		default:
			expected = scale
			desired = scaled(b.MinAvailable, "0", expected, true)
		}
		b.CurrentHealthy, b.DesiredHealthy, b.ExpectedPods = int32(healthy), int32(desired), int32(expected)
		b.DisruptionsAllowed = max(0, int32(healthy-desired))
		if expected <= 0 {
			b.DisruptionsAllowed = 0
		}
		b.Fresh = true
	}
}
