package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/gate"
	"liftlock.dev/liftlock/internal/domain/plan"
	"liftlock.dev/liftlock/internal/domain/window"
)

// ring takes a ring's step: start clusters, soak, wait for people, and in the
// end write down what was proven.
func (s *reached) ring(ctx context.Context, t Task, ro RolloutRecord, spec *fleet.Spec) (Turn, error) {
	ring, order := spec.Ring(t.Ring)
	if ring == nil {
		return Turn{}, fmt.Errorf("ring %s is not in the Fleet file %s of rollout %s", t.Ring, ro.Digest, ro.ID)
	}
	rec, _, err := read[RingRecord](ctx, s.Store, ro.ID, kindRing, t.Ring)
	if err != nil {
		return Turn{}, err
	}
	if rec.State.Ended() {
		return Turn{State: rec.State, Reason: rec.Reason, Ended: true}, nil
	}
	clusters, err := all[ClusterRecord](ctx, s.Store, ro.ID, kindCluster)
	if err != nil {
		return Turn{}, err
	}
	view, err := s.ringView(ctx, ro, spec, ring, order, rec, clusters)
	if err != nil {
		return Turn{}, err
	}
	step := gate.NextRingStep(view)
	turn := Turn{State: step.State, Reason: step.Reason, After: patience}
	if !step.Until.IsZero() {
		turn.After = min(turn.After, max(step.Until.Sub(view.Now), glance))
	}
	started := step.Start
	switch step.Kind {
	case gate.RingStart:
		if err := s.startClusters(ctx, ro, rec, step); err != nil {
			return Turn{}, err
		}
	case gate.RingProve:
		if err := s.prove(ctx, ro, spec, rec, order, clusters, step.Reason); err != nil {
			turn.State, turn.Reason = fleet.StateWaiting, err.Error()
			return turn, s.setRing(ctx, ro.ID, t.Ring, turn.State, turn.Reason, step)
		}
		turn.Ended = true
	case gate.RingFail, gate.RingSkip:
		turn.Ended = true
		if err := s.journal(ctx, fleet.JournalEntry{Rollout: ro.ID, Ring: t.Ring, Action: "endRing", Object: string(step.State), Reason: step.Reason}); err != nil {
			return Turn{}, err
		}
	case gate.RingAwait, gate.RingSoak:
	}
	for _, id := range rec.Clusters {
		c := clusters[id]
		if c.Started && !c.State.Ended() || slices.Contains(started, id) {
			turn.Start = append(turn.Start, Task{Rollout: ro.ID, Ring: t.Ring, Cluster: id})
		}
	}
	return turn, s.setRing(ctx, ro.ID, t.Ring, turn.State, turn.Reason, step)
}

func (s *Stepper) setRing(ctx context.Context, rollout, ring string, state fleet.State, reason string, step gate.RingStep) error {
	_, err := update(ctx, s.Store, rollout, kindRing, ring, func(r *RingRecord) {
		r.State, r.Reason, r.Until, r.Wanted = state, reason, step.Until, step.Approvals
		if step.Kind == gate.RingStart && r.StartedAt.IsZero() {
			r.StartedAt = s.now()
		}
		if (step.Kind == gate.RingSoak || step.Kind == gate.RingProve || step.Kind == gate.RingFail) && r.EndedAt.IsZero() {
			r.EndedAt = s.now()
		}
		if step.Kind == gate.RingProve && state == fleet.StateSucceeded {
			r.ProvenAt = s.now()
		}
	})
	return err
}

// ringView gathers what the decision about a ring depends on.
func (s *Stepper) ringView(ctx context.Context, ro RolloutRecord, spec *fleet.Spec, ring *fleet.Ring, order int, rec RingRecord, clusters map[string]ClusterRecord) (gate.RingView, error) {
	view := gate.RingView{Ring: *ring, Given: rec.Given, Paused: ro.Paused, Aborted: ro.Aborted, Now: s.now()}
	pace, err := s.pastPace(ctx)
	if err != nil {
		return view, err
	}
	for _, id := range rec.Clusters {
		c := clusters[id]
		view.Clusters = append(view.Clusters, gate.ClusterState{
			ID: id, Name: c.Name, State: c.State, Started: c.Started,
			Forecast: plan.Forecast(plan.Size{Nodes: c.Nodes, Minors: c.To.Minor - c.From.Minor}, pace),
		})
		if c.EndedAt.After(view.EndedAt) {
			view.EndedAt = c.EndedAt
		}
	}
	view.Opening = opening(spec, ring, view.Now)
	if order > 0 {
		if view.Before, err = s.unproven(ctx, ro, spec, order, rec, clusters); err != nil {
			return view, err
		}
	}
	return view, nil
}

// opening says what a ring's windows and all freezes say at a moment.
func opening(spec *fleet.Spec, ring *fleet.Ring, now time.Time) gate.Opening {
	freezes := slices.Concat(spec.Freezes, ring.Freezes)
	if o, open := window.Open(ring.Windows, freezes, now); open {
		return gate.Opening{Open: true, Closes: o.Closes}
	}
	opens, _, _ := window.Next(ring.Windows, freezes, now)
	return gate.Opening{Opens: opens, Reason: window.Reason("ring "+ring.Name, ring.Windows, freezes, now)}
}

