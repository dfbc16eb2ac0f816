package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// StepKind is what a pool or a cluster needs next.
type StepKind string

// The steps of a pool. One is taken at a time; the world is looked at again
// before the next.
const (
	StepCreatePool   StepKind = "createPool"       // make Step.Pool, like the original
	StepAwaitNodes   StepKind = "awaitNodes"       // the pool's nodes are not yet what they must be; Reason says which
	StepFixSize      StepKind = "setAutoscaler"    // set the autoscaler of pool Target to Step.Autoscaler
	StepEvacuate     StepKind = "evacuate"         // move pods from the nodes of pool Target to those of pool Receiving
	StepSoak         StepKind = "soak"             // wait until Step.Until, healthy
	StepUpgradePool  StepKind = "upgradePool"      // raise pool Target in place to Version
	StepUpgradeImage StepKind = "upgradeNodeImage" // give pool Target the node image
	StepScalePool    StepKind = "scalePool"        // let pool Target have Count nodes
	StepDeleteNodes  StepKind = "deleteNodes"      // remove Nodes of pool Target with their machines
	StepReconcile    StepKind = "reconcile"        // resume the provider's failed operation on pool Target
	StepDeletePool   StepKind = "deletePool"       // remove pool Target
	StepRelease      StepKind = "release"          // undo what was done to the nodes of pool Target (cordons, taints)
	StepAwait        StepKind = "await"            // the provider is at work
	StepRefuse       StepKind = "refuse"           // cannot go on; Reason says why
	StepDone         StepKind = "done"
)

// Step is one thing to do to a pool.
type Step struct {
	Kind      StepKind
	Target    string     // pool name
	Receiving string     // for StepEvacuate
	Pool      fleet.Pool // for StepCreatePool
	// Nodes, for StepEvacuate, are those of Target to be emptied now, the others
	// being closed with them (nil for all); for StepDeleteNodes, those to remove.
	Nodes      []string
	Count      int // for StepScalePool
	Autoscaler *fleet.Autoscaler
	Version    fleet.Version
	Snapshot   string // node pool snapshot that pins the image; "" for the newest
	Until      time.Time
	Reason     string
	// PointOfNoReturn: after this step there is no way back by evacuation.
	PointOfNoReturn bool
}

// Tags that mark a pool that Liftlock made. The provider keeps them.
const (
	TagFor        = "liftlock-for"        // the pool it stands in for
	TagStem       = "liftlock-stem"       // the name that the line of stand-ins began with
	TagRole       = "liftlock-role"       // green or buffer
	TagRollout    = "liftlock-rollout"    // the rollout that made it
	TagNodes      = "liftlock-nodes"      // how many nodes the original had, on a stand-in that starts with fewer
	TagAutoscaler = "liftlock-autoscaler" // "min-max": the original's bounds before they were switched off
)

// The roles of a pool that Liftlock made.
const (
	RoleGreen  = "green"
	RoleBuffer = "buffer"
)

// PoolView is all that the next step of a pool depends on.
type PoolView struct {
	Name    string // the pool that is upgraded, by its name at the start
	Cluster fleet.Cluster
	Nodes   []fleet.Node // all nodes of the cluster
	// Emptied: an evacuation has found nothing left to move on this pool's nodes.
	Emptied func(pool string) bool
	// Batch picks the nodes of a pool to be emptied next, as far as what is free
	// on the receiving pool takes them; Vacant lists those of its nodes that are
	// empty, and all that moved from them is back.
	Batch  func(leaving, receiving string) []string
	Vacant func(pool string) []string
	// Stuck: no pod of that pool has got away for a while.
	Stuck func(pool string) bool
	// EmptiedAt is when the original was first found empty; zero when not yet, or forgotten.
	EmptiedAt time.Time
	Version   fleet.Version // to bring the pool to
	Image     string        // the node image to end on; "" for any
	Snapshot  string        // the snapshot that gives this image when it is not the newest; "" for none
	ImageOnly bool          // same Kubernetes version, other image
	Policy    fleet.NodePolicy
	Rollout   string
	Rollback  bool
	Now       time.Time
}

func (v *PoolView) original() *fleet.Pool { return v.Cluster.Pool(v.Name) }

