package config_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/config"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

const minimal = `apiVersion: liftlock.dev/v1alpha1
kind: Fleet
metadata: {name: contoso}
spec:
  sources:
    - subscription: 11111111-1111-1111-1111-111111111111
  rings:
    - name: all
      select: {names: ["*"]}
`

func TestRead(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "fleet.yaml")
	text := minimal + "  azure: {cloud: {caFile: certs/ca.pem}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder)
	spec, data, err := config.Read("fleet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != text {
		t.Errorf("bytes differ: %q", data)
	}
	if sum := sha256.Sum256([]byte(text)); spec.Digest != hex.EncodeToString(sum[:]) {
		t.Errorf("digest %s", spec.Digest)
	}
	if !filepath.IsAbs(spec.Cloud.CAFile) || !strings.HasSuffix(spec.Cloud.CAFile, filepath.Join("certs", "ca.pem")) {
		t.Errorf("caFile %s is not in the file's folder", spec.Cloud.CAFile)
	}
}

// What a file that says nothing about nodes gets is what a plan without a file gets.
func TestUsualNodePolicy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fleet.yaml")
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	spec, _, err := config.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(spec.Nodes, fleet.UsualNodePolicy()); diff != "" {
		t.Errorf("(-file +usual):\n%s", diff)
	}
}

func TestReadMissing(t *testing.T) {
	_, _, err := config.Read(filepath.Join(t.TempDir(), "fleet.yaml"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, _, err := config.Read(t.TempDir()); err == nil {
		t.Error("a folder is read")
	}
}

// TestParseKept: what has run out since a rollout kept its file does not keep
// the rollout from being taken up again.
func TestParseKept(t *testing.T) {
	text := []byte(minimal + `  accept: [{finding: workload-recreate, object: "*", owner: ann, reason: known, until: "2026-01-01"}]` + "\n")
	if _, err := config.ParseAt("fleet.yaml", text, today); err == nil {
		t.Error("an expired acceptance is taken")
	}
	spec, err := config.Parse("fleet.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); !spec.Accept[0].Until.Equal(want) {
		t.Errorf("until %s", spec.Accept[0].Until)
	}
}

// TestLineEnds: a file means the same with a byte order mark and with the line
// ends of any system.
func TestLineEnds(t *testing.T) {
	want, err := config.Parse("fleet.yaml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	want.Digest = ""
	for name, text := range map[string]string{
		"BOM": "\xEF\xBB\xBF" + minimal, "CRLF": strings.ReplaceAll(minimal, "\n", "\r\n"), "CR": strings.ReplaceAll(minimal, "\n", "\r"),
		"end marker": minimal + "...\n", "start marker": "---\n" + minimal, "empty document after it": minimal + "---\n# nothing\n",
	} {
		got, err := config.Parse("fleet.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got.Digest = ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	bad := strings.ReplaceAll(minimal, "name: all", "nam: all")
	for _, text := range []string{bad, strings.ReplaceAll(bad, "\n", "\r\n"), strings.ReplaceAll(bad, "\n", "\r")} {
		_, err := config.Parse("fleet.yaml", []byte(text))
		if p := problems(t, err).Problems[0]; p.Line != 8 {
			t.Errorf("line %d: %v", p.Line, err)
		}
	}
}

// TestHostile: files that are made to hurt end quickly.
func TestHostile(t *testing.T) {
	var keys, rings strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&keys, "k%d: 1\n", i)
	}
	for range 1000 {
		rings.WriteString("    - name: Wrong Name\n      select: {}\n")
	}
	for name, text := range map[string]string{
		"large":           strings.Repeat("#", 1<<20+1),
		"many keys":       keys.String(),
		"many problems":   strings.SplitAfter(minimal, "rings:\n")[0] + rings.String(),
		"nested in flow":  strings.Repeat("[", 100_000),
		"nested in block": strings.Repeat("- ", 100_000),
		"nested keys":     strings.Repeat("? ", 100_000),
		"nested anchors":  strings.Repeat("&a ", 100_000),
		"nested tags":     "a: " + strings.Repeat("!!map ", 100_000),
		"alias of itself": "a: &a [*a, *a]\n",
		"alias squared":   "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]\n",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := config.Parse("fleet.yaml", []byte(text))
			_ = problems(t, err)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// TestSecretsStaySecret: no message quotes what may be a secret, whatever is
// wrong around it.
func TestSecretsStaySecret(t *testing.T) {
	const secret = "hunter2-Aq8Q~0123456789abcdefghijklmnopqrst"
	for _, text := range []string{
		minimal + "  password: " + secret + "\n",
		minimal + "  azure: {identity: {clientSecret: " + secret + "}}\n",
		minimal + "  azure: {identity: {secretFile: " + secret + "}}\n",
		minimal + "  timeZone: " + secret + "\n",
		minimal + "  password: \"" + secret + "\n", // never closed: the parser quotes lines
		minimal + "  password: " + secret + ": x\n",
		minimal + "  azure: {cloud: {resourceManager: \"https://me:" + secret + "@management.example\"}}\n",
		minimal + "  target: {version: " + secret + "}\n",
		minimal + "  nodes: {soak: " + secret + "}\n",
		"password: " + secret + "\n",
		minimal + "  " + secret + ": x\n",
		secret,
	} {
		_, err := config.Parse("fleet.yaml", []byte(text))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s\nyields: %v", text, err)
		}
	}
}

// TestOverridesAddUp: overrides that select a pool together change different
// fields of its policy, and the last wins where they change the same.
func TestOverridesAddUp(t *testing.T) {
	spec, err := config.Parse("fleet.yaml", []byte(minimal+`  overrides:
    - {ring: all, nodes: {soak: 4h, pace: {canaryNodes: 0}}}
    - {pool: system, nodes: {strategy: buffer}}
    - {cluster: edge, nodes: {soak: 0s}}
`))
	if err != nil {
		t.Fatal(err)
	}
	match := func(pattern, name string) bool { return pattern == name }
	p := spec.NodePolicyFor("all", "prod", "system", match)
	if p.Strategy != fleet.Buffer || p.Soak != 4*time.Hour || p.Pace.CanaryNodes != 0 || p.Pace.HealthPasses != 2 {
		t.Errorf("prod/system: %+v", p)
	}
	if p := spec.NodePolicyFor("all", "edge", "apps", match); p.Strategy != fleet.BlueGreen || p.Soak != 0 {
		t.Errorf("edge/apps: %+v", p)
	}
}

// TestErrorText is the form that people and editors see.
func TestErrorText(t *testing.T) {
	_, err := config.Parse("dir/fleet.yaml", bytes.ReplaceAll([]byte(minimal), []byte("name: all"), []byte("name: All")))
	want := "dir/fleet.yaml:8: spec.rings[0].name: is not a name (got \"All\")\n" +
		"\twrite all: use lower-case letters, digits and dashes, at most 63, with a letter or digit at both ends"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
