package kube

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"liftlock.dev/liftlock/sim/aks"
)

const (
	// startupTaintsAnnotation lists the keys of taints that the agent removes
	// once the node's own agents run, separated by commas.
	startupTaintsAnnotation = prefix + "startup-taints"
	imageVersionLabel       = "kubernetes.azure.com/node-image-version"
	clusterLabel            = "kubernetes.azure.com/cluster"
	diskZoneLabel           = "topology.disk.csi.azure.com/zone"
	diskDriver              = "disk.csi.azure.com"
	attachDetachAnnotation  = "volumes.kubernetes.io/controller-managed-attach-detach"
)

// AddNode implements aks.Cluster. The node appears NotReady in the last third
// of its boot, as a machine joins before its network is up. A node that does
// not get Ready in time is removed again.
func (c *Cluster) AddNode(ctx context.Context, spec aks.NodeSpec) (err error) {
	if err := check(spec); err != nil {
		return fmt.Errorf("add node to cluster %s: %w", c.spec.Name, err)
	}
	boot := c.nodeBoot()
	if err := pause(ctx, boot*2/3); err != nil {
		return fmt.Errorf("boot node %s: %w", spec.Name, err)
	}
	node := newNode(spec)
	setReady(node, corev1.ConditionFalse, "KubeletNotReady", "container runtime network not ready: cni plugin not initialized")
	created, err := c.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("add node %s: %w", spec.Name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.RemoveNode(context.WithoutCancel(ctx), spec.Name))
		}
	}()
	if err := c.renewLease(ctx, created); err != nil {
		return fmt.Errorf("add node %s: %w", spec.Name, err)
	}
	if _, err := c.client.StorageV1().CSINodes().Create(ctx, newCSINode(created, spec), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("register the disk driver on node %s: %w", spec.Name, err)
	}
	if err := pause(ctx, boot-boot*2/3); err != nil {
		return fmt.Errorf("boot node %s: %w", spec.Name, err)
	}
	return c.power(ctx, spec.Name)
}

// Reimage implements aks.Cluster.
func (c *Cluster) Reimage(ctx context.Context, spec aks.NodeSpec) error {
	if err := check(spec); err != nil {
		return fmt.Errorf("reimage node of cluster %s: %w", c.spec.Name, err)
	}
	boot := c.nodeBoot()
	// Off: no kubelet, and what it said last.
	err := c.updateNode(ctx, spec.Name, func(node *corev1.Node) {
		delete(node.Labels, kubeletLabel)
	}, func(node *corev1.Node) {
		setReady(node, corev1.ConditionFalse, "KubeletNotReady", "node is shutting down")
	})
	if err != nil {
		return fmt.Errorf("reimage node %s: %w", spec.Name, err)
	}
	if err := c.restartPods(ctx, spec.Name, containersStopped); err != nil {
		return fmt.Errorf("reimage node %s: %w", spec.Name, err)
	}
	if err := pause(ctx, boot); err != nil {
		return fmt.Errorf("reimage node %s: %w", spec.Name, err)
	}
	fresh := newNode(spec)
	err = c.updateNode(ctx, spec.Name, func(node *corev1.Node) {
		maps.Copy(node.Labels, fresh.Labels)
		delete(node.Labels, kubeletLabel)
		maps.Copy(node.Annotations, fresh.Annotations)
		for _, taint := range fresh.Spec.Taints {
			node.Spec.Taints = withTaint(node.Spec.Taints, taint)
		}
	}, func(node *corev1.Node) {
		node.Status.NodeInfo = fresh.Status.NodeInfo
		node.Status.Capacity, node.Status.Allocatable = fresh.Status.Capacity, fresh.Status.Allocatable
		node.Status.Images = nil
	})
	if err != nil {
		return fmt.Errorf("reimage node %s: %w", spec.Name, err)
	}
	if err := c.restartPods(ctx, spec.Name, containersWaiting); err != nil {
		return fmt.Errorf("reimage node %s: %w", spec.Name, err)
	}
	return c.power(ctx, spec.Name)
}

