package evacuate

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// toyKube is a Kubernetes in one process and in slow motion: one tick is one
// second. Its controllers follow the real ones where an evacuation could tell
// the difference, run in an order shuffled by seed, and after each of them the
// availability of every workload is checked.
type toyKube struct {
	t         *testing.T
	rng       *rand.Rand
	start     time.Time
	now       time.Time
	nodes     []*fleet.Node
	pods      []*toyPod
	workloads []*toyWorkload
	budgets   []*toyBudget
	claims    map[string]*toyClaim
	serial    int
	// floor is what no workload may fall below: the lower of what it requires
	// and what was Ready at the start.
	floor map[string]int
	// lag is the chance in percent that a controller misses a tick.
	lag int
	// down names the workloads whose outage was accepted.
	down map[string]bool
	// onLeaving counts the pods of workloads that have to move.
	onLeaving map[string]int
	// refusals counts evictions that the API refused.
	refusals  int
	evicted   int
	balancers []*toyBalancer
	// pullTakes is how many seconds an image takes to be pulled, negative for one
	// that is not to be had; pulling is when it is there, by node and image.
	pullTakes map[string]int
	pulling   map[string]time.Time
	slowest   time.Duration // from a pod's binding to its being Ready
	// refuse, when set, makes the API refuse an action with a message.
	refuse func(Action) string
}

type toyPod struct {
	fleet.Pod
	w        *toyWorkload
	rev      int
	readyIn  int // seconds after it was bound
	boundAt  time.Time
	endsAt   time.Time // a terminating pod's end
	finishAt time.Time // a Job's
	made     bool      // after the evacuation began
}

type toyWorkload struct {
	fleet.Workload
	rev      int
	sets     map[int]int // revision → wanted, for Deployments
	template toyTemplate
	token    string
	load     int32  // what its autoscaler would want
	runs     int    // seconds that a Job's pod runs
	breaks   bool   // pods of new revisions never become Ready
	onlyOn   string // a DaemonSet's pool; "" for all
	replaced int    // pods made since the evacuation began
}

type toyTemplate struct {
	labels       map[string]string
	annotations  map[string]string
	requests     fleet.Resources
	selector     map[string]string
	localData    []string
	volume       bool // one claim per ordinal (StatefulSet) or one for all (Deployment)
	image        string
	secret       string
	antiAffinity bool // not two on one node
	spread       bool // maxSkew 1 over zones
	tolerates    string
	start        [2]int // seconds to become Ready, from and to
	stop         [2]int // seconds to end
}

type toyBudget struct {
	fleet.Budget
	disrupted map[string]bool
}

type toyClaim struct {
	fleet.Claim
	attached string
	readyAt  time.Time
}

func newToyKube(t *testing.T, seed uint64) *toyKube {
	at := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	return &toyKube{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), start: at, now: at,
		claims: map[string]*toyClaim{}, down: map[string]bool{},
	}
}

func (k *toyKube) between(r [2]int) int {
	if r[1] <= r[0] {
		return r[0]
	}
	return r[0] + k.rng.IntN(r[1]-r[0]+1)
}

func (k *toyKube) uid() string {
	k.serial++
	return fmt.Sprintf("uid-%04d", k.serial)
}

// addNodes adds n nodes prefix-0 … in zones 1 to 3.
func (k *toyKube) addNodes(prefix string, n int) []string {
	var names []string
	for i := range n {
		name := fmt.Sprintf("%s-%d", prefix, i)
		zone := strconv.Itoa(i%3 + 1)
		k.nodes = append(k.nodes, &fleet.Node{
			Name: name, UID: k.uid(), Pool: prefix, Zone: zone, Ready: true,
			Labels:      map[string]string{"zone": zone, "kubernetes.io/os": "linux"},
			Annotations: map[string]string{},
			Allocatable: fleet.Resources{MilliCPU: 4000, Memory: 16 << 30, Pods: 60},
			CreatedAt:   k.now,
		})
		names = append(names, name)
	}
	return names
}

