package arm

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"liftlock.dev/liftlock/sim/aks"
)

// dispatch carries a recognised call out.
func (x *exchange) dispatch() {
	cloud, c, ctx := x.h.options.Cloud, x.call, x.r.Context()
	switch c.operation {
	case "Subscriptions_List", "Subscriptions_Get":
		x.subscriptions()
	case "ResourceGroups_List", "ResourceGroups_Get":
		x.groups()

	case "ManagedClusters_List", "ManagedClusters_ListByResourceGroup":
		x.list(cloud.Clusters(c.subscription, c.group), nil)
	case "ManagedClusters_Get":
		x.resource(cloud.Cluster(x.clusterID()))
	case "ManagedClusters_CreateOrUpdate":
		x.accepted(cloud.PutCluster(ctx, x.clusterID(), x.body, x.preconditions()))
	case "ManagedClusters_UpdateTags":
		x.accepted(cloud.PatchTags(ctx, x.clusterID(), x.body, x.preconditions()))
	case "ManagedClusters_Delete":
		x.started(cloud.DeleteCluster(ctx, x.clusterID(), x.preconditions()))
	case "ManagedClusters_AbortLatestOperation":
		x.started(cloud.AbortCluster(ctx, x.clusterID()))
	case "ManagedClusters_Start":
		x.started(cloud.Start(ctx, x.clusterID()))
	case "ManagedClusters_Stop":
		x.started(cloud.Stop(ctx, x.clusterID()))
	case "ManagedClusters_GetUpgradeProfile":
		x.resource(cloud.UpgradeProfile(x.clusterID()))
	case "ManagedClusters_ListClusterUserCredentials":
		x.credentials("clusterUser")
	case "ManagedClusters_ListClusterAdminCredentials":
		x.credentials("clusterAdmin")
	case "ManagedClusters_ListKubernetesVersions":
		x.resource(cloud.KubernetesVersions(c.location))

	case "AgentPools_List":
		list, err := cloud.Pools(x.clusterID())
		x.list(list, err)
	case "AgentPools_Get":
		x.resource(cloud.Pool(x.clusterID(), c.pool))
	case "AgentPools_CreateOrUpdate":
		x.accepted(cloud.PutPool(ctx, x.clusterID(), c.pool, x.body, x.preconditions()))
	case "AgentPools_Delete":
		ignore, _ := strconv.ParseBool(x.r.URL.Query().Get("ignore-pod-disruption-budget"))
		x.started(cloud.DeletePool(ctx, x.clusterID(), c.pool, ignore, x.preconditions()))
	case "AgentPools_AbortLatestOperation":
		x.started(cloud.AbortPool(ctx, x.clusterID(), c.pool))
	case "AgentPools_UpgradeNodeImageVersion":
		x.accepted(cloud.UpgradeNodeImage(ctx, x.clusterID(), c.pool))
	case "AgentPools_DeleteMachines":
		x.started(cloud.DeleteMachines(ctx, x.clusterID(), c.pool, x.body))
	case "AgentPools_GetUpgradeProfile":
		x.resource(cloud.PoolUpgradeProfile(x.clusterID(), c.pool))
	case "AgentPools_GetAvailableAgentPoolVersions":
		x.resource(cloud.AvailablePoolVersions(x.clusterID()))
	case "Machines_List":
		list, err := cloud.Machines(x.clusterID(), c.pool, "")
		x.list(list, err)
	case "Machines_Get":
		list, err := cloud.Machines(x.clusterID(), c.pool, c.name)
		if err != nil {
			x.fail(err)
			return
		}
		x.answer(http.StatusOK, list[0])

	case "MaintenanceConfigurations_ListByManagedCluster":
		list, err := cloud.MaintenanceConfigurations(x.clusterID())
		x.list(list, err)
	case "MaintenanceConfigurations_Get":
		x.resource(cloud.MaintenanceConfiguration(x.clusterID(), c.name))
	case "MaintenanceConfigurations_CreateOrUpdate":
		x.accepted(cloud.PutMaintenanceConfiguration(x.clusterID(), c.name, x.body))
	case "MaintenanceConfigurations_Delete":
		existed, err := cloud.DeleteMaintenanceConfiguration(x.clusterID(), c.name)
		x.deleted(existed, err)

	case "Snapshots_List", "Snapshots_ListByResourceGroup":
		x.list(cloud.Snapshots(c.subscription, c.group), nil)
	case "Snapshots_Get":
		x.resource(cloud.Snapshot(x.snapshotID()))
	case "Snapshots_CreateOrUpdate":
		x.accepted(cloud.PutSnapshot(x.snapshotID(), x.body))
	case "Snapshots_UpdateTags":
		if _, err := cloud.Snapshot(x.snapshotID()); err != nil {
			x.fail(err)
			return
		}
		x.accepted(cloud.PutSnapshot(x.snapshotID(), x.body))
	case "Snapshots_Delete":
		x.deleted(cloud.DeleteSnapshot(x.snapshotID()), nil)

	case "Operations_Status":
		x.operationStatus()
	case "Operations_Result":
		x.operationResult()
	default:
		x.unknown()
	}
}

func (x *exchange) snapshotID() aks.SnapshotID {
	return aks.SnapshotID{Subscription: x.call.subscription, Group: x.call.group, Name: x.call.name}
}

func (x *exchange) resource(body json.RawMessage, err error) {
	if err != nil {
		x.fail(err)
		return
	}
	x.answer(http.StatusOK, body)
}

func (x *exchange) started(op *aks.Operation, err error) {
	x.accepted(aks.Result{Operation: op}, err)
}

