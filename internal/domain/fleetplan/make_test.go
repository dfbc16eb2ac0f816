package fleetplan

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/gate"
	"liftlock.dev/liftlock/internal/domain/plan"
)

var update = flag.Bool("update", false, "write the golden files anew")

const family = "AKSUbuntu-2204gen2containerd"

// aCluster has a pool of the system's and one of applications.
func aCluster(name, ring, version string, apps int) ClusterInput {
	pool := func(name, mode string, count int) fleet.Pool {
		return fleet.Pool{
			Name: name, Mode: mode, OS: "Linux", VMSize: "Standard_D4s_v5", Count: count, Version: v(version), Image: family + "-202610.01.0",
			ProvisioningState: "Succeeded", Type: "VirtualMachineScaleSets",
		}
	}
	c := ClusterInput{
		Cluster: fleet.Cluster{
			ID: "/clusters/" + name, Name: name, Subscription: "11111111", Location: "westeurope", Version: v(version), ProvisioningState: "Succeeded", MaxPools: 100,
			Pools: []fleet.Pool{pool("system", "System", 3), pool("apps", "User", apps)},
		},
		Ring: ring, Work: "control plane from " + version + " to 1.36.3", Pools: map[string]PoolInput{},
	}
	for _, s := range []string{"1.33.13", "1.34.4", "1.35.3", "1.35.4", "1.36.3"} {
		o := fleet.OfferedVersion{Version: v(s)}
		c.Offers.Region = append(c.Offers.Region, o)
		if d := v(s).Minor - v(version).Minor; d == 1 || d == 0 && v(version).Less(v(s)) {
			c.Offers.ControlPlane = append(c.Offers.ControlPlane, o)
		}
	}
	c.Offers.NodeImages = map[string]string{"system": family + "-202611.01.0", "apps": family + "-202611.01.0"}
	c.Nodes = []fleet.Node{}
	for i := range c.Cluster.Pools {
		p := &c.Cluster.Pools[i]
		for n := range p.Count {
			c.Nodes = append(c.Nodes, fleet.Node{Name: fmt.Sprintf("%s-%d", p.Name, n), Pool: p.Name, Version: p.Version, Image: p.Image, Ready: true, Allocatable: fleet.Resources{MilliCPU: 3860}})
		}
		c.Pools[p.Name] = PoolInput{Plan: &evacuate.PoolPlan{
			Pool: p.Name, Strategy: fleet.BlueGreen, Nodes: p.Count, ExtraNodes: p.Count, Pods: 10 * p.Count, Forecast: evacuate.Forecast{P50: float64(300 + 60*p.Count), P90: float64(400 + 90*p.Count)},
			BoundSeconds: float64(200 + 40*p.Count), Binding: evacuate.Binding{Term: evacuate.TermPace, Object: "Pool/" + p.Name},
		}}
	}
	return c
}

