package manifest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"liftlock.dev/liftlock/internal/adapter/manifest"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// write makes a folder with files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tell is what was found, a line each, without the folder's own path.
func tell(dir string, objects []fleet.Object, skipped []manifest.Skipped) string {
	var lines []string
	for _, o := range objects {
		line := o.Where + ": " + o.APIVersion + " " + o.Key()
		if o.Source != fleet.FromManifest {
			line += " (" + string(o.Source) + ")"
		}
		lines = append(lines, line)
	}
	for _, s := range skipped {
		lines = append(lines, "skipped "+s.String())
	}
	return strings.ReplaceAll(strings.Join(lines, "\n"), filepath.ToSlash(dir)+"/", "")
}

func read(t *testing.T, dir string) string {
	t.Helper()
	objects, skipped, err := manifest.Read(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return tell(dir, objects, skipped)
}

const web = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n"

func TestText(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"a plain object":                  {web, "f:1: apps/v1 Deployment/shop/web"},
		"several documents":               {"# first\n" + web + "---\n" + web + "---\n---\n# nothing\n...\n", "f:2: apps/v1 Deployment/shop/web\nf:8: apps/v1 Deployment/shop/web"},
		"CRLF":                            {strings.ReplaceAll(web+"---\n"+web, "\n", "\r\n"), "f:1: apps/v1 Deployment/shop/web\nf:7: apps/v1 Deployment/shop/web"},
		"BOM":                             {"\ufeff" + web, "f:1: apps/v1 Deployment/shop/web"},
		"UTF-16, as PowerShell redirects": {utf16LE(web), "f:1: apps/v1 Deployment/shop/web"},
		"quotes and comments": {
			"\"apiVersion\": \"apps/v1\" # old\n'kind' : 'Deployment'\nmetadata: # here\n    labels: {a: b}\n    name: \"web\"\n", "f:1: apps/v1 Deployment/web",
		},
		"keys in another order": {"metadata:\n  annotations:\n    name: not-this\n  name: web\nspec: {}\nkind: Deployment\napiVersion: apps/v1\n", "f:7: apps/v1 Deployment/web"},
		"a made-up name":        {"apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: once-\n", "f:1: batch/v1 Job/once-*"},
		"no name":               {"apiVersion: batch/v1\nkind: Job\n", "f:1: batch/v1 Job/(no name)"},
		"unknown kinds":         {"apiVersion: example.com/v7\nkind: Whatever\nmetadata: {name: x}\n", "f:1: example.com/v7 Whatever/x"},
		"text that looks like an object": {
			"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  x: |\n    apiVersion: extensions/v1beta1\n    kind: Ingress\n    ---\n", "f:1: v1 ConfigMap/c",
		},
		"a custom resource's schema": {
			"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: x\nspec:\n  versions:\n  - schema:\n      openAPIV3Schema:\n        properties:\n          apiVersion:\n            type: string\n", "f:1: apiextensions.k8s.io/v1 CustomResourceDefinition/x",
		},
		// pluto's list assets, and what kubectl get -o yaml prints.
		"a list": {
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: extensions/v1beta1\n  kind: Deployment\n  metadata:\n    name: a\n  spec:\n    template:\n      metadata:\n        name: inner\n- kind: Deployment\n  apiVersion: apps/v1\n  metadata:\n    namespace: shop\n    name: b\nmetadata:\n  resourceVersion: \"\"\n",
			"f:4: extensions/v1beta1 Deployment/a\nf:13: apps/v1 Deployment/shop/b",
		},
		"a list whose items are further in": {
			"kind: DeploymentList\napiVersion: apps/v1\nitems:\n  -\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: a}\n  -   apiVersion: apps/v1\n      kind: Deployment\n",
			"f:5: apps/v1 Deployment/a\nf:8: apps/v1 Deployment/(no name)",
		},
		"a list in a list":                {"kind: List\napiVersion: v1\nitems:\n- kind: List\n  apiVersion: v1\n  items:\n  - apiVersion: v1\n    kind: Pod\n", "f:7: v1 Pod/(no name)"},
		"an empty list":                   {"kind: List\napiVersion: v1\nitems: []\n", ""},
		"a sequence":                      {"- apiVersion: v1\n  kind: Pod\n- apiVersion: apps/v1\n  kind: Deployment\n", "f:1: v1 Pod/(no name)\nf:3: apps/v1 Deployment/(no name)"},
		"flow style":                      {"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}\n", "f:1: apps/v1 Deployment/web"},
		"flow style in a list":            {"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod},\n  {apiVersion: apps/v1, kind: Deployment}]\n", "f:3: v1 Pod/(no name)\nf:4: apps/v1 Deployment/(no name)"},
		"flow style behind the separator": {"--- {apiVersion: v1, kind: Pod}\n", "f:1: v1 Pod/(no name)"},
		"anchors":                         {"x: &v apps/v1\napiVersion: *v\nkind: Deployment\nmetadata: &m\n  name: web\n---\napiVersion: &v v1\nkind: Pod\n", "f:1: apps/v1 Deployment/web\nf:7: v1 Pod/(no name)"},
		"merged keys":                     {"base: &b\n  apiVersion: apps/v1\n  kind: Deployment\n<<: *b\nmetadata:\n  name: web\n", "f:2: apps/v1 Deployment/web"},
		"broken YAML below does not hide": {web + "spec:\n  a: [\n ---\n", "f:1: apps/v1 Deployment/shop/web"},
		"broken YAML":                     {"x: [\napiVersion: *nothing\nkind: Deployment\n", "skipped f:1: is no YAML: unknown anchor 'nothing' referenced"},
		"an apiVersion twice":             {"apiVersion: v1\nkind: Pod\napiVersion: apps/v1\n", "f:1: v1 Pod/(no name)\nskipped f:1: has apiVersion twice: which one counts is not certain"},
		"no kind":                         {"apiVersion: apps/v1\nmetadata:\n  name: x\n", `skipped f:1: has the apiVersion "apps/v1" and no kind`},
		"what is not Kubernetes'":         {"apiVersion: 1\nproviders: []\n", ""},
		"binary":                          {"\x00\x01apiVersion", "skipped f: is binary"},
		"JSON":                            {"{\n \"kind\": \"Pod\",\n \"apiVersion\": \"v1\",\n \"metadata\": {\"name\": \"p\"}\n}", "f:3: v1 Pod/p"},
		"a list in JSON": {
			`{"apiVersion":"v1","items":[
			{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}},
			{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"b","namespace":"shop"}}],"kind":"List"}`,
			"f:2: v1 Pod/a\nf:3: apps/v1 Deployment/shop/b",
		},
		"objects in JSON, one after the other": {"{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}\n{\"apiVersion\":\"v1\",\"kind\":\"Service\"}\n[{\"apiVersion\":\"v1\",\"kind\":\"Secret\"}]", "f:1: v1 Pod/(no name)\nf:2: v1 Service/(no name)\nf:3: v1 Secret/(no name)"},
		"JSON that is cut off":                 {"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{\"apiVersion\":\"v1\",\"kind\":\"Pod\"},\n{\"apiVer", "f:2: v1 Pod/(no name)\nskipped f:3: the rest is no JSON: unexpected EOF"},
		"JSON with a number for a kind":        {`{"apiVersion":"v1","kind":7}`, "skipped f:1: kind is a number, and belongs to no object of Kubernetes\nskipped f:1: has the apiVersion \"v1\" and no kind"},
		"neither":                              {`{"name": "package"`, ""},

		"a template": {
			"{{- if .Values.on }}\napiVersion: extensions/v1beta1\nkind: Ingress\nmetadata:\n  name: {{ include \"x.name\" . }}\n  {{- with .Values.labels }}\n  labels: {{ toYaml . }}\n  {{- end }}\n{{- end }}\n",
			`f:2: extensions/v1beta1 Ingress/{{ include "x.name" . }} (template)`,
		},
		"branches": {
			"{{- if semverCompare \">=1.19-0\" .Capabilities.KubeVersion.GitVersion -}}\napiVersion: networking.k8s.io/v1\n{{- else -}}\napiVersion: extensions/v1beta1\n{{- end }}\nkind: Ingress\nmetadata:\n  name: web\n",
			"f:2: networking.k8s.io/v1 Ingress/web (template)\nf:4: extensions/v1beta1 Ingress/web (template)",
		},
		"branches in a line": {
			"apiVersion: {{ if .Values.old }}extensions/v1beta1{{ else }}apps/v1{{ end }}\nkind: Deployment\n",
			"f:1: extensions/v1beta1 Deployment/(no name) (template)\nf:1: apps/v1 Deployment/(no name) (template)",
		},
		"branches of both": {
			"{{ if .a }}\napiVersion: apps/v1\nkind: DaemonSet\n{{ else }}\napiVersion: extensions/v1beta1\nkind: Deployment\n{{ end }}\n",
			"f:2: apps/v1 DaemonSet/(no name) (template)\nf:5: extensions/v1beta1 Deployment/(no name) (template)",
		},
		"branches that do not differ":     {"{{ if .a }}\napiVersion: v1\n{{ else }}\napiVersion: v1\n{{ end }}\nkind: Pod\n", "f:2: v1 Pod/(no name) (template)"},
		"a key that a template decides":   {"apiVersion: v1\nkind: ConfigMap\n{{ .Values.x }}:\n  {{ .Values.y }}: |\n    {{- .z }}\n", "f:1: v1 ConfigMap/(no name)"},
		"a default":                       {"apiVersion: {{ .Values.api | default \"apps/v1beta1\" }}\nkind: Deployment\n", "f:1: apps/v1beta1 Deployment/(no name) (template)"},
		"a kind that a template decides":  {"apiVersion: apps/v1\nkind: {{ ternary \"DaemonSet\" \"Deployment\" .Values.ds }}\n", "f:1: apps/v1 DaemonSet/(no name) (template)\nf:1: apps/v1 Deployment/(no name) (template)"},
		"values decide all":               {"apiVersion: {{ .Values.api }}\nkind: Deployment\n", `skipped f:1: a template decides the apiVersion, and no possible value is written out: "{{ .Values.api }}"; render it, and check what comes of it`},
		"a variable decides":              {"apiVersion: ${API}\nkind: Deployment\n", `skipped f:1: a variable decides the apiVersion: "${API}"; render it, and check what comes of it`},
		"a comment of a template is none": {"{{/*\napiVersion: extensions/v1beta1\nkind: Ingress\n}}\n*/}}\n" + web, "f:6: apps/v1 Deployment/shop/web"},
		"a template in flow style":        {"{apiVersion: apps/v1, kind: Deployment {{- if .x }}, metadata: {{ .y }} {{ end }} }\n", "skipped f:1: is a template of a shape of which not all can be read; render it, and check what comes of it"},
		"an action that is never closed":  {web + "x: {{ .a\n---\n" + web, "f:1: apps/v1 Deployment/shop/web\nf:8: apps/v1 Deployment/shop/web"},
		"braces that are no template":     {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {text: 'a {{ b }}\n  c\n'}\n", "f:1: v1 ConfigMap/x"},
		"a loop": {
			"{{- range .Values.all }}\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .name }}\n{{- end }}\n---\napiVersion: v1\nkind: Pod\n", "f:3: v1 Service/{{ .name }} (template)\nf:9: v1 Pod/(no name)",
		},
		"the question is no answer": {
			"apiVersion: {{ if .Capabilities.APIVersions.Has \"policy/v1beta1\" }}policy/v1{{ else }}policy/v1{{ end }}\nkind: PodDisruptionBudget\n", "f:1: policy/v1 PodDisruptionBudget/(no name) (template)",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			objects, skipped, err := manifest.ReadStream(t.Context(), strings.NewReader(test.text), "f")
			if err != nil {
				t.Fatal(err)
			}
			if got := tell("/no/folder", objects, skipped); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func utf16LE(s string) string {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

func TestCharts(t *testing.T) {
	packed := pack(t, map[string]string{
		"old/Chart.yaml":            "apiVersion: v2\nname: old\n",
		"old/templates/sa.yaml":     "apiVersion: v1\nkind: ServiceAccount\n",
		"old/charts/inner-1.tgz":    pack(t, map[string]string{"inner/templates/job.yaml": "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: j}\n"}),
		"old/templates/NOTES.txt":   "apiVersion: v1",
		"old/templates/picture.png": "\x00apiVersion",
	})
	dir := write(t, map[string]string{
		"chart/Chart.yaml":             "apiVersion: v2\nname: chart\n",
		"chart/values.yaml":            "kind: Deployment\nimage: x\n",
		"chart/templates/_helpers.tpl": "{{- define \"chart.ingress.api\" -}}\n{{- if .Capabilities.APIVersions.Has \"networking.k8s.io/v1/Ingress\" -}}\n{{- print \"networking.k8s.io/v1\" -}}\n{{- else -}}\n{{- include \"chart.old\" . -}}\n{{- end -}}\n{{- end -}}\n{{ define \"chart.old\" }}extensions/v1beta1{{ end }}\n",
		"chart/templates/ingress.yaml": "apiVersion: {{ include \"chart.ingress.api\" . }}\nkind: Ingress\nmetadata:\n  name: web\n",
		"chart/templates/lost.yaml":    "apiVersion: {{ include \"elsewhere\" . }}\nkind: Ingress\n",
		"other/templates/_helpers.tpl": "{{ define \"chart.ingress.api\" }}apps/v9{{ end }}",
		// A library's manifests are in named templates.
		"lib/templates/_all.tpl": "{{ define \"lib.a\" }}\napiVersion: apps/v1\nkind: Deployment\n{{ end }}\n{{ define \"lib.b\" }}\napiVersion: policy/v1beta1\nkind: PodDisruptionBudget\n{{ end }}\n",
		"packed/old-1.0.tgz":     packed,
		"packed/broken.tgz":      "no archive",
	})
	want := `chart/templates/ingress.yaml:1: networking.k8s.io/v1 Ingress/web (template)
chart/templates/ingress.yaml:1: extensions/v1beta1 Ingress/web (template)
lib/templates/_all.tpl:2: apps/v1 Deployment/(no name)
lib/templates/_all.tpl:6: policy/v1beta1 PodDisruptionBudget/(no name)
packed/old-1.0.tgz:old/charts/inner-1.tgz:inner/templates/job.yaml:1: batch/v1beta1 CronJob/j
packed/old-1.0.tgz:old/templates/sa.yaml:1: v1 ServiceAccount/(no name)
skipped chart/templates/lost.yaml:1: a template decides the apiVersion, and no possible value is written out: "{{ include "elsewhere" . }}"; render it, and check what comes of it
skipped packed/broken.tgz: is no packed chart: gzip: invalid header`
	if got := read(t, dir); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// pack makes a packed chart.
func pack(t *testing.T, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestFolders(t *testing.T) {
	dir := write(t, map[string]string{
		"a/web.yaml":           web,
		"a/readme.md":          web,
		"a/main.jsonnet":       "{ apiVersion: 'apps/v1' }",
		"a/deep/er/x.yml.tmpl": web,
		".git/config.yaml":     web,
		"vendor/v.yaml":        web,
		"node_modules/n.json":  web,
	})
	links := map[string]string{
		"a/loop":         "..",
		"z-again.yaml":   "a/web.yaml",
		"z-nowhere.yaml": "missing",
		"b":              "a/deep",
	}
	for name, to := range links {
		if err := os.Symlink(filepath.Join(dir, to), filepath.Join(dir, name)); err != nil {
			t.Skip("needs a file system with links: " + err.Error())
		}
	}
	want := `a/deep/er/x.yml.tmpl:1: apps/v1 Deployment/shop/web
a/web.yaml:1: apps/v1 Deployment/shop/web
skipped a/main.jsonnet: is a program in Jsonnet; render it, and check what comes of it
skipped node_modules: was not looked into: others wrote it; check it by its own path if it is applied
skipped vendor: was not looked into: others wrote it; check it by its own path if it is applied
skipped z-nowhere.yaml: is a link that leads nowhere: no such file or directory`
	if got := read(t, dir); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTooMuch(t *testing.T) {
	dir := t.TempDir()
	large, err := os.Create(filepath.Join(dir, "large.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(large.Truncate(100<<20), large.Close()); err != nil {
		t.Fatal(err)
	}
	bomb := write(t, map[string]string{"bomb.tgz": pack(t, map[string]string{"c/a.yaml": web, "c/b.yaml": strings.Repeat(" ", 65<<20), "c/c.yaml": web})})
	if got, want := read(t, dir), "skipped large.yaml: is of 100 MiB, and files of more than 64 are not read; divide it, or check a cluster's dump as a snapshot"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := read(t, bomb), "bomb.tgz:c/a.yaml:1: apps/v1 Deployment/shop/web\nskipped bomb.tgz: unpacks to more than 64 MiB: the rest of it was not read"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// Nine levels of ten aliases each would be a billion objects.
	var aliases strings.Builder
	aliases.WriteString("a0: &a0 {apiVersion: v1, kind: Pod}\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&aliases, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	aliases.WriteString("apiVersion: v1\nkind: List\nitems: *a8\n")
	objects, skipped, err := manifest.ReadStream(t.Context(), strings.NewReader(aliases.String()), "f")
	if err != nil || len(objects) == 0 || len(skipped) != 1 || !strings.Contains(skipped[0].Why, "aliases") {
		t.Errorf("got %d objects, %v, %v", len(objects), skipped, err)
	}
}

func TestReadEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := manifest.Read(ctx, write(t, map[string]string{"a.yaml": web})); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled read ended with %v", err)
	}
	if _, _, err := manifest.Read(t.Context(), "/no/such/folder"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestOneFileWhateverItsName(t *testing.T) {
	dir := write(t, map[string]string{"rendered.out": web})
	if got, want := read(t, filepath.Join(dir, "rendered.out")), "apps/v1 Deployment/shop/web"; !strings.Contains(got, want) {
		t.Errorf("got %s", got)
	}
}

// Whatever the text, reading ends, and every object has a version, a kind and a
// line of the text.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		web, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}]}", "apiVersion: {{ if .a }}apps/v1{{ else }}v1{{ end }}\nkind: Pod\n", "- apiVersion: *x\n  kind: &y Pod\n",
		"{{ define \"a\" }}{{ include \"a\" . }}{{ end }}\napiVersion: {{ include \"a\" . }}\nkind: X", "kind: List\napiVersion: v1\nitems:\n-\n  -  apiVersion: v1\n", "--- !!map {apiVersion: v1, kind: Pod, <<: *a}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		objects, _, err := manifest.ReadStream(t.Context(), bytes.NewReader(text), "f")
		if err != nil {
			t.Fatal(err)
		}
		lines := max(bytes.Count(text, []byte("\n")), bytes.Count(text, []byte("\n\x00")), bytes.Count(text, []byte("\x00\n"))) + 1
		for _, o := range objects {
			var line int
			if _, err := fmt.Sscanf(o.Where, "f:%d", &line); err != nil || line < 1 || line > lines || o.APIVersion == "" || o.Kind == "" || o.Name == "" {
				t.Errorf("%+v of a text of %d lines", o, lines)
			}
		}
	})
}

// What is made to be slow is read in time that grows with its length.
func TestHostileTextIsReadQuickly(t *testing.T) {
	const n = 100_000
	var defines, includes strings.Builder
	for i := range n / 100 {
		fmt.Fprintf(&defines, "{{ define \"d%d\" }}%s{{ end }}\n", i, strings.Repeat(fmt.Sprintf("{{ include \"d%d\" . }}", (i+1)%(n/100)), 10))
	}
	includes.WriteString(defines.String() + "apiVersion: {{ include \"d0\" . }}\nkind: Pod\n")
	for name, text := range map[string]string{
		"openings":          "apiVersion: v1\nkind: Pod\n" + strings.Repeat("{{", n),
		"openings in lines": "apiVersion: v1\nkind: Pod\n" + strings.Repeat("{{\n", n),
		"comments":          "apiVersion: v1\nkind: Pod\n" + strings.Repeat("{{/*", n) + "}}",
		"includes":          includes.String(),
		"defines":           "apiVersion: v1\n" + strings.Repeat("{{ define \"x\" }}", n/10),
		"documents":         strings.Repeat("---\napiVersion: v1\nkind: Pod\n", n/10),
		"items":             "apiVersion: v1\nkind: List\nitems:\n" + strings.Repeat("- apiVersion: v1\n  kind: Pod\n", n/10),
		"lists in lists":    strings.Repeat("{\"kind\":\"List\",\"items\":[", 10_000),
		"deep lists":        deepLists(2_000),
		"comments in flow":  "{apiVersion: v1, kind: Pod,\n" + strings.Repeat("# x\n", n/2) + "}",
		"comments behind":   "{apiVersion: v1, kind: Pod,\nx: [" + strings.Repeat("1, # x\n", n/2) + "]}",
		"keys in flow":      "{apiVersion: v1, kind: Pod, " + strings.Repeat("a: b, ", n/2) + "}",
		"anchors":           "<<: {}\napiVersion: v1\nkind: Pod\nx:\n" + strings.Repeat("- &a b\n- *a\n", n/8),
		"merges":            "apiVersion: &v v1\nkind: Pod\nm: &m {<<: *v}\n<<: [" + strings.Repeat("*m, ", n/8) + "]\n",
		"deep flow":         "apiVersion: v1\nkind: Pod\nmetadata: " + strings.Repeat("[", 5_000),
	} {
		began := time.Now()
		if _, _, err := manifest.ReadStream(t.Context(), strings.NewReader(text), "f"); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: %d bytes took %s", name, len(text), took)
		}
	}
}

// deepLists is a list in a list in a list.
func deepLists(n int) string {
	var out strings.Builder
	for i := range n {
		indent := strings.Repeat(" ", i)
		out.WriteString(indent + "apiVersion: v1\n" + indent + "kind: List\n" + indent + "items:\n" + indent + "-\n")
	}
	return out.String()
}
