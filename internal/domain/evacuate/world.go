package evacuate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// world is a snapshot, indexed for one pass.
type world struct {
	in        Input
	now       time.Time
	nodes     map[string]*fleet.Node
	leaving   map[string]bool
	receiving map[string]bool
	later     map[string]bool
	closing   map[string]bool
	// behind counts the pods on closing nodes that have to go later.
	behind    int
	workloads map[string]*workload
	budgets   []*budget
	claims    map[string]*fleet.Claim
	dying     map[string]bool // namespaces that are being deleted
	// moving are all pods on leaving nodes that have to go, terminating ones
	// included, sorted by node and name.
	moving []*pod
	// pods counts the cluster's pods that an evacuation could move.
	pods      int
	room      *room
	balancers balancers
}

// pod is a pod with what is known of it through others.
type pod struct {
	*fleet.Pod
	key     string
	owner   *workload // nil for a bare pod
	budgets []*budget
	leaving bool // it is on a leaving node
	// gone: it is terminating, or was evicted by us and the snapshot does not show it yet.
	gone bool
}

// workload is a workload with its pods.
type workload struct {
	*fleet.Workload
	key string
	// pods are its pods that have not finished, terminating ones included, sorted by name.
	pods    []*pod
	budgets []*budget
	// base is its number of replicas without our surge.
	base int
	// strategyRequires is how many of base its own update strategy keeps.
	strategyRequires int
	// dangling: pods name it, but the snapshot does not hold it.
	dangling bool
	// available are its pods that are Ready for minReadySeconds and not going.
	available int
	// stay and leave are its pods, not going, off and on the leaving nodes.
	stay, leave []*pod
}

// newWorld indexes the snapshot. It never fails: what is inconsistent is taken
// in the way that moves less.
func newWorld(in Input) *world {
	wd := &world{
		in: in, now: in.Snapshot.TakenAt,
		nodes:     make(map[string]*fleet.Node, len(in.Snapshot.Nodes)),
		leaving:   set(in.Leaving),
		receiving: set(in.Receiving),
		later:     set(in.Later),
		closing:   set(in.Closing),
		workloads: make(map[string]*workload, len(in.Snapshot.Workloads)),
		claims:    make(map[string]*fleet.Claim, len(in.Snapshot.Claims)),
		dying:     set(in.Snapshot.TerminatingNamespaces),
	}
	for i := range in.Snapshot.Nodes {
		n := &in.Snapshot.Nodes[i]
		wd.nodes[n.Name] = n
	}
	for i := range in.Snapshot.Claims {
		c := &in.Snapshot.Claims[i]
		wd.claims[c.Namespace+"/"+c.Name] = c
	}
	for i := range in.Snapshot.Workloads {
		w := &in.Snapshot.Workloads[i]
		wd.workloads[w.Key()] = &workload{Workload: w, key: w.Key()}
	}
	wd.indexPods(wd.indexBudgets())
	for _, key := range sortedKeys(wd.workloads) {
		wd.finish(wd.workloads[key])
	}
	for _, b := range wd.budgets {
		for key, selected := range b.selected {
			if w := wd.workloads[key]; w != nil {
				if selected >= len(w.pods) {
					b.base += w.base
				} else {
					b.base += selected
				}
				w.budgets = append(w.budgets, b)
				continue
			}
			b.base += selected
		}
	}
	for _, b := range wd.budgets {
		wd.capShared(b)
	}
	for _, w := range wd.workloads {
		slices.SortFunc(w.budgets, func(a, b *budget) int { return cmp.Compare(a.Key(), b.Key()) })
	}
	slices.SortFunc(wd.moving, func(a, b *pod) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.key, b.key))
	})
	wd.balancers = wd.newBalancers()
	return wd
}

// capShared keeps what a surge or a restart of one workload adds to a budget from
// being spent on another: once those pods are gone again, less would be left than
// the budget wants.
func (wd *world) capShared(b *budget) {
	if !b.shared() || b.unreadable != "" || b.allowsAt(0) < 1 {
		return
	}
	extra := 0
	for key := range b.selected {
		if w := wd.workloads[key]; w != nil && w.Kind != fleet.Other && w.Kind != fleet.Job {
			extra += max(0, len(w.leave)+len(w.stay)-w.base)
		}
	}
	// Its status may be older than what its pods say.
	b.left = max(0, min(b.left, min(int(b.CurrentHealthy), b.ready)-extra-b.desired(b.base)))
}

// indexBudgets parses the budgets, by namespace.
func (wd *world) indexBudgets() map[string][]*budget {
	parsed := map[string]labels.Selector{}
	byNamespace := map[string][]*budget{}
	for i := range wd.in.Snapshot.Budgets {
		b := newBudget(&wd.in.Snapshot.Budgets[i], parsed)
		wd.budgets = append(wd.budgets, b)
		byNamespace[b.Namespace] = append(byNamespace[b.Namespace], b)
	}
	for _, list := range byNamespace {
		slices.SortFunc(list, func(a, b *budget) int { return cmp.Compare(a.Name, b.Name) })
	}
	return byNamespace
}

