package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"liftlock.dev/liftlock/sim"
	"liftlock.dev/liftlock/sim/aks"
	"liftlock.dev/liftlock/sim/arm"
	"liftlock.dev/liftlock/sim/fault"
	"liftlock.dev/liftlock/sim/witness"
)

// azure is a simulated Azure that runs as a process of its own.
type azure struct {
	sim.Endpoint
	client *http.Client
}

// startAzure starts the simulator with a scenario of testdata, or with one that
// comes along with it, and ends it with the test.
func startAzure(t *testing.T, scenario string) *azure {
	t.Helper()
	if file := filepath.Join("testdata", scenario+".yaml"); exists(file) {
		scenario = file
	}
	dir := t.TempDir()
	p := launch(t, t, bin.simulator, "--scenario", scenario, "--state-dir", dir, "--kube-bin", bin.kube, "--idle-timeout", "5m")
	t.Cleanup(func() { p.end(t) })
	a := &azure{}
	within(t, 6*time.Minute, "the simulated Azure is up", func() error {
		text, err := os.ReadFile(filepath.Join(dir, "endpoint.json"))
		if err != nil {
			if code, ended := p.ended(); ended {
				t.Fatalf("the simulator ended with %d while it started:\n%s", code, p.stderr())
			}
			return err
		}
		return json.Unmarshal(text, &a.Endpoint)
	})
	pem, err := os.ReadFile(a.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	a.client = &http.Client{Transport: transport, Timeout: time.Minute}
	return a
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// call uses the simulator's control API.
func (a *azure) call(t *testing.T, method, path string, body, into any) {
	t.Helper()
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			t.Fatal(err)
		}
	}
	// Also used when the test's own context has ended.
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, a.Control+path, &content)
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusBadRequest {
		text, _ := io.ReadAll(response.Body)
		t.Fatalf("%s %s: %s: %s", method, path, response.Status, text)
	}
	if into != nil {
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
}

func (a *azure) state(t *testing.T) (s aks.State) {
	t.Helper()
	a.call(t, http.MethodGet, "/state", nil, &s)
	return s
}

// cluster returns what the cloud says of one cluster.
func (a *azure) cluster(t *testing.T, name string) aks.ClusterState {
	t.Helper()
	for _, c := range a.state(t).Clusters {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no cluster %s", name)
	return aks.ClusterState{}
}

// calls returns what the cloud was asked since a moment of its journal.
func (a *azure) calls(t *testing.T, after int64) (entries []arm.Entry) {
	t.Helper()
	a.call(t, http.MethodGet, fmt.Sprintf("/journal?after=%d", after), nil, &entries)
	return entries
}

// now is a moment of the journal.
func (a *azure) now(t *testing.T) int64 {
	t.Helper()
	entries := a.calls(t, 0)
	if len(entries) == 0 {
		return 0
	}
	return entries[len(entries)-1].Seq
}

// writes returns the calls that may have changed something, since a moment.
func (a *azure) writes(t *testing.T, after int64) (writes []arm.Entry) {
	t.Helper()
	for _, e := range a.calls(t, after) {
		asks := e.Method == http.MethodGet || strings.HasPrefix(e.Operation, "ManagedClusters_List") || strings.HasPrefix(e.Operation, "Entra_")
		if !asks {
			writes = append(writes, e)
		}
	}
	return writes
}

// started returns the writes that began a long-running operation.
func (a *azure) started(t *testing.T, after int64) (started []arm.Entry) {
	t.Helper()
	for _, e := range a.writes(t, after) {
		if e.LRO != "" {
			started = append(started, e)
		}
	}
	return started
}

func (a *azure) witness(t *testing.T) (r witness.Report) {
	t.Helper()
	a.call(t, http.MethodGet, "/witness", nil, &r)
	return r
}

// strike puts a fault in force and returns its id.
func (a *azure) strike(t *testing.T, f fault.Fault) string {
	t.Helper()
	var answer struct{ ID string }
	a.call(t, http.MethodPost, "/faults", f, &answer)
	return answer.ID
}

// heal takes a fault away.
func (a *azure) heal(t *testing.T, id string) {
	t.Helper()
	a.call(t, http.MethodDelete, "/faults/"+id, nil, nil)
}

// struck reports how often a fault has gone off.
func (a *azure) struck(t *testing.T, id string) int {
	t.Helper()
	var faults []fault.Fault
	a.call(t, http.MethodGet, "/faults", nil, &faults)
	for _, f := range faults {
		if f.ID == id {
			return f.Struck
		}
	}
	t.Fatalf("there is no fault %s", id)
	return 0
}

// fleet fills in a template of a Fleet file for this Azure and returns the path
// of the file. values are at hand in it as .Values.
func (a *azure) fleet(t *testing.T, file string, values any) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := template.New(file).Option("missingkey=error").Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var filled bytes.Buffer
	err = parsed.Execute(&filled, struct {
		sim.Endpoint
		Values any
	}{a.Endpoint, values})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "fleet.yaml")
	if err := os.WriteFile(path, filled.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
