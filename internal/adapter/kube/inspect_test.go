package kube_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"liftlock.dev/liftlock/internal/adapter/apiusage"
	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// all are the facts that are to be had from an API server.
var all = []check.Need{
	check.NeedSnapshot, check.NeedServer, check.NeedObjects, check.NeedUsage, check.NeedWebhooks, check.NeedAPIServices, check.NeedQuotas, check.NeedAttach,
}

const checked = `
apiVersion: v1
kind: Namespace
metadata: {name: policy}
---
apiVersion: v1
kind: Service
metadata: {name: hook, namespace: policy}
spec: {ports: [{port: 443}], selector: {app: hook}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
webhooks:
- name: hook.example.com
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
  clientConfig: {service: {namespace: policy, name: hook}}
  rules: [{apiGroups: [example.com], apiVersions: ["*"], operations: [CREATE], resources: [widgets]}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: team, namespace: policy}
spec: {hard: {pods: "3"}}
---
apiVersion: v1
kind: Secret
metadata:
  name: sh.helm.release.v1.web.v1
  namespace: policy
  labels: {owner: helm, name: web, status: deployed, version: "1"}
type: helm.sh/release.v1
data: {release: aHVudGVyMg==}
---
apiVersion: v1
kind: Secret
metadata: {name: mine, namespace: policy, labels: {owner: helm, status: deployed}}
data: {release: aHVudGVyMg==}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: old
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"apiVersion":"networking.k8s.io/v1beta1","kind":"IngressClass","metadata":{"name":"old"}}'
spec: {controller: example.com/old}
`

