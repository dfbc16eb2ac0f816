package evacuate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// startupTaints are parts of the keys of taints that a node loses once it can
// take pods: the node controller's own, the cloud provider's, and those that
// network and storage agents and autoscalers put on nodes that still start.
var startupTaints = []string{
	"node.kubernetes.io/not-ready",
	"node.kubernetes.io/unreachable",
	"node.kubernetes.io/network-unavailable",
	"node.kubernetes.io/memory-pressure",
	"node.kubernetes.io/disk-pressure",
	"node.kubernetes.io/pid-pressure",
	"node.kubernetes.io/out-of-service",
	"node.cloudprovider.kubernetes.io/uninitialized",
	"node.cloudprovider.kubernetes.io/shutdown",
	"startup-taint.cluster-autoscaler.kubernetes.io/",
	"ToBeDeletedByClusterAutoscaler",
	"DeletionCandidateOfClusterAutoscaler",
	"karpenter.sh/unregistered",
	"karpenter.sh/disrupted",
	"agent-not-ready",
}

// startupTaint returns the first taint that keeps pods off a node for now.
func startupTaint(n *fleet.Node) string {
	for _, t := range n.Taints {
		if t.Effect == "PreferNoSchedule" {
			continue
		}
		for _, part := range startupTaints {
			if strings.Contains(t.Key, part) {
				return t.Key
			}
		}
	}
	return ""
}

// youth is how long a node may lack the pod of a DaemonSet that so far runs on
// leaving nodes only: the DaemonSet controller needs a moment. Later it is
// taken that the DaemonSet does not want the node.
const youth = 2 * time.Minute

// daemonSets are the DaemonSets' pods by node.
type daemonSets struct {
	pods map[string][]*pod
	// likely are DaemonSets with a pod on every leaving node, so that a node
	// made in their likeness will have one too, sorted.
	likely []string
	// elsewhere are those that run on nodes which stay.
	elsewhere map[string]bool
}

// capacity says what keeps a node from being capacity in fact, or "".
func (wd *world) capacity(name string, daemons daemonSets) string {
	n := wd.nodes[name]
	switch {
	case n == nil:
		return "node " + name + " is not there yet"
	case !n.Ready:
		return "node " + name + " is not Ready"
	case n.Unschedulable:
		if by := n.Annotations[fleet.MarkCordoned]; by != "" {
			return "node " + name + " is cordoned by rollout " + by
		}
		return "node " + name + " is cordoned, not by Liftlock"
	}
	if key := startupTaint(n); key != "" {
		return "node " + name + " still has the taint " + key
	}
	has := map[string]bool{}
	for _, p := range daemons.pods[name] {
		if p.gone {
			continue
		}
		has[p.owner.key] = true
		if !p.Ready {
			return "pod " + p.key + " of " + p.owner.key + " on node " + name + " is not Ready"
		}
	}
	if !wd.receiving[name] {
		return "" // a node of another kind has its own DaemonSets
	}
	for _, key := range daemons.likely {
		if !has[key] && (daemons.elsewhere[key] || wd.now.Sub(n.CreatedAt) < youth) {
			return "node " + name + " has no pod of " + key + " yet"
		}
	}
	return ""
}

// daemons finds the DaemonSets' pods.
func (wd *world) daemons() daemonSets {
	d := daemonSets{pods: map[string][]*pod{}, elsewhere: map[string]bool{}}
	leaving := 0
	for name := range wd.leaving {
		if n := wd.nodes[name]; n != nil && n.Ready {
			leaving++
		}
	}
	for _, key := range sortedKeys(wd.workloads) {
		w := wd.workloads[key]
		if w.Kind != fleet.DaemonSet {
			continue
		}
		on := map[string]bool{}
		for _, p := range w.pods {
			d.pods[p.Node] = append(d.pods[p.Node], p)
			switch n := wd.nodes[p.Node]; {
			case n == nil:
			case !wd.leaving[p.Node]:
				d.elsewhere[key] = true
			case n.Ready:
				on[p.Node] = true
			}
		}
		if leaving > 0 && len(on) == leaving {
			d.likely = append(d.likely, key)
		}
	}
	return d
}

