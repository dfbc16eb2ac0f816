package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/sim"
	"liftlock.dev/liftlock/sim/aks/akstest"
	"liftlock.dev/liftlock/sim/fault"
	"liftlock.dev/liftlock/sim/scenario"
)

const (
	sub   = "00000000-0000-4000-8000-000000000001"
	group = "rg"
)

// basic is a cluster "c" on 1.34.4 with a system and a user pool; tests change
// it by replacing text.
const basic = `name: test
subscriptions:
- {id: 00000000-0000-4000-8000-000000000001, name: one, resourceGroups: [rg, other]}
- {id: 00000000-0000-4000-8000-000000000002, name: two}
regions:
- name: westeurope
  versions:
  - {version: 1.33.13, longTermOnly: true}
  - {version: 1.34.2}
  - {version: 1.34.4}
  - {version: 1.35.4, default: true}
  - {version: 1.36.3}
  - {version: 1.37.1, preview: true}
  nodeImages:
    AKSUbuntu-2204gen2containerd: [202610.12.0, 202611.09.0]
    AKSUbuntu-2204gen2arm64containerd: [202610.12.0, 202611.09.0]
throttling: {off: true} # throttling
timing: {minute: 10ms}
clusters:
- name: c
  subscription: one
  resourceGroup: rg
  location: westeurope
  version: 1.34.4 # cluster
  tags: {env: test}
  properties: {networkProfile: {networkPlugin: azure, networkPluginMode: overlay}} # properties
  pools:
  - {name: system, mode: System, count: 1, vmSize: Standard_D2s_v5}
  - {name: apps, count: 3, vmSize: Standard_D4s_v5, zones: ["1", "2", "3"], labels: {workload: apps}, taints: ["team=a:NoSchedule"]} # apps
`

// env is a simulated Azure over fake control planes, and real clients for it.
type env struct {
	t       *testing.T
	server  *sim.Server
	kube    *akstest.Kubernetes
	options *arm.ClientOptions
	cred    azcore.TokenCredential
}

