package report

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// contoso is the plan that the fleetplan package holds.
func contoso(t *testing.T) *fleetplan.Plan {
	t.Helper()
	const path = "../domain/fleetplan/testdata/contoso.json"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := fleetplan.Read(text, path)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

var planFormats = map[string]func(io.Writer, *fleetplan.Plan) error{"md": PlanMarkdown, "html": PlanHTML}

func TestPlanGolden(t *testing.T) {
	for extension, format := range planFormats {
		t.Run(extension, func(t *testing.T) {
			var b bytes.Buffer
			if err := format(&b, contoso(t)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "plan."+extension)
			if *rewrite {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if *pages != "" {
				if err := os.WriteFile(filepath.Join(*pages, "plan."+extension), b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v (write it with -update)", err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s differs (-want +got), write it anew with -update:\n%s", path, diff)
			}
		})
	}
}

// TestPlanHostileTexts holds both formats to text staying text.
func TestPlanHostileTexts(t *testing.T) {
	evil := "<script>alert(1)</script>|x|\n# h\u202e\x1b[31m[a](javascript:b) `c`"
	p := contoso(t)
	p.Fleet, p.File.Path, p.Unassigned, p.Obstacles = evil, evil, []string{evil}, []string{evil}
	for i := range p.Rings {
		r := &p.Rings[i]
		r.Name, r.Source, r.Obstacles = evil, evil, []string{evil}
		r.Before = []fleetplan.Approval{{Name: evil, Role: evil}}
		r.Calendar.Freezes = []fleetplan.Freeze{{Name: evil, From: p.CreatedAt, Until: p.CreatedAt.Add(time.Hour)}}
		for k := range r.Clusters {
			c := &r.Clusters[k]
			c.Name, c.Unread, c.Blocked, c.Needs = evil, evil, evil, []string{evil}
			c.Findings = []fleet.Finding{{ID: evil, Object: evil, What: evil, Why: evil, Remedy: evil, AcceptedBy: evil}}
			for n := range c.Legs {
				if pool := c.Legs[n].Pool; pool != nil {
					pool.Name, pool.Steps = evil, []fleetplan.Step{{Kind: plan.StepSoak, Target: evil, Reason: evil}}
				}
			}
		}
	}
	for extension, format := range planFormats {
		var b bytes.Buffer
		if err := format(&b, p); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for _, bad := range []string{"<script>", "\x1b", "\u202e"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %q in it", extension, bad)
			}
		}
		if extension == "md" && (strings.Contains(text, "[a](") || strings.Contains(text, "|x|") || strings.Contains(text, "\n# h")) {
			t.Error("a link, a cell or a heading got into the Markdown")
		}
		for _, c := range text {
			if unicode.IsControl(c) && c != '\n' && c != '\t' {
				t.Fatalf("%s has the control character %q", extension, c)
			}
		}
	}
}

// TestPlanEmpty holds that a plan without anything is written all the same.
func TestPlanEmpty(t *testing.T) {
	for extension, format := range planFormats {
		var b bytes.Buffer
		if err := format(&b, &fleetplan.Plan{}); err != nil {
			t.Errorf("%s: %v", extension, err)
		}
		if extension == "html" && !strings.Contains(b.String(), "No ring.") {
			t.Error("an empty plan does not say so")
		}
	}
}

// TestPlanTone holds how plans are shown as a whole.
func TestPlanTone(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(p *fleetplan.Plan)
		want   string
	}{
		"as it is":        {func(*fleetplan.Plan) {}, "warn"}, // an acceptance is missing
		"nothing missing": {func(p *fleetplan.Plan) { p.Rings = p.Rings[:2] }, "good"},
		"never ends":      {func(p *fleetplan.Plan) { p.Ends = time.Time{} }, "bad"},
		"obstacle":        {func(p *fleetplan.Plan) { p.Rings[0].Obstacles = []string{"x"} }, "bad"},
		"runs over":       {func(p *fleetplan.Plan) { p.Rings = p.Rings[:2]; p.Rings[0].Calendar.Fit.Verdict = fleetplan.RunsOver }, "warn"},
		"never fits":      {func(p *fleetplan.Plan) { p.Rings = p.Rings[:2]; p.Rings[0].Calendar.Fit.Verdict = fleetplan.NeverFits }, "bad"},
	} {
		p := contoso(t)
		tc.change(p)
		if got := planTone(p); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
