package rehearsal

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	in := `{"apiVersion":"v1","items":[
	  {"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n"},"spec":{"priority":3}},
	  {"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"n"},"data":{"password":"hunter2"}},
	  {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"n"}},
	  {"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n"}}],"kind":"List","metadata":{"x":{}}}
	{"apiVersion":"policy/v1","kind":"PodDisruptionBudgetList","items":[{"metadata":{"name":"b","namespace":"n"}}]}
	{"kind":"List","items":null}`
	o, err := Read(strings.NewReader(in), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range o.List {
		got = append(got, o.List[i].apiVersion()+" "+o.List[i].Key()+" "+o.List[i].Where)
	}
	if diff := cmp.Diff([]string{"v1 Pod/n/a items[0]", "policy/v1 PodDisruptionBudget/n/b document[1].items[0]"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"Secret": 1, "ConfigMap": 1}, o.LeftOut); diff != "" {
		t.Error(diff)
	}
	if n := number(o.List[0].Content, "spec", "priority"); n != 3 {
		t.Errorf("a whole number was read as %v", o.List[0].Content)
	}
}

func TestReadRefuses(t *testing.T) {
	for in, want := range map[string]string{
		``:                               "cut off",
		`[1]`:                            "holds no list of objects",
		`{"a":1}`:                        "holds no list of objects",
		`{"items":{}}`:                   "items is no list",
		`{"items":[{"kind":"Pod"}]}`:     "items[0]: Pod has no metadata.name",
		`{"items":[{"kind":"Pod","meta`:  "cut off",
		`{"items":[3]}`:                  "items[0]",
		`{"kind":7,"items":[]}`:          "kind",
		`{"items":[]}{"items":[]`:        "cut off",
		`{"items":[],"metadata":{"a":}}`: "metadata",
	} {
		if _, err := Read(strings.NewReader(in), "f.json"); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "f.json: byte ") {
			t.Errorf("%s: got %v, want %q in it", in, err, want)
		}
	}
}

// FuzzRead: whatever a file holds, reading it and preparing what was read ends.
func FuzzRead(f *testing.F) {
	f.Add(`{"kind":"List","items":[{"kind":"Pod","metadata":{"name":"a","ownerReferences":[{"controller":true}],"finalizers":["x"]},"spec":{"volumes":[{"persistentVolumeClaim":{"claimName":"c"}}]},"status":{"conditions":[{}]}}]}`)
	f.Add(`{"items":[{"kind":"Node","apiVersion":"v1","metadata":{"name":"a","labels":{"agentpool":"p"}},"spec":{"taints":[{"key":"k"}]},"status":{}}]}`)
	f.Add(`{"items":[{"kind":"Job","metadata":{"name":"a"},"spec":[],"status":{"startTime":"x"}},{"kind":"PersistentVolume","metadata":{"name":"v"},"spec":{"claimRef":[]}}]}`)
	f.Add(`{"items":[{"kind":"PersistentVolumeClaim","metadata":{"name":"a"},"spec":{"volumeName":"v"},"status":3}]}`)
	f.Fuzz(func(_ *testing.T, in string) {
		o, err := Read(strings.NewReader(in), "f.json")
		if err != nil {
			return
		}
		for _, extra := range standIns(o.List) {
			for i := range extra {
				prepare(&extra[i], map[string]string{}, testClock)
			}
		}
		revisionsOf(o.List)
		for i := range o.List {
			outOf(&o.List[i])
			prepare(&o.List[i], map[string]string{}, testClock)
		}
		for _, l := range likenesses(o.List, "pool") {
			l.make("b", 1, "1.35.4", "i")
		}
	})
}
