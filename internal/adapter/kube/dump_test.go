package kube_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// dump holds what is read for a file to what decisions see of the same cluster,
// with a Secret there that must not be in it. What may not be listed is said.
func (r *rig) dump(t *testing.T, k rollout.Kubernetes) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "shop"}, StringData: map[string]string{"password": "hunter2"}}
	if _, err := r.admin.CoreV1().Secrets("shop").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	findings, err := r.connector.Dump(t.Context(), r.target, &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, forbidden := range []string{"hunter2", "aHVudGVyMg"} {
		if strings.Contains(out.String(), forbidden) {
			t.Error("a Secret's content is in the dump")
		}
	}
	got, _, err := kube.ReadFile(t.Context(), &out, "dump", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := k.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := func(s *fleet.Snapshot) (list []string) {
		for i := range s.Nodes {
			list = append(list, s.Nodes[i].Name+" "+s.Nodes[i].Version.String())
		}
		for i := range s.Pods {
			list = append(list, s.Pods[i].Key()+" of "+s.Pods[i].Workload)
		}
		for i := range s.Budgets {
			list = append(list, s.Budgets[i].Key())
		}
		slices.Sort(list)
		return list
	}
	if g, w := keys(&got), keys(&want); !slices.Equal(g, w) {
		t.Errorf("got %v, want %v", g, w)
	}
	unread := false
	for _, f := range findings {
		unread = unread || f.ID == "snapshot-kind-unread" && strings.Contains(f.What, "networkpolicies.networking.k8s.io") && strings.Contains(f.Why, `resources: ["networkpolicies"]`)
	}
	if !unread {
		t.Errorf("that network policies may not be listed is not said: %+v", findings)
	}
}