// StandIn finds the pool that stands in for the named one, or nil.
func StandIn(c *fleet.Cluster, name string) *fleet.Pool {
	for i := range c.Pools {
		if strings.EqualFold(c.Pools[i].Tags[TagFor], name) && !strings.EqualFold(c.Pools[i].Name, name) {
			return &c.Pools[i]
		}
	}
	return nil
}

// NextPoolStep says what a pool needs now.
func NextPoolStep(v PoolView) Step {
	if v.Rollback {
		return rollbackStep(v)
	}
	original, standIn := v.original(), StandIn(&v.Cluster, v.Name)
	for _, p := range []*fleet.Pool{original, standIn} {
		if p == nil {
			continue
		}
		if !fleet.Settled(p.ProvisioningState) {
			return Step{Kind: StepAwait, Target: p.Name, Reason: fmt.Sprintf("pool %s is %s", p.Name, p.ProvisioningState)}
		}
	}
	if original == nil && standIn == nil {
		return Step{Kind: StepRefuse, Reason: fmt.Sprintf("pool %s and its stand-in are both gone; somebody deleted them", v.Name)}
	}
	if original != nil && standIn == nil && v.reached(original) {
		return v.settle(original)
	}
	switch v.Policy.Strategy {
	case fleet.InPlace:
		return v.inPlace(original, standIn)
	case fleet.Buffer:
		return v.buffer(original, standIn)
	case fleet.BlueGreen:
		return v.blueGreen(original, standIn)
	}
	return Step{Kind: StepRefuse, Reason: fmt.Sprintf("strategy %q is not known", v.Policy.Strategy)}
}

// reached reports whether the provider says that a pool is where it must be.
func (v *PoolView) reached(p *fleet.Pool) bool {
	return p.Version == v.Version && (v.Image == "" || strings.EqualFold(p.Image, v.Image))
}

// settle is the end of every recipe: the provider says that the pool has
// arrived, now its nodes must say so too, and nothing may be left on them.
func (v *PoolView) settle(p *fleet.Pool) Step {
	if s, wait := reconcileFailed(p); wait {
		return s
	}
	if why := v.nodesNotReady(p); why != "" {
		return Step{Kind: StepAwaitNodes, Target: p.Name, Reason: why}
	}
	if slices.ContainsFunc(v.nodesOf(p.Name), marked) {
		return Step{Kind: StepRelease, Target: p.Name, Reason: "our cordons and taints are not needed any more"}
	}
	return Step{Kind: StepDone, Target: p.Name, Reason: fmt.Sprintf("all %d nodes run %s", p.Count, v.Version)}
}

// reconcileFailed lets the provider resume what it failed at on a pool.
func reconcileFailed(p *fleet.Pool) (Step, bool) {
	if !strings.EqualFold(p.ProvisioningState, "Failed") {
		return Step{}, false
	}
	return Step{Kind: StepReconcile, Target: p.Name, Reason: fmt.Sprintf("pool %s ended Failed: %s", p.Name, p.ProvisioningError)}, true
}

func (v *PoolView) blueGreen(blue, green *fleet.Pool) Step {
	if green == nil {
		return v.createStandIn(blue, RoleGreen)
	}
	if s, wait := v.standInReady(green); wait {
		return s
	}
	if blue == nil {
		return v.settle(green)
	}
	if s, rolls := v.rollOver(blue, green); rolls {
		return s
	}
	if s, busy := v.empty(blue, green); busy {
		return s
	}
	if until := v.soakEnd(); v.Now.Before(until) {
		return Step{Kind: StepSoak, Target: green.Name, Until: until, Reason: fmt.Sprintf("pool %s holds all pods and soaks; pool %s is kept until then", green.Name, blue.Name)}
	}
	// While the old pool stands, its bounds can be read from the mark; so the
	// autoscaler moves over before the deletion, never after.
	if bounds := Bounds(green); bounds != nil && green.Autoscaler == nil {
		return Step{Kind: StepFixSize, Target: green.Name, Autoscaler: bounds, Reason: "the autoscaler takes over with the bounds of the pool that it replaces"}
	}
	return Step{Kind: StepDeletePool, Target: blue.Name, PointOfNoReturn: true, Reason: fmt.Sprintf("empty, and pool %s has taken over", green.Name)}
}

