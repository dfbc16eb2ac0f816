package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

func v(s string) fleet.Version { return fleet.MustParseVersion(s) }

func offered(versions ...string) []fleet.OfferedVersion {
	var out []fleet.OfferedVersion
	for _, s := range versions {
		out = append(out, fleet.OfferedVersion{Version: v(s)})
	}
	return out
}

var region = offered("1.33.13", "1.34.3", "1.34.4", "1.35.3", "1.35.4", "1.36.3", "1.37.1")

func TestHops(t *testing.T) {
	tests := []struct {
		name         string
		controlPlane string
		pools        []string
		target       string
		alone        bool
		want         []Hop
	}{
		{
			name: "one minor", controlPlane: "1.34.4", pools: []string{"1.34.4", "1.34.4"}, target: "1.35.4", alone: true,
			want: []Hop{{v("1.35.4"), true}},
		},
		{
			name: "three minors move nodes once", controlPlane: "1.33.13", pools: []string{"1.33.13"}, target: "1.36.3", alone: true,
			want: []Hop{{v("1.34.4"), false}, {v("1.35.4"), false}, {v("1.36.3"), true}},
		},
		{
			name: "three minors without control-plane-only hops", controlPlane: "1.33.13", pools: []string{"1.33.13"}, target: "1.36.3", alone: false,
			want: []Hop{{v("1.34.4"), true}, {v("1.35.4"), true}, {v("1.36.3"), true}},
		},
		{
			name: "four minors need two passes", controlPlane: "1.33.13", pools: []string{"1.33.13"}, target: "1.37.1", alone: true,
			want: []Hop{{v("1.34.4"), false}, {v("1.35.4"), false}, {v("1.36.3"), true}, {v("1.37.1"), true}},
		},
		{
			name: "a pool that lags already forces a pass first", controlPlane: "1.36.3", pools: []string{"1.33.13", "1.36.3"}, target: "1.37.1", alone: true,
			want: []Hop{{v("1.36.3"), true}, {v("1.37.1"), true}},
		},
		{
			name: "patch within the minor", controlPlane: "1.35.3", pools: []string{"1.35.3"}, target: "1.35.4", alone: true,
			want: []Hop{{v("1.35.4"), true}},
		},
		{
			name: "pools only", controlPlane: "1.35.4", pools: []string{"1.35.4", "1.34.4"}, target: "1.35.4", alone: true,
			want: []Hop{{v("1.35.4"), true}},
		},
		{name: "nothing to do", controlPlane: "1.35.4", pools: []string{"1.35.4"}, target: "1.35.4", alone: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var pools []fleet.Version
			for _, p := range tt.pools {
				pools = append(pools, v(p))
			}
			got, err := Hops(v(tt.controlPlane), pools, v(tt.target), region, tt.alone)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("hops (-want +got):\n%s", diff)
			}
			holdSkew(t, v(tt.controlPlane), pools, got)
		})
	}
}

// holdSkew walks the hops and checks after every step that no pool is more
// than three minors behind, none is ahead, and the control plane never skips one.
func holdSkew(t *testing.T, at fleet.Version, pools []fleet.Version, hops []Hop) {
	t.Helper()
	for _, h := range hops {
		if h.ControlPlane.Minor-at.Minor > 1 {
			t.Errorf("control plane skips from %s to %s", at, h.ControlPlane)
		}
		at = h.ControlPlane
		for i, p := range pools {
			if at.Minor-p.Minor > MaxSkew {
				t.Errorf("pool at %s is more than %d minors behind %s", p, MaxSkew, at)
			}
			if h.NodePass {
				pools[i] = at
			}
		}
	}
}

func TestHopsRefused(t *testing.T) {
	if _, err := Hops(v("1.36.3"), nil, v("1.35.4"), region, true); err == nil {
		t.Error("going back was not refused")
	}
	if _, err := Hops(v("1.33.13"), nil, v("1.35.4"), offered("1.33.13", "1.35.4"), true); err == nil {
		t.Error("a minor that is not on offer was not refused")
	}
}

func TestResolveTarget(t *testing.T) {
	region := append(offered("1.33.13", "1.34.4", "1.35.3", "1.35.4", "1.36.3"),
		fleet.OfferedVersion{Version: v("1.37.0"), Preview: true},
		fleet.OfferedVersion{Version: v("1.32.9"), LongTermOnly: true})
	tests := []struct {
		target  fleet.Target
		current string
		want    string
	}{
		{fleet.Target{Channel: fleet.ChannelStable}, "1.34.4", "1.35.4"},
		{fleet.Target{Channel: fleet.ChannelRapid}, "1.34.4", "1.36.3"},
		{fleet.Target{Channel: fleet.ChannelPatch}, "1.35.3", "1.35.4"},
		{fleet.Target{Channel: fleet.ChannelPatch}, "1.35.4", "1.35.4"},
		{fleet.Target{Channel: fleet.ChannelPatch}, "1.31.1", "1.31.1"},
		{fleet.Target{Channel: fleet.ChannelNodeImage}, "1.35.3", "1.35.3"},
		{fleet.Target{Channel: fleet.ChannelExact, Version: v("1.34.4")}, "1.33.13", "1.34.4"},
		{fleet.Target{Channel: fleet.ChannelExact, Version: v("1.37.0")}, "1.36.3", ""},
		{fleet.Target{Channel: "nightly"}, "1.36.3", ""},
	}
	for _, tt := range tests {
		got, _, err := ResolveTarget(tt.target, region, v(tt.current))
		if tt.want == "" {
			if err == nil {
				t.Errorf("%+v: got %s, want an error", tt.target, got)
			}
			continue
		}
		if err != nil || got != v(tt.want) {
			t.Errorf("%+v from %s: got %s, %v, want %s", tt.target, tt.current, got, err, tt.want)
		}
	}
}
