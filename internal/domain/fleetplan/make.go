package fleetplan

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/gate"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// Make puts together what a rollout would do. What stands in the way is named,
// and the times are those that it takes once that is out of the way.
func Make(in *Input) Plan {
	m := &maker{in: in, cores: coresOf(in.Clusters), proven: slices.Clone(in.Proven), images: map[string]Image{}}
	m.out = Plan{
		APIVersion: APIVersion, Kind: Kind, CreatedAt: in.Now, Fleet: in.Spec.Name, File: in.File, Ongoing: in.Ongoing,
		Target: Target{Channel: in.Spec.Target.Channel, Resolved: append([]Resolved{}, in.Resolved...)},
		Rings:  []Ring{}, Unassigned: []string{}, Obstacles: []string{},
	}
	for _, family := range slices.Sorted(maps.Keys(in.Images)) {
		m.images[family] = Image{Family: family, Image: in.Images[family], Source: "the ledger holds it, proven by this rollout"}
	}
	m.basis()
	m.ledger()
	if o := in.Ongoing; o != nil && !o.SameFile {
		m.out.Obstacles = append(m.out.Obstacles, fmt.Sprintf("rollout %s has not ended and was started with another Fleet file: a rollout of this one is refused until it has; let it end, or: liftlock abort --rollout %s", o.Rollout, o.Rollout))
	}
	m.usual, m.late = in.Now, in.Now
	for i := range in.Spec.Rings {
		m.ring(i)
	}
	m.total()
	return m.out
}

// maker makes one plan.
type maker struct {
	in    *Input
	out   Plan
	cores map[string]int // vCPUs of a node by VM size
	// proven and images are what rings have proven by the time that the next one
	// starts.
	proven []fleet.Version
	images map[string]Image
	proves bool // an earlier ring proves something
	// usual and late are when the rings so far have soaked.
	usual, late time.Time
	stuck       bool // a ring before never comes to its end
}

// coresOf reads from nodes how many vCPUs their VM size has. What they can
// allocate is a little less.
func coresOf(clusters []ClusterInput) map[string]int {
	cores := map[string]int{}
	for i := range clusters {
		c := &clusters[i]
		for k := range c.Nodes {
			n := &c.Nodes[k]
			if p := c.Cluster.Pool(n.Pool); p != nil && n.Allocatable.MilliCPU > 0 {
				cores[p.VMSize] = max(cores[p.VMSize], int((n.Allocatable.MilliCPU+999)/1000))
			}
		}
	}
	return cores
}

// basis keeps what must still be so when the plan is carried out.
func (m *maker) basis() {
	m.out.Basis = BasisOf(m.in)
	for i := range m.in.Clusters {
		if c := &m.in.Clusters[i]; c.Ring == "" {
			m.out.Unassigned = append(m.out.Unassigned, c.Cluster.Name)
		}
	}
}

// BasisOf is what a plan of the input is made from, but for what its steps add.
func BasisOf(in *Input) Basis {
	b := Basis{Clusters: []BasisCluster{}, Offers: []BasisOffers{}, Images: map[string]string{}, Ledger: NewestProven(in.Ledger), Stops: []fleet.Version{}}
	for i := range in.Clusters {
		c := &in.Clusters[i]
		if c.Ring == "" {
			continue
		}
		bc := BasisCluster{
			ID: c.Cluster.ID, Name: c.Cluster.Name, Ring: c.Ring, Version: c.Cluster.Version, Stopped: c.Cluster.Stopped,
			UpgradeChannel: c.Cluster.UpgradeChannel, NodeOSChannel: c.Cluster.NodeOSUpgradeChannel, Pools: []BasisPool{},
		}
		bc.To, _ = in.target(c)
		for k := range c.Cluster.Pools {
			p := &c.Cluster.Pools[k]
			bc.Pools = append(bc.Pools, BasisPool{
				Name: p.Name, Version: p.Version, Image: p.Image, VMSize: p.VMSize, Count: p.Count, Autoscaler: p.Autoscaler,
				Strategy: in.policy(c)(p.Name).Strategy, Stopped: p.Stopped,
			})
		}
		b.Clusters = append(b.Clusters, bc)
		known := slices.ContainsFunc(b.Offers, func(o BasisOffers) bool {
			return o.Subscription == c.Cluster.Subscription && o.Location == c.Cluster.Location
		})
		if known || len(c.Offers.Region) == 0 {
			continue
		}
		o := BasisOffers{Subscription: c.Cluster.Subscription, Location: c.Cluster.Location, Versions: []fleet.Version{}}
		for _, v := range c.Offers.Region {
			if !v.Preview {
				o.Versions = append(o.Versions, v.Version)
			}
		}
		slices.SortFunc(o.Versions, fleet.Version.Compare)
		b.Offers = append(b.Offers, o)
	}
	for i := range in.Spec.Rings {
		if newest := in.newestOf(in.Spec.Rings[i].Name); len(newest) > 0 {
			b.Images = newest
			break // later rings are pinned to what this one proves
		}
	}
	return b
}

