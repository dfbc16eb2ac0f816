package evacuate

import (
	"k8s.io/apimachinery/pkg/labels"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// toyBalancer is an external load balancer in front of a Service. It sends
// traffic to the nodes that looked well some seconds ago, as probes and back-end
// pools see them.
type toyBalancer struct {
	name, selector string
	local          bool
	lag            int               // seconds
	history        []map[string]bool // which nodes looked well, newest last
}

// balance adds a Service of type LoadBalancer over the pods of an app.
func (k *toyKube) balance(name, selector string, local bool) *toyBalancer {
	b := &toyBalancer{name: name, selector: selector, local: local, lag: 5}
	k.balancers = append(k.balancers, b)
	return b
}

// endpoints are the Service's pods, by whether they are Ready.
func (k *toyKube) endpoints(b *toyBalancer) []fleet.Endpoint {
	selector, err := labels.Parse(b.selector)
	if err != nil {
		k.t.Fatal(err)
	}
	var out []fleet.Endpoint
	for _, p := range k.pods {
		if p.Node != "" && !p.Finished() && selector.Matches(labels.Set(p.Labels)) {
			out = append(out, fleet.Endpoint{Node: p.Node, Pod: p.Name, Ready: p.Ready && p.DeletedAt.IsZero()})
		}
	}
	return out
}

// send is what each load balancer does in a second: no node that it still sends
// traffic to may drop it, and some node must be left.
func (k *toyKube) send() {
	k.t.Helper()
	for _, b := range k.balancers {
		serves := map[string]bool{}
		for _, e := range k.endpoints(b) {
			serves[e.Node] = serves[e.Node] || e.Ready
		}
		well := map[string]bool{}
		for _, n := range k.nodes {
			well[n.Name] = n.Ready && !excluded(n) && (!b.local || serves[n.Name])
		}
		b.history = append(b.history, well)
		if len(b.history) <= b.lag || k.floor == nil {
			continue
		}
		sends := 0
		for node, ok := range b.history[len(b.history)-1-b.lag] {
			if !ok {
				continue
			}
			sends++
			if b.local && !serves[node] {
				k.t.Fatalf("%s: load balancer %s sends to node %s, where no pod of it serves\n%s", k.now.Sub(k.start), b.name, node, k.describe())
			}
		}
		if sends == 0 {
			k.t.Fatalf("%s: load balancer %s has no node left\n%s", k.now.Sub(k.start), b.name, k.describe())
		}
	}
}
