package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	oldImage = "AKSUbuntu-2204-202610.01.0"
	newImage = "AKSUbuntu-2204-202611.01.0"
)

// setting is a pool on its way from 1.34.4 to 1.35.4, to be changed by a case.
type setting struct {
	PoolView
	emptied map[string]bool
}

func (s *setting) pool(name string) *fleet.Pool { return s.Cluster.Pool(name) }

// add puts a pool with its nodes into the cluster.
func (s *setting) add(name, version, image string, tags map[string]string) {
	s.Cluster.Pools = append(s.Cluster.Pools, fleet.Pool{
		Name: name, Mode: "User", OS: "Linux", Count: 2, Version: v(version), Image: image, ProvisioningState: "Succeeded", Tags: tags,
	})
	s.addNodes(name, version, image, 2)
}

func (s *setting) addNodes(pool, version, image string, n int) {
	for range n {
		s.Nodes = append(s.Nodes, fleet.Node{
			Name: fmt.Sprintf("%s-%d", pool, len(s.Nodes)), Pool: pool, Version: v(version), Image: image, Ready: true, Annotations: map[string]string{},
		})
	}
}

func (s *setting) standIn(version string) {
	s.add("appsb", version, newImage, map[string]string{TagFor: "apps", TagStem: "apps", TagRole: "any", TagRollout: "r1", TagAutoscaler: "1-4"})
}

// arrive brings the original to the new version.
func (s *setting) arrive() {
	s.pool("apps").Version, s.pool("apps").Image = v("1.35.4"), newImage
	for i := range s.Nodes {
		if s.Nodes[i].Pool == "apps" {
			s.Nodes[i].Version, s.Nodes[i].Image = v("1.35.4"), newImage
		}
	}
}

func (s *setting) mark(pool string) {
	for i := range s.Nodes {
		if s.Nodes[i].Pool == pool {
			s.Nodes[i].Annotations[fleet.MarkCordoned] = "r1"
		}
	}
}

func (s *setting) drop(pool string) {
	var pools []fleet.Pool
	for _, p := range s.Cluster.Pools {
		if p.Name != pool {
			pools = append(pools, p)
		}
	}
	s.Cluster.Pools = pools
}

