package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// printed is what kubectl prints of a file of objects.
func printed(t *testing.T, path string, change func(map[string]any)) []byte {
	t.Helper()
	items := []any{}
	for _, o := range readObjects(t, path) {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			t.Fatal(err)
		}
		one := unstructured.Unstructured{Object: content}
		if kinds, _, err := scheme.Scheme.ObjectKinds(o); err == nil {
			one.SetGroupVersionKind(kinds[0])
		}
		if change != nil {
			change(one.Object)
		}
		items = append(items, one.Object)
	}
	text, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "items": items, "kind": "List", "metadata": map[string]any{"resourceVersion": ""}}, "", "    ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func readText(t *testing.T, text string) (fleet.Snapshot, []fleet.Finding, error) {
	t.Helper()
	return ReadFile(t.Context(), strings.NewReader(text), "cluster.json", time.Time{})
}

// TestFileIsReadAsAnAPIServerIs: the same objects make the same snapshot, whether
// they are listed or printed. Only a controller that cannot be found is not taken
// to be gone.
func TestFileIsReadAsAnAPIServerIs(t *testing.T) {
	c, _ := newFake(t, readObjects(t, "testdata/objects.yaml")...)
	live, err := c.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// What kubectl shows beside what is read makes no difference.
	dress := func(o map[string]any) {
		set := func(value any, path ...string) {
			if err := unstructured.SetNestedField(o, value, path...); err != nil {
				t.Fatal(err)
			}
		}
		set([]any{map[string]any{"manager": "kubectl", "fieldsV1": map[string]any{"f:spec": map[string]any{}}}}, "metadata", "managedFields")
		if containers, ok, _ := unstructured.NestedSlice(o, "spec", "containers"); ok {
			for _, one := range containers {
				one.(map[string]any)["env"] = []any{map[string]any{"name": `"}]`, "value": "\\\" { [ é \u2028"}}
				one.(map[string]any)["command"] = []any{"sh", "-c", `echo "{"`}
			}
			set(containers, "spec", "containers")
		}
	}
	for name, text := range map[string][]byte{"as it is": printed(t, "testdata/objects.yaml", nil), "dressed": printed(t, "testdata/objects.yaml", dress)} {
		t.Run(name, func(t *testing.T) {
			for reading, in := range map[string]io.Reader{
				"at once": bytes.NewReader(text), "byte by byte": iotest.OneByteReader(bytes.NewReader(text)),
				"half by half": iotest.HalfReader(bytes.NewReader(text)), "with the error": iotest.DataErrReader(bytes.NewReader(text)),
			} {
				got, _, err := ReadFile(t.Context(), in, "cluster.json", noon)
				if err != nil {
					t.Fatalf("%s: %v", reading, err)
				}
				known := map[string]bool{}
				for _, w := range got.Workloads {
					known[w.Key()] = true
				}
				for i := range got.Pods {
					if p := &got.Pods[i]; p.Workload != "" && !known[p.Workload] {
						p.Workload = live.Pods[i].Workload
					}
				}
				want := live
				want.LoadBalancers = nil // a plan does not look at Services
				want.Workloads = slices.DeleteFunc(slices.Clone(live.Workloads), func(w fleet.Workload) bool {
					return w.Kind == fleet.ReplicaSet && !known[w.Key()] // its Deployment is gone, or not in the file
				})
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-API server +file):\n%s", reading, diff)
				}
			}
		})
	}
}

const (
	aNode = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"n","creationTimestamp":"2026-01-01T00:00:00Z","labels":{"agentpool":"apps"}},"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-02-02T00:00:00Z"}]}}`
	aPod  = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"shop"},"spec":{"nodeName":"n"},"status":{"phase":"Running"}}`
)

func listOf(items ...string) string {
	return "{\n\"apiVersion\":\"v1\",\"items\":[\n" + strings.Join(items, ",\n") + "\n],\"kind\":\"List\"}"
}

