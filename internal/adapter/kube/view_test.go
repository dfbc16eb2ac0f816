package kube

import (
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// story feeds events to an observer and keeps what it reports.
type story struct {
	t       *testing.T
	o       *observer
	c       *cluster
	version int
	sights  []string
	again   []string // workloads that were looked at again
	onAgain func()
}

// The streams of a story.
const (
	fromPods = iota
	fromBudgets
	fromControllers
	fromHeartbeat
)

func newStory(t *testing.T) *story {
	t.Helper()
	s := &story{t: t, c: &cluster{log: slog.New(slog.DiscardHandler)}}
	s.o = newObserver(fromHeartbeat, func(sight fleet.Sight) {
		line := sight.Blind
		for i, w := range sight.Workloads {
			if i > 0 {
				line += "; "
			}
			line += fmt.Sprintf("%s %d/%d", w.Workload, w.Ready, w.Required)
		}
		s.sights = append(s.sights, line)
	})
	s.o.confirm = func(key string) {
		s.again = append(s.again, key)
		if s.onAgain != nil {
			s.onAgain()
		}
	}
	return s
}

// tell feeds one event, and flushes unless more follow at once.
func (s *story) tell(from int, what eventKind, more bool, items ...item) {
	s.t.Helper()
	for i := range items {
		s.version++
		if items[i].version == "" {
			items[i].version = strconv.Itoa(s.version)
		}
	}
	e := event{from: from, at: noon, what: what, items: items}
	if what == lost {
		e.reason = "connection refused"
	}
	s.o.observe(s.t.Context(), s.c, e)
	if !more {
		s.o.flush()
	}
}

// begin lists everything.
func (s *story) begin(pods, budgets, controllers []item) {
	s.t.Helper()
	s.tell(fromPods, listed, false, pods...)
	s.tell(fromBudgets, listed, false, budgets...)
	s.tell(fromControllers, listed, false, controllers...)
}

// said compares what was reported since the last call.
func (s *story) said(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.sights); diff != "" {
		s.t.Errorf("reports (-want +got):\n%s", diff)
	}
	s.sights = nil
}

func podItem(name, owner string, ready bool) item {
	return item{id: name, namespace: "shop", pod: &ownedPod{
		pod: fleet.Pod{
			Namespace: "shop", Name: name, UID: name, Ready: ready, Phase: "Running",
			Labels: map[string]string{"app": owner},
		},
		owner: &metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner + "-1", UID: "rs-web", Controller: new(true)},
	}}
}

func terminating(it item) item {
	p := *it.pod
	p.pod.DeletedAt = noon
	it.pod = &p
	return it
}

func deploymentItem(replicas int32) item {
	return item{id: "d-web", namespace: "shop", controller: &ownedWorkload{workload: fleet.Workload{
		Kind: fleet.Deployment, Namespace: "shop", Name: "web", UID: "d-web", Replicas: replicas,
		Strategy: "RollingUpdate", MaxUnavailable: new(intstr.FromInt32(1)), MaxSurge: new(intstr.FromInt32(1)), Settled: true,
	}}}
}

func setItem() item {
	return item{id: "rs-web", namespace: "shop", controller: &ownedWorkload{
		workload: fleet.Workload{Kind: fleet.ReplicaSet, Namespace: "shop", Name: "web-1", UID: "rs-web"},
		owner:    &metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "d-web", Controller: new(true)},
	}}
}

func budgetItem(minimum int32) item {
	return item{id: "pdb", namespace: "shop", budget: &fleet.Budget{
		Namespace: "shop", Name: "web", MinAvailable: new(intstr.FromInt32(minimum)), Selector: "app=web",
	}}
}

