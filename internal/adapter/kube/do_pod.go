package kube

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// lowestCost makes a pod the first that a scale-down takes.
const lowestCost = "-2147483648"

// changeCost writes or removes a pod's deletion cost. The mark keeps the cost
// that was there before, "" for none.
func (c *cluster) changeCost(ctx context.Context, action evacuate.Action) (evacuate.Outcome, error) {
	pod, outcome, err := c.podOf(ctx, action)
	if pod == nil {
		return outcome, err
	}
	before, marked := pod.Annotations[fleet.MarkDeletionCost]
	cost := pod.Annotations[corev1.PodDeletionCost]
	change := patchOf(pod)
	switch {
	case action.Kind == evacuate.PreferDelete && marked && cost == lowestCost:
		return done("already has the lowest deletion cost")
	case action.Kind == evacuate.PreferDelete:
		if !marked {
			change.annotate(fleet.MarkDeletionCost, cost)
		}
		change.annotate(corev1.PodDeletionCost, lowestCost)
	case !marked:
		return done("has no deletion cost of ours")
	default:
		change.annotate(fleet.MarkDeletionCost, nil)
		if cost == lowestCost { // else someone set another one since
			if before == "" {
				change.annotate(corev1.PodDeletionCost, nil)
			} else {
				change.annotate(corev1.PodDeletionCost, before)
			}
		}
	}
	raw, err := change.bytes()
	if err != nil {
		return evacuate.Outcome{}, err
	}
	if _, err := c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, raw, patchOptions()); err != nil {
		return evacuate.Outcome{}, err
	}
	return done("")
}

// evict asks the Eviction API to take a pod away.
//
// The pod is read first although its uid goes along as precondition: the API
// server takes the disruption off the budget before it compares uids, so an
// eviction of a pod that was replaced under the same name would block its
// replacement's budget for up to two minutes.
func (c *cluster) evict(ctx context.Context, action evacuate.Action) (evacuate.Outcome, error) {
	pod, outcome, err := c.podOf(ctx, action)
	if pod == nil {
		return outcome, err
	}
	if pod.DeletionTimestamp != nil {
		return done("is terminating")
	}
	eviction := &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))},
	}
	// A budget's refusal comes with Retry-After. client-go would sit it out here,
	// holding the caller's slot; the caller asks again when the budget changes.
	err = c.client.CoreV1().RESTClient().Post().MaxRetries(0).
		Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("eviction").
		Body(eviction).Do(ctx).Error()
	switch {
	case err == nil:
		return done("")
	case apierrors.IsTooManyRequests(err) && apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause):
		return refused("%s", withCauses(err))
	case apierrors.IsInternalError(err) || isServerError(err):
		if strings.Contains(err.Error(), "more than one PodDisruptionBudget") {
			return refused("%v Leave it one budget only", err)
		}
	case apierrors.IsConflict(err):
		// Not tried again here: each attempt may take one more off the budget.
		if _, outcome, lookErr := c.podOf(ctx, action); lookErr != nil || outcome.Result == evacuate.Gone {
			return outcome, lookErr
		}
		return evacuate.Outcome{Result: evacuate.Retry, Message: err.Error()}, nil
	}
	return evacuate.Outcome{}, err
}

// podOf reads the pod of an action. A nil pod comes with the outcome or error to
// return instead.
func (c *cluster) podOf(ctx context.Context, action evacuate.Action) (*corev1.Pod, evacuate.Outcome, error) {
	namespace, name, ok := strings.Cut(action.Pod, "/")
	if !ok {
		return nil, evacuate.Outcome{}, fmt.Errorf("pod %q: not of the form namespace/name", action.Pod)
	}
	pod, err := c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, evacuate.Outcome{}, err
	}
	if another(action, string(pod.UID)) {
		outcome, err := gone(action.UID, string(pod.UID))
		return nil, outcome, err
	}
	return pod, evacuate.Outcome{}, nil
}

// withCauses is an API error's message with what it gives as causes, such as
// "The disruption budget web needs 3 healthy pods and has 3 currently".
func withCauses(err error) string {
	status, ok := statusOf(err)
	if !ok {
		return err.Error()
	}
	messages := []string{status.Status().Message}
	if details := status.Status().Details; details != nil {
		for _, cause := range details.Causes {
			if cause.Message != "" {
				messages = append(messages, cause.Message)
			}
		}
	}
	return strings.Join(messages, " ")
}

func isServerError(err error) bool {
	status, ok := statusOf(err)
	return ok && status.Status().Code >= 500
}
