package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// A kubelet pulls first: whatever a container waits for or failed at, other than
// its image, says that the image is there.
func TestPullsOf(t *testing.T) {
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "so"}}
	}
	states := []struct {
		state corev1.ContainerState
		want  fleet.Pull
	}{
		{waiting("ContainerCreating"), fleet.Pull{}},
		{waiting(""), fleet.Pull{}},
		{waiting("ErrImagePull"), fleet.Pull{Failed: "ErrImagePull: so"}},
		{waiting("ImagePullBackOff"), fleet.Pull{Failed: "ImagePullBackOff: so"}},
		{waiting("CreateContainerConfigError"), fleet.Pull{Done: true}},
		{waiting("RunContainerError"), fleet.Pull{Done: true}},
		{corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, fleet.Pull{Done: true}},
		{corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError"}}, fleet.Pull{Done: true}},
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{fleet.MarkPrePull: "r"}}}
	var want []fleet.Pull
	for i, s := range states {
		name := string(rune('a' + i))
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name, Image: name + ":1"})
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, State: s.state})
		s.want.Image = name + ":1"
		want = append(want, s.want)
	}
	if diff := cmp.Diff(want, toPod(pod).pod.Pulls); diff != "" {
		t.Errorf("pulls (-want +got):\n%s", diff)
	}
	refused := &corev1.Pod{
		ObjectMeta: pod.ObjectMeta, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a:1"}}},
		Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfpods", Message: "node is full"},
	}
	if diff := cmp.Diff([]fleet.Pull{{Image: "a:1", Failed: "OutOfpods: node is full"}}, toPod(refused).pod.Pulls); diff != "" {
		t.Errorf("a pod that its kubelet would not have (-want +got):\n%s", diff)
	}
	node := toNode(&corev1.Node{Status: corev1.NodeStatus{Images: []corev1.ContainerImage{
		{Names: []string{"docker.io/library/nginx@sha256:aa", "docker.io/library/nginx:1"}, SizeBytes: 7},
	}}})
	if diff := cmp.Diff(map[string]int64{"docker.io/library/nginx@sha256:aa": 7, "docker.io/library/nginx:1": 7}, node.Images); diff != "" {
		t.Errorf("images of a node (-want +got):\n%s", diff)
	}
}