func TestNextPoolStep(t *testing.T) {
	failed := func(s *setting, pool string) {
		s.pool(pool).ProvisioningState, s.pool(pool).ProvisioningError = "Failed", "no machines"
	}
	tests := []struct {
		name     string
		strategy fleet.Strategy
		change   func(*setting)
		want     string // kind, target and what else matters
		reason   string // part of it
	}{
		// Capacity comes first, in the old pool's size, with a fixed count.
		{"green is made first", fleet.BlueGreen, nil, "createPool appsb", "2 nodes on 1.35.4"},
		{"buffer is made first", fleet.Buffer, nil, "createPool appsb", "2 nodes on 1.35.4"},
		{"in place has nothing to make", fleet.InPlace, nil, "upgradePool apps !", "budgets"},
		{"unknown strategy", "sideways", nil, "refuse ", "not known"},
		// A failed pool is put right before anything is built on it.
		{"failed before green", fleet.BlueGreen, func(s *setting) { failed(s, "apps") }, "reconcile apps", "no machines"},
		{"failed before in place", fleet.InPlace, func(s *setting) { failed(s, "apps") }, "reconcile apps", "no machines"},
		{"failed green", fleet.BlueGreen, func(s *setting) { s.standIn("1.35.4"); failed(s, "appsb") }, "reconcile appsb", "no machines"},
		{"failed original with pods on it is not replaced", fleet.Buffer, func(s *setting) { s.standIn("1.35.4"); failed(s, "apps") }, "reconcile apps", "no machines"},
		{"failed after it arrived", fleet.InPlace, func(s *setting) { s.arrive(); failed(s, "apps") }, "reconcile apps", ""},
		// Provider at work.
		{"green is being made", fleet.BlueGreen, func(s *setting) { s.standIn("1.35.4"); s.pool("appsb").ProvisioningState = "Creating" }, "await appsb", "Creating"},
		{"original is being upgraded", fleet.InPlace, func(s *setting) { s.pool("apps").ProvisioningState = "Upgrading" }, "await apps", "Upgrading"},
		// Nodes are believed, the provider is not.
		{"green has a node too few", fleet.BlueGreen, func(s *setting) { s.standIn("1.35.4"); s.Nodes = s.Nodes[:3] }, "awaitNodes appsb", "1 of 2"},
		{"green has an unready node", fleet.BlueGreen, func(s *setting) { s.standIn("1.35.4"); s.Nodes[3].Ready = false }, "awaitNodes appsb", "not Ready"},
		{"green has an old node", fleet.BlueGreen, func(s *setting) { s.standIn("1.35.4"); s.Nodes[3].Version = v("1.34.4") }, "awaitNodes appsb", "runs 1.34.4"},
		{"in place claims to be done", fleet.InPlace, func(s *setting) { s.pool("apps").Version = v("1.35.4") }, "awaitNodes apps", "runs 1.34.4"},
		{"surge nodes are left over", fleet.InPlace, func(s *setting) { s.arrive(); s.addNodes("apps", "1.35.4", newImage, 1) }, "awaitNodes apps", "left over"},
		{"an autoscaler may have more nodes", fleet.InPlace, func(s *setting) {
			s.arrive()
			s.addNodes("apps", "1.35.4", newImage, 1)
			s.pool("apps").Autoscaler = &fleet.Autoscaler{Min: 1, Max: 4}
		}, "done apps", ""},
		{"image mismatch on a node", fleet.InPlace, func(s *setting) {
			s.arrive()
			s.Image = newImage
			s.Nodes[0].Image = oldImage
		}, "awaitNodes apps", "not the proven"},
		{"image of the pool is another", fleet.InPlace, func(s *setting) {
			s.arrive()
			s.Image = newImage
			s.pool("apps").Image = oldImage
		}, "upgradeNodeImage apps !", ""},
		// The pods move.
		{"old autoscaler off before the first cordon", fleet.BlueGreen, func(s *setting) {
			s.standIn("1.35.4")
			s.pool("apps").Autoscaler = &fleet.Autoscaler{Min: 1, Max: 4}
		}, "setAutoscaler apps off", "answer the cordon"},
		{"pods move to green", fleet.BlueGreen, func(s *setting) { s.standIn("1.35.4") }, "evacuate apps>appsb", ""},
		{"pods move to the buffer", fleet.Buffer, func(s *setting) { s.standIn("1.35.4") }, "evacuate apps>appsb", ""},
		{"soak", fleet.BlueGreen, func(s *setting) {
			s.standIn("1.35.4")
			s.emptied["apps"] = true
			s.EmptiedAt = noon.Add(-time.Minute)
		}, "soak appsb until 12:59", ""},
		{"soak whose beginning was forgotten", fleet.BlueGreen, func(s *setting) { s.standIn("1.35.4"); s.emptied["apps"] = true }, "soak appsb until 13:00", ""},
		{"green gets the bounds before blue goes", fleet.BlueGreen, func(s *setting) {
			s.standIn("1.35.4")
			s.emptied["apps"] = true
			s.EmptiedAt = noon.Add(-time.Hour)
		}, "setAutoscaler appsb 1-4", ""},
		{"blue goes", fleet.BlueGreen, func(s *setting) {
			s.standIn("1.35.4")
			s.emptied["apps"] = true
			s.EmptiedAt = noon.Add(-time.Hour)
			s.pool("appsb").Autoscaler = &fleet.Autoscaler{Min: 1, Max: 4}
		}, "deletePool apps !", ""},
		{"pods came back during the soak", fleet.BlueGreen, func(s *setting) { s.standIn("1.35.4"); s.EmptiedAt = noon.Add(-time.Hour) }, "evacuate apps>appsb", ""},
		{"blue is gone", fleet.BlueGreen, func(s *setting) { s.standIn("1.35.4"); s.drop("apps") }, "done appsb", ""},
		{"blue is gone, a mark is left", fleet.BlueGreen, func(s *setting) { s.standIn("1.35.4"); s.drop("apps"); s.mark("appsb") }, "release appsb", ""},
		{"the empty original is replaced", fleet.Buffer, func(s *setting) {
			s.standIn("1.35.4")
			s.emptied["apps"] = true
			s.EmptiedAt = noon.Add(-time.Hour)
		}, "upgradePool apps !", ""},
		{"upgraded original takes pods again", fleet.Buffer, func(s *setting) { s.standIn("1.35.4"); s.arrive(); s.mark("apps") }, "release apps", ""},
		{"and its bounds", fleet.Buffer, func(s *setting) { s.standIn("1.35.4"); s.arrive() }, "setAutoscaler apps 1-4", ""},
		{"and its pods", fleet.Buffer, func(s *setting) {
			s.standIn("1.35.4")
			s.arrive()
			s.pool("apps").Autoscaler = &fleet.Autoscaler{Min: 1, Max: 4}
		}, "evacuate appsb>apps", ""},
		{"the buffer goes", fleet.Buffer, func(s *setting) {
			s.standIn("1.35.4")
			s.arrive()
			s.pool("apps").Autoscaler = &fleet.Autoscaler{Min: 1, Max: 4}
			s.emptied["appsb"] = true
		}, "deletePool appsb", ""},
		{"done", fleet.Buffer, func(s *setting) { s.arrive() }, "done apps", "all 2 nodes"},
		{"a mark of ours is left", fleet.Buffer, func(s *setting) { s.arrive(); s.mark("apps") }, "release apps", ""},
		// What cannot go on says why.
		{"original gone, buffer stands", fleet.Buffer, func(s *setting) { s.standIn("1.35.4"); s.drop("apps") }, "refuse ", "is gone while its buffer"},
		{"both gone", fleet.BlueGreen, func(s *setting) { s.drop("apps") }, "refuse ", "both gone"},
		{"stand-in of another version", fleet.BlueGreen, func(s *setting) { s.standIn("1.34.9") }, "refuse ", "earlier rollout"},
		{"stand-in of another strategy", fleet.InPlace, func(s *setting) { s.standIn("1.35.4") }, "refuse ", "another strategy"},
		// Back.
		{"rollback before anything", fleet.BlueGreen, func(s *setting) { s.Rollback = true }, "done apps", "back on the old nodes"},
		{"rollback releases first", fleet.BlueGreen, func(s *setting) { s.Rollback = true; s.standIn("1.35.4"); s.mark("apps") }, "release apps", ""},
		{"rollback takes the bounds off the stand-in", fleet.BlueGreen, func(s *setting) {
			s.Rollback = true
			s.standIn("1.35.4")
			s.pool("appsb").Autoscaler = &fleet.Autoscaler{Min: 1, Max: 4}
		}, "setAutoscaler appsb off", ""},
		{"rollback moves the pods", fleet.BlueGreen, func(s *setting) { s.Rollback = true; s.standIn("1.35.4") }, "evacuate appsb>apps", ""},
		{"rollback gives the bounds back", fleet.BlueGreen, func(s *setting) { s.Rollback = true; s.standIn("1.35.4"); s.emptied["appsb"] = true }, "setAutoscaler apps 1-4", ""},
		{"rollback deletes the stand-in", fleet.BlueGreen, func(s *setting) {
			s.Rollback = true
			s.standIn("1.35.4")
			s.emptied["appsb"] = true
			s.pool("apps").Autoscaler = &fleet.Autoscaler{Min: 1, Max: 4}
		}, "deletePool appsb", ""},
		{"rollback waits", fleet.BlueGreen, func(s *setting) {
			s.Rollback = true
			s.standIn("1.35.4")
			s.pool("appsb").ProvisioningState = "Creating"
		}, "await appsb", ""},
		{"rollback of a stand-in that failed", fleet.BlueGreen, func(s *setting) { s.Rollback = true; s.standIn("1.35.4"); failed(s, "appsb") }, "evacuate appsb>apps", ""},
		{"no way back without the old pool", fleet.BlueGreen, func(s *setting) { s.Rollback = true; s.standIn("1.35.4"); s.drop("apps") }, "refuse  !", "gone"},
		{"no way back once it arrived", fleet.InPlace, func(s *setting) { s.Rollback = true; s.arrive() }, "refuse  !", "gone"},
		{"no way back once the buffer serves", fleet.Buffer, func(s *setting) { s.Rollback = true; s.standIn("1.35.4"); s.arrive() }, "refuse  !", "go on with retry"},
		{"no way back once nodes were replaced", fleet.InPlace, func(s *setting) { s.Rollback = true; s.Nodes[0].Version = v("1.35.4"); failed(s, "apps") }, "refuse  !", "gone"},
		{"no way back once images were replaced", fleet.InPlace, func(s *setting) {
			s.Rollback = true
			s.Version, s.Image = v("1.34.4"), newImage
			s.Nodes[0].Image = newImage
		}, "refuse  !", "gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &setting{emptied: map[string]bool{}}
			s.PoolView = PoolView{
				Name: "apps", Emptied: func(pool string) bool { return s.emptied[pool] }, Version: v("1.35.4"), Rollout: "r1", Now: noon,
				Policy: fleet.NodePolicy{Strategy: tt.strategy, Soak: time.Hour},
			}
			s.add("apps", "1.34.4", oldImage, nil)
			if tt.change != nil {
				tt.change(s)
			}
			step := NextPoolStep(s.PoolView)
			got := fmt.Sprintf("%s %s", step.Kind, step.Target)
			switch {
			case step.Receiving != "":
				got += ">" + step.Receiving
			case step.Kind == StepFixSize && step.Autoscaler == nil:
				got += " off"
			case step.Kind == StepFixSize:
				got += fmt.Sprintf(" %d-%d", step.Autoscaler.Min, step.Autoscaler.Max)
			case step.Kind == StepSoak:
				got += " until " + step.Until.Format("15:04")
			}
			if step.PointOfNoReturn {
				got += " !"
			}
			if got != tt.want || !strings.Contains(step.Reason, tt.reason) || step.Reason == "" {
				t.Errorf("got %q (%s), want %q (… %s …)", got, step.Reason, tt.want, tt.reason)
			}
		})
	}
}

