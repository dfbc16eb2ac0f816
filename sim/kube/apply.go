package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// applyPatience is how long an object may wait for what it needs: the kind that
// a definition before it introduces, or its namespace's service account.
const applyPatience = 20 * time.Second

// Apply implements aks.Cluster by server-side apply, in the order of the
// manifest. Objects that are there already are changed to what it says.
func (c *Cluster) Apply(ctx context.Context, manifest []byte) error {
	objects, err := parse(manifest)
	if err != nil {
		return fmt.Errorf("apply to cluster %s: %w", c.spec.Name, err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))
	for _, object := range objects {
		if err := c.applyOne(ctx, mapper, object); err != nil {
			return fmt.Errorf("apply %s %s to cluster %s: %w", object.GetKind(), named(object), c.spec.Name, err)
		}
	}
	return nil
}

func (c *Cluster) applyOne(ctx context.Context, mapper meta.ResettableRESTMapper, object *unstructured.Unstructured) error {
	limited, cancel := context.WithTimeout(ctx, applyPatience)
	defer cancel()
	var last error
	err := c.until(limited, "it to be accepted", func(ctx context.Context) (bool, error) {
		last = c.tryApply(ctx, mapper, object)
		switch {
		case last == nil:
			return true, nil
		case meta.IsNoMatchError(last):
			mapper.Reset()
			return false, nil
		case apierrors.IsForbidden(last) && object.GetKind() == "Pod", apierrors.IsServiceUnavailable(last):
			// The namespace's service account is made by a controller.
			return false, nil
		default:
			return false, last
		}
	})
	if limited.Err() != nil && last != nil {
		return last
	}
	return err
}

func (c *Cluster) tryApply(ctx context.Context, mapper meta.RESTMapper, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	var resource dynamic.ResourceInterface = c.dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		namespace := object.GetNamespace()
		if namespace == "" {
			namespace = metav1.NamespaceDefault
		}
		resource = c.dynamic.Resource(mapping.Resource).Namespace(namespace)
	}
	if object.GetName() == "" {
		_, err = resource.Create(ctx, object, metav1.CreateOptions{FieldManager: fieldManager})
		return err
	}
	_, err = resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

const fieldManager = "azure-simulator"

// parse reads the documents of a manifest; a List counts as its items.
func parse(manifest []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	var objects []*unstructured.Unstructured
	for number := 1; ; number++ {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.GetAPIVersion() == "" || object.GetKind() == "" {
			return nil, fmt.Errorf("document %d: it has no apiVersion or kind", number)
		}
		if !object.IsList() {
			objects = append(objects, object)
			continue
		}
		err = object.EachListItem(func(item runtime.Object) error {
			objects = append(objects, item.(*unstructured.Unstructured)) //nolint:forcetypeassert // what unstructured lists hold
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", number, err)
		}
	}
}

func named(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetName()
	}
	return object.GetNamespace() + "/" + object.GetName()
}
