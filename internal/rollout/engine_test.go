package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// world is a cloud, a store and a tiny engine: a loop over tasks on the cloud's
// clock.
type world struct {
	t       *testing.T
	cloud   *cloud
	mem     *memory
	spec    fleet.Spec
	stepper *rollout.Stepper
	id      string
	tasks   map[string]*entry
	steps   int
	// turned is told of every turn; true ends the run.
	turned func(rollout.Task, rollout.Turn) bool
	// forget tells after which steps the engine loses its tasks and its process.
	forget func(step int) bool
	killed error
	turns  map[string]rollout.Turn // the latest of each task
}

type entry struct {
	task   rollout.Task
	due    time.Time
	parent string
	errors int
}

// newWorld makes a fleet of four clusters in three rings, all at 1.34.4; the
// target is 1.35.4.
func newWorld(t *testing.T, change ...func(*fleet.Spec)) *world {
	t.Helper()
	c := newCloud(t)
	c.add("sandbox-1", "sandbox", "1.34.4", "system", "apps")
	c.add("dev-1", "dev", "1.34.4", "system", "apps")
	c.add("prod-1", "prod", "1.34.4", "system", "apps")
	c.add("prod-2", "prod", "1.34.4", "apps")
	return newWorldOf(t, c, change...)
}

func newWorldOf(t *testing.T, c *cloud, change ...func(*fleet.Spec)) *world {
	t.Helper()
	spec := fleet.Spec{
		Name: "Shop", Digest: "0123456789abcdef", Target: fleet.Target{Channel: fleet.ChannelStable},
		Nodes: fleet.NodePolicy{
			Strategy: fleet.BlueGreen, Soak: 10 * time.Second, Pace: fleet.Pace{MaxInMotion: fleet.Amount{Percent: 100}},
			Evacuation: fleet.EvacuationPolicy{BarePods: "evict", LocalData: "evict", JobWait: time.Hour, JobsAfter: "refuse", MaxSurge: fleet.Amount{Percent: 100}, Timeout: 10 * time.Minute},
		},
		Channels: fleet.ChannelsSetAside,
	}
	for _, name := range []string{"sandbox", "dev", "prod"} {
		spec.Rings = append(spec.Rings, fleet.Ring{
			Name: name, Select: fleet.Selector{Tags: map[string]string{"ring": name}}, OnClose: fleet.FinishWave, Concurrency: fleet.Amount{Count: 1}, Soak: time.Minute,
		})
	}
	for _, f := range change {
		f(&spec)
	}
	w := &world{t: t, cloud: c, mem: newMemory(), spec: spec, tasks: map[string]*entry{}, turns: map[string]rollout.Turn{}}
	w.restart()
	t.Cleanup(func() {
		w.stepper.Watcher.Close()
		for _, one := range c.clusters {
			if one.watchers != 0 {
				t.Errorf("cluster %s is still watched by %d", one.Name, one.watchers)
			}
		}
	})
	return w
}

// restart is a new process on the same store.
func (w *world) restart() {
	clock := func() time.Time {
		w.cloud.mu.Lock()
		defer w.cloud.mu.Unlock()
		return w.cloud.now
	}
	log := slog.New(slog.DiscardHandler)
	if w.stepper != nil {
		w.stepper.Watcher.Close()
	}
	w.killed = nil
	w.stepper = &rollout.Stepper{
		Reach: func(context.Context, *fleet.Spec) (rollout.Reach, error) {
			return rollout.Reach{Provider: w.cloud, Connector: w.cloud}, nil
		},
		Store: w.mem, Ledger: w.mem, Journal: w.mem, Holder: "me", Clock: clock, Log: log,
		Watcher: rollout.NewWatcher(w.t.Context(), w.mem, clock, log),
	}
	if w.id != "" {
		w.tasks = map[string]*entry{}
		w.add(rollout.Task{Rollout: w.id}, "")
	}
}

func (w *world) file() rollout.FleetFile {
	return rollout.FleetFile{Digest: w.spec.Digest, Source: []byte("x"), Spec: w.spec}
}

func (w *world) start() {
	w.t.Helper()
	ro, look, _, err := w.stepper.Start(w.t.Context(), w.file(), "ann")
	if err != nil {
		w.t.Fatal(err)
	}
	if ro.ID == "" {
		w.t.Fatalf("nothing to do: %+v", look)
	}
	w.id = ro.ID
	w.add(rollout.Task{Rollout: w.id}, "")
}

func (w *world) add(t rollout.Task, parent string) {
	if w.tasks[t.ID()] == nil {
		w.tasks[t.ID()] = &entry{task: t, due: w.cloud.now, parent: parent}
	}
}

// do carries out what a person asks, and nudges as the engine does.
func (w *world) do(r rollout.Request) rollout.Answer {
	w.t.Helper()
	r.Actor = "ann"
	control := &rollout.Control{Store: w.mem, Journal: w.mem, Clock: w.stepper.Clock}
	answer, err := control.Do(w.t.Context(), r)
	if err != nil {
		w.t.Fatalf("%s: %v", r.Verb, err)
	}
	if answer.Restart {
		w.add(rollout.Task{Rollout: w.id}, "")
	}
	for _, e := range w.tasks {
		e.due = w.cloud.now
	}
	return answer
}

