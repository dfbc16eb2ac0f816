package evacuate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// PoolInput is all that the plan of a pool's evacuation is made from.
type PoolInput struct {
	// Snapshot is the cluster; its TakenAt is "now".
	Snapshot fleet.Snapshot
	Pool     string
	Strategy fleet.Strategy
	// ExtraNodes is how many nodes there may be at once beside the pool's own.
	// With 0 it is as many as the pool has, and for inPlace the surge that AKS
	// takes by default.
	ExtraNodes      int
	Policy          fleet.EvacuationPolicy
	Pace            fleet.Pace
	AcceptedOutages map[string]bool // as in Input
	Assume          Assumptions
}

// Assumptions are what a snapshot cannot tell.
type Assumptions struct {
	// NodeCreation is how long it takes until a new node, or one that is made
	// anew, can receive pods; NodeRemoval until one that was given up no longer
	// counts.
	NodeCreation time.Duration
	NodeRemoval  time.Duration
	// PodStart is for pods of which none like them was seen to start.
	PodStart time.Duration
	// PodEnd is the longest that a pod takes to end, if its grace period is longer.
	PodEnd time.Duration
	// Attach is for detaching a disk and attaching it elsewhere.
	Attach time.Duration
	// Look is the time between two looks at the cluster.
	Look time.Duration
	// EvictionsPerSecond is what the API server takes; 0 for no limit.
	EvictionsPerSecond float64
}

// UsualAssumptions are those of a plan that is told no other ones.
var UsualAssumptions = Assumptions{
	NodeCreation: 3 * time.Minute, NodeRemoval: time.Minute,
	PodStart: 30 * time.Second, PodEnd: 10 * time.Second, Attach: attachSeconds * time.Second, Look: time.Second,
}

// PoolPlan says how the evacuation of a pool would go.
type PoolPlan struct {
	Pool       string         `json:"pool"`
	Strategy   fleet.Strategy `json:"strategy"`
	TakenAt    time.Time      `json:"takenAt"` // when the snapshot was
	Nodes      int            `json:"nodes"`
	ExtraNodes int            `json:"extraNodes"`
	// Pods have to move. Each is in exactly one of Moves or in Blocked.
	Pods  int       `json:"pods"`
	Moves MoveCount `json:"moves"`
	// Waves are the nodes that are emptied together, in order.
	Waves    []Wave   `json:"waves"`
	Forecast Forecast `json:"forecastSeconds"`
	// BoundSeconds is what no order of the same moves can beat, and Binding what
	// sets it.
	BoundSeconds   float64 `json:"boundSeconds"`
	Binding        Binding `json:"binding"`
	MovesPerPod    float64 `json:"movesPerPod"`
	ExtraNodeHours float64 `json:"extraNodeHours"`
	// Blocked pods do not move before a person decides.
	Blocked []Stuck `json:"blocked"`
	// Refused are the pods counted as refused, with who refuses and what to do.
	Refused []Stuck `json:"refused"`
	// Terminating pods are on their way out already, and not among Pods.
	Terminating int             `json:"terminating"`
	Terms       []Limit         `json:"terms"`
	Findings    []fleet.Finding `json:"findings"`
}

// MoveCount counts pods by how they move.
type MoveCount struct {
	Roll    int `json:"roll"`
	Surge   int `json:"surge"`
	Evict   int `json:"evict"`
	Ordered int `json:"ordered"`
	Wait    int `json:"wait"`
	Refuse  int `json:"refuse"`
}

// Wave is what moves together.
type Wave struct {
	Wave   int  `json:"wave"`
	Canary bool `json:"canary,omitempty"` // emptied alone, and looked at, before anything else moves
	// Home: the pods move back to their own nodes, which are new by then.
	Home  bool     `json:"home,omitempty"`
	Nodes []string `json:"nodes"`
	Pods  int      `json:"pods"`
	// StartSeconds and Seconds are those of the middle forecast.
	StartSeconds float64 `json:"startSeconds"`
	Seconds      float64 `json:"seconds"`
}

// Forecast is how long it takes, in one of two and in nine of ten cases.
type Forecast struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
}

// Binding is what sets a bound.
type Binding struct {
	Term   Term   `json:"term"`
	Object string `json:"object"`
}

// Stuck is a pod that does not move, who is in the way, and what can be done.
type Stuck struct {
	Pod    string `json:"pod"`
	By     string `json:"by"`
	Remedy string `json:"remedy"`
}

