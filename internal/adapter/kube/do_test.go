package kube

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	clienttesting "k8s.io/client-go/testing"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// must carries an action out and expects a result.
func must(t *testing.T, c *cluster, action evacuate.Action, want evacuate.Result) string {
	t.Helper()
	outcome, err := c.Do(t.Context(), "rollout-7", action)
	if err != nil {
		t.Fatalf("%s: %v", action.Kind, err)
	}
	if outcome.Result != want {
		t.Fatalf("%s: %s (%s), want %s", action.Kind, outcome.Result, outcome.Message, want)
	}
	return outcome.Message
}

func TestNodeActions(t *testing.T) {
	others := corev1.Taint{Key: "team", Value: "a", Effect: corev1.TaintEffectNoSchedule}
	c, client := newFake(t, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "1", Labels: map[string]string{"keep": "1"}},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{others}},
	})
	node := func() *corev1.Node {
		t.Helper()
		n, err := client.CoreV1().Nodes().Get(t.Context(), "n", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	on := func(kind evacuate.ActionKind) evacuate.Action {
		return evacuate.Action{Kind: kind, Node: "n", UID: "1"}
	}

	for range 2 { // twice, for nothing takes effect twice
		must(t, c, on(evacuate.Cordon), evacuate.Done)
		must(t, c, on(evacuate.SoftTaint), evacuate.Done)
		must(t, c, on(evacuate.ExcludeLB), evacuate.Done)
	}
	n := node()
	if !n.Spec.Unschedulable || n.Annotations[fleet.MarkCordoned] != "rollout-7" {
		t.Errorf("cordon: unschedulable %v, annotations %v", n.Spec.Unschedulable, n.Annotations)
	}
	want := []corev1.Taint{others, {Key: fleet.TaintLeaving, Effect: corev1.TaintEffectPreferNoSchedule}}
	if diff := cmp.Diff(want, n.Spec.Taints); diff != "" {
		t.Errorf("taints (-want +got):\n%s", diff)
	}
	if n.Labels[evacuate.ExcludeLBLabel] != evacuate.ExcludeLBValue || n.Labels["keep"] != "1" {
		t.Errorf("labels %v", n.Labels)
	}
	for range 2 {
		must(t, c, on(evacuate.Uncordon), evacuate.Done)
		must(t, c, on(evacuate.RemoveTaint), evacuate.Done)
		must(t, c, on(evacuate.IncludeLB), evacuate.Done)
	}
	n = node()
	if n.Spec.Unschedulable || len(n.Annotations) != 0 || len(n.Labels) != 1 {
		t.Errorf("undone: unschedulable %v, annotations %v, labels %v", n.Spec.Unschedulable, n.Annotations, n.Labels)
	}
	if diff := cmp.Diff([]corev1.Taint{others}, n.Spec.Taints); diff != "" {
		t.Errorf("taints undone (-want +got):\n%s", diff)
	}

	must(t, c, evacuate.Action{Kind: evacuate.Cordon, Node: "n", UID: "2"}, evacuate.Gone)
	must(t, c, evacuate.Action{Kind: evacuate.Cordon, Node: "m"}, evacuate.Gone)
	if node().Spec.Unschedulable {
		t.Error("a node of another uid was cordoned")
	}
}

func TestNodesOfOthersStayTheirs(t *testing.T) {
	c, client := newFake(t,
		&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "theirs", Labels: map[string]string{evacuate.ExcludeLBLabel: ""}},
			Spec:       corev1.NodeSpec{Unschedulable: true},
		},
		&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "orphan", Annotations: map[string]string{fleet.MarkCordoned: "rollout-6"}},
			Spec:       corev1.NodeSpec{Unschedulable: true},
		},
	)
	for _, kind := range []evacuate.ActionKind{evacuate.Cordon, evacuate.Uncordon, evacuate.ExcludeLB, evacuate.IncludeLB} {
		must(t, c, evacuate.Action{Kind: kind, Node: "theirs"}, evacuate.Done)
	}
	n, err := client.CoreV1().Nodes().Get(t.Context(), "theirs", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, excluded := n.Labels[evacuate.ExcludeLBLabel]; !n.Spec.Unschedulable || len(n.Annotations) != 0 || !excluded {
		t.Errorf("someone else's cordon or label was touched: %+v", n)
	}

	// A cordon of a rollout that is no more is taken over, and undone.
	must(t, c, evacuate.Action{Kind: evacuate.Cordon, Node: "orphan"}, evacuate.Done)
	n, err = client.CoreV1().Nodes().Get(t.Context(), "orphan", metav1.GetOptions{})
	if err != nil || n.Annotations[fleet.MarkCordoned] != "rollout-7" {
		t.Errorf("mark %v, error %v", n.Annotations, err)
	}
	must(t, c, evacuate.Action{Kind: evacuate.Uncordon, Node: "orphan"}, evacuate.Done)
	if n, _ = client.CoreV1().Nodes().Get(t.Context(), "orphan", metav1.GetOptions{}); n.Spec.Unschedulable {
		t.Error("an orphaned cordon was left")
	}
}

