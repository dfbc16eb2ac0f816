package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Availability is what was seen of a cluster's workloads through its upgrade.
type Availability struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
	// Workloads by key.
	Workloads map[string]*WorkloadRecord `json:"workloads"`
	Samples   []Sample                   `json:"samples,omitempty"`
	Gaps      []Gap                      `json:"gaps,omitempty"`
}

// WorkloadRecord is the worst that was seen of one workload.
type WorkloadRecord struct {
	Baseline int       `json:"baseline"` // Ready at the first sight
	Required int       `json:"required"` // at the lowest moment
	Lowest   int       `json:"lowest"`
	LowestAt time.Time `json:"lowestAt"`
	// Violations counts falls below the lower of Required and Baseline.
	Violations int  `json:"violations,omitempty"`
	Below      bool `json:"below,omitempty"` // it is below right now
}

// floor is what a workload must not fall below.
func (w *WorkloadRecord) floor(required int) int { return min(required, w.Baseline) }

// Sample is the smallest distance of any workload to its floor at a moment.
type Sample struct {
	At     time.Time `json:"at"`
	Margin int       `json:"margin"`
	Ready  int       `json:"ready"` // pods of all workloads
}

// Gap is a stretch in which nothing could be seen.
type Gap struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"`
	Why   string    `json:"why"`
}

// See takes a sight in.
func (a *Availability) See(sight fleet.Sight) {
	if a.Since.IsZero() {
		a.Since = sight.At
	}
	n := len(a.Gaps)
	if sight.Blind != "" {
		if n == 0 || !a.Gaps[n-1].Until.IsZero() {
			a.Gaps = append(a.Gaps, Gap{From: sight.At, Why: sight.Blind})
		}
		return
	}
	if n > 0 && a.Gaps[n-1].Until.IsZero() {
		a.Gaps[n-1].Until = sight.At
	}
	if a.Workloads == nil {
		a.Workloads = map[string]*WorkloadRecord{}
	}
	sample := Sample{At: sight.At, Margin: maxMargin}
	for _, w := range sight.Workloads {
		rec := a.Workloads[w.Workload]
		if rec == nil {
			rec = &WorkloadRecord{Baseline: w.Ready, Required: w.Required, Lowest: w.Ready, LowestAt: sight.At}
			a.Workloads[w.Workload] = rec
		}
		floor := rec.floor(w.Required)
		if margin, before := w.Ready-floor, rec.Lowest-rec.floor(rec.Required); margin < before || margin == before && w.Ready < rec.Lowest {
			rec.Lowest, rec.LowestAt, rec.Required = w.Ready, sight.At, w.Required
		}
		if below := w.Ready < floor; below != rec.Below {
			rec.Below = below
			if below {
				rec.Violations++
			}
		}
		sample.Margin = min(sample.Margin, w.Ready-floor)
		sample.Ready += w.Ready
	}
	a.addSample(sample)
}

// maxMargin stands for "nothing is near its floor".
const maxMargin = 1 << 20

// maxSamples bounds what is kept for the plot; beyond it every second sample
// that is not a low is dropped.
const maxSamples = 2000

// addSample keeps a sample where the margin or the number of Ready pods has changed.
func (a *Availability) addSample(s Sample) {
	if n := len(a.Samples); n > 0 && a.Samples[n-1].Margin == s.Margin && a.Samples[n-1].Ready == s.Ready {
		return
	}
	a.Samples = append(a.Samples, s)
	if len(a.Samples) <= maxSamples {
		return
	}
	kept := a.Samples[:0]
	for i, s := range a.Samples {
		if i%2 == 0 || s.Margin <= 0 {
			kept = append(kept, s)
		}
	}
	a.Samples = kept
}

// Violations counts the falls of all workloads.
func (a *Availability) Violations() int {
	n := 0
	for _, w := range a.Workloads {
		n += w.Violations
	}
	return n
}

// Watcher watches the availability of the clusters that are being upgraded.
// One process watches a cluster once; what it saw is kept in the Store.
type Watcher struct {
	store Store
	log   *slog.Logger
	now   func() time.Time

	ctx    context.Context //nolint:containedctx // the watches outlive the steps that start them; Close ends them
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	active map[string]*watch
}

