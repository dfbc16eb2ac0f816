package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// gathered is everything that one look at a cluster reads.
type gathered struct {
	at                    time.Time
	pods                  []ownedPod
	nodes                 []fleet.Node
	controllers           []ownedWorkload
	scalers               []boundScaler
	budgets               []fleet.Budget
	claims                []corev1.PersistentVolumeClaim
	volumes               []boundVolume
	attachments           []storagev1.VolumeAttachment
	balancers             []fleet.LoadBalancer
	terminatingNamespaces []string
	// partial: what is not here may exist all the same, since nobody knows
	// whether it was asked for.
	partial bool
}

// Snapshot implements rollout.Kubernetes.
//
// Each list is read from the API server's latest state, not its cache of
// whatever age, and all its pages are of one moment. Pods come first and
// everything else after them, at once: so each controller, node, claim and
// budget of a pod that is listed is found if it still exists, and a pod without
// one has lost it, rather than being new. Budgets are then never older than the
// pods that they are held against. What changes between the lists is caught when
// it is acted on: actions carry uids, and evictions are judged by the API server.
func (c *cluster) Snapshot(ctx context.Context) (fleet.Snapshot, error) {
	found, failures := c.gather(ctx)
	if len(failures) > 0 {
		errs := make([]error, len(failures))
		for i, f := range failures {
			errs[i] = explain(f.err, f.needs.verb+" "+f.needs.resource, f.needs)
		}
		return fleet.Snapshot{}, fmt.Errorf("cluster %s: snapshot: %w", c.name, errors.Join(errs...))
	}
	return assemble(found), nil
}

// failure is a list that could not be read.
type failure struct {
	needs right
	err   error
}

// gather reads all lists. Every list that fails is named, so that missing
// rights are reported at once; what could be read is there all the same.
func (c *cluster) gather(ctx context.Context) (*gathered, []failure) {
	g := &gathered{at: c.now().UTC()}
	var failures []failure
	var err error
	if g.pods, err = list(ctx, c.client.CoreV1().Pods("").List, toPods); err != nil {
		failures = append(failures, failure{right{"list", "", "pods"}, err})
		if _, answered := statusOf(err); !answered {
			return g, failures // an API server that is away would answer none of the others either
		}
	}

	var mu sync.Mutex
	var wait sync.WaitGroup
	read := func(needs right, do func() (func(), error)) {
		wait.Go(func() {
			keep, err := do()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, failure{needs, err})
				return
			}
			keep()
		})
	}
	read(right{"list", "", "nodes"}, func() (func(), error) {
		nodes, err := list(ctx, c.client.CoreV1().Nodes().List, toNodes)
		return func() { g.nodes = nodes }, err
	})
	for _, kind := range c.controllerKinds() {
		read(kind.needs, func() (func(), error) {
			controllers, err := kind.list(ctx)
			return func() { g.controllers = append(g.controllers, controllers...) }, err
		})
	}
	read(right{"list", "autoscaling", "horizontalpodautoscalers"}, func() (func(), error) {
		scalers, err := list(ctx, c.client.AutoscalingV2().HorizontalPodAutoscalers("").List,
			func(page *autoscalingv2.HorizontalPodAutoscalerList) []boundScaler {
				var scalers []boundScaler
				for i := range page.Items {
					if s, ok := toScaler(&page.Items[i]); ok {
						scalers = append(scalers, s)
					}
				}
				return scalers
			})
		if err != nil {
			return nil, err
		}
		byKEDA, err := c.scaledObjectList(ctx)
		return func() { g.scalers = slices.Concat(scalers, byKEDA) }, err
	})
	read(right{"list", "policy", "poddisruptionbudgets"}, func() (func(), error) {
		pdbs, err := list(ctx, c.client.PolicyV1().PodDisruptionBudgets("").List,
			func(page *policyv1.PodDisruptionBudgetList) []policyv1.PodDisruptionBudget { return page.Items })
		if err != nil {
			return nil, err
		}
		budgets := make([]fleet.Budget, len(pdbs))
		for i := range pdbs {
			if budgets[i], err = toBudget(&pdbs[i]); err != nil {
				return nil, err
			}
		}
		return func() { g.budgets = budgets }, nil
	})
	read(right{"list", "", "persistentvolumeclaims"}, func() (func(), error) {
		claims, err := list(ctx, c.client.CoreV1().PersistentVolumeClaims("").List,
			func(page *corev1.PersistentVolumeClaimList) []corev1.PersistentVolumeClaim { return page.Items })
		return func() { g.claims = claims }, err
	})
	read(right{"list", "", "persistentvolumes"}, func() (func(), error) {
		volumes, err := list(ctx, c.client.CoreV1().PersistentVolumes().List, func(page *corev1.PersistentVolumeList) []boundVolume {
			return convert(page.Items, toVolume)
		})
		return func() { g.volumes = volumes }, err
	})
	read(right{"list", "storage.k8s.io", "volumeattachments"}, func() (func(), error) {
		attachments, err := list(ctx, c.client.StorageV1().VolumeAttachments().List,
			func(page *storagev1.VolumeAttachmentList) []storagev1.VolumeAttachment { return page.Items })
		return func() { g.attachments = attachments }, err
	})
	wait.Go(func() {
		balancers, needs, err := c.loadBalancerList(ctx) // two kinds: it says itself which right is missing
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failures = append(failures, failure{needs, err})
			return
		}
		g.balancers = balancers
	})
	read(right{"list", "", "namespaces"}, func() (func(), error) {
		names, err := list(ctx, c.client.CoreV1().Namespaces().List, func(page *corev1.NamespaceList) []string {
			var names []string
			for i := range page.Items {
				if n := &page.Items[i]; ends(n) {
					names = append(names, n.Name)
				}
			}
			return names
		})
		return func() { g.terminatingNamespaces = names }, err
	})
	wait.Wait()
	return g, failures
}

