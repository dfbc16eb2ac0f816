package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Inspect implements rollout.Kubernetes. Everything is read at once; each kind
// of facts that cannot be read is noted with the rule that would grant it, and
// keeps nothing else from being read.
func (c *cluster) Inspect(ctx context.Context, needs []check.Need) check.Facts {
	f := check.Facts{Cluster: c.name, At: c.now().UTC()}
	var mu sync.Mutex
	var wait sync.WaitGroup
	read := func(need check.Need, do func(context.Context) (func(*check.Facts), []check.Unread)) {
		if !slices.Contains(needs, need) {
			return
		}
		wait.Go(func() {
			keep, lacks := do(ctx)
			mu.Lock()
			defer mu.Unlock()
			if keep != nil {
				keep(&f)
				f.Has(need)
			}
			for _, u := range lacks {
				u.Need = need
				f.Lacks(u)
			}
		})
	}
	read(check.NeedSnapshot, c.inspectSnapshot)
	read(check.NeedServer, func(ctx context.Context) (func(*check.Facts), []check.Unread) {
		version, err := c.ServerVersion(ctx)
		if err != nil {
			return nil, []check.Unread{{Why: err.Error()}}
		}
		return func(f *check.Facts) { f.Server = version }, nil
	})
	read(check.NeedWebhooks, c.inspectWebhooks)
	read(check.NeedAPIServices, c.inspectAPIServices)
	read(check.NeedQuotas, func(ctx context.Context) (func(*check.Facts), []check.Unread) {
		quotas, err := list(ctx, c.client.CoreV1().ResourceQuotas("").List, func(page *corev1.ResourceQuotaList) []check.Quota {
			var quotas []check.Quota
			for i := range page.Items {
				quotas = append(quotas, toQuotas(&page.Items[i])...)
			}
			return quotas
		})
		lacks := unread(err, right{"list", "", "resourcequotas"})
		return keepIf(lacks, func(f *check.Facts) { f.Quotas = quotas }), lacks
	})
	read(check.NeedAttach, func(ctx context.Context) (func(*check.Facts), []check.Unread) {
		limits, err := list(ctx, c.client.StorageV1().CSINodes().List, func(page *storagev1.CSINodeList) []check.AttachLimit {
			var limits []check.AttachLimit
			for i := range page.Items {
				limits = append(limits, toAttachLimits(&page.Items[i])...)
			}
			return limits
		})
		lacks := unread(err, right{"list", "storage.k8s.io", "csinodes"})
		return keepIf(lacks, func(f *check.Facts) { f.Attach = limits }), lacks
	})
	read(check.NeedUsage, c.inspectUsage)
	read(check.NeedObjects, c.inspectObjects)
	wait.Wait()
	slices.SortFunc(f.Unread, func(a, b check.Unread) int {
		return strings.Compare(string(a.Need)+a.What+a.Why, string(b.Need)+b.What+b.Why)
	})
	return f
}

// unread says why something could not be read; nothing for no error.
func unread(err error, needs right) []check.Unread {
	if err == nil {
		return nil
	}
	u := check.Unread{What: needs.resource, Why: explain(err, needs.verb+" "+needs.resource, right{}).Error()}
	if apierrors.IsForbidden(err) {
		u.Why = "the API server refuses to " + needs.verb + " them"
		if needs.group == nonResource {
			u.Why = "the API server refuses to answer"
		}
		u.Remedy = "grant " + needs.String()
	}
	return []check.Unread{u}
}

// keepIf returns keep where nothing failed.
func keepIf(lacks []check.Unread, keep func(*check.Facts)) func(*check.Facts) {
	if len(lacks) > 0 {
		return nil
	}
	return keep
}

// lesser are lists without which a snapshot can still be judged, if not in all.
var lesser = []string{"services", "endpointslices", "horizontalpodautoscalers", "scaledobjects", "volumeattachments", "namespaces"}

func (c *cluster) inspectSnapshot(ctx context.Context) (func(*check.Facts), []check.Unread) {
	found, failures := c.gather(ctx)
	var lacks []check.Unread
	whole := true
	for _, f := range failures {
		lacks = append(lacks, unread(f.err, f.needs)...)
		whole = whole && slices.Contains(lesser, f.needs.resource)
	}
	if !whole {
		return nil, lacks
	}
	return func(f *check.Facts) { f.Snapshot = assemble(found) }, lacks
}

func (c *cluster) inspectAPIServices(ctx context.Context) (func(*check.Facts), []check.Unread) {
	resource := schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	services, err := list(ctx, c.dynamic.Resource(resource).List, func(page *unstructured.UnstructuredList) []check.APIService {
		return convert(page.Items, toAPIService)
	})
	lacks := unread(err, right{"list", resource.Group, resource.Resource})
	return keepIf(lacks, func(f *check.Facts) { f.Services = services }), lacks
}

// parallelLists is how many kinds are listed at once.
const parallelLists = 8

// inspectObjects lists the objects of every kind that the API server knows,
// without what they say. Groups whose server is away, and kinds that may not be
// listed, are noted one by one.
func (c *cluster) inspectObjects(ctx context.Context) (func(*check.Facts), []check.Unread) {
	lists, err := c.discovery().ServerPreferredResourcesWithContext(ctx)
	var lacks []check.Unread
	if groups, partly := errors.AsType[*discovery.ErrGroupDiscoveryFailed](err); partly {
		for gv, err := range groups.Groups {
			lacks = append(lacks, check.Unread{
				What: gv.String(), Why: "its kinds could not be found out: " + err.Error(),
				Remedy: "bring the server of this API up; or delete its APIService, if what made it is gone",
			})
		}
	} else if err != nil {
		return nil, []check.Unread{{Why: fmt.Sprintf("the API server does not say which kinds it has: %v", err)}}
	}
	var f check.Facts
	var mu sync.Mutex
	var wait sync.WaitGroup
	slots := make(chan struct{}, parallelLists)
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil || hasOneVersion(gv.Group) {
			continue
		}
		for _, r := range l.APIResources {
			if !slices.Contains(r.Verbs, "list") || strings.Contains(r.Name, "/") {
				continue
			}
			wait.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				getter := c.metadata.Resource(gv.WithResource(r.Name))
				objects, err := list(ctx, getter.List, func(page *metav1.PartialObjectMetadataList) []fleet.Object {
					var objects []fleet.Object
					for i := range page.Items {
						objects = append(objects, objectsOf(l.GroupVersion, r.Kind, &page.Items[i].ObjectMeta)...)
					}
					return objects
				})
				if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
					err = nil // gone since it was found, or never to be listed
				}
				mu.Lock()
				defer mu.Unlock()
				f.Objects = append(f.Objects, objects...)
				lacks = append(lacks, unread(err, right{"list", gv.Group, r.Name})...)
			})
		}
	}
	released, unread := c.releaseList(ctx)
	wait.Wait()
	return func(all *check.Facts) { all.Objects = slices.Concat(f.Objects, released) }, append(lacks, unread...)
}
