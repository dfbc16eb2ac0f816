package evacuate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

func (k *toyKube) schedule() {
	for _, p := range k.pods {
		if p.Node != "" || !p.DeletedAt.IsZero() {
			continue
		}
		best, score := (*fleet.Node)(nil), 0
		why := map[string]int{}
		for _, n := range k.nodes {
			if reason := k.unfit(p, n); reason != "" {
				why[reason]++
				continue
			}
			s := 1000 - k.podsOn(n.Name)*4
			for _, t := range n.Taints {
				if t.Effect == "PreferNoSchedule" {
					s -= 500
				}
			}
			if best == nil || s > score {
				best, score = n, s
			}
		}
		if best == nil {
			var parts []string
			for _, reason := range sortedKeys(why) {
				parts = append(parts, fmt.Sprintf("%d %s", why[reason], reason))
			}
			p.Unschedulable = fmt.Sprintf("0/%d nodes are available: %s.", len(k.nodes), strings.Join(parts, ", "))
			continue
		}
		p.Node, p.boundAt, p.Unschedulable = best.Name, k.now, ""
		for _, name := range p.Claims {
			if c := k.claims[p.Namespace+"/"+name]; len(c.Zones) == 0 {
				c.Zones = []string{best.Zone}
			}
		}
	}
}

func (k *toyKube) podsOn(node string) int {
	n := 0
	for _, p := range k.pods {
		if p.Node == node {
			n++
		}
	}
	return n
}

func (k *toyKube) unfit(p *toyPod, n *fleet.Node) string {
	if n.Unschedulable {
		return "node(s) were unschedulable"
	}
	if !n.Ready {
		return "node(s) were not ready"
	}
	for _, t := range n.Taints {
		if t.Effect != "PreferNoSchedule" && (p.w == nil || p.w.template.tolerates != t.Key) {
			return "node(s) had untolerated taint"
		}
	}
	for key, value := range p.NodeSelector {
		if n.Labels[key] != value {
			return "node(s) didn't match Pod's node affinity/selector"
		}
	}
	for _, name := range p.Claims {
		if c := k.claims[p.Namespace+"/"+name]; len(c.Zones) > 0 && !slices.Contains(c.Zones, n.Zone) {
			return "node(s) had volume node affinity conflict"
		}
	}
	free := n.Allocatable
	zones := map[string]int{}
	for _, m := range k.nodes {
		zones[m.Zone] += 0
	}
	for _, q := range k.pods {
		if q.Finished() || q == p {
			continue
		}
		if q.w == p.w && q.w != nil && q.Node != "" && q.DeletedAt.IsZero() {
			zones[k.node(q.Node).Zone]++
			if p.w.template.antiAffinity && q.Node == n.Name {
				return "node(s) didn't match pod anti-affinity rules"
			}
		}
		if q.Node == n.Name {
			free.MilliCPU -= q.Requests.MilliCPU
			free.Memory -= q.Requests.Memory
			free.Pods--
		}
	}
	if free.MilliCPU < p.Requests.MilliCPU || free.Memory < p.Requests.Memory || free.Pods < 1 {
		return "Insufficient cpu"
	}
	if p.w != nil && p.w.template.spread {
		least := slices.Min(slices.Collect(maps.Values(zones)))
		if zones[n.Zone]+1-least > 1 {
			return "node(s) didn't match pod topology spread constraints"
		}
	}
	return ""
}

func (k *toyKube) kubelets() {
	for _, p := range slices.Clone(k.pods) {
		node := k.node(p.Node)
		if node == nil || !node.Ready {
			continue
		}
		if !p.DeletedAt.IsZero() {
			if !k.now.Before(p.endsAt) {
				k.pods = slices.DeleteFunc(k.pods, func(q *toyPod) bool { return q == p })
				for _, name := range p.Claims {
					c := k.claims[p.Namespace+"/"+name]
					if c.attached == p.Node && !slices.ContainsFunc(k.pods, func(q *toyPod) bool { return q.Node == p.Node && slices.Contains(q.Claims, name) }) {
						c.attached, c.readyAt = "", k.now.Add(2*time.Second)
					}
				}
			}
			continue
		}
		if Puller(&p.Pod) {
			k.pullFor(p)
			continue
		}
		if p.Ready || p.Finished() || p.w == nil {
			continue
		}
		if image := p.w.template.image; image != "" && !k.pulled(node, image) {
			p.boundAt = k.now
			continue
		}
		mounted := true
		for _, name := range p.Claims {
			c := k.claims[p.Namespace+"/"+name]
			if c.attached == "" && !k.now.Before(c.readyAt) {
				c.attached, c.readyAt = p.Node, k.now.Add(3*time.Second)
			}
			mounted = mounted && c.attached == p.Node && !k.now.Before(c.readyAt)
		}
		if !mounted {
			p.boundAt = k.now
			continue
		}
		if p.w.breaks && p.rev > 1 {
			p.Phase, p.WaitingReason = "Running", "CrashLoopBackOff"
			continue
		}
		if k.now.Sub(p.boundAt) >= time.Duration(p.readyIn)*time.Second {
			p.Phase, p.Ready, p.ReadySince = "Running", true, k.now
			if p.made {
				k.slowest = max(k.slowest, k.now.Sub(p.CreatedAt))
			}
			p.WaitingReason = ""
		}
	}
}

// snapshot is what the adapter would read.
func (k *toyKube) snapshot() fleet.Snapshot {
	s := fleet.Snapshot{TakenAt: k.now}
	for _, n := range k.nodes {
		c := *n
		c.Annotations, c.Labels, c.Taints, c.Images = maps.Clone(n.Annotations), maps.Clone(n.Labels), slices.Clone(n.Taints), maps.Clone(n.Images)
		s.Nodes = append(s.Nodes, c)
	}
	for _, p := range k.pods {
		c := p.Pod
		c.Annotations, c.Pulls = maps.Clone(p.Annotations), slices.Clone(p.Pulls)
		s.Pods = append(s.Pods, c)
	}
	for _, w := range k.workloads {
		c := w.Workload
		c.Annotations = maps.Clone(w.Annotations)
		if w.Scaler != nil {
			sc := *w.Scaler
			sc.Annotations = maps.Clone(w.Scaler.Annotations)
			c.Scaler = &sc
		}
		s.Workloads = append(s.Workloads, c)
	}
	for _, b := range k.budgets {
		s.Budgets = append(s.Budgets, b.Budget)
	}
	for _, key := range sortedKeys(k.claims) {
		c := k.claims[key].Claim
		if at := k.claims[key].attached; at != "" {
			c.AttachedTo = []string{at}
		}
		s.Claims = append(s.Claims, c)
	}
	for _, b := range k.balancers {
		lb := fleet.LoadBalancer{Namespace: "shop", Name: b.name, Local: b.local}
		if b.local {
			lb.Endpoints = k.endpoints(b)
		}
		s.LoadBalancers = append(s.LoadBalancers, lb)
	}
	k.rng.Shuffle(len(s.Pods), func(i, j int) { s.Pods[i], s.Pods[j] = s.Pods[j], s.Pods[i] })
	k.rng.Shuffle(len(s.Workloads), func(i, j int) { s.Workloads[i], s.Workloads[j] = s.Workloads[j], s.Workloads[i] })
	k.rng.Shuffle(len(s.Nodes), func(i, j int) { s.Nodes[i], s.Nodes[j] = s.Nodes[j], s.Nodes[i] })
	return s
}
