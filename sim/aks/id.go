package aks

import (
	"fmt"
	"strings"
)

// ClusterID names a managed cluster. Compare it by Key: resource ids ignore case.
type ClusterID struct{ Subscription, Group, Name string }

// Key is the id in lower case, for use as a map key.
func (id ClusterID) Key() string { return strings.ToLower(id.String()) }

// String writes the id as AKS answers with it: "resourcegroups" in lower case.
func (id ClusterID) String() string {
	return fmt.Sprintf("/subscriptions/%s/resourcegroups/%s/providers/Microsoft.ContainerService/managedClusters/%s", id.Subscription, id.Group, id.Name)
}

func (id ClusterID) pool(name string) string { return id.String() + "/agentPools/" + name }

// SnapshotID names a node pool snapshot.
type SnapshotID struct{ Subscription, Group, Name string }

// Key is the id in lower case, for use as a map key.
func (id SnapshotID) Key() string { return strings.ToLower(id.String()) }

// String writes the id.
func (id SnapshotID) String() string {
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.ContainerService/snapshots/%s", id.Subscription, id.Group, id.Name)
}

// parsePoolID reads an agent pool's resource id.
func parsePoolID(text string) (id ClusterID, pool string, ok bool) {
	parts := strings.Split(strings.Trim(text, "/"), "/")
	if len(parts) != 10 || !strings.EqualFold(parts[0], "subscriptions") || !strings.EqualFold(parts[2], "resourceGroups") ||
		!strings.EqualFold(parts[6], "managedClusters") || !strings.EqualFold(parts[8], "agentPools") {
		return ClusterID{}, "", false
	}
	return ClusterID{Subscription: parts[1], Group: parts[3], Name: parts[7]}, parts[9], true
}
