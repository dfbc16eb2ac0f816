package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

func TestNextClusterStep(t *testing.T) {
	tests := []struct {
		name   string
		change func(*ClusterView)
		want   string // kind, version or pool
		reason string
	}{
		{"control plane first", nil, "upgradeControlPlane 1.34.4", "on the way to 1.36.3"},
		{"stopped", func(v *ClusterView) { v.Cluster.Stopped = true }, "setAside", "stopped"},
		{"cluster is busy", func(v *ClusterView) { v.Cluster.ProvisioningState = "Updating" }, "await", "Updating"},
		{"a pool is busy", func(v *ClusterView) { v.Cluster.Pools[0].ProvisioningState = "Scaling" }, "await", "apps is Scaling"},
		{"an unknown state is busy", func(v *ClusterView) { v.Cluster.ProvisioningState = "Meditating" }, "await", "Meditating"},
		{"failed cluster", func(v *ClusterView) { v.Cluster.ProvisioningState = "Failed" }, "reconcile", "Failed"},
		{"failed but finished", func(v *ClusterView) { finish(v); v.Cluster.ProvisioningState = "Failed" }, "verify", ""},
		// Channels.
		{"upgrade channel is reported", func(v *ClusterView) { v.Cluster.UpgradeChannel = "stable"; v.Channels = fleet.ChannelsReport }, "refuse", "setAside"},
		{"image channel alone does no harm", func(v *ClusterView) {
			v.Cluster.NodeOSUpgradeChannel = "NodeImage"
			v.Channels = fleet.ChannelsReport
		}, "upgradeControlPlane 1.34.4", ""},
		{"channels are set aside", func(v *ClusterView) { v.Cluster.UpgradeChannel, v.Cluster.NodeOSUpgradeChannel = "stable", "NodeImage" }, "setChannels none/None", "stable"},
		{"image channel is set aside", func(v *ClusterView) { v.Cluster.NodeOSUpgradeChannel = "nodeimage" }, "setChannels /None", ""},
		{"unmanaged stays", func(v *ClusterView) { v.Cluster.NodeOSUpgradeChannel = "Unmanaged" }, "upgradeControlPlane 1.34.4", ""},
		{"somebody switched it on again", func(v *ClusterView) {
			v.Cluster.UpgradeChannel = "rapid"
			v.SetAside = &Channels{Upgrade: "stable"}
		}, "setChannels none/", ""},
		{"channels are restored", func(v *ClusterView) {
			finish(v)
			v.SetAside = &Channels{Upgrade: "stable", NodeOS: "NodeImage"}
		}, "setChannels stable/NodeImage", "restore"},
		{"none is nothing to restore", func(v *ClusterView) { finish(v); v.SetAside = &Channels{Upgrade: "none", NodeOS: ""} }, "verify", ""},
		{"restored", func(v *ClusterView) {
			finish(v)
			v.SetAside = &Channels{Upgrade: "stable"}
			v.Cluster.UpgradeChannel = "Stable"
		}, "verify", ""},
		// Versions.
		{"withdrawn", func(v *ClusterView) { v.Offers.ControlPlane = offered("1.34.3") }, "refuse 1.34.4", "withdrawn"},
		{"no such minor", func(v *ClusterView) { v.Offers.Region = offered("1.35.4", "1.36.3") }, "refuse", "no generally available patch of 1.34"},
		{"beyond the target", func(v *ClusterView) { v.Target = fleet.MustParseVersion("1.32.1") }, "refuse", "cannot go back"},
		{"a stop that was proven", func(v *ClusterView) { v.Proven = versions("1.34.3", "1.35.4") }, "upgradeControlPlane 1.34.3", ""},
		{"a proven stop was withdrawn", func(v *ClusterView) { v.Proven = versions("1.34.2") }, "refuse 1.34.2", "withdrawn"},
		{"a provider that lists nothing decides itself", func(v *ClusterView) {
			v.Offers = fleet.Offers{}
			v.Target = fleet.MustParseVersion("1.34.4")
		}, "upgradeControlPlane 1.34.4", ""},
		// Pools.
		{"nodes follow", func(v *ClusterView) { v.Cluster.Version = v.Target }, "pool apps", "the nodes follow"},
		{"nodes behind although the provider says Succeeded", func(v *ClusterView) { finish(v); v.Nodes[1].Version = fleet.MustParseVersion("1.35.4") }, "pool apps", ""},
		{"a cordon of ours is left", func(v *ClusterView) {
			finish(v)
			v.Nodes[0].Annotations = map[string]string{fleet.MarkCordoned: "r0"}
		}, "pool apps", ""},
		{"nodes too far behind force a pass", func(v *ClusterView) {
			v.Cluster.Version, v.Cluster.Pools[0].Version = fleet.MustParseVersion("1.35.4"), fleet.MustParseVersion("1.35.4")
			v.Nodes[1].Version = fleet.MustParseVersion("1.32.1")
		}, "pool apps", ""},
		{"a failed pool", func(v *ClusterView) { finish(v); v.Cluster.Pools[0].ProvisioningState = "Failed" }, "pool apps", ""},
		{"begun and not finished", func(v *ClusterView) { finish(v); standIn(v, "1.36.3") }, "pool apps", ""},
		{"begun at this stop: the control plane waits", func(v *ClusterView) { standIn(v, "1.33.13") }, "pool apps", "before the control plane goes on"},
		{"a stopped pool is left alone", func(v *ClusterView) { v.Cluster.Version = v.Target; v.Cluster.Pools[0].Stopped = true }, "verify", ""},
		{"a stopped pool that would fall too far behind", func(v *ClusterView) {
			v.Cluster.Pools[0].Stopped = true
			v.Cluster.Version, v.Target = fleet.MustParseVersion("1.36.3"), fleet.MustParseVersion("1.37.1")
			v.Offers.ControlPlane = offered("1.37.1")
		}, "refuse 1.37.1", "start it or delete it"},
		{"other image, and images are no aim", func(v *ClusterView) { finish(v); v.Images = map[string]string{"AKSUbuntu-2204": newImage} }, "verify", ""},
		{"other image", func(v *ClusterView) {
			finish(v)
			v.ImagePass, v.Images = true, map[string]string{"AKSUbuntu-2204": newImage}
		}, "pool apps", ""},
		// Clusters whose pools go along with the control plane.
		{"legacy cluster", func(v *ClusterView) { v.Cluster.MaxPools = 1 }, "refuse 1.34.4", "maxAgentPools 1"},
		{"availability set", func(v *ClusterView) { v.Cluster.Pools[0].Type = "AvailabilitySet" }, "refuse 1.34.4", "inPlace"},
		{"legacy cluster, all in place", func(v *ClusterView) {
			v.Cluster.MaxPools = 1
			v.Policy = func(string) fleet.NodePolicy { return fleet.NodePolicy{Strategy: fleet.InPlace} }
		}, "upgradeControlPlane 1.34.4", ""},
		{"legacy cluster whose nodes alone are to go", func(v *ClusterView) { v.Cluster.MaxPools = 1; v.Cluster.Version = v.Target }, "pool apps", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			view := ClusterView{
				Cluster: fleet.Cluster{
					Name: "c", Version: v("1.33.13"), ProvisioningState: "Succeeded", MaxPools: 100,
					Pools: []fleet.Pool{{Name: "apps", Mode: "User", Count: 2, Version: v("1.33.13"), Image: oldImage, ProvisioningState: "Succeeded"}},
				},
				Nodes: []fleet.Node{
					{Name: "a", Pool: "apps", Version: v("1.33.13"), Ready: true}, {Name: "b", Pool: "apps", Version: v("1.33.13"), Ready: true},
				},
				Target: v("1.36.3"), Offers: fleet.Offers{Region: region, ControlPlane: offered("1.34.3", "1.34.4")},
				Policy:   func(string) fleet.NodePolicy { return fleet.NodePolicy{Strategy: fleet.BlueGreen} },
				Channels: fleet.ChannelsSetAside,
			}
			if tt.change != nil {
				tt.change(&view)
			}
			step := NextClusterStep(view)
			got := string(step.Kind)
			switch step.Kind {
			case StepPool:
				got += " " + step.Target
			case StepSetChannels:
				got += " " + step.Channels.Upgrade + "/" + step.Channels.NodeOS
			default:
				if !step.Version.IsZero() {
					got += " " + step.Version.String()
				}
			}
			if got != tt.want || !strings.Contains(step.Reason, tt.reason) || step.Reason == "" {
				t.Errorf("got %q (%s), want %q (… %s …)", got, step.Reason, tt.want, tt.reason)
			}
		})
	}
}

