package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/rollout"
)

// contosoPlan is the plan that the fleetplan package holds.
const contosoPlan = "../domain/fleetplan/testdata/contoso.json"

// planning is a host that has the plan of one fleet, and an engine that refuses.
type planning struct {
	offline
	t    *testing.T
	kept *rollout.KeptPlan
	read string // the Fleet file that was read last
	evil string // is added to the name of the first cluster
}

func (p *planning) ReadFleet(_ context.Context, path string) (rollout.FleetFile, error) {
	p.read = path
	if strings.HasPrefix(path, "missing") {
		return rollout.FleetFile{}, errors.New(path + ": no such file")
	}
	spec := fleet.Spec{Name: "contoso"}
	for _, name := range []string{"sandbox", "dev", "test", "prod"} {
		spec.Rings = append(spec.Rings, fleet.Ring{Name: name})
	}
	return rollout.FleetFile{Digest: "d", Spec: spec}, nil
}

func (p *planning) PlanFleet(context.Context, rollout.FleetFile, string, string, *slog.Logger) (fleetplan.Plan, error) {
	text, err := os.ReadFile(contosoPlan)
	if err != nil {
		p.t.Fatal(err)
	}
	made, err := fleetplan.Read(text, contosoPlan)
	made.Rings[0].Clusters[0].Name += p.evil
	return made, err
}

func (p *planning) StartEngine(context.Context, cli.EngineOptions) (cli.Engine, error) {
	return &refusing{host: p}, nil
}

// refusing is an engine on which nothing can begin.
type refusing struct {
	cli.Engine
	host *planning
}

func (e *refusing) Begin(_ context.Context, _ rollout.FleetFile, kept *rollout.KeptPlan, _ string) (rollout.RolloutRecord, *rollout.Outlook, bool, error) {
	e.host.kept = kept
	return rollout.RolloutRecord{}, nil, false, &rollout.RefusedError{What: "the world moved"}
}

func (e *refusing) Close(context.Context) error { return nil }

// onHost runs a command line on a host.
func onHost(t *testing.T, host cli.Host, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = cli.Run(t.Context(), cli.Streams{
		In: strings.NewReader(""), Out: &out, Err: &err, Args: args,
		Getenv: func(string) string { return "" }, Home: t.TempDir(), Dir: ".", Actor: "ann",
	}, host)
	return out.String(), err.String(), code
}

func TestPlanFleetGolden(t *testing.T) {
	got, stderr, code := onHost(t, &planning{t: t}, "plan", "--fleet", "fleet.yaml")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	const golden = "testdata/plan/fleet.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got), run with -update if it is meant:\n%s", diff)
	}
}

func TestPlanFleetFormats(t *testing.T) {
	host := &planning{t: t}
	for format, want := range map[string]string{"json": `"kind": "Plan"`, "yaml": "kind: Plan", "markdown": "# Plan for fleet contoso", "html": "<title>Plan for contoso</title>"} {
		if got, stderr, code := onHost(t, host, "plan", "--fleet", "fleet.yaml", "-o", format); code != 0 || !strings.Contains(got, want) {
			t.Errorf("%s: exit code %d, %s%.200s", format, code, stderr, got)
		}
	}
	host.evil = "\x1b[31m\u202e"
	if got, _, _ := onHost(t, host, "plan", "--fleet", "fleet.yaml"); strings.ContainsAny(got, host.evil[:1]+"\u202e") || !strings.Contains(got, "sandbox-1[31m") {
		t.Errorf("a name steers the terminal: %.400q", got)
	}
	host.evil = ""
	got, _, _ := onHost(t, host, "plan", "--fleet", "fleet.yaml", "--ring", "prod", "--cluster", "*-west", "-o", "json")
	var p fleetplan.Plan
	if err := json.Unmarshal([]byte(got), &p); err != nil || len(p.Rings) != 1 || len(p.Rings[0].Clusters) != 1 || p.Rings[0].Clusters[0].Name != "prod-west" {
		t.Errorf("a part: %v %+v", err, p.Rings)
	}
}

