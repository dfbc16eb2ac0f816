package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// toy is a cluster at a provider, in slow motion: one tick is ten seconds. What
// it does takes a number of ticks that is shuffled by seed, and may end Failed.
// After every step it is held to what no upgrade may ever do.
type toy struct {
	t      *testing.T
	rng    *rand.Rand
	now    time.Time
	c      fleet.Cluster
	nodes  []*toyNode
	pods   map[string]int // by pool
	offers []fleet.OfferedVersion
	policy func(pool string) fleet.NodePolicy
	target fleet.Version
	image  string // the newest, which new nodes get
	// busy is what the provider is at work on; it takes left ticks more.
	busy     func()
	busyPool string // "" for the cluster itself
	left     int
	// failing is the chance in percent that an operation ends Failed first.
	failing int
	resume  func()
	// note is what the Lease keeps when all memory is lost.
	note   *Channels
	serial int
	moves  int // pods that left a node
	most   int // nodes that there ever were at a time
	story  strings.Builder
	last   string
	steps  int
}

type toyNode struct {
	fleet.Node
	readyIn int
}

func newToy(t *testing.T, seed uint64, controlPlane, target string, strategy fleet.Strategy, pools ...fleet.Pool) *toy {
	w := &toy{
		t: t, rng: rand.New(rand.NewPCG(seed, 3)), now: time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC),
		c:    fleet.Cluster{ID: "toy", Name: "toy", Version: v(controlPlane), ProvisioningState: "Succeeded", MaxPools: 100},
		pods: map[string]int{}, offers: region, target: v(target), image: "AKSUbuntu-2204-202611.01.0",
		policy: func(string) fleet.NodePolicy { return fleet.NodePolicy{Strategy: strategy, Soak: time.Minute} },
	}
	for _, p := range pools {
		p.ProvisioningState = "Succeeded"
		if p.Version.IsZero() {
			p.Version = v(controlPlane)
		}
		p.Image = "AKSUbuntu-2204-202610.01.0"
		w.c.Pools = append(w.c.Pools, p)
		w.fill(p)
		w.pods[p.Name] = p.Count * 5
		for _, n := range w.nodes {
			n.readyIn, n.Ready = 0, true
		}
	}
	return w
}

func (w *toy) fill(p fleet.Pool) {
	for range p.Count {
		w.serial++
		w.nodes = append(w.nodes, &toyNode{readyIn: 1 + w.rng.IntN(3), Node: fleet.Node{
			Name: fmt.Sprintf("%s-%03d", p.Name, w.serial), Pool: p.Name, Version: p.Version, Image: p.Image, Annotations: map[string]string{},
		}})
	}
}

// begin lets the provider work.
func (w *toy) begin(pool, state string, done func()) {
	if w.busy != nil {
		w.t.Fatalf("a second operation while %q is at work:\n%s", w.busyPool, w.story.String())
	}
	w.busy, w.busyPool, w.left = done, pool, 1+w.rng.IntN(4)
	w.setState(pool, state, "")
	if w.rng.IntN(100) < w.failing {
		w.busy = func() { w.resume = done; w.setState(pool, "Failed", "the toy fails") }
	}
}

func (w *toy) setState(pool, state, why string) {
	if p := w.c.Pool(pool); p != nil {
		p.ProvisioningState, p.ProvisioningError = state, why
	} else if pool == "" {
		w.c.ProvisioningState, w.c.ProvisioningError = state, why
	}
}

func (w *toy) tick() {
	w.now = w.now.Add(10 * time.Second)
	for _, n := range w.nodes {
		if n.readyIn > 0 {
			n.readyIn--
			n.Ready = n.readyIn == 0
		}
	}
	if w.busy == nil {
		return
	}
	if w.left--; w.left <= 0 {
		done, pool := w.busy, w.busyPool
		w.busy = nil
		w.setState(pool, "Succeeded", "")
		done()
	}
}

func (w *toy) look() []fleet.Node {
	nodes := make([]fleet.Node, len(w.nodes))
	for i, n := range w.nodes {
		nodes[i] = n.Node
	}
	return nodes
}