func TestEveryFallIsReportedAndRisesTogether(t *testing.T) {
	s := newStory(t)
	s.begin([]item{podItem("a", "web", true), podItem("b", "web", true), podItem("c", "web", true)}, nil,
		[]item{deploymentItem(3), setItem()})
	s.said("Deployment/shop/web 3/2")

	// Two fall and come back while events pile up: both falls are told, the rises once.
	s.tell(fromPods, changed, true, terminating(podItem("a", "web", true)))
	s.tell(fromPods, changed, true, podItem("d", "web", false))
	s.tell(fromPods, changed, true, podItem("d", "web", true))
	s.tell(fromPods, changed, true, podItem("b", "web", false))
	s.tell(fromPods, removed, true, podItem("a", "web", true))
	s.tell(fromPods, changed, true, podItem("b", "web", true))
	s.tell(fromPods, changed, false, podItem("e", "web", true))
	s.said("Deployment/shop/web 2/2", "Deployment/shop/web 2/2", "Deployment/shop/web 4/2")

	// What changes no number is not reported.
	s.tell(fromPods, changed, false, podItem("e", "web", true))
	s.tell(fromHeartbeat, alive, false)
	s.said()
}

func TestRequirementFollowsBudgetsAndReplicas(t *testing.T) {
	s := newStory(t)
	pods := []item{podItem("a", "web", true), podItem("b", "web", true), podItem("c", "web", true)}
	s.begin(pods, nil, []item{deploymentItem(3), setItem()})
	s.tell(fromBudgets, changed, false, budgetItem(3))
	s.tell(fromBudgets, removed, false, budgetItem(3))
	s.tell(fromControllers, changed, false, deploymentItem(1))
	s.said("Deployment/shop/web 3/2", "Deployment/shop/web 3/3", "Deployment/shop/web 3/2", "Deployment/shop/web 3/0")
}

func TestOwnersThatComeLate(t *testing.T) {
	s := newStory(t)
	s.begin(nil, nil, nil)
	s.said("")
	s.tell(fromPods, changed, false, podItem("a", "web", true))
	s.tell(fromControllers, changed, false, setItem())
	s.tell(fromControllers, changed, false, deploymentItem(1))
	s.tell(fromControllers, removed, false, deploymentItem(1))
	s.said("ReplicaSet/shop/web-1 1/0", "Deployment/shop/web 1/0", "ReplicaSet/shop/web-1 1/0")
}

// A workload whose pods go because it was scaled down must not look as if it had
// fallen below what it required, only because its pods were heard of first.
func TestSecondLookBeforeAFallBelowTheRequirement(t *testing.T) {
	s := newStory(t)
	pods := []item{podItem("a", "web", true), podItem("b", "web", true), podItem("c", "web", true)}
	s.begin(pods, nil, []item{deploymentItem(3), setItem()})
	s.onAgain = func() {
		s.version++
		scaled := deploymentItem(1)
		scaled.version = "1000"
		s.o.view.put(fromControllers, scaled)
	}
	s.tell(fromPods, changed, true, terminating(podItem("a", "web", true)))
	s.tell(fromPods, changed, true, terminating(podItem("b", "web", true)))
	// The streams bring older news than the second look did.
	s.tell(fromControllers, changed, false, deploymentItem(3))
	s.said("Deployment/shop/web 3/2", "Deployment/shop/web 2/2", "Deployment/shop/web 1/0")
	if diff := cmp.Diff([]string{"Deployment/shop/web"}, s.again); diff != "" {
		t.Errorf("second looks (-want +got):\n%s", diff)
	}
}

// A real fall is reported after the second look finds nothing else.
func TestARealFall(t *testing.T) {
	s := newStory(t)
	s.begin([]item{podItem("a", "web", true), podItem("b", "web", true)}, []item{budgetItem(2)}, []item{deploymentItem(2), setItem()})
	s.tell(fromPods, changed, false, podItem("a", "web", false))
	s.said("Deployment/shop/web 2/2", "Deployment/shop/web 1/2")
}

