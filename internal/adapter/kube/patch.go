package kube

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// patch is a JSON merge patch in the making. A nil value removes a key.
type patch map[string]any

// patchOf begins a patch that only applies to the object as it was read.
func patchOf(object metav1.Object) patch {
	return patch{"metadata": map[string]any{"resourceVersion": object.GetResourceVersion()}}
}

// set puts a value at a path of keys.
func (p patch) set(value any, path ...string) patch {
	at := map[string]any(p)
	for _, key := range path[:len(path)-1] {
		next, ok := at[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[key] = next
		}
		at = next
	}
	at[path[len(path)-1]] = value
	return p
}

// annotate sets an annotation; nil removes it.
func (p patch) annotate(key string, value any) patch {
	return p.set(value, "metadata", "annotations", key)
}

func (p patch) bytes() ([]byte, error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	return raw, nil
}

// patchOptions are those of all our patches.
func patchOptions() metav1.PatchOptions { return metav1.PatchOptions{FieldManager: fieldManager} }
