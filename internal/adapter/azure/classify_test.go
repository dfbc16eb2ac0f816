package azure

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"liftlock.dev/liftlock/internal/rollout"
)

// refusals are answers of the service, as seen or as documented, and what they
// mean.
var refusals = []struct {
	name   string
	status int // 200: an operation that ended
	body   string
	want   rollout.Code
	says   string // part of the message
}{
	// The same code, five meanings.
	{"pending operation, flat", 409, `{"code":"OperationNotAllowed","details":null,"message":"Operation is not allowed: Another operation (Upgrading) is in progress, please wait for it to finish before starting a new operation. See https://aka.ms/aks-pending-operation for more details","subcode":""}`, rollout.CodeBusy, "Another operation (Upgrading)"},
	{"pending operation of a pool, 400", 400, `{"code":"OperationNotAllowed","message":"Operation is not allowed because there's an in progress update managed cluster operation on the managed cluster started at 2026-11-01. See https://aka.ms/aks-pending-operation"}`, rollout.CodeBusy, ""},
	{"not offered", 400, `{"code":"OperationNotAllowed","message":"Upgrading Kubernetes version 1.24.9 to 1.26.6 is not allowed. Available upgrades: [1.25.6 1.25.11]. Please see https://aka.ms/aks-supported-k8s-ver for version details"}`, rollout.CodeNotOffered, "1.25.6"},
	{"Compute's quota", 409, `{"error":{"code":"OperationNotAllowed","message":"Operation could not be completed as it results in exceeding approved standardDASv5Family Cores quota. Additional details - Deployment Model: Resource Manager, Location: westeurope, Current Limit: 100, Current Usage: 96, Additional Required: 64, (Minimum) New Limit Required: 160."}}`, rollout.CodeQuota, "Current Limit: 100"},
	{"stopped", 400, `{"code":"OperationNotAllowed","message":"managed cluster is in (Stopped) state, please start the cluster first"}`, rollout.CodeStopped, ""},
	{"power state", 400, `{"code":"OperationNotAllowed","message":"managed cluster prod is in Provisioning State(Succeeded) and Power State(Stopped), the upgrade cannot be performed"}`, rollout.CodeStopped, ""},
	{"never back", 400, `{"code":"OperationNotAllowed","message":"Downgrading cluster from 1.35.4 to 1.34.4 is not allowed."}`, rollout.CodeSkew, ""},
	{"unknown conflict", 409, `{"code":"OperationNotAllowed","message":"something else"}`, rollout.CodeBusy, ""},

	// Versions.
	{"version not supported", 400, `{"code":"K8sVersionNotSupported","message":"Managed cluster prod is on version 1.25.6 which is not supported in this region."}`, rollout.CodeNotOffered, ""},
	{"pool version not supported", 400, `{"code":"AgentPoolK8sVersionNotSupported","message":"Version 1.20.7 is not supported in this region. Please use [az aks get-versions] command to get the supported version list in this region."}`, rollout.CodeNotOffered, ""},
	{"snapshot of another family", 400, `{"code":"InvalidParameter","message":"VM size Standard_E4s_v5 of agent pool apps is not in the same VM family as VM size Standard_D4s_v5 of snapshot proven, or its operating system differs: the node image cannot be used."}`, rollout.CodeNotOffered, ""},
	{"snapshot too old", 400, `{"code":"InvalidParameter","message":"Node image AKSUbuntu-2204gen2containerd-202606.01.0 of snapshot proven is older than 90 days and can no longer be used."}`, rollout.CodeNotOffered, ""},
	{"snapshot gone", 404, `{"code":"NotFound","message":"Could not find the snapshot \"proven\" (/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/snapshots/proven)."}`, rollout.CodeNotOffered, ""},
	{"snapshot itself not found", 404, `{"error":{"code":"ResourceNotFound","message":"The Resource 'Microsoft.ContainerService/snapshots/proven' under resource group 'rg' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"}}`, rollout.CodeNotFound, ""},
	{"skew", 400, `{"code":"NodePoolMcVersionIncompatible","message":"Node pool version 1.31.2 and control plane version 1.35.4 are incompatible. Minor version of node pool cannot be more than 3 versions less than control plane's version."}`, rollout.CodeSkew, ""},
	{"control plane alone", 400, `{"code":"NotAllAgentPoolOrchestratorVersionSpecifiedAndUnchanged","message":"Using managed cluster api, all Agent pools' OrchestratorVersion must be all specified or all unspecified. If all specified, they must be stay unchanged or the same with control plane. For agent pool specific change, please use per agent pool operations: https://aka.ms/agent-pool-rest-api"}`, rollout.CodeControlPlaneAloneRefused, ""},
	{"control plane alone, unsupported version", 400, `{"code":"OperationNotAllowed","message":"Control plane only upgrade is not allowed for managed cluster prod: its version 1.30.4 is no longer supported. Upgrade the control plane together with all agent pools."}`, rollout.CodeControlPlaneAloneRefused, ""},
	{"deprecated API", 400, `{"code":"ValidationError","details":null,"message":"Control Plane upgrade is blocked due to recent usage of a Kubernetes API deprecated in the specified version. Please refer to https://kubernetes.io/docs/reference/using-api/deprecation-guide to migrate the usage. To bypass this error, set forceUpgrade in upgradeSettings.overrideSettings. Bypassing this error without migrating usage will result in the deprecated Kubernetes API calls failing. Usage details: 1 error occurred:\n\t* usage has been detected on API flowcontrol.apiserver.k8s.io.prioritylevelconfigurations.v1beta1, and was recently seen at: 2023-03-23 20:57:18 +0000 UTC, which will be removed in 1.26\n\n","subcode":"UpgradeBlockedOnDeprecatedAPIUsage","target":null}`, rollout.CodeDeprecatedAPI, "prioritylevelconfigurations"},

	// Drains and budgets.
	{"drain", 200, `{"name":"op","status":"Failed","error":{"code":"UpgradeFailed","message":"Drain node aks-np-12345678-vmss000000 failed when evicting pod web-0 failed with Too Many Requests error. This is often caused by a restrictive Pod Disruption Budget (PDB) policy. See https://aka.ms/aks/debugdrainfailures. Original error: Cannot evict pod as it would violate the pod's disruption budget.. PDB debug info: shop/web-0 blocked by pdb web with 0 unready pods."}}`, rollout.CodeDrainFailed, "blocked by pdb web"},
	{"drain, older", 200, `{"status":"Failed","error":{"code":"PodDrainFailure","message":"Drain of node did not complete pods"}}`, rollout.CodeDrainFailed, ""},
	{"unsatisfiable budget", 400, `{"code":"UnsatisfiablePDB","message":"1 error occurred: PDB shop/web has maxUnavailable == 0 can't proceed with put operation"}`, rollout.CodeDrainFailed, ""},

	// Limits, bare and wrapped.
	{"quota", 200, `{"status":"Failed","error":{"code":"QuotaExceeded","message":"Provisioning of resource(s) for Agent Pool apps failed."}}`, rollout.CodeQuota, ""},
	{"quota, nested JSON", 200, `{"status":"Failed","error":{"code":"ReconcileVMSSAgentPoolFailed","message":"{\"error\":{\"code\":\"QuotaExceeded\",\"message\":\"limit reached\"}}"}}`, rollout.CodeQuota, "limit reached"},
	{"public addresses", 200, `{"status":"Failed","error":{"code":"CreateVMSSAgentPoolFailed","message":"failed","details":[{"code":"PublicIPCountLimitReached","message":"Cannot create more than 20 public IP addresses"}]}}`, rollout.CodeQuota, "more than 20"},
	{"subnet, quoted", 200, `{"status":"Failed","error":{"code":"ReconcileVMSSAgentPoolFailed","message":"VMSSAgentPoolReconciler retry failed: Category: ClientError; SubCode: SubnetIsFull; Code='SubnetIsFull' Message='Subnet nodes with address prefix 10.0.0.0/26 doesn't have enough capacity for IP addresses.'"}}`, rollout.CodeAddresses, ""},
	{"subnet at create", 400, `{"code":"InsufficientSubnetSize","message":"Pre-allocated IPs 310 exceeds IPs available 251 in Subnet Cidr 10.0.0.0/24"}`, rollout.CodeAddresses, ""},
	{"capacity", 200, `{"status":"Failed","error":{"code":"UpgradeFailed","message":"code=\"ZonalAllocationFailed\" message=\"Allocation failed. We do not have sufficient capacity for the requested VM size in this zone.\""}}`, rollout.CodeCapacity, ""},
	{"AKS capacity", 400, `{"code":"AKSCapacityHeavyUsage","message":"AKS is currently experiencing heavy usage in this region"}`, rollout.CodeCapacity, ""},
	{"size not sold", 409, `{"error":{"code":"SkuNotAvailable","message":"The requested VM size is currently not available in location"}}`, rollout.CodeCapacity, ""},
	{"outbound ports", 200, `{"status":"Failed","error":{"code":"InvalidLoadBalancerProfileAllocatedOutboundPorts","message":"Load balancer profile allocated ports 8000 is not in an allowable range"}}`, rollout.CodeAddresses, ""},

	// What people have forbidden, and who asks.
	{"lock", 409, `{"error":{"code":"ScopeLocked","message":"The scope '/subscriptions/s/resourceGroups/rg' cannot perform write operation because following scope(s) are locked. Please remove the lock and try again."}}`, rollout.CodeLocked, ""},
	{"policy", 403, `{"error":{"code":"RequestDisallowedByPolicy","target":"apps","message":"Resource 'apps' was disallowed by policy.","additionalInfo":[{"type":"PolicyViolation"}]}}`, rollout.CodeLocked, ""},
	{"subscription disabled", 409, `{"error":{"code":"ReadOnlyDisabledSubscription","message":"The subscription is disabled and therefore marked as read only."}}`, rollout.CodeLocked, ""},
	{"no right", 403, `{"error":{"code":"AuthorizationFailed","message":"The client does not have authorization to perform action 'Microsoft.ContainerService/managedClusters/agentPools/write'"}}`, rollout.CodeUnauthorized, ""},
	{"no right on the subnet", 403, `{"error":{"code":"LinkedAuthorizationFailed","message":"The client has permission but does not have permission on the linked scope"}}`, rollout.CodeUnauthorized, ""},
	{"token", 401, `{"error":{"code":"ExpiredAuthenticationToken","message":"The access token expiry UTC time is earlier than current"}}`, rollout.CodeUnauthorized, ""},
	{"401 without words", 401, ``, rollout.CodeUnauthorized, ""},
	{"subscription unseen", 404, `{"error":{"code":"SubscriptionNotFound","message":"The subscription 's' could not be found."}}`, rollout.CodeUnauthorized, ""},
	{"not registered", 409, `{"error":{"code":"MissingSubscriptionRegistration","message":"The subscription is not registered to use namespace 'Microsoft.ContainerService'."}}`, rollout.CodeInvalid, ""},

	// The state of things.
	{"not found", 404, `{"error":{"code":"ResourceNotFound","message":"The Resource was not found."}}`, rollout.CodeNotFound, ""},
	{"group not found", 404, `{"error":{"code":"ResourceGroupNotFound","message":"Resource group 'rg' could not be found."}}`, rollout.CodeNotFound, ""},
	{"changed", 412, `{"code":"PreconditionFailed","message":"Etag mismatch"}`, rollout.CodeChanged, ""},
	{"throttled", 429, `{"code":"Throttled","message":"The PutAgentPoolHandler.PUT request limit has been exceeded for agentpool apps, please retry again in 60 seconds."}`, rollout.CodeThrottled, ""},
	{"throttled by ARM", 429, `{"error":{"code":"SubscriptionRequestsThrottled","message":"Number of requests for subscription exceeded"}}`, rollout.CodeThrottled, ""},
	{"preempted", 409, `{"code":"AKSOperationPreempted","message":"superseded"}`, rollout.CodeBusy, ""},

	// Operations with reasons of their own. An operation that ended is never
	// Busy, Throttled or Unavailable: asking again would not change it.
	{"operation preempted", 200, `{"status":"Failed","error":{"code":"AKSOperationPreempted","message":"Operation has been preempted by another operation in progress"}}`, rollout.CodeFailed, ""},
	{"operation not found inside", 200, `{"status":"Failed","error":{"code":"ResourceNotFound","message":"The virtual network was not found"}}`, rollout.CodeFailed, ""},
	{"node bootstrap", 200, `{"status":"Failed","error":{"code":"VMExtensionProvisioningError","message":"VM has reported a failure when processing extension: VMExtensionError_OutboundConnFail"}}`, rollout.CodeFailed, ""},
	{"canceled", 200, `{"status":"Canceled","startTime":"2026-11-01T00:00:00Z"}`, rollout.CodeFailed, "Canceled"},
	{"internal", 200, `{"status":"Failed","error":{"code":"InternalOperationError","message":"Internal server error"}}`, rollout.CodeFailed, ""},
	{"the resource itself", 200, `{"id":"x","properties":{"provisioningState":"Failed","status":{"provisioningError":{"code":"AllocationFailed","message":"none left"}}}}`, rollout.CodeCapacity, "none left"},
	{"the resource without words", 200, `{"id":"x","properties":{"provisioningState":"Failed"}}`, rollout.CodeFailed, "Failed"},

	// The service itself, and those in between.
	{"trouble", 500, `{"error":{"code":"InternalServerError","message":"Encountered internal server error."}}`, rollout.CodeUnavailable, ""},
	{"gateway", 502, `<html>Bad Gateway</html>`, rollout.CodeUnavailable, "Bad Gateway"},
	{"timeout", 408, ``, rollout.CodeUnavailable, ""},
	{"refused for what it says", 400, `{"code":"InvalidParameter","message":"The value of parameter agentPoolProfile.count is invalid.","target":"agentPoolProfile.count"}`, rollout.CodeInvalid, ""},
	{"error of another type", 400, `{"error":"invalid_request","code":"X"}`, rollout.CodeInvalid, "invalid_request"},
	{"fields of other types", 400, `{"status":17,"error":{"code":17,"message":"words"}}`, rollout.CodeInvalid, "words"},
}

