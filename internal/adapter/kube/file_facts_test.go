package kube

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

const checkedFile = "../../cli/testdata/check/cluster.json"

func factsOf(t *testing.T, text string) check.Facts {
	t.Helper()
	f, err := ReadFacts(t.Context(), strings.NewReader(text), "cluster.json", time.Time{}, Readers{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFactsOfAFileAndOfAnAPIServer: the same objects make the same facts.
func TestFactsOfAFileAndOfAnAPIServer(t *testing.T) {
	text, err := os.ReadFile(checkedFile)
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []json.RawMessage }
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	for _, raw := range list.Items {
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
		if err != nil {
			continue // APIService: of a kind that the client does not know
		}
		objects = append(objects, object)
	}
	c, _ := newFake(t, objects...)
	live := c.Inspect(t.Context(), []check.Need{check.NeedSnapshot, check.NeedWebhooks, check.NeedQuotas, check.NeedAttach})
	if len(live.Unread) > 0 {
		t.Fatalf("not read: %+v", live.Unread)
	}
	file := factsOf(t, string(text))
	byName := func(a, b check.Webhook) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(live.Webhooks, byName)
	slices.SortFunc(file.Webhooks, byName)
	for name, pair := range map[string][2]any{
		"webhooks": {live.Webhooks, file.Webhooks}, "quotas": {live.Quotas, file.Quotas}, "attach limits": {live.Attach, file.Attach},
		"nodes": {live.Snapshot.Nodes, file.Snapshot.Nodes}, "budgets": {live.Snapshot.Budgets, file.Snapshot.Budgets},
		"workloads": {live.Snapshot.Workloads, file.Snapshot.Workloads}, "pods": {live.Snapshot.Pods, file.Snapshot.Pods},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s (-API server +file):\n%s", name, diff)
		}
	}
	if len(file.Webhooks) != 5 || len(file.Quotas) == 0 || len(file.Attach) == 0 || len(file.Services) != 2 {
		t.Errorf("the file has %d webhooks, %d quotas, %d limits, %d APIs", len(file.Webhooks), len(file.Quotas), len(file.Attach), len(file.Services))
	}
}

// TestObjectsOfAFile: every sighting of a version is kept, and nothing else of an
// object.
func TestObjectsOfAFile(t *testing.T) {
	f := factsOf(t, listOf(aNode, aPod,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"extensions/v1beta1\",\"kind\":\"Deployment\",\"spec\":\"hunter2\"}","meta.helm.sh/release-name":"web","meta.helm.sh/release-namespace":"shop"},
		"managedFields":[{"manager":"kubectl-client-side-apply","apiVersion":"extensions/v1beta1","operation":"Update","time":"2020-01-01T00:00:00Z","fieldsV1":{"f:spec":{"}":"\"]"}}},{"manager":"hpa","apiVersion":"apps/v1","operation":"Update","time":"2026-01-01T00:00:00Z"},{"manager":"hpa","apiVersion":"apps/v1","operation":"Update","subresource":"status","time":"2026-02-01T00:00:00Z"}]},
		"spec":{"template":{"spec":{"containers":[{"env":[{"name":"P","value":"hunter2"}]}]}}}}`,
		`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"1","controller":true}]},"data":{"x":"hunter2"}}`,
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"shop"},"data":{"p":"aHVudGVyMg=="}}`,
	))
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	want := []fleet.Object{
		{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", Source: fleet.FromStorage, Owner: "release shop/web"},
		{APIVersion: "extensions/v1beta1", Kind: "Deployment", Namespace: "shop", Name: "web", Source: fleet.FromLastApplied, By: "kubectl apply", At: at("2020-01-01T00:00:00Z"), Owner: "release shop/web"},
		{APIVersion: "extensions/v1beta1", Kind: "Deployment", Namespace: "shop", Name: "web", Source: fleet.FromManagedFields, By: "kubectl-client-side-apply", At: at("2020-01-01T00:00:00Z"), Owner: "release shop/web"},
		{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", Source: fleet.FromManagedFields, By: "hpa", At: at("2026-02-01T00:00:00Z"), Owner: "release shop/web"},
		{APIVersion: "example.com/v1", Kind: "Widget", Name: "w", Source: fleet.FromStorage, Owner: "Deployment/web"},
	}
	if diff := cmp.Diff(want, f.Objects); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text, err := json.Marshal(f.Objects)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Error("a secret was kept")
	}
}

// TestWhatAFileDoesNotHold is absent, never clean.
func TestWhatAFileDoesNotHold(t *testing.T) {
	const ingress = `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"i","namespace":"shop"}}`
	const slice = `{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"e","namespace":"a"}}`
	const hook = `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"h"},"webhooks":[{"name":"h","clientConfig":{"service":{"namespace":"a","name":"b"}}}]}`
	for _, tc := range []struct {
		name string
		text string
		read []check.Need
	}{
		{"objects alone", listOf(ingress), []check.Need{check.NeedObjects}},
		{"nodes and pods", listOf(aNode, aPod), []check.Need{check.NeedObjects, check.NeedSnapshot}},
		{"webhooks without endpoints", listOf(aNode, aPod, hook), []check.Need{check.NeedObjects, check.NeedSnapshot}},
		{"webhooks with endpoints", listOf(aNode, aPod, hook, slice), []check.Need{check.NeedObjects, check.NeedSnapshot, check.NeedWebhooks}},
		{"an own snapshot", `{"takenAt":"2026-01-01T00:00:00Z","nodes":[{"name":"n"}]}`, []check.Need{check.NeedSnapshot}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := factsOf(t, tc.text)
			var read []check.Need
			for n := range f.Read {
				read = append(read, n)
			}
			slices.Sort(read)
			slices.Sort(tc.read)
			if diff := cmp.Diff(tc.read, read); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			for _, u := range f.Unread {
				if f.Read[u.Need] || !u.Absent || u.Why == "" || u.Remedy == "" {
					t.Errorf("%+v", u)
				}
			}
		})
	}
	if _, err := ReadFacts(t.Context(), strings.NewReader(`{"kind":"List","items":[]}`), "cluster.json", time.Time{}, Readers{}); err == nil || !strings.Contains(err.Error(), "holds no object") {
		t.Errorf("an empty list: %v", err)
	}
}

