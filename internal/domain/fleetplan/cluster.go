package fleetplan

import (
	"fmt"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// cluster plans one cluster: its way, what that takes and costs, and what stands
// in it.
func (m *maker) cluster(in *ClusterInput) (Cluster, plan.Walk) {
	c := Cluster{
		ID: in.Cluster.ID, Name: in.Cluster.Name, Subscription: in.Cluster.Subscription, Location: in.Cluster.Location,
		Version: in.Cluster.Version, State: in.State, Work: in.Work, Unread: in.Unread,
		Hops: []Hop{}, Legs: []Leg{}, Findings: []fleet.Finding{}, Needs: []string{},
	}
	to, known := m.in.target(in)
	c.To = to
	switch {
	case ended(in.State):
		return c, plan.Walk{}
	case in.Cluster.Stopped:
		c.LeftAlone = "the cluster is stopped; a later rollout picks it up when it runs again"
	case !known:
		c.LeftAlone = fmt.Sprintf("the target says nothing for a cluster at %s", in.Cluster.Version)
	case to.Less(in.Cluster.Version):
		c.LeftAlone = fmt.Sprintf("the control plane is at %s, beyond the target %s", in.Cluster.Version, to)
	}
	if c.LeftAlone != "" {
		return c, plan.Walk{}
	}
	walk := plan.TakeWalk(plan.ClusterView{
		Cluster: in.Cluster, Nodes: in.Nodes, Target: to, Offers: in.Offers, Images: m.imagesOf(in), SetAside: in.SetAside,
		ImagePass: m.in.Spec.Target.Channel == fleet.ChannelNodeImage, Policy: m.in.policy(in), Channels: m.in.Spec.Channels, Proven: m.proven,
	}, "plan", m.in.Now)
	c.Blocked, c.LeftAlone = walk.Blocked, walk.SetAside
	if in.Unoffered != "" {
		c.Blocked = "nobody can say what is on offer: " + in.Unoffered
	}
	c.Hops = hopsOf(in, &walk, to)
	done := map[string]bool{}
	for _, leg := range walk.Legs {
		made := Leg{Kind: leg.Kind, Version: leg.Version, Reason: leg.Reason}
		switch leg.Kind {
		case plan.StepControlPlane:
			made.Forecast = m.in.History.ForecastControlPlane(in.Cluster.ID, in.Ring)
		case plan.StepPool:
			m.pool(in, &made, leg.Pass)
			if known := in.Pools[leg.Pass.Origin]; !done[leg.Pass.Origin] {
				done[leg.Pass.Origin] = true
				c.Findings = append(c.Findings, known.Findings...)
				if known.Backup != "" {
					c.Needs = append(c.Needs, known.Backup)
				}
			}
		default:
		}
		c.Legs = append(c.Legs, made)
	}
	for _, f := range c.Findings {
		if f.Severity == fleet.Blocker && f.AcceptedBy == "" {
			c.Needs = append(c.Needs, fmt.Sprintf("acceptance of %s for %s, or: %s", f.ID, f.Object, f.Remedy))
		}
	}
	c.addUp()
	c.NodeHours = cents(c.NodeHours)
	nodes := 0
	for i := range in.Cluster.Pools {
		nodes += in.Cluster.Pools[i].Count
	}
	c.Admission = plan.Forecast(plan.Size{Nodes: nodes, Minors: to.Minor - in.Cluster.Version.Minor}, m.in.Past).Seconds()
	return c, walk
}

// imagesOf are the images that a cluster's nodes must end on, as a rollout has
// it: what rings before have proven, else for a target of node images the newest.
func (m *maker) imagesOf(in *ClusterInput) map[string]string {
	images := map[string]string{}
	for family, i := range m.images {
		images[family] = i.Image
	}
	if len(images) > 0 || m.in.Spec.Target.Channel != fleet.ChannelNodeImage {
		return images
	}
	for i := range in.Cluster.Pools {
		p := &in.Cluster.Pools[i]
		if image := in.Offers.NodeImages[p.Name]; image != "" {
			images[p.ImageFamily()] = image
		}
	}
	return images
}

// hopsOf are the stops of a way, with the reason for moving nodes there.
func hopsOf(in *ClusterInput, walk *plan.Walk, to fleet.Version) []Hop {
	hops := []Hop{}
	for _, h := range walk.Hops {
		hop := Hop{Hop: h}
		switch {
		case !h.NodePass:
		case h.ControlPlane == to:
			hop.Why = "the nodes follow to the target"
		case !in.Cluster.ControlPlaneAlone():
			hop.Why = "the provider takes the pools along with the control plane"
		default:
			hop.Why = "nodes may be at most three minors behind their control plane, so they follow before it goes on"
		}
		hops = append(hops, hop)
	}
	return hops
}

// pool plans one pool on one version.
func (m *maker) pool(in *ClusterInput, leg *Leg, pass *plan.Pass) {
	known := in.Pools[pass.Origin]
	origin := in.Cluster.Pool(pass.Origin)
	p := &Pool{
		Name: pass.Pool, Ends: pass.Ends, Strategy: pass.Strategy, From: pass.From, To: pass.To, Image: pass.Image,
		Nodes: pass.Nodes, ExtraNodes: pass.Extra, VMSize: origin.VMSize, Steps: []Step{}, SoakSeconds: pass.Soak.Seconds(),
	}
	if pass.Strategy == fleet.InPlace {
		p.ExtraNodes = (pass.Nodes + 9) / 10 // what AKS takes where a pool names none
	}
	size := PoolSize{
		Cluster: in.Cluster.ID, Ring: in.Ring, Stem: plan.Stem(origin), Strategy: pass.Strategy, Nodes: pass.Nodes,
		Planned: known.Plan, Learned: known.Learned,
	}
	leg.Forecast = m.in.History.ForecastPool(size)
	if known.Plan != nil {
		p.Pods, p.Blocked = known.Plan.Pods, len(known.Plan.Blocked)
		p.Bound = evacuate.Limit{Term: known.Plan.Binding.Term, Object: known.Plan.Binding.Object, Seconds: known.Plan.BoundSeconds}
		if pass.Strategy == fleet.InPlace {
			p.ExtraNodes = known.Plan.ExtraNodes
		}
	}
	for _, s := range pass.Steps {
		step := Step{
			Kind: s.Kind, Target: s.Target, Receiving: s.Receiving, Nodes: s.Count, SoakSeconds: s.Soak.Seconds(),
			PointOfNoReturn: s.PointOfNoReturn, Reason: s.Reason,
		}
		if s.Times > 1 {
			step.Rounds = s.Times
		}
		if s.PointOfNoReturn && p.NoReturn == "" {
			p.NoReturn = strings.TrimSpace(fmt.Sprintf("%s %s: %s", s.Kind, s.Target, s.Reason))
		}
		p.Steps = append(p.Steps, step)
	}
	p.NodeHours = cents(float64(p.ExtraNodes) * (leg.Forecast.P50 + p.SoakSeconds) / time.Hour.Seconds())
	leg.Pool = p
}

// work cuts a cluster's way into what needs an open window and what passes by
// itself. of picks the forecast.
func (m *maker) work(c *Cluster, onClose fleet.OnClose, of func(evacuate.Forecast) float64) Work {
	w := Work{ID: c.ID, Needs: seconds(c.Admission)}
	for _, leg := range c.Legs {
		takes := seconds(of(leg.Forecast.Forecast))
		if leg.Pool == nil {
			if takes > 0 {
				w.Parts = append(w.Parts, Part{Takes: takes})
			}
			continue
		}
		needs := time.Duration(0)
		if onClose != fleet.FinishCluster {
			needs = plan.Forecast(plan.Size{Nodes: leg.Pool.Nodes}, m.in.Past)
		}
		soak := seconds(leg.Pool.SoakSeconds)
		if soak == 0 {
			w.Parts = append(w.Parts, Part{Takes: takes, Needs: needs})
			continue
		}
		rest := min(takes, evacuate.UsualAssumptions.NodeRemoval) // the old nodes go
		if leg.Pool.Strategy == fleet.Buffer {
			rest = takes / 2 // the pods come home
		}
		w.Parts = append(w.Parts, Part{Takes: takes - rest, Needs: needs}, Part{Takes: soak, Soak: true}, Part{Takes: rest})
	}
	return w
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
