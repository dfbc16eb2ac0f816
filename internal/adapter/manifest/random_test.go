package manifest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"liftlock.dev/liftlock/internal/adapter/manifest"
)

// However objects are written, those that are read are those that were written:
// the lines of a text tell what a parser would.
func TestRandomManifests(t *testing.T) {
	for seed := range uint64(700) {
		random := rand.New(rand.NewPCG(seed, 1))
		text, want := randomText(t, random)
		objects, skipped, err := manifest.ReadStream(t.Context(), strings.NewReader(text), "f")
		if err != nil || len(skipped) > 0 {
			t.Fatalf("seed %d: %v, %v\n%s", seed, skipped, err, text)
		}
		var got []string
		lines := strings.Split(text, "\n")
		for _, o := range objects {
			got = append(got, o.APIVersion+" "+o.Key())
			var line int
			if _, err := fmt.Sscanf(o.Where, "f:%d", &line); err != nil || line > len(lines) || !strings.Contains(lines[line-1], o.APIVersion) {
				t.Errorf("seed %d: %s %s is not at %s\n%s", seed, o.APIVersion, o.Key(), o.Where, text)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: got\n%s\nwant\n%s\nof\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"), text)
		}
	}
}

// randomText is a file of random objects in a random manner, and what is in it.
func randomText(t *testing.T, random *rand.Rand) (text string, want []string) {
	t.Helper()
	var out strings.Builder
	documents := 1 + random.IntN(4)
	inJSON := random.IntN(6) == 0
	for range documents {
		object, told := randomObject(random, random.IntN(4) == 0)
		want = append(want, told...)
		switch {
		case inJSON:
			raw, err := json.MarshalIndent(object, "", strings.Repeat(" ", random.IntN(4)))
			if err != nil {
				t.Fatal(err)
			}
			out.Write(raw)
			out.WriteString("\n")
			continue
		case random.IntN(3) == 0:
			out.WriteString("---\n# a comment: apiVersion: v9\n\n")
		default:
			out.WriteString("---\n")
		}
		var node yaml.Node
		if err := node.Encode(object); err != nil {
			t.Fatal(err)
		}
		shuffle(random, &node, false)
		var raw bytes.Buffer
		encoder := yaml.NewEncoder(&raw)
		encoder.SetIndent(2 + random.IntN(3))
		if err := encoder.Encode(&node); err != nil {
			t.Fatal(err)
		}
		out.Write(raw.Bytes())
	}
	text = out.String()
	if random.IntN(4) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text, want
}

// randomObject is an object or a list of some.
func randomObject(random *rand.Rand, list bool) (object map[string]any, told []string) {
	if list {
		items := []any{}
		for range random.IntN(4) {
			item, more := randomObject(random, random.IntN(8) == 0)
			items, told = append(items, item), append(told, more...)
		}
		return map[string]any{"apiVersion": "v1", "kind": "List", "items": items, "metadata": map[string]any{"resourceVersion": ""}}, told
	}
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	apiVersion, kind := pick("v1", "apps/v1", "extensions/v1beta1", "networking.k8s.io/v1"), pick("Pod", "Deployment", "Ingress", "Thing")
	metadata := map[string]any{"annotations": map[string]any{
		"kubectl.kubernetes.io/last-applied-configuration": `{"apiVersion":"v9","kind":"Old"}` + "\n",
		"text": pick("x", "apiVersion: v9\nkind: Trap\n", "# no comment", "a: b", "'quoted' \"twice\"", "---\napiVersion: v9\n"),
	}}
	key := kind + "/"
	if random.IntN(2) == 0 {
		metadata["namespace"] = "shop"
		key += "shop/"
	}
	switch random.IntN(4) {
	case 0:
		metadata["generateName"] = "once-"
		key += "once-*"
	default:
		name := pick("web", "web.example.com", "007", "null", "true")
		metadata["name"] = name
		key += name
	}
	object = map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": metadata,
		"spec": map[string]any{"apiVersion": "v9", "template": map[string]any{"kind": "Inner", "apiVersion": "v9", "metadata": map[string]any{"name": "inner"}}, "items": []any{map[string]any{"apiVersion": "v9", "kind": "Inner"}}},
		"data": map[string]any{"file": pick("apiVersion: v9\nkind: Trap\n---\n", "{{ not a template here }}", ""), "list": []any{"- a", 1, nil, true}},
	}
	return object, []string{apiVersion + " " + key}
}

// shuffle changes the order and the style of what is written.
func shuffle(random *rand.Rand, n *yaml.Node, inFlow bool) {
	if n.Kind == yaml.MappingNode {
		random.Shuffle(len(n.Content)/2, func(i, j int) {
			n.Content[2*i], n.Content[2*j] = n.Content[2*j], n.Content[2*i]
			n.Content[2*i+1], n.Content[2*j+1] = n.Content[2*j+1], n.Content[2*i+1]
		})
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!str" && random.IntN(4) == 0:
		n.Style = []yaml.Style{yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle}[random.IntN(2)]
	case n.Kind != yaml.ScalarNode && random.IntN(12) == 0:
		n.Style = yaml.FlowStyle
	}
	inFlow = inFlow || n.Style == yaml.FlowStyle
	if random.IntN(20) == 0 && n.Kind == yaml.ScalarNode && !inFlow { // elsewhere it is written so that no parser reads it
		n.LineComment = "apiVersion: v9"
	}
	for _, inner := range n.Content {
		shuffle(random, inner, inFlow)
	}
}