func (w *toy) clusterView() ClusterView {
	offered := []fleet.OfferedVersion{}
	for _, o := range w.offers {
		if o.Version.Minor == w.c.Version.Minor && w.c.Version.Less(o.Version) || o.Version.Minor == w.c.Version.Minor+1 {
			offered = append(offered, o)
		}
	}
	c := w.c
	c.Pools = slices.Clone(c.Pools)
	return ClusterView{
		Cluster: c, Nodes: w.look(), Target: w.target, Offers: fleet.Offers{Region: w.offers, ControlPlane: offered},
		Policy: w.policy, Channels: fleet.ChannelsSetAside, SetAside: w.note,
	}
}

// emptied is what an evacuation would find.
func (w *toy) emptied(pool string) bool {
	for _, n := range w.nodes {
		if n.Pool == pool && !n.Unschedulable {
			return false
		}
	}
	return w.pods[pool] == 0
}

func (w *toy) tell(who, kind, what, why string) {
	line := strings.TrimSpace(fmt.Sprintf("%s: %s %s", who, kind, what)) + " - " + why
	if line != w.last {
		w.story.WriteString(line + "\n")
	}
	w.last = line
}

// memory is what an engine remembers between steps. Losing it must not matter.
type memory struct {
	emptiedAt map[string]time.Time
	back      bool
}

// drive takes steps until the cluster has arrived. crash tells before which
// steps all memory is lost. It returns the step that ended it.
func (w *toy) drive(crash func(step int) bool) ClusterStep {
	w.t.Helper()
	m := memory{emptiedAt: map[string]time.Time{}}
	for w.steps = 0; w.steps < 2000; w.steps++ {
		if crash != nil && crash(w.steps) {
			m = memory{emptiedAt: map[string]time.Time{}}
		}
		s := NextClusterStep(w.clusterView())
		switch s.Kind {
		case StepVerify, StepRefuse, StepSetAside:
			w.tell("cluster", string(s.Kind), "", s.Reason)
			return s
		case StepAwait:
		case StepSetChannels:
			w.tell("cluster", string(s.Kind), fmt.Sprintf("%q/%q", s.Channels.Upgrade, s.Channels.NodeOS), s.Reason)
			if w.note == nil {
				w.note = &Channels{Upgrade: w.c.UpgradeChannel, NodeOS: w.c.NodeOSUpgradeChannel}
			}
			w.begin("", "Updating", func() { w.c.UpgradeChannel, w.c.NodeOSUpgradeChannel = s.Channels.Upgrade, s.Channels.NodeOS })
		case StepReconcile:
			w.tell("cluster", string(s.Kind), "", s.Reason)
			w.begin("", "Updating", w.resume)
		case StepControlPlane:
			w.tell("cluster", string(s.Kind), s.Version.String(), s.Reason)
			if s.Version.Minor-w.c.Version.Minor > 1 {
				w.t.Fatalf("control plane skips from %s to %s", w.c.Version, s.Version)
			}
			for i := range w.c.Pools {
				if StandIn(&w.c, w.c.Pools[i].Name) != nil {
					w.t.Fatalf("the control plane goes on to %s although pool %s is half-way\n%s", s.Version, w.c.Pools[i].Name, w.story.String())
				}
			}
			w.begin("", "Upgrading", func() { w.c.Version = s.Version })
		case StepPool:
			if s.Version != w.c.Version {
				w.t.Fatalf("pool %s is to go to %s while the control plane is at %s", s.Target, s.Version, w.c.Version)
			}
			w.pool(s.Target, s.Version, &m)
		default:
			w.t.Fatalf("step %q is not one of a cluster", s.Kind)
		}
		w.tick()
		w.check()
	}
	w.t.Fatalf("not done after %d steps: %+v\n%s", w.steps, w.c, w.story.String())
	return ClusterStep{}
}

