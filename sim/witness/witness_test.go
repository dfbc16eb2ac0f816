package witness

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
)

func deployment(name string, replicas int32, change func(*appsv1.Deployment)) (*appsv1.Deployment, *appsv1.ReplicaSet) {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, UID: types.UID("d-" + name)},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}},
		},
	}
	if change != nil {
		change(d)
	}
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "n", Name: name + "-1", UID: types.UID("r-" + name),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Template: d.Spec.Template},
	}
	return d, set
}

func podOf(owner metav1.Object, kind string, number int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "n", Name: fmt.Sprintf("%s-%d", owner.GetName(), number), UID: types.UID(fmt.Sprintf("%s-%d", owner.GetUID(), number)),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind(kind))},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

func budget(name string, minAvailable, maxUnavailable string) *policyv1.PodDisruptionBudget {
	b := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}},
	}
	if minAvailable != "" {
		v := intstr.Parse(minAvailable)
		b.Spec.MinAvailable = &v
	}
	if maxUnavailable != "" {
		v := intstr.Parse(maxUnavailable)
		b.Spec.MaxUnavailable = &v
	}
	return b
}

func rolling(unavailable, surge string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		u, s := intstr.Parse(unavailable), intstr.Parse(surge)
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &u, MaxSurge: &s}}
	}
}

func recreate(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }

// begin watches a deployment with all its pods Ready.
func begin(t *testing.T, replicas int32, change func(*appsv1.Deployment), more ...runtime.Object) (*fake.Clientset, *Witness, []*corev1.Pod) {
	t.Helper()
	d, set := deployment("web", replicas, change)
	objects := append([]runtime.Object{d, set}, more...)
	var pods []*corev1.Pod
	for i := range int(replicas) {
		pods = append(pods, podOf(set, "ReplicaSet", i))
		objects = append(objects, pods[i])
	}
	client := fake.NewClientset(objects...)
	w := New(time.Now, nil)
	t.Cleanup(w.Close)
	if err := w.WatchClient(t.Context(), "id", "c", client); err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(t.Context(), "id", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	return client, w, pods
}

// seen waits until the witness's word on the deployment meets ok.
func seen(t *testing.T, w *Witness, what string, ok func(Workload) bool) Workload {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		var got Workload
		for _, workload := range w.Report().Clusters[0].Workloads {
			if workload.Workload == "Deployment/n/web" {
				got = workload
			}
		}
		if ok(got) {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: saw %+v", what, got)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func readyIs(n int) func(Workload) bool { return func(w Workload) bool { return w.Ready == n } }

func TestRequiredIsTheStrictest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		replicas int32
		change   func(*appsv1.Deployment)
		budget   *policyv1.PodDisruptionBudget
		want     int
	}{
		"default strategy of four":           {4, nil, nil, 3},
		"a quarter of three rounds down":     {3, nil, nil, 3},
		"both round to nothing":              {3, rolling("10%", "0"), nil, 2},
		"explicit":                           {10, rolling("3", "0"), nil, 7},
		"single replica":                     {1, nil, nil, 1},
		"recreate":                           {3, recreate, nil, 0},
		"recreate with a budget":             {3, recreate, budget("web", "1", ""), 1},
		"budget percent rounds up":           {5, rolling("100%", "0"), budget("web", "50%", ""), 3},
		"unavailable percent rounds up":      {5, rolling("100%", "0"), budget("web", "", "30%"), 3},
		"budget of none":                     {2, rolling("100%", "0"), budget("web", "", "0"), 2},
		"budget equal to replicas":           {3, rolling("1", "1"), budget("web", "3", ""), 3},
		"budget above replicas":              {3, rolling("1", "1"), budget("web", "5", ""), 3},
		"a budget for other pods":            {3, rolling("1", "1"), budget("other", "3", ""), 2},
		"the strategy is the stricter":       {10, rolling("1", "1"), budget("web", "10%", ""), 9},
		"a stricter budget in other numbers": {10, rolling("50%", "1"), budget("web", "", "1"), 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var more []runtime.Object
			if test.budget != nil {
				more = append(more, test.budget)
			}
			_, w, _ := begin(t, test.replicas, test.change, more...)
			got := seen(t, w, "counting", readyIs(int(test.replicas)))
			if got.Required != test.want {
				t.Errorf("required %d, want %d (%v)", got.Required, test.want, got.Demands)
			}
		})
	}
}

