package kube

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"liftlock.dev/liftlock/internal/rollout"
)

const (
	leaseName   = "liftlock"
	notesPrefix = "liftlock.dev/"
	// clockTolerance is how far two machines' clocks may be apart when a Lease
	// is judged by the time that is written in it.
	clockTolerance = 5 * time.Minute
)

var (
	leaseGet    = right{"get", "coordination.k8s.io", "leases"}
	leaseCreate = right{"create", "coordination.k8s.io", "leases"}
	leaseUpdate = right{"update", "coordination.k8s.io", "leases"}
)

// leaseMemory is what this process knows of the cluster's Lease by its own clock.
type leaseMemory struct {
	mu sync.Mutex
	// The last state of someone else's Lease, and since when it has not changed.
	state string
	since time.Time
	// Until when our own Lease holds; zero if we have taken none.
	ours time.Time
}

// held says no once the Lease that this process took has run out: after a long
// pause of the process or its machine another Liftlock may be at work.
func (m *leaseMemory) held(now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ours.IsZero() && now.After(m.ours) {
		return fmt.Errorf("our Lease %s/%s ran out at %s: take it again before acting on the cluster",
			metav1.NamespaceSystem, leaseName, m.ours.UTC().Format(time.RFC3339))
	}
	return nil
}

// unchangedSince remembers when this state of the Lease was first seen.
func (m *leaseMemory) unchangedSince(state string, now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != state {
		m.state, m.since = state, now
	}
	return m.since
}

func (m *leaseMemory) took(until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ours, m.state = until, ""
}

// AcquireLease implements rollout.Kubernetes. Notes are merged into those that
// are there: a note of value "" is removed, others stay, also when the holder
// changes, for they may say what is to be restored. leaseTransitions counts the
// holders and is the fencing token.
func (c *cluster) AcquireLease(ctx context.Context, holder string, ttl time.Duration, notes map[string]string) error {
	if holder == "" || ttl < time.Second {
		return fmt.Errorf("cluster %s: Lease needs a holder and at least a second (got %q, %s)", c.name, holder, ttl)
	}
	var until time.Time
	err := retry.OnError(conflictBackoff, func(err error) bool {
		// Lost the race for creating it too: look who won.
		return (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)) && ctx.Err() == nil
	}, func() error {
		now := c.now()
		until = now.Add(ttl)
		return c.tryLease(ctx, holder, ttl, notes, now)
	})
	if err != nil {
		if _, held := errors.AsType[*rollout.LeaseHeldError](err); held {
			return err
		}
		return fmt.Errorf("cluster %s: %w", c.name, err)
	}
	c.lease.took(until)
	return nil
}

func (c *cluster) tryLease(ctx context.Context, holder string, ttl time.Duration, notes map[string]string, now time.Time) error {
	leases := c.client.CoordinationV1().Leases(metav1.NamespaceSystem)
	lease, err := leases.Get(ctx, leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: leaseName}}
		take(lease, holder, ttl, notes, now)
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{FieldManager: fieldManager})
		return explain(err, "create Lease kube-system/liftlock", leaseCreate)
	}
	if err != nil {
		return explain(err, "read Lease kube-system/liftlock", leaseGet)
	}
	if other := holderOf(lease); other != "" && other != holder && !c.expired(lease, now) {
		return &rollout.LeaseHeldError{Cluster: c.name, Holder: other, RenewedAt: renewed(lease), TTL: duration(lease)}
	}
	take(lease, holder, ttl, notes, now)
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{FieldManager: fieldManager})
	return explain(err, "write Lease kube-system/liftlock", leaseUpdate)
}

// expired reports whether another holder's Lease may be taken over. Whoever
// wrote renewTime read another clock than ours, so it is believed only with a
// generous tolerance. Otherwise the Lease must have stood still under our eyes,
// by our own clock, for its whole duration.
func (c *cluster) expired(lease *coordinationv1.Lease, now time.Time) bool {
	ttl := duration(lease)
	if at := renewed(lease); !at.IsZero() && now.Sub(at) > ttl+clockTolerance {
		return true
	}
	state := fmt.Sprint(lease.UID, "/", lease.ResourceVersion, "/", lease.Spec.RenewTime)
	since := c.lease.unchangedSince(state, now)
	return now.Sub(since) > ttl
}

// take writes holder into the Lease.
func take(lease *coordinationv1.Lease, holder string, ttl time.Duration, notes map[string]string, now time.Time) {
	at := metav1.NewMicroTime(now)
	if holderOf(lease) != holder {
		var transitions int32
		if lease.Spec.LeaseTransitions != nil {
			transitions = *lease.Spec.LeaseTransitions
		}
		lease.Spec.LeaseTransitions = new(transitions + 1)
		lease.Spec.AcquireTime = &at
	}
	lease.Spec.HolderIdentity = &holder
	lease.Spec.LeaseDurationSeconds = new(int32(math.Ceil(min(ttl.Seconds(), math.MaxInt32))))
	lease.Spec.RenewTime = &at
	for key, value := range notes {
		if value == "" {
			delete(lease.Annotations, notesPrefix+key)
			continue
		}
		if lease.Annotations == nil {
			lease.Annotations = map[string]string{}
		}
		lease.Annotations[notesPrefix+key] = value
	}
}

// LeaseNotes implements rollout.Kubernetes. Without a Lease there are none.
func (c *cluster) LeaseNotes(ctx context.Context) (map[string]string, error) {
	lease, err := c.client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.name, explain(err, "read Lease kube-system/liftlock", leaseGet))
	}
	notes := map[string]string{}
	for key, value := range lease.Annotations {
		if name, ours := strings.CutPrefix(key, notesPrefix); ours {
			notes[name] = value
		}
	}
	return notes, nil
}

// ReleaseLease implements rollout.Kubernetes. The Lease object stays, with its
// notes and its count of holders.
func (c *cluster) ReleaseLease(ctx context.Context, holder string) error {
	err := retry.OnError(conflictBackoff, func(err error) bool { return apierrors.IsConflict(err) && ctx.Err() == nil }, func() error {
		leases := c.client.CoordinationV1().Leases(metav1.NamespaceSystem)
		lease, err := leases.Get(ctx, leaseName, metav1.GetOptions{})
		if err != nil {
			return explain(err, "read Lease kube-system/liftlock", leaseGet)
		}
		if holderOf(lease) != holder {
			return nil
		}
		lease.Spec.HolderIdentity = nil
		lease.Spec.AcquireTime = nil
		lease.Spec.RenewTime = nil
		lease.Spec.LeaseDurationSeconds = nil
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{FieldManager: fieldManager})
		return explain(err, "release Lease kube-system/liftlock", leaseUpdate)
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("cluster %s: %w", c.name, err)
	}
	c.lease.took(time.Time{})
	return nil
}

func holderOf(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

func renewed(lease *coordinationv1.Lease) time.Time {
	if lease.Spec.RenewTime == nil {
		return time.Time{}
	}
	return lease.Spec.RenewTime.Time
}

func duration(lease *coordinationv1.Lease) time.Duration {
	if lease.Spec.LeaseDurationSeconds == nil {
		return 0
	}
	return time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
}
