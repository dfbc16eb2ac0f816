package azure

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Offers implements rollout.Provider. Versions come in ascending order. A pool
// without a node image on offer (one that is being made or deleted) has none in
// NodeImages.
func (p *Provider) Offers(ctx context.Context, cluster fleet.Cluster) (fleet.Offers, error) {
	a := act{clusterName(cluster.ID, cluster.Name), "read the versions on offer"}
	t, err := p.cluster(cluster.ID, a)
	if err != nil {
		return fleet.Offers{}, err
	}
	profile, err := t.clusters.GetUpgradeProfile(ctx, t.group, t.name, nil)
	if err != nil {
		return fleet.Offers{}, a.failed(ctx, err)
	}
	region, err := t.clusters.ListKubernetesVersions(ctx, cluster.Location, nil)
	if err != nil {
		return fleet.Offers{}, act{"region " + cluster.Location, a.doing}.failed(ctx, err)
	}
	images, err := p.nodeImages(ctx, t, cluster)
	if err != nil {
		return fleet.Offers{}, err
	}
	all := regional(region.Values)
	return fleet.Offers{ControlPlane: upgrades(profile.Properties, all), Region: all, NodeImages: images}, nil
}

// regional lists the versions of a region, patch by patch.
func regional(values []*armcontainerservice.KubernetesVersion) []fleet.OfferedVersion {
	var all []fleet.OfferedVersion
	for _, minor := range values {
		if minor == nil {
			continue
		}
		for patch := range minor.PatchVersions {
			v, ok := wholeVersion(patch)
			if !ok {
				continue
			}
			all = append(all, fleet.OfferedVersion{
				Version:      v,
				Preview:      minor.IsPreview != nil && *minor.IsPreview,
				LongTermOnly: longTermOnly(minor.Capabilities),
			})
		}
	}
	return ascending(all)
}

func longTermOnly(c *armcontainerservice.KubernetesVersionCapabilities) bool {
	if c == nil || len(c.SupportPlan) == 0 {
		return false
	}
	return !slices.ContainsFunc(c.SupportPlan, func(s *armcontainerservice.KubernetesSupportPlan) bool {
		return is(s, armcontainerservice.KubernetesSupportPlanKubernetesOfficial)
	})
}

// upgrades lists what a cluster's own profile offers; whether a version is only
// for long-term support is the region's to say.
func upgrades(p *armcontainerservice.ManagedClusterUpgradeProfileProperties, region []fleet.OfferedVersion) []fleet.OfferedVersion {
	if p == nil || p.ControlPlaneProfile == nil {
		return nil
	}
	var offered []fleet.OfferedVersion
	for _, u := range p.ControlPlaneProfile.Upgrades {
		if u == nil {
			continue
		}
		v, ok := wholeVersion(text(u.KubernetesVersion))
		if !ok {
			continue
		}
		o := fleet.OfferedVersion{Version: v, Preview: u.IsPreview != nil && *u.IsPreview}
		if i := slices.IndexFunc(region, func(r fleet.OfferedVersion) bool { return r.Version == v }); i >= 0 {
			o.LongTermOnly = region[i].LongTermOnly
			o.Preview = o.Preview || region[i].Preview
		}
		offered = append(offered, o)
	}
	return ascending(offered)
}

func ascending(list []fleet.OfferedVersion) []fleet.OfferedVersion {
	slices.SortFunc(list, func(a, b fleet.OfferedVersion) int { return a.Version.Compare(b.Version) })
	return slices.CompactFunc(list, func(a, b fleet.OfferedVersion) bool { return a.Version == b.Version })
}

// nodeImages asks for the newest node image of every pool.
func (p *Provider) nodeImages(ctx context.Context, t target, cluster fleet.Cluster) (map[string]string, error) {
	newest := make([]string, len(cluster.Pools))
	failures := make([]error, len(cluster.Pools))
	slots := make(chan struct{}, p.listings)
	var wait sync.WaitGroup
	for i := range cluster.Pools {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			name := cluster.Pools[i].Name
			got, err := t.pools.GetUpgradeProfile(ctx, t.group, t.name, name, nil)
			switch {
			case err == nil && got.Properties != nil:
				newest[i] = text(got.Properties.LatestNodeImageVersion)
			case err != nil && !gone(err):
				failures[i] = actOnPool(cluster, name, "read the node image on offer").failed(ctx, err)
			}
		})
	}
	wait.Wait()
	images := map[string]string{}
	for i, image := range newest {
		if failures[i] != nil {
			return nil, failures[i]
		}
		if image = strings.TrimSpace(image); image != "" {
			images[cluster.Pools[i].Name] = image
		}
	}
	return images, nil
}
