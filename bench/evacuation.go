package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"liftlock.dev/liftlock/bench/evacuation"
)

// bedSize is the cluster that evacuations are measured on.
var bedSize = evacuation.Size{Nodes: 100, Teams: 20, Seed: 34}

// evacuations measures the named strategies, or all, and holds Liftlock's to
// the bounds of their rules and to the baselines of the same run.
func evacuations(ctx context.Context, only []string) ([]figure, error) {
	debug.FreeOSMemory() // what other benchmarks left does not count
	peak := watchMemory(ctx)
	outcomes, err := evacuation.Run(ctx, evacuation.Options{Binaries: "bin/kube", Size: bedSize, Only: only, Progress: os.Stderr})
	figures := judge(outcomes)
	figures = append(figures, info("evacuation: peak memory of this process and all it started, MiB", peak()))
	return figures, err
}

// judge makes figures of outcomes. Figures without a limit are told beside.
func judge(outcomes map[string]evacuation.Outcome) []figure {
	var figures []figure
	for _, name := range evacuation.All() {
		o, ok := outcomes[name]
		if !ok {
			continue
		}
		say := func(what string) string { return "evacuation " + name + ": " + what }
		limits, ours := limitsOf[name]
		figures = append(figures, info(say("makespan, seconds"), o.Makespan.Seconds()))
		if o.Scale > 1 {
			figures = append(figures, info(say(fmt.Sprintf("makespan extrapolated to %d nodes, seconds", bedSize.Nodes)), o.Whole().Seconds()))
		}
		moves, falls := info(say("moves per pod"), o.MovesPerPod), info(say("falls below requirement"), float64(o.Falls))
		if ours {
			moves = atMost(say("moves per pod"), o.MovesPerPod, limits.moves, nil)
			falls = atMost(say("falls below requirement"), float64(o.Falls), 0, nil)
			if limits.ratio > 0 {
				least := o.Bound.Seconds()
				figures = append(figures, atMost(say("makespan over lower bound"), o.Ratio(), limits.ratio, &least))
			}
		}
		figures = append(figures, moves, falls,
			info(say("workloads that fell below requirement"), float64(o.Fallen)),
			info(say("pod-seconds below requirement"), o.PodSeconds),
			info(say("extra nodes at the peak"), float64(o.ExtraNodes)),
			info(say("processors busy, percent"), 100*o.Busy))
		for _, than := range limits.faster {
			if other, ok := outcomes[than.name]; ok {
				baseline := other.Whole().Seconds()
				figures = append(figures, atLeast(say("times faster than "+than.name), baseline/o.Makespan.Seconds(), than.times, &baseline))
			}
		}
	}
	return figures
}

type limit struct {
	ratio  float64 // makespan over the bound of the rules chosen
	moves  float64 // per pod
	faster []faster
}

type faster struct {
	name  string
	times float64
}

// limitsOf are Liftlock's strategies.
var limitsOf = map[string]limit{
	evacuation.BlueGreen: {ratio: 1.10, moves: 1.01, faster: []faster{
		{evacuation.NodeByNode, 30}, {evacuation.Surge10, 8}, {evacuation.Surge33, 2.5},
	}},
	evacuation.BlueGreenOwn: {ratio: 1.25, moves: 1.01, faster: []faster{{evacuation.NodeByNode, 30}}},
	evacuation.Buffer:       {moves: 2.02, faster: []faster{{evacuation.NodeByNode, 10}}},
	evacuation.Rolling:      {ratio: 1.25, moves: 1.05},
}

// watchMemory follows what this process and its children have resident, until
// the returned function tells the peak.
func watchMemory(ctx context.Context) func() float64 {
	ctx, stop := context.WithCancel(ctx)
	peak := make(chan float64)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		most := 0.0
		for {
			if now, err := familyMiB(); err == nil {
				most = max(most, now)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				peak <- most
				return
			}
		}
	}()
	return func() float64 { stop(); return <-peak }
}

// familyMiB sums the resident memory of this process and of all below it.
func familyMiB() (float64, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	parents, sizes := map[string]string{}, map[string]float64{}
	for _, e := range entries {
		text, err := os.ReadFile("/proc/" + e.Name() + "/status")
		if err != nil {
			continue // not a process, or one that has ended
		}
		var size float64
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "PPid:"); ok {
				parents[e.Name()] = strings.TrimSpace(rest)
			}
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				_, _ = fmt.Sscan(rest, &size)
			}
		}
		sizes[e.Name()] = size / 1024
	}
	me, sum := fmt.Sprint(os.Getpid()), 0.0
	for pid := range sizes {
		for up := pid; up != "" && up != "0"; up = parents[up] {
			if up == me {
				sum += sizes[pid]
				break
			}
		}
	}
	return sum, nil
}