// start brings up basic with pairs of old and new text replaced.
func start(t *testing.T, replace ...string) *env {
	t.Helper()
	text := basic
	for i := 0; i+1 < len(replace); i += 2 {
		changed := strings.Replace(text, replace[i], replace[i+1], 1)
		if changed == text {
			t.Fatalf("%q is not in the scenario", replace[i])
		}
		text = changed
	}
	sc, err := scenario.Parse("test.yaml", []byte(text), fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	e := &env{t: t, kube: akstest.New()}
	e.server, err = sim.Start(t.Context(), sim.Options{Scenario: sc, Kubernetes: e.kube, StateDir: t.TempDir(), Unwatched: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := e.server.Close(ctx); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	e.options = &arm.ClientOptions{DisableRPRegistration: true, ClientOptions: e.clientOptions()}
	secret, err := os.ReadFile(e.server.Endpoint().ClientSecretFile)
	if err != nil {
		t.Fatal(err)
	}
	e.cred, err = azidentity.NewClientSecretCredential(e.server.Endpoint().TenantID, e.server.Endpoint().ClientID, string(secret),
		&azidentity.ClientSecretCredentialOptions{ClientOptions: e.clientOptions(), DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *env) clientOptions() policy.ClientOptions {
	at := e.server.Endpoint()
	return policy.ClientOptions{
		Transport: e.server.HTTPClient(),
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: at.AuthorityHost,
			Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Audience: at.Audience, Endpoint: at.ARMEndpoint}},
		},
	}
}

func (e *env) factory() *armcontainerservice.ClientFactory {
	f, err := armcontainerservice.NewClientFactory(sub, e.cred, e.options)
	if err != nil {
		e.t.Fatal(err)
	}
	return f
}

func (e *env) clusters() *armcontainerservice.ManagedClustersClient {
	return e.factory().NewManagedClustersClient()
}

func (e *env) pools() *armcontainerservice.AgentPoolsClient { return e.factory().NewAgentPoolsClient() }

func (e *env) cluster() armcontainerservice.ManagedCluster {
	e.t.Helper()
	got, err := e.clusters().Get(e.t.Context(), group, "c", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	return got.ManagedCluster
}

func (e *env) pool(name string) armcontainerservice.AgentPool {
	e.t.Helper()
	got, err := e.pools().Get(e.t.Context(), group, "c", name, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	return got.AgentPool
}

// putCluster changes the cluster as it is and waits.
func (e *env) putCluster(change func(*armcontainerservice.ManagedCluster)) error {
	e.t.Helper()
	cl := e.cluster()
	change(&cl)
	p, err := e.clusters().BeginCreateOrUpdate(e.t.Context(), group, "c", cl, &armcontainerservice.ManagedClustersClientBeginCreateOrUpdateOptions{IfMatch: cl.ETag})
	return wait(e.t, p, err)
}

// putPool changes a pool as it is and waits.
func (e *env) putPool(name string, change func(*armcontainerservice.ManagedClusterAgentPoolProfileProperties)) error {
	e.t.Helper()
	p := e.pool(name)
	change(p.Properties)
	poller, err := e.pools().BeginCreateOrUpdate(e.t.Context(), group, "c", name, p, nil)
	return wait(e.t, poller, err)
}

// newPool creates a pool and waits.
func (e *env) newPool(name string, props armcontainerservice.ManagedClusterAgentPoolProfileProperties) error {
	e.t.Helper()
	poller, err := e.pools().BeginCreateOrUpdate(e.t.Context(), group, "c", name, armcontainerservice.AgentPool{Properties: &props}, nil)
	return wait(e.t, poller, err)
}

func (e *env) deletePool(name string) error {
	e.t.Helper()
	poller, err := e.pools().BeginDelete(e.t.Context(), group, "c", name, nil)
	return wait(e.t, poller, err)
}

func wait[T any](t *testing.T, p *runtime.Poller[T], err error) error {
	t.Helper()
	if err != nil {
		return err
	}
	_, err = p.PollUntilDone(t.Context(), &runtime.PollUntilDoneOptions{Frequency: 2 * time.Millisecond})
	return err
}

func (e *env) fault(f fault.Fault) {
	e.t.Helper()
	if _, err := e.server.AddFault(f); err != nil {
		e.t.Fatal(err)
	}
}

// nodesOf returns the sorted names of a pool's nodes in the fake.
func (e *env) nodesOf(pool string) []string {
	var names []string
	for name, n := range e.kube.Cluster("c").Nodes() {
		if n.Labels["agentpool"] == pool {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// refused checks an error's code, status and text.
func refused(t *testing.T, err error, status int, code string, texts ...string) {
	t.Helper()
	var response *azcore.ResponseError
	if !errors.As(err, &response) {
		t.Fatalf("got %v, want a ResponseError %s", err, code)
	}
	if response.StatusCode != status || response.ErrorCode != code {
		t.Errorf("got %d %s, want %d %s\n%v", response.StatusCode, response.ErrorCode, status, code, err)
	}
	body, readErr := runtime.Payload(response.RawResponse)
	if readErr != nil {
		t.Fatal(readErr)
	}
	// Texts are compared as they read, not as JSON escapes them.
	plain := strings.NewReplacer(`\u003e`, ">", `\u003c`, "<", `\u0026`, "&", `\"`, `"`).Replace(string(body))
	for _, text := range texts {
		if !strings.Contains(plain, text) {
			t.Errorf("%s lacks %q", plain, text)
		}
	}
}

// eventually polls until ok, for at most five seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("did not come to pass: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// raw makes a call of its own with a valid token.
func (e *env) raw(method, path, body string, headers map[string]string) (*http.Response, map[string]any) {
	e.t.Helper()
	token, err := e.cred.GetToken(e.t.Context(), policy.TokenRequestOptions{Scopes: []string{e.server.Endpoint().Audience + "/.default"}})
	if err != nil {
		e.t.Fatal(err)
	}
	all := map[string]string{"Authorization": "Bearer " + token.Token, "Content-Type": "application/json"}
	maps.Copy(all, headers)
	return e.bare(method, path, body, all)
}

// bare makes a call with just these headers.
func (e *env) bare(method, path, body string, headers map[string]string) (*http.Response, map[string]any) {
	e.t.Helper()
	if !strings.HasPrefix(path, "https://") {
		path = e.server.Endpoint().ARMEndpoint + path
	}
	request, err := http.NewRequestWithContext(e.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	for key, value := range headers {
		request.Header.Set(key, value)
	}
	response, err := e.server.HTTPClient().Do(request)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	answer := map[string]any{}
	if len(text) > 0 && json.Unmarshal(text, &answer) != nil {
		answer["text"] = string(text)
	}
	return response, answer
}
