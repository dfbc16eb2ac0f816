package kube

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"liftlock.dev/liftlock/sim/aks"
)

const terminationKey = prefix + "termination"

// terminate ends the pods of StatefulSets that were deleted, as their kubelet
// does when their containers have stopped. KWOK ends all others. It deletes by
// name, sometimes twice when much happens at once; that would hit the pod that
// has got the same name since, again and again.
func (a *agent) terminate(ctx context.Context, p *pass) error {
	pods, err := a.pods.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil || len(pod.Finalizers) > 0 {
			continue
		}
		if owner := metav1.GetControllerOfNoCopy(pod); owner == nil || owner.Kind != "StatefulSet" {
			continue
		}
		if node, err := a.nodes.Get(pod.Spec.NodeName); err != nil || node.Labels[kubeletLabel] == "" {
			continue // nobody is there to say that it has stopped
		}
		if !p.isDue("end/"+string(pod.UID), func() time.Duration { return a.termination(ctx, pod) }) {
			continue
		}
		if err := a.cluster.kill(ctx, pod); err != nil {
			return err
		}
	}
	return nil
}

// termination draws how long a pod takes to stop, at most its grace period.
func (a *agent) termination(ctx context.Context, pod *corev1.Pod) time.Duration {
	span := a.cluster.spec.Timing.PodTermination
	if text, says := pod.Annotations[terminationKey]; says {
		if said, err := parseSpan(text); err == nil {
			span = said
		} else {
			a.log.WarnContext(ctx, "annotation ignored", "pod", pod.Namespace+"/"+pod.Name, "annotation", terminationKey, "error", err)
		}
	}
	grace := 30 * time.Second
	if pod.DeletionGracePeriodSeconds != nil {
		grace = time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	}
	return a.dice.draw(aks.Range{Min: min(span.Min, grace), Max: min(span.Max, grace)})
}
