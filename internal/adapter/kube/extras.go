package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// inspectWebhooks reads the admission webhooks and what is behind them.
func (c *cluster) inspectWebhooks(ctx context.Context) (func(*check.Facts), []check.Unread) {
	const group = "admissionregistration.k8s.io"
	validating, err1 := list(ctx, c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().List,
		func(page *admissionv1.ValidatingWebhookConfigurationList) []check.Webhook {
			var found []check.Webhook
			for i := range page.Items {
				found = append(found, validatingWebhooks(&page.Items[i])...)
			}
			return found
		})
	mutating, err2 := list(ctx, c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().List,
		func(page *admissionv1.MutatingWebhookConfigurationList) []check.Webhook {
			var found []check.Webhook
			for i := range page.Items {
				found = append(found, mutatingWebhooks(&page.Items[i])...)
			}
			return found
		})
	lacks := slices.Concat(unread(err1, right{"list", group, "validatingwebhookconfigurations"}), unread(err2, right{"list", group, "mutatingwebhookconfigurations"}))
	webhooks := slices.Concat(validating, mutating)
	endpoints := map[string][]fleet.Endpoint{}
	there := map[string]bool{}
	var names []string
	for i := range webhooks {
		key := webhooks[i].Service
		if key == "" || there[key] {
			continue
		}
		there[key] = true
		namespace, name, _ := strings.Cut(key, "/")
		if _, err := c.client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			there[key] = false
		} else if err != nil {
			lacks = append(lacks, unread(err, right{"get", "", "services"})...)
			return nil, lacks[:min(len(lacks), 3)] // one refusal is like the next
		}
		names = append(names, name)
	}
	if len(names) > 0 {
		selector := discoveryv1.LabelServiceName
		slices.Sort(names)
		if names = slices.Compact(names); len(names) <= mostNamed {
			selector += " in (" + strings.Join(names, ",") + ")"
		}
		_, err := list(ctx, func(ctx context.Context, o metav1.ListOptions) (*discoveryv1.EndpointSliceList, error) {
			o.LabelSelector = selector
			return c.client.DiscoveryV1().EndpointSlices("").List(ctx, o)
		}, func(page *discoveryv1.EndpointSliceList) []int {
			for i := range page.Items {
				addEndpoints(endpoints, &page.Items[i])
			}
			return nil
		})
		lacks = append(lacks, unread(err, right{"list", "discovery.k8s.io", "endpointslices"})...)
	}
	attachEndpoints(webhooks, endpoints, func(key string) bool { return there[key] })
	return keepIf(lacks, func(f *check.Facts) { f.Webhooks = webhooks }), lacks
}

// addEndpoints notes the endpoints of a slice under its service.
func addEndpoints(to map[string][]fleet.Endpoint, slice *discoveryv1.EndpointSlice) {
	key := slice.Namespace + "/" + slice.Labels[discoveryv1.LabelServiceName]
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		if one, onNode := toEndpoint(e); onNode {
			to[key] = append(to[key], one)
		} else { // outside of the cluster, or of a pod that has no node yet
			to[key] = append(to[key], fleet.Endpoint{Pod: strings.Join(e.Addresses, ","), Ready: e.Conditions.Ready == nil || *e.Conditions.Ready})
		}
	}
}

// attachEndpoints gives webhooks the endpoints of their services.
func attachEndpoints(webhooks []check.Webhook, endpoints map[string][]fleet.Endpoint, there func(string) bool) {
	for i := range webhooks {
		w := &webhooks[i]
		if w.Service == "" {
			continue
		}
		w.Missing = !there(w.Service)
		w.Endpoints = slices.Clone(endpoints[w.Service])
		slices.SortFunc(w.Endpoints, func(a, b fleet.Endpoint) int {
			return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pod, b.Pod))
		})
		w.Endpoints = slices.Compact(w.Endpoints) // a pod has one for each IP family
	}
}

func validatingWebhooks(v *admissionv1.ValidatingWebhookConfiguration) []check.Webhook {
	out := make([]check.Webhook, 0, len(v.Webhooks))
	for i := range v.Webhooks {
		w := &v.Webhooks[i]
		out = append(out, toWebhook("ValidatingWebhookConfiguration", &v.ObjectMeta, w.Name, w.FailurePolicy, w.ClientConfig, w.Rules, w.NamespaceSelector))
	}
	return out
}

