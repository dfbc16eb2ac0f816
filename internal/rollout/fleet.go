package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/plan"
)

// fleet takes a rollout's own step: find the clusters, fix the version, and
// let one ring after the other go.
func (s *reached) fleet(ctx context.Context, ro RolloutRecord, spec *fleet.Spec) (Turn, error) {
	if ro.State.Ended() {
		return Turn{State: ro.State, Reason: ro.Reason, Ended: true}, nil
	}
	if len(ro.Resolved) == 0 {
		return s.begin(ctx, ro, spec)
	}
	rings, err := all[RingRecord](ctx, s.Store, ro.ID, kindRing)
	if err != nil {
		return Turn{}, err
	}
	for _, r := range spec.Rings {
		rec := rings[r.Name]
		switch {
		case rec.State == fleet.StateSucceeded, rec.State == fleet.StateSkipped:
			continue
		case rec.State.Ended():
			state := fleet.StateFailed
			if rec.State == fleet.StateAborted {
				state = fleet.StateAborted
			}
			return s.endRollout(ctx, ro, state, fmt.Sprintf("ring %s: %s", r.Name, rec.Reason))
		}
		state := fleet.StateRunning
		if ro.Paused {
			state = fleet.StatePaused
		}
		reason := fmt.Sprintf("ring %s: %s", r.Name, strings.TrimSpace(string(rec.State)+" "+rec.Reason))
		if err := s.setRollout(ctx, ro.ID, state, reason); err != nil {
			return Turn{}, err
		}
		return Turn{State: state, Reason: reason, After: patience, Start: []Task{{Rollout: ro.ID, Ring: r.Name}}}, nil
	}
	return s.endRollout(ctx, ro, fleet.StateSucceeded, "all rings have ended well")
}

func (s *Stepper) setRollout(ctx context.Context, id string, state fleet.State, reason string) error {
	_, err := update(ctx, s.Store, id, kindRollout, "", func(r *RolloutRecord) { r.State, r.Reason = state, reason })
	return err
}

func (s *Stepper) endRollout(ctx context.Context, ro RolloutRecord, state fleet.State, reason string) (Turn, error) {
	_, err := update(ctx, s.Store, ro.ID, kindRollout, "", func(r *RolloutRecord) {
		r.State, r.Reason, r.EndedAt = state, reason, s.now()
	})
	if err != nil {
		return Turn{}, err
	}
	if err := s.journal(ctx, fleet.JournalEntry{Rollout: ro.ID, Action: "end", Object: string(state), Reason: reason}); err != nil {
		return Turn{}, err
	}
	return Turn{State: state, Reason: reason, Ended: true}, nil
}

// begin finds the clusters, fixes what the target means, and writes down where
// everything starts from.
func (s *reached) begin(ctx context.Context, ro RolloutRecord, spec *fleet.Spec) (Turn, error) {
	look, err := s.look(ctx, spec, ro.Pinned)
	if err != nil {
		turn, _ := trouble(err, ro.attempts(s.now()), 0)
		if err := s.setRollout(ctx, ro.ID, turn.State, turn.Reason); err != nil {
			return Turn{}, err
		}
		return turn, nil
	}
	for _, c := range look.Clusters {
		if c.Ring == "" {
			continue
		}
		to, _ := (&RolloutRecord{Resolved: look.Resolved}).target(c.Cluster.Version)
		nodes := 0
		for i := range c.Cluster.Pools {
			nodes += c.Cluster.Pools[i].Count
		}
		_, err := update(ctx, s.Store, ro.ID, kindCluster, c.Cluster.ID, func(r *ClusterRecord) {
			if r.ID != "" { // written by a beginning that was cut short: the target is fixed by this one
				r.To = to
				return
			}
			*r = ClusterRecord{ID: c.Cluster.ID, Name: c.Cluster.Name, Ring: c.Ring, State: fleet.StatePending, From: c.Cluster.Version, To: to, Nodes: nodes}
		})
		if err != nil {
			return Turn{}, err
		}
	}
	for i, ring := range spec.Rings {
		_, err := update(ctx, s.Store, ro.ID, kindRing, ring.Name, func(r *RingRecord) {
			// Approvals may have been given before.
			*r = RingRecord{Name: ring.Name, Order: i, State: fleet.StatePending, Clusters: look.ids(ring.Name), Given: r.Given}
		})
		if err != nil {
			return Turn{}, err
		}
	}
	err = s.journal(ctx, fleet.JournalEntry{Rollout: ro.ID, Action: "resolveTarget", Object: look.versions(), Reason: look.Why})
	if err != nil {
		return Turn{}, err
	}
	_, err = update(ctx, s.Store, ro.ID, kindRollout, "", func(r *RolloutRecord) {
		r.Resolved, r.Why, r.Unassigned, r.State, r.Reason = look.Resolved, look.Why, look.unassigned(), fleet.StateRunning, ""
	})
	return Turn{State: fleet.StateRunning}, err
}

