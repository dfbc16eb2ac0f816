package rollout

import (
	"context"

	"liftlock.dev/liftlock/internal/domain/evacuate"
)

// actionsAtOnce bounds the calls that one pass makes to an API server at a time.
const actionsAtOnce = 16

// apiPace is how many calls to an API server may be under way. It halves when
// the server asks to slow down (priority and fairness, 429, time-outs), and
// grows by one when four times as many calls went well. A budget's refusal says
// nothing of the server, and slows nothing down.
type apiPace struct {
	limit int
	calm  int // calls in a row that went well
	// halvings numbers the limits, so that what was asked before a halving does
	// not halve again.
	halvings int
}

func newAPIPace(atOnce int) *apiPace {
	if atOnce < 1 || atOnce > actionsAtOnce {
		atOnce = actionsAtOnce
	}
	return &apiPace{limit: atOnce}
}

// learn takes in what came of a call that was made after so many halvings.
func (p *apiPace) learn(outcome evacuate.Outcome, halvings int) {
	switch {
	case outcome.Busy && halvings == p.halvings:
		p.limit, p.calm = max(1, p.limit/2), 0
		p.halvings++
	case outcome.Busy:
		p.calm = 0
	default:
		if p.calm++; p.calm >= 4*p.limit {
			p.limit, p.calm = min(actionsAtOnce, p.limit+1), 0
		}
	}
}

// each makes the calls that the indexes stand for, as many at a time as the pace
// allows at that moment, and keeps what came of them. The first call that fails
// lets no more begin.
func (p *apiPace) each(ctx context.Context, indexes []int, results []evacuate.Outcome, call func(context.Context, int) (evacuate.Outcome, error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type ended struct {
		index, halvings int
		outcome         evacuate.Outcome
		err             error
	}
	done := make(chan ended)
	running := 0
	var first error
	for {
		for len(indexes) > 0 && running < p.limit && first == nil {
			index, halvings := indexes[0], p.halvings
			indexes = indexes[1:]
			running++
			go func() {
				outcome, err := call(ctx, index)
				done <- ended{index, halvings, outcome, err}
			}()
		}
		if running == 0 {
			return first
		}
		e := <-done
		running--
		results[e.index] = e.outcome
		switch {
		case e.err == nil:
			p.learn(e.outcome, e.halvings)
		case first == nil:
			first = e.err
			stop()
		}
	}
}
