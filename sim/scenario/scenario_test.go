package scenario

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestEmbeddedScenariosAreSound(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := s.Seeds(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.Name != name {
			t.Errorf("%s calls itself %q", name, s.Name)
		}
	}
	if len(Names()) < 2 {
		t.Errorf("scenarios: %v, want demo and small", Names())
	}
}

func TestDemoIsAsLargeAsPromised(t *testing.T) {
	t.Parallel()
	s, err := Load("demo")
	if err != nil {
		t.Fatal(err)
	}
	for _, cl := range s.Clusters {
		nodes := 0
		for _, p := range cl.Pools {
			nodes += p.Count
		}
		// What stands in the manifest beside the counted values: checkout-session,
		// ledger 3, fraud-model 2, reports, orders-db 3.
		pods := 10
		for name, value := range cl.Values {
			if n, ok := value.(uint64); ok && name != "jobSeconds" {
				pods += int(n)
			}
		}
		if cl.Name == "prod" && (nodes < 12 || pods < 150) {
			t.Errorf("prod has %d nodes and %d pods, want 12 and 150", nodes, pods)
		}
		if cl.Name != "prod" && (pods < 20 || pods > 40) {
			t.Errorf("%s has %d pods, want 20 to 40", cl.Name, pods)
		}
	}
}

const sound = `name: t
subscriptions: [{id: s1, name: one}]
regions: [{name: westeurope, versions: [{version: 1.34.4}]}]
clusters:
- name: c
  subscription: one
  resourceGroup: rg
  location: westeurope
  version: 1.34.4
  pools:
  - {name: system, mode: System, count: 1}
`

func TestParseNamesFileAndLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		old, new string
		want     []string
	}{
		"sound":            {"", "", nil},
		"unknown key":      {"  location:", "  place: x\n  location:", []string{"t.yaml:8:", "place"}},
		"not yaml":         {"clusters:", "clusters: [", []string{"t.yaml:"}},
		"wrong type":       {"count: 1", "count: many", []string{"t.yaml:11:"}},
		"bad version":      {"  version: 1.34.4", "  version: latest", []string{"t.yaml:9: clusters[0].version:", `got "latest"`}},
		"no such region":   {"location: westeurope", "location: mars", []string{"t.yaml:8: clusters[0].location:", `got "mars"`}},
		"no subscription":  {"subscription: one", "subscription: two", []string{"t.yaml:6: clusters[0].subscription:"}},
		"pool name":        {"name: system", "name: System-1", []string{"t.yaml:11: clusters[0].pools[0].name:"}},
		"no system pool":   {"mode: System", "mode: User", []string{"clusters[0].pools: at least one must have mode System"}},
		"empty system":     {"count: 1", "count: 0", []string{"a system pool needs at least one node"}},
		"unknown size":     {"count: 1", "count: 1, vmSize: Huge", []string{"pools[0].vmSize: one of Standard_"}},
		"unknown manifest": {"  pools:", "  manifests: [x]\n  pools:", []string{"manifests[0]: no such manifest"}},
		"bad range":        {"name: t", "name: t\ntiming: {nodeBoot: 4s-1s}", []string{"t.yaml:2:", "shorter first"}},
		"bad fault":        {"name: t", "name: t\nfaults: [{effect: meteor}]", []string{"t.yaml:2: faults[0]:", `got "meteor"`}},
		"two at once": {"  location: westeurope\n  version: 1.34.4", "  location: mars\n  version: latest", []string{
			"clusters[0].location", "clusters[0].version",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := sound
			if test.old != "" {
				text = strings.Replace(sound, test.old, test.new, 1)
				if text == sound {
					t.Fatalf("%q is not in the sound scenario", test.old)
				}
			}
			_, err := Parse("t.yaml", []byte(text), fstest.MapFS{})
			if len(test.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("was taken")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}
