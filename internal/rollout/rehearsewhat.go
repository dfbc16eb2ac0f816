package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// ClusterOf makes of a snapshot what a cloud would say of the cluster, its control
// plane on the target already. Pools without nodes are not in a snapshot.
func ClusterOf(s *fleet.Snapshot, name string, target fleet.Version) fleet.Cluster {
	c := fleet.Cluster{ID: "rehearsal/" + strings.ToLower(name), Name: name, Version: target, ProvisioningState: "Succeeded", MaxPools: 100}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Pool == "" {
			continue
		}
		p := c.Pool(n.Pool)
		if p == nil {
			os := "Linux"
			if n.Labels["kubernetes.io/os"] == "windows" {
				os = "Windows"
			}
			c.Pools = append(c.Pools, fleet.Pool{
				Name: n.Pool, Mode: "User", OS: os, Type: "VirtualMachineScaleSets", Version: n.Version, Image: n.Image, ProvisioningState: "Succeeded",
			})
			p = &c.Pools[len(c.Pools)-1]
		}
		p.Count++
		if n.Version.Less(p.Version) {
			p.Version = n.Version
		}
	}
	slices.SortFunc(c.Pools, func(a, b fleet.Pool) int { return strings.Compare(a.Name, b.Name) })
	return c
}

// PoolsToRehearse are the pools of a snapshot that a rehearsal goes through: the
// named one, or all that the target is new to. Those that no node names are an
// error that says which there are.
func PoolsToRehearse(s *fleet.Snapshot, name, label string, target fleet.Version) ([]string, error) {
	if label != "" {
		for i := range s.Nodes {
			s.Nodes[i].Pool = s.Nodes[i].Labels[label]
		}
	}
	if name != "" {
		found, err := poolNamed(s, PoolRequest{Pool: name, PoolLabel: label})
		if err != nil {
			return nil, &InputError{What: err.Error()}
		}
		if c := ClusterOf(s, "", target); target.Less(c.Pool(found).Version) {
			return nil, &InputError{What: fmt.Sprintf("pool %s runs %s already, which is newer than %s", found, c.Pool(found).Version, target)}
		}
		return []string{found}, nil
	}
	var pools []string
	c := ClusterOf(s, "", target)
	for i := range c.Pools {
		if c.Pools[i].Version.Less(target) {
			pools = append(pools, c.Pools[i].Name)
		}
	}
	switch {
	case len(c.Pools) == 0:
		_, err := poolNamed(s, PoolRequest{PoolLabel: label})
		return nil, &InputError{What: err.Error()}
	case len(pools) == 0:
		return nil, &InputError{What: "all pools run " + target.String() + " or newer: name the one to rehearse with --pool"}
	}
	return pools, nil
}

// ClustersToRehearse are the clusters of a fleet that a rehearsal goes through: all
// of a ring, or one by its name, or both. Rings tells which ring each is in.
func ClustersToRehearse(ctx context.Context, provider Provider, spec *fleet.Spec, ring, name string) (clusters []fleet.Cluster, rings []string, err error) {
	if ring != "" {
		if r, _ := spec.Ring(ring); r == nil {
			names := make([]string, 0, len(spec.Rings))
			for i := range spec.Rings {
				names = append(names, spec.Rings[i].Name)
			}
			return nil, nil, &InputError{What: fmt.Sprintf("the Fleet file has no ring %q; there are: %s", ring, strings.Join(names, ", "))}
		}
	}
	all, err := provider.Discover(ctx, spec.Sources)
	if err != nil {
		return nil, nil, err
	}
	var others []string
	for i := range all {
		in := ringOf(spec, &all[i])
		if (ring == "" || in == ring) && (name == "" || strings.EqualFold(all[i].Name, name)) {
			clusters, rings = append(clusters, all[i]), append(rings, in)
			continue
		}
		others = append(others, all[i].Name)
	}
	if len(clusters) == 0 {
		what := "no cluster of the fleet"
		if name != "" {
			what += fmt.Sprintf(" is called %q", name)
		}
		if ring != "" {
			what += fmt.Sprintf(" is in ring %q", ring)
		}
		return nil, nil, &InputError{What: what + "; there are: " + strings.Join(others, ", ")}
	}
	return clusters, rings, nil
}

// RehearsalSpec is the policy of a rehearsal: that of a Fleet file, or the usual
// one, with what was asked for beside it.
func RehearsalSpec(file *fleet.Spec, cluster string, changes fleet.NodeChanges, accepted []fleet.Acceptance) fleet.Spec {
	spec := fleet.Spec{Name: rehearsalID, Nodes: fleet.UsualNodePolicy()}
	if file != nil {
		spec = *file
	}
	spec.Overrides = append(slices.Clone(spec.Overrides), fleet.Override{Nodes: changes})
	spec.Rings = slices.Clone(spec.Rings)
	spec.Accept = append(AcceptancesOf(&spec, cluster), accepted...)
	return spec
}