// TestCreatedPool: a stand-in is like the original but for its name, version,
// marks, and an autoscaler that waits.
func TestCreatedPool(t *testing.T) {
	like := fleet.Pool{
		Name: "apps", Mode: "User", OS: "Linux", OSSKU: "AzureLinux", VMSize: "D4", Count: 3, Version: v("1.34.4"), Zones: []string{"1", "2"},
		Labels: map[string]string{"a": "b"}, Taints: []string{"x=y:NoSchedule"}, MaxPods: 50, Autoscaler: &fleet.Autoscaler{Min: 2, Max: 9},
		Tags: map[string]string{"cost": "42", "liftlock-for": "older", "liftlock-stem": "stem", "liftlock-autoscaler": "7-7"}, ProvisioningState: "Succeeded", ETag: "e",
	}
	step := NextPoolStep(PoolView{
		Name: "apps", Cluster: fleet.Cluster{Pools: []fleet.Pool{like}}, Version: v("1.35.4"), Snapshot: "snap", Rollout: "r1",
		Policy: fleet.NodePolicy{Strategy: fleet.Buffer}, Emptied: func(string) bool { return false }, Now: noon,
	})
	p := step.Pool
	if p.Name != "stemb" || p.Version != v("1.35.4") || p.SnapshotID != "snap" || p.Autoscaler != nil || p.ETag != "" || p.Count != 3 {
		t.Errorf("stand-in %+v", p)
	}
	for key, want := range map[string]string{"cost": "42", TagFor: "apps", TagStem: "stem", TagRole: RoleBuffer, TagRollout: "r1", TagAutoscaler: "2-9"} {
		if p.Tags[key] != want {
			t.Errorf("tag %s = %q, want %q", key, p.Tags[key], want)
		}
	}
	if like.Tags[TagFor] != "older" {
		t.Error("the original's tags were changed")
	}
	if b := Bounds(&p); b == nil || *b != *like.Autoscaler {
		t.Errorf("bounds from the mark: %v", b)
	}
	for _, bad := range []string{"", "3", "a-b", "3-x"} {
		if parseBounds(bad) != nil {
			t.Errorf("bounds from %q", bad)
		}
	}
}

