package aks

import (
	"encoding/json"
	"slices"
	"strings"
)

// KubernetesVersions lists what a region offers.
func (c *Cloud) KubernetesVersions(location string) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	region := c.regions[strings.ToLower(strings.ReplaceAll(location, " ", ""))]
	if region == nil {
		return nil, &Error{
			Status: 400, Code: "NoRegisteredProviderFound", ARM: true,
			Message: "No registered resource provider found for location '" + location + "' and API version for type 'locations/kubernetesVersions'.",
		}
	}
	minors := map[string]object{}
	var names []string
	for _, offer := range region.Versions {
		minor := offer.MinorString()
		entry, ok := minors[minor]
		if !ok {
			entry = object{"version": minor, "patchVersions": object{}}
			minors[minor] = entry
			names = append(names, minor)
		}
		plans := []string{}
		if !offer.LongTermOnly {
			plans = append(plans, planOfficial)
		}
		if offer.LongTerm || offer.LongTermOnly {
			plans = append(plans, planLongTerm)
		}
		entry["capabilities"] = object{"supportPlan": plans}
		if offer.Preview {
			entry["isPreview"] = true
		}
		if offer.Default {
			entry["isDefault"] = true
		}
		plan := planOfficial
		if offer.LongTermOnly {
			plan = planLongTerm
		}
		upgrades := []string{}
		for _, next := range region.upgrades(offer.Version, plan) {
			upgrades = append(upgrades, next.String())
		}
		entry.object("patchVersions")[offer.String()] = object{"upgrades": upgrades}
	}
	slices.SortFunc(names, func(a, b string) int {
		x, _ := ParseVersion(a)
		y, _ := ParseVersion(b)
		return y.Compare(x)
	})
	values := make([]object, 0, len(names))
	for _, name := range names {
		values = append(values, minors[name])
	}
	return toJSON(object{"values": values}), nil
}

func upgradeItems(offers []OfferedVersion) []object {
	items := make([]object, 0, len(offers))
	for _, offer := range offers {
		item := object{"kubernetesVersion": offer.String()}
		if offer.Preview {
			item["isPreview"] = true
		}
		items = append(items, item)
	}
	return items
}

// UpgradeProfile says what a cluster may be upgraded to.
func (c *Cloud) UpgradeProfile(id ClusterID) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return nil, err
	}
	profile := func(name, osType string, version Version, offers []OfferedVersion) object {
		o := object{"kubernetesVersion": version.String(), "osType": osType}
		if name != "" {
			o["name"] = name
		}
		if len(offers) > 0 {
			o["upgrades"] = upgradeItems(offers)
		}
		return o
	}
	pools := make([]object, 0, len(cl.pools))
	for _, p := range cl.pools {
		pools = append(pools, profile(p.name, p.props.text("osType"), p.version, cl.poolUpgrades(p)))
	}
	return toJSON(object{
		"id": id.String() + "/upgradeprofiles/default", "name": "default", "type": clusterType + "/upgradeprofiles",
		"properties": object{
			"controlPlaneProfile": profile("", "Linux", cl.version, cl.region.upgrades(cl.version, cl.plan())),
			"agentPoolProfiles":   pools,
		},
	}), nil
}

// poolUpgrades are the versions that a pool may be taken to now: newer than its
// own, not newer than its control plane's.
func (cl *cluster) poolUpgrades(p *pool) []OfferedVersion {
	var offers []OfferedVersion
	for _, offer := range cl.region.Versions {
		if p.version.Less(offer.Version) && !cl.version.Less(offer.Version) && offer.supported(cl.plan()) {
			offers = append(offers, offer)
		}
	}
	if p.version.Less(cl.version) && !slices.ContainsFunc(offers, func(o OfferedVersion) bool { return o.Version == cl.version }) {
		offers = append(offers, OfferedVersion{Version: cl.version})
	}
	slices.SortFunc(offers, func(a, b OfferedVersion) int { return a.Compare(b.Version) })
	return offers
}

// PoolUpgradeProfile says what a pool may be upgraded to, and its newest image.
func (c *Cloud) PoolUpgradeProfile(id ClusterID, name string) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, p, err := c.findPool(id, name)
	if err != nil {
		return nil, err
	}
	props := object{
		"kubernetesVersion": p.version.String(), "osType": p.props.text("osType"),
		"latestNodeImageVersion": cl.region.latestImage(p.family()),
		"recentlyUsedVersions":   []object{},
	}
	if offers := cl.poolUpgrades(p); len(offers) > 0 {
		props["upgrades"] = upgradeItems(offers)
	}
	return toJSON(object{
		"id": id.pool(p.name) + "/upgradeProfiles/default", "name": "default", "type": clusterType + "/agentPools/upgradeProfiles",
		"properties": props,
	}), nil
}

// AvailablePoolVersions lists the versions that a new pool of the cluster may have.
func (c *Cloud) AvailablePoolVersions(id ClusterID) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, err := c.find(id)
	if err != nil {
		return nil, err
	}
	items := []object{}
	for _, offer := range cl.region.Versions {
		if skew(offer.Version, cl.version) == nil && offer.supported(cl.plan()) {
			item := object{"kubernetesVersion": offer.String()}
			if offer.Version == cl.version {
				item["default"] = true
			}
			if offer.Preview {
				item["isPreview"] = true
			}
			items = append(items, item)
		}
	}
	return toJSON(object{
		"id": id.String() + "/availableAgentPoolVersions", "name": "default", "type": clusterType + "/availableAgentPoolVersions",
		"properties": object{"agentPoolVersions": items},
	}), nil
}

// Machines lists the machines of a pool, or the one of the given name.
func (c *Cloud) Machines(id ClusterID, name, machine string) ([]json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, p, err := c.findPool(id, name)
	if err != nil {
		return nil, err
	}
	list := []json.RawMessage{}
	for _, n := range p.nodes {
		if machine != "" && !strings.EqualFold(n.name, machine) {
			continue
		}
		spec := cl.spec(p, n)
		o := object{
			"id": id.pool(p.name) + "/machines/" + n.name, "name": n.name, "type": clusterType + "/agentPools/machines",
			"properties": object{
				"resourceId": strings.TrimPrefix(spec.ProviderID, "azure://"), "provisioningState": stateSucceeded,
				"kubernetes":       object{"orchestratorVersion": n.version.String(), "currentOrchestratorVersion": n.version.String()},
				"nodeImageVersion": n.image,
			},
		}
		if _, zone, ok := strings.Cut(n.zone, "-"); ok {
			o["zones"] = []string{zone}
		}
		list = append(list, toJSON(o))
	}
	if machine != "" && len(list) == 0 {
		return nil, &Error{Status: 404, Code: "NotFound", Message: "Could not find the machine \"" + machine + "\" in agent pool \"" + p.name + "\"."}
	}
	return list, nil
}
