package kube

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

const (
	testSubscription = "11111111-2222-3333-4444-555555555555"
	testProviderID   = "azure:///subscriptions/" + testSubscription + "/resourceGroups/mc_prod/providers/Microsoft.Compute/virtualMachines/x"
)

var testCluster = fleet.Cluster{ID: "id-prod", Name: "prod", Subscription: testSubscription, NodeResourceGroup: "MC_prod"}

func TestConnectWithTheProvidersCredentials(t *testing.T) {
	s := newAPIServer(t)
	s.nodes = []string{testProviderID}
	fetched := 0
	connector := NewConnector(Options{Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) {
		fetched++
		return s.kubeconfig("first", "prod-admin"), nil
	}})
	first, err := connector.Connect(t.Context(), testCluster, "")
	if err != nil {
		t.Fatal(err)
	}
	if first.UID() != "the-cluster" {
		t.Errorf("uid %q", first.UID())
	}
	second, err := connector.Connect(t.Context(), testCluster, "the-cluster")
	if err != nil {
		t.Fatal(err)
	}
	if first != second || fetched != 1 {
		t.Errorf("the connection was not kept: credentials fetched %d times", fetched)
	}

	_, err = connector.Connect(t.Context(), testCluster, "another")
	if _, other := errors.AsType[*rollout.IdentityError](err); !other {
		t.Errorf("another pinned uid: error %v", err)
	}
}

func TestConnectRefusesAnotherCluster(t *testing.T) {
	s := newAPIServer(t)
	s.nodes = []string{strings.Replace(testProviderID, "mc_prod", "mc_test", 1)}
	connector := NewConnector(Options{Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) {
		return s.kubeconfig("first", "prod"), nil
	}})
	_, err := connector.Connect(t.Context(), testCluster, "")
	if _, other := errors.AsType[*rollout.IdentityError](err); !other || !strings.Contains(err.Error(), "mc_test") {
		t.Errorf("error %v", err)
	}
}

// Tokens run out; a watch of many hours must not end with them. Fresh ones are
// fetched once, and only used if they lead to the same cluster.
func TestFreshCredentialsAfterRefusal(t *testing.T) {
	s := newAPIServer(t)
	s.nodes = []string{testProviderID}
	token := "first"
	fetched := 0
	connector := NewConnector(Options{Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) {
		fetched++
		return s.kubeconfig(token, "prod"), nil
	}})
	k, err := connector.Connect(t.Context(), testCluster, "")
	if err != nil {
		t.Fatal(err)
	}

	s.set(func() { s.token = "second" })
	token = "second"
	if _, err := k.LeaseNotes(t.Context()); err != nil {
		t.Fatalf("with fresh credentials at hand: %v", err)
	}
	if fetched != 2 {
		t.Errorf("credentials fetched %d times, want 2", fetched)
	}

	// Fresh credentials that are refused as well are not fetched over and over.
	s.set(func() { s.token = "third" })
	for range 3 {
		_, err = k.LeaseNotes(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "refused the credentials") {
		t.Errorf("error %v", err)
	}
	if fetched > 3 {
		t.Errorf("credentials fetched %d times", fetched)
	}

	// Connect begins anew, and says what is wrong if that does not help either.
	if _, err = connector.Connect(t.Context(), testCluster, ""); err == nil || !strings.Contains(err.Error(), "cluster prod") {
		t.Errorf("error %v", err)
	}
	token = "third"
	if _, err = connector.Connect(t.Context(), testCluster, ""); err != nil {
		t.Errorf("after the cause is gone: %v", err)
	}
}

func TestFreshCredentialsOfAnotherClusterAreNotUsed(t *testing.T) {
	s := newAPIServer(t)
	s.nodes = []string{testProviderID}
	token := "first"
	connector := NewConnector(Options{Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) {
		return s.kubeconfig(token, "prod"), nil
	}})
	k, err := connector.Connect(t.Context(), testCluster, "")
	if err != nil {
		t.Fatal(err)
	}
	s.set(func() { s.token, s.uid = "second", "re-created" })
	token = "second"
	if _, err := k.LeaseNotes(t.Context()); err == nil {
		t.Error("another cluster of the same name was used")
	}
	_, err = connector.Connect(t.Context(), testCluster, "the-cluster")
	if _, other := errors.AsType[*rollout.IdentityError](err); !other {
		t.Errorf("error %v", err)
	}
}