// controllerKind is a kind of controller and how its objects are read.
type controllerKind struct {
	needs right
	list  func(ctx context.Context) ([]ownedWorkload, error)
}

func (c *cluster) controllerKinds() []controllerKind {
	return []controllerKind{
		controllers(right{"list", "apps", "deployments"}, c.client.AppsV1().Deployments("").List,
			func(page *appsv1.DeploymentList) []ownedWorkload { return convert(page.Items, toDeployment) }),
		controllers(right{"list", "apps", "replicasets"}, c.client.AppsV1().ReplicaSets("").List,
			func(page *appsv1.ReplicaSetList) []ownedWorkload { return convert(page.Items, toReplicaSet) }),
		controllers(right{"list", "apps", "statefulsets"}, c.client.AppsV1().StatefulSets("").List,
			func(page *appsv1.StatefulSetList) []ownedWorkload { return convert(page.Items, toStatefulSet) }),
		controllers(right{"list", "apps", "daemonsets"}, c.client.AppsV1().DaemonSets("").List,
			func(page *appsv1.DaemonSetList) []ownedWorkload { return convert(page.Items, toDaemonSet) }),
		controllers(right{"list", "batch", "jobs"}, c.client.BatchV1().Jobs("").List,
			func(page *batchv1.JobList) []ownedWorkload { return convert(page.Items, toJob) }),
		controllers(right{"list", "", "replicationcontrollers"}, c.client.CoreV1().ReplicationControllers("").List,
			func(page *corev1.ReplicationControllerList) []ownedWorkload {
				return convert(page.Items, toReplicationController)
			}),
	}
}

func controllers[L metav1.ListInterface](
	needs right,
	page func(context.Context, metav1.ListOptions) (L, error),
	convert func(L) []ownedWorkload,
) controllerKind {
	return controllerKind{needs: needs, list: func(ctx context.Context) ([]ownedWorkload, error) {
		return list(ctx, page, convert)
	}}
}

func convert[T, R any](items []T, one func(*T) R) []R {
	converted := make([]R, 0, len(items))
	for i := range items {
		converted = append(converted, one(&items[i]))
	}
	return converted
}