// TestBadFiles: every problem at once, with line, byte, path and remedy.
func TestBadFiles(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"cluster.json:1: byte 0: is empty; make it with: kubectl get nodes,pods"}},
		{"not JSON", "kind: List\nitems: []\n", []string{"is not JSON; make it with"}},
		{"a state folder's copy", "SQLite format 3\x00 and so on", []string{"is a copy of a state folder, as liftlock snapshot makes it"}},
		{"compressed", "\x1f\x8b\x08", []string{"is compressed"}},
		{"another kind", `{"apiVersion":"v1","kind":"Status","message":"no"}`, []string{`holds no list of objects (kind "Status")`}},
		{"a single object", aPod, []string{`holds no list of objects (kind "Pod")`}},
		{"an empty list", `{"kind":"List","items":[]}`, []string{"holds no Node", "holds no Pod"}},
		{"no list at all", `{"kind":"List","items":null}`, []string{"holds no Node"}},
		{"items are no list", `{"kind":"List","items":{}}`, []string{"items: no JSON: '{' where '[' belongs"}},
		{"only pods", listOf(aPod), []string{"holds no Node"}},
		{"truncated in an object", listOf(aNode, aPod)[:340], []string{"cluster.json:4: byte ", "items[1]: the file ends in the middle"}},
		{"truncated after an object", listOf(aNode, aPod)[:len(listOf(aNode, aPod))-16], []string{"items[2]: the file ends in the middle"}},
		{"truncated at the very end", strings.TrimSuffix(listOf(aNode, aPod), "}"), []string{"the file ends in the middle"}},
		{"a comma too many", listOf(aNode, aPod+","), []string{"a comma before ']'"}},
		{"a comma too few", listOf(aNode + " " + aPod), []string{"items[1]: no JSON: '{' where a comma or ']' belongs"}},
		{"no JSON within", listOf(aNode, `{"kind":"Pod" "apiVersion":"v1"}`), []string{"cluster.json:4: byte ", "items[1]: ", "no JSON"}},
		{"an object without a kind", listOf(aNode, aPod, `{"metadata":{}}`), []string{"items[2]: object: has no kind"}},
		{"an item that is none", listOf(aNode, aPod, `7`), []string{"items[2]"}},
		{"too deep", listOf(aNode, `{"kind":"Pod","apiVersion":"v1","x":`+strings.Repeat("[", 300)), []string{"more than 200 objects and lists in each other"}},
		{
			"many at once", listOf(
				aNode, aPod, aPod,
				"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"q\",\"namespace\":\"shop\"},\n\"spec\":{\"containers\":[{},{\"resources\":{\"requests\":{\"cpu\":\"1 core\"}}}]}}",
				`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","namespace":"shop"},"spec":{"replicas":"three"}}`,
				`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"e","namespace":"shop"},"spec":{"replicas":-1}}`,
				`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"f","namespace":"shop"},"spec":{"replicas":1,"strategy":{"rollingUpdate":{"maxSurge":"a lot"}}}}`,
				`{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b","namespace":"shop"},"spec":{"minAvailable":"most"}}`,
				`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"r","namespace":"shop","creationTimestamp":"yesterday"}}`,
				`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"s"}}`,
				`{"apiVersion":"v1","kind":"Node","metadata":{}}`,
			),
			[]string{
				`cluster.json:5: byte \d+: items\[2\]: Pod shop/p is there already, as items\[0\]|items\[1\]`,
				`cluster.json:7: byte \d+: items\[3\].spec.containers\[1\].resources.requests.cpu: Pod: "1 core" is not a quantity`,
				`items\[4\].spec.replicas: Deployment: string is not of the type`,
				`items\[5\]: Deployment shop/e: spec.replicas: -1 is not a number of replicas`,
				`items\[6\]: Deployment shop/f: the strategy's maxSurge: "a lot" is neither`,
				`items\[7\]: PodDisruptionBudget shop/b: spec.minAvailable: "most" is neither`,
				`items\[8\].metadata.creationTimestamp: Pod: "yesterday" is not a time`,
				`items\[9\]: Pod /s: has no metadata.namespace`,
				`items\[10\]: Node: has no metadata.name`,
			},
		},
		{"own format, wrong", `{"takenAt":"2026-01-01T00:00:00Z","nodes":[{"name":"n"},{"name":"n"}],"pods":[],"workloads":[{"kind":"Deployment","namespace":"a","name":"b","replicas":-4}]}`, []string{"Node n is there twice", "-4 is not a number of replicas"}},
		{"own format, empty", `{"nodes":[]}`, []string{"takenAt is missing", "holds no nodes"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := readText(t, tc.text)
			if wrong := (*FileError)(nil); !errors.As(err, &wrong) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) && !regexp.MustCompile(regexpOf(want)).MatchString(err.Error()) {
					t.Errorf("does not say %q:\n%v", want, err)
				}
			}
		})
	}
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p-%d"}}`, i))
	}
	_, _, err := readText(t, listOf(many...))
	if err == nil || strings.Count(err.Error(), "\n") != mostProblems || !strings.Contains(err.Error(), "and 30 more problems") {
		t.Errorf("50 problems: %v", err)
	}
}

