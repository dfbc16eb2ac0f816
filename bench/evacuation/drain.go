package evacuation

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/drain"
)

// retryDelay is how long kubectl waits after a refused eviction.
const retryDelay = 5 * time.Second

// drainNodes cordons the nodes, and then drains them side by side, as kubectl
// does it.
func (b *bed) drainNodes(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := b.cluster.SetUnschedulable(ctx, name, true); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		group.Go(func() error {
			if err := b.deleteUnevictable(ctx, name); err != nil {
				return err
			}
			helper := &drain.Helper{
				Ctx: ctx, Client: b.client, Force: true, GracePeriodSeconds: -1, IgnoreAllDaemonSets: true,
				DeleteEmptyDirData: true, EvictErrorRetryDelay: retryDelay, Out: io.Discard, ErrOut: io.Discard,
			}
			if err := drain.RunNodeDrain(helper, name); err != nil {
				return fmt.Errorf("drain node %s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// deleteUnevictable deletes the node's pods whose budgets never allow an
// eviction, as somebody does who knows them: a drain would wait for ever, and
// AKS fails the upgrade after half an hour. It costs no time, to the baselines'
// favour, and the workloads fall, which the witness sees.
func (b *bed) deleteUnevictable(ctx context.Context, node string) error {
	never := map[string]bool{}
	for i := range b.apps {
		if a := &b.apps[i]; a.never() {
			never[a.namespace+"/"+a.name] = true
		}
	}
	pods, err := b.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return fmt.Errorf("list the pods of node %s: %w", node, err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !never[pod.Namespace+"/"+pod.Labels["app"]] || pod.DeletionTimestamp != nil {
			continue
		}
		if err := b.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	return nil
}

// replace drains nodes, reimages them and opens them again.
func (b *bed) replace(ctx context.Context, names ...string) error {
	if err := b.drainNodes(ctx, names...); err != nil {
		return err
	}
	if err := b.machines.reimage(ctx, poolName, names...); err != nil {
		return err
	}
	for _, name := range names {
		if err := b.cluster.SetUnschedulable(ctx, name, false); err != nil {
			return err
		}
	}
	return nil
}

// nodeByNode drains and reimages one node after the other.
func nodeByNode(ctx context.Context, b *bed) error {
	return b.inGroupsOf(ctx, 1)
}

// tenthAtOnce drains and reimages a tenth of the nodes at a time, without any
// more nodes.
func tenthAtOnce(ctx context.Context, b *bed) error {
	return b.inGroupsOf(ctx, max(1, b.size.Nodes/10))
}

func (b *bed) inGroupsOf(ctx context.Context, size int) error {
	names, err := b.nodes(ctx)
	if err != nil {
		return err
	}
	for len(names) > 0 {
		n := min(size, len(names))
		if err := b.replace(ctx, names[:n]...); err != nil {
			return err
		}
		names = names[n:]
	}
	return b.settled(ctx)
}

// surge is AKS's rolling upgrade with so many percent of the nodes as surge:
// they are added first; as many workers each take the next old node, drain and
// reimage it; in the end the surge nodes are drained. Their removal is not
// counted.
func surge(percent int) func(context.Context, *bed) error {
	return func(ctx context.Context, b *bed) error {
		names, err := b.nodes(ctx)
		if err != nil {
			return err
		}
		workers := (len(names)*percent + 99) / 100 // rounded up, as AKS does
		extra, err := b.machines.add(ctx, poolName, workers, newImage)
		if err != nil {
			return err
		}
		queue := make(chan string, len(names))
		for _, name := range names {
			queue <- name
		}
		close(queue)
		group, gctx := errgroup.WithContext(ctx)
		for range workers {
			group.Go(func() error {
				for name := range queue {
					if err := b.replace(gctx, name); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		if err := b.drainNodes(ctx, extra...); err != nil {
			return err
		}
		return b.settled(ctx)
	}
}

// nodes lists the cluster's nodes by name.
func (b *bed) nodes(ctx context.Context) ([]string, error) {
	list, err := b.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names, nil
}

// settled waits until every pod is Ready on a node that stays.
func (b *bed) settled(ctx context.Context) error {
	going := func(n *corev1.Node) bool { return old(n) || n.Spec.Unschedulable }
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for b.recorder.left(going) != "" {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until all pods are back: %w (%s)", context.Cause(ctx), b.recorder.left(going))
		}
	}
	return nil
}