// TestInspectOnAControlPlane: with exactly the rights of deploy/rbac/check.yaml
// all facts are there; with less, the others are, and what is missing names the
// rule that grants it. An API whose server is away costs nothing but itself.
func TestInspectOnAControlPlane(t *testing.T) {
	r := newRig(t)
	r.addNodes(t, 1)
	if err := r.cluster.Apply(t.Context(), []byte(checked)); err != nil {
		t.Fatal(err)
	}
	roles := rolesOf(t, "../../../deploy/rbac/check.yaml")
	if len(roles) != 2 {
		t.Fatalf("%d roles", len(roles))
	}
	reader := func(name string, rules []rbacv1.PolicyRule) *kube.Connector {
		kubeconfig, err := r.cluster.Kubeconfig(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		options := r.options
		options.Kubeconfig = func(ctx context.Context, _ fleet.Cluster) ([]byte, error) {
			return r.tokenWith(ctx, name, rules, kubeconfig)
		}
		options.Readers = kube.Readers{Metrics: apiusage.ReadMetrics, Releases: func(stored []kube.Stored) (objects []fleet.Object, _ []string) {
			for _, s := range stored {
				objects = append(objects, fleet.Object{APIVersion: "x/v1", Kind: "Release", Name: s.Name, Where: string(s.Data)})
			}
			return objects, nil
		}}
		return kube.NewConnector(options)
	}
	inspect := func(c *kube.Connector) check.Facts {
		var f check.Facts
		eventually(t, "rights are granted and nodes are there", func() (bool, string) {
			k, err := c.Connect(t.Context(), r.target, "")
			if err != nil {
				return false, err.Error()
			}
			f = k.Inspect(t.Context(), all)
			return len(f.Snapshot.Nodes) > 0, "no nodes"
		})
		return f
	}
	// Somebody asks for a deprecated API.
	if _, err := r.admin.CoreV1().Endpoints("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}

	t.Run("with the published rights", func(t *testing.T) {
		f := inspect(reader("published", slices.Concat(roles[0].Rules, roles[1].Rules)))
		if len(f.Unread) > 0 {
			t.Errorf("not read: %+v", f.Unread)
		}
		for _, need := range all {
			if !f.Read[need] {
				t.Errorf("%s was not read", need)
			}
		}
		if f.Server != fleet.MustParseVersion("1.34.4") {
			t.Errorf("server version %s", f.Server)
		}
		if i := slices.IndexFunc(f.Webhooks, func(w check.Webhook) bool { return w.Name == "hook.example.com" }); i < 0 || f.Webhooks[i].Service != "policy/hook" || f.Webhooks[i].Missing || !f.Webhooks[i].Fails {
			t.Errorf("webhooks: %+v", f.Webhooks)
		}
		if i := slices.IndexFunc(f.Services, func(a check.APIService) bool { return a.Name == "v1.apps" }); i < 0 || !f.Services[i].Available {
			t.Errorf("API services: %+v", f.Services)
		}
		if len(f.Usage) == 0 {
			t.Error("nobody is seen to have asked for Endpoints")
		}
		seen := map[string]bool{}
		for _, o := range f.Objects {
			seen[string(o.Source)+" "+o.APIVersion+" "+o.Kind+" "+o.Name] = true
		}
		for _, want := range []string{
			"lastApplied networking.k8s.io/v1beta1 IngressClass old", "live networking.k8s.io/v1 IngressClass old",
			" x/v1 Release sh.helm.release.v1.web.v1",
		} {
			if !seen[want] {
				t.Errorf("%q is not among the objects", want)
			}
		}
		if seen[" x/v1 Release mine"] {
			t.Error("a Secret that is not Helm's was taken")
		}
		if !slices.ContainsFunc(f.Objects, func(o fleet.Object) bool { return o.Source == fleet.FromManagedFields && o.Kind == "IngressClass" }) {
			t.Error("no writer of the IngressClass is known")
		}
	})

	t.Run("with less", func(t *testing.T) {
		var rules []rbacv1.PolicyRule
		for _, rule := range roles[0].Rules {
			rule = *rule.DeepCopy()
			rule.Resources = slices.DeleteFunc(rule.Resources, func(s string) bool { return s == "resourcequotas" })
			rule.APIGroups = slices.DeleteFunc(rule.APIGroups, func(s string) bool { return s == "admissionregistration.k8s.io" })
			if len(rule.NonResourceURLs) == 0 {
				rules = append(rules, rule)
			}
		}
		f := inspect(reader("less", rules))
		lacks := map[check.Need]string{}
		for _, u := range f.Unread {
			lacks[u.Need] += u.What + ": " + u.Why + ": " + u.Remedy + "\n"
		}
		want := map[check.Need][]string{
			check.NeedQuotas:   {`grant {apiGroups: [""], resources: ["resourcequotas"], verbs: ["list"]}`},
			check.NeedUsage:    {`grant {nonResourceURLs: ["/metrics"], verbs: ["get"]}`},
			check.NeedWebhooks: {`grant {apiGroups: ["admissionregistration.k8s.io"], resources: ["validatingwebhookconfigurations"], verbs: ["list"]}`},
			check.NeedObjects:  {`resources: ["secrets"]`, `resources: ["configmaps"]`, `resources: ["mutatingwebhookconfigurations"]`},
		}
		for need, parts := range want {
			for _, part := range parts {
				if !strings.Contains(lacks[need], part) {
					t.Errorf("%s does not say %s:\n%s", need, part, lacks[need])
				}
			}
		}
		if got := slices.Sorted(maps.Keys(lacks)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Errorf("not read: %+v", lacks)
		}
		for _, need := range []check.Need{check.NeedSnapshot, check.NeedObjects, check.NeedAPIServices, check.NeedServer, check.NeedAttach} {
			if !f.Read[need] {
				t.Errorf("%s was not read", need)
			}
		}
		if f.Read[check.NeedQuotas] || f.Read[check.NeedWebhooks] || f.Read[check.NeedUsage] {
			t.Errorf("read: %v", f.Read)
		}
	})

	t.Run("with an API whose server is away", func(t *testing.T) {
		config, err := r.cluster.Kubeconfig(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rest, err := clientcmd.RESTConfigFromKubeConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		client, err := dynamic.NewForConfig(rest)
		if err != nil {
			t.Fatal(err)
		}
		patch := []byte(`{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"v1.dead.example.com"},"spec":{"group":"dead.example.com","version":"v1","groupPriorityMinimum":100,"versionPriority":100,"service":{"namespace":"policy","name":"nobody"},"insecureSkipTLSVerify":true}}`)
		if _, err := client.Resource(apiServices).Patch(t.Context(), "v1.dead.example.com", types.ApplyPatchType, patch, metav1.PatchOptions{FieldManager: "test"}); err != nil {
			t.Fatal(err)
		}
		c := reader("published", slices.Concat(roles[0].Rules, roles[1].Rules))
		eventually(t, "the dead API is told", func() (bool, string) {
			f := inspect(c)
			dead := slices.ContainsFunc(f.Services, func(a check.APIService) bool {
				return a.Name == "v1.dead.example.com" && !a.Available && a.Service == "policy/nobody"
			})
			told := slices.ContainsFunc(f.Unread, func(u check.Unread) bool {
				return u.Need == check.NeedObjects && strings.Contains(u.What, "dead.example.com")
			})
			objects := slices.ContainsFunc(f.Objects, func(o fleet.Object) bool { return o.Kind == "IngressClass" })
			return dead && told && objects && f.Read[check.NeedObjects], fmt.Sprintf("dead %t, told %t, objects %t", dead, told, objects)
		})
	})
}

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// rolesOf reads the roles of a file.
func rolesOf(t *testing.T, path string) []rbacv1.ClusterRole {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
	var roles []rbacv1.ClusterRole
	for {
		var role rbacv1.ClusterRole
		if err := decoder.Decode(&role); err != nil {
			return roles
		}
		roles = append(roles, role)
	}
}

// tokenWith makes a kubeconfig of an identity that has just these rights.
func (r *rig) tokenWith(ctx context.Context, name string, rules []rbacv1.PolicyRule, kubeconfig []byte) ([]byte, error) {
	meta := metav1.ObjectMeta{Name: name}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: name}},
	}
	// All but the token may be there from an earlier call.
	_, _ = r.admin.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	_, _ = r.admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	_, _ = r.admin.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	token, err := r.admin.CoreV1().ServiceAccounts("default").CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, err
	}
	for key := range config.AuthInfos {
		config.AuthInfos[key] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	}
	return clientcmd.Write(*config)
}
