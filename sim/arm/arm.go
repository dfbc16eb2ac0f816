// Package arm is the resource manager of the simulated Azure: it speaks HTTP
// for the services behind it. It checks tokens, API versions and limits, finds
// the route, turns results and refusals into the answers that the real one
// gives, and hands out and follows the URLs of long-running operations. What is
// allowed and what happens is decided by package aks.
package arm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"liftlock.dev/liftlock/sim/aks"
	"liftlock.dev/liftlock/sim/entra"
	"liftlock.dev/liftlock/sim/fault"
)

// Audience is the resource that tokens for the resource manager are made out to.
const Audience = "https://management.azure.com"

// Options says how the manager answers.
type Options struct {
	Cloud  *aks.Cloud
	Tokens *entra.Server
	Faults *fault.Set
	Logger *slog.Logger
	Now    func() time.Time
	// BaseURL is the endpoint without a trailing slash.
	BaseURL string
	// RetryAfter in seconds is sent with long-running operations; 0 sends none,
	// as AKS does.
	RetryAfter int
	// PageSize bounds lists; 0 means 100.
	PageSize int
	// ThrottleSpeedUp is how much faster than in life the limits refill; 0
	// switches throttling off.
	ThrottleSpeedUp float64
	// World carries out the faults that concern the world rather than a call.
	World func(ctx context.Context, f fault.Fault)
}

// Handler is the resource manager.
type Handler struct {
	options  Options
	journal  *Journal
	throttle *throttle
	secret   []byte
}

// New returns the manager.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PageSize == 0 {
		o.PageSize = 100
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails, see crypto/rand
	return &Handler{
		options: o, journal: &Journal{}, secret: secret,
		throttle: &throttle{now: o.Now, speedUp: o.ThrottleSpeedUp, buckets: map[string]*bucket{}},
	}
}

// Journal returns the record of all calls.
func (h *Handler) Journal() *Journal { return h.journal }

// exchange is one call and its answer.
type exchange struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	call   *call
	body   []byte
	entry  Entry
	status int
}

// maxBody bounds what a request may hold.
const maxBody = 4 << 20

// ServeHTTP answers a request to the resource manager.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.options.Now()
	x := &exchange{h: h, w: w, r: r, entry: Entry{At: start.UTC(), Method: r.Method, Path: r.URL.Path, RequestID: requestID(), UserAgent: r.UserAgent()}}
	defer func() {
		x.entry.Status = x.status
		x.entry.Seconds = h.options.Now().Sub(start).Seconds()
		h.journal.add(x.entry)
		h.options.Logger.DebugContext(r.Context(), "call", "method", r.Method, "path", r.URL.Path, "status", x.status, "code", x.entry.Code)
	}()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		x.refuse(&aks.Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestContentTooLarge", ARM: true, Message: "The request content could not be read."})
		return
	}
	x.body = body
	if json.Valid(body) && len(body) > 0 {
		x.entry.Body = json.RawMessage(bytes.Clone(body))
	}
	w.Header().Set("X-Ms-Request-Id", x.entry.RequestID)
	w.Header().Set("X-Ms-Correlation-Request-Id", x.entry.RequestID)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	w.Header().Set("X-Content-Type-Options", "nosniff")

	c, ok := route(r)
	if c == nil {
		c = &call{method: r.Method}
	}
	x.call = c
	x.entry.Operation, x.entry.Subscription, x.entry.Cluster, x.entry.Pool = c.operation, c.subscription, c.cluster, c.pool
	if x.struck() || !x.authorized() {
		return
	}
	if !ok {
		x.unknown()
		return
	}
	if !x.versioned() || !x.allowed() {
		return
	}
	x.dispatch()
}

