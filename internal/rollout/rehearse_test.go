package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

func rehearsedSnapshot() *fleet.Snapshot {
	node := func(name, pool, version string) fleet.Node {
		return fleet.Node{Name: name, Pool: pool, Version: fleet.MustParseVersion(version), Labels: map[string]string{"team": "t-" + pool}}
	}
	return &fleet.Snapshot{Nodes: []fleet.Node{
		node("b0", "batch", "1.35.4"), node("a0", "apps", "1.34.8"), node("a1", "apps", "1.34.4"), node("virtual", "", "1.30.0"),
	}}
}

// TestClusterOf: pools are as old as their oldest node.
func TestClusterOf(t *testing.T) {
	c := ClusterOf(rehearsedSnapshot(), "Shop", fleet.MustParseVersion("1.35.4"))
	var got []string
	for i := range c.Pools {
		got = append(got, c.Pools[i].Name+" "+c.Pools[i].Version.String()+" "+strings.Repeat("*", c.Pools[i].Count))
	}
	if diff := cmp.Diff([]string{"apps 1.34.4 **", "batch 1.35.4 *"}, got); diff != "" || c.ID != "rehearsal/shop" || c.Version.String() != "1.35.4" {
		t.Errorf("%+v\n%s", c, diff)
	}
}

func TestPoolsToRehearse(t *testing.T) {
	for name, c := range map[string]struct{ pool, label, target, want, wrong string }{
		"those that are older":       {"", "", "1.35.4", "apps", ""},
		"all, when all are":          {"", "", "1.36.0", "apps batch", ""},
		"the named one, in any case": {"APPS", "", "1.35.4", "apps", ""},
		"one that has it already":    {"batch", "", "1.35.4", "batch", ""},
		"by another label":           {"t-apps", "team", "1.35.4", "t-apps", ""},
		"one that is not there":      {"web", "", "1.35.4", "", "there are apps (2 nodes), batch (1 nodes)"},
		"one that is newer":          {"batch", "", "1.35.1", "", "newer than 1.35.1"},
		"none is older":              {"", "", "1.34.4", "", "--pool"},
		"a label that no node has":   {"", "nope", "1.35.4", "", "no node of the snapshot has the label nope"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := PoolsToRehearse(rehearsedSnapshot(), c.pool, c.label, fleet.MustParseVersion(c.target))
			if c.wrong != "" {
				if _, input := err.(*InputError); !input || !strings.Contains(err.Error(), c.wrong) { //nolint:errorlint // the very type
					t.Fatalf("got %v, want %q", err, c.wrong)
				}
				return
			}
			if err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// TestHurried: times of the policy go at the rehearsal's speed, and nothing that a
// rehearsal cannot do is waited for.
func TestHurried(t *testing.T) {
	p := &rehearsal{in: RehearsalInput{Speed: 10}}
	usual := fleet.UsualNodePolicy()
	got := p.hurried(usual)
	if got.Soak != 0 || got.Evacuation.JobWait != 6*time.Minute || got.Evacuation.LoadBalancerSettle != 3*time.Second || got.Evacuation.Timeout != 0 ||
		got.Evacuation.PrePull.Images != fleet.PrePullOff || got.Evacuation.OnFailure != fleet.FailureWaits || got.Pace != usual.Pace {
		t.Errorf("%+v", got)
	}
	rolls := fleet.FailureRollsBack
	changed := changesAt(fleet.NodeChanges{Soak: new(time.Hour), Evacuation: fleet.EvacuationChanges{JobWait: new(time.Hour), OnFailure: &rolls}}, 10)
	if all := got.With(changed); all.Soak != 0 || all.Evacuation.JobWait != 6*time.Minute || all.Evacuation.OnFailure != fleet.FailureWaits {
		t.Errorf("an override brings back what was taken out: %+v", all)
	}
}

// TestJudge: everything that stands against a rehearsal is in its verdict.
func TestJudge(t *testing.T) {
	done := RehearsedPool{Pool: "apps", State: fleet.StateSucceeded}
	for name, c := range map[string]struct {
		r    Rehearsal
		want string // "" for one that went through
	}{
		"all well":  {Rehearsal{Pools: []RehearsedPool{done}, Homeless: []HomelessPod{{Pod: "a", Before: true}}}, ""},
		"refused":   {Rehearsal{Pools: []RehearsedPool{done}, Objects: Staged{Refused: []RefusedObject{{}, {}}}}, "2 objects are refused by 1.35"},
		"fell":      {Rehearsal{Pools: []RehearsedPool{done}, Falls: 1}, "1 fall below what workloads require"},
		"homeless":  {Rehearsal{Pools: []RehearsedPool{done}, Homeless: []HomelessPod{{Pod: "a"}}}, "1 pod finds no place"},
		"unseen":    {Rehearsal{Pools: []RehearsedPool{done}, Gaps: []Gap{{}}}, "availability could not be seen all the time"},
		"restarted": {Rehearsal{Pools: []RehearsedPool{done}, Objects: Staged{Restarted: []LeftObject{{}}}}, "1 pod did not stay as they were before it began"},
		"stands":    {Rehearsal{Pools: []RehearsedPool{{Pool: "apps", State: fleet.StateBlocked, Reason: "why"}}}, "pool apps stands still: why"},
		"not begun": {Rehearsal{}, "not reached: apps"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.r
			r.Target = fleet.MustParseVersion("1.35.4")
			r.judge([]string{"apps"})
			if r.Went != (c.want == "") || c.want != "" && r.Verdict != c.want {
				t.Errorf("went %v: %s", r.Went, r.Verdict)
			}
		})
	}
}

// TestRehearsalSpec: what was asked for wins over the Fleet file, and leaves it as
// it was.
func TestRehearsalSpec(t *testing.T) {
	file := fleet.Spec{
		Nodes:     fleet.UsualNodePolicy(),
		Overrides: []fleet.Override{{Pool: "apps", Nodes: fleet.NodeChanges{ExtraNodes: &fleet.Amount0{Count: 5}}}},
		Accept:    []fleet.Acceptance{{Finding: "a", Cluster: "shop-*"}, {Finding: "b", Cluster: "other"}},
	}
	spec := RehearsalSpec(&file, "shop-1", fleet.NodeChanges{ExtraNodes: &fleet.Amount0{Count: 2}}, []fleet.Acceptance{{Finding: "c"}})
	if got := PoolPolicy(&spec, "", "shop-1", "apps").ExtraNodes.Count; got != 2 {
		t.Errorf("%d extra nodes, want those that were asked for", got)
	}
	var accepted []string
	for _, a := range spec.Accept {
		accepted = append(accepted, a.Finding)
	}
	if strings.Join(accepted, "") != "ac" || len(file.Overrides) != 1 || len(file.Accept) != 2 {
		t.Errorf("accepted %v; the file has %d overrides and %d acceptances", accepted, len(file.Overrides), len(file.Accept))
	}
	if alone := RehearsalSpec(nil, "shop", fleet.NodeChanges{}, nil); alone.Nodes.Strategy != fleet.BlueGreen {
		t.Errorf("without a file: %+v", alone.Nodes)
	}
}
