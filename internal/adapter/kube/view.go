package kube

import (
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// item is one watched object: a pod, a controller or a budget.
type item struct {
	id         string // unique among all kinds
	namespace  string
	version    string // resourceVersion
	pod        *ownedPod
	controller *ownedWorkload
	budget     *fleet.Budget
}

// view is all that is watched, and what follows from it for the workloads. It
// does no I/O and is used by one goroutine.
type view struct {
	namespaces map[string]*namespaceView
	// sources holds where each item came from, so that a new list of a kind
	// replaces the old one.
	sources []map[string]item
	keys    []workloadKey // of all workloads, sorted; nil when they changed
}

type workloadKey struct{ namespace, key string }

// namespaceView is the part of a view that is in one namespace. Neither owners
// nor budgets reach beyond it.
type namespaceView struct {
	pods        map[string]*ownedPod // by uid, finished ones left out
	byOwner     map[string]int       // how many pods each controller has itself
	controllers map[string]*ownedWorkload
	budgets     map[string]seenBudget
	workloads   map[string]*seenWorkload // by key

	// shared: a budget selects pods of several workloads, so that what one of
	// them requires depends on the others.
	shared bool
	// What has to be worked out anew: everything, or some workloads.
	stale bool
	dirty map[string]bool
}

// seenWorkload is a workload with its pods, the budgets that select any of
// them, and its numbers.
type seenWorkload struct {
	workload        fleet.Workload
	pods            map[string]*ownedPod
	budgets         map[string]bool // by id
	ready, required int
}

func newSeenWorkload(w fleet.Workload) *seenWorkload {
	return &seenWorkload{workload: w, pods: map[string]*ownedPod{}, budgets: map[string]bool{}}
}

// seenBudget is a budget with its selector as parsed.
type seenBudget struct {
	budget   fleet.Budget
	selector labels.Selector
}

func newSeenBudget(b fleet.Budget) seenBudget {
	if b.SelectsNothing {
		return seenBudget{b, labels.Nothing()}
	}
	selector, err := labels.Parse(b.Selector)
	if err != nil {
		selector = labels.Everything() // as the domain takes it
	}
	return seenBudget{b, selector}
}

func newView(sources int) *view {
	v := &view{namespaces: map[string]*namespaceView{}, sources: make([]map[string]item, sources)}
	for i := range v.sources {
		v.sources[i] = map[string]item{}
	}
	return v
}

// replace takes a whole new list of one source's items.
func (v *view) replace(source int, items []item) {
	gone := v.sources[source]
	fresh := make(map[string]item, len(items))
	for _, it := range items {
		fresh[it.id] = it
		delete(gone, it.id)
	}
	v.sources[source] = gone
	for _, it := range gone {
		v.remove(source, it)
	}
	v.sources[source] = fresh
	for _, it := range items {
		v.apply(it)
	}
}

// replaceIn takes all of one source's items that are in a namespace now.
func (v *view) replaceIn(source int, namespace string, items []item) {
	listed := make(map[string]bool, len(items))
	for _, it := range items {
		listed[it.id] = true
		v.put(source, it)
	}
	for id, it := range v.sources[source] {
		if it.namespace == namespace && !listed[id] {
			v.remove(source, it)
		}
	}
}

// put takes a new or changed item. One that is older than what is known, which
// reached us by another way, is ignored.
func (v *view) put(source int, it item) {
	if known, ok := v.sources[source][it.id]; ok && older(it.version, known.version) {
		return
	}
	v.sources[source][it.id] = it
	v.apply(it)
}

func older(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order < 0
}

func (v *view) apply(it item) {
	ns := v.namespaces[it.namespace]
	if ns == nil {
		ns = &namespaceView{
			pods:        map[string]*ownedPod{},
			byOwner:     map[string]int{},
			controllers: map[string]*ownedWorkload{},
			budgets:     map[string]seenBudget{},
			workloads:   map[string]*seenWorkload{},
			dirty:       map[string]bool{},
		}
		v.namespaces[it.namespace] = ns
	}
	switch {
	case it.pod != nil:
		ns.putPod(it.id, it.pod)
	case it.controller != nil:
		before := ns.controllers[it.id]
		ns.controllers[it.id] = it.controller
		if before == nil || !sameOwner(before.owner, it.controller.owner) {
			ns.came(it)
			return
		}
		key := it.controller.workload.Key()
		if w := ns.workloads[key]; w != nil && w.workload.UID == it.controller.workload.UID {
			w.workload = it.controller.workload
			ns.dirty[key] = true
		}
	case it.budget != nil:
		before, known := ns.budgets[it.id]
		ns.budgets[it.id] = newSeenBudget(*it.budget)
		if known && before.budget.Selector == it.budget.Selector && before.budget.SelectsNothing == it.budget.SelectsNothing {
			for key, w := range ns.workloads {
				if w.budgets[it.id] {
					ns.dirty[key] = true
				}
			}
			return
		}
		ns.stale = true
	}
}

// came notes that a controller came or went. A ReplicaSet that belongs to
// another controller and has no pods changes nothing.
func (ns *namespaceView) came(it item) {
	if it.controller.workload.Kind != fleet.ReplicaSet || it.controller.owner == nil || ns.byOwner[it.id] > 0 {
		ns.stale = true
	}
}

// remove forgets an item.
func (v *view) remove(source int, it item) {
	delete(v.sources[source], it.id)
	ns := v.namespaces[it.namespace]
	if ns == nil {
		return
	}
	switch {
	case it.pod != nil:
		ns.dropPod(it.id)
	case it.controller != nil:
		delete(ns.controllers, it.id)
		ns.came(it)
	case it.budget != nil:
		delete(ns.budgets, it.id)
		ns.stale = true
	}
}

func sameOwner(a, b *metav1.OwnerReference) bool {
	return (a == nil) == (b == nil) && (a == nil || a.UID == b.UID)
}

func (ns *namespaceView) putPod(id string, pod *ownedPod) {
	before := ns.pods[id]
	ns.dropPod(id)
	if pod.pod.Finished() {
		return
	}
	key, other := ns.workloadOf(pod)
	pod.pod.Workload = key
	ns.pods[id] = pod
	if pod.owner != nil {
		ns.byOwner[string(pod.owner.UID)]++
	}
	if key == "" {
		return
	}
	w := ns.workloads[key]
	switch {
	case w == nil && other == nil:
		ns.stale = true // its controller has pods for the first time
		return
	case w == nil:
		w = newSeenWorkload(*other)
		ns.workloads[key] = w
		ns.stale = true
	case before == nil || before.pod.Workload != key || !maps.Equal(before.pod.Labels, pod.pod.Labels):
		if ns.selectedAnew(w, pod) {
			ns.stale = true
		}
	}
	w.pods[id] = pod
	ns.dirty[key] = true
}

// selectedAnew reports whether a budget selects a pod of a workload that it did
// not select pods of before.
func (ns *namespaceView) selectedAnew(w *seenWorkload, pod *ownedPod) bool {
	for id, b := range ns.budgets {
		if !w.budgets[id] && b.selector.Matches(labels.Set(pod.pod.Labels)) {
			return true
		}
	}
	return false
}

func (ns *namespaceView) dropPod(id string) {
	pod := ns.pods[id]
	if pod == nil {
		return
	}
	delete(ns.pods, id)
	if pod.owner != nil {
		if uid := string(pod.owner.UID); ns.byOwner[uid] > 1 {
			ns.byOwner[uid]--
		} else {
			delete(ns.byOwner, uid)
		}
	}
	if w := ns.workloads[pod.pod.Workload]; w != nil {
		delete(w.pods, id)
		ns.dirty[pod.pod.Workload] = true
	}
}

// workloadOf finds a pod's workload. Jobs are not watched, since they require
// nothing: a pod's word is enough for them.
func (ns *namespaceView) workloadOf(pod *ownedPod) (string, *fleet.Workload) {
	if pod.owner != nil {
		if kind, known := kindOf(pod.owner); known && kind == fleet.Job {
			w := fleet.Workload{
				Kind: fleet.Job, Namespace: pod.pod.Namespace, Name: pod.owner.Name,
				UID: string(pod.owner.UID), Settled: true,
			}
			return w.Key(), &w
		}
	}
	return topmost(pod.pod.Namespace, pod.owner, func(uid string) (string, *metav1.OwnerReference, bool) {
		c := ns.controllers[uid]
		if c == nil {
			return "", nil, false
		}
		return c.workload.Key(), c.owner, true
	})
}

// settle works out what has changed since the last call: whether any number
// did, and which workloads lost Ready pods or require more now.
func (v *view) settle() (changed bool, lowered []string) {
	for _, ns := range v.namespaces {
		before := map[string][2]int{}
		switch {
		case ns.stale, ns.shared && len(ns.dirty) > 0:
			for key, w := range ns.workloads {
				before[key] = [2]int{w.ready, w.required}
			}
			ns.rebuild()
			v.keys = nil
			ns.stale = true
		case len(ns.dirty) > 0:
			for key := range ns.dirty {
				if w := ns.workloads[key]; w != nil {
					before[key] = [2]int{w.ready, w.required}
				}
			}
			if ns.recount() {
				v.keys = nil
			}
		default:
			continue
		}
		keys := ns.dirty
		if ns.stale {
			keys = map[string]bool{}
			for key := range ns.workloads {
				keys[key] = true
			}
			changed = changed || len(before) != len(ns.workloads)
		}
		for key := range keys {
			was, known := before[key]
			w := ns.workloads[key]
			if w == nil || !known {
				changed = true
				continue
			}
			if was != [2]int{w.ready, w.required} {
				changed = true
			}
			if w.ready < was[0] || w.required > was[1] {
				lowered = append(lowered, key)
			}
		}
		ns.stale = false
		clear(ns.dirty)
	}
	slices.Sort(lowered)
	return changed, lowered
}

// rebuild joins pods, controllers and budgets of the namespace anew.
func (ns *namespaceView) rebuild() {
	ns.workloads = map[string]*seenWorkload{}
	for _, c := range ns.controllers {
		if c.workload.Kind == fleet.ReplicaSet && c.owner != nil {
			continue // only if pods make it their workload
		}
		ns.workloads[c.workload.Key()] = newSeenWorkload(c.workload)
	}
	for id, pod := range ns.pods {
		key, other := ns.workloadOf(pod)
		pod.pod.Workload = key
		if key == "" {
			continue
		}
		w := ns.workloads[key]
		if w == nil {
			if other == nil {
				other = &ns.controllers[string(pod.owner.UID)].workload // a ReplicaSet that has lost its owner
			}
			w = newSeenWorkload(*other)
			ns.workloads[key] = w
		}
		w.pods[id] = pod
	}
	ns.selectPods()
	for _, w := range ns.workloads {
		w.count()
	}
	ns.require(slices.Collect(maps.Keys(ns.workloads)))
}

// recount works out the dirty workloads, and reports whether one came or went.
func (ns *namespaceView) recount() bool {
	vanished := false
	keys := make([]string, 0, len(ns.dirty))
	for key := range ns.dirty {
		w := ns.workloads[key]
		if w == nil {
			continue
		}
		if len(w.pods) == 0 && (w.workload.Kind == fleet.Job || w.workload.Kind == fleet.Other) {
			delete(ns.workloads, key) // known by its pods alone
			vanished = true
			continue
		}
		w.count()
		keys = append(keys, key)
	}
	ns.require(keys)
	return vanished
}

func (w *seenWorkload) count() {
	w.ready = 0
	for _, pod := range w.pods {
		if pod.pod.Ready && pod.pod.DeletedAt.IsZero() {
			w.ready++
		}
	}
	if w.workload.Kind == fleet.Other {
		w.workload.Replicas = 0
		for _, pod := range w.pods {
			countPod(&w.workload, &pod.pod)
		}
	}
}

// require works out what workloads require. Where budgets are shared, all of
// the namespace's are worked out together.
func (ns *namespaceView) require(keys []string) {
	if !ns.shared {
		for _, key := range keys {
			w := ns.workloads[key]
			pods := make([]fleet.Pod, 0, len(w.pods))
			for _, pod := range w.pods {
				pods = append(pods, pod.pod)
			}
			budgets := make([]fleet.Budget, 0, len(w.budgets))
			for id := range w.budgets {
				budgets = append(budgets, ns.budgets[id].budget)
			}
			w.required = evacuate.Required(w.workload, pods, budgets)
		}
		return
	}
	var s fleet.Snapshot
	for _, b := range ns.budgets {
		s.Budgets = append(s.Budgets, b.budget)
	}
	for _, w := range ns.workloads {
		s.Workloads = append(s.Workloads, w.workload)
	}
	for _, pod := range ns.pods {
		s.Pods = append(s.Pods, pod.pod)
	}
	required := evacuate.Requirements(s)
	for key, w := range ns.workloads {
		w.required = required[key]
	}
}

// selectPods finds the budgets of each workload, and whether any is shared.
func (ns *namespaceView) selectPods() {
	users := map[string]int{}
	for _, w := range ns.workloads {
		var last map[string]string
		for _, pod := range w.pods {
			if last != nil && maps.Equal(last, pod.pod.Labels) {
				continue // most pods of a workload are labelled alike
			}
			last = pod.pod.Labels
			for id, b := range ns.budgets {
				if !w.budgets[id] && b.selector.Matches(labels.Set(pod.pod.Labels)) {
					w.budgets[id] = true
					users[id]++
				}
			}
		}
	}
	for _, pod := range ns.pods {
		if pod.pod.Workload != "" {
			continue
		}
		for id, b := range ns.budgets {
			if b.selector.Matches(labels.Set(pod.pod.Labels)) {
				users[id]++ // a bare pod's share
			}
		}
	}
	ns.shared = false
	for _, n := range users {
		ns.shared = ns.shared || n > 1
	}
}

// sight is the present state of all workloads, in the order of their keys.
func (v *view) sight(at time.Time) fleet.Sight {
	if v.keys == nil {
		v.keys = []workloadKey{}
		for namespace, ns := range v.namespaces {
			for key := range ns.workloads {
				v.keys = append(v.keys, workloadKey{namespace, key})
			}
		}
		slices.SortFunc(v.keys, func(a, b workloadKey) int { return strings.Compare(a.key, b.key) })
	}
	s := fleet.Sight{At: at, Workloads: make([]fleet.WorkloadAvailability, 0, len(v.keys))}
	for _, k := range v.keys {
		w := v.namespaces[k.namespace].workloads[k.key]
		s.Workloads = append(s.Workloads, fleet.WorkloadAvailability{Workload: k.key, Required: w.required, Ready: w.ready})
	}
	return s
}

// lookup finds a workload by its key ("Kind/namespace/name"), or nil.
func (v *view) lookup(key string) *seenWorkload {
	_, namespace, _ := splitKey(key)
	if ns := v.namespaces[namespace]; ns != nil {
		return ns.workloads[key]
	}
	return nil
}
