package evacuate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Balancing is what is remembered of external load balancers. Losing it starts
// the settled times anew.
type Balancing struct {
	// ReadyAt is since when nodes that stay could take the leaving ones' traffic.
	ReadyAt time.Time `json:"readyAt,omitzero"`
	// EndpointAt is since when a Service that keeps traffic on its node has had a
	// Ready endpoint on a node that stays, by its key.
	EndpointAt map[string]time.Time `json:"endpointAt,omitempty"`
	// OutAt is since when a leaving node has been out of the load balancers.
	OutAt map[string]time.Time `json:"outAt,omitempty"`
}

// balancers is what the snapshot's load balancers ask of an evacuation.
type balancers struct {
	// local are the Services that drop what comes in at a node without a Ready
	// endpoint of theirs.
	local []*localService
	// lacks names, by workload, the Service that has no Ready endpoint on a node
	// that stays before a pod of that workload is there.
	lacks map[string]string
}

// localService is such a Service, as far as the leaving nodes go.
type localService struct {
	key     string
	leaving map[string]bool // leaving nodes with a Ready endpoint
	settled bool            // a node that stays has one
	backing map[string]bool // the workloads whose pods are its endpoints on leaving nodes
}

// newBalancers looks at the load balancers, unless the policy leaves them alone.
func (wd *world) newBalancers() balancers {
	b := balancers{lacks: map[string]string{}}
	if wd.in.Policy.LoadBalancerSettle <= 0 {
		return b
	}
	owners := map[string]string{}
	for i := range wd.in.Snapshot.LoadBalancers {
		lb := &wd.in.Snapshot.LoadBalancers[i]
		if !lb.Local {
			continue
		}
		if len(owners) == 0 {
			for j := range wd.in.Snapshot.Pods {
				p := &wd.in.Snapshot.Pods[j]
				owners[p.Key()] = p.Workload
			}
		}
		s := &localService{key: lb.Key(), leaving: map[string]bool{}, backing: map[string]bool{}}
		for _, e := range lb.Endpoints {
			switch n := wd.nodes[e.Node]; {
			case n == nil || !e.Ready:
			case wd.leaving[e.Node]:
				s.leaving[e.Node] = true
				s.backing[owners[lb.Namespace+"/"+e.Pod]] = true
			case n.Ready && !excluded(n):
				s.settled = true
			}
		}
		delete(s.backing, "")
		if len(s.leaving) == 0 {
			continue
		}
		b.local = append(b.local, s)
		if !s.settled {
			for key := range s.backing {
				b.lacks[key] = s.key
			}
		}
	}
	return b
}

// excluded reports whether a node is out of external load balancers, whoever
// took it out.
func excluded(n *fleet.Node) bool {
	_, ok := n.Labels[ExcludeLBLabel]
	return ok
}

// oursExcluded reports whether it was us who took a node out.
func oursExcluded(n *fleet.Node) bool { return n.Labels[ExcludeLBLabel] == ExcludeLBValue }

// balance takes leaving nodes out of external load balancers before their pods
// go: first nodes that stay must have been ready for the time in which a load
// balancer notices, and every Service that keeps traffic on its node must hold a
// Ready endpoint there; then the same time is given to notice that they are out.
// gates says, by leaving node, why its pods wait. Nothing waits for ever.
func (t *turn) balance() {
	t.gates, t.opening = map[string]string{}, map[string]bool{}
	settle := t.in.Policy.LoadBalancerSettle
	if settle <= 0 || len(t.in.Snapshot.LoadBalancers) == 0 {
		t.mem.Balancing = Balancing{}
		return
	}
	m := &t.mem.Balancing
	m.EndpointAt, m.OutAt = cloned(m.EndpointAt), cloned(m.OutAt)
	ready := t.stop == "" && slices.ContainsFunc(t.room.nodes, func(n *roomNode) bool {
		return !excluded(n.Node) && (len(t.receiving) == 0 || t.receiving[n.Name])
	})
	if ready && m.ReadyAt.IsZero() {
		m.ReadyAt = t.now
	}
	hopeless := map[string]string{} // by Service
	for _, s := range t.balancers.local {
		switch {
		case s.settled && m.EndpointAt[s.key].IsZero():
			m.EndpointAt[s.key] = t.now
		case !s.settled:
			delete(m.EndpointAt, s.key)
			if why := t.neverElsewhere(s); why != "" {
				hopeless[s.key] = why
			}
		}
	}
	for key := range t.balancers.lacks {
		if w := t.workloads[key]; w != nil && t.plans[w].move != MoveSurge {
			t.opening[key] = true
		}
	}
	// Endpoints, readiness and the label are each waited for; what does not come
	// in twice the time that a pod may take to start will not come.
	late := !m.ReadyAt.IsZero() && t.now.Sub(m.ReadyAt) > 2*patience+3*settle
	for _, name := range sortedKeys(t.leaving) {
		n := t.nodes[name]
		if n == nil {
			continue
		}
		if excluded(n) {
			t.out(n, settle)
			continue
		}
		delete(m.OutAt, name)
		why, kept := t.keptIn(name, settle, hopeless)
		switch {
		case kept != "" || late:
			t.pass.Findings = append(t.pass.Findings, keptBehind(name, cmp.Or(kept, why)))
		case !ready && m.ReadyAt.IsZero():
			if t.stop == "" {
				// Nothing that stays is behind a load balancer: taking these out would
				// leave it without any node.
				t.pass.Findings = append(t.pass.Findings, keptBehind(name, "no node that stays is behind the load balancers"))
			}
		case why != "":
			t.gates[name] = why
		case t.in.Hold != "":
			t.gates[name] = t.in.Hold
		case t.do(Action{Kind: ExcludeLB, Node: name, UID: n.UID, Reason: "its pods are to go: external load balancers send it nothing any more"}, Sent{}):
			t.gates[name] = "node " + name + " is being taken out of the external load balancers"
		default:
			r, _ := t.refused(ExcludeLB, name, n.UID)
			t.pass.Findings = append(t.pass.Findings, keptBehind(name, r.Message))
		}
	}
}

