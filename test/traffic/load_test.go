package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sample is one request.
type sample struct {
	at    time.Time // when it was sent
	class string    // how it failed; "" for an answer
	err   error
}

// load is a steady stream of requests to all services: the next is sent when
// its time has come, whether those before have been answered or not.
type load struct {
	began time.Time
	stop  context.CancelFunc
	sent  sync.WaitGroup // senders and requests under way

	mu      sync.Mutex
	samples map[string][]sample
	counted int
	late    time.Duration // how far behind its time the client itself was, at worst
}

// startLoad sends requests to the addresses until end is called.
func startLoad(t *testing.T, addresses map[string]string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{began: time.Now(), stop: cancel, samples: map[string][]sample{}}
	t.Cleanup(func() { cancel(); l.sent.Wait() })
	for _, s := range services {
		l.sent.Go(func() { l.send(ctx, s, addresses[s.name]) })
	}
	return l
}

// send sends one service's requests.
func (l *load) send(ctx context.Context, s service, address string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last := time.Now()
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.mu.Lock()
		l.late = max(l.late, time.Since(last))
		l.mu.Unlock()
		last = time.Now()
		for due := int(time.Since(l.began).Seconds() * float64(s.rate)); sent < due; sent++ {
			l.sent.Go(func() {
				// Those under way are waited for when the stream ends.
				limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience)
				defer cancel()
				at := time.Now()
				class, err := request(limited, address)
				l.mu.Lock()
				defer l.mu.Unlock()
				l.samples[s.name] = append(l.samples[s.name], sample{at, class, err})
				if s.counted {
					l.counted++
				}
			})
		}
	}
}

// total is how many requests to counted services have ended.
func (l *load) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counted
}

// end stops sending, waits for the answers and returns the result.
func (l *load) end() result {
	l.stop()
	took := time.Since(l.began)
	l.sent.Wait()
	r := result{took: took, late: l.late}
	for _, s := range services {
		r.services = append(r.services, resultOf(s, l.samples[s.name]))
	}
	return r
}

// result is what came of a load.
type result struct {
	took     time.Duration
	late     time.Duration // tells a machine that stands still from a service that does not answer
	services []serviceResult
}

type serviceResult struct {
	service
	requests int
	failed   map[string]int // by class
	gap      time.Duration  // longest time between two answered requests with failed ones between them
	example  string
}

func resultOf(s service, samples []sample) serviceResult {
	slices.SortFunc(samples, func(a, b sample) int { return a.at.Compare(b.at) })
	r := serviceResult{service: s, requests: len(samples), failed: map[string]int{}}
	last, broken := time.Time{}, false
	for i, one := range samples {
		if one.class != "" {
			r.failed[one.class]++
			broken = true
			if r.example == "" {
				r.example = one.err.Error()
			}
		}
		if last.IsZero() {
			last = one.at
		}
		if one.class == "" || i == len(samples)-1 {
			if broken {
				r.gap = max(r.gap, one.at.Sub(last))
			}
			last, broken = one.at, false
		}
	}
	return r
}

func (r serviceResult) failures() (sum int) {
	for _, n := range r.failed {
		sum += n
	}
	return sum
}

// counted sums up the services that stop gracefully.
func (r result) counted() (requests, failures int) {
	for _, s := range r.services {
		if s.counted {
			requests += s.requests
			failures += s.failures()
		}
	}
	return requests, failures
}

// gap is the longest of the services that stop gracefully.
func (r result) gap() (longest time.Duration) {
	for _, s := range r.services {
		if s.counted {
			longest = max(longest, s.gap)
		}
	}
	return longest
}

// of returns the result of one service.
func (r result) of(name string) serviceResult {
	for _, s := range r.services {
		if s.name == name {
			return s
		}
	}
	return serviceResult{}
}

// The classes of failures.
const (
	refused     = "refused"     // nobody listens, or the service has no endpoint
	reset       = "reset"       // the connection broke off
	timeout     = "timeout"     // no answer in time
	unreachable = "unreachable" // no way to the address
	serverError = "5xx"
	other       = "other"
)

var classes = []string{refused, reset, timeout, unreachable, serverError, other}

// request makes one request over a new connection; class is "" if it was
// answered as it should be.
func request(ctx context.Context, address string) (class string, err error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return other, err
	}
	response, err := fresh.Do(ask)
	if err != nil {
		return classOf(err), err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return classOf(err), err
	}
	switch {
	case response.StatusCode == http.StatusOK:
		return "", nil
	case response.StatusCode >= http.StatusInternalServerError:
		return serverError, errors.New(response.Status)
	}
	return other, errors.New(response.Status)
}

func classOf(err error) string {
	var network net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return reset
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return unreachable
	case errors.As(err, &network) && network.Timeout():
		return timeout
	}
	return other
}

// TestClasses holds the load's own judgement: it must notice each way to fail.
func TestClasses(t *testing.T) {
	for name, test := range map[string]struct {
		want string
		err  error
	}{
		"refused":     {refused, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}},
		"reset":       {reset, &net.OpError{Op: "read", Err: syscall.ECONNRESET}},
		"hung up":     {reset, fmt.Errorf("read: %w", io.EOF)},
		"timeout":     {timeout, fmt.Errorf("get: %w", context.DeadlineExceeded)},
		"unreachable": {unreachable, &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}},
		"something":   {other, errors.New("something")},
	} {
		if got := classOf(test.err); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestGap holds the longest gap: from the last answer before failures to the
// first one after them, also where nothing was answered before or after.
func TestGap(t *testing.T) {
	start := time.Now()
	for name, test := range map[string]struct {
		outcomes string // one request a second: . answered, x failed
		want     time.Duration
		failures int
	}{
		"none":         {"....", 0, 0},
		"one":          {"..x..", 2 * time.Second, 1},
		"the longest":  {".x.xxx.x.", 4 * time.Second, 5},
		"at the start": {"xx..", 2 * time.Second, 2},
		"at the end":   {"..xx", 2 * time.Second, 2},
		"all":          {"xxx", 2 * time.Second, 3},
	} {
		var samples []sample
		for i, o := range test.outcomes {
			s := sample{at: start.Add(time.Duration(i) * time.Second)}
			if o == 'x' {
				s.class, s.err = refused, syscall.ECONNREFUSED
			}
			samples = append(samples, s)
		}
		r := resultOf(service{}, samples)
		if r.gap != test.want || r.failures() != test.failures {
			t.Errorf("%s: gap %s with %d failures, want %s with %d", name, r.gap, r.failures(), test.want, test.failures)
		}
	}
}
