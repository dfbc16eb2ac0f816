package witness

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// watch is the watch of one cluster. Events of its informers arrive on several
// goroutines; all state is guarded by mu.
type watch struct {
	id, name string
	now      func() time.Time
	factory  informers.SharedInformerFactory
	cancel   context.CancelFunc
	synced   []cache.InformerSynced

	mu        sync.Mutex
	since     time.Time
	workloads map[string]*workload // by "Deployment/shop/web"
	sets      map[types.UID]string // ReplicaSets of Deployments: the workload they belong to
	pods      map[types.UID]*pod
	budgets   map[string]demand
	// missed are the kinds of which news was missed, by the paths that they are
	// asked for at. Nothing is judged until all of it has been told; seeing is when
	// it has.
	missed map[string]bool
	blind  bool
	seeing *time.Timer
	// known lists the pods that the informer knows, told or not.
	known func() []any
}

// demand is a PodDisruptionBudget with its selector as parsed.
type demand struct {
	*policyv1.PodDisruptionBudget
	selector labels.Selector
}

// workload is a Deployment or StatefulSet, or a ReplicaSet without an owner.
type workload struct {
	key       string
	namespace string
	uid       types.UID
	template  labels.Set
	replicas  int
	strategy  strategy
	pods      map[types.UID]bool
	seen      Workload
	floor     int
	counted   bool
	gone      bool
	// short is by how many pods it has been below its floor since shortSince.
	short      int
	shortSince time.Time
}

// pod is what counts about a pod.
type pod struct {
	owner types.UID // of its controller
	// counts: its controller is of a kind that the watch knows.
	counts bool
	ready  bool
	in     *workload
}

func newWatch(id, name string, now func() time.Time, factory informers.SharedInformerFactory, cancel context.CancelFunc) *watch {
	return &watch{
		id: id, name: name, now: now, factory: factory, cancel: cancel, workloads: map[string]*workload{},
		sets: map[types.UID]string{}, pods: map[types.UID]*pod{}, budgets: map[string]demand{}, missed: map[string]bool{},
	}
}

func (v *watch) stop() {
	v.cancel()
	v.factory.Shutdown()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seeing != nil {
		v.seeing.Stop()
	}
}

// listen hangs the watch on its informers.
func (v *watch) listen() error {
	apps, core, policy := v.factory.Apps().V1(), v.factory.Core().V1(), v.factory.Policy().V1()
	for _, informer := range []cache.SharedIndexInformer{
		apps.Deployments().Informer(), apps.StatefulSets().Informer(), apps.ReplicaSets().Informer(),
		policy.PodDisruptionBudgets().Informer(), core.Pods().Informer(),
	} {
		// An API server that is away for a while, as in every upgrade, is asked
		// again; there is nobody to complain to.
		if err := informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {}); err != nil {
			return err
		}
		registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    v.changed,
			UpdateFunc: func(_, object any) { v.changed(object) },
			DeleteFunc: func(object any) {
				if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
					object = unknown.Obj
				}
				v.deleted(object)
			},
		})
		if err != nil {
			return err
		}
		v.synced = append(v.synced, registration.HasSynced)
	}
	v.known = core.Pods().Informer().GetStore().List
	return nil
}

func (v *watch) changed(object any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch o := object.(type) {
	case *appsv1.Deployment:
		v.put("Deployment", &o.ObjectMeta, o.Spec.Template.Labels, wanted(o.Spec.Replicas), deploymentStrategy(o))
	case *appsv1.StatefulSet:
		v.put("StatefulSet", &o.ObjectMeta, o.Spec.Template.Labels, wanted(o.Spec.Replicas), statefulSetStrategy(o))
	case *appsv1.ReplicaSet:
		owner := metav1.GetControllerOf(o)
		if owner == nil {
			v.put("ReplicaSet", &o.ObjectMeta, o.Spec.Template.Labels, wanted(o.Spec.Replicas), strategy{})
			return
		}
		if owner.Kind == "Deployment" && v.sets[o.UID] == "" {
			v.sets[o.UID] = "Deployment/" + o.Namespace + "/" + owner.Name
			v.adopt()
		}
	case *policyv1.PodDisruptionBudget:
		v.putBudget(o)
	case *corev1.Pod:
		v.putPod(o)
	}
}