func (x *exchange) deleted(existed bool, err error) {
	switch {
	case err != nil:
		x.fail(err)
	case existed:
		x.answer(http.StatusOK, nil)
	default:
		x.answer(http.StatusNoContent, nil)
	}
}

// list answers with one page of a list and a link to the next.
func (x *exchange) list(items []json.RawMessage, err error) {
	if err != nil {
		x.fail(err)
		return
	}
	query := x.r.URL.Query()
	from, err := strconv.Atoi(or(query.Get("$skiptoken"), "0"))
	if err != nil || from < 0 || from > len(items) {
		x.refuse(&aks.Error{Status: http.StatusBadRequest, Code: "InvalidSkipToken", ARM: true, Message: "The skip token is invalid."})
		return
	}
	to := min(from+x.h.options.PageSize, len(items))
	page := map[string]any{"value": items[from:to]}
	if to < len(items) {
		query.Set("$skiptoken", strconv.Itoa(to))
		page["nextLink"] = x.h.options.BaseURL + x.r.URL.EscapedPath() + "?" + query.Encode()
	}
	x.answer(http.StatusOK, page)
}

func (x *exchange) subscriptions() {
	items := []json.RawMessage{}
	for _, s := range x.h.options.Cloud.Subscriptions() {
		body, err := json.Marshal(map[string]any{
			"id": "/subscriptions/" + s.ID, "subscriptionId": s.ID, "tenantId": s.Tenant, "displayName": s.Name, "state": "Enabled",
			"subscriptionPolicies": map[string]string{"locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"},
			"authorizationSource":  "RoleBased",
		})
		if err != nil {
			x.fail(err)
			return
		}
		if strings.EqualFold(s.ID, x.call.subscription) {
			x.answer(http.StatusOK, json.RawMessage(body))
			return
		}
		items = append(items, body)
	}
	x.list(items, nil)
}

func (x *exchange) groups() {
	items := []json.RawMessage{}
	for _, group := range x.h.options.Cloud.Groups(x.call.subscription) {
		body, err := json.Marshal(map[string]any{
			"id": "/subscriptions/" + x.call.subscription + "/resourceGroups/" + group, "name": group, "type": "Microsoft.Resources/resourceGroups",
			"location": "westeurope", "properties": map[string]string{"provisioningState": "Succeeded"},
		})
		if err != nil {
			x.fail(err)
			return
		}
		if strings.EqualFold(group, x.call.group) {
			x.answer(http.StatusOK, json.RawMessage(body))
			return
		}
		items = append(items, body)
	}
	x.list(items, nil)
}

func (x *exchange) credentials(name string) {
	kubeconfig, err := x.h.options.Cloud.Credentials(x.r.Context(), x.clusterID())
	if err != nil {
		x.fail(err)
		return
	}
	x.answer(http.StatusOK, map[string]any{"kubeconfigs": []any{map[string]any{"name": name, "value": kubeconfig}}})
}

// operation finds the operation that a URL of ours asks after.
func (x *exchange) operation() (aks.OperationView, bool) {
	if subtle.ConstantTimeCompare([]byte(x.r.URL.Query().Get("s")), []byte(x.h.signature(x.call.name))) != 1 {
		x.refuse(&aks.Error{Status: http.StatusForbidden, Code: "InvalidOperationUrl", ARM: true, Message: "The signature of the operation's URL is wrong: follow the URL as it was given."})
		return aks.OperationView{}, false
	}
	op, ok := x.h.options.Cloud.Operation(x.call.subscription, x.call.name)
	if !ok {
		x.refuse(&aks.Error{Status: http.StatusNotFound, Code: "NotFound", Message: "The operation " + x.call.name + " was not found."})
		return op, false
	}
	x.entry.LRO = op.ID
	if x.h.options.RetryAfter > 0 && !op.Settled {
		x.w.Header().Set("Retry-After", strconv.Itoa(x.h.options.RetryAfter))
	}
	return op, true
}

func (x *exchange) operationStatus() {
	op, ok := x.operation()
	if !ok {
		return
	}
	body := map[string]any{"name": op.ID, "status": op.Status, "startTime": op.Start.Format(time.RFC3339Nano)}
	if op.Settled {
		body["endTime"] = op.End.Format(time.RFC3339Nano)
	}
	if op.Failure != nil {
		inner := map[string]any{"code": op.Failure.Code, "message": op.Failure.Message}
		if op.Failure.Subcode != "" {
			inner["details"] = []any{map[string]any{"code": op.Failure.Subcode, "message": op.Failure.Message}}
		}
		body["error"] = inner
		x.entry.Code = op.Failure.Code
	}
	x.answer(http.StatusOK, body)
}

func (x *exchange) operationResult() {
	op, ok := x.operation()
	switch {
	case !ok:
	case !op.Settled:
		x.w.Header().Set("Location", x.h.options.BaseURL+x.r.URL.EscapedPath()+"?"+x.r.URL.RawQuery)
		x.answer(http.StatusAccepted, nil)
	case op.Failure != nil:
		failure := *op.Failure
		failure.Status = http.StatusConflict
		x.refuse(&failure)
	case op.Kind == "AgentPools_UpgradeNodeImageVersion":
		id, err := url.PathUnescape(op.Cluster)
		parts := strings.Split(strings.Trim(id, "/"), "/")
		if err != nil || len(parts) < 8 {
			x.answer(http.StatusNoContent, nil)
			return
		}
		x.resource(x.h.options.Cloud.Pool(aks.ClusterID{Subscription: parts[1], Group: parts[3], Name: parts[7]}, op.Pool))
	default:
		x.answer(http.StatusNoContent, nil)
	}
}
