package evacuation

import (
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func seenPod(name, owner, node string, isReady bool) *corev1.Pod {
	yes := true
	status := corev1.ConditionFalse
	if isReady {
		status = corev1.ConditionTrue
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "n", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "web"},
			OwnerReferences: []metav1.OwnerReference{{Kind: owner, Name: "x", Controller: &yes}},
		},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}},
	}
}

func seenNode(name, image string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.azure.com/node-image-version": image}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("3"), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourcePods: resource.MustParse("10"),
		}},
	}
}

// TestRecorder follows two pods of a workload to a new node, one of them by a
// detour.
func TestRecorder(t *testing.T) {
	r := &recorder{pods: map[types.UID]*corev1.Pod{}, nodes: map[string]*corev1.Node{}}
	for _, o := range []any{
		seenNode("old", oldImage), seenPod("a", "ReplicaSet", "old", true), seenPod("b", "ReplicaSet", "old", true), seenPod("agent", "DaemonSet", "old", true),
		seenPod("job", "Job", "old", true),
	} {
		r.seen(o)
	}
	r.begin(time.Now())
	left := func(want string) {
		t.Helper()
		if got := r.left(old); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("left: %q, want %q", got, want)
		}
	}
	left("3 pods on nodes that are to go (n/a, n/b, n/job), 0 not Ready")
	r.seen(seenNode("new", newImage))
	r.seen(seenPod("agent2", "DaemonSet", "new", true))
	if got, want := r.on("old"), (round{"Deployment/n/web": 2}); !maps.Equal(got, want) {
		t.Errorf("on the old node are %v, want %v", got, want)
	}
	if got, want := r.there([]string{"old"}), "2 pods on them (n/a, n/b)"; got != want {
		t.Errorf("there: %q, want %q", got, want)
	}
	r.seen(seenPod("a2", "ReplicaSet", "old", true)) // moved to where it will have to go again
	r.gone(seenPod("a", "ReplicaSet", "old", true))
	r.seen(seenPod("a3", "ReplicaSet", "new", true))
	r.seen(seenPod("b2", "ReplicaSet", "new", false))
	r.gone(seenPod("a2", "ReplicaSet", "old", true))
	r.gone(seenPod("b", "ReplicaSet", "old", true))
	left("1 pods on nodes that are to go (n/job), 1 not Ready elsewhere (n/b2)")
	r.seen(seenPod("b2", "ReplicaSet", "new", true))
	r.gone(seenPod("job", "Job", "old", true))
	left("")
	if got := r.there([]string{"old"}); got != "" {
		t.Errorf("there: %q", got)
	}
	moves, extra := r.counts()
	if moves != 1.5 || extra != 1 {
		t.Errorf("%g moves per pod with %d extra nodes, want 1.5 and 1", moves, extra)
	}
	if again := r.again(); len(again) != 1 || again[0] != "Deployment/n/web 3 of 2" {
		t.Errorf("moved more than once: %v", again)
	}
}