// TestStandInNames rotates a pool thirty times, with and without the old pool's
// deletion in between having been seen, and holds that no two pools ever name
// each other as the one they stand in for.
func TestStandInNames(t *testing.T) {
	for _, stem := range []string{"a", "apps", "nodepool1abc", "nodepool1abb", "np", "winb", "abcdef"} {
		for _, os := range []string{"Linux", "Windows"} {
			limit := 12
			if os == "Windows" {
				limit = 6
			}
			if len(stem) > limit {
				continue
			}
			c := fleet.Cluster{Pools: []fleet.Pool{{Name: stem, OS: os}, {Name: "other", OS: os}}}
			for i := range 30 {
				at := c.Pool("other")
				var like *fleet.Pool
				for j := range c.Pools {
					if &c.Pools[j] != at {
						like = &c.Pools[j]
					}
				}
				name, err := StandInName(&c, like)
				if err != nil {
					t.Fatalf("%s, %d: %v", stem, i, err)
				}
				if len(name) > limit || name == like.Name || name == like.Tags[TagFor] || c.Pool(name) != nil {
					t.Fatalf("%s, %d: %s stands in for %s, which stood in for %s", stem, i, name, like.Name, like.Tags[TagFor])
				}
				next := fleet.Pool{Name: name, OS: os, Tags: map[string]string{TagFor: like.Name, TagStem: stem}}
				both := fleet.Cluster{Pools: []fleet.Pool{*like, next}}
				if got := StandIn(&both, like.Name); got == nil || got.Name != name {
					t.Fatalf("%s, %d: stand-in not found", stem, i)
				}
				if got := StandIn(&both, name); got != nil {
					t.Fatalf("%s, %d: %s seems to stand in for its own stand-in %s", stem, i, got.Name, name)
				}
				c.Pools = []fleet.Pool{{Name: "other", OS: os}, next}
			}
		}
	}
	full := fleet.Cluster{}
	for _, s := range standInSuffixes {
		full.Pools = append(full.Pools, fleet.Pool{Name: "apps" + s})
	}
	if name, err := StandInName(&full, &full.Pools[0]); err == nil {
		t.Errorf("%s is a name that is taken", name)
	}
}
