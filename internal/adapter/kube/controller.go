package kube

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// controller is a workload's object as it was read, with what actions look at
// and a way to change it.
type controller struct {
	metav1.Object
	replicas *int32            // nil where the kind has no count of its own
	template map[string]string // annotations of its pod template; nil template means none to restart
	hasRoll  bool              // a changed template restarts its pods
	strategy *appsv1.RollingUpdateDeployment
	paused   bool
	patch    func(ctx context.Context, change patch) error
}

// patcher is the Patch method of a typed client.
type patcher[T any] func(ctx context.Context, name string, kind types.PatchType, data []byte, options metav1.PatchOptions, subresources ...string) (T, error)

func patchWith[T any](name string, send patcher[T]) func(context.Context, patch) error {
	return func(ctx context.Context, change patch) error {
		raw, err := change.bytes()
		if err != nil {
			return err
		}
		_, err = send(ctx, name, types.MergePatchType, raw, patchOptions())
		return err
	}
}

// controllerOf reads the workload of an action. A nil controller comes with the
// outcome or error to return instead.
func (c *cluster) controllerOf(ctx context.Context, action evacuate.Action) (*controller, evacuate.Outcome, error) {
	kind, namespace, name := splitKey(action.Workload)
	if kind == "" {
		return nil, evacuate.Outcome{}, fmt.Errorf("workload %q: not of the form Kind/namespace/name", action.Workload)
	}
	found, err := c.readController(ctx, kind, namespace, name, action.UID)
	if err != nil {
		return nil, evacuate.Outcome{}, err
	}
	if found == nil {
		outcome, err := refused("a workload of kind %s is evicted, never changed", kind)
		return nil, outcome, err
	}
	if another(action, string(found.GetUID())) {
		outcome, err := gone(action.UID, string(found.GetUID()))
		return nil, outcome, err
	}
	return found, evacuate.Outcome{}, nil
}

// readController reads the object of a workload, or nil for kinds that are not
// ours to change.
func (c *cluster) readController(ctx context.Context, kind fleet.WorkloadKind, namespace, name, uid string) (*controller, error) {
	var get metav1.GetOptions
	switch kind {
	case fleet.Deployment:
		client := c.client.AppsV1().Deployments(namespace)
		d, err := client.Get(ctx, name, get)
		if err != nil {
			return nil, err
		}
		return &controller{
			Object:   d,
			replicas: new(orOne(d.Spec.Replicas)),
			template: d.Spec.Template.Annotations,
			hasRoll:  true,
			strategy: d.Spec.Strategy.RollingUpdate,
			paused:   d.Spec.Paused,
			patch:    patchWith(name, client.Patch),
		}, nil

	case fleet.StatefulSet:
		client := c.client.AppsV1().StatefulSets(namespace)
		s, err := client.Get(ctx, name, get)
		if err != nil {
			return nil, err
		}
		return &controller{
			Object:   s,
			replicas: new(orOne(s.Spec.Replicas)),
			template: s.Spec.Template.Annotations,
			hasRoll:  s.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType,
			patch:    patchWith(name, client.Patch),
		}, nil

	case fleet.DaemonSet:
		client := c.client.AppsV1().DaemonSets(namespace)
		d, err := client.Get(ctx, name, get)
		if err != nil {
			return nil, err
		}
		return &controller{
			Object:   d,
			template: d.Spec.Template.Annotations,
			hasRoll:  d.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType,
			patch:    patchWith(name, client.Patch),
		}, nil

	case fleet.ReplicaSet:
		return c.readReplicaSet(ctx, namespace, name, uid)

	case fleet.Job, fleet.Other:
	}
	return nil, nil
}

// readReplicaSet reads a ReplicaSet or, since both are one kind of workload, the
// ReplicationController that the uid is of.
func (c *cluster) readReplicaSet(ctx context.Context, namespace, name, uid string) (*controller, error) {
	sets := c.client.AppsV1().ReplicaSets(namespace)
	set, err := sets.Get(ctx, name, metav1.GetOptions{})
	if err == nil && (uid == "" || uid == string(set.UID)) {
		return &controller{Object: set, replicas: new(orOne(set.Spec.Replicas)), patch: patchWith(name, sets.Patch)}, nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	old := c.client.CoreV1().ReplicationControllers(namespace)
	rc, rcErr := old.Get(ctx, name, metav1.GetOptions{})
	if rcErr != nil {
		if err == nil && apierrors.IsNotFound(rcErr) {
			return &controller{Object: set}, nil // of another uid: gone
		}
		return nil, rcErr
	}
	return &controller{Object: rc, replicas: new(orOne(rc.Spec.Replicas)), patch: patchWith(name, old.Patch)}, nil
}
