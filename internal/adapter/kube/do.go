package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"liftlock.dev/liftlock/internal/domain/evacuate"
)

// conflictBackoff paces the repetitions after an object changed between being
// read and being written. Kubelets and controllers write their objects' status
// all the time, so some conflicts are ordinary.
var conflictBackoff = wait.Backoff{Steps: 6, Duration: 10 * time.Millisecond, Factor: 2, Jitter: 0.5}

// Do implements rollout.Kubernetes. Each change is made on an object that was
// read just before, with its resource version as precondition: what is found in
// place is left, and what someone else changed meanwhile is looked at again.
func (c *cluster) Do(ctx context.Context, rollout string, action evacuate.Action) (evacuate.Outcome, error) {
	doing := describe(action)
	if err := c.lease.held(c.now()); err != nil {
		return evacuate.Outcome{}, fmt.Errorf("cluster %s: %s: %w", c.name, doing, err)
	}
	ctx, pressure := notePressure(ctx)
	var outcome evacuate.Outcome
	err := retry.OnError(conflictBackoff, func(err error) bool { return apierrors.IsConflict(err) && ctx.Err() == nil }, func() error {
		var err error
		outcome, err = c.once(ctx, rollout, action)
		return err
	})
	if err != nil {
		if outcome, err = outcomeOf(err); err != nil {
			return evacuate.Outcome{}, fmt.Errorf("cluster %s: %s: %w", c.name, doing, err)
		}
	}
	pressure.addTo(&outcome)
	c.log.DebugContext(ctx, "action", "action", doing, "result", string(outcome.Result), "message", outcome.Message)
	return outcome, nil
}

// once tries an action a single time.
func (c *cluster) once(ctx context.Context, rollout string, action evacuate.Action) (evacuate.Outcome, error) {
	switch action.Kind {
	case evacuate.Cordon, evacuate.Uncordon, evacuate.SoftTaint, evacuate.RemoveTaint, evacuate.ExcludeLB, evacuate.IncludeLB:
		return c.changeNode(ctx, rollout, action)
	case evacuate.Roll:
		return c.roll(ctx, rollout, action)
	case evacuate.RestoreShape:
		return c.restoreShape(ctx, action)
	case evacuate.Surge, evacuate.RestoreSurge:
		if action.Scaler != "" {
			return c.surgeScaler(ctx, action)
		}
		return c.surgeWorkload(ctx, action)
	case evacuate.PreferDelete, evacuate.ForgetCost:
		return c.changeCost(ctx, action)
	case evacuate.Evict:
		return c.evict(ctx, action)
	case evacuate.PrePull:
		return c.prePull(ctx, rollout, action)
	case evacuate.EndPull:
		return c.endPull(ctx, action)
	}
	return evacuate.Outcome{}, fmt.Errorf("action %q is not known to this version", action.Kind)
}

// describe names an action and its object for messages: "surge Deployment/shop/web".
func describe(action evacuate.Action) string {
	for _, object := range []string{action.Pod, action.Workload, action.Node} {
		if object != "" {
			return string(action.Kind) + " " + object
		}
	}
	return string(action.Kind)
}

// outcomeOf turns the API server's refusals into outcomes. What is left as an
// error is an API server that could not be asked, or did not know who asked.
func outcomeOf(err error) (evacuate.Outcome, error) {
	status, answered := statusOf(err)
	if !answered || apierrors.IsUnauthorized(err) {
		return evacuate.Outcome{}, err
	}
	message := status.Status().Message
	switch {
	case apierrors.IsNotFound(err), apierrors.IsGone(err):
		return evacuate.Outcome{Result: evacuate.Gone, Message: message}, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return evacuate.Outcome{Result: evacuate.Refused, Message: "its namespace is being deleted, which ends the pod: " + message}, nil
	case apierrors.IsForbidden(err):
		return evacuate.Outcome{Result: evacuate.Refused, Message: message + forbiddenHint(message)}, nil
	case apierrors.IsConflict(err):
		return evacuate.Outcome{Result: evacuate.Retry, Message: message}, nil
	case apierrors.IsTooManyRequests(err),
		apierrors.IsServerTimeout(err),
		apierrors.IsTimeout(err),
		apierrors.IsServiceUnavailable(err):
		seconds, _ := apierrors.SuggestsClientDelay(err)
		return evacuate.Outcome{Result: evacuate.Retry, Message: message, Busy: true, RetryAfter: time.Duration(seconds) * time.Second}, nil
	case status.Status().Code >= 500:
		// A webhook that cannot be called blocks for as long as it is broken;
		// its owner must hear of it. Everything else may pass.
		if strings.Contains(message, "failed calling webhook") {
			return evacuate.Outcome{Result: evacuate.Refused, Message: message}, nil
		}
		return evacuate.Outcome{Result: evacuate.Retry, Message: message}, nil
	}
	return evacuate.Outcome{Result: evacuate.Refused, Message: message}, nil
}

// forbiddenHint adds what to do where RBAC refused (and not a quota or webhook,
// whose messages name themselves).
func forbiddenHint(message string) string {
	if strings.Contains(message, "cannot ") && strings.Contains(message, " resource ") {
		return "; grant the identity that Liftlock uses this right"
	}
	return ""
}

func done(message string) (evacuate.Outcome, error) {
	return evacuate.Outcome{Result: evacuate.Done, Message: message}, nil
}

func refused(format string, args ...any) (evacuate.Outcome, error) {
	return evacuate.Outcome{Result: evacuate.Refused, Message: fmt.Sprintf(format, args...)}, nil
}

func gone(want, found string) (evacuate.Outcome, error) {
	return evacuate.Outcome{Result: evacuate.Gone, Message: "its uid is " + found + ", not " + want + ": it is another object of that name"}, nil
}

// another reports whether an action is about an object other than the one found.
func another(action evacuate.Action, uid string) bool {
	return action.UID != "" && action.UID != uid
}