func (v *PoolView) buffer(original, buffer *fleet.Pool) Step {
	if original == nil {
		return Step{Kind: StepRefuse, Reason: fmt.Sprintf("pool %s is gone while its buffer %s stands; make it again, then retry", v.Name, buffer.Name)}
	}
	if !v.reached(original) {
		if buffer == nil {
			return v.createStandIn(original, RoleBuffer)
		}
		if s, wait := v.standInReady(buffer); wait {
			return s
		}
		// What failed may have been anything, so it is resumed before the pool is
		// judged: only an empty pool may be replaced.
		if s, wait := reconcileFailed(original); wait {
			return s
		}
		if s, busy := v.empty(original, buffer); busy {
			return s
		}
		if until := v.soakEnd(); v.Now.Before(until) {
			return Step{Kind: StepSoak, Target: buffer.Name, Until: until, Reason: fmt.Sprintf("pool %s holds all pods and soaks before pool %s is upgraded", buffer.Name, original.Name)}
		}
		return v.upgradeInPlace(original, "empty: its nodes can be replaced")
	}
	// The original has arrived; the pods move home.
	if why := v.nodesNotReady(original); why != "" {
		return Step{Kind: StepAwaitNodes, Target: original.Name, Reason: why}
	}
	if slices.ContainsFunc(v.nodesOf(original.Name), marked) {
		return Step{Kind: StepRelease, Target: original.Name, Reason: "upgraded: pods may come back"}
	}
	if bounds := Bounds(buffer); bounds != nil && original.Autoscaler == nil {
		return Step{Kind: StepFixSize, Target: original.Name, Autoscaler: bounds, Reason: "upgraded: its autoscaler takes over again"}
	}
	if s, busy := v.empty(buffer, original); busy {
		return s
	}
	return Step{Kind: StepDeletePool, Target: buffer.Name, Reason: "empty, its work is done"}
}

func (v *PoolView) inPlace(original, standIn *fleet.Pool) Step {
	if standIn != nil {
		return Step{Kind: StepRefuse, Reason: fmt.Sprintf("pool %s has the stand-in %s of another strategy; roll back first, or keep the strategy it was made for", v.Name, standIn.Name)}
	}
	if s, wait := reconcileFailed(original); wait {
		return s
	}
	return v.upgradeInPlace(original, "the provider replaces its nodes one surge at a time; budgets are all that it honours")
}

func (v *PoolView) upgradeInPlace(p *fleet.Pool, why string) Step {
	kind := StepUpgradePool
	if p.Version == v.Version {
		kind = StepUpgradeImage
	}
	return Step{Kind: kind, Target: p.Name, Version: v.Version, Snapshot: v.Snapshot, PointOfNoReturn: true, Reason: why}
}

// soakEnd is when the soak after the move is over. A forgotten beginning
// starts it anew: soaking too long is safe.
func (v *PoolView) soakEnd() time.Time {
	since := v.EmptiedAt
	if since.IsZero() {
		since = v.Now
	}
	return since.Add(v.Policy.Soak)
}

// createStandIn describes the pool that takes over (green) or bridges (buffer).
func (v *PoolView) createStandIn(like *fleet.Pool, role string) Step {
	if s, wait := reconcileFailed(like); wait {
		return s
	}
	name, err := StandInName(&v.Cluster, like)
	if err != nil {
		return Step{Kind: StepRefuse, Reason: err.Error()}
	}
	pool := *like
	pool.Name, pool.Version, pool.SnapshotID, pool.ETag = name, v.Version, v.Snapshot, ""
	pool.Tags = map[string]string{TagFor: like.Name, TagStem: Stem(like), TagRole: role, TagRollout: v.Rollout}
	for k, val := range like.Tags {
		if !strings.HasPrefix(k, "liftlock-") {
			pool.Tags[k] = val
		}
	}
	if a := like.Autoscaler; a != nil {
		pool.Tags[TagAutoscaler] = fmt.Sprintf("%d-%d", a.Min, a.Max)
	}
	// Its size is fixed while pods move, so that no autoscaler takes the spare
	// capacity away before it is used.
	pool.Autoscaler = nil
	reason := fmt.Sprintf("capacity first: %d nodes on %s to take the pods of pool %s", pool.Count, v.Version, like.Name)
	if extra := v.Policy.ExtraNodes.Of(like.Count); role == RoleGreen && extra > 0 && extra < like.Count {
		pool.Tags[TagNodes] = strconv.Itoa(like.Count)
		pool.Count = extra
		reason = fmt.Sprintf("capacity first: %d nodes on %s at a time to take the pods of the %d nodes of pool %s; the way back ends when the first of those is removed",
			extra, v.Version, like.Count, like.Name)
	}
	return Step{Kind: StepCreatePool, Target: name, Pool: pool, Version: v.Version, Snapshot: v.Snapshot, Reason: reason}
}