func TestContextsOfAFile(t *testing.T) {
	s := newAPIServer(t)
	s.nodes = []string{testProviderID}
	path := filepath.Join(t.TempDir(), "config")
	raw := s.kubeconfig("first", "prod-ctx", "other")
	// The current context is somebody else's, and works.
	raw = []byte(strings.Replace(string(raw), "current-context: \"\"", "current-context: other", 1))
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	never := func(context.Context, fleet.Cluster) ([]byte, error) { return nil, errors.New("the provider was asked") }
	for _, tc := range []struct {
		name    string
		options Options
		wrong   string
	}{
		{"by name", Options{File: path, Contexts: map[string]string{"prod": "prod-ctx"}, Kubeconfig: never}, ""},
		{"by id", Options{File: path, Contexts: map[string]string{"id-prod": "prod-ctx", "prod": "no"}, Kubeconfig: never}, ""},
		{"not in the file", Options{File: path, Contexts: map[string]string{"prod": "typo"}}, `no context "typo" (there are: other, prod-ctx)`},
		{"empty name is no current context", Options{File: path, Contexts: map[string]string{"prod": ""}}, `no context ""`},
		{"not named", Options{File: path}, "no kubeconfig context is named for it"},
		{"no file named", Options{Contexts: map[string]string{"prod": "x"}}, "no kubeconfig file"},
		{"no such file", Options{File: path + "x", Contexts: map[string]string{"prod": "x"}}, path + "x"},
		{"otherwise the provider", Options{File: path, Contexts: map[string]string{"test": "x"}, Kubeconfig: never}, "the provider was asked"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewConnector(tc.options).Connect(t.Context(), testCluster, "")
			switch {
			case tc.wrong == "" && err != nil:
				t.Errorf("error %v", err)
			case tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)):
				t.Errorf("error does not say %q: %v", tc.wrong, err)
			}
		})
	}
}

func TestProvidersKubeconfigThatIsNone(t *testing.T) {
	s := newAPIServer(t)
	for name, raw := range map[string]string{
		"garbage holds secrets": "token: s3cr3t\n\tx",
		"two contexts":          string(s.kubeconfig("first", "a", "b")),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewConnector(Options{Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) {
				return []byte(raw), nil
			}}).Connect(t.Context(), testCluster, "")
			if err == nil || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestConnectNamesMissingRights(t *testing.T) {
	s := newAPIServer(t)
	s.on("GET /api/v1/nodes", metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden, Message: `nodes is forbidden: User "x" cannot list resource "nodes"`})
	connector := NewConnector(Options{Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) {
		return s.kubeconfig("first", "prod"), nil
	}})
	_, err := connector.Connect(t.Context(), testCluster, "")
	if err == nil || !strings.Contains(err.Error(), `{apiGroups: [""], resources: ["nodes"], verbs: ["list"]}`) {
		t.Errorf("error %v", err)
	}
}

func TestConnectToAnAbsentServerEndsWithTheContext(t *testing.T) {
	s := newAPIServer(t)
	raw := s.kubeconfig("first", "prod")
	s.Close()
	connector := NewConnector(Options{Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) { return raw, nil }})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := connector.Connect(ctx, testCluster, ""); err == nil || ctx.Err() != nil {
		t.Errorf("error %v, context %v", err, ctx.Err())
	}
}

// While an API server is away its provider is not asked for credentials at every
// step, and the connection is there again when the server is.
func TestServerAwayForAWhile(t *testing.T) {
	s := newAPIServer(t)
	s.nodes = []string{testProviderID}
	fetched := 0
	connector := NewConnector(Options{Kubeconfig: func(context.Context, fleet.Cluster) ([]byte, error) {
		fetched++
		return s.kubeconfig("first", "prod"), nil
	}})
	now := noon
	connector.now = func() time.Time { return now }
	first, err := connector.Connect(t.Context(), testCluster, "")
	if err != nil {
		t.Fatal(err)
	}
	away := metav1.Status{Code: 503, Reason: metav1.StatusReasonServiceUnavailable, Message: "no etcd"}
	s.on("GET /api/v1/namespaces/kube-system", away)
	for range 3 {
		if _, err := connector.Connect(t.Context(), testCluster, ""); err == nil {
			t.Fatal("connected to a server that is away")
		}
	}
	if fetched != 1 {
		t.Errorf("credentials fetched %d times", fetched)
	}
	now = now.Add(2 * reopenPause)
	for range 3 {
		if _, err := connector.Connect(t.Context(), testCluster, ""); err == nil {
			t.Fatal("connected to a server that is away")
		}
	}
	if fetched != 2 {
		t.Errorf("credentials fetched %d times, want 2", fetched)
	}
	s.set(func() { delete(s.answers, "GET /api/v1/namespaces/kube-system") })
	if again, err := connector.Connect(t.Context(), testCluster, ""); err != nil || again != first {
		t.Errorf("another connection, or error %v", err)
	}
}