// room is what is free on the nodes that moved pods may go to.
type room struct {
	nodes []*roomNode
	// missing says what is not yet capacity, sorted.
	missing []string
	// from is the first node that may still fit pods of a kind: room only
	// shrinks, so what was too full for one is too full for the next.
	from map[podKind]int
}

// podKind is what tells pods apart when room is looked for.
type podKind struct {
	requests                fleet.Resources
	selector, zones, taints string
}

// kindOf is the podKind of a pod.
func (wd *world) kindOf(p *pod, zones []string, bound bool) podKind {
	k := podKind{requests: p.Requests}
	if bound {
		k.zones = "in " + strings.Join(zones, ",")
	}
	for _, key := range sortedKeys(p.NodeSelector) {
		k.selector += key + "=" + p.NodeSelector[key] + ","
	}
	if n := wd.nodes[p.Node]; n != nil {
		for _, t := range n.Taints {
			k.taints += t.Key + "=" + t.Value + ":" + t.Effect + ","
		}
	}
	return k
}

// roomNode is the free part of one node.
type roomNode struct {
	*fleet.Node
	free      fleet.Resources
	unlimited bool // the node reports no allocatable resources
	later     bool
}

// newRoom works out which nodes can take pods, and how much is free on them.
func (wd *world) newRoom() *room {
	r := &room{from: map[podKind]int{}}
	daemons := wd.daemons()
	for _, name := range sortedKeys(wd.receiving) {
		if why := wd.capacity(name, daemons); why != "" {
			r.missing = append(r.missing, why)
		}
	}
	byName := map[string]*roomNode{}
	for _, name := range sortedKeys(wd.nodes) {
		if wd.leaving[name] || wd.closing[name] {
			continue
		}
		if wd.capacity(name, daemons) != "" {
			continue
		}
		n := wd.nodes[name]
		rn := &roomNode{
			Node: n, free: n.Allocatable, later: wd.later[name],
			unlimited: n.Allocatable == fleet.Resources{},
		}
		byName[name] = rn
		r.nodes = append(r.nodes, rn)
	}
	// Nodes meant to receive come first, those whose turn comes later last.
	slices.SortStableFunc(r.nodes, func(a, b *roomNode) int { return cmp.Compare(wd.rank(a), wd.rank(b)) })
	for i := range wd.in.Snapshot.Pods {
		p := &wd.in.Snapshot.Pods[i]
		if rn := byName[p.Node]; rn != nil && !p.Finished() {
			rn.take(p.Requests)
		}
	}
	if len(wd.receiving) == 0 && len(r.nodes) == 0 {
		r.missing = append(r.missing, "no other node is Ready and schedulable")
	}
	return r
}

// rank orders nodes by how much pods are meant to go there.
func (wd *world) rank(n *roomNode) int {
	switch {
	case wd.receiving[n.Name]:
		return 0
	case n.later:
		return 2
	}
	return 1
}

// take books resources on a node.
func (n *roomNode) take(r fleet.Resources) {
	n.free.MilliCPU -= r.MilliCPU
	n.free.Memory -= r.Memory
	n.free.Pods--
}

// fits reports whether a pod's requests are free on the node.
func (n *roomNode) fits(r fleet.Resources) bool {
	return n.unlimited || (r.MilliCPU <= n.free.MilliCPU || r.MilliCPU == 0) &&
		(r.Memory <= n.free.Memory || r.Memory == 0) &&
		(n.Allocatable.Pods == 0 || n.free.Pods >= 1)
}

// noRoom is why a pod has no place to go to. never is set when no node is of
// the right kind, full or not.
type noRoom struct {
	why   string
	never bool
}

