package rollout_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/fleetplan"
	"liftlock.dev/liftlock/internal/domain/plan"
	"liftlock.dev/liftlock/internal/rollout"
)

// plan makes the plan of the world's fleet, as it is kept and read again.
func (w *world) plan() *rollout.KeptPlan {
	w.t.Helper()
	p, err := w.stepper.PlanFleet(w.t.Context(), w.file(), "fleet.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	var b bytes.Buffer
	if err := fleetplan.Write(&b, &p); err != nil {
		w.t.Fatal(err)
	}
	if p, err = fleetplan.Read(b.Bytes(), "plan.json"); err != nil {
		w.t.Fatal(err)
	}
	return &rollout.KeptPlan{Plan: p, Digest: fmt.Sprintf("%x", b.Len())}
}

// begin starts the rollout of a plan.
func (w *world) begin(kept *rollout.KeptPlan) error {
	ro, _, _, err := w.stepper.StartPlan(w.t.Context(), w.file(), kept, "ann")
	if err != nil {
		return err
	}
	w.id = ro.ID
	w.add(rollout.Task{Rollout: w.id}, "")
	return nil
}

// digested makes the world's Fleet file one with a digest that a plan may name.
func digested(s *fleet.Spec) { s.Digest = strings.Repeat("0123456789abcdef", 4) }

// planned lists what a plan says is done at the provider, as the cloud counts it.
func planned(p *fleetplan.Plan) []string {
	var effects []string
	for i := range p.Rings {
		for _, c := range p.Rings[i].Clusters {
			for _, leg := range c.Legs {
				switch leg.Kind {
				case plan.StepControlPlane:
					effects = append(effects, c.Name+" upgradeControlPlane "+leg.Version.String())
				case plan.StepSetChannels:
					effects = append(effects, c.Name+" setChannels")
				default:
				}
				if leg.Pool == nil {
					continue
				}
				for _, s := range leg.Pool.Steps {
					switch s.Kind {
					case plan.StepCreatePool, plan.StepDeletePool, plan.StepUpgradePool, plan.StepFixSize:
						effects = append(effects, c.Name+" "+string(s.Kind)+" "+s.Target)
					default:
					}
				}
			}
		}
	}
	return effects
}

// done is the same of what was done.
func (w *world) done() []string {
	var effects []string
	for _, e := range w.cloud.effects {
		parts := strings.Fields(e)
		switch parts[1] {
		case "snapshot":
			continue
		case "setChannels":
			parts = parts[:2]
		}
		effects = append(effects, strings.Join(parts[:min(3, len(parts))], " "))
	}
	return effects
}

// TestPlanIsWhatIsDone plans a fleet, holds that nothing was touched, and then
// that a rollout does the very same.
func TestPlanIsWhatIsDone(t *testing.T) {
	for _, strategy := range []fleet.Strategy{fleet.BlueGreen, fleet.Buffer, fleet.InPlace} {
		t.Run(string(strategy), func(t *testing.T) {
			c := newCloud(t)
			c.add("sandbox-1", "sandbox", "1.34.4", "system", "apps")
			c.add("dev-1", "dev", "1.33.13", "system", "apps").UpgradeChannel = "stable"
			c.add("prod-1", "prod", "1.34.4", "apps")
			w := newWorldOf(t, c, digested, func(s *fleet.Spec) {
				s.Nodes.Strategy = strategy
				s.Target = fleet.Target{Channel: fleet.ChannelRapid}
				s.Accept = []fleet.Acceptance{{Finding: "workload-below-requirement", Owner: "ann"}}
			})
			before := c.state()
			kept := w.plan()
			if diff := cmp.Diff(before, c.state()); diff != "" || len(c.effects) > 0 || len(w.mem.records)+len(w.mem.journal) > 0 {
				t.Fatalf("planning touched something: %s %v %v", diff, c.effects, w.mem.records)
			}
			w.start()
			w.finish(fleet.StateSucceeded)
			if diff := cmp.Diff(planned(&kept.Plan), w.done()); diff != "" {
				t.Errorf("what was planned (-) and what was done (+): %s", diff)
			}
			for _, ring := range kept.Plan.Rings {
				for _, pc := range ring.Clusters {
					rec := w.cluster(pc.Name)
					var stops []fleet.Version
					for _, h := range pc.Hops {
						stops = append(stops, h.ControlPlane)
					}
					if diff := cmp.Diff(stops, rec.Hops); diff != "" || rec.To != pc.To {
						t.Errorf("%s: %s", pc.Name, diff)
					}
				}
			}
		})
	}
}

// TestPlanSaysWhere holds where versions and images come from, and what is said of
// clusters that cannot be asked.
func TestPlanSaysWhere(t *testing.T) {
	w := newWorld(t, digested, func(s *fleet.Spec) {
		s.Rings[2].Before = []fleet.Approval{{Name: "go", Role: "platform"}}
		s.Nodes.RequireBackup, s.Nodes.BackupFile = time.Hour, "/nowhere/backup"
	})
	w.cloud.named("prod-1").Stopped = true
	w.cloud.named("prod-2").away = errors.New("connection refused")
	w.cloud.named("dev-1").workloads["StatefulSet/shop/apps-db"].Strategy = "OnDelete"
	p := &w.plan().Plan
	r := p.Target.Resolved[0]
	if r.Version != ver("1.35.4") || r.Cluster != "sandbox-1" || r.Location != "westeurope" || !strings.Contains(r.Why, "N-1") {
		t.Errorf("target %+v", r)
	}
	dev, prod := p.Rings[1], p.Rings[2]
	if len(dev.Images) != 1 || dev.Images[0].Image != imageA || dev.Images[0].Source != "pinned to what ring sandbox is to prove" {
		t.Errorf("images of dev: %+v", dev.Images)
	}
	if c := prod.Clusters[0]; !strings.Contains(c.LeftAlone, "stopped") {
		t.Errorf("prod-1: %+v", c)
	}
	away := prod.Clusters[1]
	if !strings.Contains(away.Unread, "connection refused") || len(away.Legs) == 0 || away.Legs[1].Forecast.From != fleetplan.FromUsual {
		t.Errorf("prod-2: %+v", away)
	}
	if c := dev.Clusters[0]; c.Legs[1].Forecast.From != fleetplan.FromSnapshot || c.Legs[1].Pool.Pods != 3 || c.Bound.Seconds == 0 {
		t.Errorf("dev-1: %+v", c)
	}
	for _, c := range append(slices.Clone(dev.Clusters), away) {
		if !slices.ContainsFunc(c.Needs, func(s string) bool { return strings.Contains(s, "/nowhere/backup cannot be read") }) {
			t.Errorf("%s needs a backup, and that is not said: %q", c.Name, c.Needs)
		}
	}
	if len(prod.Before) != 1 || prod.Before[0].GivenBy != "" {
		t.Errorf("approvals %+v", prod.Before)
	}
	if p.Ends.IsZero() || p.ExtraNodeHours == 0 || len(p.Peaks) != 1 {
		t.Errorf("ends %s, %v node-hours, peaks %+v", p.Ends, p.ExtraNodeHours, p.Peaks)
	}
}

// TestPlanLearns holds that what earlier rollouts took is what later ones are
// forecast to take, and that the ledger is told of.
func TestPlanLearns(t *testing.T) {
	w := newWorld(t, digested)
	w.cloud.takes = 7 * time.Minute
	w.start()
	w.finish(fleet.StateSucceeded)
	took := map[string]time.Duration{}
	o := w.overview()
	for _, rec := range o.Clusters {
		for _, p := range o.PoolsOf(rec) {
			if p.Forecast == nil || p.Forecast.P50 <= 0 || p.Forecast.Bound.Seconds > p.EndedAt.Sub(p.StartedAt).Seconds() || p.Waited() < 7*time.Minute || p.Nodes != 2 || p.Stem != p.Name {
				t.Errorf("%s of %s began without a forecast: %+v", p.Name, rec.Name, p)
			}
			for _, s := range p.Spans {
				if s.Kind != "soak" && s.Kind != "await" && s.Kind != "waiting" {
					took[rec.Name+" "+p.Name] += s.Until.Sub(s.From)
				}
			}
		}
	}
	w.spec.Target = fleet.Target{Channel: fleet.ChannelRapid}
	p := &w.plan().Plan
	checked := 0
	for _, r := range p.Rings {
		for _, c := range r.Clusters {
			for _, leg := range c.Legs {
				if leg.Kind == plan.StepControlPlane && (leg.Forecast.From != fleetplan.FromHistory || leg.Forecast.P50 < 420 || leg.Forecast.P50 > 440) {
					t.Errorf("control plane of %s: %+v", c.Name, leg.Forecast)
				}
				if leg.Pool == nil {
					continue
				}
				// The pool's name has changed, what it stems from has not.
				stem := strings.TrimSuffix(leg.Pool.Name, "b")
				if want := took[c.Name+" "+stem]; leg.Forecast.From != fleetplan.FromHistory || leg.Forecast.P50 != want.Seconds() {
					t.Errorf("pool %s of %s: %+v, took %s", leg.Pool.Name, c.Name, leg.Forecast, want)
				}
				checked++
			}
		}
	}
	if checked != 7 {
		t.Errorf("%d pools", checked)
	}
	w.spec.Target = fleet.Target{Channel: fleet.ChannelExact, Version: ver("1.35.4")}
	w.cloud.named("prod-2").nodes[0].Version = ver("1.34.4") // one node fell behind
	p = &w.plan().Plan
	if r := p.Target.Resolved[0]; !strings.Contains(r.Proven, "ring prod has proven it in rollout "+w.id) {
		t.Errorf("the ledger is not told of: %+v", r)
	}
	if c := p.Rings[2].Clusters[1]; !strings.Contains(c.Work, "node") {
		t.Errorf("prod-2: %+v", c)
	}
}

// TestPlanTakesUp plans what is left of a rollout that is under way.
func TestPlanTakesUp(t *testing.T) {
	w := newWorld(t, digested)
	w.start()
	w.turned = func(task rollout.Task, turn rollout.Turn) bool {
		return task.Ring == "dev" && task.Cluster == "" && !turn.Ended
	}
	w.run()
	w.cloud.region = append(w.cloud.region, fleet.OfferedVersion{Version: ver("1.37.1")})
	p := &w.plan().Plan
	if p.Ongoing == nil || p.Ongoing.Rollout != w.id || !p.Ongoing.SameFile {
		t.Fatalf("ongoing %+v", p.Ongoing)
	}
	if r := p.Target.Resolved[0]; r.Version != ver("1.35.4") || !strings.Contains(r.Why, "fixed by rollout "+w.id) {
		t.Errorf("target %+v", r)
	}
	if r := p.Rings[0]; r.State != fleet.StateSucceeded || len(r.Clusters[0].Legs) != 0 {
		t.Errorf("sandbox: %+v", r)
	}
	if r := p.Rings[1]; !strings.Contains(r.Source, "what the ledger holds of rollout "+w.id) || r.Images[0].Image != imageA {
		t.Errorf("dev: %+v", r)
	}
	// A plan of what is under way begins nothing.
	if _, _, _, err := w.stepper.StartPlan(t.Context(), w.file(), &rollout.KeptPlan{Plan: *p, Digest: "x"}, "ann"); err == nil || !strings.Contains(err.Error(), "go on with it without a plan") {
		t.Errorf("begun: %v", err)
	}
	w.turned = nil
	w.finish(fleet.StateSucceeded)
}

// TestKeptPlanIsCarriedOut: newer versions come out after the plan was made, and
// the rollout goes to what it says, over the stops that it says.
func TestKeptPlanIsCarriedOut(t *testing.T) {
	c := newCloud(t)
	c.add("sandbox-1", "sandbox", "1.33.13", "apps")
	c.add("dev-1", "dev", "1.33.13", "apps")
	w := newWorldOf(t, c, digested)
	kept := w.plan()
	for _, s := range []string{"1.34.9", "1.35.9", "1.36.9", "1.37.1"} {
		c.region = append(c.region, fleet.OfferedVersion{Version: ver(s)})
	}
	if err := w.begin(kept); err != nil {
		t.Fatal(err)
	}
	// The same command goes on with it; another plan, or none of that rollout, does not.
	if ro, _, resumed, err := w.stepper.StartPlan(t.Context(), w.file(), kept, "ann"); err != nil || !resumed || ro.ID != w.id {
		t.Errorf("not taken up: %+v %v", ro, err)
	}
	other := *kept
	other.Digest = "another"
	if _, _, _, err := w.stepper.StartPlan(t.Context(), w.file(), &other, "ann"); err == nil || !strings.Contains(err.Error(), "does not carry out this plan") {
		t.Errorf("another plan: %v", err)
	}
	w.finish(fleet.StateSucceeded)
	want := []string{"1.34.4", "1.35.4"}
	for _, rec := range w.overview().Clusters {
		var got []string
		for _, h := range rec.Hops {
			got = append(got, h.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", rec.Name, diff)
		}
	}
	if diff := cmp.Diff(planned(&kept.Plan), w.done()); diff != "" {
		t.Errorf("what was planned (-) and what was done (+): %s", diff)
	}
	if o := w.overview(); !strings.Contains(o.Journal[0].Reason, "plan "+kept.Digest[:min(12, len(kept.Digest))]) {
		t.Errorf("the journal does not tell of the plan: %+v", o.Journal[0])
	}
	// Once more: everything has arrived, and nothing is to be done.
	ro, look, _, err := w.stepper.StartPlan(t.Context(), w.file(), kept, "ann")
	if err != nil || ro.ID != "" || !look.NothingToDo() {
		t.Errorf("after the end: %+v %+v %v", ro, look, err)
	}
}

// TestKeptPlanIsRefused: what moved is named, all of it, and nothing is recorded.
func TestKeptPlanIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		move func(w *world)
		want []string
	}{
		"a pool": {
			func(w *world) { w.cloud.named("prod-1").Pools[1].Version = ver("1.34.2") },
			[]string{"cluster prod-1's pool apps is 1.34.2, was 1.34.4", "liftlock plan --fleet fleet.yaml --save"},
		},
		"the Fleet file":    {func(w *world) { w.spec.Digest = strings.Repeat("f", 64) }, []string{"the Fleet file changed (digest ffffffffffff, was 0123456789ab)"}},
		"the newest image":  {func(w *world) { w.cloud.image = imageB }, []string{"the newest node image of " + family + " is " + imageB + ", was " + imageA}},
		"a version went":    {func(w *world) { w.cloud.region = w.cloud.region[:2] }, []string{"1.35.4 is no longer on offer in westeurope"}},
		"a cluster came":    {func(w *world) { w.cloud.add("prod-3", "prod", "1.34.4", "apps") }, []string{"cluster prod-3 (1.34.4) is new in ring prod"}},
		"a cluster went":    {func(w *world) { w.cloud.named("prod-2").gone = true }, []string{"cluster prod-2 is gone"}},
		"a cluster stopped": {func(w *world) { w.cloud.named("prod-2").Stopped = true }, []string{"cluster prod-2 is stopped, was running"}},
		"the ledger": {func(w *world) {
			w.mem.ledger = append(w.mem.ledger, fleet.LedgerEntry{Fleet: "Shop", Kind: fleet.LedgerKubernetes, Subject: "aks", Version: "1.35.5", Ring: "sandbox", Rollout: "r9"})
		}, []string{"the ledger now holds for kubernetes aks 1.35.5 (proven by ring sandbox in rollout r9), held nothing"}},
		"many things": {func(w *world) {
			w.cloud.named("prod-1").Version = ver("1.35.3")
			w.cloud.named("dev-1").Pools[0].Count = 5
			w.cloud.named("sandbox-1").NodeOSUpgradeChannel = "NodeImage"
		}, []string{"cluster prod-1 is 1.35.3, was 1.34.4", "cluster dev-1's pool system's number of nodes is 5, was 2", "cluster sandbox-1's node OS upgrade channel is NodeImage, was none"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, digested)
			kept := w.plan()
			tc.move(w)
			err := w.begin(kept)
			if _, refused := errors.AsType[*rollout.RefusedError](err); !refused {
				t.Fatalf("not refused: %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
			if len(w.mem.records)+len(w.mem.files)+len(w.mem.journal) > 0 || len(w.cloud.effects) > 0 {
				t.Error("something was recorded or touched")
			}
		})
	}
	// An autoscaler at work is no move.
	w := newWorld(t, digested)
	kept := w.plan()
	w.cloud.named("prod-1").Pools[1].Count = 4
	if err := w.begin(kept); err != nil {
		t.Error(err)
	}
}
