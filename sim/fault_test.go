package sim_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"liftlock.dev/liftlock/sim/fault"
)

func TestFaultsOfCalls(t *testing.T) {
	t.Parallel()
	e := start(t)
	get := func() error {
		_, err := e.clusters().Get(t.Context(), group, "c", nil)
		return err
	}
	e.fault(fault.Fault{Effect: fault.Error, Status: 503, Code: "ServiceUnavailable", Match: fault.Match{Operation: "ManagedClusters_Get"}, Nth: 2})
	if err := get(); err != nil {
		t.Fatalf("the first call was struck: %v", err)
	}
	refused(t, get(), 503, "ServiceUnavailable", `{"error"`)
	if err := get(); err != nil {
		t.Fatalf("the third call was struck: %v", err)
	}
	e.fault(fault.Fault{Effect: fault.Error, Status: 409, Code: "OperationNotAllowed", Subcode: "Sub", Shape: "flat", Match: fault.Match{Operation: "ManagedClusters_*", Cluster: "c"}})
	refused(t, get(), 409, "OperationNotAllowed", `"subcode":"Sub"`)
	e.fault(fault.Fault{Effect: fault.Throttle, RetryAfter: 7, Match: fault.Match{Method: "GET"}})
	err := get()
	refused(t, err, 429, "Throttled")
	var response *azcore.ResponseError
	if errors.As(err, &response) && response.RawResponse.Header.Get("Retry-After") != "7" {
		t.Errorf("headers %v", response.RawResponse.Header)
	}
	e.fault(fault.Fault{Effect: fault.Unauthorized})
	refused(t, get(), 401, "InvalidAuthenticationToken")
	e.fault(fault.Fault{ID: "away", Effect: fault.Unreachable, Times: -1})
	for range 3 {
		if err := get(); err == nil || errors.As(err, &response) {
			t.Errorf("the connection was not reset: %v", err)
		}
	}
	if !e.server.RemoveFault("away") {
		t.Error("the fault was gone")
	}
	e.fault(fault.Fault{Effect: fault.Latency, Delay: fault.Duration(50 * time.Millisecond)})
	began := time.Now()
	if err := get(); err != nil || time.Since(began) < 50*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	e.fault(fault.Fault{Effect: fault.Error, Code: "Late", After: fault.Duration(time.Hour)})
	if err := get(); err != nil {
		t.Errorf("a sleeping fault struck: %v", err)
	}
}

