package scenario

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/template"
	"time"

	"liftlock.dev/liftlock/sim/aks"
)

// Cloud fills in what a scenario says about the cloud as a whole: everything
// but its clusters.
func (s *Scenario) Cloud(o *aks.Options, tenant string) error {
	o.Groups = map[string][]string{}
	for _, sub := range s.Subscriptions {
		o.Subscriptions = append(o.Subscriptions, aks.Subscription{ID: sub.ID, Name: sub.Name, Tenant: tenant})
		o.Groups[sub.ID] = slices.Clone(sub.ResourceGroups)
	}
	for _, cl := range s.Clusters {
		id := s.subscription(cl.Subscription).ID
		if !slices.ContainsFunc(o.Groups[id], func(group string) bool { return strings.EqualFold(group, cl.ResourceGroup) }) {
			o.Groups[id] = append(o.Groups[id], cl.ResourceGroup)
		}
	}
	for _, r := range s.Regions {
		region := aks.Region{Name: r.Name, Images: map[string][]string{}}
		maps.Copy(region.Images, r.NodeImages)
		for _, v := range r.Versions {
			version, err := aks.ParseVersion(v.Version)
			if err != nil {
				return fmt.Errorf("region %s: %w", r.Name, err)
			}
			region.Versions = append(region.Versions, aks.OfferedVersion{
				Version: version, Preview: v.Preview, LongTermOnly: v.LongTermOnly, LongTerm: v.LongTerm, Default: v.Default,
			})
		}
		o.Regions = append(o.Regions, region)
	}
	for _, q := range s.Quotas {
		o.Quotas = append(o.Quotas, aks.Quota{Subscription: s.subscription(q.Subscription).ID, Region: q.Region, Family: q.Family, Limit: q.Limit})
	}
	for _, subnet := range s.Subnets {
		prefix, err := netip.ParsePrefix(subnet.CIDR)
		if err != nil {
			return fmt.Errorf("subnet %s: %w", subnet.ID, err)
		}
		o.Subnets = append(o.Subnets, aks.Subnet{ID: subnet.ID, Prefix: prefix})
	}
	o.Pace = aks.Pace{
		ControlPlaneUpgrade: aks.Range(s.Timing.ControlPlaneUpgrade), Update: aks.Range(s.Timing.Update),
		Overhead: aks.Range(s.Timing.Overhead), Minute: time.Duration(s.Timing.Minute), Seed: uint64(s.Timing.Seed),
	}
	o.Timing = func(cluster string) aks.Timing {
		for _, cl := range s.Clusters {
			if cl.Timing != nil && strings.EqualFold(cl.Name, cluster) {
				return cl.Timing.nodesAndPods()
			}
		}
		return s.Timing.nodesAndPods()
	}
	return nil
}

// Seeds returns the clusters of the scenario.
func (s *Scenario) Seeds() ([]aks.Seed, error) {
	seeds := make([]aks.Seed, 0, len(s.Clusters))
	for i := range s.Clusters {
		seed, err := s.seed(&s.Clusters[i])
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", s.Clusters[i].Name, err)
		}
		seeds = append(seeds, seed)
	}
	return seeds, nil
}

func (s *Scenario) seed(cl *Cluster) (aks.Seed, error) {
	version, err := aks.ParseVersion(cl.Version)
	if err != nil {
		return aks.Seed{}, err
	}
	region := s.region(cl.Location)
	seed := aks.Seed{
		ID:       aks.ClusterID{Subscription: s.subscription(cl.Subscription).ID, Group: cl.ResourceGroup, Name: cl.Name},
		Location: region.Name, Version: version, Tags: cl.Tags, Stopped: cl.Stopped,
	}
	if seed.Properties, err = plain(cl.Properties); err != nil {
		return seed, err
	}
	if cl.SKU != nil {
		if seed.SKU, err = plain(cl.SKU); err != nil {
			return seed, err
		}
	}
	for _, p := range cl.Pools {
		pool := aks.PoolSeed{Name: p.Name, Version: version, Failed: p.Failed}
		if p.Version != "" {
			if pool.Version, err = aks.ParseVersion(p.Version); err != nil {
				return seed, err
			}
		}
		props := maps.Clone(p.Properties)
		if props == nil {
			props = map[string]any{}
		}
		props["count"] = p.Count
		props["mode"] = cmp.Or(p.Mode, "User")
		if p.VMSize != "" {
			props["vmSize"] = p.VMSize
		}
		if len(p.Zones) > 0 {
			props["availabilityZones"] = p.Zones
		}
		if len(p.Labels) > 0 {
			props["nodeLabels"] = p.Labels
		}
		if len(p.Taints) > 0 {
			props["nodeTaints"] = p.Taints
		}
		if pool.Properties, err = plain(props); err != nil {
			return seed, err
		}
		pool.Image = region.image(pool.Properties, p.Image)
		seed.Pools = append(seed.Pools, pool)
	}
	var manifest bytes.Buffer
	for _, name := range cl.Manifests {
		text, err := s.manifest(name, cl)
		if err != nil {
			return seed, err
		}
		manifest.WriteString("---\n")
		manifest.Write(text)
		manifest.WriteString("\n")
	}
	seed.Manifest = manifest.Bytes()
	return seed, nil
}

// image is a pool's node image: the date asked for, or the oldest of its family.
func (r *Region) image(props map[string]any, date string) string {
	sku, _ := props["osSKU"].(string)
	if osType, _ := props["osType"].(string); sku == "" && strings.EqualFold(osType, "Windows") {
		sku = "Windows2022"
	}
	name, _ := props["vmSize"].(string)
	size, _ := aks.FindVMSize(cmp.Or(name, "Standard_D4ds_v5"))
	family := aks.ImageFamily(sku, size.Architecture)
	if date == "" && len(r.NodeImages[family]) > 0 {
		date = r.NodeImages[family][0]
	}
	if date == "" {
		return ""
	}
	return family + "-" + date
}

// manifest renders a manifest for a cluster.
func (s *Scenario) manifest(name string, cl *Cluster) ([]byte, error) {
	tmpl, err := template.New(name).Delims("[[", "]]").Option("missingkey=error").Parse(s.Manifests[name].Text)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, cl.Values); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// plain turns what YAML decoded into what JSON would have.
func plain(o map[string]any) (map[string]any, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("properties: %w", err)
	}
	plain := map[string]any{}
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("properties: %w", err)
	}
	return plain, nil
}
