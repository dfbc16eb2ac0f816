package evacuation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// recorder sees for itself which pods were made, where all are, and how many
// nodes there were at most. It believes no strategy's word.
type recorder struct {
	cancel  context.CancelFunc
	factory informers.SharedInformerFactory

	mu      sync.Mutex
	since   time.Time
	pods    map[types.UID]*corev1.Pod
	nodes   map[string]*corev1.Node
	made    map[string]int // movable pods that were made since, by workload
	whole   map[string]int // movable pods at the start, by workload
	most    int            // nodes at once
	atStart int            // nodes at the start
}

// record begins to watch.
func record(ctx context.Context, client kubernetes.Interface) (*recorder, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &recorder{
		cancel: cancel, factory: informers.NewSharedInformerFactory(client, 0),
		pods: map[types.UID]*corev1.Pod{}, nodes: map[string]*corev1.Node{},
	}
	var synced []cache.InformerSynced
	for _, informer := range []cache.SharedIndexInformer{r.factory.Core().V1().Pods().Informer(), r.factory.Core().V1().Nodes().Informer()} {
		registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    r.seen,
			UpdateFunc: func(_, now any) { r.seen(now) },
			DeleteFunc: r.gone,
		})
		if err != nil {
			cancel()
			return nil, fmt.Errorf("watch the cluster: %w", err)
		}
		synced = append(synced, registration.HasSynced)
	}
	r.factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		r.close()
		return nil, fmt.Errorf("watch the cluster: %w", context.Cause(ctx))
	}
	return r, nil
}

func (r *recorder) close() {
	r.cancel()
	r.factory.Shutdown()
}

// begin counts from now on.
func (r *recorder) begin(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since, r.made, r.whole = now, map[string]int{}, map[string]int{}
	r.most, r.atStart = len(r.nodes), len(r.nodes)
	for _, pod := range r.pods {
		if moves(pod) {
			r.whole[workloadOf(pod)]++
		}
	}
}

func (r *recorder) seen(object any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch o := object.(type) {
	case *corev1.Pod:
		if _, known := r.pods[o.UID]; !known && !r.since.IsZero() && moves(o) {
			r.made[workloadOf(o)]++
		}
		r.pods[o.UID] = o
	case *corev1.Node:
		r.nodes[o.Name] = o
		r.most = max(r.most, len(r.nodes))
	}
}

func (r *recorder) gone(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch o := object.(type) {
	case *corev1.Pod:
		delete(r.pods, o.UID)
	case *corev1.Node:
		delete(r.nodes, o.Name)
	}
}

// moves reports whether a pod is one that an upgrade has to move.
func moves(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind != "DaemonSet" && owner.Kind != "Job"
}

// there says which pods are still on nodes that are to go, or "".
func (r *recorder) there(nodes []string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []string
	for _, pod := range r.pods {
		if moves(pod) && slices.Contains(nodes, pod.Spec.NodeName) {
			keys = append(keys, pod.Namespace+"/"+pod.Name)
		}
	}
	slices.Sort(keys)
	if len(keys) == 0 {
		return ""
	}
	return fmt.Sprintf("%d pods on them (%s)", len(keys), few(keys))
}

// left says what is still on nodes that are to go, or not yet Ready elsewhere;
// "" when nothing is. Pods of Jobs that run count, those of DaemonSets do not.
func (r *recorder) left(going func(*corev1.Node) bool) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var there, unready []string
	for _, pod := range r.pods {
		owner := metav1.GetControllerOf(pod)
		if owner == nil || owner.Kind == "DaemonSet" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		key := pod.Namespace + "/" + pod.Name
		node := r.nodes[pod.Spec.NodeName]
		switch {
		case node != nil && going(node):
			there = append(there, key)
		case owner.Kind != "Job" && !ready(pod):
			unready = append(unready, key)
		}
	}
	if len(there)+len(unready) == 0 {
		return ""
	}
	slices.Sort(there)
	slices.Sort(unready)
	return fmt.Sprintf("%d pods on nodes that are to go (%s), %d not Ready elsewhere (%s)", len(there), few(there), len(unready), few(unready))
}

func few(list []string) string { return strings.Join(list[:min(len(list), 5)], ", ") }

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// counts says how often a pod was moved on the average, and how many nodes there
// were more than at the start.
func (r *recorder) counts() (movesPerPod float64, extra int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return float64(sum(r.made)) / float64(max(1, sum(r.whole))), r.most - r.atStart
}

func sum(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// again lists the workloads of which more pods were made than they had.
func (r *recorder) again() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for workload, made := range r.made {
		if had := r.whole[workload]; made > had {
			list = append(list, fmt.Sprintf("%s %d of %d", workload, made, had))
		}
	}
	slices.Sort(list)
	return list
}

// old is a node with the image that is to go.
func old(node *corev1.Node) bool {
	return node.Labels["kubernetes.azure.com/node-image-version"] == oldImage
}
