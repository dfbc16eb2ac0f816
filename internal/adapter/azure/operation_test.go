package azure

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

var v135 = fleet.MustParseVersion("1.35.4")

const operationPath = "/subscriptions/" + sub1 + "/providers/Microsoft.ContainerService/locations/westeurope/operations/op1"

// signed are the headers of an accepted operation: AKS signs its URLs.
var signed = []string{"Azure-AsyncOperation", "$HOST" + operationPath + "?api-version=2016-03-30&t=1&c=" + secretMark + "&s=" + secretMark + "&h=" + secretMark}

func poolPath(name string) string { return prodPath + "/agentPools/" + name }

// noSecrets fails where an error, or any error in its chain, shows a signature
// or a token. Histories keep the texts of whole chains.
func noSecrets(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), secretMark) {
			t.Errorf("a secret shows in: %v", e)
		}
	}
}

func wantCode(t *testing.T, err error, want rollout.Code) {
	t.Helper()
	if got := rollout.CodeOf(err); got != want {
		t.Errorf("code %q, want %q: %v", got, want, err)
	}
	noSecrets(t, err)
}

func TestUpgradeControlPlaneAndPoll(t *testing.T) {
	f := newFakeARM(t)
	f.on("GET "+prodPath, http.StatusOK, fixture(t, "cluster.json"))
	f.on("PUT "+prodPath, http.StatusOK, edit(t, fixture(t, "cluster.json"), "properties.provisioningState", "Upgrading", "properties.kubernetesVersion", "1.35.4"), signed...)
	f.on("GET "+operationPath, http.StatusOK, `{"name":"op1","status":"InProgress"}`)
	f.on("GET "+operationPath, http.StatusOK, `{"name":"op1","status":"InProgress"}`, "Retry-After", "7")
	f.on("GET "+operationPath, http.StatusOK, `{"name":"op1","status":"Succeeded"}`)
	var log bytes.Buffer
	o := f.options()
	o.Logger = logTo(&log)
	cluster := prod()
	cluster.ETag = "cluster-1"
	op, err := f.providerWith(o).UpgradeControlPlane(t.Context(), cluster, v135)
	if err != nil || op.Kind != "upgradeControlPlane" || !strings.Contains(op.Token, secretMark) {
		t.Fatalf("got %+v, %v", op, err)
	}

	put := f.asked("PUT " + prodPath)[0]
	if got := put.header.Get("If-Match"); got != "cluster-1" {
		t.Errorf("If-Match %q", got)
	}
	for path, want := range map[string]any{
		"properties.kubernetesVersion":                                 "1.35.4",
		"properties.agentPoolProfiles.0.orchestratorVersion":           "1.34", // as it was
		"properties.agentPoolProfiles.1.orchestratorVersion":           "1.33.5",
		"properties.agentPoolProfiles.1.creationData.sourceResourceId": "/subscriptions/11111111-0000-0000-0000-000000000001/resourceGroups/RG-Prod/providers/Microsoft.ContainerService/snapshots/Proven",
		"properties.agentPoolProfiles.1.upgradeSettings.maxSurge":      "33%",
		"properties.servicePrincipalProfile":                           nil,
		"properties.agentPoolProfiles.0.nodeImageVersion":              nil, // writing it asks for a rollback
		"properties.networkProfile.podCidr":                            "10.244.0.0/16",
		"properties.addonProfiles.azurepolicy.enabled":                 true,
		"properties.nodeResourceGroup":                                 "MC_RG-Prod_Prod_westeurope",
		"tags.cost-center":                                             "42",
		"sku.tier":                                                     "Standard",
		"identity.type":                                                "SystemAssigned",
		"location":                                                     "westeurope",
	} {
		if got := at(t, put.body, path); !cmp.Equal(got, want) {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if agent := put.header.Get("User-Agent"); !strings.HasPrefix(agent, "liftlock ") {
		t.Errorf("User-Agent %q", agent)
	}

	// Any process may poll: a new provider does.
	other := f.provider()
	for i, want := range []rollout.OperationStatus{{}, {RetryAfter: 7 * time.Second}, {Done: true}} {
		got, err := other.Poll(t.Context(), op)
		if err != nil || got != want {
			t.Fatalf("poll %d: %+v, %v", i, got, err)
		}
	}
	if n := len(f.asked("GET " + operationPath)); n != 3 {
		t.Errorf("%d requests for three polls", n)
	}
	if strings.Contains(log.String(), secretMark) || !strings.Contains(log.String(), "operation started") {
		t.Errorf("log: %s", log.String())
	}
}

func TestUpgradeControlPlaneDecides(t *testing.T) {
	for _, test := range []struct {
		name  string
		edits []any
		etag  string
		to    string
		want  rollout.Code // "" for no operation and no error
	}{
		{name: "there already", to: "1.34.4"},
		{name: "on its way", edits: []any{"properties.provisioningState", "Upgrading", "properties.kubernetesVersion", "1.35.4"}, etag: "earlier"},
		{name: "busy otherwise", edits: []any{"properties.provisioningState", "Updating"}, want: rollout.CodeBusy},
		{name: "busy with an unknown state", edits: []any{"properties.provisioningState", "Pondering"}, want: rollout.CodeBusy},
		{name: "changed", etag: "earlier", want: rollout.CodeChanged},
		{name: "stopped", edits: []any{"properties.powerState.code", "Stopped"}, want: rollout.CodeStopped},
		{name: "never back", to: "1.33.9", want: rollout.CodeSkew},
		{name: "few pools", edits: []any{"properties.maxAgentPools", 1}, want: rollout.CodeControlPlaneAloneRefused},
		{name: "availability set", edits: []any{"properties.agentPoolProfiles.1.type", "AvailabilitySet"}, want: rollout.CodeControlPlaneAloneRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeARM(t)
			f.on("GET "+prodPath, http.StatusOK, edit(t, fixture(t, "cluster.json"), test.edits...))
			cluster, to := prod(), v135
			cluster.ETag = test.etag
			if test.to != "" {
				to = fleet.MustParseVersion(test.to)
			}
			op, err := f.provider().UpgradeControlPlane(t.Context(), cluster, to)
			wantCode(t, err, test.want)
			if op != (rollout.Operation{}) || f.writes() > 0 {
				t.Errorf("something was written: %+v", op)
			}
		})
	}
}

// A Failed control plane is written again even when it runs the version.
func TestUpgradeControlPlaneResumesFailed(t *testing.T) {
	f := newFakeARM(t)
	failed := edit(t, fixture(t, "cluster.json"), "properties.provisioningState", "Failed", "properties.currentKubernetesVersion", "1.35.4", "properties.kubernetesVersion", "1.35.4")
	f.on("GET "+prodPath, http.StatusOK, failed)
	f.on("PUT "+prodPath, http.StatusOK, edit(t, failed, "properties.provisioningState", "Updating"), signed...)
	op, err := f.provider().UpgradeControlPlane(t.Context(), prod(), v135)
	if err != nil || op.Kind == "" {
		t.Errorf("got %+v, %v", op, err)
	}
}

func TestCreatePool(t *testing.T) {
	f := newFakeARM(t)
	f.on("GET "+poolPath("apps"), http.StatusOK, fixture(t, "pool.json"))
	f.on("PUT "+poolPath("appsb"), http.StatusCreated, edit(t, fixture(t, "pool.json"), "properties.provisioningState", "Creating"), signed...)
	snapshot := "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/snapshots/proven"
	want := fleet.Pool{Name: "appsb", Version: v135, Count: 4, SnapshotID: snapshot, Tags: map[string]string{"owner": "shop", "liftlock-for": "apps"}}
	op, err := f.provider().CreatePool(t.Context(), prod(), fleet.Pool{Name: "apps", ETag: "old"}, want)
	if err != nil || op.Kind != "createPool" {
		t.Fatalf("got %+v, %v", op, err)
	}
	put := f.asked("PUT " + poolPath("appsb"))[0]
	if got := put.header.Get("If-None-Match"); got != "*" {
		t.Errorf("If-None-Match %q", got)
	}
	var original map[string]any
	original, _ = at(t, fixture(t, "pool.json"), "properties").(map[string]any)
	for _, key := range []string{"provisioningState", "powerState", "currentOrchestratorVersion", "nodeImageVersion", "eTag", "minCount", "maxCount"} {
		delete(original, key)
	}
	original["orchestratorVersion"] = "1.35.4"
	original["count"] = 4.0
	original["enableAutoScaling"] = false
	original["tags"] = map[string]any{"owner": "shop", "liftlock-for": "apps"}
	original["creationData"] = map[string]any{"sourceResourceId": snapshot}
	if diff := cmp.Diff(original, at(t, put.body, "properties")); diff != "" {
		t.Error(diff)
	}
}

func TestCreatePoolTwice(t *testing.T) {
	marks := map[string]string{"liftlock-for": "apps", "liftlock-rollout": "r1"}
	for _, test := range []struct {
		name  string
		edits []any
		want  rollout.Code
	}{
		{"the same", nil, ""},
		{"the same, still in the making", []any{"properties.provisioningState", "Creating"}, ""},
		{"of another rollout", []any{"properties.tags.liftlock-rollout", "r0"}, rollout.CodeInvalid},
		{"a stranger", []any{"properties.tags", nil}, rollout.CodeInvalid},
		{"going", []any{"properties.provisioningState", "Deleting"}, rollout.CodeBusy},
		{"another version", []any{"properties.orchestratorVersion", "1.34.4"}, rollout.CodeInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeARM(t)
			made := edit(t, fixture(t, "pool.json"), "properties.tags", map[string]any{"liftlock-for": "apps", "liftlock-rollout": "r1", "more": "x"}, "properties.orchestratorVersion", "1.35.4")
			f.on("GET "+poolPath("appsb"), http.StatusOK, edit(t, made, test.edits...))
			op, err := f.provider().CreatePool(t.Context(), prod(), fleet.Pool{Name: "apps"}, fleet.Pool{Name: "appsb", Version: v135, Tags: marks})
			wantCode(t, err, test.want)
			if op != (rollout.Operation{}) || f.writes() > 0 {
				t.Errorf("something was written: %+v", op)
			}
		})
	}
}