// pool takes one step of a pool and returns what it was.
func (w *toy) pool(name string, to fleet.Version, m *memory) Step {
	w.t.Helper()
	if StandIn(&w.c, name) != nil && (w.emptied(name) || len(w.vacant(name)) > 0) {
		if m.emptiedAt[name].IsZero() {
			m.emptiedAt[name] = w.now
		}
	} else {
		delete(m.emptiedAt, name)
	}
	s := NextPoolStep(PoolView{
		Name: name, Cluster: w.clusterView().Cluster, Nodes: w.look(), Emptied: w.emptied, EmptiedAt: m.emptiedAt[name],
		Version: to, Policy: w.policy(name), Rollout: "r1", Rollback: m.back, Now: w.now, Batch: w.batch, Vacant: w.vacant, Stuck: func(string) bool { return false },
	})
	if s.Kind != StepAwait && s.Kind != StepAwaitNodes && s.Kind != StepEvacuate && s.Kind != StepSoak {
		w.tell("pool "+name, string(s.Kind), s.Target, s.Reason)
	} else if s.Kind != StepAwaitNodes && s.Kind != StepAwait {
		w.tell("pool "+name, string(s.Kind), s.Target, strings.TrimSpace(s.Receiving))
	}
	target := w.c.Pool(s.Target)
	switch s.Kind {
	case StepCreatePool:
		p := s.Pool
		if w.c.Version.Less(p.Version) {
			w.t.Fatalf("pool %s at %s, before the control plane at %s", p.Name, p.Version, w.c.Version)
		}
		p.Image, p.ProvisioningState = w.image, "Creating"
		w.c.Pools = append(w.c.Pools, p)
		w.begin(p.Name, "Creating", func() { w.fill(p) })
	case StepFixSize:
		w.begin(target.Name, "Updating", func() { w.c.Pool(s.Target).Autoscaler = s.Autoscaler })
	case StepEvacuate:
		w.evacuate(s)
	case StepUpgradePool, StepUpgradeImage:
		if w.policy(name).Strategy == fleet.Buffer && w.pods[s.Target] > 0 {
			w.t.Fatalf("pool %s is replaced with %d pods on it", s.Target, w.pods[s.Target])
		}
		w.begin(s.Target, "Upgrading", func() {
			p := w.c.Pool(s.Target)
			p.Version, p.Image = s.Version, w.image
			w.remove(s.Target)
			w.fill(*p)
		})
	case StepReconcile:
		if w.resume == nil {
			w.t.Fatalf("nothing to reconcile on %s", s.Target)
		}
		w.begin(s.Target, "Updating", w.resume)
	case StepScalePool:
		w.begin(s.Target, "Scaling", func() {
			p := w.c.Pool(s.Target)
			more := *p
			more.Count = s.Count - p.Count
			p.Count = s.Count
			w.fill(more)
		})
	case StepDeleteNodes:
		w.deleteNodes(s)
	case StepDeletePool:
		w.delete(name, s)
	case StepRelease:
		for _, n := range w.nodes {
			if n.Pool == s.Target {
				n.Unschedulable, n.Annotations, n.Taints = false, map[string]string{}, nil
			}
		}
	case StepAwait, StepAwaitNodes, StepSoak, StepDone:
	case StepRefuse:
		w.t.Fatalf("pool %s refused: %s\n%s", name, s.Reason, w.story.String())
	default:
		w.t.Fatalf("step %s is not one of a pool", s.Kind)
	}
	return s
}

func (w *toy) remove(pool string) {
	w.nodes = slices.DeleteFunc(w.nodes, func(n *toyNode) bool { return n.Pool == pool })
}

// evacuate cordons the leaving nodes, then moves a few pods a time.
func (w *toy) evacuate(s Step) {
	if p := w.c.Pool(s.Target); p.Autoscaler != nil {
		w.t.Fatalf("pool %s is emptied with its autoscaler on", p.Name)
	}
	receiving := 0
	for _, n := range w.nodes {
		if n.Pool == s.Receiving && n.Ready && !n.Unschedulable {
			receiving++
		}
	}
	if receiving == 0 {
		w.t.Fatalf("pods leave pool %s, and no node of pool %s is Ready", s.Target, s.Receiving)
	}
	for _, n := range w.nodes {
		if n.Pool == s.Target {
			n.Unschedulable, n.Annotations = true, map[string]string{fleet.MarkCordoned: "r1"}
		}
	}
	k := min(w.pods[s.Target], 1+w.rng.IntN(6))
	if s.Nodes != nil {
		k = min(k, w.free(s.Receiving))
	}
	w.moves += k
	w.pods[s.Target] -= k
	w.pods[s.Receiving] += k
}

// podsPerNode is how many pods a node of the toy holds.
const podsPerNode = 5

// free is how many more pods the nodes of a pool could take.
func (w *toy) free(pool string) int {
	n := 0
	for _, node := range w.nodes {
		if node.Pool == pool && node.Ready && !node.Unschedulable {
			n += podsPerNode
		}
	}
	return max(0, n-w.pods[pool])
}

