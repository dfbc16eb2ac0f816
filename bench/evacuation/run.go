package evacuation

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// The strategies by the names under which they can be asked for.
const (
	BlueGreen    = "blueGreen"    // surge may reach 100 %
	BlueGreenOwn = "blueGreenOwn" // at the workloads' own surge
	Buffer       = "buffer"       // there and back, surge may reach 100 %
	Rolling      = "rolling"      // a green pool of a tenth of the nodes, again and again
	NodeByNode   = "nodeByNode"   // kubectl drain, on fewer nodes
	Surge10      = "surge10"      // AKS' rolling upgrade
	Surge33      = "surge33"      //
	TenthAtOnce  = "tenthAtOnce"  // kubectl drain on 10 % of the nodes at a time
	full         = 100            // percent of surge
	extrapolated = 20             // nodes on which the longest baseline is measured
)

// Options say what is measured.
type Options struct {
	Binaries string // bin/kube
	Size     Size
	Only     []string // names of strategies; none for all
	Progress io.Writer
}

// All are the names of all strategies.
func All() []string {
	return []string{BlueGreen, BlueGreenOwn, Buffer, Rolling, NodeByNode, Surge10, Surge33, TenthAtOnce}
}

func strategies() map[string]strategy {
	whole, own := fleet.Amount{Percent: full}, fleet.Amount{}
	var rounds []round
	list := []strategy{
		{BlueGreen, liftlock(fullPace(fleet.BlueGreen, whole), nil), rules{surge: full}.blueGreen},
		{BlueGreenOwn, liftlock(fullPace(fleet.BlueGreen, own), nil), rules{}.blueGreen},
		{Buffer, liftlock(fullPace(fleet.Buffer, whole), nil), rules{surge: full}.buffer},
		{Rolling, rolling(&rounds), func(apps []app) bound { return rules{surge: full}.rolling(apps, rounds) }},
		{NodeByNode, nodeByNode, nil},
		{Surge10, surge(10), nil},
		{Surge33, surge(33), nil},
		{TenthAtOnce, tenthAtOnce, nil},
	}
	named := map[string]strategy{}
	for _, s := range list {
		named[s.name] = s
	}
	return named
}

// Run measures. The strategies that mostly wait for nodes run beside each
// other, each on a cluster of its own; those whose bound they are held to run
// one after the other, so that they have the machine to themselves but for the
// longest baseline, which hardly needs it.
func Run(ctx context.Context, o Options) (map[string]Outcome, error) {
	known := strategies()
	only := o.Only
	if len(only) == 0 {
		only = All()
	}
	for _, name := range only {
		if _, ok := known[name]; !ok {
			return nil, fmt.Errorf("no strategy is called %q; there are: %s", name, strings.Join(All(), ", "))
		}
	}
	wanted := func(names ...string) []string {
		return slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(only, n) })
	}
	fmt.Fprintf(o.Progress, "bench: start-up 5-20 s (median over pods %.1f s), termination 1-5 s, node creation and reimage %s, disks attach in %s and detach in %s; controllers' QPS 200 (burst 400), scheduler's 200 (400), kubectl's retry delay %s, seed %d: the same for all\n",
		medianStart(draw(o.Size)).Seconds(), nodeBoot, volumeAttach, volumeDetach, retryDelay, o.Size.Seed)
	outcomes := map[string]Outcome{}
	results := make(chan Outcome, len(only))
	one := func(ctx context.Context, name string, size Size) error {
		outcome, err := measure(ctx, o.Binaries, size, known[name], o.Progress)
		if err == nil {
			outcome.Scale = o.Size.Nodes / size.Nodes
			results <- outcome
		}
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	for _, name := range wanted(NodeByNode) {
		small := o.Size
		if small.Nodes > extrapolated {
			small.Teams, small.Nodes = small.Teams*extrapolated/small.Nodes, extrapolated
		}
		group.Go(func() error { return one(gctx, name, small) })
	}
	group.Go(func() error {
		for _, name := range wanted(BlueGreen, BlueGreenOwn, Buffer) {
			if err := one(gctx, name, o.Size); err != nil {
				return err
			}
		}
		others, octx := errgroup.WithContext(gctx)
		for _, name := range wanted(Rolling, Surge10, TenthAtOnce, Surge33) {
			others.Go(func() error { return one(octx, name, o.Size) })
		}
		return others.Wait()
	})
	err := group.Wait()
	close(results)
	for outcome := range results {
		outcomes[outcome.Name] = outcome
	}
	return outcomes, err
}
