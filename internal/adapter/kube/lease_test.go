package kube

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/rollout"
)

// holders are two Liftlocks on one cluster, each with its own clock.
func holders(t *testing.T) (one, two *cluster, clocks [2]*time.Time) {
	t.Helper()
	one, _ = newFake(t)
	other := &cluster{name: one.name, client: one.client, log: one.log, lease: &leaseMemory{}}
	now, later := noon, noon
	one.now = func() time.Time { return now }
	other.now = func() time.Time { return later }
	return one, other, [2]*time.Time{&now, &later}
}

func transitions(t *testing.T, c *cluster) int32 {
	t.Helper()
	lease, err := c.client.CoordinationV1().Leases("kube-system").Get(t.Context(), "liftlock", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return *lease.Spec.LeaseTransitions
}

func held(t *testing.T, c *cluster, holder string) bool {
	t.Helper()
	err := c.AcquireLease(t.Context(), holder, time.Minute, nil)
	if err == nil {
		return false
	}
	e, ok := errors.AsType[*rollout.LeaseHeldError](err)
	if !ok {
		t.Fatalf("error %v", err)
	}
	if e.Cluster != "prod" || e.TTL != time.Minute {
		t.Errorf("held by %+v", e)
	}
	return true
}

func TestLeaseExcludesAnotherHolder(t *testing.T) {
	one, two, _ := holders(t)
	for range 2 {
		if err := one.AcquireLease(t.Context(), "one", time.Minute, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !held(t, two, "two") {
		t.Error("two holders at once")
	}
	if n := transitions(t, one); n != 1 {
		t.Errorf("%d transitions, want 1", n)
	}
	if err := two.ReleaseLease(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	if !held(t, two, "two") {
		t.Error("released by who did not hold it")
	}
	if err := one.ReleaseLease(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if held(t, two, "two") {
		t.Error("held after its release")
	}
	if n := transitions(t, one); n != 2 {
		t.Errorf("%d transitions, want 2: the fencing token never goes back", n)
	}
}

// Two machines' clocks differ by three minutes: the Lease of a live holder must
// not be taken, and that of a dead one only after it stood still for its time.
func TestLeaseTakeoverByOwnClock(t *testing.T) {
	one, two, clocks := holders(t)
	*clocks[1] = noon.Add(3 * time.Minute)
	renew := func() {
		t.Helper()
		if err := one.AcquireLease(t.Context(), "one", time.Minute, nil); err != nil {
			t.Fatal(err)
		}
	}
	advance := func(d time.Duration) {
		*clocks[0] = clocks[0].Add(d)
		*clocks[1] = clocks[1].Add(d)
	}
	renew()
	for range 5 { // alive: it renews within each minute
		if !held(t, two, "two") {
			t.Fatal("taken from a live holder")
		}
		advance(40 * time.Second)
		renew()
	}
	if !held(t, two, "two") {
		t.Fatal("taken from a live holder")
	}
	advance(59 * time.Second)
	if !held(t, two, "two") {
		t.Fatal("taken before its time was over")
	}
	advance(2 * time.Second)
	if held(t, two, "two") {
		t.Error("a dead holder's Lease is not given")
	}
}

// A process that has just started need not watch a Lease that ran out long ago.
func TestLeaseTakeoverOfAnOldOne(t *testing.T) {
	one, two, clocks := holders(t)
	if err := one.AcquireLease(t.Context(), "one", time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	*clocks[1] = noon.Add(clockTolerance + 30*time.Second)
	if !held(t, two, "two") {
		t.Error("taken within the tolerance")
	}
	*clocks[1] = noon.Add(clockTolerance + 61*time.Second)
	if held(t, two, "two") {
		t.Error("not given after the tolerance")
	}
}

func TestLeaseNotes(t *testing.T) {
	one, two, _ := holders(t)
	if notes, err := one.LeaseNotes(t.Context()); err != nil || len(notes) != 0 {
		t.Errorf("without a Lease: %v, error %v", notes, err)
	}
	write := func(c *cluster, holder string, notes map[string]string) {
		t.Helper()
		if err := c.AcquireLease(t.Context(), holder, time.Minute, notes); err != nil {
			t.Fatal(err)
		}
	}
	write(one, "one", map[string]string{"rollout": "r-1", "upgrade-channel": "patch"})
	write(one, "one", nil)
	if err := one.ReleaseLease(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	write(two, "two", map[string]string{"rollout": "r-2", "upgrade-channel": ""})
	notes, err := one.LeaseNotes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"rollout": "r-2"}, notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestLeaseGoesToOneOfMany(t *testing.T) {
	one, _, _ := holders(t)
	var mu sync.Mutex
	var winners []string
	var all sync.WaitGroup
	for _, holder := range []string{"a", "b", "c", "d"} {
		c := &cluster{name: one.name, client: one.client, log: one.log, now: one.now, lease: &leaseMemory{}}
		all.Go(func() {
			if c.AcquireLease(t.Context(), holder, time.Minute, nil) == nil {
				mu.Lock()
				defer mu.Unlock()
				winners = append(winners, holder)
			}
		})
	}
	all.Wait()
	if len(winners) != 1 {
		t.Errorf("held by %v", winners)
	}
}

func TestLeaseRefusesNonsense(t *testing.T) {
	c, _ := newFake(t)
	if c.AcquireLease(t.Context(), "", time.Minute, nil) == nil {
		t.Error("no holder")
	}
	if c.AcquireLease(t.Context(), "x", time.Millisecond, nil) == nil {
		t.Error("no time")
	}
}
