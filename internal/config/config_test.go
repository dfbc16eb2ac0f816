package config_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/config"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

var update = flag.Bool("update", false, "write what the tests found into testdata")

// today is when the files of testdata are read.
var today = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// golden holds text to a file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got; run with -update to accept):\n%s", path, diff)
	}
}

// files lists the files of a folder by pattern, and fails where there are none.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files match %s (%v)", pattern, err)
	}
	return paths
}

// problems returns the *config.Error of a failed Parse.
func problems(t *testing.T, err error) *config.Error {
	t.Helper()
	e, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatalf("want a *config.Error, got %T: %v", err, err)
	}
	return e
}

func TestBad(t *testing.T) {
	for _, path := range files(t, "testdata/bad/*.yaml") {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := config.ParseAt(name+".yaml", data, today)
			if err == nil {
				t.Fatalf("accepted: %+v", spec)
			}
			if diff := cmp.Diff(fleet.Spec{}, spec); diff != "" {
				t.Errorf("a bad file yields a Spec:\n%s", diff)
			}
			for _, p := range problems(t, err).Problems {
				if p.Line < 1 || p.Column < 1 || p.What == "" || p.Remedy == "" || p.File != name+".yaml" {
					t.Errorf("problem without place, words or remedy: %+v", p)
				}
			}
			golden(t, filepath.Join("testdata", "bad", name+".want"), err.Error()+"\n")
		})
	}
}

func TestGood(t *testing.T) {
	for _, path := range files(t, "testdata/good/*.yaml") {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := config.ParseAt("/etc/liftlock/"+name+".yaml", data, today)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "good", name+".json"), roundTrip(t, spec)+"\n")
		})
	}
}

func TestExamples(t *testing.T) {
	for _, path := range files(t, "../../examples/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := config.ParseAt(path, data, today)
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, spec)
		})
	}
}

// roundTrip returns a Spec as JSON, and makes sure that nothing is lost in it.
func roundTrip(tb testing.TB, spec fleet.Spec) string {
	tb.Helper()
	text, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	var back fleet.Spec
	if err := json.Unmarshal(text, &back); err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(spec, back); diff != "" {
		tb.Errorf("lost in JSON:\n%s", diff)
	}
	return string(text)
}