func (w *world) next() *entry {
	var ids []string
	for id := range w.tasks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var first *entry
	for _, id := range ids {
		if e := w.tasks[id]; first == nil || e.due.Before(first.due) {
			first = e
		}
	}
	return first
}

// run takes steps until the rollout's own task has ended, or turned says so.
func (w *world) run() fleet.State {
	w.t.Helper()
	began := w.steps
	for {
		e := w.next()
		if e == nil {
			w.t.Fatalf("no task is left, and the rollout has not ended:\n%s", w.describe())
		}
		if w.steps++; w.steps-began > 20000 {
			w.t.Fatalf("not done after %d steps:\n%s", w.steps-began, w.describe())
		}
		w.cloud.mu.Lock()
		if e.due.After(w.cloud.now) {
			w.cloud.now = e.due
		}
		w.cloud.now = w.cloud.now.Add(time.Millisecond) // a step takes a while, so that none can spin for ever
		w.cloud.mu.Unlock()
		turn, err := w.stepper.Step(w.t.Context(), e.task)
		if w.killed != nil || w.forget != nil && w.forget(w.steps) {
			w.restart()
			continue
		}
		if err != nil {
			if e.errors++; e.errors > 50 {
				w.t.Fatalf("step %s: %v", e.task.ID(), err)
			}
			e.due = w.cloud.now.Add(time.Second)
			continue
		}
		e.errors = 0
		w.turns[e.task.ID()] = turn
		if turn.Ended {
			delete(w.tasks, e.task.ID())
			if p := w.tasks[e.parent]; p != nil {
				p.due = w.cloud.now
			}
		} else {
			e.task.Op, e.task.Polls = turn.Op, turn.Polls
			e.due = w.cloud.now.Add(turn.After)
			for _, t := range turn.Start {
				w.add(t, e.task.ID())
			}
		}
		if w.turned != nil && w.turned(e.task, turn) {
			return turn.State
		}
		if turn.Ended && e.task.ID() == (rollout.Task{Rollout: w.id}).ID() {
			return turn.State
		}
	}
}

// finish runs to the end and drops what is left of tasks: there must be none
// that does not end at once.
func (w *world) finish(want fleet.State) {
	w.t.Helper()
	if got := w.run(); got != want {
		w.t.Fatalf("ended %s, want %s:\n%s", got, want, w.describe())
	}
	for range 20 {
		e := w.next()
		if e == nil {
			break
		}
		turn, err := w.stepper.Step(w.t.Context(), e.task)
		if err == nil && turn.Ended {
			delete(w.tasks, e.task.ID())
			continue
		}
		w.t.Errorf("task %s goes on after the end: %+v, %v", e.task.ID(), turn, err)
		break
	}
	w.stepper.Watcher.Close()
	for _, one := range w.cloud.clusters {
		if one.watchers != 0 {
			w.t.Errorf("cluster %s is still watched", one.Name)
		}
		if one.holder == "me" && one.away == nil && !one.gone {
			w.t.Errorf("the Lease of cluster %s is still held", one.Name)
		}
	}
}

func (w *world) overview() rollout.Overview {
	w.t.Helper()
	o, err := rollout.ReadOverview(w.t.Context(), w.mem, w.mem, w.mem, w.id, 0, w.cloud.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func (w *world) cluster(name string) rollout.ClusterRecord {
	w.t.Helper()
	for _, c := range w.overview().Clusters {
		if c.Name == name {
			return c
		}
	}
	w.t.Fatalf("no cluster %s", name)
	return rollout.ClusterRecord{}
}

func (w *world) describe() string {
	o := w.overview()
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s: %s\n", o.Rollout.ID, o.Rollout.State, o.Rollout.Reason)
	for _, r := range o.Rings {
		fmt.Fprintf(&s, "  ring %s %s: %s\n", r.Name, r.State, r.Reason)
	}
	for _, c := range o.Clusters {
		fmt.Fprintf(&s, "    %s %s: %s\n", c.Name, c.State, c.Reason)
		for _, p := range o.PoolsOf(c) {
			fmt.Fprintf(&s, "      %s %s: %s\n", p.Name, p.State, p.Reason)
		}
	}
	for name, state := range w.cloud.state() {
		fmt.Fprintf(&s, "%s: %s\n", name, state)
	}
	for _, e := range w.tasks {
		fmt.Fprintf(&s, "task %s due %s\n", e.task.ID(), e.due.Sub(w.cloud.now))
	}
	return s.String()
}

var errKilled = errors.New("killed")

// killAt ends the process at the nth call of a port from now.
func (w *world) killAt(n int) {
	count := 0
	enter := func(string) error {
		w.cloud.mu.Lock()
		defer w.cloud.mu.Unlock()
		if w.killed != nil {
			return w.killed
		}
		if count++; count == n {
			w.killed = errKilled
		}
		return w.killed
	}
	w.cloud.enter, w.mem.enter = enter, enter
}
