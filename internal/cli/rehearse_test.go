package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// playhouse is a host that holds rehearsals of which the end is known.
type playhouse struct {
	cli.Host
	asked   cli.RehearseRequest
	results []rollout.Rehearsal
	err     error
}

// ReadFleet implements cli.Host.
func (*playhouse) ReadFleet(context.Context, string) (rollout.FleetFile, error) {
	return rollout.FleetFile{Spec: fleet.Spec{Name: "shop", Target: fleet.Target{Channel: fleet.ChannelExact, Version: fleet.MustParseVersion("1.35.4")}}}, nil
}

// Rehearse implements cli.Host.
func (p *playhouse) Rehearse(_ context.Context, r cli.RehearseRequest) ([]rollout.Rehearsal, error) {
	p.asked = r
	return p.results, p.err
}

func (p *playhouse) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = cli.Run(t.Context(), cli.Streams{
		In: strings.NewReader(""), Out: &out, Err: &err, Args: append([]string{"rehearse"}, args...),
		Getenv: func(string) string { return "" }, Home: t.TempDir(), Dir: ".", Executable: "/opt/liftlock/bin/liftlock",
	}, p)
	return out.String(), err.String(), code
}

func went() rollout.Rehearsal {
	return rollout.Rehearsal{
		Cluster: "shop", Target: fleet.MustParseVersion("1.35.4"), Speed: 10, Went: true, TookActual: 42, Busy: 0.4,
		Verdict: "went through: every pod moved, no workload fell below what it requires, nothing was refused",
		Pools: []rollout.RehearsedPool{{
			Pool: "apps", Strategy: fleet.BlueGreen, From: fleet.MustParseVersion("1.34.4"), To: fleet.MustParseVersion("1.35.4"), Nodes: 3,
			State: fleet.StateSucceeded, Pods: 7, Moved: 7, MovesPerPod: 1, Seconds: 172, EvacuationSeconds: 104, Forecast: evacuate.Forecast{P50: 160, P90: 190},
			Steps: []rollout.Phase{{Step: "createPool", What: "appsb", Seconds: 65}, {Step: "evacuate", What: "apps", StartSeconds: 66, Seconds: 104}}, Blocked: []fleet.Finding{},
		}},
		Workloads: []rollout.RehearsedWorkload{{Workload: "Deployment/shop/web", Move: "roll", Pods: 3, Made: 3, Required: 3, Baseline: 3, Lowest: 3, StartSeconds: 75, Seconds: 31}},
		Objects:   rollout.Staged{Loaded: map[string]int{"Pod": 11, "apps/Deployment": 1}, LeftOut: map[string]int{"Secret": 2}},
	}
}

func stuck() rollout.Rehearsal {
	r := went()
	r.Went, r.Falls, r.Busy = false, 1, 0.97
	r.Verdict = "1 object is refused by 1.35; pool apps stands still: 6 of 7 pods have left; 1 pod finds no place"
	p := &r.Pools[0]
	p.State, p.Moved, p.Reason = fleet.StateBlocked, 6, "6 of 7 pods have left; 1 cannot be moved"
	p.Blocked = []fleet.Finding{{ID: "pod-no-node", Severity: fleet.Blocker, Object: "Deployment/shop/pinned", What: "pod shop/pinned-1 would find no node", Why: "no node has the labels", Remedy: "add nodes with the labels"}}
	r.Homeless = []rollout.HomelessPod{{Pod: "shop/pinned-1", Why: "0/7 nodes are available"}, {Pod: "shop/waits", Why: "0/7 nodes are available", Before: true}}
	r.Refusals = []rollout.BudgetRefusal{{Object: "Deployment/shop/web", Move: "evict", Times: 3, Message: "The disruption budget web needs 3 healthy pods and has 3 currently"}}
	r.Objects.Refused = []rollout.RefusedObject{{Object: "HorizontalPodAutoscaler/shop/web", APIVersion: "autoscaling/v2beta2", Where: "items[31]", Why: "the server could not find the requested resource", LoadedAs: "autoscaling/v2"}}
	r.Objects.NotTried = []rollout.LeftObject{{Object: "Widget/shop/w", Why: "its definition is not in the snapshot"}}
	r.Objects.NotRehearsed = []rollout.LeftObject{{Object: "Pod/shop/stray", Why: "its ReplicaSet gone is not in the snapshot"}}
	r.Objects.Notes = []string{"volume v of claim shop/data is not in the snapshot"}
	return r
}

