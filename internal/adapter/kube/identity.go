package kube

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// systemUID reads the uid of the kube-system namespace, which lives and dies
// with its cluster.
func systemUID(ctx context.Context, client kubernetes.Interface) (string, error) {
	namespace, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", explain(err, "read namespace kube-system", right{verb: "get", resource: "namespaces"})
	}
	return string(namespace.UID), nil
}

// identify makes sure that the API server which answers is the target's, and
// remembers its uid.
func (c *cluster) identify(ctx context.Context, target fleet.Cluster, seen string) error {
	uid, err := systemUID(ctx, c.client)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", target.Name, err)
	}
	if seen != "" && uid != seen {
		return &rollout.IdentityError{Cluster: target.Name, Expected: "kube-system with uid " + seen, Found: "uid " + uid}
	}
	nodes, err := list(ctx, c.client.CoreV1().Nodes().List, func(page *corev1.NodeList) []string {
		ids := make([]string, 0, len(page.Items))
		for i := range page.Items {
			ids = append(ids, page.Items[i].Spec.ProviderID)
		}
		return ids
	})
	if err != nil {
		return fmt.Errorf("cluster %s: %w", target.Name, explain(err, "list nodes", right{verb: "list", resource: "nodes"}))
	}
	if mismatch := judge(target, seen, c.host, nodes); mismatch != nil {
		return mismatch
	}
	c.uid = uid
	return nil
}

// stillItself asks an identified API server whether it is still the same.
func (c *cluster) stillItself(ctx context.Context, seen string) error {
	uid, err := systemUID(ctx, c.client)
	if err != nil {
		return err
	}
	for _, want := range []string{c.uid, seen} {
		if want != "" && uid != want {
			return &rollout.IdentityError{Cluster: c.name, Expected: "kube-system with uid " + want, Found: "uid " + uid}
		}
	}
	return nil
}

// judge compares what answered with what was meant: by the resource group in
// the nodes' provider ids; without nodes, or for a cluster whose provider names
// no resource group, by the server's host; at last by the uid that was pinned
// (and is right already when judge is called). With none of them it says no.
func judge(target fleet.Cluster, seen, host string, providerIDs []string) error {
	no := func(expected, found string) error {
		return &rollout.IdentityError{Cluster: target.Name, Expected: expected, Found: found}
	}
	if target.NodeResourceGroup != "" && len(providerIDs) > 0 {
		expected := "nodes in resource group " + target.NodeResourceGroup
		if target.Subscription != "" {
			expected += " of subscription " + target.Subscription
		}
		matching := 0
		for _, id := range providerIDs {
			subscription, group, ok := azureGroup(id)
			if !ok {
				continue // a virtual node, or one that is not registered yet: says nothing either way
			}
			if !strings.EqualFold(group, target.NodeResourceGroup) ||
				target.Subscription != "" && !strings.EqualFold(subscription, target.Subscription) {
				return no(expected, "a node with provider id "+id)
			}
			matching++
		}
		if matching == 0 {
			return no(expected, fmt.Sprintf("%d nodes, none with an Azure provider id (such as %q)",
				len(providerIDs), slices.Max(providerIDs)))
		}
		return nil
	}
	if target.Endpoint != "" {
		if !sameHost(host, target.Endpoint) {
			return no("an API server at "+target.Endpoint, "one at "+host)
		}
		return nil
	}
	if seen != "" {
		return nil
	}
	return no("nodes in a known resource group, a known API server address or a known kube-system uid",
		"none of them to compare with at "+host)
}

// azureGroup reads subscription and resource group out of
// azure:///subscriptions/S/resourceGroups/G/providers/….
func azureGroup(providerID string) (subscription, group string, ok bool) {
	rest, found := strings.CutPrefix(providerID, "azure://")
	if !found {
		return "", "", false
	}
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	if len(parts) < 4 || !strings.EqualFold(parts[0], "subscriptions") || !strings.EqualFold(parts[2], "resourceGroups") {
		return "", "", false
	}
	return parts[1], parts[3], true
}

// sameHost compares host names, and ports where both name one.
func sameHost(a, b string) bool {
	hostA, portA := hostPort(a)
	hostB, portB := hostPort(b)
	return hostA != "" && strings.EqualFold(hostA, hostB) && (portA == "" || portB == "" || portA == portB)
}

func hostPort(s string) (host, port string) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", ""
	}
	return u.Hostname(), u.Port()
}
