package kube

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestSnapshotOfEveryKind(t *testing.T) {
	c, _ := newFake(t, readObjects(t, "testdata/objects.yaml")...)
	snapshot, err := c.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(snapshot, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/snapshot.golden.json"
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Errorf("snapshot (-want +got), run with -update if it is meant:\n%s", diff)
	}
	for _, b := range snapshot.Budgets {
		if _, err := labels.Parse(b.Selector); err != nil {
			t.Errorf("budget %s: selector %q does not parse: %v", b.Key(), b.Selector, err)
		}
	}
}

// Every right that is missing is named at once, with the rule that grants it.
func TestSnapshotNamesMissingRights(t *testing.T) {
	c, client := newFake(t)
	for _, resource := range []string{"pods", "poddisruptionbudgets", "services"} {
		client.PrependReactor("list", resource, func(a clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", errors.New("no"))
		})
	}
	_, err := c.Snapshot(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"cluster prod", `{apiGroups: [""], resources: ["pods"], verbs: ["list"]}`,
		`{apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: ["list"]}`,
		`{apiGroups: [""], resources: ["services"], verbs: ["list"]}`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
}

func TestListReadsAllPagesAndStartsAgainWhenTheyExpire(t *testing.T) {
	expired := apierrors.NewResourceExpired("too old")
	var asked []string
	page := func(_ context.Context, o metav1.ListOptions) (*corev1.PodList, error) {
		asked = append(asked, fmt.Sprintf("%d %s", o.Limit, o.Continue))
		l := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}}
		switch o.Continue {
		case "":
			l.Items = make([]corev1.Pod, 2)
			if o.Limit > 0 {
				l.Continue = "2"
			}
		case "2":
			return nil, expired
		}
		return l, nil
	}
	got, version, err := listAt(t.Context(), page, func(l *corev1.PodList) []int { return make([]int, len(l.Items)) })
	if err != nil || len(got) != 2 || version != "7" {
		t.Errorf("got %d items at %q, error %v; want 2 at 7", len(got), version, err)
	}
	if diff := cmp.Diff([]string{"500 ", "500 2", "0 "}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}

	always := func(context.Context, metav1.ListOptions) (*corev1.PodList, error) { return nil, expired }
	if _, err := list(t.Context(), always, func(*corev1.PodList) []int { return nil }); !apierrors.IsResourceExpired(err) {
		t.Errorf("an expired list without pages: error %v", err)
	}
}

func TestManagerOf(t *testing.T) {
	owner := func(apiVersion, kind string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "web"}}
	}
	for _, tc := range []struct {
		name string
		meta metav1.ObjectMeta
		want string
	}{
		{"nobody", metav1.ObjectMeta{}, ""},
		{"Helm alone", metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}}, ""},
		{"operator", metav1.ObjectMeta{OwnerReferences: owner("example.com/v1", "Widget")}, "operator/Widget web"},
		{"operator in a group that looks built in", metav1.ObjectMeta{OwnerReferences: owner("cluster.x-k8s.io/v1", "Machine")}, "operator/Machine web"},
		{"built-in owner", metav1.ObjectMeta{OwnerReferences: owner("batch/v1", "CronJob")}, ""},
		{"core owner", metav1.ObjectMeta{OwnerReferences: owner("v1", "ConfigMap")}, ""},
		{"Argo CD by label", metav1.ObjectMeta{Labels: map[string]string{"argocd.argoproj.io/instance": "a"}}, "argocd"},
		{"Argo CD by annotation", metav1.ObjectMeta{Annotations: map[string]string{"argocd.argoproj.io/tracking-id": "a"}}, "argocd"},
		{"Flux kustomization", metav1.ObjectMeta{Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "a"}}, "flux"},
		{"Flux release", metav1.ObjectMeta{Labels: map[string]string{"helm.toolkit.fluxcd.io/name": "a"}}, "flux"},
		{"add-on, reconciled", metav1.ObjectMeta{Labels: map[string]string{"addonmanager.kubernetes.io/mode": "Reconcile"}}, "addon-manager"},
		{"add-on, made once", metav1.ObjectMeta{Labels: map[string]string{"addonmanager.kubernetes.io/mode": "EnsureExists"}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := managerOf(&tc.meta); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
