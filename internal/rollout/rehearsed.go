package rollout

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Rehearsal is what came of one. Times with Seconds in their name are those of the
// cluster: what was measured, multiplied by Speed. Work of the control plane is no
// faster in a rehearsal, so they are on the long side.
type Rehearsal struct {
	Cluster string        `json:"cluster"`
	Target  fleet.Version `json:"target"`
	Speed   float64       `json:"speed"`
	// Went: all pods moved, nothing fell, nothing was refused.
	Went    bool   `json:"went"`
	Verdict string `json:"verdict"`

	Pools      []RehearsedPool     `json:"pools"`
	Falls      int                 `json:"falls"`
	Workloads  []RehearsedWorkload `json:"workloads"` // those that moved, or came nearest to their requirement, first
	Homeless   []HomelessPod       `json:"homeless"`
	Refusals   []BudgetRefusal     `json:"refusals"` // of budgets, quotas and policies, while pods moved
	Objects    Staged              `json:"objects"`
	Findings   []fleet.Finding     `json:"findings"` // about the snapshot itself
	Gaps       []Gap               `json:"gaps,omitempty"`
	TookActual float64             `json:"tookActualSeconds"` // of the wall clock, all in
	// Busy is the share of time for which this machine's processors had no rest: near
	// 1, they set the times. 0 where that is not to be known.
	Busy float64 `json:"busy"`
}

// RehearsedPool is what came of one pool.
type RehearsedPool struct {
	Pool        string         `json:"pool"`
	Strategy    fleet.Strategy `json:"strategy"`
	From        fleet.Version  `json:"from"`
	To          fleet.Version  `json:"to"`
	Nodes       int            `json:"nodes"`
	State       fleet.State    `json:"state"`
	Reason      string         `json:"reason,omitempty"` // why it ended, or stands still
	Pods        int            `json:"pods"`             // that had to move
	Moved       int            `json:"moved"`
	MovesPerPod float64        `json:"movesPerPod"`
	// Seconds are of the whole, EvacuationSeconds of the moving alone.
	Seconds           float64 `json:"seconds"`
	EvacuationSeconds float64 `json:"evacuationSeconds"`
	// Forecast is what the plan says of the same.
	Forecast evacuate.Forecast `json:"forecastSeconds"`
	Steps    []Phase           `json:"steps"`
	// Blocked is what is in the way of the pods that are left.
	Blocked []fleet.Finding `json:"blocked"`
}

// Phase is a stretch of a pool's way, in the cluster's time.
type Phase struct {
	Step         string  `json:"step"`
	What         string  `json:"what,omitempty"`
	StartSeconds float64 `json:"startSeconds"`
	Seconds      float64 `json:"seconds"`
}

// RehearsedWorkload is what came of one workload.
type RehearsedWorkload struct {
	Workload string `json:"workload"`
	Move     string `json:"move,omitempty"` // roll, surge or evict
	Pods     int    `json:"pods"`
	Made     int    `json:"made"` // pods that were made in the course of it
	Required int    `json:"required"`
	Baseline int    `json:"baseline"` // Ready before
	Lowest   int    `json:"lowest"`
	Falls    int    `json:"falls"`
	// StartSeconds is when its first pod was touched, Seconds how long until its
	// last one was in place.
	StartSeconds float64 `json:"startSeconds"`
	Seconds      float64 `json:"seconds"`
}

// BudgetRefusal is how often the API server refused to let go of a workload's pods.
type BudgetRefusal struct {
	Object  string `json:"object"`
	Move    string `json:"move"`
	Times   int    `json:"times"`
	Message string `json:"message"` // its last words, with the budget's numbers where it gave them
}

// cluster turns a stretch of the wall clock into seconds of the cluster.
func (p *rehearsal) cluster(d time.Duration) float64 {
	return d.Seconds() * p.in.Speed
}

// rehearsed sums a pool's record up.
func (p *rehearsal) rehearsed(r *PoolRecord, before *fleet.Pool, strategy fleet.Strategy) RehearsedPool {
	now := p.room.Clock().UTC()
	out := RehearsedPool{
		Pool: r.Name, Strategy: strategy, From: r.From, To: r.To, Nodes: before.Count, State: r.State, Reason: r.Reason,
		Pods: r.PodsToMove(), Forecast: p.forecasts[r.Name], Steps: []Phase{}, Blocked: []fleet.Finding{},
	}
	if e := r.Evacuations[r.Name]; e != nil {
		out.Moved = e.Moved
	}
	if total := r.PodsToMove(); total > 0 {
		out.MovesPerPod = float64(r.PodMoves()) / float64(total)
	}
	end := cmp.Or(r.EndedAt, now)
	for _, s := range r.Spans {
		took := cmp.Or(s.Until, end).Sub(s.From)
		out.Steps = append(out.Steps, Phase{Step: s.Kind, What: s.What, StartSeconds: p.cluster(s.From.Sub(r.StartedAt)), Seconds: p.cluster(took)})
		if s.Kind == "evacuate" {
			out.EvacuationSeconds += p.cluster(took)
		}
	}
	out.Seconds = p.cluster(end.Sub(r.StartedAt))
	if r.State.Ended() {
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(r.Evacuations)) {
		for _, f := range r.Evacuations[name].Findings {
			if f.Severity == fleet.Blocker && f.AcceptedBy == "" {
				out.Blocked = append(out.Blocked, f)
			}
		}
	}
	return out
}

