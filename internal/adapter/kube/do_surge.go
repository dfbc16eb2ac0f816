package kube

import (
	"context"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Marks that hold the number which a surge set, so that restoring can tell it
// from one that someone else set since.
const (
	markSurged    = "liftlock.dev/replicas-surged"
	markScalerSet = "liftlock.dev/min-replicas-surged"
)

// counted is an object with a count of replicas that surges raise: a workload's
// own, or its autoscaler's minimum.
type counted struct {
	metav1.Object
	count        int32
	field        []string // where the count is
	before, ours string   // the marks
	patch        func(ctx context.Context, change patch) error
}

// surgeWorkload raises or restores the replicas of a workload.
func (c *cluster) surgeWorkload(ctx context.Context, action evacuate.Action) (evacuate.Outcome, error) {
	w, outcome, err := c.controllerOf(ctx, action)
	if w == nil {
		return outcome, err
	}
	if w.replicas == nil {
		return refused("has no replica count of its own")
	}
	return surge(ctx, action, &counted{
		Object: w,
		count:  *w.replicas,
		field:  []string{"spec", "replicas"},
		before: fleet.MarkReplicas,
		ours:   markSurged,
		patch:  w.patch,
	})
}

// surge raises a count, or puts it back. The count and the marks change in one
// request. A count that is not the one we set is someone else's choice: it is
// taken for the number to restore, and restoring leaves it alone.
func surge(ctx context.Context, action evacuate.Action, object *counted) (evacuate.Outcome, error) {
	annotations := object.GetAnnotations()
	before, marked := annotations[object.before]
	ours := marked && (annotations[object.ours] == "" || annotations[object.ours] == strconv.Itoa(int(object.count)))
	change := patchOf(object)

	if action.Kind == evacuate.Surge {
		if object.count >= action.Replicas {
			return done(fmt.Sprintf("already at %d", object.count))
		}
		if !ours {
			change.annotate(object.before, strconv.Itoa(int(object.count)))
		}
		change.annotate(object.ours, strconv.Itoa(int(action.Replicas))).set(action.Replicas, object.field...)
		if err := object.patch(ctx, change); err != nil {
			return evacuate.Outcome{}, err
		}
		return done("")
	}

	if !marked {
		return done("was not raised by Liftlock")
	}
	change.annotate(object.before, nil).annotate(object.ours, nil)
	message := ""
	if ours {
		number, err := strconv.ParseInt(before, 10, 32)
		if err != nil || number < 0 {
			return refused("its annotation %s says %q, which is no number: set the count by hand and remove it", object.before, before)
		}
		change.set(number, object.field...)
	} else {
		message = fmt.Sprintf("was set to %d by someone else since, and stays so", object.count)
	}
	if err := object.patch(ctx, change); err != nil {
		return evacuate.Outcome{}, err
	}
	return done(message)
}

// surgeScaler raises or restores the minimum of a workload's autoscaler: its
// HorizontalPodAutoscaler of that name or, where that is KEDA's or not there,
// its ScaledObject.
func (c *cluster) surgeScaler(ctx context.Context, action evacuate.Action) (evacuate.Outcome, error) {
	kind, namespace, _ := splitKey(action.Workload)
	if kind == "" {
		return evacuate.Outcome{}, fmt.Errorf("workload %q: not of the form Kind/namespace/name", action.Workload)
	}
	object, target, err := c.scalerOf(ctx, namespace, action.Scaler)
	if err != nil {
		return evacuate.Outcome{}, err
	}
	if target != action.Workload {
		return refused("autoscaler %s scales %s now", action.Scaler, target)
	}
	return surge(ctx, action, object)
}

// scalerOf reads an autoscaler and says which workload it scales.
func (c *cluster) scalerOf(ctx context.Context, namespace, name string) (*counted, string, error) {
	scalers := c.client.AutoscalingV2().HorizontalPodAutoscalers(namespace)
	hpa, err := scalers.Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		if bound, ok := toScaler(hpa); ok {
			return &counted{
				Object: hpa,
				count:  bound.scaler.Min,
				field:  []string{"spec", "minReplicas"},
				before: fleet.MarkScalerMin,
				ours:   markScalerSet,
				patch:  patchWith(name, scalers.Patch),
			}, bound.target, nil
		}
	} else if !apierrors.IsNotFound(err) {
		return nil, "", err
	}
	keda := c.dynamic.Resource(scaledObjects).Namespace(namespace)
	object, err := keda.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, "", err
	}
	bound := fromScaledObject(object)
	return &counted{
		Object: object,
		count:  bound.scaler.Min,
		field:  []string{"spec", "minReplicaCount"},
		before: fleet.MarkScalerMin,
		ours:   markScalerSet,
		patch: func(ctx context.Context, change patch) error {
			raw, err := change.bytes()
			if err != nil {
				return err
			}
			_, err = keda.Patch(ctx, name, types.MergePatchType, raw, patchOptions())
			return err
		},
	}, bound.target, nil
}
