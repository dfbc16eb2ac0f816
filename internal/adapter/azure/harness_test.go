package azure_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"liftlock.dev/liftlock/internal/adapter/azure"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
	"liftlock.dev/liftlock/sim"
	"liftlock.dev/liftlock/sim/aks/akstest"
	"liftlock.dev/liftlock/sim/fault"
	"liftlock.dev/liftlock/sim/scenario"
)

// harness is a simulated Azure and two providers for it, as two processes have
// them: one acts, the other polls.
type harness struct {
	*testing.T
	server   *sim.Server
	kube     *akstest.Kubernetes
	provider *azure.Provider
	other    *azure.Provider
}

// newHarness brings the world up with pairs of old and new text replaced.
func newHarness(t *testing.T, replace ...string) *harness {
	t.Helper()
	text := world
	for i := 0; i+1 < len(replace); i += 2 {
		changed := strings.Replace(text, replace[i], replace[i+1], 1)
		if changed == text {
			t.Fatalf("%q is not in the world", replace[i])
		}
		text = changed
	}
	sc, err := scenario.Parse("world.yaml", []byte(text), fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{T: t, kube: akstest.New()}
	h.server, err = sim.Start(t.Context(), sim.Options{Scenario: sc, Kubernetes: h.kube, StateDir: t.TempDir(), Unwatched: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := h.server.Close(ctx); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	h.provider, h.other = h.newProvider(), h.newProvider()
	return h
}

func (h *harness) newProvider() *azure.Provider {
	h.Helper()
	at := h.server.Endpoint()
	p, err := azure.New(h.Context(), azure.Options{
		Cloud:    fleet.Cloud{Name: "Custom", ResourceManager: at.ARMEndpoint, Audience: at.Audience, ActiveDirectory: at.AuthorityHost, CAFile: at.CAFile},
		Identity: fleet.Identity{Kind: "WorkloadIdentity", TenantID: at.TenantID, ClientID: at.ClientID, TokenFile: at.TokenFile},
		HTTP:     azure.HTTPOptions{MaxRetries: 2, RetryDelay: time.Millisecond},
	})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(p.Close)
	return p
}

func (h *harness) cluster() fleet.Cluster {
	h.Helper()
	c, err := h.other.Cluster(h.Context(), clusterID)
	if err != nil {
		h.Fatal(err)
	}
	return c
}

func (h *harness) pool(name string) fleet.Pool {
	h.Helper()
	c := h.cluster()
	p := c.Pool(name)
	if p == nil {
		h.Fatalf("no pool %s", name)
	}
	return *p
}

// started fails where an operation was refused or is none.
func (h *harness) started(op rollout.Operation, err error) rollout.Operation {
	h.Helper()
	if err != nil || op == (rollout.Operation{}) {
		h.Fatalf("nothing was started: %v", err)
	}
	return op
}

// nothing fails where something was started or refused.
func (h *harness) nothing(op rollout.Operation, err error) {
	h.Helper()
	if err != nil || op != (rollout.Operation{}) {
		h.Errorf("got operation %q, %v; want none", op.Kind, err)
	}
}

// refused fails where the code is another.
func (h *harness) refused(want rollout.Code, err error) {
	h.Helper()
	_ = h.refusal(want, err)
}

// refusal is refused for those who look closer.
func (h *harness) refusal(want rollout.Code, err error) *rollout.ProviderError {
	h.Helper()
	pe, ok := errors.AsType[*rollout.ProviderError](err)
	if !ok || pe.Code != want {
		h.Fatalf("got %v, want %s", err, want)
	}
	if pe.Object == "" || pe.Doing == "" || pe.Message == "" || pe.Remedy == "" {
		h.Errorf("it does not say what, on which object, why and what to do: %+v", pe)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), "&h=") || strings.Contains(e.Error(), "Bearer ey") {
			h.Errorf("a secret shows in %v", e)
		}
	}
	return pe
}

// finish polls as another process does, after the operation went through a
// store, until it ends.
func (h *harness) finish(op rollout.Operation) error {
	h.Helper()
	stored, err := json.Marshal(op)
	if err != nil {
		h.Fatal(err)
	}
	var restored rollout.Operation
	if err := json.Unmarshal(stored, &restored); err != nil {
		h.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		status, err := h.other.Poll(h.Context(), restored)
		if err != nil && !status.Done {
			h.Fatalf("polling: %v", err)
		}
		if status.Done {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-h.Context().Done():
			h.Fatal(h.Context().Err())
		}
	}
	h.Fatal("the operation does not end")
	return nil
}

// done carries an operation to its good end.
func (h *harness) done(op rollout.Operation, err error) {
	h.Helper()
	if err := h.finish(h.started(op, err)); err != nil {
		h.Fatal(err)
	}
}

func version(s string) fleet.Version { return fleet.MustParseVersion(s) }

// fault puts a fault in force; one of the world has struck when it returns.
func (h *harness) fault(f fault.Fault) {
	h.Helper()
	if _, err := h.server.AddFault(f); err != nil {
		h.Fatal(err)
	}
	if f.Effect.Class() != fault.WorldClass {
		return
	}
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		offers, err := h.other.Offers(h.Context(), fleet.Cluster{ID: clusterID, Location: "westeurope"})
		if err == nil && !slices.ContainsFunc(offers.Region, func(o fleet.OfferedVersion) bool { return o.Version == version(f.Version) }) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	h.Fatal("the fault does not strike")
}

func second[T any](_ T, err error) error { return err }