func TestChangesOfPools(t *testing.T) {
	snapshot := "/subscriptions/" + sub1 + "/resourceGroups/rg-prod/providers/Microsoft.ContainerService/snapshots/proven"
	upgrade := func(surge, snapshot string) func(*Provider) (rollout.Operation, error) {
		return func(p *Provider) (rollout.Operation, error) {
			return p.UpgradePool(t.Context(), prod(), fleet.Pool{Name: "apps", ETag: "apps-1"}, v135, surge, snapshot)
		}
	}
	autoscaler := func(to *fleet.Autoscaler) func(*Provider) (rollout.Operation, error) {
		return func(p *Provider) (rollout.Operation, error) {
			return p.SetAutoscaler(t.Context(), prod(), fleet.Pool{Name: "apps"}, to)
		}
	}
	image := func(snapshot string) func(*Provider) (rollout.Operation, error) {
		return func(p *Provider) (rollout.Operation, error) {
			return p.UpgradeNodeImage(t.Context(), prod(), fleet.Pool{Name: "apps"}, snapshot)
		}
	}
	remove := func(p *Provider) (rollout.Operation, error) {
		return p.DeletePool(t.Context(), prod(), fleet.Pool{Name: "apps"})
	}
	reconcile := func(p *Provider) (rollout.Operation, error) {
		return p.Reconcile(t.Context(), prod(), &fleet.Pool{Name: "apps"})
	}
	put, post, del := "PUT "+poolPath("apps"), "POST "+poolPath("apps")+"/upgradeNodeImageVersion", "DELETE "+poolPath("apps")
	for _, test := range []struct {
		name  string
		edits []any
		do    func(*Provider) (rollout.Operation, error)
		kind  string         // of the operation; "" for none
		asks  string         // the request that starts it
		body  map[string]any // what it says
		want  rollout.Code
	}{
		{name: "upgrade", do: upgrade("", ""), kind: "upgradePool", asks: put, body: map[string]any{"properties.orchestratorVersion": "1.35.4", "properties.upgradeSettings.maxSurge": "33%", "properties.count": 5.0, "properties.nodeImageVersion": nil, "properties.creationData": nil}},
		{name: "upgrade with surge and snapshot", do: upgrade("1", snapshot), kind: "upgradePool", asks: put, body: map[string]any{"properties.upgradeSettings.maxSurge": "1", "properties.upgradeSettings.drainTimeoutInMinutes": 45.0, "properties.creationData.sourceResourceId": snapshot}},
		{name: "upgrade drops an older pin", edits: []any{"properties.creationData.sourceResourceId", "old"}, do: upgrade("", ""), kind: "upgradePool", asks: put, body: map[string]any{"properties.creationData": nil}},
		{name: "upgraded", edits: []any{"properties.currentOrchestratorVersion", "1.35.4"}, do: upgrade("", "")},
		{name: "upgraded, but Failed", edits: []any{"properties.currentOrchestratorVersion", "1.35.4", "properties.provisioningState", "Failed"}, do: upgrade("", ""), kind: "upgradePool", asks: put},
		{name: "upgraded, other image", edits: []any{"properties.currentOrchestratorVersion", "1.35.4"}, do: upgrade("", snapshot), kind: "upgradePool", asks: put},
		{name: "upgraded, same image", edits: []any{"properties.currentOrchestratorVersion", "1.35.4", "properties.nodeImageVersion", "AKSUbuntu-2204gen2containerd-202610.20.0"}, do: upgrade("", snapshot)},
		{name: "upgrading", edits: []any{"properties.orchestratorVersion", "1.35.4", "properties.provisioningState", "Upgrading"}, do: upgrade("", "")},
		{name: "upgrading elsewhere", edits: []any{"properties.orchestratorVersion", "1.34.4", "properties.provisioningState", "Upgrading"}, do: upgrade("", ""), want: rollout.CodeBusy},
		{name: "upgrade after a change", edits: []any{"properties.eTag", "apps-2"}, do: upgrade("", ""), want: rollout.CodeChanged},
		{name: "upgrade backwards", edits: []any{"properties.currentOrchestratorVersion", "1.36.0"}, do: upgrade("", ""), want: rollout.CodeSkew},
		{name: "upgrade stopped", edits: []any{"properties.powerState.code", "Stopped"}, do: upgrade("", ""), want: rollout.CodeStopped},

		{name: "image", do: image(""), kind: "upgradeNodeImage", asks: post},
		{name: "image of a snapshot", do: image(snapshot), kind: "upgradeNodeImage", asks: put, body: map[string]any{"properties.creationData.sourceResourceId": snapshot, "properties.orchestratorVersion": "1.33.5", "properties.nodeImageVersion": nil}},
		{name: "image of a snapshot under way", edits: []any{"properties.provisioningState", "Updating", "properties.creationData.sourceResourceId", strings.ToLower(snapshot)}, do: image(snapshot)},
		{name: "newest image while a snapshot's is under way", edits: []any{"properties.provisioningState", "Updating", "properties.creationData.sourceResourceId", snapshot}, do: image(""), want: rollout.CodeBusy},
		{name: "image is newest", edits: []any{"properties.nodeImageVersion", "AKSUbuntu-2204gen2containerd-202611.03.0"}, do: image("")},
		{name: "image is the snapshot's", edits: []any{"properties.nodeImageVersion", "AKSUbuntu-2204gen2containerd-202610.20.0"}, do: image(snapshot)},
		{name: "image under way", edits: []any{"properties.provisioningState", "UpgradingNodeImageVersion"}, do: image("")},
		{name: "image while scaling", edits: []any{"properties.provisioningState", "Scaling"}, do: image(""), want: rollout.CodeBusy},

		{name: "autoscaler off", do: autoscaler(nil), kind: "setAutoscaler", asks: put, body: map[string]any{"properties.enableAutoScaling": false, "properties.minCount": nil, "properties.maxCount": nil, "properties.count": 5.0, "properties.orchestratorVersion": "1.33.5"}},
		{name: "autoscaler is off", edits: []any{"properties.enableAutoScaling", false}, do: autoscaler(nil)},
		{name: "autoscaler set", do: autoscaler(&fleet.Autoscaler{Min: 1, Max: 9}), kind: "setAutoscaler", asks: put, body: map[string]any{"properties.enableAutoScaling": true, "properties.minCount": 1.0, "properties.maxCount": 9.0}},
		{name: "autoscaler is set", do: autoscaler(&fleet.Autoscaler{Min: 3, Max: 12})},
		{name: "autoscaler on its way", edits: []any{"properties.provisioningState", "Updating", "properties.enableAutoScaling", false}, do: autoscaler(nil)},
		{name: "autoscaler while busy", edits: []any{"properties.provisioningState", "Updating"}, do: autoscaler(nil), want: rollout.CodeBusy},
		{name: "autoscaler upside down", do: autoscaler(&fleet.Autoscaler{Min: 9, Max: 1}), want: rollout.CodeInvalid},

		{name: "delete", do: remove, kind: "deletePool", asks: del},
		{name: "deleting", edits: []any{"properties.provisioningState", "Deleting"}, do: remove},
		{name: "delete while busy", edits: []any{"properties.provisioningState", "Upgrading"}, do: remove, want: rollout.CodeBusy},

		{name: "reconcile", edits: []any{"properties.provisioningState", "Failed"}, do: reconcile, kind: "reconcile", asks: put, body: map[string]any{"properties.orchestratorVersion": "1.33.5", "properties.count": 5.0}},
		{name: "reconcile canceled", edits: []any{"properties.provisioningState", "Canceled"}, do: reconcile, kind: "reconcile", asks: put},
		{name: "reconcile what is well", do: reconcile},
		{name: "reconcile what is at work", edits: []any{"properties.provisioningState", "Updating"}, do: reconcile},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeARM(t)
			pool := edit(t, fixture(t, "pool.json"), test.edits...)
			f.on("GET "+poolPath("apps"), http.StatusOK, pool)
			f.on("GET "+poolPath("apps")+"/upgradeProfiles/default", http.StatusOK, `{"properties":{"kubernetesVersion":"1.33.5","osType":"Linux","latestNodeImageVersion":"AKSUbuntu-2204gen2containerd-202611.03.0"}}`)
			f.on("GET "+snapshot, http.StatusOK, `{"id":"`+snapshot+`","location":"westeurope","properties":{"nodeImageVersion":"AKSUbuntu-2204gen2containerd-202610.20.0"}}`)
			f.on(put, http.StatusOK, edit(t, pool, "properties.provisioningState", "Updating"), signed...)
			f.on(post, http.StatusAccepted, "", signed...)
			f.on(del, http.StatusAccepted, "", signed...)
			f.on("GET "+operationPath, http.StatusOK, `{"status":"InProgress"}`)
			f.on("GET "+operationPath, http.StatusOK, `{"status":"Succeeded"}`)
			p := f.provider()
			op, err := test.do(p)
			wantCode(t, err, test.want)
			if op.Kind != test.kind {
				t.Fatalf("operation %q, want %q (%v)", op.Kind, test.kind, err)
			}
			if test.kind == "" {
				if f.writes() > 0 {
					t.Errorf("something was written")
				}
				return
			}
			asked := f.asked(test.asks)
			if len(asked) != 1 || f.writes() != 1 {
				t.Fatalf("asked %d times, %d writes", len(asked), f.writes())
			}
			for path, want := range test.body {
				if got := at(t, asked[0].body, path); !cmp.Equal(got, want) {
					t.Errorf("%s is %v, want %v", path, got, want)
				}
			}
			if test.asks != post && asked[0].header.Get("If-Match") != "apps-1" {
				t.Errorf("If-Match %q", asked[0].header.Get("If-Match"))
			}
			for i, done := range []bool{false, true} {
				status, err := p.Poll(t.Context(), op)
				if err != nil || status.Done != done {
					t.Errorf("poll %d: %+v, %v", i, status, err)
				}
			}
		})
	}
}

