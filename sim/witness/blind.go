package witness

import (
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

const (
	// catchUp is how long all that was missed of a kind usually takes to be told,
	// once it is listed.
	catchUp = 500 * time.Millisecond
	// catchUpMost is how long that is waited for on a machine that is short of
	// processors. What is not told by then counts as gone.
	catchUpMost = 30 * time.Second
)

// lost is told that news of a kind is being missed. What comes of it later is
// told one by one, in an order in which it never happened, and before or after
// the news of other kinds. What is missed before counting begins is missed by
// nobody.
func (v *watch) lost(kind string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.since.IsZero() {
		return
	}
	v.missed[kind], v.blind = true, true
	if v.seeing != nil {
		v.seeing.Stop()
		v.seeing = nil
	}
}

// found is told that a kind can be seen again.
func (v *watch) found(kind string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.missed, kind)
	if !v.blind || len(v.missed) > 0 || v.seeing != nil {
		return
	}
	v.see(v.now().Add(catchUpMost))
}

// see ends the blindness once all that was missed has been told, or at the latest.
func (v *watch) see(latest time.Time) {
	var timer *time.Timer
	timer = time.AfterFunc(catchUp, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.seeing != timer { // lost again meanwhile
			return
		}
		if !v.told() && v.now().Before(latest) {
			v.see(latest)
			return
		}
		v.blind, v.seeing = false, nil
		for _, w := range v.workloads {
			v.judge(w)
		}
	})
	v.seeing = timer
}

// told reports whether the informers have told all that they know of pods, and
// whether the workloads of all that are Ready are known: those may come later,
// being another kind.
func (v *watch) told() bool {
	for _, p := range v.pods {
		if p.ready && p.counts && p.in == nil {
			return false
		}
	}
	if v.known == nil {
		return true
	}
	known := v.known()
	for _, object := range known {
		o, ok := object.(*corev1.Pod)
		if !ok {
			continue
		}
		if p := v.pods[o.UID]; p == nil || p.ready != ready(o) {
			return false
		}
	}
	return len(known) == len(v.pods)
}

// eyes tell a watch when its calls fail: informers hide that, and what they
// report after a break never happened in that order.
type eyes struct {
	of   *watch // set before the first call
	next http.RoundTripper
}

// open puts the eyes before a client's calls.
func (e *eyes) open(config *rest.Config) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		e.next = next
		return e
	})
}

// RoundTrip implements http.RoundTripper.
func (e *eyes) RoundTrip(r *http.Request) (*http.Response, error) {
	kind, query := r.URL.Path, r.URL.Query()
	if !query.Has("watch") || query.Has("sendInitialEvents") {
		e.of.lost(kind) // all is asked for anew
	}
	response, err := e.next.RoundTrip(r)
	if err != nil || response.StatusCode >= http.StatusBadRequest {
		e.of.lost(kind)
		return response, err
	}
	e.of.found(kind)
	return response, nil
}
