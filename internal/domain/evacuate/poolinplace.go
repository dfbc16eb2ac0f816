package evacuate

import (
	"math"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// planInPlace says what the provider's own surge upgrade does: it drains as many
// nodes at once as it has extra ones, in an order of its own, and honours nothing
// but budgets. What would need an owner's word is blocked until that is given.
func (pl *planner) planInPlace() {
	against := map[string]fleet.Finding{}
	for _, f := range PreviewInPlace(pl.in) {
		if f.Severity == fleet.Blocker && !pl.in.accepted(f.ID, f.Object) {
			if _, ok := against[f.Object]; !ok {
				against[f.Object] = f
			}
		}
		pl.pass.Findings = append(pl.pass.Findings, f)
	}
	surge := max(1, pl.out.ExtraNodes)
	for from := 0; from < len(pl.mine); from += surge {
		g := group{nodes: pl.mine[from:min(from+surge, len(pl.mine))]}
		w := wave{}
		of := map[*workload]*job{}
		for _, n := range g.nodes {
			w.nodes = append(w.nodes, n.Name)
			for _, p := range pl.onNode[n.Name] {
				pl.drain(p, against, &w, of)
			}
		}
		for _, j := range of {
			j.starting = len(j.pods)
			j.weight = 1
		}
		g.waves = []wave{w}
		pl.groups = append(pl.groups, g)
	}
}

// drain settles one pod that the provider evicts.
func (pl *planner) drain(p *pod, against map[string]fleet.Finding, w *wave, of map[*workload]*job) {
	f, stuck := against[p.object()]
	slots := math.MaxInt32
	for _, b := range p.budgets {
		if blocks, ok := against["PodDisruptionBudget/"+b.Key()]; ok {
			f, stuck = blocks, true
		}
		slots = min(slots, b.allowsAt(0))
	}
	switch {
	case stuck:
	case len(p.budgets) > 1:
		f, stuck = fleet.Finding{
			ID: "budget-overlap", Severity: fleet.Blocker, Object: p.object(),
			What:   p.object() + " is selected by several budgets (" + budgetNames(p.budgets) + "), and the eviction API refuses such pods always",
			Remedy: "merge them into one budget, or use strategy blueGreen for this pool",
		}, true
	case slots < 1:
		f, stuck = fleet.Finding{
			ID: "budget-blocks-provider", Severity: fleet.Blocker, Object: "PodDisruptionBudget/" + p.budgets[0].Key(),
			What:   p.budgets[0].String() + " allows no eviction: the provider refuses the upgrade, or its drain fails",
			Remedy: "use strategy blueGreen for this pool, relax the budget, or run one more replica",
		}, true
	}
	if stuck {
		pl.chosen[p] = true
		pl.pass.Findings = append(pl.pass.Findings, f)
		pl.block(p, f.What, f.Remedy)
		return
	}
	if pl.settle(p, MoveEvict, "the provider's drain evicts it", nil) != MoveEvict {
		return
	}
	if p.owner == nil {
		w.jobs = append(w.jobs, &job{object: p.object(), move: MoveEvict, pods: []*pod{p}, slots: 1, weight: 1})
		return
	}
	j := of[p.owner]
	if j == nil {
		j = pl.newJob(p.owner, plan{move: MoveEvict}, nil)
		j.slots = slots
		j.sharing = ""
		of[p.owner] = j
		w.jobs = append(w.jobs, j)
	}
	j.pods = append(j.pods, p)
	j.slots = min(j.slots, slots)
}

// movesInPlace is how often a pod moves on average: what leaves the nodes of one
// batch lands evenly on all the others, also on those whose turn comes later.
func (pl *planner) movesInPlace() float64 {
	n := len(pl.mine)
	if n == 0 {
		return 0
	}
	surge := max(1, pl.out.ExtraNodes)
	load, moved := 1.0, 0.0 // of a node that was not yet drained, in its own first load
	for done := 0; done < n; done += surge {
		batch := min(surge, n-done)
		moved += load * float64(batch)
		load *= 1 + float64(batch)/float64(n)
	}
	return moved / float64(n)
}

// limitInPlace is what the provider's upgrade takes at the least.
func (pl *planner) limitInPlace(terms bounds) {
	if len(pl.mine) == 0 {
		return
	}
	again := pl.pool.Assume.NodeCreation
	surge := max(1, pl.out.ExtraNodes)
	terms.add(TermSlots, "Pool/"+pl.pool.Pool, time.Duration(rounds(len(pl.mine), surge))*again)
	total := map[*workload]int{}
	slots := map[*workload]int{}
	for i := range pl.groups {
		onNode := map[string]map[*workload]int{}
		for _, j := range pl.groups[i].waves[0].jobs {
			if j.w == nil {
				continue
			}
			slots[j.w] = j.slots
			for _, p := range j.pods {
				if !pl.available(p) {
					continue
				}
				total[j.w]++
				if onNode[p.Node] == nil {
					onNode[p.Node] = map[*workload]int{}
				}
				onNode[p.Node][j.w]++
			}
		}
		for _, name := range sortedKeys(onNode) {
			longest := time.Duration(0)
			for w, n := range onNode[name] {
				longest = max(longest, time.Duration(rounds(n, slots[w])-1)*pl.starts.quickest(w))
			}
			terms.add(TermNode, "Node/"+name, longest+again)
		}
	}
	for _, key := range sortedKeys(pl.workloads) {
		w := pl.workloads[key]
		if total[w] == 0 || slots[w] >= math.MaxInt32 {
			continue
		}
		l := least{once: pl.starts.quickest(w), usual: pl.starts.average(w)}
		var names []string
		for _, b := range w.budgets {
			names = append(names, b.Key())
		}
		terms.add(TermBudget, "PodDisruptionBudget/"+strings.Join(names, ","), l.inTurns(total[w], slots[w]))
	}
}
