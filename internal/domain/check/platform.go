package check

import (
	"fmt"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// platformChecks are about what the provider says of a cluster.
func platformChecks() []Check {
	return []Check{offerCheck(), wayCheck(), operationCheck(), channelCheck(), poolCheck()}
}

// offerCheck asks whether the target is to be had.
func offerCheck() Check {
	return Check{
		Name: "version-offered", Group: Platform, Title: "The target is on offer", Needs: []Need{NeedProvider, NeedOffers},
		Doc:   "A region may not have a version yet, or no longer, or have it as a preview or under long-term support only.",
		Finds: []Kind{{"version-not-offered", "the region does not offer the target to this cluster"}},
		Run: func(f *Facts) []fleet.Finding {
			if f.NoTarget != "" {
				return []fleet.Finding{{
					ID: "version-not-offered", Severity: fleet.Blocker, Object: "Cluster/" + f.Cluster,
					What: f.NoTarget, Remedy: "choose a version that is on offer; or wait until the region has it",
				}}
			}
			return nil
		},
	}
}

// wayCheck works out the stops to the target.
func wayCheck() Check {
	return Check{
		Name: "hops", Group: Platform, Title: "The way to the target", Needs: []Need{NeedProvider, NeedOffers, NeedTarget},
		Doc: "Control planes go one minor at a time, and pools may be three behind. The stops in between must be on offer, too; pools that cannot follow hold the control plane up.",
		Finds: []Kind{
			{"no-way-to-target", "a stop on the way is not on offer, or the target is behind"},
			{"way-to-target", "the stops, and where the nodes follow"},
			{"pools-go-along", "the provider raises this cluster's pools along with its control plane"},
			{"pool-stopped", "a stopped pool cannot follow"},
		},
		Run: judgeWay,
	}
}

func judgeWay(f *Facts) []fleet.Finding {
	c := f.Managed
	var versions []fleet.Version
	var out []fleet.Finding
	for i := range c.Pools {
		p := &c.Pools[i]
		if !p.Stopped {
			versions = append(versions, p.Version)
			continue
		}
		finding := fleet.Finding{
			ID: "pool-stopped", Severity: fleet.Info, Object: "Pool/" + p.Name,
			What: fmt.Sprintf("pool %s is stopped at %s and is not upgraded", p.Name, p.Version), Remedy: "start it; or delete it, if nobody needs it",
		}
		if f.Target.Minor-p.Version.Minor > plan.MaxSkew {
			finding.Severity = fleet.Blocker
			finding.Why = fmt.Sprintf("the control plane cannot go to %s: at most %d minors may lie between it and a pool", f.Target, plan.MaxSkew)
		}
		out = append(out, finding)
	}
	hops, err := plan.Hops(c.Version, versions, f.Target, f.Offers.Region, c.ControlPlaneAlone())
	if err != nil {
		return append(out, fleet.Finding{
			ID: "no-way-to-target", Severity: fleet.Blocker, Object: "Cluster/" + f.Cluster, What: err.Error(),
			Remedy: "choose a target that can be reached; or wait until the stop in between is on offer",
		})
	}
	if len(hops) > 0 {
		var stops []string
		for _, h := range hops {
			stop := h.ControlPlane.String()
			if h.NodePass {
				stop += " with nodes"
			}
			stops = append(stops, stop)
		}
		out = append(out, fleet.Finding{
			ID: "way-to-target", Severity: fleet.Info, Object: "Cluster/" + f.Cluster,
			What:     fmt.Sprintf("from %s to %s in %s: %s", c.Version, f.Target, counted(len(hops), "stop", "stops"), strings.Join(stops, ", then ")),
			Evidence: strings.Join(stops, "\n"),
		})
	}
	if next := firstStop(hops, c.Version); !next.IsZero() && len(f.Offers.ControlPlane) > 0 &&
		!slices.ContainsFunc(f.Offers.ControlPlane, func(o fleet.OfferedVersion) bool { return o.Version == next }) {
		out = append(out, fleet.Finding{
			ID: "no-way-to-target", Severity: fleet.Blocker, Object: "Cluster/" + f.Cluster,
			What:   fmt.Sprintf("the provider does not offer %s, the next stop, to this cluster", next),
			Remedy: "wait until it does; or choose another target",
		})
	}
	if !c.ControlPlaneAlone() {
		for i := range c.Pools {
			if p := &c.Pools[i]; f.policy(p.Name).Strategy != fleet.InPlace {
				out = append(out, fleet.Finding{
					ID: "pools-go-along", Severity: fleet.Blocker, Object: "Pool/" + p.Name,
					What:   fmt.Sprintf("the provider takes pool %s along with the control plane, so strategy %s cannot be kept", p.Name, f.policy(p.Name).Strategy),
					Why:    fmt.Sprintf("maxAgentPools is %d, or a pool is an availability set", c.MaxPools),
					Remedy: "use strategy inPlace for all its pools; or move its workloads to a new cluster",
				})
			}
		}
	}
	return out
}

// firstStop is the version that the control plane is raised to first; zero where
// it stays.
func firstStop(hops []plan.Hop, at fleet.Version) fleet.Version {
	for _, h := range hops {
		if h.ControlPlane != at {
			return h.ControlPlane
		}
	}
	return fleet.Version{}
}

// operationCheck asks what the provider is at.
func operationCheck() Check {
	return Check{
		Name: "operations", Group: Platform, Title: "Operations, failures and stops", Needs: []Need{NeedProvider},
		Doc: "A provider takes one operation at a time. What ended Failed has to be resumed before anything else, and a stopped cluster has no API server to ask.",
		Finds: []Kind{
			{"operation-in-progress", "another operation runs on the cluster or a pool"},
			{"provisioning-failed", "the provider's last operation on the cluster or a pool failed"},
			{"cluster-stopped", "the cluster is stopped"},
		},
		Run: func(f *Facts) []fleet.Finding {
			c := f.Managed
			var out []fleet.Finding
			if c.Stopped {
				out = append(out, fleet.Finding{
					ID: "cluster-stopped", Severity: fleet.Warning, Object: "Cluster/" + f.Cluster,
					What: "the cluster is stopped", Why: "a rollout sets it aside, and its versions fall behind", Remedy: "start it before its ring's turn; or take it out of the fleet",
				})
			}
			if what, busy := c.Busy(); busy {
				out = append(out, fleet.Finding{
					ID: "operation-in-progress", Severity: fleet.Warning, Object: "Cluster/" + f.Cluster,
					What: "the provider is at work: " + what, Why: "a rollout waits until that has ended", Remedy: "wait; or find out who started it, if it was not meant",
				})
			}
			failed := func(object, state, why string) {
				if !strings.EqualFold(state, "Failed") && !strings.EqualFold(state, "Canceled") {
					return
				}
				out = append(out, fleet.Finding{
					ID: "provisioning-failed", Severity: fleet.Warning, Object: object,
					What: "the provider's last operation on it ended " + state, Why: why,
					Remedy: "mend what the provider names; a rollout asks it to resume, up to three times",
				})
			}
			failed("Cluster/"+f.Cluster, c.ProvisioningState, c.ProvisioningError)
			for i := range c.Pools {
				p := &c.Pools[i]
				failed("Pool/"+p.Name, p.ProvisioningState, p.ProvisioningError)
			}
			return out
		},
	}
}

// channelCheck asks for automatic upgrades that would race a rollout.
func channelCheck() Check {
	return Check{
		Name: "upgrade-channels", Group: Platform, Title: "Automatic upgrades of the provider", Needs: []Need{NeedProvider},
		Doc:   "With an upgrade channel set, the provider upgrades by itself, at its own time and past every ring. Liftlock either reports that, or sets the channels aside for the rollout (spec.channels).",
		Finds: []Kind{{"upgrade-channel-races", "an automatic upgrade channel is on"}, {"node-image-channel-races", "the provider replaces node images by itself"}},
		Run: func(f *Facts) []fleet.Finding {
			c := f.Managed
			var out []fleet.Finding
			add := func(id, setting, channel string, severity fleet.Severity) {
				finding := fleet.Finding{
					ID: id, Severity: severity, Object: "Cluster/" + f.Cluster,
					What:   fmt.Sprintf("%s is %s: the provider's own upgrades would race a rollout", setting, channel),
					Remedy: "set spec.channels: setAside, which switches it off meanwhile; or switch it off yourself",
				}
				if f.Channels == fleet.ChannelsSetAside {
					finding.Severity, finding.Remedy = fleet.Info, ""
					finding.What = fmt.Sprintf("%s is %s: it is set aside for the rollout and restored afterwards", setting, channel)
				}
				out = append(out, finding)
			}
			if on := c.UpgradeChannel; on != "" && !strings.EqualFold(on, "none") {
				add("upgrade-channel-races", "upgradeChannel", on, fleet.Blocker)
			}
			if on := c.NodeOSUpgradeChannel; strings.EqualFold(on, "NodeImage") {
				add("node-image-channel-races", "nodeOSUpgradeChannel", on, fleet.Warning)
			}
			return out
		},
	}
}

// poolCheck asks what the settings of pools mean for their replacement.
func poolCheck() Check {
	return Check{
		Name: "pool-settings", Group: Platform, Title: "Settings of pools", Needs: []Need{NeedProvider},
		Doc: "Some settings of a pool cannot be given to a new one, and few extra nodes change how far the way back reaches.",
		Finds: []Kind{
			{"pool-setting-not-copied", "a new pool cannot have one of its settings"},
			{"pool-rolls", "it is replaced a few nodes at a time"},
			{"pool-extra-nodes-too-few", "fewer extra nodes than zones"},
		},
		Run: func(f *Facts) []fleet.Finding {
			var out []fleet.Finding
			for i := range f.Managed.Pools {
				p := &f.Managed.Pools[i]
				if p.Stopped || !f.Target.IsZero() && p.Version == f.Target || p.Tags[plan.TagFor] != "" {
					continue
				}
				out = append(out, poolSettings(p, f.policy(p.Name))...)
			}
			return out
		},
	}
}