// place books room for one more pod like p, or says why there is none. It is
// an estimate that is meant to be generous: the scheduler knows affinities,
// spread and tolerations, which it does not look at.
func (wd *world) place(p *pod) (*roomNode, noRoom) {
	if len(wd.room.nodes) == 0 {
		return nil, noRoom{why: "no node can take pods"}
	}
	zones, bound := wd.zones(p)
	kind := wd.kindOf(p, zones, bound)
	from := wd.room.from[kind]
	for i, n := range wd.room.nodes[from:] {
		if wd.suits(p, n, zones, bound) && n.fits(p.Requests) {
			n.take(p.Requests)
			wd.room.from[kind] = from + i
			return n, noRoom{}
		}
	}
	wd.room.from[kind] = len(wd.room.nodes)
	suits := slices.ContainsFunc(wd.room.nodes, func(n *roomNode) bool { return wd.suits(p, n, zones, bound) })
	switch {
	case suits:
		return nil, noRoom{why: fmt.Sprintf("no node that it may run on has %s free", amount(p.Requests))}
	case bound && len(zones) == 0:
		return nil, noRoom{why: "its volumes are bound to different zones", never: true}
	case bound:
		return nil, noRoom{why: "its volume is bound to zone " + strings.Join(zones, ", ") + ", and no node that can take it is there", never: true}
	}
	return nil, noRoom{why: "no node that can take pods has the labels that its node selector asks for and only taints that its present node has", never: true}
}

// placeAll books room for all the pods or for none.
func (wd *world) placeAll(pods []*pod) noRoom {
	type booking struct {
		node *roomNode
		free fleet.Resources
	}
	var booked []booking
	for _, p := range pods {
		n, none := wd.place(p)
		if n == nil {
			for _, b := range slices.Backward(booked) {
				b.node.free = b.free
			}
			if len(booked) > 0 {
				clear(wd.room.from)
			}
			none.why = "pod " + p.key + ": " + none.why
			return none
		}
		before := n.free
		before.MilliCPU += p.Requests.MilliCPU
		before.Memory += p.Requests.Memory
		before.Pods++
		booked = append(booked, booking{n, before})
	}
	return noRoom{}
}

// preempts reports whether the scheduler would push a pod of lower priority out
// to make room for one like p.
func (wd *world) preempts(p *pod) bool {
	zones, bound := wd.zones(p)
	may := map[string]bool{}
	for _, n := range wd.room.nodes {
		may[n.Name] = wd.suits(p, n, zones, bound)
	}
	return slices.ContainsFunc(wd.in.Snapshot.Pods, func(q fleet.Pod) bool {
		return may[q.Node] && q.Priority < p.Priority && !q.Finished() && q.DeletedAt.IsZero()
	})
}

// suits reports whether a pod may run on a node as far as a snapshot tells: its
// node selector, the zones of its volumes, and hard taints that its present
// node does not have.
func (wd *world) suits(p *pod, n *roomNode, zones []string, bound bool) bool {
	if bound && !slices.Contains(zones, n.Zone) {
		return false
	}
	for key, value := range p.NodeSelector {
		if n.Labels[key] != value {
			return false
		}
	}
	from := wd.nodes[p.Node]
	for _, t := range n.Taints {
		if t.Effect == "PreferNoSchedule" {
			continue
		}
		if from == nil || !slices.Contains(from.Taints, t) {
			return false
		}
	}
	return true
}

// zones returns where a pod's volumes can be attached; bound is false when
// anywhere will do.
func (wd *world) zones(p *pod) (zones []string, bound bool) {
	for _, name := range p.Claims {
		c := wd.claims[p.Namespace+"/"+name]
		if c == nil || len(c.Zones) == 0 {
			continue
		}
		if !bound {
			zones, bound = slices.Clone(c.Zones), true
			continue
		}
		zones = slices.DeleteFunc(zones, func(z string) bool { return !slices.Contains(c.Zones, z) })
	}
	slices.Sort(zones)
	return zones, bound
}

// amount writes resources for people.
func amount(r fleet.Resources) string {
	switch {
	case r.MilliCPU > 0 && r.Memory > 0:
		return fmt.Sprintf("%dm CPU and %d MiB", r.MilliCPU, r.Memory>>20)
	case r.MilliCPU > 0:
		return fmt.Sprintf("%dm CPU", r.MilliCPU)
	case r.Memory > 0:
		return fmt.Sprintf("%d MiB", r.Memory>>20)
	}
	return "a place for one more pod"
}
