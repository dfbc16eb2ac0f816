package kube

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	provisionerAnnotation   = "volume.kubernetes.io/storage-provisioner"
	selectedNodeAnnotation  = "volume.kubernetes.io/selected-node"
	provisionedByAnnotation = "pv.kubernetes.io/provisioned-by"
	attacherFinalizer       = "external-attacher/disk-csi-azure-com"
)

// provision makes the disks that claims wait for, in the zone of the node that
// the scheduler chose, and removes those that were released.
func (a *agent) provision(ctx context.Context, _ *pass) error {
	claims, err := a.claims.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, claim := range claims {
		if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || claim.Annotations[provisionerAnnotation] != diskDriver {
			continue
		}
		if err := a.provisionOne(ctx, claim); err != nil {
			return fmt.Errorf("provision a disk for claim %s/%s: %w", claim.Namespace, claim.Name, err)
		}
	}
	volumes, err := a.volumes.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, volume := range volumes {
		ours := volume.Annotations[provisionedByAnnotation] == diskDriver && volume.DeletionTimestamp == nil
		if !ours || volume.Status.Phase != corev1.VolumeReleased || volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
			continue
		}
		if attached, err := a.attachedTo(volume.Name); err != nil || len(attached) > 0 {
			continue // looked at again when the attachment goes
		}
		err := a.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete the disk of volume %s: %w", volume.Name, err)
		}
	}
	return nil
}

func (a *agent) provisionOne(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Spec.StorageClassName == nil {
		return nil
	}
	class, err := a.classes.Get(*claim.Spec.StorageClassName)
	if err != nil {
		return err
	}
	zone := ""
	if chosen := claim.Annotations[selectedNodeAnnotation]; chosen != "" {
		node, err := a.nodes.Get(chosen)
		if err != nil {
			return err
		}
		zone = node.Labels[diskZoneLabel]
	} else if class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer {
		return nil
	}
	reclaim := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		reclaim = *class.ReclaimPolicy
	}
	name := "pvc-" + string(claim.UID)
	_, err = a.client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{provisionedByAnnotation: diskDriver},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      claim.Spec.Resources.Requests,
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			StorageClassName:              class.Name,
			PersistentVolumeReclaimPolicy: reclaim,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver:           diskDriver,
				VolumeHandle:     a.cluster.spec.ID + "/providers/Microsoft.Compute/disks/" + name,
				VolumeAttributes: class.Parameters,
			}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: diskZoneLabel, Operator: corev1.NodeSelectorOpIn, Values: []string{zone},
				}}}},
			}},
		},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// attachedTo returns the nodes that a volume is attached to.
func (a *agent) attachedTo(volume string) ([]string, error) {
	attachments, err := a.attachments.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	var nodes []string
	for _, attachment := range attachments {
		source := attachment.Spec.Source.PersistentVolumeName
		if attachment.Status.Attached && source != nil && *source == volume {
			nodes = append(nodes, attachment.Spec.NodeName)
		}
	}
	return nodes, nil
}

// attach does what the cluster's attach-detach controller asks for, each in the
// time that it takes. A disk that is still elsewhere is not attached.
func (a *agent) attach(ctx context.Context, p *pass) error {
	attachments, err := a.attachments.List(labels.Everything())
	if err != nil {
		return err
	}
	timing := a.cluster.spec.Timing
	for _, attachment := range attachments {
		if attachment.Spec.Attacher != diskDriver || attachment.Spec.Source.PersistentVolumeName == nil {
			continue
		}
		held := slices.Contains(attachment.Finalizers, attacherFinalizer)
		switch {
		case attachment.DeletionTimestamp != nil && held:
			detach := func() time.Duration {
				if !attachment.Status.Attached {
					return 0
				}
				return a.dice.draw(timing.VolumeDetach)
			}
			if p.isDue("detach/"+string(attachment.UID), detach) {
				err = a.detached(ctx, attachment)
			}
		case attachment.DeletionTimestamp != nil || attachment.Status.Attached:
		case !held:
			err = a.hold(ctx, attachment)
		case p.isDue("attach/"+string(attachment.UID), func() time.Duration { return a.dice.draw(timing.VolumeAttach) }):
			err = a.attached(ctx, attachment)
		}
		if err != nil {
			return fmt.Errorf("attach volume %s to node %s: %w", *attachment.Spec.Source.PersistentVolumeName, attachment.Spec.NodeName, err)
		}
	}
	return nil
}

// hold keeps the attachment from vanishing before its disk is detached.
func (a *agent) hold(ctx context.Context, attachment *storagev1.VolumeAttachment) error {
	changed := attachment.DeepCopy()
	changed.Finalizers = append(changed.Finalizers, attacherFinalizer)
	_, err := a.client.StorageV1().VolumeAttachments().Update(ctx, changed, metav1.UpdateOptions{})
	return err
}

func (a *agent) attached(ctx context.Context, attachment *storagev1.VolumeAttachment) error {
	if elsewhere, err := a.attachedTo(*attachment.Spec.Source.PersistentVolumeName); err != nil || len(elsewhere) > 0 {
		return err // looked at again when the other attachment changes
	}
	changed := attachment.DeepCopy()
	changed.Status.Attached = true
	_, err := a.client.StorageV1().VolumeAttachments().UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	return err
}

func (a *agent) detached(ctx context.Context, attachment *storagev1.VolumeAttachment) error {
	changed := attachment.DeepCopy()
	changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(f string) bool { return f == attacherFinalizer })
	_, err := a.client.StorageV1().VolumeAttachments().Update(ctx, changed, metav1.UpdateOptions{})
	return err
}
