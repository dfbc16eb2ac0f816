package kube

import (
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// imagesOf names the images of a pod's containers, sorted. Pods of one workload
// share the names, so that a large cluster's snapshot holds each once.
func imagesOf(spec *corev1.PodSpec) []string {
	var images []string
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			if image := containers[i].Image; image != "" { // an API server lets a template leave it out
				images = append(images, unique.Make(image).Value())
			}
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// cannotPull are the reasons for which a container waits because its image is
// not to be had.
var cannotPull = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "SignatureValidationFailed"}

// pullsOf says of each image of a pod that only pulls whether it is on the node.
// A kubelet pulls a container's image before it does anything else about it, so
// whatever else the container waits for, or failed at, comes after the pull.
func pullsOf(pod *corev1.Pod) []fleet.Pull {
	pulls := make([]fleet.Pull, 0, len(pod.Spec.Containers))
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		pull := fleet.Pull{Image: container.Image}
		at := slices.IndexFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == container.Name })
		if at < 0 {
			if pod.Status.Phase == corev1.PodFailed { // its kubelet would not have it
				pull.Failed = pod.Status.Reason + ": " + pod.Status.Message
			}
			pulls = append(pulls, pull)
			continue
		}
		switch state := pod.Status.ContainerStatuses[at].State; {
		case state.Running != nil, state.Terminated != nil:
			pull.Done = true
		case state.Waiting == nil, state.Waiting.Reason == "", state.Waiting.Reason == "ContainerCreating", state.Waiting.Reason == "PodInitializing":
		case slices.Contains(cannotPull, state.Waiting.Reason):
			pull.Failed = state.Waiting.Reason + ": " + state.Waiting.Message
		default:
			pull.Done = true
		}
		pulls = append(pulls, pull)
	}
	return pulls
}
