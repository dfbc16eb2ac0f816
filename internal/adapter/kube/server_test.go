package kube

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// apiServer answers as an API server does where the answers' codes, headers and
// causes matter, which objects held in memory cannot show.
type apiServer struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	token    string
	uid      string
	nodes    []string // provider ids
	answers  map[string]any
	requests []string // "POST /api/v1/…"
	bodies   map[string]string
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{t: t, token: "first", uid: "the-cluster", answers: map[string]any{}, bodies: map[string]string{}}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that hang up
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// on sets the answer to a request: an object, or a metav1.Status for an error.
func (s *apiServer) on(request string, answer any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[request] = answer
}

func (s *apiServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *apiServer) count(request string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if r == request {
			n++
		}
	}
	return n
}

// ServeHTTP implements http.Handler.
func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("watch") != "" { // where nothing ever happens
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	request := r.Method + " " + r.URL.Path
	s.requests = append(s.requests, request)
	var body strings.Builder
	if r.Body != nil {
		buffer := make([]byte, 64<<10)
		n, _ := r.Body.Read(buffer)
		body.Write(buffer[:n])
	}
	s.bodies[request] = body.String()
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		write(w, metav1.Status{Code: 401, Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized"})
		return
	}
	if answer, ok := s.answers[request]; ok {
		write(w, answer)
		return
	}
	switch r.URL.Path {
	case "/api/v1/namespaces/kube-system":
		write(w, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: types.UID(s.uid)}})
	case "/api/v1/nodes":
		var list corev1.NodeList
		for _, id := range s.nodes {
			list.Items = append(list.Items, corev1.Node{Spec: corev1.NodeSpec{ProviderID: id}})
		}
		write(w, list)
	default:
		write(w, metav1.Status{Code: 404, Reason: metav1.StatusReasonNotFound, Message: request + " not found"})
	}
}

func write(w http.ResponseWriter, answer any) {
	raw, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	var fields map[string]any
	_ = json.Unmarshal(raw, &fields)
	code := http.StatusOK
	switch a := answer.(type) {
	case metav1.Status:
		fields["kind"], fields["apiVersion"], fields["status"] = "Status", "v1", "Failure"
		if code = int(a.Code); a.Details != nil && a.Details.RetryAfterSeconds > 0 {
			w.Header().Set("Retry-After", "30")
		}
	case corev1.Namespace:
		fields["kind"], fields["apiVersion"] = "Namespace", "v1"
	case corev1.NodeList:
		fields["kind"], fields["apiVersion"] = "NodeList", "v1"
	case corev1.Pod:
		fields["kind"], fields["apiVersion"] = "Pod", "v1"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(fields)
}

// kubeconfig is one for the server, with the contexts given and a current one
// that leads nowhere.
func (s *apiServer) kubeconfig(token string, contexts ...string) []byte {
	s.t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{
		Server:                   s.URL,
		CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
	}
	config.Clusters["nowhere"] = &clientcmdapi.Cluster{Server: "https://192.0.2.1"}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token}
	for _, name := range contexts {
		config.Contexts[name] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	}
	raw, err := clientcmd.Write(*config)
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}