// newestOf is the newest image of each family in a ring, as far as it is known.
func (in *Input) newestOf(ring string) map[string]string {
	newest := map[string]string{}
	for i := range in.Clusters {
		c := &in.Clusters[i]
		if c.Ring != ring || c.Cluster.Stopped {
			continue
		}
		for k := range c.Cluster.Pools {
			p := &c.Cluster.Pools[k]
			if image := c.Offers.NodeImages[p.Name]; image != "" && !p.Stopped {
				newest[p.ImageFamily()] = image
			}
		}
	}
	return newest
}

func (in *Input) policy(c *ClusterInput) func(pool string) fleet.NodePolicy {
	return func(pool string) fleet.NodePolicy {
		return in.Spec.NodePolicyFor(c.Ring, c.Cluster.Name, pool, plan.Match)
	}
}

// target is where a cluster goes.
func (in *Input) target(c *ClusterInput) (fleet.Version, bool) {
	if !c.To.IsZero() {
		return c.To, true
	}
	return in.Target(c.Cluster.Version)
}

// ledger says what earlier rollouts have proven of the versions that are gone to.
func (m *maker) ledger() {
	for i := range m.out.Target.Resolved {
		r := &m.out.Target.Resolved[i]
		for _, e := range m.in.Ledger {
			if e.Kind == fleet.LedgerKubernetes && e.Version == r.Version.String() {
				r.Proven = fmt.Sprintf("ring %s has proven it in rollout %s on %s", e.Ring, e.Rollout, e.ProvenAt.UTC().Format(time.DateOnly))
			}
		}
	}
}

// ring plans one ring.
func (m *maker) ring(order int) {
	spec := &m.in.Spec.Rings[order]
	known := m.in.Rings[spec.Name]
	r := Ring{
		Name: spec.Name, Order: order, State: known.State, OnClose: spec.OnClose, SoakSeconds: spec.Soak.Seconds(),
		Images: []Image{}, Clusters: []Cluster{}, Peaks: []Peak{}, Obstacles: []string{},
		Before: m.approvals(spec.Before, known.Given), After: m.approvals(spec.After, known.Given),
		Calendar: Calendar{Openings: []Opening{}, Freezes: []Freeze{}, Fit: Fit{Verdict: NothingToFit, Change: []string{}}},
	}
	hours := RingHours{
		Ring: *spec, Hours: Hours{Windows: spec.Windows, Freezes: slices.Concat(m.in.Spec.Freezes, spec.Freezes), OnClose: spec.OnClose},
		From: m.usual, FromLate: m.late, Names: map[string]string{},
	}
	r.TimeZone = hours.Zone().String()
	r.Source = m.source()
	var proven []fleet.Version
	images := map[string]Image{}
	for i := range m.in.Clusters {
		c := &m.in.Clusters[i]
		if c.Ring != spec.Name {
			continue
		}
		made, walk := m.cluster(c)
		r.Clusters = append(r.Clusters, made)
		hours.Names[c.Cluster.ID] = c.Cluster.Name
		if made.LeftAlone != "" {
			continue
		}
		proven = append(append(proven, walk.Stops...), made.To)
		for family, image := range walk.Images {
			if pinned, ok := m.images[family]; ok {
				images[family] = pinned
			} else if _, ok := images[family]; !ok && image != "" {
				images[family] = Image{Family: family, Image: image, Source: "the newest on offer to cluster " + c.Cluster.Name + " now"}
			}
		}
		if !ended(c.State) {
			hours.Usual = append(hours.Usual, m.work(&made, spec.OnClose, func(f evacuate.Forecast) float64 { return f.P50 }))
			hours.Late = append(hours.Late, m.work(&made, spec.OnClose, func(f evacuate.Forecast) float64 { return f.P90 }))
		}
	}
	for _, family := range slices.Sorted(maps.Keys(images)) {
		r.Images = append(r.Images, images[family])
	}
	r.Concurrency = spec.Concurrency.Of(len(r.Clusters))
	hours.AtOnce = r.Concurrency
	r.Obstacles = append(r.Obstacles, m.inTheWay(spec, &r)...)
	if !ended(known.State) {
		m.schedule(&r, &hours)
	}
	r.Peaks = Peaks(r.Name, r.Clusters, r.Concurrency, m.cores)
	for i := range r.Clusters {
		r.NodeHours += r.Clusters[i].NodeHours
	}
	r.NodeHours = cents(r.NodeHours)
	if len(hours.Usual) > 0 {
		r.Bound = boundOf(&r)
	}
	m.out.Rings = append(m.out.Rings, r)
	if len(proven) > 0 {
		m.proves = true
	}
	for _, v := range proven {
		if !slices.Contains(m.proven, v) {
			m.proven = append(m.proven, v)
		}
		if !slices.Contains(m.out.Basis.Stops, v) {
			m.out.Basis.Stops = append(m.out.Basis.Stops, v)
		}
	}
	for family, image := range images {
		if _, ok := m.images[family]; !ok {
			m.images[family] = Image{Family: family, Image: image.Image, Source: "pinned to what ring " + spec.Name + " is to prove"}
		}
	}
}

