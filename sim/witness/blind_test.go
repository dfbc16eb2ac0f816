package witness

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestBlindStretch: pods that were replaced while nobody could see are told of
// one by one afterwards, the old ones gone before the new ones come. That never
// happened; what is still missing in the end did.
func TestBlindStretch(t *testing.T) {
	for _, tc := range []struct {
		name        string
		blind, back bool
		falls       int
	}{
		{"replaced while it could not see", true, true, 0},
		{"gone while it could not see", true, false, 1},
		{"replaced before its eyes, the old one first", false, true, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, set := deployment("web", 1, nil)
				v := newWatch("id", "one", time.Now, nil, func() {})
				v.changed(d)
				v.changed(set)
				v.changed(podOf(set, "ReplicaSet", 1))
				v.begin()
				if tc.blind {
					v.lost("/pods")
					v.lost("/replicasets")
					time.Sleep(time.Minute)
					v.found("/pods")
				}
				v.deleted(podOf(set, "ReplicaSet", 1))
				if tc.back {
					v.changed(podOf(set, "ReplicaSet", 2))
				}
				time.Sleep(2 * catchUp)
				if tc.blind { // the new pods' owners come to be known later than they
					v.found("/replicasets")
					time.Sleep(2 * catchUp)
				}
				synctest.Wait()
				if got := v.report().Violations; got != tc.falls {
					t.Errorf("%d falls, want %d", got, tc.falls)
				}
				// And it sees again.
				for n := range 2 {
					v.deleted(podOf(set, "ReplicaSet", n+1))
				}
				want := tc.falls
				if tc.back {
					want++
				}
				if got := v.report().Violations; got != want {
					t.Errorf("%d falls in the end, want %d", got, want)
				}
			})
		})
	}
}

// TestToldSlowly: on a busy machine it takes longer than usual until what was
// missed has been told. What the informer knows already has not fallen; what it
// never tells has.
func TestToldSlowly(t *testing.T) {
	for name, tc := range map[string]struct {
		known bool // the informer knows the new pod long before it tells of it
		told  bool
		falls int
	}{
		"known, then told":      {known: true, told: true},
		"known, but never told": {known: true, falls: 1},
		"not there":             {falls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, set := deployment("web", 1, nil)
				v := newWatch("id", "one", time.Now, nil, func() {})
				fresh := podOf(set, "ReplicaSet", 2)
				v.known = func() []any {
					if tc.known {
						return []any{fresh}
					}
					return nil
				}
				v.changed(d)
				v.changed(set)
				v.changed(podOf(set, "ReplicaSet", 1))
				v.begin()
				v.lost("/pods")
				v.found("/pods")
				v.deleted(podOf(set, "ReplicaSet", 1))
				time.Sleep(10 * catchUp)
				if tc.told {
					v.changed(fresh)
				}
				time.Sleep(catchUpMost)
				synctest.Wait()
				if got := v.report().Violations; got != tc.falls {
					t.Errorf("%d falls, want %d", got, tc.falls)
				}
			})
		})
	}
}
