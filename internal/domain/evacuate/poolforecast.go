package evacuate

import (
	"cmp"
	"container/heap"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// job is what moves of one workload in one wave.
type job struct {
	object string
	w      *workload // nil for pods that do not come back
	move   Move
	plan   plan
	pods   []*pod
	// starting is how many pods are started for it, slots how many of them at
	// once, ahead how many before any old one goes.
	starting, slots, ahead int
	// weight is how many pods it puts in motion.
	weight int
	long   int // of the job, to begin with the longest
	// sharing names the budget that it shares with other workloads' jobs, so that
	// they go one after the other.
	sharing string
	seed    uint64
}

// newJob makes a job of a workload's pods that move.
func (pl *planner) newJob(w *workload, p plan, pods []*pod) *job {
	j := &job{object: w.key, w: w, move: p.move, plan: p, pods: pods, starting: len(pods)}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(w.key))
	j.seed = hash.Sum64()
	j.slots = pl.headroom(w, p, len(pods))
	switch p.move {
	case MoveRoll:
		j.starting = max(len(pods), len(w.leave)+len(w.stay))
		j.slots = max(1, p.weight)
	case MoveSurge:
		j.ahead = min(max(1, p.surge), len(pods))
	case MoveEvict, MoveOrdered, MoveWait, MoveRefuse, MoveDone, MoveBlocked:
	}
	j.weight = min(max(j.slots, j.ahead), j.starting)
	j.long = steps(w, p) * startSeconds(w)
	if p.move != MoveRoll {
		for _, b := range w.budgets {
			if b.shared() {
				j.sharing = b.Key()
			}
		}
	}
	return j
}

// headroom is how many available pods of a workload may be missing at once while
// its pods are evicted.
func (pl *planner) headroom(w *workload, p plan, pods int) int {
	switch {
	case p.serial:
		return 1
	case p.accepted:
		most := max(1, pods)
		for _, b := range w.budgets {
			most = min(most, max(1, b.allowsAt(0)))
		}
		return most
	}
	return max(1, max(w.available, w.base)+p.surge-pl.required(w))
}

// cut divides a job into what begins on some nodes, and the rest. A restart is
// not divided.
func (j *job) cut(on map[string]bool) (first, later *job) {
	var here, there []*pod
	for _, p := range j.pods {
		if on[p.Node] {
			here = append(here, p)
		} else {
			there = append(there, p)
		}
	}
	switch {
	case len(here) == 0 || j.move == MoveWait:
		return nil, j // what is waited for holds up nothing but the end
	case len(there) == 0 || j.move == MoveRoll:
		return j, nil
	}
	a, b := *j, *j
	a.pods, a.starting, a.ahead = here, min(len(here), j.starting), min(j.ahead, len(here))
	b.pods, b.starting, b.ahead = there, min(len(there), j.starting), min(j.ahead, len(there))
	a.weight = min(max(a.slots, a.ahead), max(1, a.starting))
	b.weight = min(max(b.slots, b.ahead), max(1, b.starting))
	return &a, &b
}

// runs is how often a forecast is drawn.
const runs = 21

// forecast draws the plan's times from what was observed, often enough to say
// which are usual. The draws are the same for the same snapshot.
func (pl *planner) forecast() {
	took := make([]time.Duration, runs)
	starts := make([][]time.Duration, runs)
	var lengths [][]time.Duration
	for run := range took {
		took[run], starts[run], lengths = pl.timeline(uint64(run), lengths)
	}
	order := make([]int, runs)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(took[a], took[b]) })
	middle := order[runs/2]
	pl.out.Forecast = Forecast{P50: up(took[middle]), P90: up(took[order[runs*9/10]])}
	for i := range pl.out.Waves {
		w := &pl.out.Waves[i]
		w.StartSeconds, w.Seconds = up(starts[middle][i]), up(lengths[middle][i])
	}
	extra := float64(pl.out.ExtraNodes)
	pl.out.ExtraNodeHours = math.Round(extra*pl.out.Forecast.P50/36) / 100
	if moving := pl.movable(); moving > 0 {
		perPod := float64(moving+pl.again) / float64(moving)
		switch pl.pool.Strategy {
		case fleet.Buffer:
			perPod *= 2
		case fleet.InPlace:
			perPod = pl.movesInPlace()
		case fleet.BlueGreen:
		}
		pl.out.MovesPerPod = math.Round(perPod*1000) / 1000
	}
}