// standInReady says what a stand-in still lacks before pods may move to it.
func (v *PoolView) standInReady(p *fleet.Pool) (Step, bool) {
	if s, wait := reconcileFailed(p); wait {
		return s, true
	}
	if p.Version != v.Version {
		return Step{Kind: StepRefuse, Reason: fmt.Sprintf("pool %s stands in for %s but runs %s, not %s; it is of an earlier rollout: roll that back or delete the pool, then retry", p.Name, v.Name, p.Version, v.Version)}, true
	}
	if why := v.nodesNotReady(p); why != "" {
		return Step{Kind: StepAwaitNodes, Target: p.Name, Reason: why}, true
	}
	return Step{}, false
}

// empty moves the pods of one pool to another, after the autoscaler of the
// leaving pool is off.
func (v *PoolView) empty(leaving, receiving *fleet.Pool) (Step, bool) {
	if leaving.Autoscaler != nil {
		return Step{Kind: StepFixSize, Target: leaving.Name, Reason: "its autoscaler would answer the cordon with new nodes"}, true
	}
	if !v.Emptied(leaving.Name) {
		return Step{Kind: StepEvacuate, Target: leaving.Name, Receiving: receiving.Name, Reason: fmt.Sprintf("pods move from pool %s to pool %s", leaving.Name, receiving.Name)}, true
	}
	return Step{}, false
}

func rollbackStep(v PoolView) Step {
	original, standIn := v.original(), StandIn(&v.Cluster, v.Name)
	for _, p := range []*fleet.Pool{original, standIn} {
		if p != nil && !fleet.Settled(p.ProvisioningState) {
			return Step{Kind: StepAwait, Target: p.Name, Reason: fmt.Sprintf("pool %s is %s", p.Name, p.ProvisioningState)}
		}
	}
	if original == nil || standIn == nil && v.reached(original) || v.replaced(original) {
		return Step{Kind: StepRefuse, PointOfNoReturn: true, Reason: fmt.Sprintf("the old nodes of pool %s are gone: there is no way back by evacuation", v.Name)}
	}
	if whole, rolls := wholeSize(standIn); rolls && original.Count < whole {
		return Step{Kind: StepRefuse, PointOfNoReturn: true, Reason: fmt.Sprintf("%d of the %d old nodes of pool %s are removed: there is no way back by evacuation, go on with retry", whole-original.Count, whole, v.Name)}
	}
	if standIn == nil {
		if slices.ContainsFunc(v.nodesOf(original.Name), marked) {
			return Step{Kind: StepRelease, Target: original.Name, Reason: "rollback: pods may stay here"}
		}
		return Step{Kind: StepDone, Target: original.Name, Reason: "back on the old nodes"}
	}
	if v.reached(original) {
		return Step{Kind: StepRefuse, PointOfNoReturn: true, Reason: fmt.Sprintf("pool %s is upgraded already: there is no way back, go on with retry", v.Name)}
	}
	if slices.ContainsFunc(v.nodesOf(original.Name), marked) {
		return Step{Kind: StepRelease, Target: original.Name, Reason: "rollback: pods come back here"}
	}
	if s, busy := v.empty(standIn, original); busy {
		return s
	}
	if bounds := Bounds(standIn); bounds != nil && original.Autoscaler == nil {
		return Step{Kind: StepFixSize, Target: original.Name, Autoscaler: bounds, Reason: "rollback: its autoscaler takes over again"}
	}
	return Step{Kind: StepDeletePool, Target: standIn.Name, Reason: "rollback: empty, its work is done"}
}