// out judges a node that is out of the load balancers.
func (t *turn) out(n *fleet.Node, settle time.Duration) {
	m := &t.mem.Balancing
	if !oursExcluded(n) {
		return // its owner took it out long ago, for all that is known
	}
	if m.OutAt[n.Name].IsZero() {
		m.OutAt[n.Name] = t.now
	}
	if left := settle - t.now.Sub(m.OutAt[n.Name]); left > 0 {
		t.gates[n.Name] = fmt.Sprintf("node %s was taken out of the external load balancers, which get %s to notice", n.Name, settle)
	}
}

// keptIn says why a node may not be taken out of the load balancers yet, or why
// it never may.
func (t *turn) keptIn(name string, settle time.Duration, hopeless map[string]string) (why, kept string) {
	m := &t.mem.Balancing
	if m.ReadyAt.IsZero() || t.now.Sub(m.ReadyAt) < settle {
		why = fmt.Sprintf("load balancers get %s to notice the new nodes before node %s is taken out", settle, name)
	}
	for _, s := range t.balancers.local {
		if !s.leaving[name] {
			continue
		}
		switch at := m.EndpointAt[s.key]; {
		case hopeless[s.key] != "":
			return "", hopeless[s.key]
		case !s.settled:
			why = fmt.Sprintf("Service %s (externalTrafficPolicy Local) has a Ready endpoint on node %s and none yet on a node that stays", s.key, name)
		case t.now.Sub(at) < settle && why == "":
			why = fmt.Sprintf("load balancers get %s to notice the endpoint of Service %s on a node that stays", settle, s.key)
		}
	}
	return why, ""
}

// neverElsewhere says why a Service will get no endpoint on a node that stays,
// or "": none of the workloads behind it moves.
func (t *turn) neverElsewhere(s *localService) string {
	why := "its endpoints there belong to no workload that moves"
	for _, key := range sortedKeys(s.backing) {
		w := t.workloads[key]
		if w == nil {
			continue
		}
		p, planned := t.plans[w]
		if !planned {
			continue
		}
		switch p.move {
		case MoveRoll, MoveSurge, MoveEvict, MoveOrdered:
			return ""
		case MoveWait, MoveRefuse, MoveDone, MoveBlocked:
			why = key + " behind it does not move: " + p.reason
		}
	}
	return "Service " + s.key + " (externalTrafficPolicy Local) has no Ready endpoint on a node that stays, and " + why
}

// keptBehind is the finding for a node that stays in its load balancers until
// it is removed.
func keptBehind(node, why string) fleet.Finding {
	return fleet.Finding{
		ID: "node-kept-in-load-balancer", Severity: fleet.Warning, Object: "Node/" + node,
		What: "node " + node + " is emptied without being taken out of external load balancers first",
		Why:  why,
		Remedy: remedies("put a Ready endpoint of that Service on a node that stays",
			"set the Service's externalTrafficPolicy to Cluster", "set evacuation.loadBalancerSettle: 0s to leave load balancers alone"),
	}
}

// gated says why pods wait for load balancers, or "". The pods of a workload
// that has to move so that a Service gets its first endpoint elsewhere wait for
// nothing.
func (t *turn) gated(w *workload, pods []*pod) string {
	if len(t.gates) == 0 || w != nil && t.opening[w.key] {
		return ""
	}
	for _, p := range pods {
		if why := t.gates[p.Node]; why != "" {
			return "waits: " + why
		}
	}
	return ""
}

// remedies joins what a person can do, the best first.
func remedies(list ...string) string { return strings.Join(list, "; or ") }