func (k *toyKube) node(name string) *fleet.Node {
	for _, n := range k.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// add adds a workload; its pods appear when the cluster ticks.
func (k *toyKube) add(w fleet.Workload, tpl toyTemplate) *toyWorkload {
	w.Namespace = cmp.Or(w.Namespace, "shop")
	w.UID = k.uid()
	w.Annotations = map[string]string{}
	w.Settled = true
	if tpl.labels == nil {
		tpl.labels = map[string]string{"app": w.Name}
	}
	if tpl.requests == (fleet.Resources{}) {
		tpl.requests = fleet.Resources{MilliCPU: 100, Memory: 128 << 20}
	}
	if tpl.start == [2]int{} {
		tpl.start = [2]int{3, 8}
	}
	if tpl.stop == [2]int{} {
		tpl.stop = [2]int{1, 4}
	}
	if w.Kind == fleet.Deployment && w.Strategy == "" {
		w.Strategy = "RollingUpdate"
	}
	if w.Kind == fleet.Deployment && w.Strategy == "RollingUpdate" {
		w.MaxSurge = cmp.Or(w.MaxSurge, amountOf("25%"))
		w.MaxUnavailable = cmp.Or(w.MaxUnavailable, amountOf("25%"))
	}
	if w.Kind == fleet.StatefulSet {
		w.Strategy = cmp.Or(w.Strategy, "RollingUpdate")
		w.PodManagement = cmp.Or(w.PodManagement, "OrderedReady")
	}
	tw := &toyWorkload{Workload: w, rev: 1, sets: map[int]int{}, template: tpl, load: w.Replicas}
	k.workloads = append(k.workloads, tw)
	return tw
}

func amountOf(s string) *intstr.IntOrString {
	v := intstr.Parse(s)
	return &v
}

// budget adds a budget over the pods of an app.
func (k *toyKube) budget(name, selector string, minAvailable, maxUnavailable string) *toyBudget {
	b := &toyBudget{Budget: fleet.Budget{Namespace: "shop", Name: name, Selector: selector}, disrupted: map[string]bool{}}
	if minAvailable != "" {
		b.MinAvailable = amountOf(minAvailable)
	}
	if maxUnavailable != "" {
		b.MaxUnavailable = amountOf(maxUnavailable)
	}
	k.budgets = append(k.budgets, b)
	return b
}

// bare adds a pod without controller on a node.
func (k *toyKube) bare(name, node string) *toyPod {
	p := &toyPod{Pod: fleet.Pod{
		Namespace: "shop", Name: name, UID: k.uid(), Node: node, Phase: "Running", Ready: true,
		Labels: map[string]string{"app": name}, CreatedAt: k.now, Annotations: map[string]string{},
	}}
	k.pods = append(k.pods, p)
	return p
}

// settle runs the cluster until nothing changes, then fixes what no workload
// may fall below.
func (k *toyKube) settle() {
	k.t.Helper()
	for range 600 {
		k.tick()
		if k.quiet() {
			break
		}
	}
	if !k.quiet() {
		k.t.Fatalf("the cluster does not settle before the test begins:\n%s", k.describe())
	}
	for range 3 {
		k.tick() // statuses settle too
	}
	required := Requirements(k.snapshot())
	k.floor = map[string]int{}
	for _, w := range k.workloads {
		k.floor[w.Key()] = min(required[w.Key()], k.ready(w))
		w.replaced = 0
	}
	for _, b := range k.budgets {
		k.floor["budget "+b.Name] = int(min(b.DesiredHealthy, b.CurrentHealthy))
	}
	k.start = k.now
	k.count(func(*toyPod) bool { return true })
}

// count remembers how many pods of each workload have to move, and starts
// counting what is made anew.
func (k *toyKube) count(moves func(*toyPod) bool) {
	k.onLeaving = map[string]int{}
	for _, w := range k.workloads {
		w.replaced = 0
		for _, p := range k.active(w) {
			p.made = false
			if moves(p) {
				k.onLeaving[w.Key()]++
			}
		}
	}
}

func (k *toyKube) quiet() bool {
	for _, w := range k.workloads {
		if w.Kind != fleet.Job && w.Kind != fleet.DaemonSet && (k.ready(w) != int(w.Replicas) || len(k.active(w)) != int(w.Replicas)) {
			return false
		}
	}
	for _, p := range k.pods {
		if !p.DeletedAt.IsZero() || !p.Ready && !p.Finished() {
			return false
		}
	}
	return true
}

func (k *toyKube) active(w *toyWorkload) []*toyPod {
	var out []*toyPod
	for _, p := range k.pods {
		if p.w == w && p.DeletedAt.IsZero() && !p.Finished() {
			out = append(out, p)
		}
	}
	return out
}

func (k *toyKube) ready(w *toyWorkload) int {
	n := 0
	for _, p := range k.active(w) {
		if p.Ready {
			n++
		}
	}
	return n
}

// check holds every workload to its floor.
func (k *toyKube) check(after string) {
	k.t.Helper()
	if k.floor == nil {
		return
	}
	for _, b := range k.budgets {
		healthy := 0
		sel, err := labels.Parse(b.Selector)
		if err != nil {
			k.t.Fatal(err)
		}
		exempt := false
		for _, w := range k.workloads { // accepted, or one that ends by itself
			exempt = exempt || sel.Matches(labels.Set(w.template.labels)) && (k.down[w.Key()] || w.Kind == fleet.Job)
		}
		for _, p := range k.pods {
			if p.w == nil || p.Namespace != b.Namespace || !sel.Matches(labels.Set(p.Labels)) {
				continue
			}
			if p.Ready && p.DeletedAt.IsZero() {
				healthy++
			}
		}
		if floor := k.floor["budget "+b.Name]; healthy < floor && !exempt {
			k.t.Fatalf("%s after %s: budget %s has %d healthy pods and must keep %d\n%s", k.now.Sub(k.start), after, b.Name, healthy, floor, k.describe())
		}
	}
	for _, w := range k.workloads {
		floor, ok := k.floor[w.Key()]
		if !ok || k.down[w.Key()] {
			continue
		}
		if ready := k.ready(w); ready < floor {
			k.t.Fatalf("%s after %s: %s has %d Ready pods and must keep %d\n%s",
				k.now.Sub(k.start), after, w.Key(), ready, floor, k.describe())
		}
	}
}

// tick lets a second pass.
func (k *toyKube) tick() {
	k.t.Helper()
	k.now = k.now.Add(time.Second)
	type controller struct {
		name string
		run  func()
	}
	controllers := []controller{
		{"deployments", k.deployments},
		{"statefulsets", k.statefulSets},
		{"jobs", k.jobs},
		{"daemonsets", k.daemonSets},
		{"autoscaler", k.autoscale},
		{"budgets", k.disruption},
		{"scheduler", k.schedule},
		{"kubelets", k.kubelets},
		{"replicasets", k.replicaSets},
		{"others", k.others},
	}
	k.rng.Shuffle(len(controllers), func(i, j int) { controllers[i], controllers[j] = controllers[j], controllers[i] })
	for _, c := range controllers {
		if k.lag > 0 && k.rng.IntN(100) < k.lag {
			continue // its watch is behind
		}
		c.run()
		k.check(c.name)
	}
	k.send()
}

func (k *toyKube) newPod(w *toyWorkload, name string, rev int) *toyPod {
	p := &toyPod{
		Pod: fleet.Pod{
			Namespace: w.Namespace, Name: name, UID: k.uid(), Workload: w.Key(), Phase: "Pending",
			Labels: w.template.labels, Annotations: maps.Clone(w.template.annotations), CreatedAt: k.now, GraceSeconds: 30,
			LocalData: w.template.localData, NodeSelector: w.template.selector,
			Requests: w.template.requests, Revision: strconv.Itoa(rev), Images: w.template.images(), PullSecrets: w.template.secrets(),
		},
		w: w, rev: rev, readyIn: k.between(w.template.start), made: k.floor != nil,
	}
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	if w.token != "" {
		p.Annotations[fleet.MarkRestarted] = w.token
	}
	if k.floor != nil {
		w.replaced++
	}
	if w.template.volume {
		claim := "data-" + w.Name
		if w.Kind == fleet.StatefulSet {
			claim = "data-" + name
		}
		p.Claims = []string{claim}
		if k.claims[w.Namespace+"/"+claim] == nil {
			k.claims[w.Namespace+"/"+claim] = &toyClaim{Claim: fleet.Claim{
				Namespace: w.Namespace, Name: claim, Volume: "pv-" + claim, ReadWriteOnce: true,
			}}
		}
	}
	k.pods = append(k.pods, p)
	return p
}

func (k *toyKube) remove(p *toyPod) {
	if !p.DeletedAt.IsZero() {
		return
	}
	if p.Node == "" {
		k.pods = slices.DeleteFunc(k.pods, func(q *toyPod) bool { return q == p })
		return
	}
	p.DeletedAt = k.now.Add(time.Duration(p.GraceSeconds) * time.Second)
	stop := [2]int{1, 4}
	if p.w != nil {
		stop = p.w.template.stop
	}
	p.endsAt = k.now.Add(time.Duration(k.between(stop)) * time.Second)
}

// deployments follows pkg/controller/deployment: rolling.go, recreate.go.
func (k *toyKube) deployments() {
	for _, w := range k.workloads {
		if w.Kind != fleet.Deployment {
			continue
		}
		w.Settled = true
		available := map[int]int{}
		pods := map[int]int{}
		total := 0
		for _, p := range k.active(w) {
			pods[p.rev]++
			if k.isAvailable(p) {
				available[p.rev]++
				total++
			}
		}
		replicas := int(w.Replicas)
		old, all := 0, 0
		for rev, n := range w.sets {
			all += n
			if rev != w.rev {
				old += n
			}
		}
		switch {
		case w.Paused && old > 0:
		case w.Strategy == "Recreate":
			oldPods := 0
			for _, p := range k.pods {
				if p.w == w && p.rev != w.rev {
					oldPods++
				}
			}
			for rev := range w.sets {
				if rev != w.rev {
					w.sets[rev] = 0
				}
			}
			if oldPods == 0 {
				w.sets[w.rev] = replicas
			}
		default:
			surge := scaled(w.MaxSurge, "25%", replicas, true)
			unavailable := scaled(w.MaxUnavailable, "25%", replicas, false)
			if surge == 0 && unavailable == 0 {
				unavailable = 1
			}
			switch {
			case w.sets[w.rev] > replicas || old == 0:
				w.sets[w.rev] = replicas
			case w.sets[w.rev] < replicas && all < replicas+surge:
				w.sets[w.rev] += min(replicas+surge-all, replicas-w.sets[w.rev])
			case old > 0:
				least := replicas - unavailable
				newUnavailable := w.sets[w.rev] - available[w.rev]
				room := all - least - newUnavailable
				revs := sortedKeys(w.sets)
				for _, rev := range revs { // the unhealthy ones first
					if rev == w.rev || room <= 0 {
						continue
					}
					n := min(room, max(0, w.sets[rev]-available[rev]))
					w.sets[rev] -= n
					room -= n
				}
				spare := total - least
				for _, rev := range revs {
					if rev == w.rev {
						continue
					}
					n := min(max(0, spare), w.sets[rev], max(0, room))
					w.sets[rev] -= n
					spare -= n
					room -= n
				}
			}
		}
		w.Updated, w.Current = int32(pods[w.rev]), 0
		for _, n := range pods {
			w.Current += int32(n)
		}
		w.Ready, w.Available = int32(k.ready(w)), int32(total)
	}
}

func (k *toyKube) isAvailable(p *toyPod) bool {
	return p.Ready && p.DeletedAt.IsZero() && k.now.Sub(p.ReadySince) >= time.Duration(p.w.MinReadySeconds)*time.Second
}

// replicaSets makes and deletes pods; the order of deletion is that of
// controller.ActivePodsWithRanks.
func (k *toyKube) replicaSets() {
	for _, w := range k.workloads {
		sets := w.sets
		switch w.Kind {
		case fleet.ReplicaSet:
			sets = map[int]int{1: int(w.Replicas)}
			w.Ready, w.Current, w.Updated, w.Settled = int32(k.ready(w)), int32(len(k.active(w))), int32(len(k.active(w))), true
		case fleet.Deployment:
		default:
			continue
		}
		for _, rev := range sortedKeys(sets) {
			var have []*toyPod
			for _, p := range k.active(w) {
				if p.rev == rev {
					have = append(have, p)
				}
			}
			for range sets[rev] - len(have) {
				k.newPod(w, fmt.Sprintf("%s-%d-%04d", w.Name, rev, k.serial+1), rev)
			}
			if surplus := len(have) - sets[rev]; surplus > 0 {
				rank := func(p *toyPod) (r [4]int) {
					if p.Node != "" {
						r[0] = 1
					}
					if p.Phase != "Pending" {
						r[1] = 1
					}
					if p.Ready {
						r[2] = 1
					}
					if p.Annotations[fleet.MarkDeletionCost] == "" {
						r[3] = 1
					}
					return r
				}
				k.rng.Shuffle(len(have), func(i, j int) { have[i], have[j] = have[j], have[i] })
				slices.SortStableFunc(have, func(a, b *toyPod) int {
					ra, rb := rank(a), rank(b)
					return cmp.Or(cmp.Compare(ra[0], rb[0]), cmp.Compare(ra[1], rb[1]), cmp.Compare(ra[2], rb[2]), cmp.Compare(ra[3], rb[3]),
						b.ReadySince.Compare(a.ReadySince))
				})
				for _, p := range have[:surplus] {
					k.remove(p)
				}
			}
		}
	}
}

func (k *toyKube) statefulSets() {
	for _, w := range k.workloads {
		if w.Kind != fleet.StatefulSet {
			continue
		}
		w.Settled = true
		byOrdinal := map[int]*toyPod{}
		for _, p := range k.pods {
			if p.w == w {
				byOrdinal[ordinal(p.Name)] = p
			}
		}
		w.Current, w.Updated, w.Ready = 0, 0, int32(k.ready(w))
		for _, p := range byOrdinal {
			w.Current++
			if p.rev == w.rev {
				w.Updated++
			}
		}
		ordered := w.PodManagement != "Parallel"
		allReady := true
		for i := range int(w.Replicas) {
			p := byOrdinal[i]
			if p == nil {
				k.newPod(w, fmt.Sprintf("%s-%d", w.Name, i), w.rev)
				allReady = false
			} else if !p.Ready || !p.DeletedAt.IsZero() {
				allReady = false
			}
			if !allReady && ordered {
				break
			}
		}
		if !allReady || w.Strategy == "OnDelete" {
			continue
		}
		for i := int(w.Replicas) - 1; i >= int(w.Partition); i-- {
			if p := byOrdinal[i]; p.rev != w.rev {
				k.remove(p)
				break
			}
		}
	}
}

func (k *toyKube) jobs() {
	for _, w := range k.workloads {
		if w.Kind != fleet.Job {
			continue
		}
		w.Settled = true
		done := false
		for _, p := range k.pods {
			if p.w != w {
				continue
			}
			if p.Ready && p.finishAt.IsZero() {
				p.finishAt = k.now.Add(time.Duration(w.runs) * time.Second)
			}
			if p.DeletedAt.IsZero() && !p.finishAt.IsZero() && k.now.After(p.finishAt) {
				p.Phase, p.Ready = "Succeeded", false
			}
			done = done || p.Phase == "Succeeded"
		}
		if !done && len(k.active(w)) == 0 {
			k.newPod(w, fmt.Sprintf("%s-%04d", w.Name, k.serial+1), 1)
		}
	}
}

func (k *toyKube) daemonSets() {
	for _, w := range k.workloads {
		if w.Kind != fleet.DaemonSet {
			continue
		}
		on := map[string]bool{}
		for _, p := range k.pods {
			if p.w == w {
				on[p.Node] = true
			}
		}
		for _, n := range k.nodes {
			if !on[n.Name] && (w.onlyOn == "" || n.Pool == w.onlyOn) {
				p := k.newPod(w, fmt.Sprintf("%s-%04d", w.Name, k.serial+1), 1)
				p.Node, p.boundAt = n.Name, k.now
			}
		}
	}
}

// others is an operator that keeps one pod per replica.
func (k *toyKube) others() {
	for _, w := range k.workloads {
		if w.Kind != fleet.Other {
			continue
		}
		w.Settled = true
		for range int(w.load) - len(k.active(w)) {
			k.newPod(w, fmt.Sprintf("%s-%04d", w.Name, k.serial+1), 1)
		}
	}
}

func (k *toyKube) autoscale() {
	for _, w := range k.workloads {
		if w.Scaler != nil {
			if want := min(max(w.load, w.Scaler.Min), w.Scaler.Max); want != w.Replicas {
				w.Replicas, w.Settled = want, false
			}
		}
	}
}

// disruption follows pkg/controller/disruption.
func (k *toyKube) disruption() {
	for _, b := range k.budgets {
		sel, err := labels.Parse(b.Selector)
		if err != nil {
			k.t.Fatal(err)
		}
		healthy, pods, scale := 0, 0, 0
		seen := map[*toyWorkload]bool{}
		alive := map[string]bool{}
		for _, p := range k.pods {
			if p.Namespace != b.Namespace || !sel.Matches(labels.Set(p.Labels)) || p.Finished() {
				continue
			}
			alive[p.UID] = p.DeletedAt.IsZero()
			pods++
			if p.w != nil && !seen[p.w] {
				seen[p.w] = true
				scale += int(p.w.Replicas)
			}
			if p.Ready && p.DeletedAt.IsZero() && !b.disrupted[p.UID] {
				healthy++
			}
		}
		maps.DeleteFunc(b.disrupted, func(uid string, _ bool) bool { return !alive[uid] })
		expected, desired := pods, 0
		switch {
		case b.MaxUnavailable != nil:
			expected = scale
			desired = max(0, expected-scaled(b.MaxUnavailable, "0", expected, true))
		case b.MinAvailable.Type == intstr.Int:
			desired = b.MinAvailable.IntValue()
		default:
			expected = scale
			desired = scaled(b.MinAvailable, "0", expected, true)
		}
		b.CurrentHealthy, b.DesiredHealthy, b.ExpectedPods = int32(healthy), int32(desired), int32(expected)
		b.DisruptionsAllowed = max(0, int32(healthy-desired))
		if expected <= 0 {
			b.DisruptionsAllowed = 0
		}
		b.Fresh = true
	}
}

func (k *toyKube) schedule() {
	for _, p := range k.pods {
		if p.Node != "" || !p.DeletedAt.IsZero() {
			continue
		}
		best, score := (*fleet.Node)(nil), 0
		why := map[string]int{}
		for _, n := range k.nodes {
			if reason := k.unfit(p, n); reason != "" {
				why[reason]++
				continue
			}
			s := 1000 - k.podsOn(n.Name)*4
			for _, t := range n.Taints {
				if t.Effect == "PreferNoSchedule" {
					s -= 500
				}
			}
			if best == nil || s > score {
				best, score = n, s
			}
		}
		if best == nil {
			var parts []string
			for _, reason := range sortedKeys(why) {
				parts = append(parts, fmt.Sprintf("%d %s", why[reason], reason))
			}
			p.Unschedulable = fmt.Sprintf("0/%d nodes are available: %s.", len(k.nodes), strings.Join(parts, ", "))
			continue
		}
		p.Node, p.boundAt, p.Unschedulable = best.Name, k.now, ""
		for _, name := range p.Claims {
			if c := k.claims[p.Namespace+"/"+name]; len(c.Zones) == 0 {
				c.Zones = []string{best.Zone}
			}
		}
	}
}

func (k *toyKube) podsOn(node string) int {
	n := 0
	for _, p := range k.pods {
		if p.Node == node {
			n++
		}
	}
	return n
}

func (k *toyKube) unfit(p *toyPod, n *fleet.Node) string {
	if n.Unschedulable {
		return "node(s) were unschedulable"
	}
	if !n.Ready {
		return "node(s) were not ready"
	}
	for _, t := range n.Taints {
		if t.Effect != "PreferNoSchedule" && (p.w == nil || p.w.template.tolerates != t.Key) {
			return "node(s) had untolerated taint"
		}
	}
	for key, value := range p.NodeSelector {
		if n.Labels[key] != value {
			return "node(s) didn't match Pod's node affinity/selector"
		}
	}
	for _, name := range p.Claims {
		if c := k.claims[p.Namespace+"/"+name]; len(c.Zones) > 0 && !slices.Contains(c.Zones, n.Zone) {
			return "node(s) had volume node affinity conflict"
		}
	}
	free := n.Allocatable
	zones := map[string]int{}
	for _, m := range k.nodes {
		zones[m.Zone] += 0
	}
	for _, q := range k.pods {
		if q.Finished() || q == p {
			continue
		}
		if q.w == p.w && q.w != nil && q.Node != "" && q.DeletedAt.IsZero() {
			zones[k.node(q.Node).Zone]++
			if p.w.template.antiAffinity && q.Node == n.Name {
				return "node(s) didn't match pod anti-affinity rules"
			}
		}
		if q.Node == n.Name {
			free.MilliCPU -= q.Requests.MilliCPU
			free.Memory -= q.Requests.Memory
			free.Pods--
		}
	}
	if free.MilliCPU < p.Requests.MilliCPU || free.Memory < p.Requests.Memory || free.Pods < 1 {
		return "Insufficient cpu"
	}
	if p.w != nil && p.w.template.spread {
		least := slices.Min(slices.Collect(maps.Values(zones)))
		if zones[n.Zone]+1-least > 1 {
			return "node(s) didn't match pod topology spread constraints"
		}
	}
	return ""
}

func (k *toyKube) kubelets() {
	for _, p := range slices.Clone(k.pods) {
		node := k.node(p.Node)
		if node == nil || !node.Ready {
			continue
		}
		if !p.DeletedAt.IsZero() {
			if !k.now.Before(p.endsAt) {
				k.pods = slices.DeleteFunc(k.pods, func(q *toyPod) bool { return q == p })
				for _, name := range p.Claims {
					c := k.claims[p.Namespace+"/"+name]
					if c.attached == p.Node && !slices.ContainsFunc(k.pods, func(q *toyPod) bool { return q.Node == p.Node && slices.Contains(q.Claims, name) }) {
						c.attached, c.readyAt = "", k.now.Add(2*time.Second)
					}
				}
			}
			continue
		}
		if Puller(&p.Pod) {
			k.pullFor(p)
			continue
		}
		if p.Ready || p.Finished() || p.w == nil {
			continue
		}
		if image := p.w.template.image; image != "" && !k.pulled(node, image) {
			p.boundAt = k.now
			continue
		}
		mounted := true
		for _, name := range p.Claims {
			c := k.claims[p.Namespace+"/"+name]
			if c.attached == "" && !k.now.Before(c.readyAt) {
				c.attached, c.readyAt = p.Node, k.now.Add(3*time.Second)
			}
			mounted = mounted && c.attached == p.Node && !k.now.Before(c.readyAt)
		}
		if !mounted {
			p.boundAt = k.now
			continue
		}
		if p.w.breaks && p.rev > 1 {
			p.Phase, p.WaitingReason = "Running", "CrashLoopBackOff"
			continue
		}
		if k.now.Sub(p.boundAt) >= time.Duration(p.readyIn)*time.Second {
			p.Phase, p.Ready, p.ReadySince = "Running", true, k.now
			if p.made {
				k.slowest = max(k.slowest, k.now.Sub(p.CreatedAt))
			}
			p.WaitingReason = ""
		}
	}
}

// snapshot is what the adapter would read.
func (k *toyKube) snapshot() fleet.Snapshot {
	s := fleet.Snapshot{TakenAt: k.now}
	for _, n := range k.nodes {
		c := *n
		c.Annotations, c.Labels, c.Taints, c.Images = maps.Clone(n.Annotations), maps.Clone(n.Labels), slices.Clone(n.Taints), maps.Clone(n.Images)
		s.Nodes = append(s.Nodes, c)
	}
	for _, p := range k.pods {
		c := p.Pod
		c.Annotations, c.Pulls = maps.Clone(p.Annotations), slices.Clone(p.Pulls)
		s.Pods = append(s.Pods, c)
	}
	for _, w := range k.workloads {
		c := w.Workload
		c.Annotations = maps.Clone(w.Annotations)
		if w.Scaler != nil {
			sc := *w.Scaler
			sc.Annotations = maps.Clone(w.Scaler.Annotations)
			c.Scaler = &sc
		}
		s.Workloads = append(s.Workloads, c)
	}
	for _, b := range k.budgets {
		s.Budgets = append(s.Budgets, b.Budget)
	}
	for _, key := range sortedKeys(k.claims) {
		c := k.claims[key].Claim
		if at := k.claims[key].attached; at != "" {
			c.AttachedTo = []string{at}
		}
		s.Claims = append(s.Claims, c)
	}
	for _, b := range k.balancers {
		lb := fleet.LoadBalancer{Namespace: "shop", Name: b.name, Local: b.local}
		if b.local {
			lb.Endpoints = k.endpoints(b)
		}
		s.LoadBalancers = append(s.LoadBalancers, lb)
	}
	k.rng.Shuffle(len(s.Pods), func(i, j int) { s.Pods[i], s.Pods[j] = s.Pods[j], s.Pods[i] })
	k.rng.Shuffle(len(s.Workloads), func(i, j int) { s.Workloads[i], s.Workloads[j] = s.Workloads[j], s.Workloads[i] })
	k.rng.Shuffle(len(s.Nodes), func(i, j int) { s.Nodes[i], s.Nodes[j] = s.Nodes[j], s.Nodes[i] })
	return s
}

func (k *toyKube) describe() string {
	var b strings.Builder
	for _, w := range k.workloads {
		fmt.Fprintf(&b, "%s replicas %d ready %d updated %d current %d\n", w.Key(), w.Replicas, k.ready(w), w.Updated, w.Current)
		for _, p := range k.pods {
			if p.w == w {
				fmt.Fprintf(&b, "  %s on %q rev %d ready %v deleted %v %s %s\n", p.Name, p.Node, p.rev, p.Ready, !p.DeletedAt.IsZero(), p.Unschedulable, p.WaitingReason)
			}
		}
	}
	return b.String()
}
