package evacuate

import (
	"maps"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// poolLabels say to which pool a node belongs: its stand-in has another name.
var poolLabels = []string{"kubernetes.azure.com/agentpool", "agentpool"}

// hostname is the label with a node's own name.
const hostname = "kubernetes.io/hostname"

// findHomes makes up nodes like the pool's own, as its stand-in will have, and
// takes the cluster's other nodes along. What is free on them is not looked at:
// a stand-in has room for a pod where its own node has.
func (pl *planner) findHomes() {
	type likeness struct{ zone, labels, taints string }
	seen := map[likeness]bool{}
	for _, n := range pl.mine {
		twin := *n
		twin.Name = "like " + n.Name
		if pl.pool.Strategy != fleet.InPlace { // the provider keeps the pool's name
			twin.Labels = maps.Clone(n.Labels)
			for _, key := range poolLabels {
				if twin.Labels[key] != "" {
					twin.Labels[key] += " (its stand-in)"
				}
			}
		}
		if n.Labels[hostname] != "" {
			twin.Labels = maps.Clone(twin.Labels)
			twin.Labels[hostname] = twin.Name
		}
		twin.Taints = slices.DeleteFunc(slices.Clone(n.Taints), passing)
		l := likeness{zone: n.Zone}
		for _, key := range sortedKeys(twin.Labels) {
			if key != hostname {
				l.labels += key + "=" + twin.Labels[key] + ","
			}
		}
		for _, t := range twin.Taints {
			l.taints += t.Key + "=" + t.Value + ":" + t.Effect + ","
		}
		if !seen[l] {
			seen[l] = true
			pl.homes = append(pl.homes, &roomNode{Node: &twin})
		}
	}
	for _, name := range sortedKeys(pl.nodes) {
		if n := pl.nodes[name]; !pl.leaving[name] && n.Ready && !n.Unschedulable {
			pl.homes = append(pl.homes, &roomNode{Node: n})
		}
	}
}

// passing reports whether a taint is one that a new node will not have.
func passing(t fleet.Taint) bool {
	return t.Key == "node.kubernetes.io/unschedulable" || t.Key == fleet.TaintLeaving ||
		slices.ContainsFunc(startupTaints, func(part string) bool { return strings.Contains(t.Key, part) })
}

// nowhere says why no node would take a pod, or "".
func (pl *planner) nowhere(p *pod) string {
	zones, bound := pl.zones(p)
	kind := pl.kindOf(p, zones, bound)
	kind.requests = fleet.Resources{} // how much it asks for is not looked at
	why, known := pl.homeless[kind]
	if known {
		return why
	}
	switch {
	case slices.ContainsFunc(pl.homes, func(n *roomNode) bool { return pl.suits(p, n, zones, bound) }):
	case bound && len(zones) == 0:
		why = "its volumes are bound to different zones"
	case bound:
		why = "its volume is bound to zone " + strings.Join(zones, ", ") + ", and no node there would take it"
	default:
		why = "no new node would have the labels that its node selector asks for: " + selectorOf(p)
	}
	pl.homeless[kind] = why
	return why
}

// selectorOf writes a pod's node selector.
func selectorOf(p *pod) string {
	var parts []string
	for _, key := range sortedKeys(p.NodeSelector) {
		parts = append(parts, key+"="+p.NodeSelector[key])
	}
	return strings.Join(parts, ", ")
}