// TestReleasesOfAFile go to who can read them, and are not forgotten where nobody
// can.
func TestReleasesOfAFile(t *testing.T) {
	text := listOf(
		`{"apiVersion":"v1","kind":"Secret","type":"helm.sh/release.v1","metadata":{"name":"sh.helm.release.v1.web.v1","namespace":"shop"},"data":{"release":"cmVsZWFzZQ=="}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"sh.helm.release.v1.api.v1","namespace":"shop","labels":{"owner":"helm"}},"data":{"release":"text"}}`,
		`{"apiVersion":"v1","kind":"Secret","type":"Opaque","metadata":{"name":"other","namespace":"shop"},"data":{"release":"cmVsZWFzZQ=="}}`)
	var got []Stored
	f, err := ReadFacts(t.Context(), strings.NewReader(text), "cluster.json", time.Time{}, Readers{Releases: func(stored []Stored) ([]fleet.Object, []string) {
		got = stored
		return []fleet.Object{{Kind: "Found"}}, []string{"shop/x: damaged"}
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Stored{
		{Namespace: "shop", Name: "sh.helm.release.v1.web.v1", Data: []byte("release")},
		{Namespace: "shop", Name: "sh.helm.release.v1.api.v1", Labels: map[string]string{"owner": "helm"}, Data: []byte("text")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	damaged := func(f check.Facts, why string) bool {
		return slices.ContainsFunc(f.Unread, func(u check.Unread) bool {
			return u.Need == check.NeedObjects && !u.Absent && strings.Contains(u.Why, why)
		})
	}
	if len(f.Objects) != 1 || !damaged(f, "damaged") {
		t.Errorf("objects %+v, unread %+v", f.Objects, f.Unread)
	}
	if !damaged(factsOf(t, text), "nothing here reads them") {
		t.Error("releases that nobody reads are not told")
	}
}

// TestMutatedFacts damages a sound file in many ways: what is wrong is told, and
// what can still be read is checked without a crash.
func TestMutatedFacts(t *testing.T) {
	sound, err := os.ReadFile(checkedFile)
	if err != nil {
		t.Fatal(err)
	}
	at := regexp.MustCompile(`"[^"]*"|[0-9]+|[{}\[\],:]`).FindAllIndex(sound, -1)
	odd := []string{"", "null", "-1", "1e999", `""`, "{}", "[]", "true", `"100%"`, `"v1.99.0"`, "}", "\xff"}
	rng := rand.New(rand.NewPCG(3, 4))
	read := 0
	for range 200 {
		span := at[rng.IntN(len(at))]
		other := at[rng.IntN(len(at))]
		piece := []byte(odd[rng.IntN(len(odd))])
		if rng.IntN(3) > 0 {
			piece = sound[other[0]:other[1]]
		}
		text := slices.Concat(sound[:span[0]], piece, sound[span[1]:])
		if checkAny(t, string(text)) {
			read++
		}
	}
	if read < 30 {
		t.Errorf("only %d of 200 could still be read: the test proves too little", read)
	}
}

// FuzzReadFacts: no text makes it panic or hang, and what can be read is checked.
func FuzzReadFacts(f *testing.F) {
	f.Add(listOf(aNode, aPod))
	f.Add(`{"kind":"List","items":[{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","managedFields":[{"fieldsV1":{}}]}}]}`)
	if text, err := os.ReadFile(checkedFile); err == nil {
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			t.Skip("longer than what a fuzzer finds things in")
		}
		checkAny(t, text)
	})
}

// checkAny reads a text and, if it can be read, runs all checks on it. Every
// check either runs or says why not.
func checkAny(t *testing.T, text string) bool {
	t.Helper()
	f, err := ReadFacts(t.Context(), strings.NewReader(text), "cluster.json", time.Time{}, Readers{})
	if err != nil {
		if wrong := (*FileError)(nil); !errors.As(err, &wrong) || len(wrong.Problems) == 0 {
			t.Fatalf("error %v", err)
		}
		return false
	}
	f.Target, f.Server = fleet.MustParseVersion("1.36.0"), fleet.MustParseVersion("1.34.8")
	f.Gets(check.NeedTarget)
	f.Gets(check.NeedServer)
	r := check.Run(&f, check.All())
	for _, name := range check.Names() {
		ran := slices.Contains(r.Ran, name)
		told := slices.ContainsFunc(r.NotRun, func(n check.NotRun) bool { return n.Check == name && !n.Partly })
		if ran == told {
			t.Fatalf("check %s: ran %t, and told why not %t", name, ran, told)
		}
	}
	return true
}