// timeline is one drawing: how long it all takes, and when each wave begins and
// how long it is.
func (pl *planner) timeline(run uint64, lengths [][]time.Duration) (time.Duration, []time.Duration, [][]time.Duration) {
	if len(pl.mine) == 0 {
		return 0, nil, append(lengths, nil)
	}
	assume := &pl.pool.Assume
	var begins, takes []time.Duration
	first := run == 0
	at := assume.NodeCreation
	add := func(w wave, home bool) {
		if home { // what was waited for has ended where it was
			w.jobs = slices.DeleteFunc(slices.Clone(w.jobs), func(j *job) bool { return j.move == MoveWait })
		}
		took := pl.makespan(w.jobs, run)
		if pl.pool.Strategy == fleet.InPlace {
			took += assume.NodeCreation
		}
		if first {
			pods := 0
			for _, j := range w.jobs {
				pods += len(j.pods)
			}
			pl.out.Waves = append(pl.out.Waves, Wave{Wave: len(pl.out.Waves) + 1, Canary: w.canary, Home: home, Nodes: w.nodes, Pods: pods})
		}
		begins, takes = append(begins, at), append(takes, took)
		at += took
	}
	for i := range pl.groups {
		g := &pl.groups[i]
		if i > 0 && pl.pool.Strategy == fleet.BlueGreen {
			at += assume.NodeRemoval + assume.NodeCreation
		}
		for k := range g.waves {
			add(g.waves[k], false)
		}
		if pl.pool.Strategy == fleet.Buffer {
			at += pl.remaking(len(g.nodes))
			for k := range g.waves {
				add(g.waves[k], true)
			}
		}
	}
	return at, begins, append(lengths, takes)
}

// remaking is how long the provider takes to make that many empty nodes anew.
func (pl *planner) remaking(nodes int) time.Duration {
	surge := max(1, pl.providerSurge())
	return time.Duration((nodes+surge-1)/surge) * pl.pool.Assume.NodeCreation
}

// makespan is how long jobs take that begin together, as the pace allows.
func (pl *planner) makespan(jobs []*job, run uint64) time.Duration {
	type unit struct {
		takes  time.Duration
		weight int
	}
	queues := map[int][]int{} // by weight, of units in their order
	var units []unit
	chains := map[string]int{}
	var end, last time.Duration
	for _, j := range jobs {
		takes, ends := pl.duration(j, run)
		if j.move == MoveWait {
			end = max(end, takes+ends)
			continue
		}
		last = max(last, ends)
		takes += time.Duration(max(0, pl.pool.Pace.HealthPasses)) * pl.pool.Assume.Look
		if j.sharing != "" {
			if i, ok := chains[j.sharing]; ok {
				units[i].takes += takes
				units[i].weight = max(units[i].weight, j.weight)
				continue
			}
			chains[j.sharing] = len(units)
		}
		units = append(units, unit{takes, j.weight})
	}
	for i, u := range units {
		queues[u.weight] = append(queues[u.weight], i)
	}
	weights := sortedKeys(queues)
	limit := pl.limitInMotion()
	var under running
	motion := 0
	now := time.Duration(0)
	for {
		best := -1
		for _, w := range weights { // the first that the pace lets in
			if q := queues[w]; len(q) > 0 && (motion == 0 || motion+w <= limit) && (best < 0 || q[0] < best) {
				best = q[0]
			}
		}
		if best >= 0 {
			u := units[best]
			queues[u.weight] = queues[u.weight][1:]
			motion += u.weight
			heap.Push(&under, finish{now + u.takes, u.weight})
			continue
		}
		if len(under) == 0 {
			return max(end, now+last)
		}
		f, _ := heap.Pop(&under).(finish)
		now = f.at
		motion -= f.weight
	}
}

// limitInMotion is the pace; the provider's own upgrade knows none.
func (pl *planner) limitInMotion() int {
	if pl.pool.Strategy == fleet.InPlace {
		return math.MaxInt
	}
	return pl.paceLimit()
}

