package kube

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
)

// pressure is what an API server answered on the way of one action about having
// too much to do. client-go sits such answers out and tries again, so nothing of
// them is left in the result.
type pressure struct {
	mu    sync.Mutex
	busy  bool
	after time.Duration
}

type pressureKey struct{}

// notePressure returns a context whose requests note what they are told.
func notePressure(ctx context.Context) (context.Context, *pressure) {
	p := &pressure{}
	return context.WithValue(ctx, pressureKey{}, p), p
}

// addTo writes what was noted into an action's outcome.
func (p *pressure) addTo(outcome *evacuate.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	outcome.Busy = outcome.Busy || p.busy
	outcome.RetryAfter = max(outcome.RetryAfter, p.after)
}

// pressing is a transport that notes requests which were refused for overload.
// Evictions are left out: a budget's refusal has the same code, and is told from
// overload by its causes.
type pressing struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t pressing) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusTooManyRequests || strings.HasSuffix(request.URL.Path, "/eviction") {
		return response, err
	}
	if p, ok := request.Context().Value(pressureKey{}).(*pressure); ok {
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		p.mu.Lock()
		p.busy, p.after = true, max(p.after, time.Duration(seconds)*time.Second)
		p.mu.Unlock()
	}
	return response, nil
}