// contoso is a fleet with a little of everything.
func contoso(tb testing.TB) *Input {
	tb.Helper()
	stopped := aCluster("prod-stopped", "prod", "1.34.4", 5)
	stopped.Cluster.Stopped = true
	unread := aCluster("prod-north", "prod", "1.34.4", 8)
	unread.Nodes, unread.Unread, unread.Pools = nil, "dial tcp: i/o timeout", map[string]PoolInput{}
	beyond := aCluster("dev-new", "dev", "1.36.3", 2)
	beyond.Cluster.Version = v("1.37.1")
	blocked := aCluster("prod-west", "prod", "1.34.4", 20)
	apps := blocked.Pools["apps"]
	apps.Backup = "a backup younger than 24h0m0s is required, but /backup/last cannot be read: no such file"
	apps.Findings = []fleet.Finding{
		{ID: "budget-allows-none", Severity: fleet.Blocker, Cluster: "prod-west", Object: "Deployment/shop/web", What: "its budget allows no eviction", Remedy: "raise its replicas", Owner: "team-shop"},
		{ID: "workload-outage-unavoidable", Severity: fleet.Blocker, Cluster: "prod-west", Object: "StatefulSet/shop/db", What: "no move keeps it up", Remedy: "accept its outage", OutageSeconds: 90, AcceptedBy: "ann"},
	}
	blocked.Pools["apps"] = apps
	return &Input{
		Spec: fleet.Spec{
			Name: "contoso", Target: fleet.Target{Channel: fleet.ChannelRapid}, Channels: fleet.ChannelsSetAside,
			Nodes:     fleet.NodePolicy{Strategy: fleet.BlueGreen, Soak: 30 * time.Minute},
			Overrides: []fleet.Override{{Pool: "system", Nodes: fleet.NodeChanges{Strategy: new(fleet.Buffer)}}},
			Freezes:   []fleet.Freeze{{Name: "christmas", From: at(tb, "2026-12-20T00:00:00+01:00"), Until: at(tb, "2027-01-03T00:00:00+01:00"), TimeZone: oslo}},
			Rings: []fleet.Ring{
				{Name: "sandbox", Soak: 24 * time.Hour, Concurrency: fleet.Amount{Count: 1}, OnClose: fleet.FinishWave},
				{Name: "dev", Soak: 24 * time.Hour, Concurrency: fleet.Amount{Count: 2}, OnClose: fleet.FinishWave, Windows: []fleet.Window{
					{Days: []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday}, Start: 9 * 60, Duration: 6 * time.Hour, TimeZone: oslo},
				}, After: []fleet.Approval{{Name: "tested", Role: "quality", Expires: 168 * time.Hour}}},
				{Name: "test", Soak: 72 * time.Hour, Concurrency: fleet.Amount{Count: 1}, OnClose: fleet.FinishWave},
				{Name: "prod", Soak: 48 * time.Hour, Concurrency: fleet.Amount{Percent: 50}, OnClose: fleet.FinishWave, Windows: []fleet.Window{
					{Days: []time.Weekday{time.Saturday}, Start: 22 * 60, Duration: 4 * time.Hour, TimeZone: oslo},
				}, Before: []fleet.Approval{{Name: "go", Role: "platform"}}},
			},
		},
		File: File{Path: "fleet.yaml", Digest: strings.Repeat("ab", 32)}, Now: at(tb, "2026-11-27T10:00:00Z"),
		Resolved: []Resolved{{For: "*", Version: v("1.36.3"), Why: "latest patch of 1.36, which is N in the region", Cluster: "sandbox-1", Location: "westeurope"}},
		Target:   func(fleet.Version) (fleet.Version, bool) { return v("1.36.3"), true },
		Clusters: []ClusterInput{
			aCluster("sandbox-1", "sandbox", "1.34.4", 2), aCluster("dev-1", "dev", "1.33.13", 4), beyond,
			blocked, unread, stopped, aCluster("nobody", "", "1.30.1", 1),
		},
		History: History{ControlPlanes: []PastControlPlane{{"/clusters/sandbox-1", "sandbox", 9 * time.Minute}}},
		Ledger:  []fleet.LedgerEntry{{Fleet: "contoso", Kind: fleet.LedgerKubernetes, Subject: "aks", Version: "1.34.4", Ring: "prod", Rollout: "contoso-20260801-080000", ProvenAt: at(tb, "2026-08-20T10:00:00Z")}},
	}
}

// TestPlanGolden holds the published JSON of a whole plan, which is also what the
// tests of the other formats are drawn from.
func TestPlanGolden(t *testing.T) {
	p := Make(contoso(t))
	var b bytes.Buffer
	if err := Write(&b, &p); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/contoso.json"
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got), run with -update if it is meant:\n%s", diff)
	}
	if strings.Contains(b.String(), "null") {
		t.Error("a list is null")
	}
	again, err := Read(b.Bytes(), "contoso.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, again); diff != "" {
		t.Errorf("what is read is not what was written: %s", diff)
	}
}

func ringNamed(t *testing.T, p *Plan, name string) *Ring {
	t.Helper()
	i := slices.IndexFunc(p.Rings, func(r Ring) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no ring %s", name)
	}
	return &p.Rings[i]
}

func clusterNamed(t *testing.T, p *Plan, name string) *Cluster {
	t.Helper()
	for i := range p.Rings {
		for k := range p.Rings[i].Clusters {
			if c := &p.Rings[i].Clusters[k]; c.Name == name {
				return c
			}
		}
	}
	t.Fatalf("no cluster %s", name)
	return nil
}