// duration draws how long a job takes until its new pods are available, and how
// long its last old pod takes to end after that.
func (pl *planner) duration(j *job, run uint64) (takes, ends time.Duration) {
	assume := &pl.pool.Assume
	n := run << 32
	draw := func() float64 { n++; return chance(j.seed, n) }
	ends = time.Duration(draw() * float64(pl.ending(j.pods)))
	if j.move == MoveWait {
		return pl.waiting(j, draw()), 0
	}
	if j.w == nil {
		return 0, ends
	}
	minReady := time.Duration(j.w.MinReadySeconds) * time.Second
	start := func() time.Duration { return pl.starts.draw(j.w, draw(), assume.PodStart) + minReady }
	look := assume.Look
	switch j.move {
	case MoveRoll:
		if j.plan.accepted || j.w.Strategy == "Recreate" {
			return inSlots(j.starting, j.slots, func() time.Duration { return ends + start() }), ends
		}
		return inSlots(j.starting, j.slots, start), ends
	case MoveOrdered:
		attach := time.Duration(0)
		if slices.ContainsFunc(j.pods, func(p *pod) bool { return len(p.Claims) > 0 }) {
			attach = assume.Attach
		}
		return inSlots(j.starting, j.slots, func() time.Duration {
			return time.Duration(draw()*float64(pl.ending(j.pods))) + attach + start() + look
		}), 0
	case MoveSurge:
		takes = inSlots(j.ahead, j.ahead, start) + look
		return takes + inSlots(j.starting-j.ahead, j.slots, func() time.Duration { return start() + look }), ends
	case MoveEvict, MoveWait, MoveRefuse, MoveDone, MoveBlocked:
	}
	return inSlots(j.starting, j.slots, func() time.Duration { return start() + look }), ends
}

// ending is the longest that pods take to end.
func (pl *planner) ending(pods []*pod) time.Duration {
	longest := int64(0)
	for _, p := range pods {
		longest = max(longest, p.GraceSeconds)
	}
	return min(pl.pool.Assume.PodEnd, time.Duration(min(longest, 1<<20))*time.Second)
}

// waiting is how long a pod that is waited for goes on. One that has run for so
// long is as likely as not to run for as long again, and ends with its deadline or
// when it is waited for no more.
func (pl *planner) waiting(j *job, u float64) time.Duration {
	most := pl.pool.Policy.JobWait
	if d := j.w.DeadlineAt; !d.IsZero() {
		most = min(most, max(0, d.Sub(pl.now)))
	}
	p := j.pods[0]
	if p.CreatedAt.IsZero() || !p.CreatedAt.Before(pl.now) {
		return most
	}
	age := float64(pl.now.Sub(p.CreatedAt))
	if rest := age * u / (1 - u); rest < float64(most) {
		return time.Duration(rest)
	}
	return most
}

// inSlots is how long n things take of which so many are done at once, each in
// its turn.
func inSlots(n, slots int, takes func() time.Duration) time.Duration {
	longest := time.Duration(0)
	if slots <= 1 {
		for range n {
			longest += takes()
		}
		return longest
	}
	var under running
	for range n {
		at := time.Duration(0)
		if len(under) == slots {
			f, _ := heap.Pop(&under).(finish)
			at = f.at
		}
		at += takes()
		longest = max(longest, at)
		if n > slots {
			heap.Push(&under, finish{at: at})
		}
	}
	return longest
}

// finish is when something that weighs so much will be done.
type finish struct {
	at     time.Duration
	weight int
}

// running is a heap of what is under way.
type running []finish

// Len implements heap.Interface.
func (r running) Len() int { return len(r) }

// Less implements heap.Interface.
func (r running) Less(i, j int) bool { return r[i].at < r[j].at }

// Swap implements heap.Interface.
func (r running) Swap(i, j int) { r[i], r[j] = r[j], r[i] }

// Push implements heap.Interface.
func (r *running) Push(x any) {
	f, _ := x.(finish)
	*r = append(*r, f)
}

// Pop implements heap.Interface.
func (r *running) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// up rounds a time up to whole seconds, and down rounds down.
func up(d time.Duration) float64   { return math.Ceil(d.Seconds()) }
func down(d time.Duration) float64 { return math.Floor(d.Seconds()) }