func TestFaultsOfOperations(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.fault(fault.Fault{Effect: fault.OperationFails, Code: "ZonalAllocationFailed", Message: "no room", Match: fault.Match{Operation: "AgentPools_*", Pool: "apps"}, At: "middle"})
	count := func(n int32) error { return e.putPool("apps", func(p *poolProperties) { p.Count = &n }) }
	refused(t, count(4), http.StatusOK, "ZonalAllocationFailed", "no room")
	if p := e.pool("apps").Properties; *p.ProvisioningState != "Failed" || *p.Status.ProvisioningError.Message != "no room" {
		t.Errorf("%+v", p)
	}
	if err := count(4); err != nil {
		t.Fatal(err)
	}
	e.fault(fault.Fault{Effect: fault.OperationFails, Code: "InternalOperationError", Match: fault.Match{Cluster: "c"}})
	up := func(cl *managedCluster) { cl.Properties.KubernetesVersion = new("1.35.4") }
	refused(t, e.putCluster(up), http.StatusOK, "InternalOperationError")
	if p := e.cluster().Properties; *p.ProvisioningState != "Failed" || *p.CurrentKubernetesVersion != "1.34.4" || *p.KubernetesVersion != "1.35.4" {
		t.Errorf("%s %s", *p.ProvisioningState, *p.CurrentKubernetesVersion)
	}
	if err := e.putCluster(up); err != nil {
		t.Fatal(err)
	}
	if p := e.cluster().Properties; *p.CurrentKubernetesVersion != "1.35.4" {
		t.Errorf("%s", *p.CurrentKubernetesVersion)
	}
	e.fault(fault.Fault{Effect: fault.OperationSlow, Delay: fault.Duration(100 * time.Millisecond)})
	began := time.Now()
	if err := count(3); err != nil || time.Since(began) < 100*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

func TestFaultsOfTheWorld(t *testing.T) {
	t.Parallel()
	e := start(t, "throttling:", "faults: [{effect: versionWithdrawn, region: westeurope, version: 1.35.4, match: {operation: ManagedClusters_CreateOrUpdate}}]\nthrottling:")
	profile, err := e.clusters().GetUpgradeProfile(t.Context(), group, "c", nil)
	if err != nil || len(profile.Properties.ControlPlaneProfile.Upgrades) != 1 {
		t.Fatalf("%v %v", profile, err)
	}
	// Offered when it was planned, gone when it is to be done.
	refused(t, e.putCluster(func(cl *managedCluster) { cl.Properties.KubernetesVersion = new("1.35.4") }), 400, "K8sVersionNotSupported")
	e.fault(fault.Fault{Effect: fault.VersionOffered, Region: "westeurope", Version: "1.35.6"})
	eventually(t, "the offer", func() bool {
		got, err := e.clusters().GetUpgradeProfile(t.Context(), group, "c", nil)
		return err == nil && len(got.Properties.ControlPlaneProfile.Upgrades) == 1 && *got.Properties.ControlPlaneProfile.Upgrades[0].KubernetesVersion == "1.35.6"
	})
	fake := e.kube.Cluster("c")
	e.fault(fault.Fault{Effect: fault.APIServerDown, Match: fault.Match{Cluster: "c"}, For: fault.Duration(50 * time.Millisecond)})
	eventually(t, "the outage and its end", func() bool {
		steps := strings.Join(fake.Steps(), ",")
		return strings.Contains(steps, "stop") && strings.HasSuffix(steps, "start")
	})
	if got := *e.cluster().Properties.PowerState.Code; got != "Running" {
		t.Errorf("the service noticed the outage: %s", got)
	}
	e.fault(fault.Fault{Effect: fault.ClusterDeleted, Match: fault.Match{Operation: "ManagedClusters_Get", Cluster: "c"}, Nth: 2})
	if _, err := e.clusters().Get(t.Context(), group, "c", nil); err != nil {
		t.Fatal(err)
	}
	_, err = e.clusters().Get(t.Context(), group, "c", nil)
	refused(t, err, 404, "ResourceNotFound")
}

func TestThrottlingBuckets(t *testing.T) {
	t.Parallel()
	e := start(t, "throttling: {off: true} # throttling", "")
	put := func() error {
		cl := e.cluster()
		p, err := e.clusters().BeginCreateOrUpdate(t.Context(), group, "c", cl, nil)
		return wait(t, p, err)
	}
	for i := range 20 {
		if err := put(); err != nil {
			t.Fatalf("PUT %d: %v", i+1, err)
		}
	}
	err := put()
	refused(t, err, 429, "Throttled", `"subcode"`)
	if response, ok := errors.AsType[*azcore.ResponseError](err); ok {
		if after := response.RawResponse.Header.Get("Retry-After"); after == "" || after == "0" || len(after) > 2 {
			t.Errorf("Retry-After %q, want up to 60 s", after)
		}
	}
	// The buckets of a cluster and of its pools are apart.
	if err := e.putPool("apps", func(*poolProperties) {}); err != nil {
		t.Error(err)
	}
}

func TestControlAPIAndJournal(t *testing.T) {
	t.Parallel()
	e := start(t)
	response, answer := e.bare(http.MethodPost, "/sim/v1/faults", `{"effect":"throttle","retryAfter":3,"match":{"operation":"ManagedClusters_List"}}`, nil)
	if response.StatusCode != http.StatusCreated || answer["id"] == "" {
		t.Fatalf("%d %v", response.StatusCode, answer)
	}
	if response, answer := e.bare(http.MethodPost, "/sim/v1/faults", `{"effect":"meteor"}`, nil); response.StatusCode != http.StatusBadRequest || !strings.Contains(answer["error"].(string), "meteor") {
		t.Errorf("%d %v", response.StatusCode, answer)
	}
	if response, _ := e.bare(http.MethodPost, "/sim/v1/faults", `{"effekt":"error"}`, nil); response.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown key was taken: %d", response.StatusCode)
	}
	if response, _ := e.bare(http.MethodDelete, "/sim/v1/faults/"+answer["id"].(string), "", nil); response.StatusCode != http.StatusNoContent {
		t.Errorf("%d", response.StatusCode)
	}
	if err := e.putPool("apps", func(p *poolProperties) { p.Count = to.Ptr[int32](4) }); err != nil {
		t.Fatal(err)
	}
	entries := e.server.Journal().Entries(0, "AgentPools_CreateOrUpdate", "c", "PUT")
	if len(entries) != 1 || entries[0].Status != 200 || entries[0].LRO == "" || entries[0].Pool != "apps" || !strings.Contains(string(entries[0].Body), `"count":4`) {
		t.Errorf("%+v", entries)
	}
	_, answer = e.bare(http.MethodGet, "/sim/v1/journal?operation=AgentPools_CreateOrUpdate", "", nil)
	if text, _ := answer["text"].(string); !strings.Contains(text, entries[0].LRO) || strings.Contains(text, "Bearer") {
		t.Errorf("journal %v", answer)
	}
	_, answer = e.bare(http.MethodGet, "/sim/v1/state", "", nil)
	if clusters, ok := answer["clusters"].([]any); !ok || len(clusters) != 1 {
		t.Errorf("state %v", answer)
	}
}

