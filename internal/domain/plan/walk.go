package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Walk is a cluster's way to its target on paper: the steps that the decisions
// of this package would take one after the other, if all of them went well.
type Walk struct {
	Legs []Leg
	// Hops are the stops that are decided on at the start.
	Hops []Hop
	// Stops are the versions that the control plane is raised to, in order.
	Stops []fleet.Version
	// Images is the node image of each family that new nodes get, as far as known.
	Images map[string]string
	// SetAside says why the cluster would be left as it is, Blocked why it would
	// stand still on the way; "" where it arrives.
	SetAside string
	Blocked  string
}

// Leg is a part of the way: one step of the cluster itself, or one pool on one
// version with all its steps.
type Leg struct {
	Kind    StepKind
	Version fleet.Version
	Reason  string
	Pass    *Pass // for StepPool
}

// Pass is how one pool comes to one version.
type Pass struct {
	Pool     string // by its name at that time
	Origin   string // the pool of today that it descends from
	Strategy fleet.Strategy
	From, To fleet.Version
	Image    string // that it ends on; "" for the newest, where nobody says which that is
	Nodes    int    // of the pool, before
	Extra    int    // nodes that there are beside those at the most; 0 where the provider decides
	Ends     string // name of the pool that holds the pods in the end
	Steps    []PaperStep
	Soak     time.Duration // all soaks of the pass
}

// PaperStep is a step of a pool as it is told beforehand. Rounds that follow
// each other are told once.
type PaperStep struct {
	Kind            StepKind
	Target          string
	Receiving       string
	Count           int // nodes that it is about, where it is about some
	Times           int // rounds
	Soak            time.Duration
	PointOfNoReturn bool
	Reason          string
}

// longestWalk is how many steps a walk may have; decisions that go on for longer
// go in circles.
const longestWalk = 100_000

// TakeWalk lets the decisions take a cluster to its target on paper. What the
// provider and the pods do is taken to succeed. Without nodes in the view, each
// pool is taken to have those that the provider claims.
func TakeWalk(v ClusterView, rollout string, now time.Time) Walk {
	w := &walker{view: v, now: now, rollout: rollout, empty: map[string]bool{}, origin: map[string]string{}}
	w.view.Cluster.Pools = slices.Clone(v.Cluster.Pools)
	w.view.Nodes = nil
	w.view.Nodes = append(w.view.Nodes, v.Nodes...)
	for i := range w.view.Cluster.Pools {
		p := &w.view.Cluster.Pools[i]
		w.origin[strings.ToLower(p.Name)] = p.Name
		if v.Nodes == nil {
			w.fill(p, p.Count)
		}
	}
	w.out.Images = map[string]string{}
	w.walk()
	return w.out
}

// walker is a walk under way.
type walker struct {
	view    ClusterView
	now     time.Time
	rollout string
	out     Walk
	steps   int
	serial  int
	empty   map[string]bool   // nodes from which the pods have gone
	origin  map[string]string // by lower-case pool name
}

func (w *walker) walk() {
	c := &w.view.Cluster
	for {
		if w.steps++; w.steps > longestWalk {
			w.out.Blocked = fmt.Sprintf("no end is found after %d steps", longestWalk)
			return
		}
		step := NextClusterStep(w.view)
		if w.out.Hops == nil {
			w.out.Hops = step.Hops
		}
		switch step.Kind {
		case StepSetAside:
			w.out.SetAside = step.Reason
			return
		case StepRefuse:
			w.out.Blocked = step.Reason
			return
		case StepAwait:
			w.leg(step)
			w.settleAll()
		case StepReconcile:
			w.leg(step)
			c.ProvisioningState = "Succeeded"
		case StepSetChannels:
			w.leg(step)
			if w.view.SetAside == nil {
				w.view.SetAside = &Channels{Upgrade: c.UpgradeChannel, NodeOS: c.NodeOSUpgradeChannel}
			}
			c.UpgradeChannel, c.NodeOSUpgradeChannel = step.Channels.Upgrade, step.Channels.NodeOS
		case StepControlPlane:
			w.leg(step)
			c.Version = step.Version
			w.out.Stops = append(w.out.Stops, step.Version)
			w.offerNext()
		case StepPool:
			pass, ok := w.pass(step)
			w.out.Legs = append(w.out.Legs, Leg{Kind: StepPool, Version: step.Version, Reason: step.Reason, Pass: pass})
			if !ok {
				return
			}
		case StepVerify:
			w.leg(step)
			return
		default:
			w.out.Blocked = fmt.Sprintf("step %q is not one of a cluster", step.Kind)
			return
		}
	}
}