// PlanPool says how the evacuation of a pool would go: which way every pod moves,
// in which waves, how long it takes, what it cannot beat, and what is blocked. It
// chooses the moves as Next does. A pool without nodes gets an empty plan.
func PlanPool(in PoolInput) PoolPlan {
	pl := newPlanner(in)
	if in.Strategy == fleet.InPlace {
		pl.planInPlace()
	} else {
		pl.planEvacuation()
	}
	pl.forecast()
	pl.limit()
	pl.remark()
	pl.out.Findings = sortFindings(pl.pass.Findings)
	if pl.out.Findings == nil {
		pl.out.Findings = []fleet.Finding{}
	}
	pl.out.Pods = pl.movable() + pl.out.Moves.Wait + pl.out.Moves.Refuse + len(pl.out.Blocked)
	byPod := func(a, b Stuck) int { return cmp.Compare(a.Pod, b.Pod) }
	slices.SortStableFunc(pl.out.Blocked, byPod)
	slices.SortStableFunc(pl.out.Refused, byPod)
	return pl.out
}

// planner makes one plan.
type planner struct {
	*turn
	pool PoolInput
	out  PoolPlan
	// mine are the pool's nodes, sorted, and onNode the pods that have to leave each.
	mine   []*fleet.Node
	onNode map[string][]*pod
	groups []group
	starts starts
	// homes are the nodes that pods may move to; homeless says why kinds of pods
	// find none among them.
	homes    []*roomNode
	homeless map[podKind]string
	chosen   map[*pod]bool // those that have their move
	// again counts restarts beyond one of each pod that has to move.
	again int
}

// group is a part of the pool that is emptied before the next one is begun.
type group struct {
	nodes []*fleet.Node
	waves []wave
}

// wave is a wave in the making.
type wave struct {
	nodes  []string
	canary bool
	jobs   []*job
}

// newPlanner indexes the input.
func newPlanner(in PoolInput) *planner {
	pl := &planner{pool: in, onNode: map[string][]*pod{}, homeless: map[podKind]string{}, chosen: map[*pod]bool{}}
	var leaving []string
	for i := range in.Snapshot.Nodes {
		if n := &in.Snapshot.Nodes[i]; n.Pool == in.Pool {
			pl.mine = append(pl.mine, n)
			leaving = append(leaving, n.Name)
		}
	}
	slices.SortFunc(pl.mine, func(a, b *fleet.Node) int { return cmp.Compare(a.Name, b.Name) })
	pl.turn = newTurn(Input{
		Snapshot: in.Snapshot, Leaving: leaving, Rollout: "plan",
		Policy: in.Policy, Pace: in.Pace, AcceptedOutages: in.AcceptedOutages,
	})
	pl.out = PoolPlan{
		Pool: in.Pool, Strategy: in.Strategy, TakenAt: in.Snapshot.TakenAt, Nodes: len(pl.mine),
		Waves: []Wave{}, Blocked: []Stuck{}, Refused: []Stuck{}, Terms: []Limit{},
	}
	for _, p := range pl.moving {
		if p.gone {
			pl.out.Terminating++
			continue
		}
		pl.onNode[p.Node] = append(pl.onNode[p.Node], p)
	}
	pl.starts = pl.observe()
	pl.out.ExtraNodes = in.ExtraNodes
	switch {
	case in.Strategy == fleet.InPlace && in.ExtraNodes < 1:
		pl.out.ExtraNodes = pl.providerSurge()
	case in.ExtraNodes < 1 || in.ExtraNodes > len(pl.mine):
		pl.out.ExtraNodes = len(pl.mine)
	}
	pl.findHomes()
	return pl
}

// providerSurge is the surge that AKS takes where a pool names none: 10 %,
// rounded up.
func (pl *planner) providerSurge() int { return (len(pl.mine) + 9) / 10 }

// movable counts the pods that move.
func (pl *planner) movable() int {
	m := pl.out.Moves
	return m.Roll + m.Surge + m.Evict + m.Ordered
}

