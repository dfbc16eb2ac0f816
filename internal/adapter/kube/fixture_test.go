package kube

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	discoveryfake "k8s.io/client-go/discovery/fake"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
)

// noon is when the tests happen.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// newFake makes a cluster of objects that are held in memory. Those of kinds
// that client-go does not know go to the dynamic client, as KEDA's do.
func newFake(t *testing.T, objects ...runtime.Object) (*cluster, *fake.Clientset) {
	t.Helper()
	var known, custom []runtime.Object
	for _, o := range objects {
		if _, ok := o.(*unstructured.Unstructured); ok {
			custom = append(custom, o)
		} else {
			known = append(known, o)
		}
	}
	client := fake.NewClientset(known...)
	if len(custom) > 0 {
		discovery, ok := client.Discovery().(*discoveryfake.FakeDiscovery)
		if !ok {
			t.Fatal("no fake discovery")
		}
		discovery.Resources = append(discovery.Resources, &metav1.APIResourceList{
			GroupVersion: scaledObjects.GroupVersion().String(),
			APIResources: []metav1.APIResource{{Name: scaledObjects.Resource, Kind: kindScaledObject, Namespaced: true}},
		})
	}
	lists := map[schema.GroupVersionResource]string{scaledObjects: kindScaledObject + "List"}
	return &cluster{
		name:    "prod",
		host:    "https://prod.example.com:443",
		uid:     "the-cluster",
		client:  client,
		watches: client,
		dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, custom...),
		now:     func() time.Time { return noon },
		log:     slog.New(slog.DiscardHandler),
		lease:   &leaseMemory{},
	}, client
}

// readObjects reads a file of Kubernetes objects.
func readObjects(t *testing.T, path string) []runtime.Object {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	documents := yaml.NewYAMLToJSONDecoder(bytes.NewReader(raw))
	for {
		var one unstructured.Unstructured
		if err := documents.Decode(&one); err == io.EOF { //nolint:errorlint // the decoder returns it unwrapped
			return objects
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if !scheme.Scheme.Recognizes(one.GroupVersionKind()) {
			objects = append(objects, &one)
			continue
		}
		typed, err := scheme.Scheme.New(one.GroupVersionKind())
		if err != nil {
			t.Fatal(err)
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(one.Object, typed, true); err != nil {
			t.Fatalf("%s: %s %s: %v", path, one.GetKind(), one.GetName(), err)
		}
		objects = append(objects, typed)
	}
}
