package config_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/config"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/window"
)

// FuzzParse feeds it anything: it yields either problems with places and words,
// or a Spec on which the rest can rely.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		paths, err := os.ReadDir(strings.TrimSuffix(pattern, "/*.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range paths {
			if !strings.HasSuffix(p.Name(), ".yaml") || p.Name() == "alias-bomb.yaml" {
				continue
			}
			data, err := os.ReadFile(strings.TrimSuffix(pattern, "*.yaml") + p.Name())
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := config.ParseAt("fleet.yaml", data, today)
		if err != nil {
			e := problems(t, err)
			if len(e.Problems) == 0 || spec.Name != "" {
				t.Fatalf("%d problems and the Spec %+v", len(e.Problems), spec)
			}
			last := 0
			for _, p := range e.Problems {
				if p.Line < last || p.Line < 1 || p.What == "" || p.Remedy == "" {
					t.Fatalf("problem out of order, or without place, words or remedy: %+v", p)
				}
				last = p.Line
			}
			return
		}
		reliable(t, spec)
		roundTrip(t, spec)
	})
}

// reliable holds a Spec to what the rest of Liftlock takes for granted.
func reliable(t *testing.T, s fleet.Spec) {
	t.Helper()
	if s.Name == "" || len(s.Digest) != 64 || len(s.Sources) == 0 || len(s.Rings) == 0 || s.Cloud.Name == "" || s.Identity.Kind == "" || s.Access.Kind == "" || s.Channels == "" {
		t.Fatalf("something is missing: %+v", s)
	}
	if s.Target.Channel == "" || (s.Target.Channel == fleet.ChannelExact) == s.Target.Version.IsZero() {
		t.Fatalf("target %+v", s.Target)
	}
	names := map[string]bool{}
	for _, r := range s.Rings {
		if r.Name == "" || names[r.Name] {
			t.Fatalf("ring name %q", r.Name)
		}
		names[r.Name] = true
		if r.Concurrency == (fleet.Amount{}) || r.Failures.MinSuccess == (fleet.Amount{}) || r.OnClose == "" || r.Soak < 0 {
			t.Fatalf("ring %+v", r)
		}
		if err := window.Check(r.Windows); err != nil {
			t.Fatal(err)
		}
		freezes := append(append([]fleet.Freeze{}, s.Freezes...), r.Freezes...)
		for _, f := range freezes {
			if !f.From.Before(f.Until) {
				t.Fatalf("freeze %+v", f)
			}
		}
		_, open := window.Open(r.Windows, freezes, today)
		if _, _, opens := window.Next(r.Windows, freezes, today); !open && !opens {
			t.Fatalf("ring %s never opens", r.Name)
		}
		for _, a := range append(append([]fleet.Approval{}, r.Before...), r.After...) {
			if a.Name == "" || a.Role == "" {
				t.Fatalf("approval %+v", a)
			}
		}
	}
	always := func(string, string) bool { return true }
	for _, n := range []fleet.NodePolicy{s.Nodes, s.NodePolicyFor(s.Rings[0].Name, "c", "p", always)} {
		if n.Strategy == "" || n.Pace.HealthPasses < 1 || n.Pace.CanaryNodes < 0 || n.Pace.MaxInMotion == (fleet.Amount{}) ||
			n.Evacuation.MaxSurge == (fleet.Amount{}) || n.Evacuation.Timeout < time.Minute || n.Evacuation.BarePods == "" ||
			n.Evacuation.LocalData == "" || n.Evacuation.JobsAfter == "" || (n.RequireBackup > 0) != (n.BackupFile != "") {
			t.Fatalf("node policy %+v", n)
		}
	}
	for _, o := range s.Overrides {
		if o.Ring+o.Cluster+o.Pool == "" || o.Ring != "" && !names[o.Ring] {
			t.Fatalf("override %+v", o)
		}
	}
	for _, a := range s.Accept {
		if a.Finding == "" || a.Owner == "" || a.Reason == "" || !a.Until.After(today) {
			t.Fatalf("acceptance %+v", a)
		}
	}
}
