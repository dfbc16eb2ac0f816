package sqlite

import (
	"testing"

	"liftlock.dev/liftlock/internal/adapter/storetest"
	"liftlock.dev/liftlock/internal/rollout"
)

func TestStore(t *testing.T)   { storetest.Store(t, fresh[rollout.Store]) }
func TestLedger(t *testing.T)  { storetest.Ledger(t, fresh[rollout.Ledger]) }
func TestJournal(t *testing.T) { storetest.Journal(t, fresh[rollout.Journal]) }

// fresh makes a new file for a conformance suite.
func fresh[Port any](t *testing.T) func(t *testing.T) Port {
	t.Helper()
	path := testPath(t)
	return func(t *testing.T) Port {
		t.Helper()
		return any(openTest(t, path)).(Port)
	}
}
