package scenario

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"liftlock.dev/liftlock/sim/aks"
)

var poolName = regexp.MustCompile(`^[a-z][a-z0-9]{0,11}$`)

func (c *checker) check() {
	s := c.scenario
	if len(s.Subscriptions) == 0 {
		c.add("$.subscriptions", "there must be at least one")
	}
	for i, sub := range s.Subscriptions {
		at := fmt.Sprintf("$.subscriptions[%d]", i)
		if sub.ID == "" || sub.Name == "" {
			c.add(at, "needs id and name")
		}
		for _, other := range s.Subscriptions[:i] {
			if strings.EqualFold(other.ID, sub.ID) || strings.EqualFold(other.Name, sub.Name) {
				c.add(at, "its id or name is used twice (%s)", sub.Name)
			}
		}
	}
	if len(s.Regions) == 0 {
		c.add("$.regions", "there must be at least one")
	}
	for i := range s.Regions {
		c.region(fmt.Sprintf("$.regions[%d]", i), &s.Regions[i])
	}
	for i, q := range s.Quotas {
		at := fmt.Sprintf("$.quotas[%d]", i)
		if s.subscription(q.Subscription) == nil {
			c.add(at+".subscription", "no such subscription (got %q)", q.Subscription)
		}
		if s.region(q.Region) == nil {
			c.add(at+".region", "no such region (got %q)", q.Region)
		}
		if q.Family == "" {
			c.add(at, "needs a family")
		}
	}
	for i, subnet := range s.Subnets {
		at := fmt.Sprintf("$.subnets[%d]", i)
		if subnet.ID == "" {
			c.add(at, "needs an id")
		}
		if prefix, err := netip.ParsePrefix(subnet.CIDR); err != nil || !prefix.Addr().Is4() {
			c.add(at+".cidr", "an IPv4 range such as 10.1.0.0/24 (got %q)", subnet.CIDR)
		}
	}
	for i := range s.Clusters {
		c.cluster(fmt.Sprintf("$.clusters[%d]", i), i)
	}
	for i := range s.Faults {
		at := fmt.Sprintf("$.faults[%d]", i)
		if err := s.Faults[i].Check(); err != nil {
			c.add(at, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		if region := s.Faults[i].Region; region != "" && s.region(region) == nil {
			c.add(at+".region", "no such region (got %q)", region)
		}
	}
	if s.RetryAfter < 0 {
		c.add("$.retryAfter", "seconds, or 0 for none (got %d)", s.RetryAfter)
	}
	if s.PageSize < 0 {
		c.add("$.pageSize", "how many items a page holds (got %d)", s.PageSize)
	}
	if s.Throttling.SpeedUp < 0 {
		c.add("$.throttling.speedUp", "a positive factor (got %v)", s.Throttling.SpeedUp)
	}
}

func (c *checker) region(at string, r *Region) {
	if r.Name == "" || r.Name != strings.ToLower(strings.ReplaceAll(r.Name, " ", "")) {
		c.add(at+".name", "a name such as westeurope (got %q)", r.Name)
	}
	if len(r.Versions) == 0 {
		c.add(at+".versions", "there must be at least one")
	}
	for i, v := range r.Versions {
		if parsed, err := aks.ParseVersion(v.Version); err != nil || parsed.Patch < 0 {
			c.add(fmt.Sprintf("%s.versions[%d].version", at, i), "a whole version such as 1.35.4 (got %q)", v.Version)
		}
	}
	for family, dates := range r.NodeImages {
		if len(dates) == 0 {
			c.add(at+".nodeImages."+family, "needs at least one date")
		}
		if !slices.IsSorted(dates) {
			c.add(at+".nodeImages."+family, "oldest first (got %s)", strings.Join(dates, ", "))
		}
	}
}

func (c *checker) cluster(at string, index int) {
	s := c.scenario
	cl := &s.Clusters[index]
	if cl.Name == "" || cl.ResourceGroup == "" {
		c.add(at, "needs name and resourceGroup")
	}
	if slices.ContainsFunc(s.Clusters[:index], func(other Cluster) bool {
		return strings.EqualFold(other.Name, cl.Name) && strings.EqualFold(other.ResourceGroup, cl.ResourceGroup) && other.Subscription == cl.Subscription
	}) {
		c.add(at+".name", "is used twice in its resource group (got %q)", cl.Name)
	}
	if s.subscription(cl.Subscription) == nil {
		c.add(at+".subscription", "no such subscription (got %q)", cl.Subscription)
	}
	region := s.region(cl.Location)
	if region == nil {
		c.add(at+".location", "no such region (got %q)", cl.Location)
	}
	version, err := aks.ParseVersion(cl.Version)
	if err != nil || version.Patch < 0 {
		c.add(at+".version", "a whole version such as 1.35.4 (got %q)", cl.Version)
	}
	systems := 0
	for i, p := range cl.Pools {
		where := fmt.Sprintf("%s.pools[%d]", at, i)
		if !poolName.MatchString(p.Name) {
			c.add(where+".name", "at most 12 lower-case letters and digits, a letter first (got %q)", p.Name)
		}
		if slices.ContainsFunc(cl.Pools[:i], func(other Pool) bool { return other.Name == p.Name }) {
			c.add(where+".name", "is used twice (got %q)", p.Name)
		}
		switch p.Mode {
		case "System":
			systems++
			if p.Count < 1 {
				c.add(where+".count", "a system pool needs at least one node (got %d)", p.Count)
			}
		case "User", "":
		default:
			c.add(where+".mode", "System or User (got %q)", p.Mode)
		}
		if p.Count < 0 || p.Count > 1000 {
			c.add(where+".count", "from 0 to 1000 (got %d)", p.Count)
		}
		if p.VMSize != "" {
			if _, ok := aks.FindVMSize(p.VMSize); !ok {
				c.add(where+".vmSize", "one of %s (got %q)", strings.Join(aks.VMSizeNames(), ", "), p.VMSize)
			}
		}
		if p.Version != "" {
			if v, err := aks.ParseVersion(p.Version); err != nil || v.Patch < 0 {
				c.add(where+".version", "a whole version such as 1.35.4 (got %q)", p.Version)
			}
		}
	}
	if systems == 0 {
		c.add(at+".pools", "at least one must have mode System")
	}
	for i, name := range cl.Manifests {
		if _, ok := s.Manifests[name]; !ok {
			c.add(fmt.Sprintf("%s.manifests[%d]", at, i), "no such manifest (got %q)", name)
		} else if _, err := s.manifest(name, cl); err != nil {
			c.add(fmt.Sprintf("%s.manifests[%d]", at, i), "%v", err)
		}
	}
}

func (s *Scenario) subscription(nameOrID string) *Subscription {
	for i := range s.Subscriptions {
		if strings.EqualFold(s.Subscriptions[i].ID, nameOrID) || strings.EqualFold(s.Subscriptions[i].Name, nameOrID) {
			return &s.Subscriptions[i]
		}
	}
	return nil
}

func (s *Scenario) region(name string) *Region {
	for i := range s.Regions {
		if strings.EqualFold(s.Regions[i].Name, name) {
			return &s.Regions[i]
		}
	}
	return nil
}