// indexPods hangs the pods on their workloads, budgets and nodes.
func (wd *world) indexPods(budgets map[string][]*budget) {
	for i := range wd.in.Snapshot.Pods {
		fp := &wd.in.Snapshot.Pods[i]
		if fp.Finished() || fp.Mirror || Puller(fp) {
			continue // the first need nothing any more, the next are their kubelet's, the last ours
		}
		p := &pod{Pod: fp, key: fp.Key(), leaving: wd.leaving[fp.Node], gone: !fp.DeletedAt.IsZero()}
		if at, ok := wd.in.Memory.Evicted[fp.UID]; ok && wd.now.Sub(at) < staleAfter {
			p.gone = true
		}
		if fp.Workload != "" {
			w := wd.workloads[fp.Workload]
			if w == nil {
				w = &workload{Workload: danglingWorkload(fp), key: fp.Workload, dangling: true}
				wd.workloads[fp.Workload] = w
			}
			p.owner = w
			w.pods = append(w.pods, p)
		}
		for _, b := range budgets[fp.Namespace] {
			if b.selector.Matches(labels.Set(fp.Labels)) {
				p.budgets = append(p.budgets, b)
				b.pods = append(b.pods, p)
				b.selected[fp.Workload]++
				if fp.Ready && !p.gone {
					b.ready++
				}
			}
		}
		if !p.counts() {
			continue
		}
		wd.pods++
		switch {
		case p.leaving:
			wd.moving = append(wd.moving, p)
		case wd.closing[p.Node]:
			wd.behind++
		}
	}
}

// counts reports whether the pod is one that an evacuation has to move.
func (p *pod) counts() bool {
	return p.owner == nil || p.owner.Kind != fleet.DaemonSet
}

// danglingWorkload stands for a controller that the snapshot does not hold.
func danglingWorkload(p *fleet.Pod) *fleet.Workload {
	kind, name := fleet.Other, p.Workload
	if parts := strings.SplitN(p.Workload, "/", 3); len(parts) == 3 {
		name = parts[2]
		if k := fleet.WorkloadKind(parts[0]); k == fleet.DaemonSet || k == fleet.Job {
			kind = k
		}
	}
	return &fleet.Workload{Kind: kind, Namespace: p.Namespace, Name: name}
}

// finish works out what follows from a workload's pods.
func (wd *world) finish(w *workload) {
	slices.SortFunc(w.pods, func(a, b *pod) int { return cmp.Compare(a.key, b.key) })
	for _, p := range w.pods {
		switch {
		case p.gone:
			continue
		case p.leaving:
			w.leave = append(w.leave, p)
		default:
			w.stay = append(w.stay, p)
		}
		if wd.available(p) {
			w.available++
		}
	}
	w.base = wd.base(w)
	w.strategyRequires = strategyRequires(w.Workload, w.base)
}

// base is a workload's number of replicas without our surge.
func (wd *world) base(w *workload) int {
	if n, ok := markedNumber(w.Annotations, fleet.MarkReplicas); ok {
		return n
	}
	if w.scalerRaised() {
		if a, ok := wd.in.Memory.Acted[w.key]; ok && a.UID == w.UID && a.Base > 0 {
			return a.Base
		}
	}
	if w.Kind == fleet.Other {
		return len(w.leave) + len(w.stay) // how many it wants is not known
	}
	return int(w.Replicas)
}

// raised reports whether the workload, or its autoscaler, bears our surge.
func (w *workload) raised() bool {
	_, ok := w.Annotations[fleet.MarkReplicas]
	return ok || w.scalerRaised()
}

// scalerRaised reports whether its autoscaler bears our surge.
func (w *workload) scalerRaised() bool {
	if w.Scaler == nil {
		return false
	}
	_, ok := w.Scaler.Annotations[fleet.MarkScalerMin]
	return ok
}

// shaped reports whether its strategy bears our shape.
func (w *workload) shaped() bool {
	_, ok := w.Annotations[fleet.MarkStrategy]
	return ok
}

// available reports whether a pod is Ready for its workload's minReadySeconds
// and not on its way out.
func (wd *world) available(p *pod) bool {
	if !p.Ready || p.gone {
		return false
	}
	if p.owner == nil || p.owner.MinReadySeconds == 0 {
		return true
	}
	since := p.ReadySince
	if since.IsZero() {
		since = p.CreatedAt
	}
	return wd.now.Sub(since) >= time.Duration(p.owner.MinReadySeconds)*time.Second
}

// settled reports whether the workload's controller has nothing under way: it
// has seen the latest spec, and every pod is of the latest template.
func (w *workload) settled() bool {
	switch w.Kind {
	case fleet.Deployment:
		return w.Settled && w.Updated >= w.Replicas && w.Updated >= w.Current
	case fleet.StatefulSet:
		// A pod that ends counts as current and no longer as updated.
		going := len(w.pods) - len(w.leave) - len(w.stay)
		return w.Settled && (w.Strategy == "OnDelete" || w.Partition > 0 || int(w.Updated)+going >= int(w.Current))
	case fleet.ReplicaSet:
		return w.Settled
	case fleet.DaemonSet, fleet.Job, fleet.Other:
	}
	return true
}

// ours reports whether the pod was made by a restart of this rollout.
func (wd *world) ours(p *pod) bool {
	value, ok := p.Annotations[fleet.MarkRestarted]
	return ok && wd.in.Rollout != "" && (value == wd.in.Rollout || strings.HasPrefix(value, wd.in.Rollout+"/"))
}

// ordinal is the number at the end of a StatefulSet pod's name, or -1.
func ordinal(name string) int {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return -1
	}
	n, err := strconv.Atoi(name[i+1:])
	if err != nil {
		return -1
	}
	return n
}

// set makes a set of names.
func set(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[M ~map[K]V, K cmp.Ordered, V any](m M) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