func (v *watch) deleted(object any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch o := object.(type) {
	case *appsv1.Deployment:
		v.drop("Deployment/"+o.Namespace+"/"+o.Name, o.UID)
	case *appsv1.StatefulSet:
		v.drop("StatefulSet/"+o.Namespace+"/"+o.Name, o.UID)
	case *appsv1.ReplicaSet:
		delete(v.sets, o.UID)
		v.drop("ReplicaSet/"+o.Namespace+"/"+o.Name, o.UID)
	case *policyv1.PodDisruptionBudget:
		delete(v.budgets, o.Namespace+"/"+o.Name)
		v.judgeAll(o.Namespace)
	case *corev1.Pod:
		p := v.pods[o.UID]
		delete(v.pods, o.UID)
		if p != nil && p.in != nil {
			delete(p.in.pods, o.UID)
			v.judge(p.in)
		}
	}
}

// put records a workload's state.
func (v *watch) put(kind string, meta *metav1.ObjectMeta, template map[string]string, replicas int, s strategy) {
	key := kind + "/" + meta.Namespace + "/" + meta.Name
	w := v.workloads[key]
	known := w != nil && w.uid == meta.UID
	if !known {
		w = &workload{key: key, namespace: meta.Namespace, uid: meta.UID, pods: map[types.UID]bool{}}
		v.workloads[key] = w
	}
	w.template, w.replicas, w.strategy, w.gone = template, replicas, s, meta.DeletionTimestamp != nil
	if !known { // pods are looked through for a new workload alone: statuses change all the time
		v.adopt()
	}
	v.judge(w)
}

// drop ends a workload that was deleted: nothing is required of it any more.
func (v *watch) drop(key string, uid types.UID) {
	if w := v.workloads[key]; w != nil && w.uid == uid {
		w.gone = true
		w.seen.Gone = true
	}
}

func (v *watch) putPod(o *corev1.Pod) {
	p := v.pods[o.UID]
	if p == nil {
		p = &pod{}
		if owner := metav1.GetControllerOf(o); owner != nil {
			p.owner, p.counts = owner.UID, owner.Kind == "ReplicaSet" || owner.Kind == "StatefulSet"
		}
		v.pods[o.UID] = p
	}
	p.ready = ready(o)
	if p.in == nil {
		v.place(o.UID, p)
	}
	if p.in != nil {
		v.judge(p.in)
	}
}

// adopt finds the workloads of pods that came before them.
func (v *watch) adopt() {
	for uid, p := range v.pods {
		if p.in == nil || v.workloads[p.in.key] != p.in {
			p.in = nil
			v.place(uid, p)
		}
	}
}

func (v *watch) place(uid types.UID, p *pod) {
	if p.owner == "" {
		return
	}
	if w := v.workloads[v.sets[p.owner]]; w != nil {
		p.in = w
	} else {
		for _, w := range v.workloads {
			if w.uid == p.owner {
				p.in = w
			}
		}
	}
	if p.in != nil {
		p.in.pods[uid] = true
		if v.since.IsZero() || !p.in.counted {
			return
		}
		v.judge(p.in)
	}
}