// TestPlanFleetIsKept keeps a plan whole, also when a part is shown, and hands it
// to the engine.
func TestPlanFleetIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.json")
	host := &planning{t: t}
	_, stderr, code := onHost(t, host, "plan", "--fleet", "fleet.yaml", "--ring", "prod", "--save", path)
	if code != 0 || !strings.Contains(stderr, "liftlock run --plan "+path) {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	kept, err := os.ReadFile(path)
	want, err2 := os.ReadFile(contosoPlan)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(kept)); diff != "" {
		t.Errorf("what was kept is not the plan: %s", diff)
	}
	_, stderr, code = onHost(t, host, "run", "--plan", path)
	if code != cli.ExitRefused || !strings.Contains(stderr, "the world moved") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if host.kept == nil || len(host.kept.Digest) != 64 || host.kept.Plan.Fleet != "contoso" || host.read != "fleet.yaml" {
		t.Errorf("carried out: %+v of %s", host.kept, host.read)
	}
	if _, _, code = onHost(t, host, "run", "other.yaml", "--plan", path); code != cli.ExitRefused || host.read != "other.yaml" {
		t.Errorf("exit code %d of %s", code, host.read)
	}
	left, err := filepath.Glob(filepath.Dir(path) + "/*")
	if err != nil || len(left) != 1 {
		t.Errorf("files left: %v %v", left, err)
	}
}

func TestPlanFleetBadInput(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{"kind": "Fleet"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		want []string
	}{
		"nothing":             {[]string{"plan"}, []string{"--fleet FILE is missing", "--snapshot FILE is missing", "--pool NAME is missing"}},
		"offline flags":       {[]string{"plan", "--fleet", "f.yaml", "--pool", "apps", "--full-pace"}, []string{"--pool goes with --snapshot", "--full-pace goes with --snapshot"}},
		"no such ring":        {[]string{"plan", "--fleet", "f.yaml", "--ring", "lab"}, []string{`--ring "lab" is not in f.yaml; its rings are sandbox, dev, test, prod`}},
		"no such cluster":     {[]string{"plan", "--fleet", "f.yaml", "--cluster", "x*"}, []string{`--cluster "x*" fits no cluster`, "prod-west"}},
		"nowhere to keep it":  {[]string{"plan", "--fleet", "f.yaml", "--save", "/nowhere/plan.json"}, []string{"--save /nowhere/plan.json"}},
		"keep a pool's":       {[]string{"plan", "--snapshot", clusterFile, "--pool", "apps", "--save", "x"}, []string{"--save goes with --fleet alone"}},
		"a pool in Markdown":  {[]string{"plan", "--snapshot", clusterFile, "--pool", "apps", "-o", "markdown"}, []string{"--output markdown is a format of a fleet's plan alone"}},
		"no such format":      {[]string{"plan", "--fleet", "f.yaml", "-o", "pdf"}, []string{`--output "pdf" is not a format; choose table, json, yaml, markdown or html`}},
		"a format of plan":    {[]string{"version", "-o", "html"}, []string{`--output "html" is not a format; choose table, json or yaml`}},
		"no Fleet file":       {[]string{"plan", "--fleet", "missing.yaml"}, []string{"missing.yaml: no such file"}},
		"run nothing":         {[]string{"run"}, []string{"FLEET_FILE is missing"}},
		"no plan":             {[]string{"run", "--plan", "/nowhere/plan.json"}, []string{"--plan: open /nowhere/plan.json"}},
		"no plan in it":       {[]string{"run", "--plan", bad}, []string{`a plan is of kind Plan (got "Fleet")`, "target.resolved: the plan says no version to go to"}},
		"look, and carry out": {[]string{"run", "--plan", contosoPlan, "--dry-run"}, []string{"--dry-run and --plan exclude each other"}},
		"two files":           {[]string{"run", "a", "b"}, []string{"accepts at most 1 arg"}},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := onHost(t, &planning{t: t}, tc.args...)
			if code != cli.ExitBadInput || stdout != "" {
				t.Errorf("exit code %d, %.100s", code, stdout)
			}
			for _, want := range tc.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("no %q in %s", want, stderr)
				}
			}
		})
	}
}
