package evacuate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// edge fills a cluster with what stands behind load balancers: an ingress that
// keeps traffic on its node, a single gateway that does too, and a shop whose
// Service passes traffic on from every node.
func edge(k *toyKube) {
	k.add(fleet.Workload{Kind: fleet.Deployment, Name: "ingress", Replicas: 3}, toyTemplate{antiAffinity: true})
	k.budget("ingress", "app=ingress", "", "1")
	k.balance("ingress", "app=ingress", true)
	k.add(fleet.Workload{Kind: fleet.Deployment, Name: "gateway", Replicas: 1}, toyTemplate{})
	k.balance("gateway", "app=gateway", true)
	k.add(fleet.Workload{Kind: fleet.Deployment, Name: "shop", Replicas: 4}, toyTemplate{})
	k.balance("shop", "app=shop", false)
	k.add(fleet.Workload{Kind: fleet.StatefulSet, Name: "db", Replicas: 2}, toyTemplate{})
}

// balanced is an evacuation of such a cluster in which load balancers get ten
// seconds to notice what they notice in five.
func balanced(t *testing.T, seed uint64, fill func(*toyKube)) *run {
	t.Helper()
	r := evacuation(t, seed, fill)
	r.in.Policy.LoadBalancerSettle = 10 * time.Second
	return r
}

// TestLoadBalancerStory tells how nodes leave their load balancers before their
// pods go: toyKube.send fails the test when traffic meets a node that drops it.
func TestLoadBalancerStory(t *testing.T) {
	var story strings.Builder
	r := balanced(t, 1, edge)
	r.story = &story
	r.drive(StatusDone)
	r.checkEnd(0)
	for _, name := range r.in.Leaving {
		if !oursExcluded(r.k.node(name)) {
			t.Errorf("node %s was emptied, and is still behind load balancers", name)
		}
	}
	story.WriteString("and back:\n")
	r.back()
	r.drive(StatusDone)
	for _, name := range r.in.Receiving {
		if excluded(r.k.node(name)) {
			t.Errorf("node %s took its pods back, and is not behind load balancers", name)
		}
	}
	golden(t, "balancers", story.String())
}

// TestLoadBalancersBySeed shuffles everything, at the default pace and at full
// speed, with the memory lost now and then.
func TestLoadBalancersBySeed(t *testing.T) {
	for seed := range uint64(24) {
		r := balanced(t, seed, edge)
		if seed%2 == 0 {
			r.in.Pace = fleet.Pace{CanaryNodes: 1, MaxInMotion: fleet.Amount{Percent: 10}, HealthPasses: 2}
		}
		lossy := seed%3 == 0
		r.before = func(pass int, r *run) {
			if lossy && pass%23 == 11 {
				r.in.Memory, r.in.Outcomes = Memory{}, nil
			}
		}
		r.drive(StatusDone)
		if !lossy {
			r.checkEnd(0)
		}
		actions, _ := Undo(r.k.snapshot(), nil, "")
		for range 3 {
			for _, a := range actions {
				r.k.do("r1", a)
			}
			r.k.tick()
		}
		for _, n := range r.k.nodes {
			if excluded(n) {
				t.Errorf("seed %d: node %s is out of load balancers after everything was undone", seed, n.Name)
			}
		}
	}
}

// TestNoLoadBalancer: where no Service of type LoadBalancer exists, or the
// policy leaves them alone, no node is labelled and nothing waits.
func TestNoLoadBalancer(t *testing.T) {
	for name, change := range map[string]func(*run){
		"no Service": func(r *run) { r.k.balancers = nil },
		"policy":     func(r *run) { r.in.Policy.LoadBalancerSettle = 0; r.k.balancers = r.k.balancers[2:] },
	} {
		t.Run(name, func(t *testing.T) {
			r := balanced(t, 3, edge)
			change(r)
			r.drive(StatusDone)
			for _, n := range r.k.nodes {
				if excluded(n) {
					t.Errorf("node %s was taken out of load balancers", n.Name)
				}
			}
		})
	}
}

// TestLoadBalancerNeverDeadlocks: where an endpoint cannot be on a node that
// stays, its node is emptied all the same, and that is said.
func TestLoadBalancerNeverDeadlocks(t *testing.T) {
	local := func(k *toyKube, w fleet.Workload, tpl toyTemplate) {
		k.add(w, tpl)
		k.balance(w.Name, "app="+w.Name, true)
		k.add(fleet.Workload{Kind: fleet.Deployment, Name: "shop", Replicas: 4}, toyTemplate{})
	}
	tests := map[string]struct {
		fill  func(*toyKube)
		kept  bool // a node stays in its load balancers
		drops bool // the toy's load balancer may meet a node without endpoint: there is no better way
		done  Status
	}{
		"a single pod that somebody else manages": {func(k *toyKube) {
			local(k, fleet.Workload{Kind: fleet.Deployment, Name: "edge", Replicas: 1, Manager: "flux"}, toyTemplate{})
		}, true, true, StatusBlocked},
		"a StatefulSet": {func(k *toyKube) {
			local(k, fleet.Workload{Kind: fleet.StatefulSet, Name: "edge", Replicas: 2}, toyTemplate{antiAffinity: true})
		}, false, true, StatusDone},
		"a budget that allows none at any size": {func(k *toyKube) {
			local(k, fleet.Workload{Kind: fleet.Deployment, Name: "edge", Replicas: 2}, toyTemplate{antiAffinity: true})
			k.budget("edge", "app=edge", "", "0")
		}, false, true, StatusDone},
		"a DaemonSet of old nodes only": {func(k *toyKube) {
			w := k.add(fleet.Workload{Kind: fleet.DaemonSet, Name: "edge"}, toyTemplate{})
			w.onlyOn = "old"
			k.balance("edge", "app=edge", true)
			k.add(fleet.Workload{Kind: fleet.Deployment, Name: "shop", Replicas: 4}, toyTemplate{})
		}, true, false, StatusDone},
		"new nodes that their owner keeps out": {func(k *toyKube) {
			k.add(fleet.Workload{Kind: fleet.Deployment, Name: "shop", Replicas: 4}, toyTemplate{})
			k.balance("shop", "app=shop", false)
		}, true, false, StatusDone},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := balanced(t, 5, test.fill)
			if test.drops {
				for _, b := range r.k.balancers {
					b.lag = 1 << 20 // only what the evacuation does counts here
				}
			}
			if strings.HasPrefix(name, "new nodes") {
				for _, node := range r.in.Receiving {
					r.k.node(node).Labels[ExcludeLBLabel] = "true"
				}
			}
			kept := false
			r.before = func(_ int, r *run) {
				pass := Next(withSnapshot(r.in, r.k.snapshot()))
				kept = kept || slices.ContainsFunc(pass.Findings, func(f fleet.Finding) bool { return f.ID == "node-kept-in-load-balancer" })
			}
			end := r.drive(test.done)
			if kept != test.kept {
				t.Errorf("a node was kept in its load balancer: %v, want %v: %s", kept, test.kept, end.Reason)
			}
			for _, p := range r.k.pods {
				if slices.Contains(r.in.Leaving, p.Node) && p.w.Name == "shop" {
					t.Errorf("pod %s did not move", p.Name)
				}
			}
		})
	}
}

func withSnapshot(in Input, s fleet.Snapshot) Input {
	in.Snapshot = s
	return in
}