// TestRehearsalGoldens holds what people and machines are told.
func TestRehearsalGoldens(t *testing.T) {
	for name, c := range map[string]struct {
		results []rollout.Rehearsal
		args    []string
		code    int
	}{
		"went.txt":   {[]rollout.Rehearsal{went()}, nil, cli.ExitOK},
		"went.json":  {[]rollout.Rehearsal{went()}, []string{"-o", "json"}, cli.ExitOK},
		"stuck.txt":  {[]rollout.Rehearsal{stuck()}, nil, cli.ExitNotThrough},
		"ring.txt":   {[]rollout.Rehearsal{went(), stuck()}, nil, cli.ExitNotThrough},
		"stuck.yaml": {[]rollout.Rehearsal{stuck()}, []string{"-o", "yaml"}, cli.ExitNotThrough},
	} {
		t.Run(name, func(t *testing.T) {
			host := &playhouse{results: c.results}
			got, stderr, code := host.run(t, append([]string{"--snapshot", "c.json", "--target", "1.35"}, c.args...)...)
			if code != c.code || stderr != "" {
				t.Fatalf("exit code %d, want %d: %s", code, c.code, stderr)
			}
			golden := filepath.Join("testdata/rehearse", name)
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
		})
	}
}

// TestRehearseFlags: what is asked for reaches the host.
func TestRehearseFlags(t *testing.T) {
	host := &playhouse{results: []rollout.Rehearsal{went()}}
	out, stderr, code := host.run(t, "--fleet", "fleet.yaml", "--ring", "prod", "--speed", "20", "--strategy", "buffer", "--extra-nodes", "2",
		"--full-pace", "--accept", "pod-bare=Pod/shop/*", "--job-runs", "90s", "-o", "json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		t.Errorf("a ring's result is a list, also of one: %v", err)
	}
	r := host.asked
	if r.Target != "1.35.4" || r.Ring != "prod" || r.Speed != 20 || r.BinDir != "/opt/liftlock/bin/kube" || r.Job != 90*time.Second || r.Fleet == nil {
		t.Errorf("asked for %+v", r)
	}
	if *r.Changes.Strategy != fleet.Buffer || r.Changes.ExtraNodes.Count != 2 || *r.Changes.Pace.CanaryNodes != 0 || r.Changes.Pace.MaxInMotion.Percent != 100 {
		t.Errorf("changes: %+v", r.Changes)
	}
	if diff := cmp.Diff([]fleet.Acceptance{{Finding: "pod-bare", Object: "Pod/shop/*", Owner: "--accept"}}, r.Accepted); diff != "" {
		t.Error(diff)
	}
}

// TestRehearseRefuses: every wrong flag is said at once, and nothing is started.
func TestRehearseRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"nothing given": {nil, []string{"--snapshot FILE is missing", "--target VERSION is missing"}},
		"all wrong": {
			[]string{"--snapshot", "c.json", "--target", "newest", "--strategy", "inPlace", "--extra-nodes", "-1", "--speed", "NaN", "--at", "noon", "--job-runs", "-1s", "--at-once", "-2"},
			[]string{`--target "newest"`, "liftlock plan --strategy inPlace", "--extra-nodes -1", "--speed NaN", `--at "noon"`, "cannot be negative", "--at-once -2"},
		},
		"no cluster":       {[]string{"--fleet", "f.yaml"}, []string{"--cluster NAME or --ring NAME is missing"}},
		"no such strategy": {[]string{"--snapshot", "c.json", "--target", "1.35", "--strategy", "hope"}, []string{`--strategy "hope" is none`}},
	} {
		t.Run(name, func(t *testing.T) {
			host := &playhouse{}
			out, stderr, code := host.run(t, c.args...)
			if code != cli.ExitBadInput || out != "" || host.asked.Speed != 0 {
				t.Errorf("exit code %d, out %q, asked %+v", code, out, host.asked)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("no %q in:\n%s", want, stderr)
				}
			}
		})
	}
	host := &playhouse{err: &rollout.InputError{What: "no node is in pool x"}}
	if _, stderr, code := host.run(t, "--snapshot", "c.json", "--target", "1.35", "--pool", "x"); code != cli.ExitBadInput || !strings.Contains(stderr, "no node is in pool x") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	// What was rehearsed is told, also when another cluster could not be.
	host = &playhouse{results: []rollout.Rehearsal{went()}, err: errors.New("cluster b: it does not answer")}
	if out, stderr, code := host.run(t, "--fleet", "f.yaml", "--ring", "prod"); code != cli.ExitFailed || !strings.Contains(out, "WENT THROUGH") || !strings.Contains(stderr, "cluster b") {
		t.Errorf("exit code %d: %s%s", code, out, stderr)
	}
}
