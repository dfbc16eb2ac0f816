package rollout

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
)

// flowControl is an API server with so many seats: who finds none is asked to
// come again, as priority and fairness does it.
type flowControl struct {
	mu             sync.Mutex
	seats          int
	running, most  int
	calls, refused int
}

func (f *flowControl) call(ctx context.Context, _ int) (evacuate.Outcome, error) {
	f.mu.Lock()
	f.calls++
	f.running++
	f.most = max(f.most, f.running)
	full := f.running > f.seats
	if full {
		f.refused++
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running--
		f.mu.Unlock()
	}()
	select {
	case <-ctx.Done():
		return evacuate.Outcome{}, ctx.Err()
	case <-time.After(10 * time.Millisecond):
	}
	if full {
		return evacuate.Outcome{Result: evacuate.Retry, Busy: true}, nil
	}
	return evacuate.Outcome{Result: evacuate.Done}, nil
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// TestAPIPaceHalvesAndGrows: a server with three seats is soon asked by about
// three at a time, and by all once it has seats again.
func TestAPIPaceHalvesAndGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flowControl{seats: 3}
		p := newAPIPace(0)
		results := make([]evacuate.Outcome, 600)
		if err := p.each(t.Context(), indexes(600), results, f.call); err != nil {
			t.Fatal(err)
		}
		if f.most != actionsAtOnce {
			t.Errorf("%d calls at once in the beginning, want %d", f.most, actionsAtOnce)
		}
		if p.limit > 4 || p.limit < 1 {
			t.Errorf("%d calls at once in the end, and the server has 3 seats", p.limit)
		}
		if f.refused > f.calls/5 {
			t.Errorf("%d of %d calls were refused: the pace does not adapt", f.refused, f.calls)
		}
		// What was learned is kept from pass to pass, and grows back.
		f.seats, f.most = 100, 0
		p = newAPIPace(p.limit)
		if err := p.each(t.Context(), indexes(600), results, f.call); err != nil {
			t.Fatal(err)
		}
		if p.limit != actionsAtOnce {
			t.Errorf("%d calls at once with seats for all, want %d again", p.limit, actionsAtOnce)
		}
	})
}

// TestAPIPaceIgnoresBudgets: what a budget refuses slows nothing down.
func TestAPIPaceIgnoresBudgets(t *testing.T) {
	p := newAPIPace(0)
	results := make([]evacuate.Outcome, 200)
	err := p.each(t.Context(), indexes(200), results, func(context.Context, int) (evacuate.Outcome, error) {
		return evacuate.Outcome{Result: evacuate.Refused, Message: "the budget needs 3 healthy pods and has 3 currently"}, nil
	})
	if err != nil || p.limit != actionsAtOnce {
		t.Errorf("%d at once after budgets' refusals, error %v", p.limit, err)
	}
}

// TestAPIPaceStopsAtAnError: an API that cannot be asked is not asked on.
func TestAPIPaceStopsAtAnError(t *testing.T) {
	away := errors.New("connection refused")
	var mu sync.Mutex
	calls := 0
	results := make([]evacuate.Outcome, 500)
	err := newAPIPace(4).each(t.Context(), indexes(500), results, func(context.Context, int) (evacuate.Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return evacuate.Outcome{}, away
	})
	if !errors.Is(err, away) || calls > 8 {
		t.Errorf("%d calls, error %v", calls, err)
	}
}