func testDeployment() *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "d"},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(3)),
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: new(intstr.FromString("25%")), MaxSurge: new(intstr.FromInt32(2)),
				},
			},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"keep": "1"}}},
		},
	}
}

func TestRollWithShapeAndRestore(t *testing.T) {
	c, client := newFake(t, testDeployment())
	writes := 0
	client.PrependReactor("patch", "deployments", func(clienttesting.Action) (bool, runtime.Object, error) {
		writes++
		return false, nil, nil
	})
	get := func() *appsv1.Deployment {
		t.Helper()
		d, err := client.AppsV1().Deployments("shop").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := get().Spec.Strategy
	roll := evacuate.Action{
		Kind: evacuate.Roll, Workload: "Deployment/shop/web", UID: "d", Token: "e-1",
		Shape: &evacuate.Shape{MaxUnavailable: 0, MaxSurge: 1},
	}
	must(t, c, roll, evacuate.Done)
	must(t, c, roll, evacuate.Done)
	d := get()
	if writes != 1 {
		t.Errorf("%d writes, want one with strategy and template together", writes)
	}
	if diff := cmp.Diff(map[string]string{"keep": "1", fleet.MarkRestarted: "e-1"}, d.Spec.Template.Annotations); diff != "" {
		t.Errorf("template (-want +got):\n%s", diff)
	}
	if r := d.Spec.Strategy.RollingUpdate; r.MaxUnavailable.String() != "0" || r.MaxSurge.String() != "1" {
		t.Errorf("strategy %v", r)
	}
	if got := d.Annotations[fleet.MarkStrategy]; got != `{"maxUnavailable":"25%","maxSurge":2}` {
		t.Errorf("kept %s", got)
	}

	// Shaped anew before it was restored: the first strategy is the one to restore.
	roll.Token, roll.Shape = "e-2", &evacuate.Shape{MaxSurge: 3}
	must(t, c, roll, evacuate.Done)
	if d = get(); d.Spec.Template.Annotations[fleet.MarkRestarted] != "e-2" {
		t.Errorf("another token did not restart: %v", d.Spec.Template.Annotations)
	}

	restore := evacuate.Action{Kind: evacuate.RestoreShape, Workload: "Deployment/shop/web", UID: "d"}
	must(t, c, restore, evacuate.Done)
	must(t, c, restore, evacuate.Done)
	d = get()
	if diff := cmp.Diff(before, d.Spec.Strategy); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if len(d.Annotations) != 0 {
		t.Errorf("marks left: %v", d.Annotations)
	}
	if writes != 3 {
		t.Errorf("%d writes, want 3", writes)
	}
}

func TestRestoreShapeLeavesTheOwnersStrategy(t *testing.T) {
	d := testDeployment()
	d.Annotations = map[string]string{
		fleet.MarkStrategy: `{"maxUnavailable":"25%","maxSurge":2}`,
		markShaped:         `{"maxUnavailable":0,"maxSurge":1}`,
	}
	d.Spec.Strategy.RollingUpdate.MaxSurge = new(intstr.FromInt32(7))
	c, client := newFake(t, d)
	must(t, c, evacuate.Action{Kind: evacuate.RestoreShape, Workload: "Deployment/shop/web"}, evacuate.Done)
	got, err := client.AppsV1().Deployments("shop").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Spec.Strategy.RollingUpdate.MaxSurge.IntValue() != 7 || len(got.Annotations) != 0 {
		t.Errorf("strategy %v, annotations %v", got.Spec.Strategy.RollingUpdate, got.Annotations)
	}
}

func TestRollRefuses(t *testing.T) {
	paused := testDeployment()
	paused.Spec.Paused = true
	recreate := testDeployment()
	recreate.Name, recreate.UID = "re", "r"
	recreate.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", UID: "s"}}
	set.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
	c, _ := newFake(t, paused, recreate, set)
	for _, tc := range []struct {
		workload, want string
		shape          *evacuate.Shape
	}{
		{workload: "Deployment/shop/web", want: "paused"},
		{workload: "Deployment/shop/re", shape: &evacuate.Shape{MaxSurge: 1}, want: "no rolling-update strategy"},
		{workload: "StatefulSet/shop/db", want: "does not restart"},
		{workload: "Other/shop/Rollout:x", want: "evicted, never changed"},
		{workload: "Job/shop/x", want: "evicted, never changed"},
	} {
		message := must(t, c, evacuate.Action{Kind: evacuate.Roll, Workload: tc.workload, Token: "e", Shape: tc.shape}, evacuate.Refused)
		if !strings.Contains(message, tc.want) {
			t.Errorf("%s: message %q does not say %q", tc.workload, message, tc.want)
		}
	}
	must(t, c, evacuate.Action{Kind: evacuate.Roll, Workload: "Deployment/shop/re", Token: "e"}, evacuate.Done)
}

func TestSurgeAndRestore(t *testing.T) {
	c, client := newFake(t, testDeployment())
	get := func() (int32, map[string]string) {
		t.Helper()
		d, err := client.AppsV1().Deployments("shop").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return *d.Spec.Replicas, d.Annotations
	}
	surge := func(to int32) evacuate.Action {
		return evacuate.Action{Kind: evacuate.Surge, Workload: "Deployment/shop/web", UID: "d", Replicas: to}
	}
	restore := evacuate.Action{Kind: evacuate.RestoreSurge, Workload: "Deployment/shop/web", UID: "d"}

	must(t, c, surge(2), evacuate.Done) // never lower
	if n, marks := get(); n != 3 || len(marks) != 0 {
		t.Errorf("lowered to %d, marks %v", n, marks)
	}
	must(t, c, surge(4), evacuate.Done)
	must(t, c, surge(4), evacuate.Done)
	must(t, c, surge(5), evacuate.Done)
	if n, marks := get(); n != 5 || marks[fleet.MarkReplicas] != "3" {
		t.Errorf("%d replicas, marks %v; want 5 with the first number kept", n, marks)
	}
	must(t, c, restore, evacuate.Done)
	must(t, c, restore, evacuate.Done)
	if n, marks := get(); n != 3 || len(marks) != 0 {
		t.Errorf("%d replicas, marks %v after restore", n, marks)
	}

	// Its owner scales it in between: that number is the one to keep.
	scale := func(to int32) {
		t.Helper()
		d, err := client.AppsV1().Deployments("shop").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		d.Spec.Replicas = &to
		if _, err := client.AppsV1().Deployments("shop").Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	must(t, c, surge(4), evacuate.Done)
	scale(6)
	must(t, c, surge(7), evacuate.Done)
	if _, marks := get(); marks[fleet.MarkReplicas] != "6" {
		t.Errorf("marks %v, want the owner's 6", marks)
	}
	scale(2)
	must(t, c, restore, evacuate.Done)
	if n, marks := get(); n != 2 || len(marks) != 0 {
		t.Errorf("%d replicas, marks %v; want the owner's 2", n, marks)
	}
}

func TestSurgeOfAutoscalers(t *testing.T) {
	target := autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: 9, ScaleTargetRef: target},
	}
	keda := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "keda.sh/v1alpha1", "kind": kindScaledObject,
		"metadata": map[string]any{"namespace": "shop", "name": "queue"},
		"spec":     map[string]any{"scaleTargetRef": map[string]any{"name": "worker"}},
	}}
	c, client := newFake(t, hpa, keda)

	surge := evacuate.Action{Kind: evacuate.Surge, Workload: "Deployment/shop/web", Scaler: "web", Replicas: 2}
	must(t, c, surge, evacuate.Done)
	got, err := client.AutoscalingV2().HorizontalPodAutoscalers("shop").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || *got.Spec.MinReplicas != 2 || got.Annotations[fleet.MarkScalerMin] != "1" {
		t.Errorf("HPA %+v, error %v", got, err)
	}
	surge.Kind = evacuate.RestoreSurge
	must(t, c, surge, evacuate.Done)
	got, err = client.AutoscalingV2().HorizontalPodAutoscalers("shop").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || *got.Spec.MinReplicas != 1 || len(got.Annotations) != 0 {
		t.Errorf("HPA after restore %+v, error %v", got, err)
	}
	surge.Workload = "Deployment/shop/other"
	must(t, c, surge, evacuate.Refused)

	worker := evacuate.Action{Kind: evacuate.Surge, Workload: "Deployment/shop/worker", Scaler: "queue", Replicas: 2}
	must(t, c, worker, evacuate.Done)
	object, err := c.dynamic.Resource(scaledObjects).Namespace("shop").Get(t.Context(), "queue", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := nestedInt32(object, -1, "spec", "minReplicaCount"); n != 2 || object.GetAnnotations()[fleet.MarkScalerMin] != "0" {
		t.Errorf("ScaledObject: min %d, annotations %v", n, object.GetAnnotations())
	}
	worker.Kind = evacuate.RestoreSurge
	must(t, c, worker, evacuate.Done)
	if object, err = c.dynamic.Resource(scaledObjects).Namespace("shop").Get(t.Context(), "queue", metav1.GetOptions{}); err != nil ||
		nestedInt32(object, -1, "spec", "minReplicaCount") != 0 {
		t.Errorf("ScaledObject after restore %v, error %v", object, err)
	}
}