func (w *walker) leg(s ClusterStep) {
	w.out.Legs = append(w.out.Legs, Leg{Kind: s.Kind, Version: s.Version, Reason: s.Reason})
}

// settleAll lets all operations that are under way end well.
func (w *walker) settleAll() {
	c := &w.view.Cluster
	settle := func(state *string) {
		if !fleet.Settled(*state) {
			*state = "Succeeded"
		}
	}
	settle(&c.ProvisioningState)
	for i := range c.Pools {
		settle(&c.Pools[i].ProvisioningState)
	}
}

// offerNext makes up what the provider will offer to the control plane at its
// new version: what it has in the region.
func (w *walker) offerNext() {
	at := w.view.Cluster.Version
	w.view.Offers.ControlPlane = []fleet.OfferedVersion{}
	for _, o := range w.view.Offers.Region {
		if at.Less(o.Version) && o.Version.Major == at.Major && o.Version.Minor-at.Minor <= 1 {
			w.view.Offers.ControlPlane = append(w.view.Offers.ControlPlane, o)
		}
	}
}

// pass lets one pool come to the control plane's version.
func (w *walker) pass(step ClusterStep) (*Pass, bool) {
	c := &w.view.Cluster
	p := c.Pool(step.Target)
	policy := w.view.Policy(step.Target)
	pass := &Pass{
		Pool: p.Name, Origin: w.origin[strings.ToLower(p.Name)], Strategy: policy.Strategy, From: p.Version, To: step.Version,
		Nodes: p.Count, Ends: p.Name, Image: w.view.Images[p.ImageFamily()],
	}
	if pass.Image == "" {
		pass.Image = w.newest(p)
	}
	switch extra := policy.ExtraNodes.Of(p.Count); {
	case policy.Strategy == fleet.InPlace:
	case policy.Strategy == fleet.BlueGreen && extra > 0 && extra < p.Count:
		pass.Extra = extra
	default:
		pass.Extra = p.Count
	}
	view := PoolView{
		Name: p.Name, Version: step.Version, Image: w.view.Images[p.ImageFamily()], Policy: policy, Rollout: w.rollout,
		ImageOnly: p.Version == step.Version, Emptied: w.emptied, Batch: w.batch, Vacant: w.vacant, Stuck: func(string) bool { return false },
	}
	if family := p.ImageFamily(); family != "" && pass.Image != "" {
		w.out.Images[family] = pass.Image
	}
	for {
		if w.steps++; w.steps > longestWalk {
			w.out.Blocked = fmt.Sprintf("pool %s: no end is found after %d steps", pass.Pool, longestWalk)
			return pass, false
		}
		view.Cluster, view.Nodes, view.Now = *c, w.view.Nodes, w.now
		if view.EmptiedAt.IsZero() && StandIn(c, pass.Pool) != nil && (w.emptied(pass.Pool) || len(w.vacant(pass.Pool)) > 0) {
			view.EmptiedAt = w.now
		}
		s := NextPoolStep(view)
		if s.Kind == StepDone {
			pass.Ends = s.Target
			return pass, true
		}
		if s.Kind == StepRefuse {
			w.out.Blocked = "pool " + pass.Pool + ": " + s.Reason
			return pass, false
		}
		w.take(pass, s)
	}
}

// take does on paper what a step would do, and tells it.
func (w *walker) take(pass *Pass, s Step) {
	c := &w.view.Cluster
	told := PaperStep{Kind: s.Kind, Target: s.Target, Receiving: s.Receiving, Times: 1, PointOfNoReturn: s.PointOfNoReturn, Reason: s.Reason}
	target := c.Pool(s.Target)
	switch s.Kind {
	case StepCreatePool:
		p := s.Pool
		p.ProvisioningState, p.Image, told.Count = "Succeeded", pass.Image, p.Count
		c.Pools = append(c.Pools, p)
		w.origin[strings.ToLower(p.Name)] = pass.Origin
		w.fill(&p, p.Count)
	case StepAwait:
		w.settleAll()
	case StepAwaitNodes:
		w.refill(target, pass)
	case StepFixSize:
		target.Autoscaler = s.Autoscaler
	case StepEvacuate:
		for i := range w.view.Nodes {
			n := &w.view.Nodes[i]
			if strings.EqualFold(n.Pool, s.Target) && (s.Nodes == nil || slices.Contains(s.Nodes, n.Name)) {
				w.empty[n.Name] = true
				told.Count++
			}
		}
	case StepSoak:
		told.Soak = s.Until.Sub(w.now)
		pass.Soak += told.Soak
		w.now = s.Until
	case StepUpgradePool, StepUpgradeImage:
		target.Version, told.Count = s.Version, target.Count
		w.refill(target, pass)
	case StepScalePool:
		told.Count = s.Count - target.Count
		w.fill(target, told.Count)
		target.Count = s.Count
	case StepDeleteNodes:
		told.Count = len(s.Nodes)
		w.view.Nodes = slices.DeleteFunc(w.view.Nodes, func(n fleet.Node) bool { return slices.Contains(s.Nodes, n.Name) })
		target.Count = max(0, target.Count-len(s.Nodes))
	case StepReconcile:
		target.ProvisioningState = "Succeeded"
	case StepDeletePool:
		told.Count = target.Count
		w.drop(s.Target)
		c.Pools = slices.DeleteFunc(c.Pools, func(p fleet.Pool) bool { return strings.EqualFold(p.Name, s.Target) })
	case StepRelease:
		w.refill(target, pass)
	default:
	}
	w.tell(pass, told)
}