func TestMake(t *testing.T) {
	p := Make(contoso(t))
	if got := strings.Join(p.Unassigned, ","); got != "nobody" {
		t.Errorf("in no ring: %s", got)
	}
	// A cluster of an earlier minor stops on the way, and its nodes go once.
	hops := ""
	for _, h := range clusterNamed(t, &p, "dev-1").Hops {
		hops += fmt.Sprintf("%s %t %s;", h.ControlPlane, h.NodePass, h.Why)
	}
	if hops != "1.34.4 false ;1.35.4 false ;1.36.3 true the nodes follow to the target;" {
		t.Errorf("hops of dev-1: %s", hops)
	}
	for name, want := range map[string]string{"prod-stopped": "is stopped", "dev-new": "beyond the target"} {
		if c := clusterNamed(t, &p, name); !strings.Contains(c.LeftAlone, want) || len(c.Legs) != 0 || !c.Starts.IsZero() {
			t.Errorf("%s: %+v", name, c)
		}
	}
	// What cannot be asked is planned by what is usual, and says so.
	if c := clusterNamed(t, &p, "prod-north"); c.Unread == "" || c.Starts.IsZero() || c.Legs[len(c.Legs)-2].Forecast.From != FromUsual {
		t.Errorf("prod-north: %+v", c)
	}
	west := clusterNamed(t, &p, "prod-west")
	if len(west.Needs) != 2 || !strings.HasPrefix(west.Needs[0], "a backup") || !strings.HasPrefix(west.Needs[1], "acceptance of budget-allows-none for Deployment/shop/web") {
		t.Errorf("prod-west needs %q", west.Needs)
	}
	// A ring without clusters neither waits nor soaks.
	dev, test, prod := ringNamed(t, &p, "dev"), ringNamed(t, &p, "test"), ringNamed(t, &p, "prod")
	if !test.Calendar.Proven.Equal(dev.Calendar.Proven) || test.Calendar.Fit.Verdict != NothingToFit || !prod.Calendar.Earliest.Equal(dev.Calendar.Proven) {
		t.Errorf("test %+v, prod from %s", test.Calendar, prod.Calendar.Earliest)
	}
	// Later rings are bound to what the first one is to prove.
	if got := prod.Images[0]; got.Image != family+"-202611.01.0" || got.Source != "pinned to what ring sandbox is to prove" {
		t.Errorf("images of prod: %+v", got)
	}
	if !strings.Contains(prod.Source, "are to prove: 1.35.4, 1.36.3") {
		t.Errorf("versions of prod: %s", prod.Source)
	}
	// 50 % of three is one at a time.
	if prod.Concurrency != 1 || prod.Peaks[0].Nodes != 20 || prod.Peaks[0].VCPUs != 80 {
		t.Errorf("prod: %d at once, peaks %+v", prod.Concurrency, prod.Peaks)
	}
	if !p.Ends.Equal(prod.Calendar.Proven) || p.Forecast.P50 != p.Ends.Sub(p.CreatedAt).Seconds() || p.EndsLate.Before(p.Ends) {
		t.Errorf("ends %s, late %s, %+v", p.Ends, p.EndsLate, p.Forecast)
	}
	// Points of no return: the old pool's deletion, or for a buffer the upgrade.
	var noReturn []string
	for _, leg := range west.Legs {
		if leg.Pool != nil {
			noReturn = append(noReturn, leg.Pool.NoReturn)
		}
	}
	if len(noReturn) != 2 || !strings.HasPrefix(noReturn[0], "upgradePool system") || !strings.HasPrefix(noReturn[1], "deletePool apps") {
		t.Errorf("points of no return: %q", noReturn)
	}
}

