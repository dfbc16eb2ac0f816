package rollout

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Overview is everything that is known of one rollout at a moment.
type Overview struct {
	Rollout      RolloutRecord
	Rings        []RingRecord    // in order
	Clusters     []ClusterRecord // by ring, then in starting order
	Pools        map[string]PoolRecord
	Availability map[string]Availability // by cluster id
	Ledger       []fleet.LedgerEntry     // of this rollout
	Journal      []fleet.JournalEntry
	At           time.Time
}

// ReadOverview gathers what is known of a rollout. journalAfter leaves out
// journal entries up to that sequence number.
func ReadOverview(ctx context.Context, s Store, l Ledger, j Journal, id string, journalAfter int64, now time.Time) (Overview, error) {
	o := Overview{At: now.UTC()}
	var err error
	if o.Rollout, _, err = read[RolloutRecord](ctx, s, id, kindRollout, ""); err != nil {
		return o, err
	}
	rings, err := all[RingRecord](ctx, s, id, kindRing)
	if err != nil {
		return o, err
	}
	for _, r := range rings {
		o.Rings = append(o.Rings, r)
	}
	slices.SortFunc(o.Rings, func(a, b RingRecord) int { return a.Order - b.Order })
	clusters, err := all[ClusterRecord](ctx, s, id, kindCluster)
	if err != nil {
		return o, err
	}
	for _, r := range o.Rings {
		for _, c := range r.Clusters {
			if rec, ok := clusters[c]; ok {
				o.Clusters = append(o.Clusters, rec)
			}
		}
	}
	if o.Pools, err = all[PoolRecord](ctx, s, id, kindPool); err != nil {
		return o, err
	}
	if o.Availability, err = all[Availability](ctx, s, id, kindAvailability); err != nil {
		return o, err
	}
	entries, err := l.Entries(ctx, o.Rollout.Fleet)
	if err != nil {
		return o, err
	}
	for _, e := range entries {
		if e.Rollout == id {
			o.Ledger = append(o.Ledger, e)
		}
	}
	o.Journal, err = j.Read(ctx, id, journalAfter, 0)
	return o, err
}

// PoolsOf lists a cluster's pool records in the order of their start.
func (o *Overview) PoolsOf(c ClusterRecord) []PoolRecord {
	var pools []PoolRecord
	for _, key := range c.Pools {
		if p, ok := o.Pools[key]; ok {
			pools = append(pools, p)
		}
	}
	return pools
}

// FindingsOf lists what was found beforehand on a cluster, and what is in the
// way of its pools now.
func (o *Overview) FindingsOf(c ClusterRecord) []fleet.Finding {
	findings := slices.Clone(c.Findings)
	for _, p := range o.PoolsOf(c) {
		for _, name := range slices.Sorted(maps.Keys(p.Evacuations)) {
			findings = mergeFindings(findings, p.Evacuations[name].Findings)
		}
	}
	return findings
}

// PodsToMove is how many evictable pods were on the nodes that were replaced.
func (p *PoolRecord) PodsToMove() int {
	if e := p.Evacuations[p.Name]; e != nil {
		return e.Total
	}
	return 0
}

// PodsTotal is how many moves there are to make: with a buffer pool, pods move
// there and back.
func (p *PoolRecord) PodsTotal() int {
	n := 0
	for _, e := range p.Evacuations {
		n += e.Total
	}
	return n
}

// PodMoves is how many pods were made in their stead.
func (p *PoolRecord) PodMoves() int {
	n := 0
	for _, e := range p.Evacuations {
		n += len(e.Replacements)
	}
	return n
}

// PodsMoved is how many of PodsTotal were made.
func (p *PoolRecord) PodsMoved() int {
	n := 0
	for _, e := range p.Evacuations {
		n += e.Moved
	}
	return n
}

// Versions lists the versions that the target means, for people.
func (r *RolloutRecord) Versions() string { return (&Outlook{Resolved: r.Resolved}).versions() }

// Violations counts the falls of workloads below what they require, over all clusters.
func (o *Overview) Violations() int {
	n := 0
	for _, a := range o.Availability {
		n += a.Violations()
	}
	return n
}

// Wanted lists the approvals that rings wait for now, as "ring/name (role)".
func (o *Overview) Wanted() []string {
	var wanted []string
	for _, r := range o.Rings {
		for _, a := range r.Wanted {
			wanted = append(wanted, strings.Join([]string{r.Name, a.Name, a.Role}, "/"))
		}
	}
	return wanted
}