func TestDeletePoolGone(t *testing.T) {
	f := newFakeARM(t)
	op, err := f.provider().DeletePool(t.Context(), prod(), fleet.Pool{Name: "apps"})
	if err != nil || op != (rollout.Operation{}) {
		t.Errorf("got %+v, %v", op, err)
	}
}

func TestSetChannels(t *testing.T) {
	for _, test := range []struct {
		name, upgrade, nodeOS string
		edits                 []any
		body                  map[string]any // nil: nothing is written
		want                  rollout.Code
	}{
		{name: "off", upgrade: "none", nodeOS: "None", body: map[string]any{"properties.autoUpgradeProfile.upgradeChannel": "none", "properties.autoUpgradeProfile.nodeOSUpgradeChannel": "None"}},
		{name: "canonical words", upgrade: "Node-Image", nodeOS: "securitypatch", body: map[string]any{"properties.autoUpgradeProfile.upgradeChannel": "node-image", "properties.autoUpgradeProfile.nodeOSUpgradeChannel": "SecurityPatch"}},
		{name: "as it is", upgrade: "", nodeOS: "NodeImage"},
		{name: "node OS left alone", upgrade: "patch", nodeOS: "", body: map[string]any{"properties.autoUpgradeProfile.upgradeChannel": "patch", "properties.autoUpgradeProfile.nodeOSUpgradeChannel": "NodeImage"}},
		{name: "no profile yet", upgrade: "none", nodeOS: "None", edits: []any{"properties.autoUpgradeProfile", nil}, body: map[string]any{"properties.autoUpgradeProfile.nodeOSUpgradeChannel": "None"}},
		{name: "unknown", upgrade: "sometimes", nodeOS: "", want: rollout.CodeInvalid},
		{name: "unknown node OS", upgrade: "none", nodeOS: "sometimes", want: rollout.CodeInvalid},
		{name: "busy", upgrade: "none", nodeOS: "None", edits: []any{"properties.provisioningState", "Upgrading"}, want: rollout.CodeBusy},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeARM(t)
			f.on("GET "+prodPath, http.StatusOK, edit(t, fixture(t, "cluster.json"), test.edits...))
			f.on("PUT "+prodPath, http.StatusOK, edit(t, fixture(t, "cluster.json"), "properties.provisioningState", "Updating"), signed...)
			op, err := f.provider().SetChannels(t.Context(), prod(), test.upgrade, test.nodeOS)
			wantCode(t, err, test.want)
			if (op.Kind == "setChannels") != (test.body != nil) || f.writes() > 0 != (test.body != nil) {
				t.Fatalf("operation %+v, %d writes", op.Kind, f.writes())
			}
			for path, want := range test.body {
				if got := at(t, f.asked("PUT " + prodPath)[0].body, path); !cmp.Equal(got, want) {
					t.Errorf("%s is %v, want %v", path, got, want)
				}
			}
		})
	}
}

