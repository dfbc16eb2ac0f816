package kube

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// mostNamed is how many Services are asked for by name; more would not fit into
// a request's address.
const mostNamed = 100

// loadBalancerList reads the Services of type LoadBalancer, and the endpoints of
// those that keep traffic on the node where it comes in. needs is the right that
// what failed takes.
func (c *cluster) loadBalancerList(ctx context.Context) (_ []fleet.LoadBalancer, needs right, _ error) {
	ofType := func(ctx context.Context, options metav1.ListOptions) (*corev1.ServiceList, error) {
		options.FieldSelector = "spec.type=" + string(corev1.ServiceTypeLoadBalancer)
		return c.client.CoreV1().Services("").List(ctx, options)
	}
	balancers, err := list(ctx, ofType, func(page *corev1.ServiceList) []fleet.LoadBalancer {
		var found []fleet.LoadBalancer
		for i := range page.Items {
			if s := &page.Items[i]; s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.DeletionTimestamp == nil {
				found = append(found, fleet.LoadBalancer{
					Namespace: s.Namespace, Name: s.Name,
					Local: s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
				})
			}
		}
		return found
	})
	if err != nil {
		return nil, right{"list", "", "services"}, err
	}
	local := map[string]*fleet.LoadBalancer{}
	names := map[string]bool{}
	for i := range balancers {
		if lb := &balancers[i]; lb.Local {
			local[lb.Key()] = lb
			names[lb.Name] = true
		}
	}
	if len(local) == 0 {
		return balancers, needs, nil
	}
	selector := discoveryv1.LabelServiceName
	if len(names) <= mostNamed {
		selector += " in (" + strings.Join(slices.Sorted(maps.Keys(names)), ",") + ")"
	}
	of := func(ctx context.Context, options metav1.ListOptions) (*discoveryv1.EndpointSliceList, error) {
		options.LabelSelector = selector
		return c.client.DiscoveryV1().EndpointSlices("").List(ctx, options)
	}
	type owned struct {
		service  string
		endpoint fleet.Endpoint
	}
	endpoints, err := list(ctx, of, func(page *discoveryv1.EndpointSliceList) []owned {
		var found []owned
		for i := range page.Items {
			slice := &page.Items[i]
			key := slice.Namespace + "/" + slice.Labels[discoveryv1.LabelServiceName]
			if local[key] == nil {
				continue
			}
			for j := range slice.Endpoints {
				if e, ok := toEndpoint(&slice.Endpoints[j]); ok {
					found = append(found, owned{key, e})
				}
			}
		}
		return found
	})
	if err != nil {
		return nil, right{"list", "discovery.k8s.io", "endpointslices"}, err
	}
	for _, e := range endpoints {
		local[e.service].Endpoints = append(local[e.service].Endpoints, e.endpoint)
	}
	for _, lb := range local {
		slices.SortFunc(lb.Endpoints, func(a, b fleet.Endpoint) int {
			return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pod, b.Pod))
		})
		lb.Endpoints = slices.Compact(lb.Endpoints) // a pod has one for each IP family
	}
	return balancers, needs, nil
}

// toEndpoint converts an endpoint; false for one that is on no node.
func toEndpoint(e *discoveryv1.Endpoint) (fleet.Endpoint, bool) {
	if e.NodeName == nil || *e.NodeName == "" {
		return fleet.Endpoint{}, false
	}
	// A condition that is not given means Ready (discovery/v1).
	endpoint := fleet.Endpoint{Node: *e.NodeName, Ready: e.Conditions.Ready == nil || *e.Conditions.Ready}
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
		endpoint.Pod = e.TargetRef.Name
	}
	return endpoint, true
}
