package evacuation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/adapter/twin"
	"liftlock.dev/liftlock/sim/witness"
)

// strategy is one way to replace a cluster's nodes.
type strategy struct {
	name string
	// run replaces the nodes, and returns when nothing is left to do but to
	// delete empty nodes.
	run func(context.Context, *bed) error
	// bound is the least time that its rules permit; nil for baselines.
	bound func([]app) bound
}

// Outcome is what came of a strategy.
type Outcome struct {
	Name        string
	Makespan    time.Duration
	Scale       int // how many times as many nodes the whole cluster has
	MovesPerPod float64
	ExtraNodes  int // at the peak
	Bound       time.Duration
	BoundBy     string
	// Falls are the moments at which a workload came below what it requires,
	// Fallen the workloads, PodSeconds how much of what they require was missing.
	Falls, Fallen int
	PodSeconds    float64
	// Busy is the share of time for which the machine's processors were busy.
	Busy float64
}

// Whole is the makespan extrapolated to the whole cluster: twice as many nodes
// one after the other take twice as long.
func (o *Outcome) Whole() time.Duration { return o.Makespan * time.Duration(max(1, o.Scale)) }

// Ratio is the makespan over its bound.
func (o *Outcome) Ratio() float64 { return o.Makespan.Seconds() / o.Bound.Seconds() }

// measure runs a strategy on a cluster of its own.
func measure(ctx context.Context, binaries string, size Size, s strategy, progress io.Writer) (_ Outcome, err error) {
	log := slog.New(slog.NewTextHandler(progress, &slog.HandlerOptions{Level: slog.LevelError}))
	began := time.Now()
	b, down, err := newBed(ctx, binaries, size, log)
	if err != nil {
		return Outcome{}, fmt.Errorf("%s: %w", s.name, err)
	}
	defer func() {
		if downErr := down(context.WithoutCancel(ctx)); downErr != nil {
			err = errors.Join(err, downErr)
		}
	}()
	fmt.Fprintf(progress, "bench: %s: %d nodes and %d pods after %s\n", s.name, size.Nodes, size.Pods(), time.Since(began).Round(time.Second))
	if err := b.begin(ctx); err != nil {
		return Outcome{}, fmt.Errorf("%s: %w", s.name, err)
	}
	before := twin.ReadProcessors()
	if err := s.run(ctx, b); err != nil {
		return Outcome{}, fmt.Errorf("%s: %w", s.name, err)
	}
	o := Outcome{Name: s.name, Makespan: time.Since(b.began), Busy: twin.ReadProcessors().Since(before)}
	if left := b.recorder.left(old); left != "" {
		return o, fmt.Errorf("%s: says that it is done, but there are %s", s.name, left)
	}
	o.MovesPerPod, o.ExtraNodes = b.recorder.counts()
	if s.bound != nil {
		least := s.bound(b.apps)
		o.Bound, o.BoundBy = least.least, least.by
	}
	if again := b.recorder.again(); s.bound != nil && len(again) > 0 {
		fmt.Fprintf(progress, "bench: %s: more pods were made than there were: %s\n", s.name, strings.Join(again, ", "))
	}
	o.see(b.witness.Report(), progress)
	fmt.Fprintf(progress, "bench: %s: %.1f s, %.3f moves per pod, %d falls of %d workloads, %.0f pod-seconds below, %d more nodes, bound %.1f s (%s)%s\n",
		s.name, o.Makespan.Seconds(), o.MovesPerPod, o.Falls, o.Fallen, o.PodSeconds, o.ExtraNodes, o.Bound.Seconds(), o.BoundBy, overloaded(o.Busy))
	return o, nil
}

// see takes in what the witness saw.
func (o *Outcome) see(report witness.Report, progress io.Writer) {
	for _, c := range report.Clusters {
		for _, w := range c.Workloads {
			if w.Falls == 0 {
				continue
			}
			o.Falls += w.Falls
			o.Fallen++
			o.PodSeconds += w.PodSecondsBelow
			fmt.Fprintf(progress, "bench: %s: %s fell %d times, to %d of %d at worst, %.0f pod-seconds below\n", o.Name, w.Workload, w.Falls, w.Lowest, w.Required, w.PodSecondsBelow)
		}
	}
}