// regexpOf takes a want as a pattern where it is one.
func regexpOf(want string) string {
	if strings.Contains(want, `\[`) {
		return want
	}
	return regexp.QuoteMeta(want)
}

// TestFileThatIsNotWhole: what is missing is said, and its pods are not moved.
func TestFileThatIsNotWhole(t *testing.T) {
	pod := func(name, group, kind, owner string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":"shop","labels":{"app":%q},"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":%q,"uid":"u-%s","controller":true}]},"spec":{"nodeName":"n"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`, name, name, group, kind, owner, owner)
	}
	text := listOf(aNode, pod("a", "apps/v1", "ReplicaSet", "rs"), pod("b", "apps/v1", "StatefulSet", "gone"), pod("c", "batch/v1", "Job", "gone"),
		pod("d", "apps/v1", "DaemonSet", "agent"), pod("e", "argoproj.io/v1", "Rollout", "canary"), pod("f", "apps/v1", "ReplicaSet", "lost"),
		`{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"rs","namespace":"shop","uid":"u-rs","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"u-web","controller":true}]}}`,
		`{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"odd","namespace":"shop"},"spec":{"maxUnavailable":1,"selector":{"matchExpressions":[{"key":"app","operator":"Near","values":["e"]}]}}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop"}}`)
	s, findings, err := readText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	var owners, ids []string
	for _, p := range s.Pods {
		owners = append(owners, p.Name+" "+p.Workload)
	}
	want := []string{
		"a Deployment/shop/web", "b StatefulSet/shop/gone", "c Job/shop/gone", "d DaemonSet/shop/agent", "e Other/shop/Rollout:canary", "f ReplicaSet/shop/lost",
	}
	if diff := cmp.Diff(want, owners); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, f := range findings {
		ids = append(ids, f.ID)
	}
	slices.Sort(ids)
	if got := strings.Join(slices.Compact(ids), " "); got != "budget-selector-unreadable snapshot-kind-ignored snapshot-owners-missing snapshot-without-autoscalers" {
		t.Errorf("findings %s: %+v", got, findings)
	}
	if at := time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC); !s.TakenAt.Equal(at) {
		t.Errorf("taken at %s, want the newest heartbeat %s", s.TakenAt, at)
	}
	p := evacuate.PlanPool(evacuate.PoolInput{Snapshot: s, Pool: "apps", Strategy: fleet.BlueGreen, Pace: fleet.Pace{MaxInMotion: fleet.Amount{Percent: 100}}})
	if p.Moves.Refuse != 4 || len(p.Blocked) != 1 || p.Pods != 5 {
		t.Errorf("what could not be read is moved: %+v, blocked %+v", p.Moves, p.Blocked)
	}
}

