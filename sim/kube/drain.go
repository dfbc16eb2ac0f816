package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"liftlock.dev/liftlock/sim/aks"
)

// evictRetry is how long a refused eviction waits for its next try. The real
// drain waits five seconds; scaled like everything else here.
const evictRetry = time.Second

// Drain implements aks.Cluster: it cordons the node and evicts all its pods at
// once, as AKS does it, which leaves pods of DaemonSets alone and spares
// neither bare pods nor local data.
func (c *Cluster) Drain(ctx context.Context, name string, timeout time.Duration) error {
	if err := c.SetUnschedulable(ctx, name, true); err != nil {
		return fmt.Errorf("drain node %s: %w", name, err)
	}
	deadline := time.Now().Add(timeout)
	refusals := map[types.UID]refusal{}
	err := c.until(ctx, "node "+name+" to be empty", func(ctx context.Context) (bool, error) {
		pods, err := c.podsOn(ctx, name)
		if err != nil {
			return false, err
		}
		pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return staysOnDrain(&pod) })
		for i := range pods {
			if err := c.evict(ctx, &pods[i], refusals); err != nil {
				return false, err
			}
		}
		if len(pods) > 0 && time.Now().After(deadline) {
			return false, errOutOfTime
		}
		return len(pods) == 0, nil
	})
	switch {
	case errors.Is(err, errOutOfTime):
		return c.blocked(ctx, name, refusals)
	case err != nil:
		return fmt.Errorf("drain node %s: %w", name, err)
	}
	return nil
}

var errOutOfTime = errors.New("the drain's time is up")

type refusal struct {
	at      time.Time
	message string
}

// staysOnDrain tells the pods that a drain does not evict: those of DaemonSets,
// which would come right back, and the kubelet's own.
func staysOnDrain(pod *corev1.Pod) bool {
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return true
	}
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind == "DaemonSet"
}

// evict asks once, unless the pod is going or was refused a moment ago.
func (c *Cluster) evict(ctx context.Context, pod *corev1.Pod, refusals map[types.UID]refusal) error {
	if pod.DeletionTimestamp != nil {
		delete(refusals, pod.UID)
		return nil
	}
	if refused, ok := refusals[pod.UID]; ok && time.Since(refused.at) < evictRetry {
		return nil
	}
	uid := pod.UID
	err := c.client.CoreV1().Pods(pod.Namespace).EvictV1(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}},
	})
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err):
		delete(refusals, pod.UID)
		return nil
	case apierrors.IsTooManyRequests(err), apierrors.IsInternalError(err):
		// An internal error is what a pod with two budgets gets.
		refusals[pod.UID] = refusal{at: time.Now(), message: err.Error()}
		return nil
	default:
		return err
	}
}

// blocked says which pods are still there and why.
func (c *Cluster) blocked(ctx context.Context, name string, refusals map[types.UID]refusal) error {
	failure := &aks.DrainError{Node: name}
	pods, err := c.podsOn(ctx, name)
	if err != nil {
		return fmt.Errorf("drain node %s timed out; find out why: %w", name, err)
	}
	budgets, err := c.client.PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("drain node %s timed out; find out why: %w", name, err)
	}
	for i := range pods {
		pod := &pods[i]
		if staysOnDrain(pod) {
			continue
		}
		blocked := aks.BlockedPod{Namespace: pod.Namespace, Pod: pod.Name, Message: "still terminating"}
		if refused, ok := refusals[pod.UID]; ok {
			blocked.Message = refused.message
		}
		for _, budget := range budgets.Items {
			selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
			if err == nil && budget.Namespace == pod.Namespace && selector.Matches(labels.Set(pod.Labels)) {
				blocked.Budget = budget.Name
			}
		}
		failure.Blocked = append(failure.Blocked, blocked)
	}
	return failure
}
