package kube

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/resource"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// ownedPod is a pod whose topmost controller is not known yet.
type ownedPod struct {
	pod   fleet.Pod
	owner *metav1.OwnerReference // its controller; nil for a bare pod
}

// toPods converts one page of pods.
func toPods(page *corev1.PodList) []ownedPod {
	pods := make([]ownedPod, 0, len(page.Items))
	for i := range page.Items {
		pods = append(pods, toPod(&page.Items[i]))
	}
	return pods
}

func toPod(pod *corev1.Pod) ownedPod {
	p := fleet.Pod{
		Namespace:    pod.Namespace,
		Name:         pod.Name,
		UID:          string(pod.UID),
		Node:         pod.Spec.NodeName,
		Labels:       pod.Labels,
		Annotations:  pod.Annotations,
		Phase:        string(pod.Status.Phase),
		CreatedAt:    pod.CreationTimestamp.UTC(),
		Finalizers:   pod.Finalizers,
		LocalData:    localData(&pod.Spec),
		Claims:       claimsOf(pod),
		NodeSelector: pod.Spec.NodeSelector,
		Requests:     toResources(resource.PodRequests(pod, resource.PodResourcesOptions{})),
		Revision:     revision(pod.Labels),
		Images:       imagesOf(&pod.Spec),
		PoolAffinity: poolAffinity(pod.Spec.Affinity),
		Unprobed:     !slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.ReadinessProbe != nil }),
	}
	for _, secret := range pod.Spec.ImagePullSecrets {
		p.PullSecrets = append(p.PullSecrets, secret.Name)
	}
	if pod.Labels[fleet.MarkPrePull] != "" {
		p.Pulls = pullsOf(pod)
	}
	_, p.Mirror = pod.Annotations[corev1.MirrorPodAnnotationKey]
	if pod.Spec.Priority != nil {
		p.Priority = *pod.Spec.Priority
	}
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		p.GraceSeconds = *pod.Spec.TerminationGracePeriodSeconds
		p.KilledAtOnce = p.GraceSeconds == 0
	}
	if pod.DeletionTimestamp != nil {
		p.DeletedAt = pod.DeletionTimestamp.UTC()
		if pod.DeletionGracePeriodSeconds != nil {
			p.GraceSeconds = *pod.DeletionGracePeriodSeconds
		}
	}
	for _, condition := range pod.Status.Conditions {
		switch condition.Type { //nolint:exhaustive // the others say nothing that moves depend on
		case corev1.PodReady:
			if p.Ready = condition.Status == corev1.ConditionTrue; p.Ready {
				p.ReadySince = condition.LastTransitionTime.UTC()
			}
		case corev1.PodScheduled:
			if condition.Status == corev1.ConditionFalse && condition.Reason == corev1.PodReasonUnschedulable {
				p.Unschedulable = condition.Message
			}
		}
	}
	p.WaitingReason = waitingReason(&pod.Status)

	owner := metav1.GetControllerOfNoCopy(pod)
	if owner != nil && isGroup(owner, "") && owner.Kind == "Node" {
		// A static pod is its kubelet's; a bare pod in all that matters here.
		p.Mirror, owner = true, nil
	}
	if owner != nil {
		copied := *owner // else the whole page stays in memory
		owner = &copied
	}
	return ownedPod{pod: p, owner: owner}
}

// poolAffinity lists the agent pools that required node affinity names; none
// where one of its terms, any of which is enough, names no pool.
func poolAffinity(affinity *corev1.Affinity) []string {
	if affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	var pools []string
	for _, term := range affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		bound := false
		for _, e := range term.MatchExpressions {
			if (e.Key == labelPool || e.Key == labelPoolOld) && e.Operator == corev1.NodeSelectorOpIn {
				pools, bound = append(pools, e.Values...), true
			}
		}
		if !bound {
			return nil
		}
	}
	slices.Sort(pools)
	return slices.Compact(pools)
}

func revision(labels map[string]string) string {
	if hash := labels["pod-template-hash"]; hash != "" {
		return hash
	}
	return labels["controller-revision-hash"]
}

// waitingReason is why the first container that waits does so. Being created is
// no reason: every container is at some time.
func waitingReason(status *corev1.PodStatus) string {
	for _, containers := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range containers {
			if waiting := containers[i].State.Waiting; waiting != nil {
				if waiting.Reason != "" && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing" {
					return waiting.Reason
				}
			}
		}
	}
	return ""
}

// localData names the volumes whose data dies with the pod or stays behind on
// its node. Host paths that the pod only reads hold none of its data. Claims on
// node-bound volumes are added by the snapshot, which knows the volumes.
func localData(spec *corev1.PodSpec) []string {
	var data []string
	for i := range spec.Volumes {
		volume := &spec.Volumes[i]
		switch {
		case volume.EmptyDir != nil && volume.EmptyDir.Medium == corev1.StorageMediumMemory:
			data = append(data, "emptyDir "+volume.Name+" (Memory)")
		case volume.EmptyDir != nil:
			data = append(data, "emptyDir "+volume.Name)
		case volume.HostPath != nil && isWritten(spec, volume.Name):
			data = append(data, "hostPath "+volume.HostPath.Path)
		case volume.Ephemeral != nil:
			data = append(data, "ephemeral claim "+volume.Name)
		}
	}
	return data
}

func isWritten(spec *corev1.PodSpec, volume string) bool {
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			if slices.ContainsFunc(containers[i].VolumeMounts, func(m corev1.VolumeMount) bool {
				return m.Name == volume && !m.ReadOnly
			}) {
				return true
			}
		}
	}
	return false
}

// claimsOf names the claims that a pod mounts, those made for it included.
func claimsOf(pod *corev1.Pod) []string {
	var claims []string
	for i := range pod.Spec.Volumes {
		switch volume := &pod.Spec.Volumes[i]; {
		case volume.PersistentVolumeClaim != nil:
			claims = append(claims, volume.PersistentVolumeClaim.ClaimName)
		case volume.Ephemeral != nil:
			claims = append(claims, pod.Name+"-"+volume.Name)
		}
	}
	return claims
}

func toResources(list corev1.ResourceList) fleet.Resources {
	return fleet.Resources{
		MilliCPU: list.Cpu().MilliValue(),
		Memory:   list.Memory().Value(),
		Pods:     list.Pods().Value(),
	}
}

// isGroup reports whether an owner is of an API group, in whatever version.
func isGroup(owner *metav1.OwnerReference, group string) bool {
	return groupOf(owner.APIVersion) == group
}

func groupOf(apiVersion string) string {
	if group, _, found := strings.Cut(apiVersion, "/"); found {
		return group
	}
	return ""
}