func TestReconcileCluster(t *testing.T) {
	f := newFakeARM(t)
	f.on("GET "+prodPath, http.StatusOK, edit(t, fixture(t, "cluster.json"), "properties.provisioningState", "Failed"))
	f.on("PUT "+prodPath, http.StatusOK, edit(t, fixture(t, "cluster.json"), "properties.provisioningState", "Updating"), signed...)
	op, err := f.provider().Reconcile(t.Context(), prod(), nil)
	if err != nil || op.Kind != "reconcile" {
		t.Fatalf("got %+v, %v", op, err)
	}
	if got := at(t, f.asked("PUT " + prodPath)[0].body, "properties.kubernetesVersion"); got != "1.34" {
		t.Errorf("kubernetesVersion %v", got)
	}
}

func TestSnapshots(t *testing.T) {
	id := "/subscriptions/" + sub1 + "/resourceGroups/rg-prod/providers/Microsoft.ContainerService/snapshots/Proven-1"
	body := `{"id":"` + id + `","location":"westeurope","systemData":{"createdAt":"2026-11-01T10:00:00Z"},
		"properties":{"nodeImageVersion":"AKSUbuntu-2204gen2containerd-202610.20.0","creationData":{"sourceResourceId":"` + strings.ToUpper(poolPath("apps")) + `"}}}`
	f := newFakeARM(t)
	f.on("PUT "+id, http.StatusOK, body)
	p := f.provider()
	got, err := p.SnapshotPool(t.Context(), prod(), fleet.Pool{Name: "apps"}, "Proven-1")
	if err != nil || got != strings.ToLower(id) {
		t.Fatalf("got %q, %v", got, err)
	}
	put := f.asked("PUT " + id)[0]
	if source := at(t, put.body, "properties.creationData.sourceResourceId"); !strings.EqualFold(source.(string), poolPath("apps")) {
		t.Errorf("source %v", source)
	}
	f.on("GET "+id, http.StatusOK, body)
	if again, err := p.SnapshotPool(t.Context(), prod(), fleet.Pool{Name: "apps"}, "Proven-1"); err != nil || again != got || len(f.asked("PUT "+id)) != 1 {
		t.Errorf("again: %q, %v", again, err)
	}
	// Another pool with the same image shares it; one with another image must not.
	if again, err := p.SnapshotPool(t.Context(), prod(), fleet.Pool{Name: "system", Image: "AKSUbuntu-2204gen2containerd-202610.20.0"}, "Proven-1"); err != nil || again != got {
		t.Errorf("shared: %q, %v", again, err)
	}
	_, err = p.SnapshotPool(t.Context(), prod(), fleet.Pool{Name: "apps", Image: "AKSUbuntu-2204gen2containerd-202611.03.0"}, "Proven-1")
	wantCode(t, err, rollout.CodeInvalid)
	f.forget("GET " + id)
	f.on("DELETE "+id, http.StatusOK, "")
	_, err = p.SnapshotPool(t.Context(), prod(), fleet.Pool{Name: "apps", Image: "AKSUbuntu-2204gen2containerd-202611.03.0"}, "Proven-1")
	wantCode(t, err, rollout.CodeChanged)
	if len(f.asked("DELETE "+id)) != 1 {
		t.Error("a snapshot of the wrong image was left behind")
	}
	f.on("GET "+id, http.StatusOK, body)
	image, created, err := p.SnapshotImage(t.Context(), got)
	if err != nil || image != "AKSUbuntu-2204gen2containerd-202610.20.0" || !created.Equal(time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("image %q of %v: %v", image, created, err)
	}
	_, _, err = p.SnapshotImage(t.Context(), strings.Replace(got, "proven-1", "missing", 1))
	wantCode(t, err, rollout.CodeNotFound)
}