// attempts estimates how often the beginning was tried, from how long ago it
// began: the backoff needs no counter of its own.
func (r *RolloutRecord) attempts(now interface{ Unix() int64 }) int {
	return int(min(max(0, now.Unix()-r.StartedAt.Unix())/2, maxPolls))
}

// Outlook is what a first look at a fleet found.
type Outlook struct {
	Clusters []OutlookCluster
	// Resolved says what the target means, as RolloutRecord.Resolved does.
	Resolved map[string]fleet.Version
	Why      string
	// Origins says of each of Resolved in whose offers it was found.
	Origins map[string]Origin
	// offers are those that were asked for, by offersKey.
	offers map[string]fleet.Offers
}

// Origin is where a version was found.
type Origin struct{ Cluster, Location, Why string }

// OutlookCluster is one cluster of the fleet, the ring that it belongs to, and
// whether anything is to be done to it.
type OutlookCluster struct {
	Cluster fleet.Cluster
	Ring    string // "" when no ring selects it
	Work    string // what is to be done; "" for nothing
}

// NothingToDo reports whether every cluster of every ring has arrived.
func (o *Outlook) NothingToDo() bool {
	return !slices.ContainsFunc(o.Clusters, func(c OutlookCluster) bool { return c.Ring != "" && c.Work != "" })
}

func (o *Outlook) ids(ring string) []string {
	ids := []string{}
	for _, c := range o.Clusters {
		if c.Ring == ring {
			ids = append(ids, c.Cluster.ID)
		}
	}
	return ids
}

func (o *Outlook) unassigned() []string {
	var names []string
	for _, c := range o.Clusters {
		if c.Ring == "" {
			names = append(names, c.Cluster.Name)
		}
	}
	return names
}

func (o *Outlook) versions() string {
	var versions []string
	for _, v := range o.Resolved {
		versions = append(versions, v.String())
	}
	slices.Sort(versions)
	return strings.Join(slices.Compact(versions), ", ")
}

// Look finds the fleet's clusters, says to which ring each belongs, what the
// target means, and what is to be done. It changes nothing.
func (s *Stepper) Look(ctx context.Context, spec *fleet.Spec) (*Outlook, error) {
	reach, err := s.Reach(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("fleet %s: %w", spec.Name, err)
	}
	return (&reached{Stepper: s, Reach: reach}).look(ctx, spec, nil)
}

// look finds the clusters and what the target means; pinned, where there is one,
// has fixed that before.
func (s *reached) look(ctx context.Context, spec *fleet.Spec, pinned map[string]fleet.Version) (*Outlook, error) {
	clusters, err := s.Provider.Discover(ctx, spec.Sources)
	if err != nil {
		return nil, fmt.Errorf("discover the clusters of fleet %s: %w", spec.Name, err)
	}
	look := &Outlook{Resolved: map[string]fleet.Version{}, Origins: map[string]Origin{}, offers: map[string]fleet.Offers{}}
	regions := look.offers
	for _, c := range clusters {
		oc := OutlookCluster{Cluster: c, Ring: ringOf(spec, &c)}
		look.Clusters = append(look.Clusters, oc)
		if oc.Ring == "" || c.Stopped {
			continue
		}
		region := offersKey(spec, &c)
		offers, known := regions[region]
		if !known {
			if offers, err = s.Provider.Offers(ctx, c); err != nil {
				return nil, fmt.Errorf("versions on offer to cluster %s: %w", c.Name, err)
			}
			regions[region] = offers
		}
		if len(pinned) > 0 {
			look.Resolved, look.Why = pinned, "fixed before the rollout began"
			continue
		}
		if err := look.resolve(spec.Target, offers.Region, &c); err != nil {
			return nil, fmt.Errorf("cluster %s in %s: %w", c.Name, c.Location, err)
		}
	}
	if len(look.Resolved) == 0 {
		return nil, fmt.Errorf("fleet %s: no running cluster of its sources belongs to a ring (%d found); check spec.sources and the rings' select", spec.Name, len(clusters))
	}
	for i := range look.Clusters {
		c := &look.Clusters[i]
		if c.Ring == "" {
			continue
		}
		if err := s.outlook(ctx, spec, look, c, regions); err != nil {
			return nil, err
		}
	}
	return look, nil
}

// resolve fixes the target so that every region of the fleet has it: where
// regions differ, the lowest wins, or a later ring could never follow.
func (o *Outlook) resolve(target fleet.Target, region []fleet.OfferedVersion, c *fleet.Cluster) error {
	current := c.Version
	v, why, err := plan.ResolveTarget(target, region, current)
	if err != nil {
		return err
	}
	key := "*"
	if target.Channel == fleet.ChannelPatch || target.Channel == fleet.ChannelNodeImage {
		key = current.MinorString()
		if target.Channel == fleet.ChannelNodeImage {
			key = current.String()
		}
	}
	if known, ok := o.Resolved[key]; !ok || v.Less(known) {
		o.Resolved[key] = v
		o.Origins[key] = Origin{Cluster: c.Name, Location: c.Location, Why: why}
	}
	o.Why = why
	return nil
}

