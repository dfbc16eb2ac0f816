package kube

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// objectsOf says at which versions of its API an object is known to be written:
// what the API server answers, what kubectl apply noted, and what its writers said
// of the fields that are theirs. The core group has one version, so its objects
// say nothing here.
func objectsOf(apiVersion, kind string, meta *metav1.ObjectMeta) []fleet.Object {
	if !strings.Contains(apiVersion, "/") {
		return nil
	}
	one := fleet.Object{
		APIVersion: interned(apiVersion), Kind: interned(kind), Namespace: interned(meta.Namespace), Name: meta.Name,
		Source: fleet.FromStorage, Owner: ownerOf(meta),
	}
	objects := []fleet.Object{one}
	if applied := lastApplied(meta); applied != "" && strings.Contains(applied, "/") {
		o := one
		o.APIVersion, o.Source, o.By = interned(applied), fleet.FromLastApplied, "kubectl apply"
		for i := range meta.ManagedFields {
			if m := &meta.ManagedFields[i]; strings.HasPrefix(m.Manager, "kubectl") && m.APIVersion == applied && m.Time != nil {
				o.At = m.Time.UTC()
			}
		}
		objects = append(objects, o)
	}
	type writer struct{ version, manager string }
	latest := map[writer]time.Time{}
	var order []writer
	for i := range meta.ManagedFields {
		m := &meta.ManagedFields[i]
		w := writer{m.APIVersion, m.Manager}
		at, again := latest[w]
		if !again {
			order = append(order, w)
		}
		if m.Time != nil && m.Time.After(at) {
			at = m.Time.UTC()
		}
		latest[w] = at
	}
	for _, w := range order {
		o := one
		o.APIVersion, o.Source, o.By, o.At = interned(w.version), fleet.FromManagedFields, interned(w.manager), latest[w]
		objects = append(objects, o)
	}
	return objects
}

// interned keeps one copy of a text of which there are many.
func interned(s string) string { return unique.Make(s).Value() }

// lastApplied is the apiVersion in the annotation of kubectl apply; "" without one.
// Nothing else of it is kept: it may hold secrets.
func lastApplied(meta *metav1.ObjectMeta) string {
	text := meta.Annotations[corev1.LastAppliedConfigAnnotation]
	if text == "" {
		return ""
	}
	var head struct {
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal([]byte(text), &head); err != nil {
		return ""
	}
	return head.APIVersion
}

// ownerOf names who would write an object again: its controller, its Helm
// release, or a reconciler.
func ownerOf(meta *metav1.ObjectMeta) string {
	if owner := metav1.GetControllerOfNoCopy(meta); owner != nil {
		key := fleet.Object{Kind: owner.Kind, Namespace: meta.Namespace, Name: owner.Name}
		return interned(key.Key())
	}
	if release := meta.Annotations["meta.helm.sh/release-name"]; release != "" {
		return interned("release " + meta.Annotations["meta.helm.sh/release-namespace"] + "/" + release)
	}
	return interned(managerOf(meta))
}

// hasOneVersion reports whether there is nothing to tell of a group's objects.
func hasOneVersion(group string) bool {
	return group == "" || slices.Contains([]string{"metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io", "events.k8s.io"}, group)
}