// tell adds a step. A round that is like one before is counted with it.
func (w *walker) tell(pass *Pass, s PaperStep) {
	round := s.Kind == StepEvacuate || s.Kind == StepScalePool || s.Kind == StepDeleteNodes || s.Kind == StepAwait || s.Kind == StepAwaitNodes
	for i := range pass.Steps {
		if a := &pass.Steps[i]; round && a.Kind == s.Kind && a.Target == s.Target && a.Receiving == s.Receiving {
			a.Times++
			a.Count += s.Count
			return
		}
	}
	pass.Steps = append(pass.Steps, s)
}

// fill makes nodes of a pool.
func (w *walker) fill(p *fleet.Pool, count int) {
	for range count {
		w.serial++
		w.view.Nodes = append(w.view.Nodes, fleet.Node{Name: fmt.Sprintf("%s paper %d", p.Name, w.serial), Pool: p.Name, Version: p.Version, Image: p.Image, Ready: true})
	}
}

func (w *walker) drop(pool string) {
	w.view.Nodes = slices.DeleteFunc(w.view.Nodes, func(n fleet.Node) bool { return strings.EqualFold(n.Pool, pool) })
}

// refill gives a pool the nodes that it must have in the end.
func (w *walker) refill(p *fleet.Pool, pass *Pass) {
	count := p.Count
	if p.Autoscaler != nil {
		count = max(count, p.Autoscaler.Min)
	}
	w.drop(p.Name)
	if p.Version == pass.To && pass.Image != "" {
		p.Image = pass.Image
	}
	w.fill(p, count)
}

// newest is the newest image of a pool, where the provider says so.
func (w *walker) newest(p *fleet.Pool) string {
	if image := w.view.Offers.NodeImages[p.Name]; image != "" {
		return image
	}
	return w.view.Offers.NodeImages[w.origin[strings.ToLower(p.Name)]]
}

func (w *walker) emptied(pool string) bool {
	return !slices.ContainsFunc(w.view.Nodes, func(n fleet.Node) bool { return strings.EqualFold(n.Pool, pool) && !w.empty[n.Name] })
}

// batch is as many nodes as the receiving pool has more than were emptied onto it.
func (w *walker) batch(leaving, receiving string) []string {
	room := 0
	for i := range w.view.Nodes {
		if strings.EqualFold(w.view.Nodes[i].Pool, receiving) {
			room++
		}
	}
	if whole, rolls := wholeSize(w.view.Cluster.Pool(receiving)); rolls {
		room -= whole - w.standing(leaving) + len(w.vacant(leaving))
	}
	var nodes []string
	for i := range w.view.Nodes {
		n := &w.view.Nodes[i]
		if strings.EqualFold(n.Pool, leaving) && !w.empty[n.Name] && len(nodes) < room {
			nodes = append(nodes, n.Name)
		}
	}
	return nodes
}

func (w *walker) standing(pool string) (n int) {
	for i := range w.view.Nodes {
		if strings.EqualFold(w.view.Nodes[i].Pool, pool) {
			n++
		}
	}
	return n
}

func (w *walker) vacant(pool string) []string {
	var nodes []string
	for i := range w.view.Nodes {
		n := &w.view.Nodes[i]
		if strings.EqualFold(n.Pool, pool) && w.empty[n.Name] {
			nodes = append(nodes, n.Name)
		}
	}
	return nodes
}