// TestMakeObstacles holds what is in the way of rings and of the fleet.
func TestMakeObstacles(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(in *Input)
		ring   string // "" for the fleet
		want   string
	}{
		"all set aside": {func(in *Input) { in.Clusters[0].Cluster.Stopped = true }, "sandbox", "all its clusters would be set aside (sandbox-1): it would fail"},
		"set aside counts as failed": {
			func(in *Input) { in.Spec.Rings[3].Failures.FailOnSetAside = true }, "prod",
			"1 of 3 clusters would be set aside, which counts as failed here, and 0 may",
		},
		"unproven": {func(in *Input) {
			in.Target = func(from fleet.Version) (fleet.Version, bool) {
				if from == v("1.34.4") {
					return v("1.35.4"), true
				}
				return v("1.36.3"), true
			}
		}, "dev", "no earlier ring proves 1.36.3 (for dev-1)"},
		"a ring that never ends": {func(in *Input) { in.Spec.Rings[1].Windows[0].Duration = 10 * time.Minute }, "prod", "a ring before it would never come to its end"},
		"another file": {
			func(in *Input) { in.Ongoing = &Ongoing{Rollout: "contoso-1"} }, "",
			"rollout contoso-1 has not ended and was started with another Fleet file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := contoso(t)
			tc.change(in)
			p := Make(in)
			got := p.Obstacles
			if tc.ring != "" {
				got = ringNamed(t, &p, tc.ring).Obstacles
			}
			if !strings.Contains(strings.Join(got, "\n"), tc.want) {
				t.Errorf("got %q", got)
			}
			if name == "a ring that never ends" && (!p.Ends.IsZero() || p.Forecast.P50 != 0) {
				t.Errorf("it never ends, and ends %s", p.Ends)
			}
		})
	}
}

// TestMakeTakesUp plans what is left of a rollout that is under way.
func TestMakeTakesUp(t *testing.T) {
	in := contoso(t)
	in.Ongoing = &Ongoing{Rollout: "contoso-1", State: fleet.StateRunning, SameFile: true}
	in.Rings = map[string]RingInput{
		"sandbox": {State: fleet.StateSucceeded}, "prod": {Given: []gate.Given{{Name: "go", Role: "platform", By: "ann", At: in.Now}}},
	}
	in.Proven, in.Images = []fleet.Version{v("1.35.3"), v("1.36.3")}, map[string]string{family: family + "-202610.20.0"}
	in.Clusters[0].State, in.Clusters[0].To = fleet.StateSucceeded, v("1.36.3")
	p := Make(in)
	if c := clusterNamed(t, &p, "sandbox-1"); len(c.Legs) != 0 || c.State != fleet.StateSucceeded {
		t.Errorf("a cluster that has ended has steps: %+v", c)
	}
	dev := ringNamed(t, &p, "dev")
	if !dev.Calendar.Earliest.Equal(in.Now) || dev.Source != "what the ledger holds of rollout contoso-1: 1.35.3, 1.36.3" {
		t.Errorf("dev from %s: %s", dev.Calendar.Earliest, dev.Source)
	}
	// The stop on the way is the one that was proven, though a newer one is on offer.
	if h := clusterNamed(t, &p, "dev-1").Hops; h[1].ControlPlane != v("1.35.3") {
		t.Errorf("hops %+v", h)
	}
	if i := dev.Images[0]; i.Image != family+"-202610.20.0" || !strings.HasPrefix(i.Source, "the ledger holds it") {
		t.Errorf("image %+v", i)
	}
	if a := ringNamed(t, &p, "prod").Before[0]; a.GivenBy != "ann" {
		t.Errorf("approval %+v", a)
	}
}

// TestMakeNodeImages plans a pass of node images: the first ring goes to what is
// newest for its clusters.
func TestMakeNodeImages(t *testing.T) {
	in := contoso(t)
	in.Spec.Target.Channel = fleet.ChannelNodeImage
	in.Target = func(from fleet.Version) (fleet.Version, bool) { return from, true }
	p := Make(in)
	c := clusterNamed(t, &p, "sandbox-1")
	if len(c.Legs) != 3 || c.Legs[0].Pool == nil || c.Legs[0].Pool.Image != family+"-202611.01.0" || c.Legs[2].Kind != plan.StepVerify {
		t.Errorf("steps %+v", c.Legs)
	}
	in.Clusters[0].Offers.NodeImages = map[string]string{"system": family + "-202610.01.0", "apps": family + "-202610.01.0"}
	p = Make(in)
	if c := clusterNamed(t, &p, "sandbox-1"); len(c.Legs) != 1 {
		t.Errorf("nothing is newer, and there are steps: %+v", c.Legs)
	}
}
