package config

import (
	"fmt"
	"reflect"
	"time"

	"liftlock.dev/liftlock/internal/config/v1alpha1"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

const (
	maxPoolSoak = 30 * day
	maxWait     = 7 * day
	maxSettle   = 10 * time.Minute
)

// nodes checks a node policy and returns what it changes: all that is given
// and, where whole, the defaults of the rest.
func (c *checker) nodes(path string, v v1alpha1.Nodes, whole bool) fleet.NodeChanges {
	pace, evacuation := field(path, "pace"), field(path, "evacuation")
	prePull := field(evacuation, "prePull")
	surge := field(field(path, "inPlace"), "maxSurge")
	c.patterns(field(path, "poolOrder"), v.PoolOrder, poolName)
	c.pattern(field(path, "canaryPool"), v.CanaryPool, poolName)
	c.within(field(path, "soak"), v.Soak, 0, maxPoolSoak)
	c.within(field(evacuation, "jobWait"), v.Evacuation.JobWait, 0, maxWait)
	if timeout := field(prePull, "timeout"); whole || c.has(timeout) {
		c.within(timeout, v.Evacuation.PrePull.Timeout, time.Minute, day)
	}
	c.within(field(evacuation, "loadBalancerSettle"), v.Evacuation.LoadBalancerSettle, 0, maxSettle)
	if timeout := field(evacuation, "timeout"); whole || c.has(timeout) {
		c.within(timeout, v.Evacuation.Timeout, time.Minute, maxWait)
	}

	n := fleet.NodeChanges{
		Strategy:   given(c, whole, field(path, "strategy"), fleet.Strategy(v.Strategy)),
		PoolOrder:  v.PoolOrder,
		CanaryPool: given(c, false, field(path, "canaryPool"), v.CanaryPool),
		Soak:       given(c, whole, field(path, "soak"), time.Duration(v.Soak)),
		Pace: fleet.PaceChanges{
			CanaryNodes:  given(c, whole, field(pace, "canaryNodes"), v.Pace.CanaryNodes),
			MaxInMotion:  given(c, whole, field(pace, "maxInMotion"), v.Pace.MaxInMotion.Amount),
			HealthPasses: given(c, whole, field(pace, "healthPasses"), v.Pace.HealthPasses),
		},
		Evacuation: fleet.EvacuationChanges{
			BarePods:  given(c, whole, field(evacuation, "barePods"), v.Evacuation.BarePods),
			LocalData: given(c, whole, field(evacuation, "localData"), v.Evacuation.LocalData),
			JobWait:   given(c, whole, field(evacuation, "jobWait"), time.Duration(v.Evacuation.JobWait)),
			JobsAfter: given(c, whole, field(evacuation, "jobsAfter"), v.Evacuation.JobsAfter),
			MaxSurge:  given(c, whole, field(evacuation, "maxSurge"), v.Evacuation.MaxSurge.Amount),
			Timeout:   given(c, whole, field(evacuation, "timeout"), time.Duration(v.Evacuation.Timeout)),

			OnFailure: given(c, whole, field(evacuation, "onFailure"), fleet.OnFailure(v.Evacuation.OnFailure)),
			PrePull: fleet.PrePullChanges{
				Images:    given(c, whole, field(prePull, "images"), fleet.PrePullImages(v.Evacuation.PrePull.Images)),
				Threshold: given(c, whole, field(prePull, "threshold"), int64(v.Evacuation.PrePull.Threshold)),
				Timeout:   given(c, whole, field(prePull, "timeout"), time.Duration(v.Evacuation.PrePull.Timeout)),
			},
			LoadBalancerSettle: given(c, whole, field(evacuation, "loadBalancerSettle"), time.Duration(v.Evacuation.LoadBalancerSettle)),
		},
		ExtraNodes: given(c, false, field(path, "extraNodes"), v.ExtraNodes.Amount0),
		MaxSurge:   given(c, false, surge, providerSurge(v.InPlace.MaxSurge.Amount)),
	}
	if b := v.RequireBackup; b != nil {
		at := field(path, "requireBackup")
		c.within(field(at, "maxAge"), b.MaxAge, time.Minute, maxRingSoak)
		age, file := time.Duration(b.MaxAge), c.path(field(at, "file"), b.File)
		n.RequireBackup, n.BackupFile = &age, &file
	}
	return n
}

// given returns a value where the file gives it, or where all are wanted.
func given[T any](c *checker, whole bool, path string, value T) *T {
	if !whole && !c.has(path) {
		return nil
	}
	return &value
}

// providerSurge writes an amount as Azure wants it: "5", "33%".
func providerSurge(a fleet.Amount) string {
	if a.Percent > 0 {
		return fmt.Sprintf("%d%%", a.Percent)
	}
	return fmt.Sprint(a.Count)
}

// overrides checks the policies that differ for some rings, clusters or pools.
func (c *checker) overrides(path string, list []v1alpha1.Override, spec *fleet.Spec) []fleet.Override {
	var names []string
	for _, r := range spec.Rings {
		names = append(names, r.Name)
	}
	var res []fleet.Override
	for i, v := range list {
		at := item(path, i)
		ring, nodes := field(at, "ring"), field(at, "nodes")
		if !c.has(ring) && !c.has(field(at, "cluster")) && !c.has(field(at, "pool")) {
			c.bad(at, "selects nothing", "give a ring, a cluster or a pool; what holds for the whole fleet belongs in spec.nodes")
		}
		if found, _ := spec.Ring(v.Ring); v.Ring != "" && found == nil {
			remedy := "name a ring of spec.rings"
			if near := nearest(v.Ring, names); near != "" {
				remedy = "did you mean " + near + "?"
			}
			c.bad(ring, "is not a ring of this file", remedy)
		}
		c.pattern(field(at, "cluster"), v.Cluster, clusterName)
		c.pattern(field(at, "pool"), v.Pool, poolName)
		changes := c.nodes(nodes, v.Nodes, false)
		if c.has(nodes) && reflect.ValueOf(changes).IsZero() && c.sound(nodes) && !c.below[nodes] {
			c.bad(nodes, "changes nothing", "give what is different there, such as strategy: buffer, or remove the override")
		}
		if c.has(field(at, "pool")) {
			for _, key := range []string{"poolOrder", "canaryPool"} {
				if c.has(field(nodes, key)) {
					c.bad(field(nodes, key), "is about all pools of a cluster, in an override for some of them", "put it into an override without pool, or into spec.nodes")
				}
			}
		}
		res = append(res, fleet.Override{Ring: v.Ring, Cluster: v.Cluster, Pool: v.Pool, Nodes: changes})
	}
	return res
}