// planEvacuation chooses the move of every pod, one group of nodes after the other.
func (pl *planner) planEvacuation() {
	pl.groups = pl.split(true)
	var room fleet.Resources
	for i := range pl.groups {
		g := &pl.groups[i]
		nodes, touched := map[string]bool{}, map[string]*workload{}
		whole := wave{}
		for _, n := range g.nodes {
			nodes[n.Name] = true
			whole.nodes = append(whole.nodes, n.Name)
			room.MilliCPU += n.Allocatable.MilliCPU
			room.Memory += n.Allocatable.Memory
			for _, p := range pl.onNode[n.Name] {
				switch {
				case pl.chosen[p]:
				case p.owner == nil:
					whole.jobs = append(whole.jobs, pl.planBare(p)...)
				default:
					touched[p.owner.key] = p.owner
				}
			}
		}
		for _, key := range sortedKeys(touched) {
			whole.jobs = append(whole.jobs, pl.planWorkload(touched[key], nodes, &room)...)
		}
		slices.SortStableFunc(whole.jobs, func(a, b *job) int { return cmp.Compare(b.long, a.long) })
		g.waves = []wave{whole}
		if i == 0 {
			g.waves = pl.withCanary(whole)
		}
	}
}

// planBare settles a pod without a controller.
func (pl *planner) planBare(p *pod) []*job {
	r, findings := pl.refuse(p)
	pl.pass.Findings = append(pl.pass.Findings, findings...)
	move := cmp.Or(r.move, MoveEvict)
	pl.settle(p, move, r.reason, findings)
	if move != MoveEvict {
		return nil
	}
	return []*job{{object: p.object(), move: MoveEvict, pods: []*pod{p}, slots: 1, weight: 1}}
}

// planWorkload settles the pods of a workload on some of the pool's nodes. room is
// what is free on the nodes that were made so far.
func (pl *planner) planWorkload(w *workload, nodes map[string]bool, room *fleet.Resources) []*job {
	w.leave, w.stay = nil, nil
	for _, p := range w.pods {
		switch {
		case p.gone:
		case p.leaving && nodes[p.Node] && !pl.chosen[p]:
			w.leave = append(w.leave, p)
		default:
			w.stay = append(w.stay, p)
		}
	}
	if len(w.leave) == 0 || w.Kind == fleet.DaemonSet {
		return nil
	}
	p := pl.choose(w)
	pl.pass.Findings = append(pl.pass.Findings, p.findings...)
	var jobs []*job
	var movers []*pod
	for _, q := range w.leave {
		r, ok := p.refused[q]
		move, reason := p.move, p.reason
		if ok {
			move, reason = r.move, r.reason
		}
		if ok && r.evict {
			move = MoveEvict
		}
		findings := p.findings
		if ok {
			_, findings = pl.refuse(q)
		}
		switch move = pl.settle(q, move, reason, findings); {
		case move == MoveWait:
			jobs = append(jobs, &job{object: w.key, w: w, move: MoveWait, pods: []*pod{q}})
		case move == MoveEvict && ok:
			jobs = append(jobs, &job{object: w.key, move: MoveEvict, pods: []*pod{q}, slots: 1, weight: 1})
		case move != MoveBlocked && move != MoveRefuse:
			movers = append(movers, q)
			pl.occupy(room, q)
		}
	}
	if len(movers) == 0 {
		return jobs
	}
	if p.move == MoveRoll {
		// A restart takes all pods along, also those whose turn would come later.
		for _, q := range w.stay {
			if !q.leaving || pl.chosen[q] {
				pl.again++
				continue
			}
			if pl.settle(q, MoveRoll, p.reason, p.findings) == MoveRoll {
				movers = append(movers, q)
				if !pl.occupy(room, q) {
					pl.again++ // it may come up on an old node, and moves once more
				}
			}
		}
	}
	return append(jobs, pl.newJob(w, p, movers))
}

// occupy takes a pod's requests off the room, and reports whether they fit.
func (pl *planner) occupy(room *fleet.Resources, p *pod) bool {
	room.MilliCPU -= p.Requests.MilliCPU
	room.Memory -= p.Requests.Memory
	return room.MilliCPU >= 0 && room.Memory >= 0
}

// settle counts a pod by its move, once, and returns that: a pod that no node
// would take is blocked.
func (pl *planner) settle(p *pod, move Move, reason string, findings []fleet.Finding) Move {
	pl.chosen[p] = true
	switch move {
	case MoveRoll, MoveSurge, MoveEvict, MoveOrdered:
		if why := pl.nowhere(p); why != "" {
			f := noNode(p, why)
			pl.pass.Findings = append(pl.pass.Findings, f)
			pl.block(p, why, f.Remedy)
			return MoveBlocked
		}
	case MoveWait, MoveRefuse, MoveBlocked, MoveDone:
	}
	switch move {
	case MoveRoll:
		pl.out.Moves.Roll++
	case MoveSurge:
		pl.out.Moves.Surge++
	case MoveEvict:
		pl.out.Moves.Evict++
	case MoveOrdered:
		pl.out.Moves.Ordered++
	case MoveWait, MoveDone:
		pl.out.Moves.Wait++
		return MoveWait
	case MoveRefuse:
		pl.out.Moves.Refuse++
		pl.out.Refused = append(pl.out.Refused, Stuck{Pod: p.key, By: reason, Remedy: remedyOf(findings)})
	case MoveBlocked:
		pl.block(p, reason, remedyOf(findings))
	}
	return move
}

