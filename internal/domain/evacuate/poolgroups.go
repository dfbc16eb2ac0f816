package evacuate

import (
	"cmp"
	"math"
	"slices"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// share is a part of a node: of its CPU, its memory and its places for pods.
type share [3]float64

// spare is the part of every new node that is left free, since the scheduler does
// not pack as well as one could.
const spare = 0.1

// split cuts the pool into the groups that are emptied one after the other. With
// as many extra nodes as it has, that is one. With fewer, each group is as many
// nodes as the new nodes have room for, those with the fewest pods first; then
// these are given up, and as many new ones made, until the last ones are as many
// as the extra nodes. zones says whether pods that are bound to a zone find room
// there only, new nodes being spread over the zones.
func (pl *planner) split(zones bool) []group {
	extra := pl.out.ExtraNodes
	if extra >= len(pl.mine) {
		if len(pl.mine) == 0 {
			return nil
		}
		return []group{{nodes: pl.mine}}
	}
	left := slices.Clone(pl.mine)
	slices.SortStableFunc(left, func(a, b *fleet.Node) int {
		return cmp.Compare(len(pl.onNode[a.Name]), len(pl.onNode[b.Name]))
	})
	needs, bound := pl.needs()
	each := pl.offer()
	of := pl.zonesOfPool()
	var used share
	inZone := map[string]share{}
	whole, tied := map[string]int{}, 0 // nodes that the pods of each zone take, and all of them
	var groups []group
	for len(left) > extra {
		made := float64(extra + len(pl.mine) - len(left))
		perZone := made
		if len(of) > 0 {
			perZone = float64((int(made) + len(of) - 1) / len(of))
		}
		var g group
		kept := left[:0:0]
		for _, n := range left {
			all, here := used, inZone[n.Zone]
			fits, taken := true, 0
			for k := range all {
				all[k] += needs[n.Name][k]
				here[k] += bound[n.Name][k]
				fits = fits && all[k] <= made*each[k]+tiny && (!zones || bound[n.Name][k] == 0 || here[k] <= perZone*each[k]+tiny)
				if each[k] > 0 {
					taken = max(taken, int(math.Ceil(here[k]/each[k]-tiny)))
				}
			}
			more := taken - whole[n.Zone]
			if !fits || zones && more > 0 && tied+more > int(made) {
				kept = append(kept, n)
				continue
			}
			used, inZone[n.Zone] = all, here
			whole[n.Zone] = taken
			tied += more
			g.nodes = append(g.nodes, n)
		}
		if len(g.nodes) == 0 { // what does not fit is said by the evacuation itself
			g.nodes, kept = left[:1:1], left[1:]
		}
		left = kept
		groups = append(groups, g)
	}
	if len(left) > 0 {
		groups = append(groups, group{nodes: left})
	}
	return groups
}

// tiny is lost when shares are added up.
const tiny = 1e-9

// zonesOfPool are the zones of the pool's nodes.
func (pl *planner) zonesOfPool() map[string]bool {
	zones := map[string]bool{}
	for _, n := range pl.mine {
		zones[n.Zone] = true
	}
	return zones
}

// typical is what a node of the pool offers on average; zero where nodes do not
// say.
func (pl *planner) typical() fleet.Resources {
	var sum fleet.Resources
	for _, n := range pl.mine {
		sum.MilliCPU += n.Allocatable.MilliCPU / int64(len(pl.mine))
		sum.Memory += n.Allocatable.Memory / int64(len(pl.mine))
		sum.Pods += n.Allocatable.Pods / int64(len(pl.mine))
	}
	return sum
}

// offer is what a new node offers to pods that move there: what the DaemonSets
// of the pool's nodes leave, and is not spare. Nodes that do not say what they
// offer take the pods of one node each.
func (pl *planner) offer() share {
	node := pl.typical()
	if node == (fleet.Resources{}) {
		return share{1, 1, 1}
	}
	var daemons share
	for i := range pl.in.Snapshot.Pods {
		p := &pl.in.Snapshot.Pods[i]
		if w := pl.workloads[p.Workload]; pl.leaving[p.Node] && w != nil && w.Kind == fleet.DaemonSet && !p.Finished() {
			for k, part := range partOf(p.Requests, node) {
				daemons[k] += part / float64(len(pl.mine))
			}
		}
	}
	var out share
	for k := range out {
		out[k] = max(0, 1-spare-daemons[k])
	}
	return out
}

// needs is what the pods of each node ask for, and those of them alone whose
// volumes keep them in its zone.
func (pl *planner) needs() (all, bound map[string]share) {
	node := pl.typical()
	all, bound = make(map[string]share, len(pl.mine)), make(map[string]share, len(pl.mine))
	for _, n := range pl.mine {
		if node == (fleet.Resources{}) {
			all[n.Name] = share{1, 1, 1}
			if pl.zoneBound(n.Name) {
				bound[n.Name] = share{1, 1, 1}
			}
			continue
		}
		var sum, tied share
		for _, p := range pl.onNode[n.Name] {
			_, stays := pl.zones(p)
			for k, part := range partOf(p.Requests, node) {
				sum[k] += part
				if stays {
					tied[k] += part
				}
			}
		}
		all[n.Name], bound[n.Name] = sum, tied
	}
	return all, bound
}

// partOf is which part of a node a pod asks for.
func partOf(r, node fleet.Resources) share {
	var out share
	if node.MilliCPU > 0 {
		out[0] = float64(r.MilliCPU) / float64(node.MilliCPU)
	}
	if node.Memory > 0 {
		out[1] = float64(r.Memory) / float64(node.Memory)
	}
	if node.Pods > 0 {
		out[2] = 1 / float64(node.Pods)
	}
	return out
}
