package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// CheckRequest says what is checked.
type CheckRequest struct {
	Checks []check.Check
	// Cluster is a pattern, Ring a name; "" for all.
	Cluster, Ring string
	// Target wins over the Fleet file's; the zero value for that. AnyPatch: its
	// patch does not matter.
	Target   fleet.Version
	AnyPatch bool
}

// clustersAtOnce are asked at the same time.
const clustersAtOnce = 8

// Check looks at the clusters of a fleet and runs checks on what it finds. It
// changes nothing. A cluster that cannot be reached has checks that could not run;
// only a provider that cannot be asked at all is an error.
func (s *Stepper) Check(ctx context.Context, spec *fleet.Spec, r CheckRequest) ([]check.Result, error) {
	if r.Ring != "" {
		if ring, _ := spec.Ring(r.Ring); ring == nil {
			return nil, refuse("fleet %s has no ring %q; there are %s", spec.Name, r.Ring, ringNames(spec))
		}
	}
	reach, err := s.Reach(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("fleet %s: %w", spec.Name, err)
	}
	clusters, err := reach.Provider.Discover(ctx, spec.Sources)
	if err != nil {
		return nil, fmt.Errorf("discover the clusters of fleet %s: %w", spec.Name, err)
	}
	var chosen []fleet.Cluster
	for i := range clusters {
		ring := ringOf(spec, &clusters[i])
		if ring != "" && (r.Ring == "" || r.Ring == ring) && (r.Cluster == "" || plan.Match(r.Cluster, clusters[i].Name)) {
			chosen = append(chosen, clusters[i])
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("fleet %s: none of its %d clusters is in a ring and fits (--cluster %q, --ring %q): %w", spec.Name, len(clusters), r.Cluster, r.Ring, ErrNotFound)
	}
	results := make([]check.Result, len(chosen))
	slots := make(chan struct{}, clustersAtOnce)
	var wait sync.WaitGroup
	for i := range chosen {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			facts := (&reached{Stepper: s, Reach: reach}).facts(ctx, spec, chosen[i], r)
			results[i] = check.Run(&facts, r.Checks)
			results[i].Accept(spec.Accept, plan.Match)
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("check fleet %s: %w", spec.Name, err)
	}
	order := func(ring string) int {
		_, at := spec.Ring(ring)
		return at
	}
	slices.SortStableFunc(results, func(a, b check.Result) int {
		if d := order(a.Ring) - order(b.Ring); d != 0 {
			return d
		}
		return strings.Compare(a.Cluster, b.Cluster)
	})
	return results, nil
}

func ringNames(spec *fleet.Spec) string {
	names := make([]string, len(spec.Rings))
	for i := range spec.Rings {
		names[i] = spec.Rings[i].Name
	}
	return strings.Join(names, ", ")
}

// facts gathers what the checks need to know of one cluster.
func (s *reached) facts(ctx context.Context, spec *fleet.Spec, c fleet.Cluster, r CheckRequest) check.Facts {
	needs := needsOf(r.Checks)
	ring := ringOf(spec, &c)
	var f check.Facts
	inCluster := func(why string) {
		for _, n := range needs {
			switch n {
			case check.NeedTarget, check.NeedProvider, check.NeedOffers:
			default:
				f.Lacks(check.Unread{Need: n, Why: why})
			}
		}
	}
	if c.Stopped {
		inCluster("the cluster is stopped")
	} else if kube, err := s.Connector.Connect(ctx, c, ""); err != nil {
		inCluster("its API server cannot be asked: " + err.Error())
	} else {
		f = kube.Inspect(ctx, needs)
	}
	f.Cluster, f.Ring, f.At = c.Name, ring, s.now()
	f.Channels, f.Policy = spec.Channels, policyOf(spec, ring, c.Name)
	f.Managed = &c
	f.Has(check.NeedProvider)
	offers, err := s.Provider.Offers(ctx, c)
	if err != nil {
		f.Lacks(check.Unread{Need: check.NeedOffers, Why: err.Error()})
	} else {
		f.Offers = offers
		f.Has(check.NeedOffers)
	}
	target := targetOf(spec, ring)
	if !r.Target.IsZero() {
		target = fleet.Target{Channel: fleet.ChannelExact, Version: r.Target}
		if r.AnyPatch {
			target.Version = newestPatch(offers.Region, r.Target)
		}
	}
	switch to, _, err := plan.ResolveTarget(target, offers.Region, c.Version); {
	case err == nil:
		f.Target = to
		f.Has(check.NeedTarget)
	case f.Read[check.NeedOffers] && target.Channel == fleet.ChannelExact:
		f.Target, f.NoTarget = target.Version, err.Error()
		f.Has(check.NeedTarget)
	case f.Read[check.NeedOffers]:
		f.NoTarget = err.Error()
		f.Lacks(check.Unread{Need: check.NeedTarget, Why: err.Error(), Remedy: "name a version with --target"})
	case target.Channel == fleet.ChannelExact:
		f.Target = target.Version
		f.Has(check.NeedTarget)
	default:
		f.Lacks(check.Unread{Need: check.NeedTarget, Why: "what channel " + string(target.Channel) + " means is not known without the provider's offers", Remedy: "name a version with --target"})
	}
	return f
}

// targetOf is the target of a ring.
func targetOf(spec *fleet.Spec, ring string) fleet.Target {
	if r, _ := spec.Ring(ring); r != nil && r.Target != nil {
		return *r.Target
	}
	return spec.Target
}

// newestPatch is the newest generally available patch on offer of a minor, or the
// version itself where there is none.
func newestPatch(region []fleet.OfferedVersion, of fleet.Version) fleet.Version {
	best := of
	for _, o := range region {
		if !o.Preview && !o.LongTermOnly && o.Version.SameMinor(of) && best.Less(o.Version) {
			best = o.Version
		}
	}
	return best
}

// needsOf lists the facts that any of the checks needs.
func needsOf(checks []check.Check) []check.Need {
	var needs []check.Need
	for _, c := range checks {
		needs = append(needs, c.Needs...)
	}
	slices.Sort(needs)
	return slices.Compact(needs)
}

// Matches compares a pattern of a Fleet file with a name.
func Matches(pattern, name string) bool { return plan.Match(pattern, name) }
