package kube

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// renewalPause is the least time between two fetches of credentials: a server
// that refuses fresh ones too must not make us hammer the provider.
const renewalPause = 10 * time.Second

// renewing is a transport that fetches fresh credentials once the API server
// refuses those it has, so that a watch of many hours outlives its token.
type renewing struct {
	renew func(ctx context.Context) (http.RoundTripper, error)
	now   func() time.Time

	mu      sync.Mutex
	current http.RoundTripper
	tried   time.Time
}

// RoundTrip implements http.RoundTripper.
func (r *renewing) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	used := r.current
	r.mu.Unlock()

	response, err := used.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	again := request.Clone(request.Context())
	if request.Body != nil && request.Body != http.NoBody {
		if request.GetBody == nil {
			return response, nil
		}
		if again.Body, err = request.GetBody(); err != nil {
			return response, nil //nolint:nilerr // the refusal is the answer then
		}
	}
	fresh := r.renewed(request.Context(), used)
	if fresh == nil {
		return response, nil
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	_ = response.Body.Close()
	return fresh.RoundTrip(again)
}

// renewed returns a transport other than the refused one, or nil.
func (r *renewing) renewed(ctx context.Context, refused http.RoundTripper) http.RoundTripper {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != refused {
		return r.current // another request was quicker
	}
	now := r.now()
	if !r.tried.IsZero() && now.Sub(r.tried) < renewalPause {
		return nil
	}
	r.tried = now
	fresh, err := r.renew(ctx)
	if err != nil {
		return nil // the caller gets the refusal, and Connect says what is wrong with the credentials
	}
	r.current = fresh
	return fresh
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the
// transport below.
func (r *renewing) CloseIdleConnections() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if closer, ok := r.current.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