// assemble joins what was gathered: pods with their workloads, workloads with
// their autoscalers, claims with their volumes. The result is sorted.
func assemble(g *gathered) fleet.Snapshot {
	s := fleet.Snapshot{
		TakenAt:               g.at,
		Nodes:                 g.nodes,
		Pods:                  make([]fleet.Pod, 0, len(g.pods)),
		Budgets:               g.budgets,
		Claims:                toClaims(g.claims, g.volumes, g.attachments),
		LoadBalancers:         g.balancers,
		TerminatingNamespaces: g.terminatingNamespaces,
	}
	byUID := make(map[string]*ownedWorkload, len(g.controllers))
	for i := range g.controllers {
		byUID[g.controllers[i].workload.UID] = &g.controllers[i]
	}
	find := func(uid string) (string, *metav1.OwnerReference, bool) {
		w := byUID[uid]
		if w == nil {
			return "", nil, false
		}
		return w.workload.Key(), w.owner, true
	}

	others := map[string]*fleet.Workload{}
	withPods := map[string]bool{}
	for i := range g.pods {
		pod := g.pods[i].pod
		key, other := topmost(pod.Namespace, g.pods[i].owner, find)
		if g.partial {
			if unseen := unseenOwner(pod.Namespace, g.pods[i].owner, find); unseen != "" {
				key, other = unseen, nil
			}
		}
		pod.Workload = key
		withPods[key] = true
		if other != nil {
			if others[key] == nil {
				others[key] = other
			}
			countPod(others[key], &pod)
		}
		s.Pods = append(s.Pods, pod)
	}
	addLocalVolumes(s.Pods, s.Claims)

	for i := range g.controllers {
		w := &g.controllers[i]
		key := w.workload.Key()
		if w.workload.Kind == fleet.ReplicaSet && w.owner != nil && !withPods[key] {
			continue // a Deployment's, or an unknown controller's: they stand for it
		}
		if w.finished && !withPods[key] {
			continue
		}
		s.Workloads = append(s.Workloads, w.workload)
	}
	for _, other := range others {
		s.Workloads = append(s.Workloads, *other)
	}
	addScalers(s.Workloads, g.scalers)

	slices.SortFunc(s.Nodes, func(a, b fleet.Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Pods, func(a, b fleet.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.Workloads, func(a, b fleet.Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	slices.SortFunc(s.Budgets, func(a, b fleet.Budget) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.Claims, func(a, b fleet.Claim) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.LoadBalancers, func(a, b fleet.LoadBalancer) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	slices.Sort(s.TerminatingNamespaces)
	return s
}

// countPod adds a pod to a workload whose own numbers nobody tells us: what it
// has is what it wants.
func countPod(w *fleet.Workload, pod *fleet.Pod) {
	if pod.Finished() || !pod.DeletedAt.IsZero() {
		return
	}
	w.Replicas++
	w.Current++
	w.Updated++
	if pod.Ready {
		w.Ready++
		w.Available++
	}
}

// addLocalVolumes notes claims on node-bound volumes among the pods' local data.
func addLocalVolumes(pods []fleet.Pod, claims []fleet.Claim) {
	local := map[[2]string]bool{}
	for i := range claims {
		if claims[i].Local {
			local[[2]string{claims[i].Namespace, claims[i].Name}] = true
		}
	}
	for i := range pods {
		for _, claim := range pods[i].Claims {
			if local[[2]string{pods[i].Namespace, claim}] {
				pods[i].LocalData = append(pods[i].LocalData, "local volume of claim "+claim)
			}
		}
	}
}

func addScalers(workloads []fleet.Workload, scalers []boundScaler) {
	byTarget := make(map[string]*fleet.Scaler, len(scalers))
	for i := range scalers {
		byTarget[scalers[i].target] = &scalers[i].scaler
	}
	for i := range workloads {
		if s := byTarget[workloads[i].Key()]; s != nil {
			workloads[i].Scaler = new(*s)
		}
	}
}
