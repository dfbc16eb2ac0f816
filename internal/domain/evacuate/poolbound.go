package evacuate

import (
	"cmp"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Term is one of the things of which the worst sets the lower bound. The list is
// part of the interface: terms are added, never given a new meaning.
type Term string

// The terms of the bound.
const (
	TermCapacity Term = "capacity" // no pod moves before the first new nodes can take it
	TermCanary   Term = "canary"   // what is on the canary nodes moves alone, and before anything else
	TermBudget   Term = "budget"   // a budget lets so many of its pods go at once, and each comes back only when it has started
	TermStrategy Term = "strategy" // a workload's own strategy, or how far it may surge, lets so many of its pods start at once
	TermOrdered  Term = "ordered"  // the pods of a StatefulSet, or of a controller that is not known, start one after the other
	TermPace     Term = "pace"     // so many pods may be in motion at once
	TermAPI      Term = "api"      // the API server takes so many evictions a second
	TermSlots    Term = "slots"    // so many nodes are made new at once, and each takes its time
	TermZone     Term = "zone"     // the same for the nodes of one zone, whose pods cannot leave it
	TermNode     Term = "node"     // one node's own pods, and then the node itself
)

// Limit is one term of a bound: what it takes at the least, and by whom.
type Limit struct {
	Term    Term    `json:"term"`
	Object  string  `json:"object"`
	Seconds float64 `json:"seconds"`
}

// bound is a term in the making.
type bound struct {
	term   Term
	object string
	takes  time.Duration
}

// bounds keeps the worst of each term.
type bounds map[Term]bound

func (b bounds) add(term Term, object string, takes time.Duration) {
	if known := b[term]; takes > known.takes {
		b[term] = bound{term, object, takes}
	}
}

// worst is the term that takes longest, the first by name of several.
func (b bounds) worst() bound {
	out := bound{}
	for _, term := range sortedKeys(b) {
		if b[term].takes > out.takes {
			out = b[term]
		}
	}
	return out
}

// least is what one workload's moves take at the least.
type least struct {
	w    *workload
	term Term
	// object sets it: the workload, or a budget that is stricter than its strategy.
	object string
	takes  time.Duration
	once   time.Duration // of one pod's start, the quickest
	usual  time.Duration // and on average
	rolls  bool
	// area is the time that its pods are in motion, all together.
	area  time.Duration
	sends int // evictions
	surge int // pods that are added meanwhile
}

// limit works out the lower bound: the wait for the first nodes, and after that
// the worst of what limits the moves and the nodes. It is made from the times that
// the same pods took before: nothing beats it unless they start faster than they
// did.
func (pl *planner) limit() {
	object := "Pool/" + pl.pool.Pool
	capacity := bound{TermCapacity, object, pl.pool.Assume.NodeCreation}
	if len(pl.mine) == 0 {
		capacity.takes = 0
	}
	terms := bounds{}
	total, binding := time.Duration(0), bound{}
	if pl.pool.Strategy == fleet.InPlace {
		pl.limitInPlace(terms)
		binding = terms.worst()
		total = binding.takes
	} else {
		total, binding = pl.limitMoves(terms)
		slots := pl.limitSlots(terms)
		switch {
		case pl.pool.Strategy == fleet.Buffer:
			// There, the nodes, and back: one after the other.
			total = 2*total + slots.takes
			binding.takes *= 2
			if slots.takes > binding.takes {
				binding = slots
			}
		case slots.takes > total:
			total, binding = slots.takes, slots
		}
	}
	if capacity.takes >= binding.takes {
		binding = capacity
	}
	terms.add(TermCapacity, object, capacity.takes)
	pl.out.BoundSeconds = down(capacity.takes + total)
	pl.out.Binding = Binding{Term: binding.term, Object: binding.object}
	for _, term := range sortedKeys(terms) {
		b := terms[term]
		pl.out.Terms = append(pl.out.Terms, Limit{b.term, b.object, down(b.takes)})
	}
	slices.SortStableFunc(pl.out.Terms, func(a, b Limit) int { return cmp.Compare(b.Seconds, a.Seconds) })
	// A forecast below what cannot be beaten would be a wrong one.
	pl.out.Forecast.P50 = max(pl.out.Forecast.P50, pl.out.BoundSeconds)
	pl.out.Forecast.P90 = max(pl.out.Forecast.P90, pl.out.Forecast.P50)
}

// limitMoves is what moving the pods once takes at the least, and what sets it.
func (pl *planner) limitMoves(terms bounds) (time.Duration, bound) {
	works := pl.leasts()
	all, rest := bounds{}, bounds{}
	first, second := pl.inCanary()
	canary := bound{term: TermCanary}
	area, weight, sends := time.Duration(0), 0, 0
	for _, l := range works {
		all.add(l.term, l.object, l.takes)
		terms.add(l.term, l.object, l.takes)
		area += l.area
		weight += len(l.w.pods)
		sends += l.sends
		if !first[l.w] {
			rest.add(l.term, l.object, l.takes)
			continue
		}
		alone := l.once
		if l.rolls {
			alone = l.takes
		}
		if alone > canary.takes {
			canary.object, canary.takes = l.object, alone
		}
	}
	for _, b := range pl.limitShared(works) {
		all.add(b.term, b.object, b.takes)
		terms.add(b.term, b.object, b.takes)
	}
	// Surges add pods, of which the pace is a share.
	limit := pl.pool.Pace.MaxInMotion.Of(pl.pods + weight)
	pace := bound{TermPace, "pace.maxInMotion", area / time.Duration(max(1, limit))}
	terms.add(pace.term, pace.object, pace.takes)
	all.add(pace.term, pace.object, pace.takes)
	if rate := pl.pool.Assume.EvictionsPerSecond; rate > 0 {
		api := bound{TermAPI, "evictions", time.Duration(float64(sends) / rate * float64(time.Second))}
		terms.add(api.term, api.object, api.takes)
		all.add(api.term, api.object, api.takes)
	}
	worst, after := all.worst(), rest.worst()
	if second && canary.takes > 0 {
		terms.add(TermCanary, canary.object, canary.takes)
		if canary.takes+after.takes > worst.takes {
			binding := after
			if canary.takes > after.takes {
				binding = canary
			}
			return canary.takes + after.takes, binding
		}
	}
	return worst.takes, worst
}

// inCanary are the workloads that the canary wave moves, and whether there is one.
func (pl *planner) inCanary() (map[*workload]bool, bool) {
	out := map[*workload]bool{}
	if len(pl.groups) == 0 || len(pl.groups[0].waves) == 0 || !pl.groups[0].waves[0].canary {
		return out, false
	}
	for _, j := range pl.groups[0].waves[0].jobs {
		if j.w != nil && j.move != MoveWait {
			out[j.w] = true
		}
	}
	return out, true
}

// leasts is what each workload takes at the least, in the order of their keys.
func (pl *planner) leasts() []*least {
	byWorkload := map[*workload]*least{}
	evicted, slots := map[*workload]int{}, map[*workload]int{}
	for i := range pl.groups {
		for k := range pl.groups[i].waves {
			for _, j := range pl.groups[i].waves[k].jobs {
				if j.w == nil || j.move == MoveWait {
					continue
				}
				l := byWorkload[j.w]
				if l == nil {
					l = &least{w: j.w, object: j.w.key, once: pl.quickest(j.w), usual: pl.usual(j.w)}
					byWorkload[j.w] = l
				}
				if j.move == MoveRoll {
					pl.leastRoll(l, j)
					continue
				}
				evicted[j.w] += pl.serving(j)
				slots[j.w] = max(slots[j.w], j.slots, j.plan.surge)
				l.surge = max(l.surge, j.plan.surge)
				l.term = TermStrategy
				if j.move == MoveOrdered || j.plan.serial {
					l.term = TermOrdered
				}
			}
		}
	}
	out := make([]*least, 0, len(byWorkload))
	for _, key := range sortedKeys(pl.workloads) {
		l := byWorkload[pl.workloads[key]]
		if l == nil {
			continue
		}
		if n := evicted[l.w]; n > 0 {
			l.takes += l.inTurns(n, slots[l.w])
			l.area += time.Duration(n) * l.usual
			l.sends += n
			if b := pl.strictest(l.w); b != nil && l.term == TermStrategy {
				l.term, l.object = TermBudget, "PodDisruptionBudget/"+b.Key()
			}
		}
		if !l.w.settled() { // what its own rollout will have moved is not known
			l.takes, l.area = min(l.takes, l.once), min(l.area, l.once)
		}
		out = append(out, l)
	}
	return out
}

// leastRoll adds what a restart takes.
func (pl *planner) leastRoll(l *least, j *job) {
	n := j.starting
	surge := strategyOf(j.w.Workload, int(j.w.Replicas)).maxSurge
	if j.plan.shape != nil {
		surge = int(j.plan.shape.MaxSurge)
	}
	// Where pods are not available to begin with, more may start at once.
	at := max(j.slots, surge+max(0, n-j.w.available))
	l.rolls = true
	l.term = TermStrategy
	if j.w.Kind == fleet.StatefulSet {
		l.term = TermOrdered
	}
	takes := l.inTurns(n, at)
	l.takes += takes
	l.area += time.Duration(min(j.weight, pl.paceLimit())) * takes
}

// inTurns is what n starts take of which so many are under way at once: all of
// them shared out, and no less than the quickest as often as there are turns.
func (l *least) inTurns(n, at int) time.Duration {
	return max(time.Duration(rounds(n, at))*l.once, time.Duration(n)*l.usual/time.Duration(max(1, at)))
}

// serving counts the pods of a job that something has to start anew for: of those
// that serve nothing, others may do the work by then.
func (pl *planner) serving(j *job) int {
	if j.move == MoveOrdered && j.plan.serial {
		return len(j.pods)
	}
	n := 0
	for _, p := range j.pods {
		if pl.available(p) {
			n++
		}
	}
	return n
}

// quickest is the least time until a new pod of a workload is available.
func (pl *planner) quickest(w *workload) time.Duration {
	return pl.starts.quickest(w) + time.Duration(w.MinReadySeconds)*time.Second
}

// usual is the same on average.
func (pl *planner) usual(w *workload) time.Duration {
	return pl.starts.average(w) + time.Duration(w.MinReadySeconds)*time.Second
}

// strictest is the budget that requires more of a workload than its strategy does.
func (pl *planner) strictest(w *workload) *budget {
	var out *budget
	most := w.strategyRequires
	for _, b := range w.budgets {
		if n := b.requires(w); n > most {
			out, most = b, n
		}
	}
	return out
}

// limitShared is what budgets of several workloads take at the least.
func (pl *planner) limitShared(works []*least) []bound {
	var out []bound
	work := map[*budget]time.Duration{}
	extra := map[*budget]int{}
	for _, l := range works {
		if l.rolls || !l.w.settled() {
			continue // a restart sees no budget
		}
		for _, b := range l.w.budgets {
			if b.shared() {
				work[b] += time.Duration(min(l.sends, b.selected[l.w.key])) * l.usual
				extra[b] += l.surge
			}
		}
	}
	for _, b := range pl.budgets {
		if work[b] == 0 {
			continue
		}
		at := b.base + extra[b] - b.desired(b.base)
		at = max(1, at, int(b.CurrentHealthy)-b.desired(b.base))
		out = append(out, bound{TermBudget, "PodDisruptionBudget/" + b.Key(), work[b] / time.Duration(at)})
	}
	return out
}

// limitSlots is what making the nodes takes at the least, and what sets it.
func (pl *planner) limitSlots(terms bounds) bound {
	object := "Pool/" + pl.pool.Pool
	var again time.Duration // from giving a node up to having the next
	switch pl.pool.Strategy {
	case fleet.Buffer:
		took := time.Duration(0)
		for i := range pl.groups {
			took += pl.remaking(len(pl.groups[i].nodes))
		}
		terms.add(TermSlots, object, took)
		return bound{TermSlots, object, took}
	case fleet.BlueGreen, fleet.InPlace:
		again = pl.pool.Assume.NodeRemoval + pl.pool.Assume.NodeCreation
	}
	if pl.out.ExtraNodes >= len(pl.mine) {
		return bound{}
	}
	best := bound{TermSlots, object, time.Duration(len(pl.split(false))-1) * again}
	terms.add(best.term, best.object, best.takes)
	if took := time.Duration(len(pl.groups)-1) * again; took > best.takes {
		best = bound{TermZone, "zone/" + pl.fullestZone(), took}
		terms.add(best.term, best.object, best.takes)
	}
	return best
}

// fullestZone is the zone with the most nodes whose pods cannot leave it.
func (pl *planner) fullestZone() string {
	tied := map[string]int{}
	for _, n := range pl.mine {
		if pl.zoneBound(n.Name) {
			tied[n.Zone]++
		}
	}
	zone := ""
	for _, z := range sortedKeys(tied) {
		if zone == "" || tied[z] > tied[zone] {
			zone = z
		}
	}
	return zone
}

// rounds is how often a step for so many at once is needed for n.
func rounds(n, at int) int {
	at = max(1, at)
	return n/at + min(1, n%at)
}