func mutatingWebhooks(m *admissionv1.MutatingWebhookConfiguration) []check.Webhook {
	out := make([]check.Webhook, 0, len(m.Webhooks))
	for i := range m.Webhooks {
		w := &m.Webhooks[i]
		out = append(out, toWebhook("MutatingWebhookConfiguration", &m.ObjectMeta, w.Name, w.FailurePolicy, w.ClientConfig, w.Rules, w.NamespaceSelector))
	}
	return out
}

func toWebhook(kind string, meta *metav1.ObjectMeta, name string, policy *admissionv1.FailurePolicyType, client admissionv1.WebhookClientConfig, rules []admissionv1.RuleWithOperations, namespaces *metav1.LabelSelector) check.Webhook {
	w := check.Webhook{
		Kind: kind, Configuration: meta.Name, Name: name, Owner: ownerOf(meta),
		Fails: policy == nil || *policy == admissionv1.Fail, // the API server's default
	}
	if s := client.Service; s != nil {
		w.Service = s.Namespace + "/" + s.Name
		if selector, err := metav1.LabelSelectorAsSelector(namespaces); err == nil && namespaces != nil {
			// Namespaces bear their name as a label; other labels are not known here.
			w.OwnNamespaceExcluded = !selector.Matches(labels.Set{corev1.LabelMetadataName: s.Namespace})
		}
	}
	for _, r := range rules {
		operations := make([]string, len(r.Operations))
		for i, o := range r.Operations {
			operations[i] = string(o)
		}
		resources := strings.Join(r.Resources, ",")
		if groups := strings.Trim(strings.Join(r.APIGroups, ","), ","); groups != "" {
			resources += "." + groups
		}
		w.Asks = append(w.Asks, strings.Join(operations, ",")+" "+resources)
		core := slices.Contains(r.APIGroups, "") || slices.Contains(r.APIGroups, "*")
		pods := slices.ContainsFunc(r.Resources, func(one string) bool {
			return slices.Contains([]string{"pods", "pods/eviction", "pods/*", "*", "*/*"}, one)
		})
		made := slices.ContainsFunc(r.Operations, func(o admissionv1.OperationType) bool {
			return o == admissionv1.Create || o == admissionv1.OperationAll
		})
		w.Pods = w.Pods || core && pods && made
	}
	return w
}

// toQuotas reads what a quota leaves free. One with scopes counts only some pods,
// which ones a snapshot does not tell: it is left out.
func toQuotas(q *corev1.ResourceQuota) []check.Quota {
	if len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil {
		return nil
	}
	var out []check.Quota
	for _, name := range []corev1.ResourceName{corev1.ResourcePods, corev1.ResourceRequestsCPU, corev1.ResourceCPU, corev1.ResourceRequestsMemory, corev1.ResourceMemory} {
		hard, limited := q.Status.Hard[name]
		if !limited {
			continue
		}
		used := q.Status.Used[name]
		one := check.Quota{Namespace: q.Namespace, Name: q.Name, Resource: string(name), Hard: hard.Value(), Used: used.Value()}
		switch name { //nolint:exhaustive // those that are looked for above
		case corev1.ResourceCPU, corev1.ResourceRequestsCPU:
			one.Resource, one.Hard, one.Used = string(corev1.ResourceRequestsCPU), hard.MilliValue(), used.MilliValue()
		case corev1.ResourceMemory:
			one.Resource = string(corev1.ResourceRequestsMemory)
		}
		out = append(out, one)
	}
	return out
}

func toAttachLimits(n *storagev1.CSINode) []check.AttachLimit {
	var out []check.AttachLimit
	for i := range n.Spec.Drivers {
		if d := &n.Spec.Drivers[i]; d.Allocatable != nil && d.Allocatable.Count != nil {
			out = append(out, check.AttachLimit{Node: n.Name, Driver: d.Name, Limit: int(*d.Allocatable.Count)})
		}
	}
	return out
}

// toAPIService reads an APIService. One that says nothing of itself is not
// available.
func toAPIService(u *unstructured.Unstructured) check.APIService {
	a := check.APIService{Name: u.GetName(), Why: "it does not say whether it is available"}
	if name, _, _ := unstructured.NestedString(u.Object, "spec", "service", "name"); name != "" {
		namespace, _, _ := unstructured.NestedString(u.Object, "spec", "service", "namespace")
		a.Service = namespace + "/" + name
	}
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		fields, _ := c.(map[string]any)
		if fields["type"] == "Available" {
			a.Available = fields["status"] == "True"
			a.Why = fmt.Sprintf("%v: %v", fields["reason"], fields["message"])
		}
	}
	return a
}
