package kube

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

const (
	// retryFirst and retryMost bound the pause after a failed list or watch. They
	// are short: while we wait, nobody knows whether workloads are available.
	retryFirst = 200 * time.Millisecond
	retryMost  = 2 * time.Second
	// A watch asks the API server to end it after watchLeast to twice as much, so
	// that no watch outlives a rebalancing of API servers for long.
	watchLeast = 5 * time.Minute
)

// stream keeps the objects of one kind in view.
type stream struct {
	needs right
	list  func(ctx context.Context) (items []item, version string, err error)
	watch func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
	item  func(object runtime.Object) (item, error)

	// kind and get, for controllers, and listIn, for budgets, read single objects
	// or namespaces for a second look.
	kind   fleet.WorkloadKind
	get    func(ctx context.Context, namespace, name string) (item, error)
	listIn func(ctx context.Context, namespace string) ([]item, error)
}

// object is a pointer to a Kubernetes object of type T.
type object[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

// client is what the typed clients of one kind have in common.
type client[P any, L any] interface {
	Get(ctx context.Context, name string, options metav1.GetOptions) (P, error)
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// streamOf makes a stream of a kind's clients, of how a page gives its items and
// of how one is converted.
func streamOf[T any, P object[T], L metav1.ListInterface, C client[P, L]](
	resource right, brief, lasting func(namespace string) C, items func(L) []T, convert func(P) (item, error),
) stream {
	identified := func(o P) (item, error) {
		it, err := convert(o)
		it.id, it.namespace, it.version = string(o.GetUID()), o.GetNamespace(), o.GetResourceVersion()
		return it, err
	}
	listIn := func(ctx context.Context, namespace string) ([]item, string, error) {
		var failure error
		all, version, err := listAt(ctx, brief(namespace).List, func(page L) []item {
			objects := items(page)
			converted := make([]item, 0, len(objects))
			for i := range objects {
				it, err := identified(&objects[i])
				if err != nil {
					failure = err
				}
				converted = append(converted, it)
			}
			return converted
		})
		if err == nil {
			err = failure
		}
		return all, version, err
	}
	return stream{
		needs: resource,
		list:  func(ctx context.Context) ([]item, string, error) { return listIn(ctx, metav1.NamespaceAll) },
		watch: lasting(metav1.NamespaceAll).Watch,
		item: func(o runtime.Object) (item, error) {
			typed, ok := o.(P)
			if !ok {
				return item{}, fmt.Errorf("watch of %s sent a %T", resource.resource, o)
			}
			return identified(typed)
		},
		get: func(ctx context.Context, namespace, name string) (item, error) {
			o, err := brief(namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return item{}, err
			}
			return identified(o)
		},
		listIn: func(ctx context.Context, namespace string) ([]item, error) {
			all, _, err := listIn(ctx, namespace)
			return all, err
		},
	}
}

// streams are the kinds that availability follows from.
func (c *cluster) streams() []stream {
	pods := streamOf(right{"watch", "", "pods"}, c.client.CoreV1().Pods, c.watches.CoreV1().Pods,
		func(l *corev1.PodList) []corev1.Pod { return l.Items },
		func(p *corev1.Pod) (item, error) { return item{pod: new(leanPod(p))}, nil })
	pods.get, pods.listIn = nil, nil
	budgets := streamOf(right{"watch", "policy", "poddisruptionbudgets"},
		c.client.PolicyV1().PodDisruptionBudgets, c.watches.PolicyV1().PodDisruptionBudgets,
		func(l *policyv1.PodDisruptionBudgetList) []policyv1.PodDisruptionBudget { return l.Items },
		func(b *policyv1.PodDisruptionBudget) (item, error) {
			budget, err := toBudget(b)
			return item{budget: &budget}, err
		})
	budgets.get = nil
	return []stream{
		pods,
		budgets,
		controllerStream(fleet.Deployment, streamOf(right{"watch", "apps", "deployments"},
			c.client.AppsV1().Deployments, c.watches.AppsV1().Deployments,
			func(l *appsv1.DeploymentList) []appsv1.Deployment { return l.Items }, controllerItem(toDeployment))),
		controllerStream(fleet.StatefulSet, streamOf(right{"watch", "apps", "statefulsets"},
			c.client.AppsV1().StatefulSets, c.watches.AppsV1().StatefulSets,
			func(l *appsv1.StatefulSetList) []appsv1.StatefulSet { return l.Items }, controllerItem(toStatefulSet))),
		controllerStream(fleet.DaemonSet, streamOf(right{"watch", "apps", "daemonsets"},
			c.client.AppsV1().DaemonSets, c.watches.AppsV1().DaemonSets,
			func(l *appsv1.DaemonSetList) []appsv1.DaemonSet { return l.Items }, controllerItem(toDaemonSet))),
		controllerStream(fleet.ReplicaSet, streamOf(right{"watch", "apps", "replicasets"},
			c.client.AppsV1().ReplicaSets, c.watches.AppsV1().ReplicaSets,
			func(l *appsv1.ReplicaSetList) []appsv1.ReplicaSet { return l.Items }, controllerItem(toReplicaSet))),
		controllerStream(fleet.ReplicaSet, streamOf(right{"watch", "", "replicationcontrollers"},
			c.client.CoreV1().ReplicationControllers, c.watches.CoreV1().ReplicationControllers,
			func(l *corev1.ReplicationControllerList) []corev1.ReplicationController { return l.Items },
			controllerItem(toReplicationController))),
	}
}

func controllerStream(kind fleet.WorkloadKind, s stream) stream {
	s.kind, s.listIn = kind, nil
	return s
}

func controllerItem[T any](convert func(*T) ownedWorkload) func(*T) (item, error) {
	return func(o *T) (item, error) {
		c := convert(o)
		return item{controller: &c}, nil
	}
}

// leanPod keeps of a pod what availability follows from.
func leanPod(pod *corev1.Pod) ownedPod {
	p := toPod(pod)
	p.pod.Images, p.pod.PullSecrets = nil, nil
	p.pod.Annotations, p.pod.NodeSelector, p.pod.LocalData, p.pod.Claims, p.pod.Finalizers = nil, nil, nil, nil, nil
	return p
}

// follow lists the kind and watches it from there until the context ends. After
// any failure it says that it lost sight, and lists again.
func (s stream) follow(ctx context.Context, log *slog.Logger, send func(event)) {
	pause := retryFirst
	for ctx.Err() == nil {
		items, version, err := s.list(ctx)
		if err == nil {
			send(event{what: listed, items: items})
			pause = retryFirst
			err = s.watchFrom(ctx, version, send)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			log.DebugContext(ctx, "listing again", "resource", s.needs.resource)
			continue
		}
		send(event{what: lost, reason: explain(err, "watch "+s.needs.resource, s.needs).Error()})
		sleep(ctx, pause+rand.N(pause/2)) //nolint:gosec // spreads retries, guards nothing
		pause = min(pause*2, retryMost)
	}
}

// watchFrom sends changes from a version on. It returns nil when that version,
// or the one that was reached, is no longer kept.
func (s stream) watchFrom(ctx context.Context, version string, send func(event)) error {
	for {
		began := time.Now()
		w, err := s.watch(ctx, metav1.ListOptions{
			ResourceVersion:     version,
			AllowWatchBookmarks: true,
			TimeoutSeconds:      new(int64((watchLeast + rand.N(watchLeast)).Seconds())), //nolint:gosec // spreads load, guards nothing
		})
		if err == nil {
			version, err = s.consume(ctx, w, version, send)
			w.Stop()
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			return nil
		case err != nil:
			return err
		}
		// Ended as agreed, or by a restart of the API server; the next watch tells.
		if time.Since(began) < retryFirst {
			sleep(ctx, retryFirst)
		}
	}
}

// consume sends a watch's events until it ends, and returns the version that
// was reached.
func (s stream) consume(ctx context.Context, w watch.Interface, version string, send func(event)) (string, error) {
	for {
		select {
		case <-ctx.Done():
			return version, ctx.Err()
		case e, open := <-w.ResultChan():
			if !open {
				return version, nil
			}
			if e.Type == watch.Error {
				return version, apierrors.FromObject(e.Object)
			}
			meta, ok := e.Object.(metav1.Object)
			if !ok {
				return version, fmt.Errorf("watch of %s sent a %T", s.needs.resource, e.Object)
			}
			if e.Type != watch.Bookmark {
				it, err := s.item(e.Object)
				if err != nil {
					return version, err
				}
				what := changed
				if e.Type == watch.Deleted {
					what = removed
				}
				send(event{what: what, items: []item{it}})
			}
			version = meta.GetResourceVersion()
		}
	}
}

// lookAgain reads a workload and the budgets of its namespace as they are now,
// and puts them into the view. What cannot be read stays as it was.
func lookAgain(ctx context.Context, log *slog.Logger, streams []stream, v *view, key string) {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	kind, namespace, name := splitKey(key)
	for i, s := range streams {
		switch {
		case s.listIn != nil:
			items, err := s.listIn(ctx, namespace)
			if err != nil {
				log.DebugContext(ctx, "second look at budgets", "namespace", namespace, "error", err)
				continue
			}
			v.replaceIn(i, namespace, items)
		case s.get != nil && s.kind == kind:
			it, err := s.get(ctx, namespace, name)
			switch {
			case err == nil:
				v.put(i, it)
			case !apierrors.IsNotFound(err):
				log.DebugContext(ctx, "second look at a workload", "workload", key, "error", err)
			}
		}
	}
}

// splitKey takes fleet.Workload.Key apart.
func splitKey(key string) (kind fleet.WorkloadKind, namespace, name string) {
	parts := strings.SplitN(key, "/", 3)
	if len(parts) != 3 {
		return "", "", key
	}
	return fleet.WorkloadKind(parts[0]), parts[1], parts[2]
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