func TestBadCalls(t *testing.T) {
	t.Parallel()
	e := start(t)
	path := "/subscriptions/" + sub + "/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/c"
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"no api version":       {"GET", path, "", 400, "MissingApiVersionParameter"},
		"bad api version":      {"GET", path + "?api-version=latest", "", 400, "InvalidApiVersionParameter"},
		"preview api version":  {"GET", path + "?api-version=2026-06-02-preview", "", 200, ""},
		"other case":           {"GET", strings.ToUpper(path) + "?api-version=2026-04-01", "", 200, ""},
		"unknown type":         {"GET", "/subscriptions/" + sub + "/providers/Microsoft.Compute/disks?api-version=2026-04-01", "", 404, "InvalidResourceType"},
		"unknown verb":         {"PATCH", path + "/agentPools/apps?api-version=2026-04-01", "{}", 405, "HttpMethodNotSupported"},
		"unknown subscription": {"GET", "/subscriptions/nope/providers/Microsoft.ContainerService/managedClusters?api-version=2026-04-01", "", 404, "SubscriptionNotFound"},
		"not JSON":             {"PUT", path + "/agentPools/green?api-version=2026-04-01", "{", 400, "InvalidRequestContent"},
		"unsigned operation":   {"GET", "/subscriptions/" + sub + "/providers/Microsoft.ContainerService/locations/westeurope/operations/x?api-version=2016-03-30", "", 403, "InvalidOperationUrl"},
		"subscription":         {"GET", "/subscriptions/" + sub + "?api-version=2022-12-01", "", 200, ""},
		"group":                {"GET", "/subscriptions/" + sub + "/resourceGroups/rg?api-version=2022-12-01", "", 200, ""},
		"groups":               {"GET", "/subscriptions/" + sub + "/resourceGroups?api-version=2022-12-01", "", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			response, _ := e.raw(test.method, test.path, test.body, nil)
			if response.StatusCode != test.status || response.Header.Get("X-Ms-Error-Code") != test.code {
				t.Errorf("got %d %s", response.StatusCode, response.Header.Get("X-Ms-Error-Code"))
			}
		})
	}
	response, answer := e.raw(http.MethodGet, "/subscriptions?api-version=2022-12-01", "", nil)
	if list, ok := answer["value"].([]any); !ok || len(list) != 2 || response.Header.Get("X-Ms-Ratelimit-Remaining-Subscription-Reads") == "" {
		t.Errorf("%v %v", answer, response.Header)
	}
	if response, _ := e.bare(http.MethodGet, path+"?api-version=2026-04-01", "", nil); response.StatusCode != http.StatusUnauthorized || response.Header.Get("Www-Authenticate") == "" {
		t.Errorf("without a token: %d", response.StatusCode)
	}
	if response, _ := e.bare(http.MethodGet, path+"?api-version=2026-04-01", "", map[string]string{"Authorization": "Bearer a.b.c"}); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a made-up token: %d", response.StatusCode)
	}
}