// result gathers what was seen.
func (p *rehearsal) result(ctx context.Context) (Rehearsal, error) {
	out := Rehearsal{
		Cluster: p.in.Cluster.Name, Target: p.in.Target, Speed: p.in.Speed, Pools: p.pools, Objects: p.room.Stage.Staged(),
		Workloads: []RehearsedWorkload{}, Homeless: []HomelessPod{}, Refusals: []BudgetRefusal{}, Findings: []fleet.Finding{},
	}
	seen, _, err := read[Availability](ctx, p.room.Store, rehearsalID, kindAvailability, p.in.Cluster.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return out, err
	}
	out.Gaps, out.Falls = seen.Gaps, seen.Violations()
	sight := p.room.Stage.Seen()
	out.Homeless = append(append(out.Homeless, sight.Homeless...), p.homeless...)
	keys := map[string]bool{}
	for key := range seen.Workloads {
		keys[key] = true
	}
	for key := range sight.Workloads {
		keys[key] = true
	}
	began := time.Time{}
	if len(p.pools) > 0 {
		began = seen.Since
	}
	for key := range keys {
		w := RehearsedWorkload{Workload: key}
		if a := seen.Workloads[key]; a != nil {
			w.Required, w.Baseline, w.Lowest, w.Falls = a.Required, a.Baseline, a.Lowest, a.Violations
		}
		m := sight.Workloads[key]
		w.Pods, w.Made = m.Pods, m.Made
		if !m.First.IsZero() && !m.Last.Before(m.First) {
			w.StartSeconds, w.Seconds = max(0, p.cluster(m.First.Sub(began))), p.cluster(m.Last.Sub(m.First))
		}
		w.Move = string(p.moves[key])
		if w.Pods > 0 || w.Made > 0 || w.Falls > 0 {
			out.Workloads = append(out.Workloads, w)
		}
	}
	slices.SortFunc(out.Workloads, func(a, b RehearsedWorkload) int {
		return cmp.Or(cmp.Compare(b.Falls, a.Falls), cmp.Compare(a.margin(), b.margin()), cmp.Compare(b.Made, a.Made), strings.Compare(a.Workload, b.Workload))
	})
	for _, key := range slices.Sorted(maps.Keys(p.refusals)) {
		out.Refusals = append(out.Refusals, *p.refusals[key])
	}
	out.judge(p.in.Pools)
	return out, nil
}

// margin is how near a workload came to what it requires.
func (w *RehearsedWorkload) margin() int { return w.Lowest - min(w.Required, w.Baseline) }

// judge says in a sentence what the rehearsal means.
func (r *Rehearsal) judge(wanted []string) {
	var bad []string
	if n := len(r.Objects.Refused); n > 0 {
		bad = append(bad, count(n, "object is", "objects are")+" refused by "+r.Target.MinorString())
	}
	for i := range r.Pools {
		if p := &r.Pools[i]; p.State != fleet.StateSucceeded {
			bad = append(bad, "pool "+p.Pool+" stands still: "+p.Reason)
		}
	}
	if len(r.Pools) < len(wanted) {
		bad = append(bad, "not reached: "+strings.Join(wanted[len(r.Pools):], ", "))
	}
	if r.Falls > 0 {
		bad = append(bad, count(r.Falls, "fall", "falls")+" below what workloads require")
	}
	homeless := 0
	for _, h := range r.Homeless {
		if !h.Before {
			homeless++
		}
	}
	if homeless > 0 {
		bad = append(bad, count(homeless, "pod finds", "pods find")+" no place")
	}
	if len(r.Gaps) > 0 {
		bad = append(bad, "availability could not be seen all the time")
	}
	if n := len(r.Objects.Restarted); n > 0 {
		bad = append(bad, count(n, "pod", "pods")+" did not stay as they were before it began")
	}
	r.Went = len(bad) == 0
	r.Verdict = "went through: every pod moved, no workload fell below what it requires, nothing was refused"
	if !r.Went {
		r.Verdict = strings.Join(bad, "; ")
	}
}

// count writes a number with its word.
func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + more
}