func TestFallsAreCountedOnceEach(t *testing.T) {
	t.Parallel()
	client, w, pods := begin(t, 4, rolling("1", "1"))
	unready := func(p *corev1.Pod, status corev1.ConditionStatus) {
		p = p.DeepCopy()
		p.Status.Conditions[0].Status = status
		if _, err := client.CoreV1().Pods("n").UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	unready(pods[0], corev1.ConditionFalse)
	if got := seen(t, w, "one down", readyIs(3)); got.Falls != 0 || got.Lowest != 3 || got.PodSecondsBelow != 0 {
		t.Errorf("what is allowed was counted: %+v", got)
	}
	// Terminating pods do not count, whatever their condition says.
	leaving := pods[1].DeepCopy()
	now := metav1.Now()
	leaving.DeletionTimestamp = &now
	leaving.Finalizers = []string{"x/y"}
	if _, err := client.CoreV1().Pods("n").Update(t.Context(), leaving, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := seen(t, w, "two down", readyIs(2)); got.Falls != 1 || got.Violations[0].Floor != 3 || got.Violations[0].Ready != 2 {
		t.Errorf("%+v", got)
	}
	if err := client.CoreV1().Pods("n").Delete(t.Context(), pods[2].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := seen(t, w, "three down", readyIs(1)); got.Falls != 1 || got.Lowest != 1 || got.PodSecondsBelow <= 0 {
		t.Errorf("one fall was counted twice: %+v", got)
	}
	unready(pods[0], corev1.ConditionTrue)
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "web-1", UID: "r-web"}}
	fresh := podOf(set, "ReplicaSet", 9)
	if _, err := client.CoreV1().Pods("n").Create(t.Context(), fresh, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	seen(t, w, "back up", readyIs(3))
	unready(fresh, corev1.ConditionFalse)
	if got := seen(t, w, "the second fall", readyIs(2)); got.Falls != 2 || w.Report().Violations != 2 {
		t.Errorf("%+v", got)
	}
	w.Restart()
	if got := seen(t, w, "counting anew", readyIs(2)); got.Falls != 0 || got.ReadyStart != 2 {
		t.Errorf("%+v", got)
	}
}

// TestPodSecondsBelow: two pods missing for three seconds, then one for two.
func TestPodSecondsBelow(t *testing.T) {
	t.Parallel()
	var w workload
	at := time.Now()
	for _, short := range []struct{ pods, seconds int }{{0, 10}, {2, 1}, {2, 2}, {1, 2}, {0, 60}} {
		w.lacks(short.pods, at)
		at = at.Add(time.Duration(short.seconds) * time.Second)
	}
	w.lacks(0, at)
	if w.seen.PodSecondsBelow != 8 {
		t.Errorf("%g pod-seconds below, want 8", w.seen.PodSecondsBelow)
	}
}

func TestScalingIsNoFall(t *testing.T) {
	t.Parallel()
	client, w, pods := begin(t, 3, rolling("0", "1"))
	scale := func(n int32) {
		d, _ := deployment("web", n, rolling("0", "1"))
		if _, err := client.AppsV1().Deployments("n").Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		seen(t, w, "the new size", func(w Workload) bool { return w.Replicas == int(n) })
	}
	scale(6) // more are wanted than there are: nothing has fallen
	scale(2)
	if err := client.CoreV1().Pods("n").Delete(t.Context(), pods[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := seen(t, w, "two left", readyIs(2)); got.Falls != 0 || got.AtStart != 3 || got.ReadyStart != 3 {
		t.Errorf("%+v", got)
	}
	if err := client.AppsV1().Deployments("n").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	seen(t, w, "deletion", func(w Workload) bool { return w.Gone })
	if err := client.CoreV1().Pods("n").Delete(t.Context(), pods[1].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := seen(t, w, "the end", readyIs(1)); got.Falls != 0 {
		t.Errorf("deleting a workload was counted: %+v", got)
	}
}

func TestWhatIsNotWatched(t *testing.T) {
	t.Parallel()
	d, set := deployment("web", 1, nil)
	stateful := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "db", UID: "s-db"},
		Spec:       appsv1.StatefulSetSpec{Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "db"}}}},
	}
	daemons := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "agent", UID: "ds"}}
	bare := podOf(daemons, "DaemonSet", 1)
	client := fake.NewClientset(d, set, podOf(set, "ReplicaSet", 0), stateful, podOf(stateful, "StatefulSet", 0), daemons, bare)
	w := New(time.Now, nil)
	t.Cleanup(w.Close)
	if err := w.WatchClient(t.Context(), "id", "c", client); err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(t.Context(), "id", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	got := w.Report().Clusters[0].Workloads
	if len(got) != 2 || got[0].Workload != "Deployment/n/web" || got[1].Workload != "StatefulSet/n/db" || got[1].Required != 0 {
		t.Errorf("%+v", got)
	}
	if err := w.Begin(t.Context(), "other", time.Second); err == nil {
		t.Error("an unknown cluster was begun")
	}
	w.Forget("id")
	if got := w.Report().Clusters; len(got) != 0 {
		t.Errorf("forgotten clusters are reported: %+v", got)
	}
}

func TestBeginNamesWhatIsNotReady(t *testing.T) {
	t.Parallel()
	d, set := deployment("web", 2, nil)
	client := fake.NewClientset(d, set, podOf(set, "ReplicaSet", 0))
	w := New(time.Now, nil)
	t.Cleanup(w.Close)
	if err := w.WatchClient(context.Background(), "id", "c", client); err != nil {
		t.Fatal(err)
	}
	err := w.Begin(t.Context(), "id", 300*time.Millisecond)
	if want := "cluster c: after 300ms these were not Ready: Deployment/n/web"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