func TestBlindUntilListedAgain(t *testing.T) {
	s := newStory(t)
	s.tell(fromHeartbeat, lost, false)
	s.said("connection refused")
	s.tell(fromHeartbeat, alive, false)
	s.begin([]item{podItem("a", "web", true)}, nil, []item{deploymentItem(1), setItem()})
	s.said("Deployment/shop/web 1/0")

	s.tell(fromPods, lost, false)
	s.tell(fromBudgets, lost, false)
	s.tell(fromPods, lost, false)
	s.said("connection refused")
	// Another reason is told when the first one is gone.
	s.o.blind[fromBudgets] = "forbidden"
	s.tell(fromPods, listed, false)
	s.said("forbidden")
	s.tell(fromPods, lost, false)
	// Other streams go on, and nothing is claimed meanwhile.
	s.tell(fromControllers, changed, false, deploymentItem(2))
	s.tell(fromBudgets, listed, false)
	s.tell(fromHeartbeat, alive, false)
	s.said("connection refused")
	s.tell(fromPods, listed, false, podItem("b", "web", true), podItem("c", "web", true))
	s.said("Deployment/shop/web 2/1")
}

// What is pending when sight is lost was seen before, and is told first.
func TestPendingIsToldBeforeBlind(t *testing.T) {
	s := newStory(t)
	s.begin(nil, nil, []item{deploymentItem(1), setItem()})
	s.tell(fromPods, changed, true, podItem("a", "web", true))
	s.tell(fromPods, lost, false)
	s.said("Deployment/shop/web 0/0", "Deployment/shop/web 1/0", "connection refused")
}

func TestJobsAndUnknownControllersAreKnownByTheirPods(t *testing.T) {
	s := newStory(t)
	s.begin(nil, nil, nil)
	job := podItem("j", "report", true)
	job.pod.owner = &metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "report", UID: "job", Controller: new(true)}
	other := podItem("o", "web", true)
	other.pod.owner = &metav1.OwnerReference{APIVersion: "apps.kruise.io/v1", Kind: "CloneSet", Name: "web", UID: "cs", Controller: new(true)}
	s.tell(fromPods, changed, false, job)
	s.tell(fromPods, changed, false, other)
	s.tell(fromBudgets, changed, false, budgetItem(1))
	s.tell(fromPods, removed, false, job)
	s.said("", "Job/shop/report 1/0", "Job/shop/report 1/0; Other/shop/CloneSet:web 1/0",
		"Job/shop/report 1/0; Other/shop/CloneSet:web 1/1", "Other/shop/CloneSet:web 1/1")
}

// Ten thousand pods in one namespace, each moved once.
func BenchmarkViewMovesAllPods(b *testing.B) {
	const workloads, each = 500, 20
	for b.Loop() {
		o := newObserver(fromHeartbeat, func(fleet.Sight) {})
		c := &cluster{log: slog.New(slog.DiscardHandler)}
		var pods, controllers, budgets []item
		for w := range workloads {
			name := fmt.Sprint("w", w)
			d := deploymentItem(each)
			d.id, d.controller.workload.UID, d.controller.workload.Name = "d-"+name, "d-"+name, name
			controllers = append(controllers, d)
			budgets = append(budgets, item{id: "b-" + name, namespace: "shop", budget: &fleet.Budget{
				Namespace: "shop", Name: name, MinAvailable: new(intstr.FromString("50%")), Selector: "app=" + name,
			}})
			for p := range each {
				pod := podItem(fmt.Sprint(name, "-", p), name, true)
				pod.pod.owner = &metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", UID: types.UID("d-" + name)}
				pods = append(pods, pod)
			}
		}
		for i, items := range [][]item{pods, budgets, controllers} {
			o.observe(b.Context(), c, event{from: i, what: listed, items: items, at: noon})
		}
		began := time.Now()
		for _, pod := range pods {
			for _, e := range []event{
				{what: changed, items: []item{terminating(pod)}},
				{what: changed, items: []item{podItemLike(pod, "x", false)}},
				{what: changed, items: []item{podItemLike(pod, "x", true)}},
				{what: removed, items: []item{pod}},
			} {
				o.observe(b.Context(), c, e)
			}
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/float64(len(pods)), "µs/pod")
	}
}

// podItemLike is the replacement of a pod.
func podItemLike(of item, suffix string, ready bool) item {
	p := *of.pod
	p.pod.Name += suffix
	p.pod.UID = p.pod.Name
	p.pod.Ready = ready
	return item{id: p.pod.Name, namespace: of.namespace, pod: &p}
}