// struck lets faults decide the answer; it reports whether one did.
func (x *exchange) struck() bool {
	c := fault.Call{Operation: x.call.operation, Method: x.call.method, Subscription: x.call.subscription, Cluster: x.call.cluster, Pool: x.call.pool}
	if x.h.options.Faults == nil {
		return false
	}
	for _, f := range x.h.options.Faults.Strike(fault.WorldClass, c) {
		x.entry.Fault = f.ID
		if x.h.options.World != nil {
			x.h.options.World(x.r.Context(), f)
		}
	}
	for _, f := range x.h.options.Faults.Strike(fault.CallClass, c) {
		x.entry.Fault = f.ID
		switch f.Effect {
		case fault.Latency:
			timer := time.NewTimer(time.Duration(f.Delay))
			select {
			case <-timer.C:
			case <-x.r.Context().Done():
				timer.Stop()
				return true
			}
		case fault.Unreachable:
			panic(http.ErrAbortHandler)
		case fault.OperationFails, fault.OperationSlow, fault.APIServerDown, fault.VersionWithdrawn, fault.VersionOffered, fault.ImageReleased,
			fault.Quota, fault.ClusterDeleted: // not of the class that was asked for
		case fault.Unauthorized:
			x.challenge("InvalidAuthenticationToken", "The access token is invalid.")
			return true
		case fault.Throttle:
			x.refuse(&aks.Error{Status: http.StatusTooManyRequests, Code: or(f.Code, "Throttled"), Message: or(f.Message, throttledMessage), RetryAfter: max(f.RetryAfter, 1), ARM: f.Shape != "flat"})
			return true
		case fault.Error:
			x.refuse(&aks.Error{Status: f.HTTPStatus(), Code: f.Code, Subcode: f.Subcode, Message: or(f.Message, "The request failed ("+f.Code+")."), RetryAfter: f.RetryAfter, ARM: f.Shape != "flat"})
			return true
		}
	}
	return false
}

const throttledMessage = "The request is throttled: too many requests were received for this resource. Please retry after the time given in the Retry-After header. See https://aka.ms/aks/throttling"

func or(text, fallback string) string {
	if text != "" {
		return text
	}
	return fallback
}

// authorized checks the bearer token; it reports whether the call may go on.
func (x *exchange) authorized() bool {
	token, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		x.challenge("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
		return false
	}
	_, err := x.h.options.Tokens.Check(token, Audience, "https://management.core.windows.net", x.h.options.BaseURL)
	switch {
	case errors.Is(err, entra.ErrExpired):
		x.challenge("ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time.")
	case errors.Is(err, entra.ErrAudience):
		x.challenge("InvalidAuthenticationTokenAudience", "The access token has been obtained for wrong audience or resource. It should exactly match with one of the allowed audiences '"+Audience+"/'.")
	case err != nil:
		x.challenge("InvalidAuthenticationToken", "The access token is invalid.")
	}
	return err == nil
}

func (x *exchange) challenge(code, message string) {
	x.w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer authorization_uri=%q, error=\"invalid_token\", error_description=%q", x.h.options.BaseURL, message))
	x.refuse(&aks.Error{Status: http.StatusUnauthorized, Code: code, Message: message, ARM: true})
}

func (x *exchange) unknown() {
	if x.call.operation != "" || x.call.cluster != "" {
		x.refuse(&aks.Error{Status: http.StatusMethodNotAllowed, Code: "HttpMethodNotSupported", ARM: true, Message: "The http method '" + x.r.Method + "' is not supported at '" + x.r.URL.Path + "'."})
		return
	}
	x.refuse(&aks.Error{Status: http.StatusNotFound, Code: "InvalidResourceType", ARM: true, Message: "The resource type could not be found: nothing is simulated at '" + x.r.URL.Path + "'."})
}