// power lets a node's kubelet run, and returns when the scheduler may use it.
func (c *Cluster) power(ctx context.Context, name string) error {
	err := c.updateNode(ctx, name, func(node *corev1.Node) {
		node.Labels[kubeletLabel] = "running"
	}, func(node *corev1.Node) {
		setReady(node, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status")
	})
	if err != nil {
		return fmt.Errorf("make node %s ready: %w", name, err)
	}
	return c.until(ctx, "node "+name+" to be schedulable", func(ctx context.Context) (bool, error) {
		node, err := c.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, taint := range node.Spec.Taints {
			if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
				return false, nil
			}
		}
		return true, nil
	})
}

// RemoveNode implements aks.Cluster. Removing a node that is gone is no error.
func (c *Cluster) RemoveNode(ctx context.Context, name string) error {
	if err := c.detachDisks(ctx, name); err != nil {
		return fmt.Errorf("remove node %s: %w", name, err)
	}
	// The node before its pods, so that none is replaced there.
	err := c.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove node %s: %w", name, err)
	}
	// They would go with their owner, but not before a node of the same name may
	// come.
	err = c.client.StorageV1().CSINodes().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the disk driver of node %s: %w", name, err)
	}
	err = c.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the lease of node %s: %w", name, err)
	}
	return c.until(ctx, "the pods of node "+name+" to be gone", func(ctx context.Context) (bool, error) {
		pods, err := c.podsOn(ctx, name)
		if err != nil {
			return false, err
		}
		for i := range pods {
			if err := c.kill(ctx, &pods[i]); err != nil {
				return false, err
			}
		}
		return len(pods) == 0, nil
	})
}

// detachDisks takes the disks off a machine that goes, which ends the pods that
// still use them. Without it Kubernetes would hold the disks for six minutes.
func (c *Cluster) detachDisks(ctx context.Context, name string) error {
	used := func(ctx context.Context) (bool, error) {
		attachments, err := c.client.StorageV1().VolumeAttachments().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, fmt.Errorf("list attached disks: %w", err)
		}
		for i := range attachments.Items {
			if attachments.Items[i].Spec.NodeName == name {
				return true, nil
			}
		}
		return false, nil
	}
	if inUse, err := used(ctx); err != nil || !inUse {
		return err
	}
	if err := c.SetUnschedulable(ctx, name, true); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	return c.until(ctx, "the disks of node "+name+" to be detached", func(ctx context.Context) (bool, error) {
		pods, err := c.podsOn(ctx, name)
		if err != nil {
			return false, err
		}
		for i := range pods {
			for j := range pods[i].Spec.Volumes {
				if claimName(&pods[i], &pods[i].Spec.Volumes[j]) == "" {
					continue
				}
				if err := c.kill(ctx, &pods[i]); err != nil {
					return false, err
				}
				break
			}
		}
		inUse, err := used(ctx)
		return !inUse, err
	})
}