type watch struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// NewWatcher returns a Watcher whose watches end with ctx or with Close.
func NewWatcher(ctx context.Context, store Store, clock func() time.Time, log *slog.Logger) *Watcher {
	ctx, cancel := context.WithCancel(ctx)
	return &Watcher{store: store, log: log, now: clock, ctx: ctx, cancel: cancel, active: map[string]*watch{}}
}

// Ensure watches a cluster from now on, if it is not watched already.
func (w *Watcher) Ensure(rollout, cluster string, kube Kubernetes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := rollout + "|" + cluster
	if _, watched := w.active[key]; watched || w.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	one := &watch{cancel: cancel, done: make(chan struct{})}
	w.active[key] = one
	w.wg.Go(func() {
		defer close(one.done)
		defer cancel()
		if err := w.watch(ctx, rollout, cluster, kube); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "availability watch ended; the next step starts it again", "cluster", cluster, "error", err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.active[key] == one {
			delete(w.active, key)
		}
	})
}

// Stop ends the watch of a cluster and waits until its last sight is kept.
func (w *Watcher) Stop(ctx context.Context, rollout, cluster string) {
	w.mu.Lock()
	one := w.active[rollout+"|"+cluster]
	w.mu.Unlock()
	if one == nil {
		return
	}
	one.cancel()
	select {
	case <-one.done:
	case <-ctx.Done():
	}
}

// Close ends all watches and waits for them.
func (w *Watcher) Close() {
	w.cancel()
	w.wg.Wait()
}

// keepEvery is how often what was seen is written down; a new low is written
// at once.
const keepEvery = time.Second

// watch takes in sights and keeps what they say.
func (w *Watcher) watch(ctx context.Context, rollout, cluster string, kube Kubernetes) error {
	seen, _, err := read[Availability](ctx, w.store, rollout, kindAvailability, cluster)
	switch {
	case err == nil && !seen.Until.IsZero():
		// Nobody looked since the process before ended.
		seen.See(fleet.Sight{At: seen.Until, Blind: "Liftlock was not running"})
		seen.Until = time.Time{}
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	sights := make(chan fleet.Sight)
	failed := make(chan error, 1)
	w.wg.Go(func() {
		failed <- kube.Watch(ctx, func(s fleet.Sight) {
			select {
			case sights <- s:
			case <-ctx.Done():
			}
		})
	})
	keep := func(ctx context.Context) error {
		seen.Until = w.now().UTC()
		_, err := update(ctx, w.store, rollout, kindAvailability, cluster, func(a *Availability) { *a = seen.clone() })
		return err
	}
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	changed := true
	for {
		select {
		case s := <-sights:
			falls := seen.Violations()
			seen.See(s)
			changed = true
			if seen.Violations() == falls {
				continue
			}
			if err := keep(ctx); err != nil && ctx.Err() == nil {
				w.log.WarnContext(ctx, "a fall of availability could not be kept; tried again soon", "cluster", cluster, "error", err)
			}
		case <-ticker.C:
			if !changed {
				continue
			}
			changed = false
			if err := keep(ctx); err != nil && ctx.Err() == nil {
				w.log.WarnContext(ctx, "availability could not be kept; tried again with the next change", "cluster", cluster, "error", err)
				changed = true
			}
		case err := <-failed:
			// The last sight is kept even when the watch was told to end.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepEvery*5)
			defer cancel()
			return firstOf(keep(last), err)
		}
	}
}

func (a *Availability) clone() Availability {
	c := *a
	c.Workloads = make(map[string]*WorkloadRecord, len(a.Workloads))
	for k, v := range a.Workloads {
		w := *v
		c.Workloads[k] = &w
	}
	c.Samples, c.Gaps = slices.Clone(a.Samples), slices.Clone(a.Gaps)
	return c
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("watch availability: %w", err)
		}
	}
	return nil
}

// Worst lists up to limit workloads, those nearest to or farthest below their
// floor first.
func (a *Availability) Worst(limit int) []string {
	keys := slices.SortedFunc(maps.Keys(a.Workloads), func(x, y string) int {
		wx, wy := a.Workloads[x], a.Workloads[y]
		if d := (wx.Lowest - wx.floor(wx.Required)) - (wy.Lowest - wy.floor(wy.Required)); d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	return keys[:min(limit, len(keys))]
}