// ready reports whether a pod serves: Ready and not on its way out.
func ready(o *corev1.Pod) bool {
	if o.DeletionTimestamp != nil || o.Status.Phase != corev1.PodRunning {
		return false
	}
	i := slices.IndexFunc(o.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
	return i >= 0 && o.Status.Conditions[i].Status == corev1.ConditionTrue
}

func wanted(replicas *int32) int {
	if replicas == nil {
		return 1
	}
	return int(*replicas)
}

func (w *workload) ready(pods map[types.UID]*pod) int {
	n := 0
	for uid := range w.pods {
		if p := pods[uid]; p != nil && p.ready {
			n++
		}
	}
	return n
}

// putBudget records what a budget demands; its status, which changes with every
// pod, demands nothing.
func (v *watch) putBudget(o *policyv1.PodDisruptionBudget) {
	key := o.Namespace + "/" + o.Name
	if known, ok := v.budgets[key]; ok && known.Generation == o.Generation && known.UID == o.UID && o.Generation != 0 {
		return
	}
	b := demand{PodDisruptionBudget: o, selector: labels.Nothing()}
	if selector, err := metav1.LabelSelectorAsSelector(o.Spec.Selector); err == nil && o.Spec.Selector != nil {
		b.selector = selector
	}
	v.budgets[key] = b
	v.judgeAll(o.Namespace)
}

// judgeAll judges the workloads of a namespace: budgets reach no further.
func (v *watch) judgeAll(namespace string) {
	for _, w := range v.workloads {
		if w.namespace == namespace {
			v.judge(w)
		}
	}
}

// judge compares a workload with what it has to keep. The floor follows the
// requirement down at once, and up only when as many pods are Ready: a workload
// that is just being scaled up has not fallen.
func (v *watch) judge(w *workload) {
	if v.blind {
		return
	}
	now := w.ready(v.pods)
	before := w.seen.Ready
	required, demands := v.require(w)
	w.seen.Workload, w.seen.Replicas, w.seen.Required, w.seen.Ready, w.seen.Demands = w.key, w.replicas, required, now, demands
	if v.since.IsZero() || w.gone {
		return
	}
	if !w.counted {
		// A workload that came later counts from when it was whole.
		if now < w.replicas {
			return
		}
		v.count(w, now)
		return
	}
	if now < w.seen.Lowest {
		w.seen.Lowest, w.seen.LowestAt = now, v.now().UTC()
	}
	floor := min(required, w.seen.ReadyStart)
	if now < before && now < w.floor && before >= w.floor && now < floor {
		w.seen.Falls++
		if len(w.seen.Violations) < 100 {
			w.seen.Violations = append(w.seen.Violations, Violation{At: v.now().UTC(), Ready: now, Floor: floor})
		}
	}
	if floor <= w.floor || now >= floor {
		w.floor = floor
	}
	w.lacks(max(0, w.floor-now), v.now())
}

// lacks takes in that so many pods are missing of the floor from now on.
func (w *workload) lacks(short int, now time.Time) {
	if w.short > 0 {
		w.seen.PodSecondsBelow += float64(w.short) * now.Sub(w.shortSince).Seconds()
	}
	w.short, w.shortSince = short, now
}

func (v *watch) count(w *workload, now int) {
	w.counted = true
	w.seen.AtStart, w.seen.ReadyStart, w.seen.Ready, w.seen.Lowest, w.seen.LowestAt = w.replicas, now, now, now, v.now().UTC()
	w.seen.Falls, w.seen.Violations, w.seen.PodSecondsBelow, w.short = 0, nil, 0, 0
	w.floor = min(w.seen.Required, now)
}

// begin counts every workload from now on.
func (v *watch) begin() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.since = v.now().UTC()
	maps.DeleteFunc(v.workloads, func(_ string, w *workload) bool { return w.gone })
	for _, w := range v.workloads {
		w.seen.Required, w.seen.Demands = v.require(w)
		v.count(w, w.ready(v.pods))
	}
}

func (v *watch) settled() bool { return len(v.unready()) == 0 }

// unready lists the workloads that have fewer Ready pods than they want.
func (v *watch) unready() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var keys []string
	for key, w := range v.workloads {
		if !w.gone && w.ready(v.pods) < w.replicas {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (v *watch) report() Cluster {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := Cluster{Cluster: v.name, ID: v.id, Since: v.since, Workloads: []Workload{}}
	for _, w := range v.workloads {
		if w.counted {
			w.lacks(w.short, v.now())
			seen := w.seen
			seen.Violations, seen.Demands = slices.Clone(seen.Violations), slices.Clone(seen.Demands)
			c.Workloads = append(c.Workloads, seen)
			c.Violations += seen.Falls
		}
	}
	slices.SortFunc(c.Workloads, func(a, b Workload) int { return strings.Compare(a.Workload, b.Workload) })
	return c
}
