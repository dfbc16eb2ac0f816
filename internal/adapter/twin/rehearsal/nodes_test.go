package rehearsal

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/evacuate"
)

// TestNewNodes: they are like those of the pool, at another version, and nothing
// that was done to these is on them.
func TestNewNodes(t *testing.T) {
	node := func(name, zone, more string) Object {
		return *parse(t, `{"apiVersion":"v1","kind":"Node","metadata":{"name":"`+name+`","uid":"u","labels":{"kubernetes.azure.com/agentpool":"apps","kubernetes.io/hostname":"`+name+`","zone":"`+zone+`","team":"shop"`+more+`},
		  "annotations":{"liftlock.dev/cordoned-by":"r"}},
		  "spec":{"unschedulable":true,"providerID":"azure:///x","taints":[{"key":"dedicated","effect":"NoSchedule"},{"key":"liftlock.dev/leaving","effect":"PreferNoSchedule"},{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"}]},
		  "status":{"allocatable":{"cpu":"4"},"nodeInfo":{"kubeletVersion":"v1.34.4"},"conditions":[{"type":"Ready","status":"False"}]}}`)
	}
	driver := *parse(t, `{"apiVersion":"storage.k8s.io/v1","kind":"CSINode","metadata":{"name":"n0","ownerReferences":[{"kind":"Node","name":"n0","uid":"u"}]},"spec":{"drivers":[{"name":"disk","nodeID":"n0","allocatable":{"count":8}}]}}`)
	pools := likenesses([]Object{node("n1", "2", ""), driver, node("n0", "1", `,"node.kubernetes.io/exclude-from-external-load-balancers":"liftlock"`)}, "")
	if len(pools) != 1 || len(pools["apps"].nodes) != 2 {
		t.Fatalf("pools: %v", pools)
	}
	made, status, csi := pools["apps"].make("appsb", 2, "1.35.4", "")
	want := parse(t, `{"apiVersion":"v1","kind":"Node","metadata":{"name":"appsb-rehearsal-0002","annotations":{},"labels":{"kubernetes.azure.com/agentpool":"appsb","kubernetes.io/hostname":"appsb-rehearsal-0002","zone":"1","team":"shop"}},
	  "spec":{"taints":[{"key":"dedicated","effect":"NoSchedule"}]}}`)
	if diff := cmp.Diff(want.Content, made); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if v := text(status, "nodeInfo", "kubeletVersion"); v != "v1.35.4" || text(status, "allocatable", "cpu") != "4" {
		t.Errorf("status: %v", status)
	}
	if name := text(csi, "metadata", "name"); name != "appsb-rehearsal-0002" || csi["metadata"].(map[string]any)["ownerReferences"] != nil {
		t.Errorf("CSINode: %v", csi)
	}
	// Zones are spread as those of the pool.
	if second, _, none := pools["apps"].make("appsb", 3, "1.35.4", "new"); text(second, "metadata", "labels", "zone") != "2" || none != nil ||
		text(second, "metadata", "labels", labelImage) != "new" {
		t.Errorf("second node: %v, CSINode %v", second, none)
	}
	byLabel := likenesses([]Object{node("n0", "1", "")}, "team")
	if named, _, _ := byLabel["shop"].make("shopb", 0, "1.35.4", ""); text(named, "metadata", "labels", "team") != "shopb" {
		t.Errorf("a pool by a label of its own: %v", named)
	}
}

// TestStartOf: pods start by what was seen of their workload.
func TestStartOf(t *testing.T) {
	expression := startOf(Times{
		Start: map[string]evacuate.Start{
			"Deployment/shop/web":    {Least: 10 * time.Second, Most: 20 * time.Second},
			"Other/shop/Kafka:k":     {Least: time.Second, Most: time.Second},
			"Deployment/shop/broken": {Least: time.Second, Most: time.Second},
		},
		Never: []string{"Deployment/shop/broken"}, Other: evacuate.Start{Least: 5 * time.Second, Most: 7 * time.Second},
	}, 10)
	for _, want := range []string{
		`"Deployment/shop/web":"1000ms-2000ms"`, `"Kafka/shop/k":"100ms-100ms"`, `"Deployment/shop/broken":"never"`, `// "500ms-700ms"`,
	} {
		if !strings.Contains(expression, want) {
			t.Errorf("no %s in %s", want, expression)
		}
	}
	if strings.Count(expression, "broken") != 1 {
		t.Error("a pod that never starts has a start")
	}
}