var apiVersion = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-preview)?$`)

func (x *exchange) versioned() bool {
	switch version := x.r.URL.Query().Get("api-version"); {
	case version == "":
		x.refuse(&aks.Error{Status: http.StatusBadRequest, Code: "MissingApiVersionParameter", ARM: true, Message: "The api-version query parameter (?api-version=) is required for all requests."})
		return false
	case !apiVersion.MatchString(version):
		x.refuse(&aks.Error{Status: http.StatusBadRequest, Code: "InvalidApiVersionParameter", ARM: true, Message: "The api-version '" + version + "' is invalid. It must have the form YYYY-MM-DD, with -preview for previews."})
		return false
	}
	return true
}

// allowed draws on the limits and checks that subscription and group exist.
func (x *exchange) allowed() bool {
	kind, left, wait, byManager := x.h.throttle.take(x.call)
	x.w.Header().Set("X-Ms-Ratelimit-Remaining-Subscription-"+kind, strconv.Itoa(left))
	if wait > 0 {
		e := &aks.Error{Status: http.StatusTooManyRequests, Code: "Throttled", Message: throttledMessage, RetryAfter: wait}
		if byManager {
			e.Code, e.ARM = "SubscriptionRequestsThrottled", true
			e.Message = fmt.Sprintf("Number of requests for subscription '%s' and operation '%s' exceeded the backend storage limit. Please try again after '%d' seconds.", x.call.subscription, kind, wait)
		}
		x.refuse(e)
		return false
	}
	if x.call.subscription == "" {
		return true
	}
	if err := x.h.options.Cloud.CheckGroup(x.call.subscription, x.call.group); err != nil {
		x.fail(err)
		return false
	}
	return true
}

func (x *exchange) preconditions() aks.Preconditions {
	return aks.Preconditions{IfMatch: x.r.Header.Get("If-Match"), IfNoneMatch: x.r.Header.Get("If-None-Match")}
}

func (x *exchange) clusterID() aks.ClusterID {
	return aks.ClusterID{Subscription: x.call.subscription, Group: x.call.group, Name: x.call.cluster}
}

// fail answers with an error of the service.
func (x *exchange) fail(err error) {
	var e *aks.Error
	if !errors.As(err, &e) {
		e = &aks.Error{Status: http.StatusInternalServerError, Code: "InternalServerError", ARM: true, Message: err.Error()}
	}
	x.refuse(e)
}

func (x *exchange) refuse(e *aks.Error) {
	x.entry.Code = e.Code
	x.w.Header().Set("X-Ms-Error-Code", e.Code)
	if e.RetryAfter > 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	x.answer(status, errorBody(e))
}

// errorBody writes an error in the one of the two shapes it comes in.
func errorBody(e *aks.Error) any {
	if !e.ARM {
		return map[string]any{"code": e.Code, "details": nil, "message": e.Message, "subcode": e.Subcode, "target": e.Target}
	}
	inner := map[string]any{"code": e.Code, "message": e.Message}
	if e.Target != "" {
		inner["target"] = e.Target
	}
	if e.Subcode != "" {
		inner["details"] = []any{map[string]any{"code": e.Subcode, "message": e.Message}}
	}
	return map[string]any{"error": inner}
}

func (x *exchange) answer(status int, body any) {
	x.status = status
	if body == nil {
		x.w.WriteHeader(status)
		return
	}
	x.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	x.w.WriteHeader(status)
	// A client that hung up gets no answer; there is nobody to tell.
	_ = json.NewEncoder(x.w).Encode(body)
}

// accepted answers a request that changes something. Creations and changes send
// the resource and where the operation is to be asked after; the others only
// where.
func (x *exchange) accepted(result aks.Result, err error) {
	switch {
	case err != nil:
		x.fail(err)
	case result.Operation == nil && result.Created:
		x.answer(http.StatusCreated, result.Body)
	case result.Operation == nil && result.Body != nil:
		x.answer(http.StatusOK, result.Body)
	case result.Operation == nil:
		x.answer(http.StatusNoContent, nil)
	default:
		x.entry.LRO = result.Operation.ID
		x.w.Header().Set("Azure-AsyncOperation", x.h.operationURL(result.Operation, "operations"))
		if x.h.options.RetryAfter > 0 {
			x.w.Header().Set("Retry-After", strconv.Itoa(x.h.options.RetryAfter))
		}
		switch {
		case x.call.method == http.MethodPut && result.Created:
			x.answer(http.StatusCreated, result.Body)
		case x.call.method == http.MethodPut || x.call.method == http.MethodPatch:
			x.answer(http.StatusOK, result.Body)
		default:
			x.w.Header().Set("Location", x.h.operationURL(result.Operation, "operationresults"))
			x.answer(http.StatusAccepted, nil)
		}
	}
}

// operationURL is where an operation may be asked after: long and signed, so
// that clients have to follow it as it is.
func (h *Handler) operationURL(op *aks.Operation, what string) string {
	query := url.Values{"api-version": {"2016-03-30"}}
	query.Set("t", strconv.FormatInt(op.Start.UnixNano()/100+621355968000000000, 10))
	query.Set("c", h.certificate(op.ID))
	query.Set("s", h.signature(op.ID))
	digest := sha256.Sum256([]byte(op.ID))
	query.Set("h", base64.RawURLEncoding.EncodeToString(digest[:]))
	return fmt.Sprintf("%s/subscriptions/%s/providers/Microsoft.ContainerService/locations/%s/%s/%s?%s",
		h.options.BaseURL, op.Subscription, op.Location, what, op.ID, query.Encode())
}

func (h *Handler) signature(id string) string {
	mac := hmac.New(sha256.New, h.secret)
	mac.Write([]byte(id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// certificate stands for the two kilobytes of certificate in real URLs.
func (h *Handler) certificate(id string) string {
	var text strings.Builder
	text.WriteString("MII")
	block := sha256.Sum256([]byte(id + "certificate"))
	for text.Len() < 2000 {
		block = sha256.Sum256(block[:])
		text.WriteString(base64.RawURLEncoding.EncodeToString(block[:]))
	}
	return text.String()
}

func requestID() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails, see crypto/rand
	text := hex.EncodeToString(raw)
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}
