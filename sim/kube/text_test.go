package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/sim/aks"
)

func TestRemovedIn(t *testing.T) {
	const metrics = `# HELP apiserver_requested_deprecated_apis Gauge of deprecated APIs
apiserver_requested_deprecated_apis{group="policy",removed_release="1.35",resource="poddisruptionbudgets",subresource="",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="policy",removed_release="1.35",resource="poddisruptionbudgets",subresource="status",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="batch",removed_release="1.37",resource="cronjobs",subresource="",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource="",version="v1"} 1
apiserver_requested_deprecated_apis{group="storage.k8s.io",removed_release="1.36",resource="csinodes",subresource="",version="v1beta1"} 1
apiserver_request_total{code="200"} 5
`
	for target, want := range map[int][]string{
		34: nil,
		35: {"policy.poddisruptionbudgets.v1beta1"},
		36: {"policy.poddisruptionbudgets.v1beta1", "storage.k8s.io.csinodes.v1beta1"},
	} {
		if diff := cmp.Diff(want, removedIn([]byte(metrics), target)); diff != "" {
			t.Errorf("target 1.%d: %s", target, diff)
		}
	}
}

func TestMinorNumberRefuses(t *testing.T) {
	for _, version := range []string{"", "1", "2.3", "v1.35", "1.x"} {
		if number, err := minorNumber(version); err == nil {
			t.Errorf("%q is taken for %d", version, number)
		}
	}
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]aks.Range{
		"2s-5s":     {Min: 2 * time.Second, Max: 5 * time.Second},
		"500ms":     {Min: 500 * time.Millisecond, Max: 500 * time.Millisecond},
		"1m30s-2m":  {Min: 90 * time.Second, Max: 2 * time.Minute},
		"0s-1500ms": {Max: 1500 * time.Millisecond},
	} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "2s-", "fast"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestStagesHoldTheTiming(t *testing.T) {
	lives := stages(aks.Timing{
		PodStart:       aks.Range{Min: 2 * time.Second, Max: 5 * time.Second},
		PodTermination: aks.Range{Min: time.Second}, // no more than its least
	})
	rendered, err := lives.Configuration()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`// "2000ms-5000ms")`, `// "1000ms-1000ms")`} {
		if !strings.Contains(string(rendered), want) {
			t.Errorf("no %s in the stages", want)
		}
	}
	if strings.Contains(string(rendered), "[[") {
		t.Error("something in the stages was not filled in")
	}
}

func TestParseManifest(t *testing.T) {
	objects, err := parse([]byte(`
# nothing but a comment
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: ns}}
- {apiVersion: v1, kind: Namespace, metadata: {name: b}}
---
apiVersion: v1
kind: Pod
metadata: {name: c, namespace: ns}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, object := range objects {
		got = append(got, object.GetKind()+" "+named(object))
	}
	if diff := cmp.Diff([]string{"ConfigMap ns/a", "Namespace b", "Pod ns/c"}, got); diff != "" {
		t.Error(diff)
	}
	for manifest, want := range map[string]string{
		"kind: Pod":                              "document 1",
		"{apiVersion: v1, kind: Pod}\n---\nx: [": "document 2",
	} {
		if _, err := parse([]byte(manifest)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", manifest, err, want)
		}
	}
}