// startUpgrade starts the upgrade of pool apps on a fake and returns its
// operation.
func startUpgrade(t *testing.T, f *fakeARM, p *Provider) rollout.Operation {
	t.Helper()
	f.on("GET "+poolPath("apps"), http.StatusOK, fixture(t, "pool.json"))
	f.on("PUT "+poolPath("apps"), http.StatusOK, edit(t, fixture(t, "pool.json"), "properties.provisioningState", "Upgrading"), signed...)
	op, err := p.UpgradePool(t.Context(), prod(), fleet.Pool{Name: "apps"}, v135, "", "")
	if err != nil {
		t.Fatal(err)
	}
	f.forget("GET " + poolPath("apps"))
	return op
}

func TestPollTells(t *testing.T) {
	pool := fixture(t, "pool.json")
	for _, test := range []struct {
		name    string
		status  int    // of the operation's status
		body    string //
		pool    string // the pool, where it is looked at
		done    bool
		want    rollout.Code
		message string
	}{
		{name: "failed", status: 200, body: `{"status":"Failed","error":{"code":"UpgradeFailed","message":"Drain node aks-apps-1-vmss000000 failed when evicting pod web-1 failed with Too Many Requests error. PDB debug info: shop/web-1 blocked by pdb web with 0 unready pods. https://x/y?sig=` + secretMark + `"}}`, done: true, want: rollout.CodeDrainFailed, message: "blocked by pdb web"},
		{name: "quota", status: 200, body: `{"status":"Failed","error":{"code":"ReconcileVMSSAgentPoolFailed","message":"VMSSAgentPoolReconciler retry failed: Code='QuotaExceeded' Message='Operation could not be completed'"}}`, done: true, want: rollout.CodeQuota},
		{name: "canceled", status: 200, body: `{"status":"Canceled"}`, done: true, want: rollout.CodeFailed, message: "Canceled"},
		{name: "forgotten, succeeded", status: 404, body: `{"error":{"code":"NotFound","message":"operation not found"}}`, pool: pool, done: true},
		{name: "forgotten, at work", status: 404, body: `{}`, pool: edit(t, pool, "properties.provisioningState", "Upgrading")},
		{name: "forgotten, failed", status: 404, body: `{}`, pool: edit(t, pool, "properties.provisioningState", "Failed", "properties.status.provisioningError", map[string]any{"code": "SubnetIsFull", "message": "full"}), done: true, want: rollout.CodeAddresses},
		{name: "forgotten, gone", status: 404, body: `{}`, done: true, want: rollout.CodeNotFound},
		{name: "refused", status: 403, body: `{"error":{"code":"AuthorizationFailed","message":"no"}}`, want: rollout.CodeUnauthorized},
		{name: "trouble", status: 503, body: `gateway`, want: rollout.CodeUnavailable},
		{name: "nonsense", status: 200, body: `{}`, want: rollout.CodeUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeARM(t)
			p := f.provider()
			op := startUpgrade(t, f, p)
			f.on("GET "+operationPath, test.status, test.body)
			if test.pool != "" {
				f.on("GET "+poolPath("apps"), http.StatusOK, test.pool)
			}
			status, err := p.Poll(t.Context(), op)
			wantCode(t, err, test.want)
			if status.Done != test.done {
				t.Errorf("done %v", status.Done)
			}
			if err != nil && (!strings.Contains(err.Error(), "pool apps of Prod: upgrade to 1.35.4") || !strings.Contains(err.Error(), test.message)) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// The service may carry a change out at once, or answer without an operation's
// headers: then its body's state is what is polled.
func TestOperationsWithoutHeaders(t *testing.T) {
	f := newFakeARM(t)
	p := f.provider()
	f.on("GET "+poolPath("apps"), http.StatusOK, fixture(t, "pool.json"))
	f.on("PUT "+poolPath("apps"), http.StatusOK, fixture(t, "pool.json"))
	op, err := p.SetAutoscaler(t.Context(), prod(), fleet.Pool{Name: "apps"}, nil)
	if err != nil || op != (rollout.Operation{}) {
		t.Errorf("at once: %+v, %v", op, err)
	}
	if status, err := p.Poll(t.Context(), op); err != nil || !status.Done {
		t.Errorf("no operation: %+v, %v", status, err)
	}

	f.forget("PUT " + poolPath("apps"))
	f.on("PUT "+poolPath("apps"), http.StatusOK, edit(t, fixture(t, "pool.json"), "properties.provisioningState", "Updating"))
	if op, err = p.SetAutoscaler(t.Context(), prod(), fleet.Pool{Name: "apps"}, nil); err != nil || op.Kind == "" {
		t.Fatalf("by its body: %+v, %v", op, err)
	}
	f.forget("GET " + poolPath("apps"))
	f.on("GET "+poolPath("apps"), http.StatusOK, edit(t, fixture(t, "pool.json"), "properties.provisioningState", "Updating"))
	f.on("GET "+poolPath("apps"), http.StatusOK, edit(t, fixture(t, "pool.json"), "properties.provisioningState", "Failed", "properties.status.provisioningError", map[string]any{"code": "AllocationFailed", "message": "none left"}))
	if status, err := p.Poll(t.Context(), op); err != nil || status.Done {
		t.Errorf("at work: %+v, %v", status, err)
	}
	status, err := p.Poll(t.Context(), op)
	wantCode(t, err, rollout.CodeCapacity)
	if !status.Done {
		t.Error("not done")
	}
}

func TestPollUnreadableToken(t *testing.T) {
	p := newFakeARM(t).provider()
	for _, token := range []string{"", "{", `{"call":"Nothing","cluster":"` + prodPath + `","resume":"` + secretMark + `"}`, `{"call":"AgentPools_Delete","cluster":"` + prodPath + `","pool":"apps","resume":"{\"type\":\"Other\",\"token\":\"` + secretMark + `\"}"}`} {
		_, err := p.Poll(t.Context(), rollout.Operation{Kind: "deletePool", Token: token})
		wantCode(t, err, rollout.CodeInvalid)
	}
}