// block notes a pod that does not move.
func (pl *planner) block(p *pod, by, remedy string) {
	for _, b := range p.budgets {
		if numbers := b.String(); !strings.Contains(by, numbers) {
			by += "; " + numbers
		}
	}
	pl.out.Blocked = append(pl.out.Blocked, Stuck{Pod: p.key, By: by, Remedy: remedy})
}

// remedyOf is what the gravest finding says can be done.
func remedyOf(findings []fleet.Finding) string {
	best := ""
	rank := 4
	for _, f := range findings {
		if r := severityRank(f.Severity); r < rank && f.Remedy != "" {
			best, rank = f.Remedy, r
		}
	}
	return cmp.Or(best, "wait until it is gone, or let its owner move it")
}

// withCanary takes what is on the canary nodes out of a wave.
func (pl *planner) withCanary(whole wave) []wave {
	n := min(pl.pool.Pace.CanaryNodes, len(whole.nodes)-1)
	if n < 1 {
		return []wave{whole}
	}
	here := set(whole.nodes) // a restart takes pods from elsewhere along
	count := map[string]int{}
	for _, j := range whole.jobs {
		if j.move == MoveWait {
			continue
		}
		for _, p := range j.pods {
			if here[p.Node] {
				count[p.Node]++
			}
		}
	}
	names := sortedKeys(count)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(count[a], count[b]) })
	canary := wave{nodes: names[:min(n, len(names))], canary: true}
	if len(canary.nodes) == 0 {
		return []wave{whole}
	}
	slices.Sort(canary.nodes)
	on := set(canary.nodes)
	rest := wave{nodes: slices.DeleteFunc(whole.nodes, func(name string) bool { return on[name] })}
	for _, j := range whole.jobs {
		first, later := j.cut(on)
		if first != nil {
			canary.jobs = append(canary.jobs, first)
		}
		if later != nil {
			rest.jobs = append(rest.jobs, later)
		}
	}
	return []wave{canary, rest}
}

// zoneBound reports whether a node has pods whose volumes keep them in its zone.
func (pl *planner) zoneBound(name string) bool {
	return slices.ContainsFunc(pl.onNode[name], func(p *pod) bool {
		_, bound := pl.zones(p)
		return bound
	})
}

// remark adds what is to be said beyond single pods.
func (pl *planner) remark() {
	for _, b := range pl.budgets {
		pods, all := 0, len(b.selected) > 1 && b.Selector == "" && !b.SelectsNothing
		for _, n := range b.selected {
			pods += n
		}
		if all && b.unreadable == "" {
			pl.pass.Findings = append(pl.pass.Findings, fleet.Finding{
				ID: "budget-selects-all", Severity: fleet.Warning, Object: "PodDisruptionBudget/" + b.Key(),
				What:   fmt.Sprintf("budget %s selects every pod of its namespace: %d pods of %d workloads share what it allows", b.Key(), pods, len(b.selected)),
				Remedy: "give each workload a budget of its own, with a selector that selects it alone",
			})
		}
	}
	if pl.pool.Strategy == fleet.InPlace || pl.out.ExtraNodes >= len(pl.mine) {
		return
	}
	zones, bound := map[string]bool{}, map[string]bool{}
	for _, n := range pl.mine {
		zones[n.Zone] = true
		if pl.zoneBound(n.Name) {
			bound[n.Zone] = true
		}
	}
	if len(bound) > 0 && pl.out.ExtraNodes < len(zones) {
		pl.pass.Findings = append(pl.pass.Findings, fleet.Finding{
			ID: "pool-extra-nodes-too-few", Severity: fleet.Warning, Object: "Pool/" + pl.pool.Pool,
			What:   fmt.Sprintf("%d extra nodes for %d zones: pods with volumes in zones %s wait until an extra node comes up there", pl.out.ExtraNodes, len(zones), strings.Join(sortedKeys(bound), ", ")),
			Why:    "the provider chooses the zone of a new node",
			Remedy: fmt.Sprintf("allow a multiple of %d extra nodes", len(zones)),
		})
	}
}