// schedule fills in when a ring works, and when the next one may start.
func (m *maker) schedule(r *Ring, hours *RingHours) {
	if m.stuck {
		r.Obstacles = append(r.Obstacles, "a ring before it would never come to its end")
	}
	calendar, usual, ok := hours.Fill()
	r.Calendar = calendar
	for _, s := range usual.Slots {
		for i := range r.Clusters {
			if c := &r.Clusters[i]; c.ID == s.ID {
				c.Starts, c.Ends = s.Starts, s.Ends
			}
		}
	}
	whole := func(works []Work) float64 {
		t := Schedule(Hours{}, r.Concurrency, works, m.in.Now)
		if len(t.Slots) == 0 {
			return 0
		}
		return t.Ends().Sub(m.in.Now).Seconds()
	}
	r.Work = evacuate.Forecast{P50: whole(hours.Usual), P90: whole(hours.Late)}
	if !ok {
		m.stuck = true
		return
	}
	m.usual, m.late = calendar.Proven, calendar.ProvenLate
}

// source says where the versions of a ring come from.
func (m *maker) source() string {
	switch {
	case len(m.in.Proven) > 0:
		return fmt.Sprintf("what the ledger holds of rollout %s: %s", m.in.Ongoing.Rollout, versions(m.in.Proven))
	case m.proves:
		return "only what the rings before are to prove: " + versions(m.proven)
	}
	var from []string
	for _, r := range m.in.Resolved {
		s := fmt.Sprintf("%s: %s", r.Version, r.Why)
		if r.Cluster != "" {
			s += fmt.Sprintf(" (offered to cluster %s in %s)", r.Cluster, r.Location)
		}
		from = append(from, s)
	}
	return strings.Join(from, "; ")
}

func (m *maker) approvals(needed []fleet.Approval, given []gate.Given) []Approval {
	list := []Approval{}
	for _, n := range needed {
		a := Approval{Name: n.Name, Role: n.Role, ExpiresSeconds: n.Expires.Seconds()}
		if missing, _ := gate.Missing([]fleet.Approval{n}, given, m.in.Now); len(missing) == 0 {
			for _, g := range given {
				if g.Name == n.Name && g.Role == n.Role {
					a.GivenBy = g.By
				}
			}
		}
		list = append(list, a)
	}
	return list
}

// inTheWay says what is in the way of a ring as a whole.
func (m *maker) inTheWay(spec *fleet.Ring, r *Ring) []string {
	var list, alone, unproven []string
	for i := range r.Clusters {
		c := &r.Clusters[i]
		switch {
		case c.LeftAlone != "":
			alone = append(alone, c.Name)
		case m.proves && !slices.Contains(m.proven, c.To):
			unproven = append(unproven, fmt.Sprintf("%s (for %s)", c.To, c.Name))
		}
	}
	switch total := len(r.Clusters); {
	case total == 0:
		return nil
	case len(alone) == total:
		list = append(list, fmt.Sprintf("all its clusters would be set aside (%s): it would fail, and the rollout end there", few(alone)))
	case spec.Failures.FailOnSetAside && len(alone) > spec.Failures.Allowed.Of(total):
		list = append(list, fmt.Sprintf("%d of %d clusters would be set aside, which counts as failed here, and %d may", len(alone), total, spec.Failures.Allowed.Of(total)))
	}
	if len(unproven) > 0 {
		list = append(list, fmt.Sprintf("no earlier ring proves %s; give an earlier ring a cluster of that version, or skip these", strings.Join(unproven, ", ")))
	}
	return list
}

// total adds the rings up.
func (m *maker) total() {
	p := &m.out
	p.Peaks = highest(p.Rings)
	worst := 0.0
	for i := range p.Rings {
		r := &p.Rings[i]
		p.Work.P50 += r.Work.P50
		p.Work.P90 += r.Work.P90
		p.ExtraNodeHours += r.NodeHours
		p.Bound.Seconds += r.Bound.Seconds
		if r.Bound.Seconds > worst {
			worst = r.Bound.Seconds
			p.Bound.Term, p.Bound.Object = r.Bound.Term, r.Bound.Object
		}
	}
	p.ExtraNodeHours = cents(p.ExtraNodeHours)
	slices.SortFunc(p.Basis.Stops, fleet.Version.Compare)
	if m.stuck {
		return
	}
	p.Ends, p.EndsLate = m.usual, m.late
	p.Forecast = evacuate.Forecast{P50: m.usual.Sub(m.in.Now).Seconds(), P90: m.late.Sub(m.in.Now).Seconds()}
}

func ended(s fleet.State) bool { return s != "" && s.Ended() }

func cents(x float64) float64 { return math.Round(x*100) / 100 }

func versions(list []fleet.Version) string {
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = v.String()
	}
	return strings.Join(names, ", ")
}