func TestClassify(t *testing.T) {
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			r := parseRefusal(test.status, "", []byte(test.body))
			code, remedy := classify(&r)
			if code != test.want {
				t.Errorf("got %s, want %s: %+v", code, test.want, r)
			}
			if remedy == "" {
				t.Error("no remedy")
			}
			if !strings.Contains(r.message, test.says) {
				t.Errorf("message %q lacks %q", r.message, test.says)
			}
		})
	}
}

// The header's code leads, the body's words stay.
func TestParseRefusalPrefersTheHeader(t *testing.T) {
	r := parseRefusal(http.StatusConflict, "ScopeLocked", []byte(`{"error":{"code":"Conflict","message":"locked"}}`))
	if code, _ := classify(&r); code != rollout.CodeLocked || r.code != "ScopeLocked" || r.message != "locked" {
		t.Errorf("got %s of %+v", code, r)
	}
}

func TestScrub(t *testing.T) {
	for in, want := range map[string]string{
		"GET https://management.azure.com/x/operations/1?api-version=2016-03-30&t=1&c=AB&h=CD failed": "GET https://management.azure.com/x/operations/1 failed",
		`see "https://acct.blob.core.windows.net/c?sv=1&sig=AB%3D" now`:                               `see "https://acct.blob.core.windows.net/c" now`,
		"/subscriptions/s/operationresults/1?t=1&h=CD":                                                "/subscriptions/s/operationresults/1",
		"Authorization: Bearer abcdefghijk.lmnop-_~":                                                  "Authorization: Bearer [removed]",
		"token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln!":                                            "token [removed]!",
		`{"client_secret":"hunter2","x":1}`:                                                           `{"client_secret":"[removed]","x":1}`,
		"AccountKey=abc==;Endpoint=x":                                                                 "AccountKey=[removed];Endpoint=x",
		"why? because":                                                                                "why? because",
		"red \x1b[31malert\x07\r\nnext":                                                               "red [31malert next",
		"https://aka.ms/aks-pending-operation for more":                                               "https://aka.ms/aks-pending-operation for more",
		"bad \xff byte": "bad \uFFFD byte",
	} {
		if got := scrub(in); got != want {
			t.Errorf("scrub(%q) = %q, want %q", in, got, want)
		}
	}
	if long := scrub(strings.Repeat("é ", 5000)); len(long) > maxMessage+len("…") || !utf8.ValidString(long) {
		t.Errorf("%d bytes", len(long))
	}
}

