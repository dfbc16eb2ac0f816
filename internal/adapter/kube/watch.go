package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

const (
	// heartbeatEvery and heartbeatTimeout bound how long a watch may hang in
	// silence, cut off by the network, before we say that we see nothing.
	heartbeatEvery   = 5 * time.Second
	heartbeatTimeout = 5 * time.Second
	// confirmTimeout bounds the second look at a workload that seems to be below
	// what it requires.
	confirmTimeout = 2 * time.Second
)

// event is one thing that a stream saw.
type event struct {
	from   int // index of the stream; the heartbeat comes after the last
	at     time.Time
	what   eventKind
	items  []item
	reason string // of lost
}

type eventKind int

const (
	listed  eventKind = iota // items are all there are, and from now on changes follow
	changed                  // items were added or modified
	removed                  // items are gone
	lost                     // nothing can be seen, for a reason
	alive                    // the API server answers
)

// Watch implements rollout.Kubernetes.
//
// Each kind is listed and watched in its own stream. Every event that takes a
// Ready pod from a workload, or makes it require more, is reported by itself;
// other changes that arrive together are reported together. A broken stream, or
// a heartbeat without answer, is reported as Blind, and the kind is listed again
// before anything else is said.
func (c *cluster) Watch(ctx context.Context, report func(fleet.Sight)) error {
	var streams sync.WaitGroup
	defer streams.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()

	events := make(chan event, 64)
	send := func(e event) {
		e.at = c.now()
		select {
		case events <- e:
		case <-ctx.Done():
		}
	}
	all := c.streams()
	for i, s := range all {
		streams.Go(func() { s.follow(ctx, c.log, func(e event) { e.from = i; send(e) }) })
	}
	streams.Go(func() { c.heartbeat(ctx, func(e event) { e.from = len(all); send(e) }) })

	o := newObserver(len(all), report)
	o.confirm = func(key string) { lookAgain(ctx, c.log, all, o.view, key) }
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			o.observe(ctx, c, e)
			if len(events) == 0 {
				o.flush()
			}
		}
	}
}

// observer turns events into reports.
type observer struct {
	view    *view
	report  func(fleet.Sight)
	confirm func(key string)

	synced  []bool
	blind   map[int]string // why, by stream
	dark    string         // the reason that was reported last; "" while seeing
	started bool
	pending bool // changes that were not reported yet
	at      time.Time
}

func newObserver(streams int, report func(fleet.Sight)) *observer {
	return &observer{
		view:   newView(streams),
		report: report,
		synced: make([]bool, streams),
		blind:  map[int]string{},
	}
}

func (o *observer) observe(ctx context.Context, c *cluster, e event) {
	o.at = e.at
	switch e.what {
	case lost:
		o.flush()
		if o.dark == "" {
			c.log.WarnContext(ctx, "cannot see the cluster's workloads", "reason", e.reason)
		}
		o.blind[e.from] = e.reason
		if e.from < len(o.synced) {
			o.synced[e.from] = false
		}
		o.sayBlind()
		return
	case alive:
		delete(o.blind, e.from)
	case listed:
		delete(o.blind, e.from)
		o.synced[e.from] = true
		o.view.replace(e.from, e.items)
	case changed:
		for _, it := range e.items {
			o.view.put(e.from, it)
		}
	case removed:
		for _, it := range e.items {
			o.view.remove(e.from, it)
		}
	}
	if len(o.blind) > 0 {
		o.sayBlind()
		return
	}
	if slices.Contains(o.synced, false) {
		return
	}
	change, lowered := o.view.settle()
	if o.confirmed(lowered) {
		// The second look may have changed more than what was looked at.
		_, more := o.view.settle()
		lowered = append(lowered, more...)
	}
	o.pending = o.pending || change || o.dark != "" || !o.started
	if len(lowered) > 0 || o.dark != "" || !o.started {
		o.flush()
	}
}

// confirmed looks again at the workloads that fell below what they require.
// Streams are not ordered among each other: pods may be seen to go before their
// Deployment is seen to have been scaled down, or a budget to have been changed.
func (o *observer) confirmed(lowered []string) bool {
	again := false
	for _, key := range lowered {
		if w := o.view.lookup(key); w != nil && w.ready < w.required && o.confirm != nil {
			o.confirm(key)
			again = true
		}
	}
	return again
}

// flush reports what is pending.
func (o *observer) flush() {
	if !o.pending || len(o.blind) > 0 {
		return
	}
	o.pending, o.started, o.dark = false, true, ""
	o.report(o.view.sight(o.at))
}

// sayBlind reports that nothing can be seen: once, and again when the reason is
// another.
func (o *observer) sayBlind() {
	for _, reason := range o.blind {
		if reason == o.dark {
			return
		}
	}
	first := slices.Min(slices.Collect(maps.Keys(o.blind)))
	o.dark = o.blind[first]
	o.report(fleet.Sight{At: o.at, Blind: o.dark})
}

// heartbeat asks every few seconds whether the API server is there and still
// the same.
func (c *cluster) heartbeat(ctx context.Context, send func(event)) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		if err := c.beat(ctx); ctx.Err() == nil {
			if err != nil {
				send(event{what: lost, reason: err.Error()})
			} else {
				send(event{what: alive})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *cluster) beat(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	err := c.stillItself(limited, "")
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the API server has not answered for %s", heartbeatTimeout)
	}
	return err
}
