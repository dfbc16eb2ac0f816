package main

import (
	"archive/zip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module makes a release of a module out of files.
func module(t *testing.T, path, version string, files map[string]string) release {
	t.Helper()
	r := release{module: path, version: version, component: "Things", zip: filepath.Join(t.TempDir(), "m.zip")}
	out, err := os.Create(r.zip)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(out)
	for name, text := range files {
		w, err := archive.Create(path + "@" + version + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return r
}

// types is a package of versioned types; lives are the bodies of lifecycle methods
// by "Kind.Method".
func types(group string, kinds string, lives map[string]string) map[string]string {
	register := "package v1beta1\nconst GroupName = \"" + group + "\"\nfunc f() { scheme.AddKnownTypes(SchemeGroupVersion"
	for kind := range strings.FieldsSeq(kinds) {
		register += ", &" + kind + "{}, &" + kind + "List{}"
	}
	methods := "package v1beta1\n"
	for name, body := range lives {
		kind, method, _ := strings.Cut(name, ".")
		methods += "func (in *" + kind + ") " + method + "() X { return " + body + " }\n"
	}
	files := map[string]string{
		"group/v1beta1/register.go": register + ") }\n",
		"group/v1beta1/types.go":    "package v1beta1\n\n// +genclient\n// +genclient:nonNamespaced\n\n// Wide is wide.\ntype Wide struct{}\n",
		"group/register.go":         "package group\n",
	}
	if len(lives) > 0 {
		files["group/v1beta1/zz_generated.prerelease-lifecycle.go"] = methods
	}
	return files
}

func TestUpstream(t *testing.T) {
	const path = "k8s.io/api"
	replacement := `schema.GroupVersionKind{Group: "g", Version: "v1", Kind: "MovedList"}`
	rows, err := upstream([]release{
		module(t, path, "v0.20.0", types("g", "Old Moved Vanishes Withdrawn", map[string]string{
			"Moved.APILifecycleRemoved": "1, 25", "Vanishes.APILifecycleRemoved": "1, 30", "Vanishes.APILifecycleIntroduced": "1, 15", "Withdrawn.APILifecycleRemoved": "1, 30",
		})),
		module(t, path, "v0.21.0", types("g", "Old Moved New Wide Withdrawn", map[string]string{
			"Moved.APILifecycleRemoved": "1, 27", "Moved.APILifecycleReplacement": replacement, "Withdrawn.APILifecycleIntroduced": "1, 9",
		})),
		module(t, path, "v0.22.0", types("g", "Old Moved New Wide Withdrawn", nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%s introduced %d removed %d by %q wide %t", r.kind, r.introduced, r.remove, r.replacement.kind, r.clusterScoped))
	}
	want := []string{
		`Moved introduced 0 removed 27 by "Moved" wide false`, // the newest that says anything counts
		`New introduced 21 removed 0 by "" wide false`,        // the first that has it
		`Old introduced 0 removed 0 by "" wide false`,
		`Vanishes introduced 15 removed 21 by "" wide false`, // whatever its methods said
		`Wide introduced 21 removed 0 by "" wide true`,
		`Withdrawn introduced 9 removed 0 by "" wide false`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What upstream's generators may change one day must stop ours, not be passed over.
func TestUpstreamThatHasChanged(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no types":         {"readme.md": ""},
		"no group":         {"group/v1/register.go": "package v1\n"},
		"another major":    types("g", "A", map[string]string{"A.APILifecycleRemoved": "2, 1"}),
		"an unknown fact":  types("g", "A", map[string]string{"A.APILifecycleRevoked": "1, 1"}),
		"no number":        types("g", "A", map[string]string{"A.APILifecycleRemoved": "x, y"}),
		"methods without":  {"group/v1/zz_generated.prerelease-lifecycle.go": "package v1\n"},
		"methods that err": types("g", "A", map[string]string{"A.APILifecycleReplacement": "f()"}),
	} {
		if rows, err := upstream([]release{module(t, "k8s.io/api", "v0.20.0", files)}); err == nil {
			t.Errorf("%s: no error, and rows %+v", name, rows)
		}
	}
}

func TestComponentRows(t *testing.T) {
	crdFolders["Things"] = "crds/"
	t.Cleanup(func() { delete(crdFolders, "Things") })
	version := func(name string, served, storage, deprecated bool) string {
		return fmt.Sprintf("  - {name: %s, served: %t, storage: %t, deprecated: %t}\n", name, served, storage, deprecated)
	}
	crd := func(kind string, versions ...string) string {
		return "---\nkind: CustomResourceDefinition\nspec:\n  group: example.com\n  names: {kind: " + kind + "}\n  versions:\n" + strings.Join(versions, "")
	}
	rows, err := componentRows([]release{
		module(t, "example.com/things", "v1.1.0", map[string]string{
			"crds/a.yaml":    crd("A", version("v1alpha1", true, false, false), version("v1beta1", false, true, false)) + crd("Gone", version("v1", true, true, false)),
			"samples/x.yaml": crd("Sample", version("v1", true, true, true)),
		}),
		module(t, "example.com/things", "v1.2.3", map[string]string{"crds/a.yaml": crd("A", version("v1alpha1", true, false, true), version("v1beta1", false, false, false), version("v1", true, true, false))}),
		module(t, "example.com/things", "v1.4.0", map[string]string{"crds/a.yaml": crd("A", version("v1alpha1", false, false, true), version("v1", true, true, false))}),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range uniteRows(nil, rows) {
		got = append(got, fmt.Sprintf("%s %s deprecated %q served %q removed %q to %q", r.version, r.kind, r.deprecated, r.served, r.removed, r.replacement))
	}
	want := []string{
		`v1 Gone deprecated "" served "1.1.0" removed "1.2.3" to ""`,
		`v1alpha1 A deprecated "1.2.3" served "1.2.3" removed "1.4.0" to "example.com/v1 A"`,
		`v1beta1 A deprecated "" served "" removed "1.1.0" to "example.com/v1 A"`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestVerifyTable(t *testing.T) {
	table, err := goFile("abc", []byte("var x = 1\n"), []release{{module: "m", version: "v1"}}, func(release) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyTable(table, "abc"); err != nil {
		t.Errorf("a table as it was made: %v", err)
	}
	if err := verifyTable(table, "abd"); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("other inputs: %v", err)
	}
	edited := strings.Replace(string(table), "x = 1", "x = 2", 1)
	if err := verifyTable([]byte(edited), "abc"); err == nil || !strings.Contains(err.Error(), "by hand") {
		t.Errorf("edited: %v", err)
	}
	if !strings.Contains(string(table), fmt.Sprintf("%x", sha256.Sum256([]byte("package lifecycle\n\nvar x = 1\n")))) {
		t.Error("the digest is not that of the rows")
	}
}
