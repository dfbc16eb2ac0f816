// Package storetest holds the conformance suites of the ports that keep what
// Liftlock must not forget: Store, Ledger and Journal. Every adapter of one of
// them runs its suite, so that the use cases need not know which they have.
package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Fresh makes a new, empty place to keep things and returns a function that
// opens it. What was opened is closed by the test's cleanup. Opened twice, it
// behaves as it does for two workers: each sees what the other wrote.
type Fresh[Port any] func(t *testing.T) (open func(t *testing.T) Port)

// base is the moment at which the suites' little stories start. It has
// nanoseconds and a zone of its own, since both must survive or be normalised.
var base = time.Date(2026, time.March, 29, 1, 59, 59, 123456789, time.FixedZone("CET", 3600))

// odd are texts that a store must give back as they are.
var odd = []string{
	"",
	" leading and trailing ",
	"quotes ' \" ` and -- ; DROP TABLE journal; --",
	"line\nbreak\tand\ttabs",
	"Ünïcödé 集群 🚀 \u202eoverride",
	"/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg#?%20/x",
	"%_*?",
}

// equal fails the test with a diff if got is not want.
func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// must fails the test at once on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// result returns value, or fails the test at once on an error.
func result[T any](t *testing.T) func(value T, err error) T {
	t.Helper()
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