func TestOperationHeaders(t *testing.T) {
	t.Parallel()
	e := start(t, "throttling:", "retryAfter: 2\nthrottling:")
	release := e.kube.Cluster("c").Hold("add")
	defer release()
	path := "/subscriptions/" + sub + "/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/c"
	response, answer := e.raw(http.MethodPut, path+"/agentPools/green?api-version=2026-04-01", `{"properties":{"count":1,"unknownSetting":{"a":1}}}`, nil)
	async := response.Header.Get("Azure-Asyncoperation")
	if response.StatusCode != http.StatusCreated || len(async) < 2000 || response.Header.Get("Location") != "" || response.Header.Get("Retry-After") != "2" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
	props, _ := answer["properties"].(map[string]any)
	if props["provisioningState"] != "Creating" || props["unknownSetting"] == nil {
		t.Errorf("%v", props)
	}
	if response, answer := e.raw(http.MethodGet, async, "", nil); response.StatusCode != http.StatusOK || answer["status"] != "InProgress" || response.Header.Get("Retry-After") != "2" {
		t.Errorf("%d %v", response.StatusCode, answer)
	}
	if response, _ := e.raw(http.MethodGet, strings.Replace(async, "&s=", "&s=x", 1), "", nil); response.StatusCode != http.StatusForbidden {
		t.Errorf("a changed URL was followed: %d", response.StatusCode)
	}
	release()
	eventually(t, "the end", func() bool {
		_, answer := e.raw(http.MethodGet, async, "", nil)
		return answer["status"] == "Succeeded" && answer["endTime"] != ""
	})
	response, _ = e.raw(http.MethodDelete, path+"/agentPools/green?api-version=2026-04-01", "", nil)
	location := response.Header.Get("Location")
	if response.StatusCode != http.StatusAccepted || location == "" || response.Header.Get("Azure-Asyncoperation") == "" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
	eventually(t, "the result", func() bool {
		response, _ := e.raw(http.MethodGet, location, "", nil)
		return response.StatusCode == http.StatusNoContent
	})
}

func TestSigningIn(t *testing.T) {
	t.Parallel()
	e := start(t)
	at := e.server.Endpoint()
	workload, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: e.clientOptions(), ClientID: at.ClientID, TenantID: at.TenantID, TokenFilePath: at.TokenFile, DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	good := e.cred
	if _, err := e.clusters().Get(t.Context(), group, "c", nil); err != nil {
		t.Fatalf("client secret: %v", err)
	}
	e.cred = workload
	if _, err := e.clusters().Get(t.Context(), group, "c", nil); err != nil {
		t.Errorf("workload identity: %v", err)
	}
	secret := func(tenant, client, secret string) error {
		cred, err := azidentity.NewClientSecretCredential(tenant, client, secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: e.clientOptions(), DisableInstanceDiscovery: true})
		if err != nil {
			t.Fatal(err)
		}
		e.cred = cred
		_, err = e.clusters().Get(t.Context(), group, "c", nil)
		return err
	}
	for name, test := range map[string]struct{ tenant, client, secret, want string }{
		"wrong secret": {at.TenantID, at.ClientID, "x", "AADSTS7000215"},
		"wrong client": {at.TenantID, "00000000-0000-0000-0000-00000000dead", "x", "AADSTS700016"},
		"wrong tenant": {"00000000-0000-0000-0000-00000000dead", at.ClientID, "x", "AADSTS90002"},
	} {
		if err := secret(test.tenant, test.client, test.secret); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	e.fault(fault.Fault{Effect: fault.Unauthorized, Match: fault.Match{Operation: "Entra_Token"}, Times: -1})
	if err := secret(at.TenantID, at.ClientID, "simulated~secret.of.a.simulated.client"); err == nil || !strings.Contains(err.Error(), "AADSTS7000222") {
		t.Errorf("refused credentials: %v", err)
	}
	e.cred = good
	if _, err := e.clusters().Get(t.Context(), group, "c", nil); err != nil {
		t.Errorf("a credential with a token at hand: %v", err)
	}
}