// unproven says which version of this ring's clusters no earlier ring of this
// rollout has proven, or "". A ring that only skipped rings precede proves
// versions itself.
func (s *Stepper) unproven(ctx context.Context, ro RolloutRecord, spec *fleet.Spec, order int, rec RingRecord, clusters map[string]ClusterRecord) (string, error) {
	rings, err := all[RingRecord](ctx, s.Store, ro.ID, kindRing)
	if err != nil {
		return "", err
	}
	first := true
	for _, r := range spec.Rings[:order] {
		switch state := rings[r.Name].State; state {
		case fleet.StateSkipped:
		case fleet.StateSucceeded:
			first = false
		default:
			return fmt.Sprintf("waits for ring %s (%s)", r.Name, state), nil
		}
	}
	if first {
		return "", nil
	}
	proven, err := s.provenVersions(ctx, ro)
	if err != nil {
		return "", err
	}
	var missing []string
	for _, id := range rec.Clusters {
		c := clusters[id]
		// One without a target was stopped at the start, and will be set aside.
		if !c.Started && !c.State.Ended() && !c.To.IsZero() && !slices.Contains(proven, c.To) {
			missing = append(missing, fmt.Sprintf("%s (for %s)", c.To, c.Name))
		}
	}
	if len(missing) == 0 {
		return "", nil
	}
	return "no earlier ring has proven " + strings.Join(missing, ", ") + "; skip these clusters, or give an earlier ring a cluster of that version", nil
}

// provenVersions lists the Kubernetes versions that this rollout has proven.
func (s *Stepper) provenVersions(ctx context.Context, ro RolloutRecord) ([]fleet.Version, error) {
	entries, err := s.Ledger.Entries(ctx, ro.Fleet)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of fleet %s: %w", ro.Fleet, err)
	}
	var versions []fleet.Version
	for _, e := range entries {
		if e.Kind != fleet.LedgerKubernetes || e.Rollout != ro.ID {
			continue
		}
		v, err := fleet.ParseVersion(e.Version)
		if err != nil {
			return nil, fmt.Errorf("ledger of fleet %s: %w", ro.Fleet, err)
		}
		if !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return versions, nil
}

func (s *Stepper) startClusters(ctx context.Context, ro RolloutRecord, rec RingRecord, step gate.RingStep) error {
	if err := s.journal(ctx, fleet.JournalEntry{Rollout: ro.ID, Ring: rec.Name, Action: "startClusters", Object: strings.TrimPrefix(step.Reason, "start ")}); err != nil {
		return err
	}
	for _, id := range step.Start {
		_, err := update(ctx, s.Store, ro.ID, kindCluster, id, func(c *ClusterRecord) {
			if c.Started {
				return
			}
			c.Started, c.StartedAt, c.State = true, s.now(), fleet.StateRunning
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// prove writes to the ledger what the ring's clusters have shown to work.
func (s *reached) prove(ctx context.Context, ro RolloutRecord, spec *fleet.Spec, rec RingRecord, order int, clusters map[string]ClusterRecord, why string) error {
	var names []string
	var entries []fleet.LedgerEntry
	known := func(kind fleet.LedgerKind, subject, version string) bool {
		return slices.ContainsFunc(entries, func(e fleet.LedgerEntry) bool {
			return e.Kind == kind && e.Subject == subject && e.Version == version
		})
	}
	entry := func(kind fleet.LedgerKind, subject, version, digest string) {
		if known(kind, subject, version) {
			return
		}
		entries = append(entries, fleet.LedgerEntry{
			Fleet: ro.Fleet, Kind: kind, Subject: subject, Version: version, Digest: digest,
			Ring: rec.Name, Rollout: ro.ID, ProvenAt: s.now(),
		})
	}
	last := order == len(spec.Rings)-1
	for _, id := range rec.Clusters {
		c := clusters[id]
		if c.State != fleet.StateSucceeded {
			continue
		}
		names = append(names, c.Name)
		for _, hop := range c.Hops {
			entry(fleet.LedgerKubernetes, "aks", hop.String(), "")
		}
		entry(fleet.LedgerKubernetes, "aks", c.To.String(), "")
		for _, family := range slices.Sorted(maps.Keys(c.Images)) {
			if known(fleet.LedgerNodeImage, family, c.Images[family]) {
				continue // one snapshot of an image is enough for a ring
			}
			digest := ""
			if !last {
				var err error
				if digest, err = s.keepImage(ctx, ro, c, family); err != nil {
					return err
				}
			}
			entry(fleet.LedgerNodeImage, family, c.Images[family], digest)
		}
	}
	for i := range entries {
		entries[i].Evidence = fmt.Sprintf("%s: %s", strings.Join(names, ", "), why)
	}
	if err := s.Ledger.Append(ctx, entries...); err != nil {
		return fmt.Errorf("write the ledger of fleet %s: %w", ro.Fleet, err)
	}
	return s.journal(ctx, fleet.JournalEntry{Rollout: ro.ID, Ring: rec.Name, Action: "prove", Object: fmt.Sprintf("%d entries", len(entries)), Reason: why})
}

// keepImage takes a snapshot of a pool of the family, so that later rings can
// have the very same image when a newer one has come out. AKS hands out only
// the current and the latest image, and those of snapshots.
func (s *reached) keepImage(ctx context.Context, ro RolloutRecord, c ClusterRecord, family string) (string, error) {
	cluster, err := s.Provider.Cluster(ctx, c.ID)
	if err != nil {
		return "", fmt.Errorf("keep node image %s: %w", c.Images[family], err)
	}
	pool := cluster.Pool(c.ImagePools[family])
	if pool == nil || !strings.EqualFold(pool.Image, c.Images[family]) {
		return "", nil // the pool has changed since; later rings compare images instead
	}
	name := strings.ToLower("liftlock-" + ro.Fleet + "-" + strings.ReplaceAll(pool.Image, ".", "-"))
	id, err := s.Provider.SnapshotPool(ctx, cluster, *pool, name[:min(len(name), 63)])
	if err != nil {
		return "", fmt.Errorf("keep node image %s by a snapshot of pool %s of cluster %s: %w", pool.Image, pool.Name, c.Name, err)
	}
	return id, nil
}
