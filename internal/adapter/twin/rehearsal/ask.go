package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"liftlock.dev/liftlock/internal/rollout"
)

// probeKey marks the pods by which the scheduler is asked.
const probeKey = prefix + "probe"

const (
	// mostAsked bounds how many pods the scheduler is asked about.
	mostAsked = 50
	// answerIn is how long it has to answer.
	answerIn = 10 * time.Second
)

// Ask implements rollout.Stage: for each pod that is left, one like it is made
// that has no node, and deleted when the scheduler has spoken. It has an owner of its
// own, so that no controller takes it for one of its pods.
func (s *Stage) Ask(ctx context.Context, pool string) ([]rollout.HomelessPod, error) {
	s.cloud.mu.Lock()
	nodes := slices.Clone(s.cloud.nodes[pool])
	s.cloud.mu.Unlock()
	var left []*corev1.Pod
	for _, p := range s.kubelets.all() {
		owner := metav1.GetControllerOfNoCopy(p)
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if owner == nil || owner.Kind == "DaemonSet" || owner.Kind == "Job" || ended || p.DeletionTimestamp != nil || !slices.Contains(nodes, p.Spec.NodeName) {
			continue
		}
		left = append(left, p)
	}
	slices.SortFunc(left, func(a, b *corev1.Pod) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	if len(left) > mostAsked {
		s.staged.Notes = append(s.staged.Notes, fmt.Sprintf("of %d pods that are left on pool %s the scheduler was asked about %d", len(left), pool, mostAsked))
		left = left[:mostAsked]
	}
	homeless := []rollout.HomelessPod{}
	for i, p := range left {
		why, err := s.ask(ctx, i, p)
		if err != nil {
			return nil, fmt.Errorf("ask the scheduler about pod %s/%s: %w", p.Namespace, p.Name, err)
		}
		if why != "" {
			homeless = append(homeless, rollout.HomelessPod{Pod: p.Namespace + "/" + p.Name, Why: why})
		}
	}
	return homeless, nil
}

// ask returns why the scheduler has no node for a pod; "" if it has one.
func (s *Stage) ask(ctx context.Context, n int, p *corev1.Pod) (why string, err error) {
	probe := again(p)
	probe.Name = fmt.Sprintf("rehearsal-probe-%d", n)
	metav1.SetMetaDataAnnotation(&probe.ObjectMeta, probeKey, "true")
	probe.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: prefix + "v1", Kind: "Probe", Name: probe.Name, UID: types.UID(probe.Name), Controller: new(true),
	}}
	pods := s.client.CoreV1().Pods(p.Namespace)
	made, err := pods.Create(ctx, probe, metav1.CreateOptions{})
	if err != nil {
		if answered(err) {
			return words(err), nil // a quota or a limit: no place either
		}
		return "", err
	}
	defer func() {
		gone := pods.Delete(context.WithoutCancel(ctx), made.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
		if gone != nil && !apierrors.IsNotFound(gone) {
			err = errors.Join(err, gone)
		}
	}()
	waiting, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	err = until(waiting, func(ctx context.Context) (bool, error) {
		now, err := pods.Get(ctx, made.Name, metav1.GetOptions{})
		if err != nil || now.Spec.NodeName != "" {
			return err == nil, err
		}
		for _, c := range now.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				why = c.Message
				return true, nil
			}
		}
		return false, nil
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return "the scheduler did not say anything for " + answerIn.String(), nil
	}
	return why, err
}

// all are the pods that are there.
func (k *kubelets) all() []*corev1.Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := make([]*corev1.Pod, 0, len(k.pods))
	for _, p := range k.pods {
		list = append(list, p)
	}
	return list
}