// TestFilesOfOtherMakings: what people also have at hand.
func TestFilesOfOtherMakings(t *testing.T) {
	owned := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"q","namespace":"shop","ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","controller":true}]},"spec":{"nodeName":"n"}}`
	set := `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db","namespace":"shop"}}`
	same := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"q","namespace":"shop","uid":"u","resourceVersion":"3"}}`
	for name, text := range map[string]string{
		"stripped of uids":            listOf(aNode, owned, set),
		"several lists in a row":      listOf(aNode) + "\n" + listOf(owned, set),
		"typed lists":                 `{"kind":"NodeList","apiVersion":"v1","items":[` + strings.Replace(aNode, `"apiVersion":"v1","kind":"Node",`, "", 1) + `]}` + listOf(owned, set),
		"an object twice, and alike":  listOf(aNode, same, same),
		"keys in another order":       `{"kind":"List","metadata":{},"items":[` + aNode + `,` + owned + `,` + set + `],"apiVersion":"v1"}`,
		"other members of all shapes": `{"x":[1,{"y":"}"}],"z":-1.5e3,"t":true,"n":null,"items":[` + aNode + `,` + same + `],"kind":"List"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, _, err := readText(t, text)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Pods) != 1 || len(s.Nodes) != 1 || s.Nodes[0].Pool != "apps" {
				t.Errorf("%+v", s)
			}
			if strings.Contains(text, "StatefulSet") && s.Pods[0].Workload != "StatefulSet/shop/db" {
				t.Errorf("pod of %q", s.Pods[0].Workload)
			}
		})
	}
	golden, err := os.ReadFile("testdata/snapshot.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := readText(t, string(golden))
	if err != nil || len(s.Pods) == 0 || !s.TakenAt.Equal(noon) {
		t.Errorf("our own snapshot: %v, %d pods of %s", err, len(s.Pods), s.TakenAt)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := ReadFile(ctx, strings.NewReader(listOf(aNode, aPod)), "f", noon); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestMutatedFiles damages a sound file in many ways: what is wrong is told,
// and what can still be read makes a plan in which every pod is accounted for.
func TestMutatedFiles(t *testing.T) {
	sound, err := os.ReadFile("../../cli/testdata/plan/cluster.json")
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`"[^"]*"|[0-9]+|[{}\[\],:]`)
	at := words.FindAllIndex(sound, -1)
	odd := []string{"", "null", "-1", "1e999", "99999999999999999999", `""`, `"\u0000"`, "{}", "[]", "[[[[", "true", `"100%"`, `"1Zi"`, "}", "\xff", ","}
	rng := rand.New(rand.NewPCG(1, 2))
	read := 0
	for range 600 {
		text := slices.Clone(sound)
		for range 1 + rng.IntN(2) {
			// Spans move with every change, so that later ones hit anything.
			span := at[rng.IntN(len(at))]
			from, to := min(span[0], len(text)), min(span[1], len(text))
			switch rng.IntN(20) {
			case 0:
				text = text[:from]
			case 1:
				text = slices.Delete(text, from, min(len(text), from+rng.IntN(400)))
			case 2, 3, 4:
				text = slices.Replace(text, from, to, []byte(odd[rng.IntN(len(odd))])...)
			default: // one word for another
				other := at[rng.IntN(len(at))]
				piece := slices.Clone(text[min(other[0], len(text)):min(other[1], len(text))])
				text = slices.Replace(text, from, to, piece...)
			}
		}
		if planAny(t, string(text)) {
			read++
		}
	}
	if read < 60 {
		t.Errorf("only %d of 600 could still be read: the test proves too little", read)
	}
}

// FuzzReadFile: no text makes it panic or hang, and what can be read makes a plan
// in which every pod is accounted for.
func FuzzReadFile(f *testing.F) {
	f.Add(listOf(aNode, aPod))
	f.Add(listOf(aNode, aPod)[:300])
	f.Add(`{"takenAt":"2026-01-01T00:00:00Z","nodes":[{"name":"n","pool":"apps"}],"pods":[{"namespace":"a","name":"b","node":"n"}],"budgets":[{"namespace":"a","name":"b","selector":""}]}`)
	f.Add(listOf(aNode, aPod, `{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b","namespace":"shop"},"spec":{"maxUnavailable":"30%","selector":{}}}`))
	f.Add(listOf(aNode, aPod, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","namespace":"shop"},"spec":{"replicas":1000000}}`))
	f.Add("\ufeff{}")
	if text, err := os.ReadFile("../../cli/testdata/plan/cluster.json"); err == nil {
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			t.Skip("longer than what a fuzzer finds things in")
		}
		planAny(t, text)
	})
}

// planAny reads a text and, if it can be read, plans all pools that are in it.
func planAny(t *testing.T, text string) bool {
	t.Helper()
	s, _, err := readText(t, text)
	if err != nil {
		if wrong := (*FileError)(nil); !errors.As(err, &wrong) || len(wrong.Problems) == 0 {
			t.Fatalf("error %v", err)
		}
		return false
	}
	poolOf, pools, leaving := map[string]string{}, map[string]bool{}, map[string]int{}
	for _, n := range s.Nodes {
		poolOf[n.Name], pools[n.Pool] = n.Pool, true
	}
	for _, p := range s.Pods {
		pool, known := poolOf[p.Node]
		if known && !p.Mirror && !p.Finished() && p.DeletedAt.IsZero() && !strings.HasPrefix(p.Workload, "DaemonSet/") {
			leaving[pool]++
		}
	}
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		for _, strategy := range []fleet.Strategy{fleet.BlueGreen, fleet.Buffer, fleet.InPlace} {
			p := evacuate.PlanPool(evacuate.PoolInput{
				Snapshot: s, Pool: pool, Strategy: strategy, ExtraNodes: len(text) % 3, Assume: evacuate.UsualAssumptions,
				Policy: fleet.UsualNodePolicy().Evacuation, Pace: fleet.UsualNodePolicy().Pace,
			})
			m := p.Moves
			if p.Pods != leaving[pool] || m.Roll+m.Surge+m.Evict+m.Ordered+m.Wait+m.Refuse+len(p.Blocked) != p.Pods || p.BoundSeconds > p.Forecast.P50 || p.Forecast.P50 > p.Forecast.P90 {
				t.Fatalf("%+v", p)
			}
		}
	}
	return true
}