// kill removes a pod whose machine is gone.
func (c *Cluster) kill(ctx context.Context, pod *corev1.Pod) error {
	var now int64
	uid := pod.UID
	err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now,
		Preconditions:      &metav1.Preconditions{UID: &uid},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("remove pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// SetUnschedulable implements aks.Cluster.
func (c *Cluster) SetUnschedulable(ctx context.Context, name string, unschedulable bool) error {
	err := c.updateNode(ctx, name, func(node *corev1.Node) {
		node.Spec.Unschedulable = unschedulable
		if !unschedulable {
			// The controller would follow in a moment; whoever uncordoned expects
			// pods to fit at once.
			node.Spec.Taints = withoutTaint(node.Spec.Taints, corev1.TaintNodeUnschedulable)
		}
	}, nil)
	if err != nil {
		return fmt.Errorf("set node %s unschedulable to %t: %w", name, unschedulable, err)
	}
	return nil
}

// SetLabels implements aks.Cluster.
func (c *Cluster) SetLabels(ctx context.Context, name string, labels map[string]string) error {
	err := c.updateNode(ctx, name, func(node *corev1.Node) {
		for key, value := range labels {
			if value == "" {
				delete(node.Labels, key)
			} else {
				node.Labels[key] = value
			}
		}
	}, nil)
	if err != nil {
		return fmt.Errorf("label node %s: %w", name, err)
	}
	return nil
}

// updateNode changes a node and then its status; either may be nil.
func (c *Cluster) updateNode(ctx context.Context, name string, object, status func(*corev1.Node)) error {
	nodes := c.client.CoreV1().Nodes()
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		node, err := nodes.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if object != nil {
			object(node)
			if node, err = nodes.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		if status != nil {
			status(node)
			_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
		}
		return err
	})
}

func (c *Cluster) podsOn(ctx context.Context, node string) ([]corev1.Pod, error) {
	list, err := c.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return nil, fmt.Errorf("list the pods of node %s: %w", node, err)
	}
	return list.Items, nil
}

// restartPods writes what becomes of the pods that stay on a node while it is
// replaced: those of DaemonSets, and what a drain left.
func (c *Cluster) restartPods(ctx context.Context, node string, change func(*corev1.Pod)) error {
	pods, err := c.podsOn(ctx, node)
	if err != nil {
		return err
	}
	for i := range pods {
		namespace, name := pods[i].Namespace, pods[i].Name
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			pod, err := c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if pod.Spec.NodeName != node || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
				return nil
			}
			change(pod)
			_, err = c.client.CoreV1().Pods(namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
			return err
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("restart pod %s/%s: %w", namespace, name, err)
		}
	}
	return nil
}

func containersStopped(pod *corev1.Pod) {
	notReady(pod)
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		status.Ready = false
		status.Started = new(bool)
	}
}

func containersWaiting(pod *corev1.Pod) {
	notReady(pod)
	pod.Status.Phase = corev1.PodPending
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		status.Ready = false
		status.Started = new(bool)
		status.RestartCount++
		status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	}
}

func notReady(pod *corev1.Pod) {
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		if condition.Type != corev1.PodReady && condition.Type != corev1.ContainersReady {
			continue
		}
		if condition.Status != corev1.ConditionFalse {
			condition.LastTransitionTime = metav1.Now()
		}
		condition.Status, condition.Reason = corev1.ConditionFalse, "ContainersNotReady"
	}
}

