package kube

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

const (
	getPod    = "GET /api/v1/namespaces/shop/pods/web-1"
	postEvict = "POST /api/v1/namespaces/shop/pods/web-1/eviction"
)

func TestEvict(t *testing.T) {
	details := func(causes ...metav1.StatusCause) *metav1.StatusDetails {
		return &metav1.StatusDetails{Causes: causes, RetryAfterSeconds: 30}
	}
	now := metav1.NewTime(noon)
	for _, tc := range []struct {
		name   string
		pod    corev1.Pod
		answer metav1.Status // Code 0 for success
		want   evacuate.Result
		words  string
		calls  int
		busy   bool
	}{
		{name: "allowed", answer: metav1.Status{}, want: evacuate.Done, calls: 1},
		{
			name: "budget is used up",
			answer: metav1.Status{
				Code: 429, Reason: metav1.StatusReasonTooManyRequests,
				Message: "Cannot evict pod as it would violate the pod's disruption budget.",
				Details: details(metav1.StatusCause{
					Type:    policyv1.DisruptionBudgetCause,
					Message: "The disruption budget web needs 3 healthy pods and has 3 currently",
				}),
			},
			want: evacuate.Refused, words: "needs 3 healthy pods and has 3", calls: 1,
		},
		{
			name:   "overload",
			answer: metav1.Status{Code: 429, Reason: metav1.StatusReasonTooManyRequests, Message: "too many requests", Details: details()},
			want:   evacuate.Retry, calls: 1, busy: true,
		},
		{
			name: "two budgets",
			answer: metav1.Status{
				Code:    500,
				Message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
			},
			want: evacuate.Refused, words: "more than one PodDisruptionBudget", calls: 1,
		},
		{
			name: "namespace is being deleted",
			answer: metav1.Status{
				Code: 403, Reason: metav1.StatusReasonForbidden, Message: "unable to create new content",
				Details: details(metav1.StatusCause{Type: corev1.NamespaceTerminatingCause}),
			},
			want: evacuate.Refused, words: "namespace is being deleted", calls: 1,
		},
		{
			name:   "went between look and eviction",
			answer: metav1.Status{Code: 404, Reason: metav1.StatusReasonNotFound, Message: "not found"},
			want:   evacuate.Gone, calls: 1,
		},
		{
			name:   "budget could not be updated",
			answer: metav1.Status{Code: 504, Reason: metav1.StatusReasonTimeout, Message: "couldn't update PodDisruptionBudget"},
			want:   evacuate.Retry, calls: 1, busy: true,
		},
		{name: "replaced under its name", pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "p-2"}}, want: evacuate.Gone, calls: 0},
		{
			name: "terminating already",
			pod:  corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "p-1", DeletionTimestamp: &now}},
			want: evacuate.Done, calls: 0,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newAPIServer(t)
			s.nodes = []string{testProviderID}
			if tc.pod.UID == "" {
				tc.pod.UID = "p-1"
			}
			tc.pod.Namespace, tc.pod.Name = "shop", "web-1"
			s.on(getPod, tc.pod)
			if tc.answer.Code == 0 {
				s.on(postEvict, map[string]string{"kind": "Status", "apiVersion": "v1", "status": "Success"})
			} else {
				s.on(postEvict, tc.answer)
			}
			c := s.connect(t)
			// A budget's Retry-After must not be sat out: it would hold the caller's slot.
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			outcome, err := c.Do(ctx, "rollout-7", evacuate.Action{Kind: evacuate.Evict, Pod: "shop/web-1", UID: "p-1"})
			if err != nil {
				t.Fatal(err)
			}
			if outcome.Result != tc.want || !strings.Contains(outcome.Message, tc.words) {
				t.Errorf("got %+v, want %s with %q", outcome, tc.want, tc.words)
			}
			if outcome.Busy != tc.busy {
				t.Errorf("busy %v, want %v: only overload may slow others down", outcome.Busy, tc.busy)
			}
			if n := s.count(postEvict); n != tc.calls {
				t.Errorf("%d evictions asked for, want %d", n, tc.calls)
			}
			if tc.calls > 0 && !strings.Contains(s.bodies[postEvict], "p-1") {
				t.Errorf("no uid precondition in %q", s.bodies[postEvict])
			}
		})
	}
}

// A conflict is a pod that was replaced just now, or only changed: looking says which.
func TestEvictConflict(t *testing.T) {
	conflict := metav1.Status{Code: 409, Reason: metav1.StatusReasonConflict, Message: "the UID in the precondition does not match"}
	s := newAPIServer(t)
	s.nodes = []string{testProviderID}
	s.on(getPod, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: "p-1"}})
	s.on(postEvict, conflict)
	c := s.connect(t)
	evict := evacuate.Action{Kind: evacuate.Evict, Pod: "shop/web-1", UID: "p-1"}
	must(t, c, evict, evacuate.Retry)
	if n := s.count(postEvict); n != 1 {
		t.Errorf("%d evictions asked for, want 1: each takes one off the budget", n)
	}
}

func (s *apiServer) connect(t *testing.T) *cluster {
	t.Helper()
	k, err := NewConnector(Options{Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) {
		return s.kubeconfig("first", "prod"), nil
	}}).Connect(t.Context(), testCluster, "")
	if err != nil {
		t.Fatal(err)
	}
	c, ok := k.(*cluster)
	if !ok {
		t.Fatalf("a %T", k)
	}
	return c
}