// finish brings everything to the target.
func finish(v *ClusterView) {
	v.Cluster.Version, v.Cluster.Pools[0].Version = v.Target, v.Target
	for i := range v.Nodes {
		v.Nodes[i].Version = v.Target
	}
}

func standIn(v *ClusterView, version string) {
	v.Cluster.Pools = append(v.Cluster.Pools, fleet.Pool{
		Name: "appsb", Version: fleet.MustParseVersion(version), ProvisioningState: "Succeeded", Tags: map[string]string{TagFor: "apps"},
	})
}

func versions(list ...string) []fleet.Version {
	var out []fleet.Version
	for _, s := range list {
		out = append(out, v(s))
	}
	return out
}

func TestPoolOrder(t *testing.T) {
	pools := []fleet.Pool{{Name: "zoo", Mode: "System"}, {Name: "apps", Mode: "User"}, {Name: "gpu1", Mode: "User"}, {Name: "canary", Mode: "User"}, {Name: "base", Mode: "system"}}
	tests := []struct {
		policy fleet.NodePolicy
		want   []string
	}{
		{fleet.NodePolicy{}, []string{"base", "zoo", "apps", "canary", "gpu1"}},
		{fleet.NodePolicy{CanaryPool: "can*"}, []string{"canary", "base", "zoo", "apps", "gpu1"}},
		{fleet.NodePolicy{PoolOrder: []string{"gpu?", "apps"}}, []string{"gpu1", "apps", "base", "zoo", "canary"}},
		{fleet.NodePolicy{CanaryPool: "CANARY", PoolOrder: []string{"apps", "canary"}}, []string{"canary", "apps", "base", "zoo", "gpu1"}},
	}
	for _, tt := range tests {
		got := PoolOrder(&fleet.Cluster{Pools: pools}, func(string) fleet.NodePolicy { return tt.policy })
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.policy, diff)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"prod-*", "Prod-1", true},
		{"prod-?", "prod-10", false},
		{"Deployment/*", "Deployment/shop/web", true},
		{"*", "", true},
		{"", "", true},
		{"", "x", false},
		{"[", "[", false},
		{"prod", "prod2", false},
	} {
		if got := Match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %t", tt.pattern, tt.name, got)
		}
	}
}

func TestForecast(t *testing.T) {
	small, large := Size{Nodes: 2, Minors: 1}, Size{Nodes: 20, Minors: 3}
	if Forecast(small, nil) <= 0 || Forecast(large, nil) <= Forecast(small, nil) {
		t.Errorf("without history: small %s, large %s", Forecast(small, nil), Forecast(large, nil))
	}
	base := Forecast(small, nil)
	past := []Past{{small, base / 2}, {small, base}, {small, 2 * base}}
	if got := Forecast(small, past); got != 2*base {
		t.Errorf("of three the slowest counts: got %s, want %s", got, 2*base)
	}
	for range 9 {
		past = append(past, Past{small, base})
	}
	if got := Forecast(small, past); got != base {
		t.Errorf("one slow cluster of twelve: got %s, want %s", got, base)
	}
	if got := Forecast(Size{Minors: -1}, nil); got != 10*time.Minute {
		t.Errorf("a cluster beyond the target: %s", got)
	}
}
