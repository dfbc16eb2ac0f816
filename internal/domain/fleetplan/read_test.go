package fleetplan

import (
	"bytes"
	"strings"
	"testing"
)

// keptText is a plan as it is kept.
func keptText(t *testing.T) string {
	t.Helper()
	in := contoso(t)
	in.Clusters = in.Clusters[:1]
	p := Make(in)
	var b bytes.Buffer
	if err := Write(&b, &p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestReadSaysWhatIsWrong holds every mistake to its own message, with the line
// and the path, and all of them at once.
func TestReadSaysWhatIsWrong(t *testing.T) {
	good := keptText(t)
	replace := func(pairs ...string) string {
		text := good
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("the plan has no %s", pairs[i])
			}
			text = strings.Replace(text, pairs[i], pairs[i+1], 1)
		}
		return text
	}
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"empty":                {"", []string{"p.json:1: the file ends in the middle of the plan, or is empty"}},
		"cut off":              {good[:len(good)/2], []string{"the file ends in the middle of the plan"}},
		"YAML":                 {"apiVersion: x\n", []string{"p.json:1: no JSON"}},
		"a list":               {"[]", []string{"a JSON array where a plan has fleetplan.Plan"}},
		"twice":                {good + good, []string{"something follows the plan"}},
		"a key twice":          {replace(`"kind": "Plan",`, "\"kind\": \"Plan\",\n\"kind\": \"Plan\","), []string{"p.json:4: kind: the key is there twice"}},
		"a newer one":          {replace(`"kind": "Plan",`, `"kind": "Plan", "moon": "full",`), []string{`unknown field "moon"`, "newer Liftlock"}},
		"too deep":             {strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50), []string{"nested more than 40 deep"}},
		"a text for a list":    {replace(`"unassigned": []`, `"unassigned": "none"`), []string{"unassigned: a JSON string where a plan has []string"}},
		"a version of nothing": {replace(`"version": "1.36.3"`, `"version": "latest"`), []string{`version "latest": not of the form MAJOR.MINOR.PATCH`}},
		"everything at once": {replace(`"liftlock.dev/v1alpha1"`, `"liftlock.dev/v9"`, `"kind": "Plan"`, `"kind": "Fleet"`, `"fleet": "contoso"`, `"fleet": ""`, strings.Repeat("ab", 32), "abc", `"for": "*"`, `"for": "new"`), []string{
			`p.json:2: apiVersion: this Liftlock reads liftlock.dev/v1alpha1 (got "liftlock.dev/v9")`,
			`p.json:3: kind: a plan is of kind Plan (got "Fleet")`,
			`p.json:5: fleet: the fleet's name is missing`,
			`p.json:8: fleetFile.digest: is no SHA-256 in hex (got "abc")`,
			`target.resolved[0].for: is neither a version, nor a minor, nor "*" (got "new")`,
		}},
		"no basis": {`{"apiVersion": "liftlock.dev/v1alpha1", "kind": "Plan"}`, []string{"createdAt: the time is missing", "target.resolved: the plan says no version to go to", "basis.clusters: the plan is based on no cluster"}},
		"a cluster of no ring": {replace(`"name": "sandbox-1",
        "ring": "sandbox"`, `"name": "sandbox-1",
        "ring": "lab"`), []string{`basis.clusters[0].ring: the plan has no ring "lab"`}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Read([]byte(tc.text), "p.json")
			if err == nil {
				t.Fatalf("read: %+v", p)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
		})
	}
	if _, err := Read([]byte(strings.ReplaceAll(good, "\n", "\r\n")), "p.json"); err != nil {
		t.Errorf("with CRLF: %v", err)
	}
}

// FuzzRead holds that no text makes reading panic, and that what is read is what
// is written again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"liftlock.dev/v1alpha1","kind":"Plan","fleet":"a","createdAt":"2026-01-01T00:00:00Z","fleetFile":{"digest":"` + strings.Repeat("ab", 32) + `"},"target":{"resolved":[{"for":"*","version":"1.35.4"}]},"rings":[{"name":"r"}],"basis":{"clusters":[{"id":"1","ring":"r","version":"1.34.4"}]}}`))
	f.Add([]byte(`{"rings":[{"clusters":[{"steps":[{"pool":{"steps":[{}]}}]}]}]}`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	f.Add([]byte(`{"createdAt":"9999-12-31T23:59:59Z","basis":{"stops":["1.99999999999.1"]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Read(text, "p")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "p") {
				t.Errorf("the message does not name the file: %v", err)
			}
			return
		}
		var b bytes.Buffer
		if err := Write(&b, &p); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(b.Bytes(), "p"); err != nil {
			t.Errorf("what was written is not read: %v\n%s", err, b.String())
		}
		now := p.Basis
		if moved := Drift(&p.Basis, &now); len(moved) > 0 && len(p.Basis.Ledger) == 0 && !repeats(&p.Basis) {
			t.Errorf("a world that did not move moved: %q", moved)
		}
	})
}

// repeats reports whether a pool is there twice, or an offer: comparing takes the
// first one.
func repeats(b *Basis) bool {
	for i := range b.Clusters {
		seen := map[string]bool{}
		for _, p := range b.Clusters[i].Pools {
			if seen[strings.ToLower(p.Name)] {
				return true
			}
			seen[strings.ToLower(p.Name)] = true
		}
	}
	return len(b.Offers) > 1
}
