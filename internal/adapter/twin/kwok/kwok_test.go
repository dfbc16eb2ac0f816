package kwok_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"liftlock.dev/liftlock/internal/adapter/twin/kwok"
)

// TestConfiguration: whatever is filled in, each document is YAML, and what was
// filled in arrives whole.
func TestConfiguration(t *testing.T) {
	const start = `.metadata.annotations["x/start"] // ({"Deployment/shop/web":"1ms-2ms"}[.metadata.name] // "5ms-5ms")`
	for _, s := range []kwok.Stages{
		{Prefix: "x/", Start: start, RunsFor: `"30s"`, Termination: `"1s-2s"`, Prepared: ".metadata.name == \"a\"\n          or true", SameName: kwok.OfStatefulSets},
		{Prefix: "x/", Start: start, RunsFor: `"30s"`, Termination: `"1s-2s"`, JobsOnly: true, SameName: kwok.OfStatefulSets},
	} {
		text, err := s.Configuration()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("[[")) {
			t.Error("something was not filled in")
		}
		expressions := map[string]string{}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var stage struct {
				Metadata struct{ Name string }
				Spec     struct {
					Selector struct{ MatchExpressions []any }
					Delay    struct {
						DurationFrom struct{ Jq struct{ Expression string } }
					}
				}
			}
			if err := yaml.Unmarshal(document, &stage); err != nil {
				t.Fatalf("%v in:\n%s", err, document)
			}
			expressions[stage.Metadata.Name] = stage.Spec.Delay.DurationFrom.Jq.Expression
			want := map[string]int{"pod-start": 4, "pod-complete": 3}[stage.Metadata.Name]
			if s.Prepared != "" && stage.Metadata.Name == "pod-start" || s.JobsOnly && stage.Metadata.Name == "pod-complete" {
				want++
			}
			if n := len(stage.Spec.Selector.MatchExpressions); want > 0 && n != want {
				t.Errorf("stage %s has %d conditions, want %d", stage.Metadata.Name, n, want)
			}
		}
		if got, want := expressions["pod-start"], "("+start+`) | split("-") | .[0]`; got != want {
			t.Errorf("start is %s, want %s", got, want)
		}
	}
}

// TestStartFromHere: the folder of the binaries may be named from where Liftlock
// runs, although KWOK runs in the state folder.
func TestStartFromHere(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("bin", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("bin", "kwok"), []byte("#!/bin/sh\npwd\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	stages := kwok.Stages{Prefix: "x/", Start: `"1s-2s"`, RunsFor: `"30s"`, Termination: `"1s-2s"`}
	p, err := kwok.Start(t.Context(), kwok.Options{BinDir: "bin", StateDir: state, Stages: stages})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if log, err := os.ReadFile(filepath.Join(state, "kwok.log")); err != nil || !bytes.Contains(log, []byte(state)) {
		t.Errorf("it did not run in the state folder: %q (%v)", log, err)
	}
}