// ReplicaSets and ReplicationControllers are one kind of workload; the uid says which is meant.
func TestReplicaSetOrReplicationController(t *testing.T) {
	c, client := newFake(t,
		&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "x", UID: "set"}},
		&corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "x", UID: "rc"}},
	)
	must(t, c, evacuate.Action{Kind: evacuate.Surge, Workload: "ReplicaSet/a/x", UID: "rc", Replicas: 2}, evacuate.Done)
	rc, err := client.CoreV1().ReplicationControllers("a").Get(t.Context(), "x", metav1.GetOptions{})
	if err != nil || rc.Spec.Replicas == nil || *rc.Spec.Replicas != 2 {
		t.Errorf("controller %+v, error %v", rc, err)
	}
	must(t, c, evacuate.Action{Kind: evacuate.Surge, Workload: "ReplicaSet/a/x", UID: "neither", Replicas: 2}, evacuate.Gone)
	must(t, c, evacuate.Action{Kind: evacuate.Surge, Workload: "ReplicaSet/a/y", UID: "set", Replicas: 2}, evacuate.Gone)
}

func TestDeletionCost(t *testing.T) {
	for name, before := range map[string]map[string]string{
		"without one": nil,
		"of another":  {corev1.PodDeletionCost: "50"},
	} {
		t.Run(name, func(t *testing.T) {
			c, client := newFake(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p", UID: "1", Annotations: before}})
			get := func() map[string]string {
				p, err := client.CoreV1().Pods("a").Get(t.Context(), "p", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return p.Annotations
			}
			act := func(kind evacuate.ActionKind) evacuate.Action {
				return evacuate.Action{Kind: kind, Pod: "a/p", UID: "1"}
			}
			for range 2 {
				must(t, c, act(evacuate.PreferDelete), evacuate.Done)
			}
			if got := get()[corev1.PodDeletionCost]; got != lowestCost {
				t.Errorf("cost %q", got)
			}
			for range 2 {
				must(t, c, act(evacuate.ForgetCost), evacuate.Done)
			}
			if diff := cmp.Diff(len(before), len(get())); diff != "" || get()[corev1.PodDeletionCost] != before[corev1.PodDeletionCost] {
				t.Errorf("annotations %v after, %v before", get(), before)
			}
		})
	}
}

// A kubelet that writes its node's status all the time makes conflicts; a few
// are ridden out, many are for the next pass.
func TestConflicts(t *testing.T) {
	for _, tc := range []struct {
		conflicts int
		want      evacuate.Result
	}{{3, evacuate.Done}, {100, evacuate.Retry}} {
		c, client := newFake(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
		left := tc.conflicts
		client.PrependReactor("patch", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			if left--; left >= 0 {
				return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "nodes"}, "n", errors.New("modified"))
			}
			return false, nil, nil
		})
		must(t, c, evacuate.Action{Kind: evacuate.Cordon, Node: "n"}, tc.want)
	}
}