// outlook says what is to be done to one cluster.
func (s *reached) outlook(ctx context.Context, spec *fleet.Spec, look *Outlook, c *OutlookCluster, regions map[string]fleet.Offers) error {
	to, ok := (&RolloutRecord{Resolved: look.Resolved}).target(c.Cluster.Version)
	switch {
	case c.Cluster.Stopped:
		return nil
	case !ok:
		return nil
	case c.Cluster.Version.Less(to):
		c.Work = fmt.Sprintf("control plane from %s to %s", c.Cluster.Version, to)
		return nil
	case to.Less(c.Cluster.Version):
		return nil // beyond the target: nothing that could be done
	}
	images := map[string]string{}
	if spec.Target.Channel == fleet.ChannelNodeImage {
		images = newestImages(&c.Cluster, regions[offersKey(spec, &c.Cluster)])
	}
	for i := range c.Cluster.Pools {
		p := &c.Cluster.Pools[i]
		switch image := images[p.ImageFamily()]; {
		case p.Stopped:
		case p.Version.Less(to):
			c.Work = fmt.Sprintf("pool %s from %s to %s", p.Name, p.Version, to)
		case image != "" && image != p.Image:
			c.Work = fmt.Sprintf("pool %s from image %s to %s", p.Name, p.Image, image)
		case plan.StandIn(&c.Cluster, p.Name) != nil:
			c.Work = fmt.Sprintf("pool %s: an upgrade was begun and not finished", p.Name)
		case strings.EqualFold(p.ProvisioningState, "Failed"):
			c.Work = fmt.Sprintf("pool %s ended Failed", p.Name)
		}
		if c.Work != "" {
			return nil
		}
	}
	return s.believeNodes(ctx, c, to)
}

// believeNodes asks the nodes of a cluster that looks finished: a provider's
// word alone is not believed. A cluster that cannot be asked counts as work.
func (s *reached) believeNodes(ctx context.Context, c *OutlookCluster, to fleet.Version) error {
	kube, err := s.Connector.Connect(ctx, c.Cluster, "")
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.Work = "its nodes could not be asked: " + err.Error()
		return nil
	}
	snapshot, err := kube.Snapshot(ctx)
	if err != nil {
		c.Work = "its nodes could not be asked: " + err.Error()
		return nil //nolint:nilerr // the reason is kept; the cluster's own turn will find it again
	}
	for _, n := range snapshot.Nodes {
		switch {
		case n.Version != to:
			c.Work = fmt.Sprintf("node %s runs %s, not %s", n.Name, n.Version, to)
		case n.Annotations[fleet.MarkCordoned] != "":
			c.Work = fmt.Sprintf("node %s is still cordoned by an earlier rollout", n.Name)
		}
	}
	if c.Work != "" {
		return nil
	}
	notes, err := kube.LeaseNotes(ctx)
	if err != nil {
		c.Work = "its Lease could not be read: " + err.Error()
		return nil //nolint:nilerr // as above
	}
	aside, err := channelsOf(notes)
	if err != nil || aside != nil && !aside.Of(&c.Cluster) {
		c.Work = "its automatic upgrade channels are still set aside by an earlier rollout"
	}
	return nil
}

// offersKey names what clusters share their offers with: the region, or where
// node images are asked for nobody.
func offersKey(spec *fleet.Spec, c *fleet.Cluster) string {
	if spec.Target.Channel == fleet.ChannelNodeImage {
		return c.ID
	}
	return c.Subscription + "/" + c.Location
}

func newestImages(c *fleet.Cluster, offers fleet.Offers) map[string]string {
	images := map[string]string{}
	for i := range c.Pools {
		if image := offers.NodeImages[c.Pools[i].Name]; image != "" {
			images[c.Pools[i].ImageFamily()] = image
		}
	}
	return images
}

// ringOf finds the first ring that selects a cluster.
func ringOf(spec *fleet.Spec, c *fleet.Cluster) string {
	for i := range spec.Rings {
		if selects(&spec.Rings[i].Select, c) {
			return spec.Rings[i].Name
		}
	}
	return ""
}

func selects(sel *fleet.Selector, c *fleet.Cluster) bool {
	anyOf := func(patterns []string, name string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return plan.Match(p, name) })
	}
	if !anyOf(sel.Names, c.Name) || !anyOf(sel.Subscriptions, c.Subscription) || !anyOf(sel.ResourceGroups, c.ResourceGroup) || !anyOf(sel.Locations, c.Location) {
		return false
	}
	for key, pattern := range sel.Tags {
		found := false
		for k, value := range c.Tags {
			if strings.EqualFold(k, key) && plan.Match(pattern, value) {
				found = true
			}
		}
		if !found {
			return false
		}
	}
	return true
}
