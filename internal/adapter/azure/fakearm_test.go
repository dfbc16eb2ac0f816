package azure

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

const (
	tenant = "00000000-1111-2222-3333-444444444444"
	sub1   = "11111111-0000-0000-0000-000000000001"
	sub2   = "22222222-0000-0000-0000-000000000002"
	// secretMark stands in every signed URL and token of the fake; it must never
	// be seen outside of it but in an operation's token.
	secretMark = "S1GN4TURE"
)

// fakeARM speaks as much of Resource Manager and Entra as one test needs, over
// TLS, and writes down what it was asked.
type fakeARM struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	answers  map[string][]answer
	requests []request
	entra    func(w http.ResponseWriter, r *http.Request)
}

type answer struct {
	status int
	header map[string]string
	body   string
}

type request struct {
	method, path, query string
	header              http.Header
	body                string
}

func newFakeARM(t *testing.T) *fakeARM {
	t.Helper()
	f := &fakeARM{t: t, answers: map[string][]answer{}}
	f.server = httptest.NewUnstartedServer(f)
	f.server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are part of the tests
	f.server.StartTLS()
	t.Cleanup(f.server.Close)
	return f
}

// on adds an answer to "METHOD path". The last one of a path repeats for ever.
// $HOST in headers and body is the fake's own address.
func (f *fakeARM) on(methodAndPath string, status int, body string, header ...string) {
	f.t.Helper()
	a := answer{status: status, header: map[string]string{}, body: strings.ReplaceAll(body, "$HOST", f.server.URL)}
	for i := 0; i+1 < len(header); i += 2 {
		a.header[header[i]] = strings.ReplaceAll(header[i+1], "$HOST", f.server.URL)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := strings.ToLower(methodAndPath)
	f.answers[key] = append(f.answers[key], a)
}

// forget drops the answers of a path, to replace them.
func (f *fakeARM) forget(methodAndPath string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.answers, strings.ToLower(methodAndPath))
}

func (f *fakeARM) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/"+tenant+"/") {
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.serveEntra(w, r)
		return
	}
	f.requests = append(f.requests, request{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), string(body)})
	if r.Header.Get("Authorization") != "Bearer "+secretMark+"-token" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":{"code":"InvalidAuthenticationToken","message":"The access token is invalid."}}`)
		return
	}
	key := strings.ToLower(r.Method + " " + r.URL.Path)
	list := f.answers[key]
	if len(list) == 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, `{"error":{"code":"ResourceNotFound","message":"The Resource '%s' was not found."}}`, r.URL.Path)
		return
	}
	if len(list) > 1 {
		f.answers[key] = list[1:]
	}
	w.Header().Set("Content-Type", "application/json")
	for k, v := range list[0].header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(list[0].status)
	_, _ = io.WriteString(w, list[0].body)
}

func (f *fakeARM) serveEntra(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if f.entra != nil {
		f.entra(w, r)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		base := f.server.URL + "/" + tenant
		_, _ = fmt.Fprintf(w, `{"issuer":"%[1]s/v2.0","authorization_endpoint":"%[1]s/authorize","token_endpoint":"%[1]s/token"}`, base)
		return
	}
	_, _ = fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"%s-token"}`, secretMark)
}

// asked returns the requests of "METHOD path" so far.
func (f *fakeARM) asked(methodAndPath string) []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	var matching []request
	for _, r := range f.requests {
		if strings.EqualFold(r.method+" "+r.path, methodAndPath) {
			matching = append(matching, r)
		}
	}
	return matching
}

// writes counts the requests that change something.
func (f *fakeARM) writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if r.method != http.MethodGet {
			n++
		}
	}
	return n
}

func (f *fakeARM) options() Options {
	f.t.Helper()
	dir := f.t.TempDir()
	return Options{
		Cloud: fleet.Cloud{
			Name: "Custom", ResourceManager: f.server.URL, Audience: "https://management.azure.com", ActiveDirectory: f.server.URL,
			CAFile: writeCA(f.t, f.server),
		},
		Identity: fleet.Identity{Kind: "WorkloadIdentity", TenantID: tenant, ClientID: "client", TokenFile: writeFile(f.t, filepath.Join(dir, "token"), "federated")},
		HTTP:     HTTPOptions{MaxRetries: 2, RetryDelay: time.Millisecond},
	}
}

// provider returns a provider that reaches the fake as it would reach Azure.
func (f *fakeARM) provider() *Provider {
	f.t.Helper()
	return f.providerWith(f.options())
}

func (f *fakeARM) providerWith(o Options) *Provider {
	f.t.Helper()
	p, err := New(f.t.Context(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(p.Close)
	return p
}

func writeCA(t *testing.T, server *httptest.Server) string {
	t.Helper()
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), string(block))
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// logTo returns a logger that writes everything to b.
func logTo(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func clusterPath(subscription, group, name string) string {
	return "/subscriptions/" + subscription + "/resourcegroups/" + group + "/providers/microsoft.containerservice/managedclusters/" + name
}

// edit sets a dotted path of a JSON object; a nil value removes it. Numbers in
// the path index lists.
func edit(t *testing.T, object string, pathsAndValues ...any) string {
	t.Helper()
	var root any
	if err := json.Unmarshal([]byte(object), &root); err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(pathsAndValues); i += 2 {
		steps := strings.Split(pathsAndValues[i].(string), ".")
		at := root
		for _, step := range steps[:len(steps)-1] {
			at = into(t, at, step)
		}
		m := at.(map[string]any)
		last := steps[len(steps)-1]
		if pathsAndValues[i+1] == nil {
			delete(m, last)
		} else {
			m[last] = pathsAndValues[i+1]
		}
	}
	data, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func into(t *testing.T, v any, step string) any {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v[step]; !ok {
			v[step] = map[string]any{}
		}
		return v[step]
	case []any:
		var i int
		if _, err := fmt.Sscan(step, &i); err != nil {
			t.Fatal(err)
		}
		return v[i]
	}
	t.Fatalf("no step %q into %T", step, v)
	return nil
}

// at reads a dotted path of a JSON object; absent is nil.
func at(t *testing.T, object, path string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(object), &v); err != nil {
		t.Fatalf("%v in %s", err, object)
	}
	for step := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}
