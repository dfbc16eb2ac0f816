package evacuation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// Size is how large a cluster is, and what its times are drawn from.
type Size struct {
	Nodes int
	Teams int // each has podsPerTeam pods of every kind
	Seed  uint64
}

// Pods is how many pods of workloads the cluster has.
func (s Size) Pods() int { return s.Teams * podsPerTeam }

// podsPerTeam is the sum of what team lists.
const podsPerTeam = 100

// kind is what makes and replaces an app's pods.
type kind string

const (
	deployment  kind = "Deployment"
	statefulSet kind = "StatefulSet"
	job         kind = "Job"
)

// app is one workload with the times that were drawn for it: they belong to
// what it runs, so all its pods take as long, under every strategy.
type app struct {
	kind            kind
	namespace, name string
	replicas        int
	// starts is from scheduled to Ready, stops from deletion to gone, runs how
	// long a Job runs after it has started.
	starts, stops, runs time.Duration

	recreate                 bool
	maxSurge, maxUnavailable *intstr.IntOrString // nil: Kubernetes' default, 25%
	budget                   *budget
	// autoscaled to at most that many replicas; 0 for no autoscaler.
	autoscaled int
	volume     bool // a disk that one node alone can mount
	spread     bool // one pod to a node
}

// budget is a PodDisruptionBudget; one of the two is set.
type budget struct{ minAvailable, maxUnavailable *intstr.IntOrString }

func atLeast(text string) *budget { return &budget{minAvailable: amount(text)} }
func atMost(text string) *budget  { return &budget{maxUnavailable: amount(text)} }

func amount(text string) *intstr.IntOrString {
	v := intstr.Parse(text)
	return &v
}

// team lists the workloads of one team: the awkward kinds of the demonstration,
// as many of each as clusters have.
func team(namespace string) []app {
	apps := []app{
		{kind: deployment, name: "web", replicas: 20, budget: atLeast("60%")},
		{kind: deployment, name: "catalog", replicas: 13},
		{kind: deployment, name: "api", replicas: 16, budget: atMost("20%")},
		{kind: deployment, name: "search", replicas: 10, autoscaled: 30},
		{kind: deployment, name: "worker", replicas: 16, budget: atMost("50%")},
		{kind: deployment, name: "gateway", replicas: 6, budget: atMost("1"), spread: true},
		{kind: deployment, name: "cart", replicas: 2, maxSurge: amount("0"), maxUnavailable: amount("1"), budget: atMost("25%")},
		{kind: deployment, name: "notifier", replicas: 2},
		{kind: deployment, name: "mail", replicas: 1},
		{kind: deployment, name: "reports", replicas: 1, recreate: true},
		// Budgets that never allow an eviction.
		{kind: deployment, name: "checkout", replicas: 1, budget: atLeast("1")},
		{kind: deployment, name: "ledger", replicas: 3, budget: atLeast("3")},
		{kind: deployment, name: "fraud", replicas: 2, budget: atMost("0")},
		{kind: statefulSet, name: "orders", replicas: 3, budget: atMost("1"), volume: true},
		{kind: statefulSet, name: "cache", replicas: 3},
		{kind: job, name: "import", replicas: 1},
	}
	for i := range apps {
		apps[i].namespace = namespace
	}
	return apps
}

// Times that are drawn.
const (
	startLeast, startMedian, startMost = 5 * time.Second, 10 * time.Second, 20 * time.Second
	stopLeast, stopMost                = 1 * time.Second, 5 * time.Second
	// Of what keeps state.
	statefulStartMost, statefulStopMost = 7 * time.Second, 3 * time.Second
	// Jobs begin with the measurement and end while pods move.
	runsLeast, runsMost = 55 * time.Second, 75 * time.Second
)

// Times that are the same for all.
const (
	nodeBoot     = time.Minute // a node's creation, and its reimage
	agentStart   = 2 * time.Second
	agentStop    = time.Second
	volumeAttach = 2 * time.Second
	volumeDetach = time.Second
)

// draw makes the workloads of a cluster. The same size gives the same ones.
func draw(size Size) []app {
	dice := rand.New(rand.NewPCG(size.Seed, 0x6c6966746c6f636b)) //nolint:gosec // a draw that can be repeated
	var all []app
	for i := range size.Teams {
		apps := team(fmt.Sprintf("team-%02d", i))
		for j := range apps {
			a := &apps[j]
			a.starts, a.stops = drawStart(dice), between(dice, stopLeast, stopMost)
			switch a.kind {
			case statefulSet: // its pods go one by one, so what runs in one starts and stops swiftly
				a.starts, a.stops = between(dice, startLeast, statefulStartMost), between(dice, stopLeast, statefulStopMost)
			case job:
				a.runs = between(dice, runsLeast, runsMost)
			case deployment:
			}
		}
		all = append(all, apps...)
	}
	return all
}

// drawStart draws a start-up time: log-normal around the median, as start-up
// times are, drawn again where it falls outside.
func drawStart(dice *rand.Rand) time.Duration {
	const spread = 0.35
	for {
		d := time.Duration(float64(startMedian) * math.Exp(spread*dice.NormFloat64()))
		if d >= startLeast && d <= startMost {
			return d.Round(10 * time.Millisecond)
		}
	}
}

func between(dice *rand.Rand, least, most time.Duration) time.Duration {
	return (least + time.Duration(dice.Int64N(int64(most-least)+1))).Round(10 * time.Millisecond)
}

// never reports whether no eviction is ever allowed at the workload's own size.
func (a *app) never() bool {
	return a.budget != nil && a.replicas-a.budget.keeps(a.replicas) < 1
}

// keeps is how many of so many pods the budget wants.
func (b *budget) keeps(replicas int) int {
	switch {
	case b == nil:
		return 0
	case b.minAvailable != nil:
		return scaled(b.minAvailable, replicas, true)
	}
	return max(0, replicas-scaled(b.maxUnavailable, replicas, true))
}

func scaled(value *intstr.IntOrString, total int, up bool) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(value, total, up)
	if err != nil {
		panic(fmt.Sprintf("amount %s of the benchmark's own workloads: %v", value, err))
	}
	return n
}

// medianStart is the median start-up time over all pods.
func medianStart(apps []app) time.Duration {
	var all []time.Duration
	for i := range apps {
		for range apps[i].replicas {
			all = append(all, apps[i].starts)
		}
	}
	slices.Sort(all)
	return all[len(all)/2]
}
