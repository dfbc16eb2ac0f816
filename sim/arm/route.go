package arm

import (
	"net/http"
	"net/url"
	"strings"
)

// call is a request that was recognised.
type call struct {
	operation    string // the REST operation's id
	method       string
	subscription string
	group        string
	cluster      string
	pool         string
	name         string // of whatever else is named: a snapshot, a machine, an operation, a configuration, a location
	location     string
}

// route recognises a request; ids and types ignore case.
func route(r *http.Request) (*call, bool) {
	var parts []string
	for part := range strings.SplitSeq(strings.Trim(r.URL.EscapedPath(), "/"), "/") {
		text, err := url.PathUnescape(part)
		if err != nil {
			return nil, false
		}
		parts = append(parts, text)
	}
	c := &call{method: r.Method}
	if len(parts) == 0 || !strings.EqualFold(parts[0], "subscriptions") {
		return nil, false
	}
	if len(parts) > 1 {
		c.subscription = parts[1]
	}
	switch {
	case len(parts) == 1:
		return c.as(http.MethodGet, "Subscriptions_List")
	case len(parts) == 2:
		return c.as(http.MethodGet, "Subscriptions_Get")
	case len(parts) == 3 && strings.EqualFold(parts[2], "resourceGroups"):
		return c.as(http.MethodGet, "ResourceGroups_List")
	}
	rest := parts[2:]
	if strings.EqualFold(rest[0], "resourceGroups") && len(rest) >= 2 {
		c.group = rest[1]
		rest = rest[2:]
		if len(rest) == 0 {
			return c.as(http.MethodGet, "ResourceGroups_Get")
		}
	}
	if len(rest) < 3 || !strings.EqualFold(rest[0], "providers") || !strings.EqualFold(rest[1], "Microsoft.ContainerService") {
		return nil, false
	}
	rest = rest[2:]
	switch strings.ToLower(rest[0]) {
	case "managedclusters":
		return c.clusters(rest[1:])
	case "snapshots":
		return c.snapshots(rest[1:])
	case "locations":
		return c.locations(rest[1:])
	}
	return nil, false
}

// as names the operation if the method is the right one.
func (c *call) as(method, operation string) (*call, bool) {
	c.operation = operation
	return c, c.method == method
}

// byMethod names the operation by the request's method.
func (c *call) byMethod(operations map[string]string) (*call, bool) {
	operation, ok := operations[c.method]
	c.operation = operation
	return c, ok
}

func (c *call) clusters(rest []string) (*call, bool) {
	if len(rest) == 0 {
		if c.group == "" {
			return c.as(http.MethodGet, "ManagedClusters_List")
		}
		return c.as(http.MethodGet, "ManagedClusters_ListByResourceGroup")
	}
	if c.group == "" {
		return nil, false
	}
	c.cluster = rest[0]
	rest = rest[1:]
	if len(rest) == 0 {
		return c.byMethod(map[string]string{
			http.MethodGet: "ManagedClusters_Get", http.MethodPut: "ManagedClusters_CreateOrUpdate",
			http.MethodPatch: "ManagedClusters_UpdateTags", http.MethodDelete: "ManagedClusters_Delete",
		})
	}
	word := strings.ToLower(rest[0])
	if len(rest) == 1 {
		switch word {
		case "abort":
			return c.as(http.MethodPost, "ManagedClusters_AbortLatestOperation")
		case "start":
			return c.as(http.MethodPost, "ManagedClusters_Start")
		case "stop":
			return c.as(http.MethodPost, "ManagedClusters_Stop")
		case "listclusterusercredential":
			return c.as(http.MethodPost, "ManagedClusters_ListClusterUserCredentials")
		case "listclusteradmincredential":
			return c.as(http.MethodPost, "ManagedClusters_ListClusterAdminCredentials")
		case "availableagentpoolversions":
			return c.as(http.MethodGet, "AgentPools_GetAvailableAgentPoolVersions")
		case "agentpools":
			return c.as(http.MethodGet, "AgentPools_List")
		case "maintenanceconfigurations":
			return c.as(http.MethodGet, "MaintenanceConfigurations_ListByManagedCluster")
		}
		return nil, false
	}
	switch {
	case word == "upgradeprofiles" && len(rest) == 2:
		return c.as(http.MethodGet, "ManagedClusters_GetUpgradeProfile")
	case word == "maintenanceconfigurations" && len(rest) == 2:
		c.name = rest[1]
		return c.byMethod(map[string]string{
			http.MethodGet: "MaintenanceConfigurations_Get", http.MethodPut: "MaintenanceConfigurations_CreateOrUpdate",
			http.MethodDelete: "MaintenanceConfigurations_Delete",
		})
	case word == "agentpools":
		return c.pools(rest[1:])
	}
	return nil, false
}

func (c *call) pools(rest []string) (*call, bool) {
	c.pool = rest[0]
	rest = rest[1:]
	if len(rest) == 0 {
		return c.byMethod(map[string]string{
			http.MethodGet: "AgentPools_Get", http.MethodPut: "AgentPools_CreateOrUpdate", http.MethodDelete: "AgentPools_Delete",
		})
	}
	switch word := strings.ToLower(rest[0]); {
	case word == "abort" && len(rest) == 1:
		return c.as(http.MethodPost, "AgentPools_AbortLatestOperation")
	case word == "upgradenodeimageversion" && len(rest) == 1:
		return c.as(http.MethodPost, "AgentPools_UpgradeNodeImageVersion")
	case word == "deletemachines" && len(rest) == 1:
		return c.as(http.MethodPost, "AgentPools_DeleteMachines")
	case word == "upgradeprofiles" && len(rest) == 2:
		return c.as(http.MethodGet, "AgentPools_GetUpgradeProfile")
	case word == "machines" && len(rest) == 1:
		return c.as(http.MethodGet, "Machines_List")
	case word == "machines" && len(rest) == 2:
		c.name = rest[1]
		return c.as(http.MethodGet, "Machines_Get")
	}
	return nil, false
}

func (c *call) snapshots(rest []string) (*call, bool) {
	switch {
	case len(rest) == 0 && c.group == "":
		return c.as(http.MethodGet, "Snapshots_List")
	case len(rest) == 0:
		return c.as(http.MethodGet, "Snapshots_ListByResourceGroup")
	case len(rest) == 1 && c.group != "":
		c.name = rest[0]
		return c.byMethod(map[string]string{
			http.MethodGet: "Snapshots_Get", http.MethodPut: "Snapshots_CreateOrUpdate",
			http.MethodPatch: "Snapshots_UpdateTags", http.MethodDelete: "Snapshots_Delete",
		})
	}
	return nil, false
}

func (c *call) locations(rest []string) (*call, bool) {
	if c.group != "" || len(rest) < 2 {
		return nil, false
	}
	c.location = rest[0]
	switch word := strings.ToLower(rest[1]); {
	case word == "kubernetesversions" && len(rest) == 2:
		return c.as(http.MethodGet, "ManagedClusters_ListKubernetesVersions")
	case word == "operations" && len(rest) == 3:
		c.name = rest[2]
		return c.as(http.MethodGet, "Operations_Status")
	case word == "operationresults" && len(rest) == 3:
		c.name = rest[2]
		return c.as(http.MethodGet, "Operations_Result")
	}
	return nil, false
}