// replaced reports whether nodes of the original are new already, though the
// provider does not say that the pool has arrived.
func (v *PoolView) replaced(original *fleet.Pool) bool {
	if v.reached(original) {
		return false // judged by the provider's word, and by whether a stand-in is left
	}
	return slices.ContainsFunc(v.nodesOf(original.Name), func(n fleet.Node) bool {
		if original.Version == v.Version {
			return v.Image != "" && strings.EqualFold(n.Image, v.Image)
		}
		return n.Version == v.Version
	})
}

// nodesNotReady says why the nodes of a pool are not what they must be, or "".
// Nodes are believed, the provider's word is not.
func (v *PoolView) nodesNotReady(p *fleet.Pool) string {
	nodes := v.nodesOf(p.Name)
	ready := 0
	for _, n := range nodes {
		switch {
		case n.Version != v.Version:
			return fmt.Sprintf("node %s runs %s, not %s", n.Name, n.Version, v.Version)
		case v.Image != "" && n.Image != "" && !strings.EqualFold(n.Image, v.Image):
			return fmt.Sprintf("node %s has image %s, not the proven %s", n.Name, n.Image, v.Image)
		case !n.Ready:
			return fmt.Sprintf("node %s is not Ready", n.Name)
		}
		ready++
	}
	if p.Autoscaler == nil && ready < p.Count {
		return fmt.Sprintf("pool %s has %d of %d nodes", p.Name, ready, p.Count)
	}
	if p.Autoscaler == nil && ready > p.Count {
		return fmt.Sprintf("pool %s has %d nodes instead of %d: surge nodes are left over", p.Name, ready, p.Count)
	}
	return ""
}

func (v *PoolView) nodesOf(pool string) []fleet.Node {
	var nodes []fleet.Node
	for _, n := range v.Nodes {
		if strings.EqualFold(n.Pool, pool) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// marked reports whether a cordon, a soft taint or a load-balancer label of ours
// is on a node.
func marked(n fleet.Node) bool {
	return n.Annotations[fleet.MarkCordoned] != "" || n.Labels[evacuate.ExcludeLBLabel] == evacuate.ExcludeLBValue ||
		slices.ContainsFunc(n.Taints, func(t fleet.Taint) bool { return t.Key == fleet.TaintLeaving })
}

// Bounds reads the autoscaler bounds of the original from its stand-in's mark;
// nil when the original had none.
func Bounds(standIn *fleet.Pool) *fleet.Autoscaler { return parseBounds(standIn.Tags[TagAutoscaler]) }

func parseBounds(s string) *fleet.Autoscaler {
	low, high, ok := strings.Cut(s, "-")
	if !ok {
		return nil
	}
	minimum, err1 := strconv.Atoi(low)
	maximum, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil {
		return nil
	}
	return &fleet.Autoscaler{Min: minimum, Max: maximum}
}

// The longest pool names that AKS takes (azure-rest-api-specs, AgentPool name).
const (
	maxPoolName        = 12
	maxWindowsPoolName = 6
)

// standInSuffixes are what the names of stand-ins end with, in turn.
var standInSuffixes = []string{"", "b", "c", "d", "e", "f", "g", "h", "j", "k", "m"}

// StandInName finds a free name for the pool that stands in for like: the stem
// of its name with the next suffix in turn. The name of the pool that like
// itself replaced is passed over: each would carry the other's name in its
// mark, and after a loss of the store nobody could tell which came first.
func StandInName(c *fleet.Cluster, like *fleet.Pool) (string, error) {
	limit := maxPoolName
	if strings.EqualFold(like.OS, "Windows") {
		limit = maxWindowsPoolName
	}
	stem := Stem(like)
	named := func(suffix string) string {
		return stem[:min(len(stem), limit-len(suffix))] + suffix
	}
	at := max(0, slices.IndexFunc(standInSuffixes, func(s string) bool { return named(s) == like.Name }))
	for i := range standInSuffixes {
		name := named(standInSuffixes[(at+1+i)%len(standInSuffixes)])
		if name != like.Name && name != like.Tags[TagFor] && c.Pool(name) == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("no free name of at most %d characters for a pool beside %s; rename or remove one of its neighbours", limit, like.Name)
}

// Stem is the name of the pool that the first of a line of stand-ins replaced.
func Stem(p *fleet.Pool) string {
	if stem := p.Tags[TagStem]; stem != "" {
		return stem
	}
	return p.Name
}
