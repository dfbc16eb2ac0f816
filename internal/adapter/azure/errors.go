package azure

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"liftlock.dev/liftlock/internal/rollout"
)

// throttledFor is how long a throttled call waits where the service does not
// say: AKS refills its buckets for writes by one a minute.
const throttledFor = time.Minute

// act names what is done to what, for errors and logs.
type act struct {
	object string // "pool apps of prod"
	doing  string // "upgrade to 1.35.4"
}

// refuse is a refusal by the adapter itself, before the service is asked.
func (a act) refuse(code rollout.Code, remedy, format string, args ...any) error {
	return &rollout.ProviderError{Code: code, Object: a.object, Doing: a.doing, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

// failed turns an error of the SDK into the provider's. The end of the caller's
// context stays what it is: nobody was asked.
func (a act) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %s: %w", a.object, a.doing, ctx.Err())
	}
	if pe, ok := errors.AsType[*rollout.ProviderError](err); ok {
		return pe
	}
	pe := &rollout.ProviderError{Object: a.object, Doing: a.doing, Err: &scrubbed{err}}
	if re, ok := errors.AsType[*azcore.ResponseError](err); ok {
		r := refusalOf(re)
		pe.Code, pe.Remedy = classify(&r)
		pe.Message = r.message
		if pe.Message == "" {
			pe.Message = fmt.Sprintf("HTTP status %d %s", re.StatusCode, http.StatusText(re.StatusCode))
		}
		if r.code != "" {
			pe.Message = scrub(r.code) + ": " + pe.Message
		}
		if pe.Code == rollout.CodeThrottled {
			pe.RetryAfter = retryAfter(re.RawResponse, time.Now())
			if pe.RetryAfter <= 0 {
				pe.RetryAfter = throttledFor
			}
		}
		return pe
	}
	pe.Message = scrub(err.Error())
	pe.Code, pe.Remedy = rollout.CodeUnavailable, "check the address of the cloud, the network and the proxy; it will be tried again"
	why := err
	if ce, ok := errors.AsType[*credentialError](err); ok {
		if ce.refused() {
			pe.Code, pe.Remedy = rollout.CodeUnauthorized, "check the identity of the Fleet file and what it needs on this machine, then retry"
			return pe
		}
		pe.Remedy = "the sign-in service did not answer; it will be tried again"
		why = errors.Join(err, ce.transport)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](why); ok {
		pe.Remedy = "give the certificate authority that signed the endpoint's certificate as caFile of the cloud"
	}
	return pe
}

// refusalOf reads what a response error holds.
func refusalOf(re *azcore.ResponseError) refusal {
	var body []byte
	header := ""
	if re.RawResponse != nil {
		header = re.RawResponse.Header.Get("x-ms-error-code")
		// The SDK has kept the body; it cannot fail to be read again.
		if read, err := runtime.Payload(re.RawResponse); err == nil {
			body = read
		}
	}
	r := parseRefusal(re.StatusCode, header, body)
	if len(r.codes) == 0 && re.ErrorCode != "" {
		r.add(re.ErrorCode)
		r.code = re.ErrorCode
	}
	return r
}

// ended reports whether an error tells of an operation that was accepted and
// ended badly: the status answers 200 and holds the error.
func ended(err error) bool {
	re, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && re.StatusCode >= 200 && re.StatusCode < 300
}

// gone reports whether the service says that there is no such object. A
// subscription that cannot be seen is another matter: it hides everything.
func gone(err error) bool {
	re, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || re.StatusCode != http.StatusNotFound && re.StatusCode != http.StatusGone {
		return false
	}
	r := refusalOf(re)
	code, _ := classify(&r)
	return code == rollout.CodeNotFound
}

// retryAfter reads how long the service wants to be left alone; zero where it
// does not say.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	if resp == nil {
		return 0
	}
	for _, h := range []struct {
		name string
		unit time.Duration
	}{{"Retry-After-Ms", time.Millisecond}, {"X-Ms-Retry-After-Ms", time.Millisecond}, {"Retry-After", time.Second}} {
		value := resp.Header.Get(h.name)
		if value == "" {
			continue
		}
		// A day is longer than any bucket; more would only overflow.
		const most = 24 * time.Hour
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 {
			return min(time.Duration(min(n, int64(most/h.unit)))*h.unit, most)
		}
		if at, err := http.ParseTime(value); err == nil && at.After(now) {
			return min(at.Sub(now), most)
		}
	}
	return 0
}