func TestOutcomeOf(t *testing.T) {
	nodes := schema.GroupResource{Resource: "nodes"}
	for _, tc := range []struct {
		name  string
		err   error
		want  evacuate.Result // "" for an error
		words string
	}{
		{"missing right", apierrors.NewForbidden(nodes, "n", errors.New(`User "x" cannot patch resource "nodes" in API group ""`)), evacuate.Refused, "grant"},
		{"quota", apierrors.NewForbidden(nodes, "n", errors.New("exceeded quota: compute")), evacuate.Refused, "exceeded quota"},
		{"invalid", apierrors.NewBadRequest("minReplicas must not exceed maxReplicas"), evacuate.Refused, "minReplicas"},
		{"broken webhook", apierrors.NewInternalError(errors.New(`failed calling webhook "policy.example.com": timeout`)), evacuate.Refused, "policy.example.com"},
		{"etcd leader change", apierrors.NewInternalError(errors.New("etcdserver: leader changed")), evacuate.Retry, "leader"},
		{"overload", apierrors.NewTooManyRequests("later", 1), evacuate.Retry, "later"},
		{"no etcd", apierrors.NewServiceUnavailable("no"), evacuate.Retry, ""},
		{"credentials", apierrors.NewUnauthorized("no"), "", ""},
		{"no answer", errors.New("dial tcp: connection refused"), "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			outcome, err := outcomeOf(tc.err)
			if (err != nil) != (tc.want == "") || outcome.Result != tc.want || !strings.Contains(outcome.Message, tc.words) {
				t.Errorf("got %+v, error %v", outcome, err)
			}
		})
	}
}

func TestNoActionOnceTheLeaseRanOut(t *testing.T) {
	c, client := newFake(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	now := noon
	c.now = func() time.Time { return now }
	if err := c.AcquireLease(t.Context(), "me", time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	now = noon.Add(2 * time.Minute)
	cordon := evacuate.Action{Kind: evacuate.Cordon, Node: "n"}
	if _, err := c.Do(t.Context(), "rollout-7", cordon); err == nil || !strings.Contains(err.Error(), "ran out") {
		t.Errorf("error %v", err)
	}
	if n, _ := client.CoreV1().Nodes().Get(t.Context(), "n", metav1.GetOptions{}); n.Spec.Unschedulable {
		t.Error("acted without the Lease")
	}
	if err := c.AcquireLease(t.Context(), "me", time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	must(t, c, cordon, evacuate.Done)
}

func TestUnknownActionIsAnError(t *testing.T) {
	c, _ := newFake(t)
	if _, err := c.Do(t.Context(), "r", evacuate.Action{Kind: "explode", Node: "n"}); err == nil {
		t.Error("no error")
	}
}