// byPods are the names of a pool's nodes in order, and how many of them hold
// pods: the pods are always on the first ones.
func (w *toy) byPods(pool string) (names []string, held int) {
	for _, n := range w.nodes {
		if n.Pool == pool {
			names = append(names, n.Name)
		}
	}
	return names, min(len(names), (w.pods[pool]+podsPerNode-1)/podsPerNode)
}

// batch is what fits: whole nodes, the one that was begun first.
func (w *toy) batch(leaving, receiving string) []string {
	names, held := w.byPods(leaving)
	free, on := w.free(receiving), w.pods[leaving]
	var batch []string
	for i := held - 1; i >= 0; i-- {
		here := on - i*podsPerNode
		if here > free {
			break
		}
		free, on = free-here, on-here
		batch = append(batch, names[i])
	}
	return batch
}

// vacant are closed nodes without pods.
func (w *toy) vacant(pool string) []string {
	names, held := w.byPods(pool)
	var vacant []string
	for _, name := range names[held:] {
		for _, n := range w.nodes {
			if n.Name == name && n.Unschedulable {
				vacant = append(vacant, name)
			}
		}
	}
	return vacant
}

func (w *toy) deleteNodes(s Step) {
	vacant := w.vacant(s.Target)
	for _, name := range s.Nodes {
		if !slices.Contains(vacant, name) {
			w.t.Fatalf("node %s of pool %s is removed with pods on it\n%s", name, s.Target, w.story.String())
		}
	}
	if !s.PointOfNoReturn {
		w.t.Fatalf("old nodes are removed as if there were a way back")
	}
	w.begin(s.Target, "DeletingMachines", func() {
		before := len(w.nodes)
		w.nodes = slices.DeleteFunc(w.nodes, func(n *toyNode) bool { return slices.Contains(s.Nodes, n.Name) })
		w.c.Pool(s.Target).Count -= before - len(w.nodes)
	})
}

func (w *toy) delete(name string, s Step) {
	if w.pods[s.Target] > 0 {
		w.t.Fatalf("pool %s is deleted with %d pods on it", s.Target, w.pods[s.Target])
	}
	other := w.c.Pool(name)
	if s.Target == name {
		other = StandIn(&w.c, name)
	}
	ready := 0
	for _, n := range w.nodes {
		if n.Pool == other.Name && n.Ready && !n.Unschedulable {
			ready++
		}
	}
	if ready < other.Count {
		w.t.Fatalf("pool %s is deleted while %s has %d of %d nodes", s.Target, other.Name, ready, other.Count)
	}
	w.begin(s.Target, "Deleting", func() {
		w.remove(s.Target)
		w.c.Pools = slices.DeleteFunc(w.c.Pools, func(p fleet.Pool) bool { return p.Name == s.Target })
	})
}

// check holds the world to the rules of version skew.
func (w *toy) check() {
	w.t.Helper()
	w.most = max(w.most, len(w.nodes))
	for _, n := range w.nodes {
		if d := w.c.Version.Minor - n.Version.Minor; d < 0 || d > 3 {
			w.t.Fatalf("node %s at %s, control plane at %s\n%s", n.Name, n.Version, w.c.Version, w.story.String())
		}
	}
}

// end is what must be the same however the upgrade went.
func (w *toy) end() string {
	var lines []string
	for i := range w.c.Pools {
		p := &w.c.Pools[i]
		bounds := "fixed"
		if p.Autoscaler != nil {
			bounds = fmt.Sprintf("%d-%d", p.Autoscaler.Min, p.Autoscaler.Max)
		}
		nodes, cordoned := 0, 0
		for _, n := range w.nodes {
			if n.Pool == p.Name {
				nodes++
				if n.Unschedulable || len(n.Annotations) > 0 {
					cordoned++
				}
				if n.Version != p.Version {
					w.t.Errorf("node %s at %s in a pool at %s", n.Name, n.Version, p.Version)
				}
			}
		}
		lines = append(lines, fmt.Sprintf("%s(%s) %s %s pods=%d nodes=%d cordoned=%d", p.Name, Stem(p), p.Version, bounds, w.pods[p.Name], nodes, cordoned))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%s channels=%q/%q\n%s\n", w.c.Version, w.c.UpgradeChannel, w.c.NodeOSUpgradeChannel, strings.Join(lines, "\n"))
}
