package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"liftlock.dev/liftlock/internal/rollout"
)

// kubelets do what KWOK leaves to others: they end pods that are followed by one
// of the same name, and stand in for controllers that the twin does not run, such
// as operators, which would make their pods anew. They see every pod, and so
// count what happens.
type kubelets struct {
	stage   *Stage
	cancel  context.CancelFunc
	factory informers.SharedInformerFactory
	work    sync.WaitGroup
	life    context.Context //nolint:containedctx // what pods are owed outlives the event that told of them; close ends it

	mu        sync.Mutex
	pods      map[types.UID]*corev1.Pod
	ending    map[types.UID]bool
	since     time.Time
	workloads map[string]*rollout.WorkloadMoves
}

// startKubelets begins to watch, and returns when it has seen all pods.
func startKubelets(ctx context.Context, s *Stage) (*kubelets, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k := &kubelets{
		stage: s, cancel: cancel, life: life, factory: informers.NewSharedInformerFactory(s.client, 0),
		pods: map[types.UID]*corev1.Pod{}, ending: map[types.UID]bool{}, workloads: map[string]*rollout.WorkloadMoves{},
	}
	registration, err := k.factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    k.seen,
		UpdateFunc: func(_, now any) { k.seen(now) },
		DeleteFunc: k.gone,
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	k.factory.Start(life.Done())
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		k.close()
		return nil, fmt.Errorf("watch pods: %w", context.Cause(ctx))
	}
	return k, nil
}

func (k *kubelets) close() {
	k.cancel()
	k.factory.Shutdown()
	k.work.Wait()
}

// begin counts from now on.
func (k *kubelets) begin(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.since = now
	for _, p := range k.pods {
		k.of(p).Pods++
	}
}

// of is the workload of a pod. The caller holds mu.
func (k *kubelets) of(p *corev1.Pod) *rollout.WorkloadMoves {
	key := workloadOf(p)
	w := k.workloads[key]
	if w == nil {
		w = &rollout.WorkloadMoves{}
		k.workloads[key] = w
	}
	return w
}

// workloadOf names a pod's workload as the product does.
func workloadOf(p *corev1.Pod) string {
	owner := metav1.GetControllerOfNoCopy(p)
	if owner == nil {
		return "Pod/" + p.Namespace + "/" + p.Name
	}
	kind, name := owner.Kind, owner.Name
	switch {
	case kind == "ReplicaSet" && p.Labels["pod-template-hash"] != "" && strings.HasSuffix(name, "-"+p.Labels["pod-template-hash"]):
		kind, name = "Deployment", strings.TrimSuffix(name, "-"+p.Labels["pod-template-hash"])
	case kind == "ReplicationController":
		kind = "ReplicaSet"
	case foreign(owner):
		kind, name = "Other", owner.Kind+":"+owner.Name
	}
	return kind + "/" + p.Namespace + "/" + name
}

// foreign reports whether the twin does not run the controller of an owner.
func foreign(owner *metav1.OwnerReference) bool {
	return !replaced[kind{groupOf(owner.APIVersion), owner.Kind}]
}

// seen takes in a pod that was made or has changed.
func (k *kubelets) seen(object any) {
	p, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	if p.Annotations[probeKey] != "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.pods[p.UID]
	k.pods[p.UID] = p
	now := time.Now()
	if !k.since.IsZero() {
		w := k.of(p)
		switch {
		case before == nil:
			w.Made++
			w.Touch(now)
		case before.DeletionTimestamp == nil && p.DeletionTimestamp != nil:
			w.Touch(now)
		case !isReady(before) && isReady(p):
			w.Last = now
		}
	}
	if p.DeletionTimestamp != nil && !k.ending[p.UID] && len(p.Finalizers) == 0 && k.mine(p) {
		k.ending[p.UID] = true
		k.work.Go(func() { k.terminate(p) })
	}
}

// mine reports whether KWOK leaves the end of a pod to us.
func (k *kubelets) mine(p *corev1.Pod) bool {
	owner := metav1.GetControllerOfNoCopy(p)
	return owner != nil && (owner.Kind == "StatefulSet" || foreign(owner))
}

// terminate ends a pod when its containers would have ended.
func (k *kubelets) terminate(p *corev1.Pod) {
	takes := k.stage.options.Times.End
	if grace := p.DeletionGracePeriodSeconds; grace != nil {
		takes = min(takes, time.Duration(*grace)*time.Second)
	}
	if pause(k.life, k.stage.at(takes)) != nil {
		return
	}
	err := k.try(func(ctx context.Context) error {
		err := k.stage.client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{
			GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(p.UID)),
		})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		}
		return err
	})
	if err != nil {
		k.stage.options.Log.WarnContext(k.life, "a pod that was deleted could not be ended", "pod", p.Namespace+"/"+p.Name, "error", err)
	}
}

// try does something again for a while, until it works.
func (k *kubelets) try(do func(context.Context) error) error {
	for tries := 1; ; tries++ {
		err := do(k.life)
		if err == nil || tries == 10 {
			return err
		}
		if pause(k.life, time.Second/2) != nil {
			return nil //nolint:nilerr // the stage is over
		}
	}
}

// gone takes in that a pod is no more.
func (k *kubelets) gone(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	p, ok := object.(*corev1.Pod)
	if !ok || p.Annotations[probeKey] != "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pods, p.UID)
	delete(k.ending, p.UID)
	if k.since.IsZero() {
		return
	}
	w := k.of(p)
	w.Touch(time.Now())
	w.Last = time.Now()
	if owner := metav1.GetControllerOfNoCopy(p); owner != nil && foreign(owner) && owner.Kind != "Node" {
		k.work.Go(func() { k.remake(p) })
	}
}

// remake makes a pod anew, as the controller would that the twin does not run.
func (k *kubelets) remake(p *corev1.Pod) {
	fresh := again(p)
	err := k.try(func(ctx context.Context) error {
		_, err := k.stage.client.CoreV1().Pods(p.Namespace).Create(ctx, fresh, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
	if err != nil {
		k.stage.options.Log.WarnContext(k.life, "a pod could not be made anew for its controller", "pod", p.Namespace+"/"+p.Name, "error", err)
	}
}

// again is a pod as its controller would make it anew.
func again(p *corev1.Pod) *corev1.Pod {
	fresh := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: p.Name, Namespace: p.Namespace, Labels: p.Labels, Annotations: maps.Clone(p.Annotations), OwnerReferences: p.OwnerReferences,
		},
		Spec: *p.Spec.DeepCopy(),
	}
	delete(fresh.Annotations, startKey)
	fresh.Spec.NodeName, fresh.Spec.Priority, fresh.Spec.PreemptionPolicy = "", nil, nil
	return fresh
}

func isReady(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// sight says what happened since the beginning.
func (k *kubelets) sight() rollout.StageSight {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := rollout.StageSight{Workloads: make(map[string]rollout.WorkloadMoves, len(k.workloads))}
	for key, w := range k.workloads {
		s.Workloads[key] = *w
	}
	for _, p := range k.pods {
		if p.Spec.NodeName != "" || p.DeletionTimestamp != nil {
			continue
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				s.Homeless = append(s.Homeless, rollout.HomelessPod{
					Pod: p.Namespace + "/" + p.Name, Why: c.Message, Before: k.stage.loader.before[string(p.UID)],
				})
			}
		}
	}
	slices.SortFunc(s.Homeless, func(a, b rollout.HomelessPod) int { return strings.Compare(a.Pod, b.Pod) })
	return s
}
