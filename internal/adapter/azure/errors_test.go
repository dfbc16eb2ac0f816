package azure

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// Long throttling goes back to the caller, who has better things to do than to
// sleep; short throttling is sat out.
func TestThrottling(t *testing.T) {
	f := newFakeARM(t)
	f.on("GET "+prodPath, http.StatusTooManyRequests, `{"code":"Throttled","message":"slow down"}`, "Retry-After", "120")
	_, err := f.provider().Cluster(t.Context(), prodPath)
	wantCode(t, err, rollout.CodeThrottled)
	if pe, ok := errors.AsType[*rollout.ProviderError](err); !ok || pe.RetryAfter != 2*time.Minute {
		t.Errorf("got %+v", pe)
	}
	if n := len(f.asked("GET " + prodPath)); n != 1 {
		t.Errorf("asked %d times", n)
	}

	f = newFakeARM(t)
	f.on("GET "+prodPath, http.StatusTooManyRequests, `{"code":"Throttled","message":"slow down"}`, "Retry-After-Ms", "5")
	f.on("GET "+prodPath, http.StatusOK, fixture(t, "cluster.json"))
	if _, err := f.provider().Cluster(t.Context(), prodPath); err != nil {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"0":                             0,
		"-5":                            0,
		"soon":                          0,
		"999999999999":                  24 * time.Hour,
		"99999999999999999999":          0,
		"Sun, 01 Nov 2026 12:01:30 GMT": 90 * time.Second,
		"Sun, 01 Nov 2026 11:00:00 GMT": 0,
	} {
		resp := &http.Response{Header: http.Header{"Retry-After": []string{value}}}
		if got := retryAfter(resp, now); got != want {
			t.Errorf("Retry-After %q: %s, want %s", value, got, want)
		}
	}
	if got := retryAfter(nil, now); got != 0 {
		t.Errorf("no response: %s", got)
	}
}

// A server error passes by itself, and one that does not is worth a later try.
func TestServerErrors(t *testing.T) {
	f := newFakeARM(t)
	f.on("GET "+prodPath, http.StatusServiceUnavailable, `{"error":{"code":"ServiceUnavailable","message":"busy"}}`)
	f.on("GET "+prodPath, http.StatusOK, fixture(t, "cluster.json"))
	if _, err := f.provider().Cluster(t.Context(), prodPath); err != nil {
		t.Error(err)
	}
	f = newFakeARM(t)
	f.on("GET "+prodPath, http.StatusInternalServerError, `{"error":{"code":"InternalServerError","message":"trouble at https://x/y?sig=`+secretMark+`"}}`)
	_, err := f.provider().Cluster(t.Context(), prodPath)
	wantCode(t, err, rollout.CodeUnavailable)
	re, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || re.StatusCode != http.StatusInternalServerError {
		t.Errorf("code cannot ask for the cause: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	f := newFakeARM(t)
	p := f.provider()
	// With a token in hand the endpoint goes away.
	f.on("GET "+prodPath, http.StatusOK, fixture(t, "cluster.json"))
	if _, err := p.Cluster(t.Context(), prodPath); err != nil {
		t.Fatal(err)
	}
	op := startUpgrade(t, f, p)
	f.server.Close()
	_, err := p.Cluster(t.Context(), prodPath)
	wantCode(t, err, rollout.CodeUnavailable)
	status, err := p.Poll(t.Context(), op) // the URL that failed is a signed one
	wantCode(t, err, rollout.CodeUnavailable)
	if status.Done {
		t.Error("an operation that could not be asked for is not done")
	}
}

func TestCertificateOfAStranger(t *testing.T) {
	f := newFakeARM(t)
	o := f.options()
	o.Cloud.CAFile = ""
	_, err := f.providerWith(o).Cluster(t.Context(), prodPath)
	wantCode(t, err, rollout.CodeUnavailable)
	if !strings.Contains(err.Error(), "caFile") {
		t.Errorf("no word of caFile: %v", err)
	}
}

// The caller's own end is no word of the service.
func TestCanceledContext(t *testing.T) {
	f := newFakeARM(t)
	ctx, cancel := context.WithCancel(t.Context())
	p := f.provider()
	cancel()
	for name, err := range map[string]error{
		"read":     second(p.Cluster(ctx, prodPath)),
		"discover": second(p.Discover(ctx, []fleet.Source{{Subscription: sub1}, {Subscription: sub2}})),
		"upgrade":  second(p.UpgradeControlPlane(ctx, prod(), v135)),
	} {
		if !errors.Is(err, context.Canceled) || rollout.CodeOf(err) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestIdentityErrors(t *testing.T) {
	f := newFakeARM(t)
	f.on("GET "+prodPath, http.StatusOK, fixture(t, "cluster.json"))

	t.Run("refused", func(t *testing.T) {
		f.mu.Lock()
		f.entra = func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
				base := f.server.URL + "/" + tenant
				_, _ = w.Write([]byte(`{"issuer":"` + base + `/v2.0","authorization_endpoint":"` + base + `/authorize","token_endpoint":"` + base + `/token"}`))
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"AADSTS700016: Application with identifier 'client' was not found in the directory."}`))
		}
		f.mu.Unlock()
		_, err := f.provider().Cluster(t.Context(), prodPath)
		wantCode(t, err, rollout.CodeUnauthorized)
		if !strings.Contains(err.Error(), "AADSTS700016") {
			t.Errorf("the reason is lost: %v", err)
		}
	})
	t.Run("sign-in in trouble", func(t *testing.T) {
		f.mu.Lock()
		f.entra = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		f.mu.Unlock()
		_, err := f.provider().Cluster(t.Context(), prodPath)
		wantCode(t, err, rollout.CodeUnavailable)
	})
	t.Run("sign-in unreachable", func(t *testing.T) {
		o := f.options()
		gone := httptest.NewTLSServer(http.NotFoundHandler())
		o.Cloud.ActiveDirectory = gone.URL
		gone.Close()
		_, err := f.providerWith(o).Cluster(t.Context(), prodPath)
		wantCode(t, err, rollout.CodeUnavailable)
	})
	t.Run("token file missing", func(t *testing.T) {
		f.mu.Lock()
		f.entra = nil
		f.mu.Unlock()
		o := f.options()
		o.Identity.TokenFile = filepath.Join(t.TempDir(), "missing")
		_, err := f.providerWith(o).Cluster(t.Context(), prodPath)
		wantCode(t, err, rollout.CodeUnauthorized)
	})
	t.Run("token refused by the service", func(t *testing.T) {
		f.mu.Lock()
		f.entra = func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
				base := f.server.URL + "/" + tenant
				_, _ = w.Write([]byte(`{"issuer":"` + base + `/v2.0","authorization_endpoint":"` + base + `/authorize","token_endpoint":"` + base + `/token"}`))
				return
			}
			_, _ = w.Write([]byte(`{"token_type":"Bearer","expires_in":3600,"access_token":"` + secretMark + `-other"}`))
		}
		f.mu.Unlock()
		_, err := f.provider().Cluster(t.Context(), prodPath)
		wantCode(t, err, rollout.CodeUnauthorized)
	})
}
