package kube

import (
	"context"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// The kinds of autoscalers in fleet.Scaler.Kind.
const (
	kindHPA          = "HorizontalPodAutoscaler"
	kindScaledObject = "ScaledObject" // KEDA's, which has a HorizontalPodAutoscaler of its own
)

// KEDA's own defaults for what a ScaledObject leaves out.
const (
	kedaMinDefault = 0
	kedaMaxDefault = 100
)

var scaledObjects = schema.GroupVersionResource{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects"}

// boundScaler is an autoscaler and the workload it owns the replicas of.
type boundScaler struct {
	target string // fleet.Workload.Key
	scaler fleet.Scaler
}

// toScaler converts a HorizontalPodAutoscaler. One that belongs to a
// ScaledObject is left out, for KEDA would put back what is changed on it.
func toScaler(hpa *autoscalingv2.HorizontalPodAutoscaler) (boundScaler, bool) {
	if byKEDA(hpa) {
		return boundScaler{}, false
	}
	target := hpa.Spec.ScaleTargetRef
	return boundScaler{
		target: scaleTarget(hpa.Namespace, target.APIVersion, target.Kind, target.Name),
		scaler: fleet.Scaler{
			Kind:        kindHPA,
			Name:        hpa.Name,
			Min:         orOne(hpa.Spec.MinReplicas),
			Max:         hpa.Spec.MaxReplicas,
			Annotations: hpa.Annotations,
		},
	}, true
}

func byKEDA(hpa *autoscalingv2.HorizontalPodAutoscaler) bool {
	owner := metav1.GetControllerOfNoCopy(hpa)
	return owner != nil && owner.Kind == kindScaledObject && isGroup(owner, scaledObjects.Group)
}

func fromScaledObject(object *unstructured.Unstructured) boundScaler {
	kind, _, _ := unstructured.NestedString(object.Object, "spec", "scaleTargetRef", "kind")
	version, _, _ := unstructured.NestedString(object.Object, "spec", "scaleTargetRef", "apiVersion")
	name, _, _ := unstructured.NestedString(object.Object, "spec", "scaleTargetRef", "name")
	if kind == "" {
		kind, version = "Deployment", "apps/v1"
	}
	return boundScaler{
		target: scaleTarget(object.GetNamespace(), version, kind, name),
		scaler: fleet.Scaler{
			Kind:        kindScaledObject,
			Name:        object.GetName(),
			Min:         nestedInt32(object, kedaMinDefault, "spec", "minReplicaCount"),
			Max:         nestedInt32(object, kedaMaxDefault, "spec", "maxReplicaCount"),
			Annotations: object.GetAnnotations(),
		},
	}
}

func nestedInt32(object *unstructured.Unstructured, absent int32, path ...string) int32 {
	value, found, err := unstructured.NestedInt64(object.Object, path...)
	if err != nil || !found {
		return absent
	}
	return int32(value) // the API server holds it to int32
}

// scaleTarget is the key of the workload that a scale target names.
func scaleTarget(namespace, apiVersion, kind, name string) string {
	w := fleet.Workload{Kind: fleet.Other, Namespace: namespace, Name: otherName(kind, name)}
	if known, ok := knownKinds[[2]string{groupOf(apiVersion), kind}]; ok {
		w.Kind, w.Name = known, name
	}
	return w.Key()
}

// scaledObjectList reads KEDA's ScaledObjects; none where KEDA is not installed.
// The API server is asked for the kind first: without KEDA's own roles, reading
// a kind that does not exist is refused instead of not found.
func (c *cluster) scaledObjectList(ctx context.Context) ([]boundScaler, error) {
	installed, err := c.hasKEDA(ctx)
	if err != nil || !installed {
		return nil, err
	}
	found, err := list(ctx, c.dynamic.Resource(scaledObjects).List, func(page *unstructured.UnstructuredList) []boundScaler {
		scalers := make([]boundScaler, 0, len(page.Items))
		for i := range page.Items {
			scalers = append(scalers, fromScaledObject(&page.Items[i]))
		}
		return scalers
	})
	if apierrors.IsNotFound(err) {
		return nil, nil // uninstalled since it was asked for
	}
	return found, explain(err, "list ScaledObjects", right{verb: "list", group: scaledObjects.Group, resource: scaledObjects.Resource})
}

func (c *cluster) hasKEDA(ctx context.Context) (bool, error) {
	resources, err := c.discovery().ServerResourcesForGroupVersionWithContext(ctx, scaledObjects.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, explain(err, "look for KEDA", right{})
	}
	for i := range resources.APIResources {
		if resources.APIResources[i].Name == scaledObjects.Resource {
			return true, nil
		}
	}
	return false, nil
}
