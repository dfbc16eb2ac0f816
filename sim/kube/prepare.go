package kube

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"liftlock.dev/liftlock/sim/aks"
)

// prepare lets pods start that wait for disks and images, as a kubelet does: the
// disks attached to its node first, then the images that the node lacks.
func (a *agent) prepare(ctx context.Context, p *pass) error {
	pods, err := a.pods.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, pod := range pods {
		waits := pod.Spec.NodeName != "" && pod.Status.Phase == corev1.PodPending && pod.DeletionTimestamp == nil
		if !waits || pod.Annotations[preparedAnnotation] != "" || !needsPreparation(pod) {
			continue
		}
		if ok, err := a.disksAttached(pod); err != nil || !ok {
			if err != nil && !apierrors.IsNotFound(err) {
				return err
			}
			continue // looked at again when claims or attachments change
		}
		if ok, err := a.pull(ctx, p, pod); err != nil {
			return fmt.Errorf("pull the images of pod %s/%s: %w", pod.Namespace, pod.Name, err)
		} else if !ok {
			continue
		}
		patch := fmt.Sprintf(`{"metadata":{"uid":%q,"annotations":{%q:"true"}}}`, pod.UID, preparedAnnotation)
		_, err := a.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("let pod %s/%s start: %w", pod.Namespace, pod.Name, err)
		}
	}
	return nil
}

func needsPreparation(pod *corev1.Pod) bool {
	if _, pulls := pod.Annotations[imagePullKey]; pulls {
		return true
	}
	for i := range pod.Spec.Containers {
		if pullInName.MatchString(pod.Spec.Containers[i].Image) {
			return true
		}
	}
	for i := range pod.Spec.Volumes {
		if claimName(pod, &pod.Spec.Volumes[i]) != "" {
			return true
		}
	}
	return false
}

func claimName(pod *corev1.Pod, volume *corev1.Volume) string {
	switch {
	case volume.PersistentVolumeClaim != nil:
		return volume.PersistentVolumeClaim.ClaimName
	case volume.Ephemeral != nil:
		return pod.Name + "-" + volume.Name
	}
	return ""
}

// disksAttached tells whether the disks of a pod are attached to its node.
func (a *agent) disksAttached(pod *corev1.Pod) (bool, error) {
	for i := range pod.Spec.Volumes {
		name := claimName(pod, &pod.Spec.Volumes[i])
		if name == "" {
			continue
		}
		claim, err := a.claims.PersistentVolumeClaims(pod.Namespace).Get(name)
		if err != nil {
			return false, err
		}
		if claim.Spec.VolumeName == "" {
			return false, nil
		}
		volume, err := a.volumes.Get(claim.Spec.VolumeName)
		if err != nil {
			return false, err
		}
		if volume.Spec.CSI == nil || volume.Spec.CSI.Driver != diskDriver {
			continue
		}
		nodes, err := a.attachedTo(volume.Name)
		if err != nil {
			return false, err
		}
		if len(nodes) != 1 || nodes[0] != pod.Spec.NodeName {
			return false, nil
		}
		// A kubelet mounts what its node's status says is attached, which comes
		// last.
		node, err := a.nodes.Get(pod.Spec.NodeName)
		if err != nil {
			return false, err
		}
		told := corev1.UniqueVolumeName("kubernetes.io/csi/" + diskDriver + "^" + volume.Spec.CSI.VolumeHandle)
		if !slices.ContainsFunc(node.Status.VolumesAttached, func(v corev1.AttachedVolume) bool { return v.Name == told }) {
			return false, nil
		}
	}
	return true, nil
}

// pull tells whether the node has a pod's images, and sees to it that it will.
// Images are pulled one after the other, as kubelets do by default.
func (a *agent) pull(ctx context.Context, p *pass, pod *corev1.Pod) (bool, error) {
	node, err := a.nodes.Get(pod.Spec.NodeName)
	if err != nil {
		return false, err
	}
	for i := range pod.Spec.Containers {
		image := pod.Spec.Containers[i].Image
		span, bytes, pulls := a.pullOf(ctx, pod, image)
		if !pulls || hasImage(node, image) {
			continue
		}
		if !p.isDue("pull/"+string(node.UID)+node.Status.NodeInfo.BootID+"/"+image, func() time.Duration { return a.dice.draw(span) }) {
			return false, nil
		}
		err := a.cluster.updateNode(ctx, node.Name, nil, func(node *corev1.Node) {
			if !hasImage(node, image) {
				node.Status.Images = append(node.Status.Images, corev1.ContainerImage{Names: []string{image}, SizeBytes: bytes})
			}
		})
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

var (
	pullInName = regexp.MustCompile(`/pull-([0-9a-z.]+)/`)
	sizeInName = regexp.MustCompile(`/size-([0-9]+)([mg])i/`)
)

// pullOf tells how long an image takes to be pulled and how large it is; pulls
// is false for one that every node has.
func (a *agent) pullOf(ctx context.Context, pod *corev1.Pod, image string) (span aks.Range, bytes int64, pulls bool) {
	bytes = 100 << 20
	if m := sizeInName.FindStringSubmatch(image); m != nil {
		n, _ := strconv.ParseInt(m[1], 10, 32) // the pattern is one of digits
		bytes = n << map[string]int{"m": 20, "g": 30}[m[2]]
	}
	takes, told := pod.Annotations[imagePullKey]
	if m := pullInName.FindStringSubmatch(image); m != nil {
		takes, told = m[1], true
	}
	if !told {
		return span, bytes, false
	}
	span, err := parseSpan(takes)
	if err != nil {
		// A pod that never starts would not tell anyone why.
		a.log.WarnContext(ctx, "time of an image pull ignored", "pod", pod.Namespace+"/"+pod.Name, "image", image, "error", err)
		return span, bytes, false
	}
	return span, bytes, true
}

func hasImage(node *corev1.Node, image string) bool {
	for _, has := range node.Status.Images {
		if slices.Contains(has.Names, image) {
			return true
		}
	}
	return false
}

// parseSpan reads "2s-5s" or "2s".
func parseSpan(text string) (aks.Range, error) {
	low, high, ok := strings.Cut(text, "-")
	if !ok {
		high = low
	}
	least, err := time.ParseDuration(low)
	if err != nil {
		return aks.Range{}, fmt.Errorf("%q is no range such as 2s-5s: %w", text, err)
	}
	most, err := time.ParseDuration(high)
	if err != nil {
		return aks.Range{}, fmt.Errorf("%q is no range such as 2s-5s: %w", text, err)
	}
	return aks.Range{Min: least, Max: most}, nil
}
