package kube

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// nothing is a command that no image has: the kubelet has pulled the image by the
// time it finds out, and nothing of the image ever runs.
const (
	nothing        = "/liftlock-pulls-and-runs-nothing"
	nothingWindows = `C:\liftlock-pulls-and-runs-nothing.exe`
	nobody         = int64(65534)
)

// prePull makes a pod on a node that pulls images. Its name follows from what it
// pulls, so one that is there already is the same one.
func (c *cluster) prePull(ctx context.Context, rollout string, action evacuate.Action) (evacuate.Outcome, error) {
	namespace, name, ok := strings.Cut(action.Pod, "/")
	if !ok {
		return evacuate.Outcome{}, fmt.Errorf("pod %q: not of the form namespace/name", action.Pod)
	}
	node, err := c.client.CoreV1().Nodes().Get(ctx, action.Node, metav1.GetOptions{})
	if err != nil {
		return evacuate.Outcome{}, err
	}
	if another(action, string(node.UID)) {
		return gone(action.UID, string(node.UID))
	}
	_, err = c.client.CoreV1().Pods(namespace).Create(ctx, puller(rollout, namespace, name, action), metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		return done("is there already")
	}
	if err != nil {
		return evacuate.Outcome{}, err
	}
	return done("")
}

// puller is a pod that the strictest Pod Security Standard takes, that asks for
// next to nothing, and that needs no scheduler: it is for one node.
func puller(rollout, namespace, name string, action evacuate.Action) *corev1.Pod {
	tiny := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("1m"),
		corev1.ResourceMemory: resource.MustParse("1Mi"),
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name,
			Labels: map[string]string{
				fleet.MarkPrePull:              rollout,
				"app.kubernetes.io/name":       "liftlock-prepull",
				"app.kubernetes.io/managed-by": "liftlock",
				"sidecar.istio.io/inject":      "false",
			},
			Annotations: map[string]string{
				"linkerd.io/inject": "disabled",
				"cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
			},
		},
		Spec: corev1.PodSpec{
			NodeName:                      action.Node,
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: new(int64),
			AutomountServiceAccountToken:  new(bool),
			EnableServiceLinks:            new(bool),
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		},
	}
	command, windows := nothing, strings.EqualFold(action.OS, "windows")
	var confined *corev1.SecurityContext
	if windows {
		command = nothingWindows
		pod.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: new(true)}
	} else {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(nobody),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
		confined = &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(bool),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	}
	for i, image := range action.Images {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
			Name: fmt.Sprintf("image-%d", i), Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
			Command: []string{command}, SecurityContext: confined,
			Resources: corev1.ResourceRequirements{Requests: tiny},
		})
	}
	for _, secret := range action.Secrets {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
	}
	return pod
}

// endPull deletes a pod that prePull made, and no other.
func (c *cluster) endPull(ctx context.Context, action evacuate.Action) (evacuate.Outcome, error) {
	pod, outcome, err := c.podOf(ctx, action)
	if pod == nil {
		return outcome, err
	}
	switch {
	case pod.Labels[fleet.MarkPrePull] == "":
		return refused("is not one that pulls images for Liftlock")
	case pod.DeletionTimestamp != nil:
		return done("is terminating")
	}
	err = c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if err != nil {
		return evacuate.Outcome{}, err
	}
	return done("")
}
