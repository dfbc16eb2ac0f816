package rollout_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
	"liftlock.dev/liftlock/internal/rollout"
)

// TestCheckOfAFleet: every cluster of a ring is checked, in the order of rings,
// and what keeps one from being asked is said of that one alone.
func TestCheckOfAFleet(t *testing.T) {
	w := newWorld(t, func(s *fleet.Spec) {
		s.Accept = []fleet.Acceptance{{Finding: "upgrade-channel-races", Cluster: "prod-*", Owner: "ann"}}
		s.Channels = fleet.ChannelsReport
	})
	w.cloud.add("stray", "none", "1.34.4", "apps")
	for _, c := range w.cloud.clusters {
		switch c.Name {
		case "dev-1":
			c.away = errors.New("connection refused")
		case "sandbox-1":
			c.Stopped = true
		case "prod-1", "prod-2":
			c.UpgradeChannel = "stable"
		}
	}
	results, err := w.stepper.Check(t.Context(), &w.spec, rollout.CheckRequest{Checks: check.All()})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range results {
		names = append(names, r.Ring+"/"+r.Cluster+" "+r.Target)
	}
	if diff := cmp.Diff([]string{"sandbox/sandbox-1 1.35.4", "dev/dev-1 1.35.4", "prod/prod-1 1.35.4", "prod/prod-2 1.35.4"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	why := func(r check.Result, name string) string {
		for _, n := range r.NotRun {
			if n.Check == name {
				return n.Why
			}
		}
		return ""
	}
	if got := why(results[0], "budgets"); got != "the cluster is stopped" {
		t.Errorf("stopped: %q", got)
	}
	if got := why(results[1], "budgets"); !strings.Contains(got, "connection refused") {
		t.Errorf("away: %q", got)
	}
	if !slices.Contains(results[1].Ran, "operations") {
		t.Errorf("the provider was asked all the same: %v", results[1].Ran)
	}
	if got := why(results[2], "quotas"); got != "the API server refuses to list them" {
		t.Errorf("refused: %q", got)
	}
	for _, r := range results[2:] {
		if !slices.Contains(r.Ran, "budgets") || r.Accepted() != 1 {
			t.Errorf("%s: ran %v, %d accepted: %+v", r.Cluster, r.Ran, r.Accepted(), r.Findings)
		}
	}
	if len(w.cloud.effects) > 0 {
		t.Errorf("something was changed: %v", w.cloud.effects)
	}
}

// TestCheckChoosesClustersAndTargets.
func TestCheckChoosesClustersAndTargets(t *testing.T) {
	w := newWorld(t)
	platform, err := check.Choose([]string{"platform"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		request rollout.CheckRequest
		want    string
		fails   error
	}{
		{"a ring", rollout.CheckRequest{Ring: "prod"}, "prod-1 1.35.4 way-to-target, prod-2 1.35.4 way-to-target", nil},
		{"a pattern", rollout.CheckRequest{Cluster: "*-1", Ring: "prod"}, "prod-1 1.35.4 way-to-target", nil},
		{"the newest patch of a minor", rollout.CheckRequest{Cluster: "dev-1", Target: ver("1.35.0"), AnyPatch: true}, "dev-1 1.35.4 way-to-target", nil},
		{"what is not on offer", rollout.CheckRequest{Cluster: "dev-1", Target: ver("1.35.0")}, "dev-1 1.35.0 version-not-offered, way-to-target, no-way-to-target", nil},
		{"a ring that is not there", rollout.CheckRequest{Ring: "prd"}, "", &rollout.RefusedError{}},
		{"no cluster", rollout.CheckRequest{Cluster: "nowhere"}, "", rollout.ErrNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.request.Checks = platform
			results, err := w.stepper.Check(t.Context(), &w.spec, tc.request)
			if tc.fails != nil {
				_, refused := errors.AsType[*rollout.RefusedError](err)
				if !errors.Is(err, tc.fails) && !refused {
					t.Errorf("error %v, want %v", err, tc.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range results {
				one := r.Cluster + " " + r.Target
				for i, f := range r.Findings {
					if i > 0 {
						one += ","
					}
					one += " " + f.ID
				}
				got = append(got, one)
			}
			if want := tc.want; !sameWords(strings.Join(got, ", "), want) {
				t.Errorf("got %q, want %q", strings.Join(got, ", "), want)
			}
		})
	}
}

// sameWords compares lists whose order does not matter.
func sameWords(a, b string) bool {
	sorted := func(s string) []string {
		words := strings.Fields(strings.ReplaceAll(s, ",", " "))
		slices.Sort(words)
		return words
	}
	return slices.Equal(sorted(a), sorted(b))
}

// TestNoRolloutWithWhatIsBoundToAPool: a workload that runs on nodes of the pool's
// name only is named before anything of its pool is touched, and an acceptance
// lets the pool go.
func TestNoRolloutWithWhatIsBoundToAPool(t *testing.T) {
	w := newWorld(t)
	bound := ""
	for _, c := range w.cloud.clusters {
		if c.Name != "sandbox-1" {
			continue // the first ring
		}
		for i := range c.pods {
			if p := &c.pods[i]; p.Workload != "" && strings.Contains(p.Node, "apps") {
				p.NodeSelector = map[string]string{"agentpool": "apps"}
				bound = p.Workload
			}
		}
	}
	if bound == "" {
		t.Fatal("no pod is on pool apps")
	}
	w.turned = func(task rollout.Task, turn rollout.Turn) bool {
		return strings.HasSuffix(task.Cluster, "sandbox-1") && turn.State == fleet.StateBlocked
	}
	w.start()
	w.run()
	if c := w.cluster("sandbox-1"); c.State != fleet.StateBlocked || !strings.Contains(c.Reason, bound+" (workload-bound-to-pool)") {
		t.Errorf("sandbox-1 is %s: %s", c.State, c.Reason)
	}
	for _, n := range w.cloud.named("sandbox-1").nodes {
		if n.Pool == "apps" && n.Unschedulable {
			t.Errorf("node %s was cordoned", n.Name)
		}
	}
	for _, p := range w.cloud.named("sandbox-1").Pools {
		if p.Tags[plan.TagFor] == "apps" {
			t.Errorf("pool %s was made for apps", p.Name)
		}
	}
}
