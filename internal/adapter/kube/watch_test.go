package kube

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// watching runs a Watch and gives its reports.
type watching struct {
	t      *testing.T
	sights chan fleet.Sight
	stop   context.CancelFunc
	ended  chan error
}

func startWatch(t *testing.T, c *cluster) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{t: t, sights: make(chan fleet.Sight, 10_000), stop: cancel, ended: make(chan error, 1)}
	go func() { w.ended <- c.Watch(ctx, func(s fleet.Sight) { w.sights <- s }) }()
	t.Cleanup(w.end)
	return w
}

// end stops the Watch and waits for it; a second call does nothing.
func (w *watching) end() {
	w.stop()
	if err, open := <-w.ended; open {
		if err != nil {
			w.t.Errorf("Watch ended with %v", err)
		}
		close(w.ended)
	}
}

// until waits for a report that fits.
func (w *watching) until(what string, fits func(fleet.Sight) bool) fleet.Sight {
	w.t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case s := <-w.sights:
			if fits(s) {
				return s
			}
		case <-limit:
			w.t.Fatalf("no report of %s", what)
		}
	}
}

func readyOf(s fleet.Sight, workload string) int {
	for _, w := range s.Workloads {
		if w.Workload == workload {
			return w.Ready
		}
	}
	return -1
}

func TestWatchSeesLosesSightAndListsAgain(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "a", UID: "a",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "example.com/v1", Kind: "Widget", Name: "web", UID: "w", Controller: new(true)}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	c, client := newFake(t, pod, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "the-cluster"}})
	var away atomic.Bool
	watches := make(chan *watch.FakeWatcher, 10)
	client.PrependWatchReactor("pods", func(clienttesting.Action) (bool, watch.Interface, error) {
		if away.Load() {
			return true, nil, errors.New("connection refused")
		}
		w := watch.NewFake()
		watches <- w
		return true, w, nil
	})
	client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		if away.Load() {
			return true, nil, errors.New("connection refused")
		}
		return false, nil, nil
	})

	w := startWatch(t, c)
	const widget = "Other/shop/Widget:web"
	w.until("the present", func(s fleet.Sight) bool { return readyOf(s, widget) == 1 })

	first := <-watches
	fallen := pod.DeepCopy()
	fallen.Status.Conditions[0].Status = corev1.ConditionFalse
	first.Modify(fallen)
	w.until("the fall", func(s fleet.Sight) bool { return readyOf(s, widget) == 0 })
	first.Modify(pod)
	w.until("the rise", func(s fleet.Sight) bool { return readyOf(s, widget) == 1 })

	away.Store(true)
	first.Stop()
	blind := w.until("blindness", func(s fleet.Sight) bool { return s.Blind != "" })
	if !strings.Contains(blind.Blind, "watch pods") || !strings.Contains(blind.Blind, "connection refused") {
		t.Errorf("blind because %q", blind.Blind)
	}
	if err := client.CoreV1().Pods("shop").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	away.Store(false)
	w.until("what was missed", func(s fleet.Sight) bool { return s.Blind == "" && readyOf(s, widget) == -1 })

	// A version that is no longer kept is listed again without a word.
	second := <-watches
	second.Error(&metav1.Status{Status: metav1.StatusFailure, Code: 410, Reason: metav1.StatusReasonExpired, Message: "too old"})
	<-watches
	w.end()
	for len(w.sights) > 0 {
		if s := <-w.sights; s.Blind != "" {
			t.Errorf("blind because %q", s.Blind)
		}
	}
}

func TestWatchNamesMissingRightsAndGoesOn(t *testing.T) {
	s := newAPIServer(t)
	s.nodes = []string{testProviderID}
	c := s.connect(t)
	s.on("GET /apis/policy/v1/poddisruptionbudgets", metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden, Message: "forbidden"})
	for _, path := range []string{
		"/api/v1/pods", "/api/v1/replicationcontrollers", "/apis/apps/v1/deployments",
		"/apis/apps/v1/statefulsets", "/apis/apps/v1/daemonsets", "/apis/apps/v1/replicasets",
	} {
		s.on("GET "+path, map[string]any{"kind": "List", "apiVersion": "v1", "items": []any{}})
	}
	w := startWatch(t, c)
	w.until("the missing right", func(s fleet.Sight) bool {
		return strings.Contains(s.Blind, `{apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: ["watch"]}`)
	})
}