// until polls until done says so.
func (c *Cluster) until(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// machine derives what a node tells of itself from its specification.
type machine struct{ aks.NodeSpec }

func newMachine(spec aks.NodeSpec) machine {
	if spec.OS == "" {
		spec.OS = "linux"
	}
	if spec.Architecture == "" {
		spec.Architecture = "amd64"
	}
	if spec.MaxPods == 0 {
		spec.MaxPods = 110
	}
	return machine{spec}
}

var (
	poolInName        = regexp.MustCompile(`^aks-([a-z0-9]+)-\d+-vmss`)
	groupInProviderID = regexp.MustCompile(`(?i)/resourceGroups/([^/]+)/`)
)

func (m machine) labels() map[string]string {
	labels := map[string]string{
		corev1.LabelHostname:           m.Name,
		corev1.LabelOSStable:           m.OS,
		corev1.LabelArchStable:         m.Architecture,
		"beta.kubernetes.io/os":        m.OS,
		"beta.kubernetes.io/arch":      m.Architecture,
		corev1.LabelInstanceTypeStable: m.VMSize,
		corev1.LabelInstanceType:       m.VMSize,
		corev1.LabelTopologyRegion:     m.Region,
		corev1.LabelTopologyZone:       m.Zone,
		imageVersionLabel:              m.Image,
		"kubernetes.azure.com/role":    "agent",
		kubeletLabel:                   "running",
	}
	if pool := poolInName.FindStringSubmatch(m.Name); pool != nil {
		labels["agentpool"], labels["kubernetes.azure.com/agentpool"] = pool[1], pool[1]
	}
	if group := groupInProviderID.FindStringSubmatch(m.ProviderID); group != nil {
		labels[clusterLabel] = group[1]
	}
	maps.Copy(labels, m.Labels)
	// The disk driver spells "no zone" as an empty value.
	labels[diskZoneLabel] = ""
	if zone := labels[corev1.LabelTopologyZone]; strings.Contains(zone, "-") {
		labels[diskZoneLabel] = zone
	}
	return labels
}

func (m machine) capacity() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewMilliQuantity(m.MilliCPU, resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(m.MemoryBytes, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(m.MaxPods, resource.DecimalSI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(128<<30, resource.BinarySI),
	}
}

// allocatable takes off what AKS reserves: CPU by the number of cores, memory
// by the number of pods, and the eviction threshold.
func (m machine) allocatable() corev1.ResourceList {
	reservedCPU := int64(60)
	for _, step := range []struct{ cores, milli int64 }{{2, 100}, {4, 140}, {8, 180}, {16, 260}, {32, 420}, {64, 740}} {
		if m.MilliCPU >= step.cores*1000 {
			reservedCPU = step.milli
		}
	}
	const mebibyte = 1 << 20
	reservedMemory := min((20*m.MaxPods+50)*mebibyte, m.MemoryBytes/4) + 100*mebibyte
	list := m.capacity()
	list[corev1.ResourceCPU] = *resource.NewMilliQuantity(max(m.MilliCPU-reservedCPU, 0), resource.DecimalSI)
	list[corev1.ResourceMemory] = *resource.NewQuantity(max(m.MemoryBytes-reservedMemory, 0), resource.BinarySI)
	list[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(115<<30, resource.BinarySI)
	return list
}

func (m machine) info() corev1.NodeSystemInfo {
	image := "Ubuntu 22.04.5 LTS"
	kernel := "5.15.0-1092-azure"
	switch {
	case m.OS == "windows":
		image, kernel = "Windows Server 2022 Datacenter", "10.0.20348.4171"
	case strings.HasPrefix(m.Image, "AKSAzureLinux"):
		image, kernel = "Microsoft Azure Linux 3.0", "6.6.96.2-1.azl3"
	}
	return corev1.NodeSystemInfo{
		MachineID:               hexOf(m.Name, "machine"),
		SystemUUID:              hexOf(m.Name, m.ProviderID),
		BootID:                  m.BootID,
		KernelVersion:           kernel,
		OSImage:                 image,
		ContainerRuntimeVersion: "containerd://2.0.5-1",
		KubeletVersion:          "v" + m.Version,
		OperatingSystem:         m.OS,
		Architecture:            m.Architecture,
	}
}

// address is the node's own for all practical purposes.
func (m machine) address() string {
	sum := hash64(m.Name)
	return fmt.Sprintf("10.%d.%d.%d", 64+sum%64, sum>>8%256, 1+sum>>16%254)
}

func hexOf(parts ...string) string { return fmt.Sprintf("%016x", hash64(parts...)) }

func hash64(parts ...string) uint64 {
	hash := fnv.New64a()
	for _, part := range parts {
		_, _ = hash.Write([]byte(part))
	}
	return hash.Sum64()
}

// check refuses what would come to light much later otherwise.
func check(spec aks.NodeSpec) error {
	switch {
	case spec.Name == "":
		return errors.New("the node has no name")
	case spec.Version == "" || strings.HasPrefix(spec.Version, "v"):
		return fmt.Errorf("node %s: kubelet version %q is not of the form 1.34.4", spec.Name, spec.Version)
	case spec.MilliCPU <= 0 || spec.MemoryBytes <= 0:
		return fmt.Errorf("node %s: %d millicores and %d bytes of memory hold nothing", spec.Name, spec.MilliCPU, spec.MemoryBytes)
	}
	return nil
}
