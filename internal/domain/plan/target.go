package plan

import (
	"fmt"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// ResolveTarget says which version a target means where the given versions are
// on offer and a cluster runs current. reason tells how it was found. A version
// that is not on offer is an error that says what is.
func ResolveTarget(target fleet.Target, region []fleet.OfferedVersion, current fleet.Version) (v fleet.Version, reason string, err error) {
	ga := generallyAvailable(region)
	switch target.Channel {
	case fleet.ChannelExact:
		if !slices.Contains(ga, target.Version) && target.Version != current {
			return fleet.Version{}, "", fmt.Errorf("target %s is not on offer in the region (on offer: %s); choose one of these or wait until it is released there",
				target.Version, list(ga))
		}
		return target.Version, "the Fleet file names it", nil
	case fleet.ChannelNodeImage:
		return current, "node images only: the Kubernetes version stays", nil
	case fleet.ChannelPatch:
		v, ok := latestOfMinor(ga, current)
		if !ok || v.Less(current) {
			return current, "no newer patch of " + current.MinorString() + " is on offer", nil
		}
		return v, "latest patch of " + current.MinorString(), nil
	case fleet.ChannelStable, fleet.ChannelRapid:
		minors := newestMinors(ga)
		back := 0
		name := "N"
		if target.Channel == fleet.ChannelStable {
			back, name = 1, "N-1"
		}
		if len(minors) <= back {
			return fleet.Version{}, "", fmt.Errorf("channel %s: the region offers too few generally available minors (%s)", target.Channel, list(ga))
		}
		v, _ := latestOfMinor(ga, minors[back])
		return v, fmt.Sprintf("latest patch of %s, which is %s in the region", v.MinorString(), name), nil
	}
	return fleet.Version{}, "", fmt.Errorf("channel %q is not known", target.Channel)
}

// generallyAvailable lists the versions on offer that are neither previews nor
// tied to long-term support, in ascending order.
func generallyAvailable(region []fleet.OfferedVersion) []fleet.Version {
	var ga []fleet.Version
	for _, o := range region {
		if !o.Preview && !o.LongTermOnly {
			ga = append(ga, o.Version)
		}
	}
	slices.SortFunc(ga, fleet.Version.Compare)
	return slices.Compact(ga)
}

// newestMinors returns one version of each minor, newest minor first.
func newestMinors(ascending []fleet.Version) []fleet.Version {
	var minors []fleet.Version
	for _, v := range slices.Backward(ascending) {
		if len(minors) == 0 || !minors[len(minors)-1].SameMinor(v) {
			minors = append(minors, v)
		}
	}
	return minors
}

// latestOfMinor returns the newest patch of the same minor as like.
func latestOfMinor(ascending []fleet.Version, like fleet.Version) (fleet.Version, bool) {
	for _, v := range slices.Backward(ascending) {
		if v.SameMinor(like) {
			return v, true
		}
	}
	return fleet.Version{}, false
}

func list(versions []fleet.Version) string {
	if len(versions) == 0 {
		return "none"
	}
	names := make([]string, len(versions))
	for i, v := range versions {
		names[i] = v.String()
	}
	return strings.Join(names, ", ")
}
