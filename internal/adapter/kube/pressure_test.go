package kube

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
)

// What client-go sits out is noted all the same, for the action that it happened
// to and no other; a refused eviction is judged by its causes, not here.
func TestPressureIsNoted(t *testing.T) {
	answer := http.StatusTooManyRequests
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(answer)
	}))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: pressing{http.DefaultTransport}}
	get := func(ctx context.Context, path string) {
		t.Helper()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	noted := func(path string) evacuate.Outcome {
		t.Helper()
		ctx, pressure := notePressure(t.Context())
		get(ctx, path)
		var outcome evacuate.Outcome
		pressure.addTo(&outcome)
		return outcome
	}
	if got := noted("/api/v1/nodes/n"); !got.Busy || got.RetryAfter != 3*time.Second {
		t.Errorf("a node's patch was refused for overload, and noted is %+v", got)
	}
	if got := noted("/api/v1/namespaces/shop/pods/web-1/eviction"); got.Busy {
		t.Errorf("an eviction's 429 was taken for overload: %+v", got)
	}
	answer = http.StatusOK
	if got := noted("/api/v1/nodes/n"); got.Busy || got.RetryAfter != 0 {
		t.Errorf("all is well, and noted is %+v", got)
	}
	get(t.Context(), "/api/v1/nodes/n") // nobody listens
}
