package kube

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// changeNode carries out the actions on nodes.
func (c *cluster) changeNode(ctx context.Context, rollout string, action evacuate.Action) (evacuate.Outcome, error) {
	nodes := c.client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, action.Node, metav1.GetOptions{})
	if err != nil {
		return evacuate.Outcome{}, err
	}
	if another(action, string(node.UID)) {
		return gone(action.UID, string(node.UID))
	}
	change, message := nodeChange(node, rollout, action.Kind)
	if change == nil {
		return done(message)
	}
	raw, err := change.bytes()
	if err != nil {
		return evacuate.Outcome{}, err
	}
	if _, err := nodes.Patch(ctx, node.Name, types.MergePatchType, raw, patchOptions()); err != nil {
		return evacuate.Outcome{}, err
	}
	return done(message)
}

// nodeChange works out what an action changes on a node as it is: nil, and why,
// where nothing is to be changed.
//
// A mark of an earlier rollout counts as ours: while we hold the cluster's
// Lease nobody else's rollout is alive, and an orphaned cordon must not stay.
func nodeChange(node *corev1.Node, rollout string, kind evacuate.ActionKind) (patch, string) {
	mark, marked := node.Annotations[fleet.MarkCordoned]
	switch kind {
	case evacuate.Cordon:
		if node.Spec.Unschedulable && !marked {
			return nil, "was cordoned by someone else, and stays theirs"
		}
		if node.Spec.Unschedulable && mark == rollout {
			return nil, "already cordoned"
		}
		return patchOf(node).annotate(fleet.MarkCordoned, rollout).set(true, "spec", "unschedulable"), ""

	case evacuate.Uncordon:
		if !marked {
			if node.Spec.Unschedulable {
				return nil, "was cordoned by someone else, and stays so"
			}
			return nil, "not cordoned"
		}
		change := patchOf(node).annotate(fleet.MarkCordoned, nil)
		if node.Spec.Unschedulable {
			change.set(nil, "spec", "unschedulable")
		}
		return change, ""

	case evacuate.SoftTaint:
		if slices.ContainsFunc(node.Spec.Taints, leaving) {
			return nil, "already tainted"
		}
		taints := append(slices.Clone(node.Spec.Taints),
			corev1.Taint{Key: fleet.TaintLeaving, Effect: corev1.TaintEffectPreferNoSchedule})
		return patchOf(node).set(taints, "spec", "taints"), ""

	case evacuate.RemoveTaint:
		taints := slices.DeleteFunc(slices.Clone(node.Spec.Taints), leaving)
		if len(taints) == len(node.Spec.Taints) {
			return nil, "not tainted"
		}
		return patchOf(node).set(taints, "spec", "taints"), ""

	case evacuate.ExcludeLB:
		if _, excluded := node.Labels[evacuate.ExcludeLBLabel]; excluded {
			return nil, "already excluded from load balancers"
		}
		return patchOf(node).set(evacuate.ExcludeLBValue, "metadata", "labels", evacuate.ExcludeLBLabel), ""

	case evacuate.IncludeLB:
		if value, excluded := node.Labels[evacuate.ExcludeLBLabel]; !excluded || value != evacuate.ExcludeLBValue {
			return nil, "not excluded from load balancers by Liftlock"
		}
		return patchOf(node).set(nil, "metadata", "labels", evacuate.ExcludeLBLabel), ""

	case evacuate.Roll, evacuate.RestoreShape, evacuate.Surge, evacuate.RestoreSurge,
		evacuate.PreferDelete, evacuate.ForgetCost, evacuate.Evict, evacuate.PrePull, evacuate.EndPull:
	}
	return nil, "not an action on a node"
}

func leaving(taint corev1.Taint) bool { return taint.Key == fleet.TaintLeaving }
