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