func FuzzClassify(f *testing.F) {
	for _, r := range refusals {
		f.Add(r.status, "", r.body)
	}
	f.Add(400, "Code", strings.Repeat(`{"error":`, 100)+`1`+strings.Repeat(`}`, 100))
	f.Add(200, "", `{"error":{"details":[[[[[[[[[{"code":"x"}]]]]]]]]]}}`)
	f.Add(409, "", `{"message":"{\"message\":\"{\\\"message\\\":\\\"x\\\"}\"}"}`)
	known := map[rollout.Code]bool{}
	for _, c := range []rollout.Code{
		rollout.CodeBusy, rollout.CodeThrottled, rollout.CodeChanged, rollout.CodeUnavailable, rollout.CodeNotFound, rollout.CodeNotOffered,
		rollout.CodeSkew, rollout.CodeQuota, rollout.CodeAddresses, rollout.CodeCapacity, rollout.CodeDrainFailed, rollout.CodeDeprecatedAPI, rollout.CodeLocked,
		rollout.CodeUnauthorized, rollout.CodeStopped, rollout.CodeControlPlaneAloneRefused, rollout.CodeInvalid, rollout.CodeFailed,
	} {
		known[c] = true
	}
	f.Fuzz(func(t *testing.T, status int, header, body string) {
		r := parseRefusal(status, header, []byte(body))
		code, remedy := classify(&r)
		if !known[code] || remedy == "" {
			t.Errorf("code %q, remedy %q", code, remedy)
		}
		if r.ended && (code == rollout.CodeBusy || code == rollout.CodeThrottled || code == rollout.CodeUnavailable || code == rollout.CodeNotFound || code == rollout.CodeChanged) {
			t.Errorf("an operation that ended is %s", code)
		}
		checkScrubbed(t, r.message)
		// A signed URL within the body never gets through.
		quoted, err := json.Marshal(body + " https://host/path?t=" + secretMark + "&sig=" + secretMark)
		if err != nil {
			t.Fatal(err)
		}
		r = parseRefusal(status, header, []byte(`{"error":{"code":"X","message":`+string(quoted)+`}}`))
		checkScrubbed(t, r.message)
	})
}

func checkScrubbed(t *testing.T, message string) {
	t.Helper()
	if len(message) > maxMessage+len("…") || !utf8.ValidString(message) || strings.ContainsFunc(message, unicode.IsControl) {
		t.Errorf("message not fit to be shown: %q", message)
	}
	if strings.Contains(message, secretMark) {
		t.Errorf("a secret shows in %q", message)
	}
}
