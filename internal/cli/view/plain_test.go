package view

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// TestPlain tells the sample rollout in lines, model by model.
func TestPlain(t *testing.T) {
	var out bytes.Buffer
	p := Plain(&out)
	early := four()
	early.Now = after(265)
	early.Rings[2].Clusters[0].Pools[1].PodsMoved = 0
	early.Rings[2].Clusters[0].Reason = "control plane, 80 s left"
	counting := four()
	counting.Now = after(266)
	counting.Rings[2].Clusters[0].Pools[1].PodsMoved = 3
	counting.Rings[2].Clusters[0].Reason = "control plane, 79 s left" // a countdown is no change
	fallen := four()
	fallen.Now = after(301)
	fallen.Rings[2].Clusters[0].Violations = 1
	hostile := finished()
	hostile.Now = after(700)
	hostile.Rings[3].Clusters[0].State = fleet.StateFailed
	hostile.Rings[3].Clusters[0].Reason = "two\nlines and \x1b[2J a cleared screen"
	for _, m := range []Model{early, early, counting, four(), four(), fallen, waiting(), waiting(), finished(), finished(), hostile} {
		if err := p.Show(m); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "plain.txt", out.String())
}

func TestPlainSaysExpiredApprovalsAgain(t *testing.T) {
	var out bytes.Buffer
	p := Plain(&out)
	for _, m := range []Model{waiting(), finished(), waiting()} {
		if err := p.Show(m); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(out.String(), "liftlock approve"); n != 2 {
		t.Errorf("the approval was asked for %d times, want 2:\n%s", n, out.String())
	}
}

type failing struct{}

var errClosed = errors.New("the pipe is closed")

func (failing) Write([]byte) (int, error) { return 0, errClosed }

func TestPlainFollows(t *testing.T) {
	updates := make(chan Model, 2)
	updates <- four()
	updates <- finished()
	close(updates)
	var out bytes.Buffer
	if err := Plain(&out).Follow(t.Context(), updates); err != nil || !strings.Contains(out.String(), "prod: Succeeded") {
		t.Errorf("got %v and %q", err, out.String())
	}

	broken := make(chan Model, 1)
	broken <- four()
	if err := Plain(failing{}).Follow(t.Context(), broken); !errors.Is(err, errClosed) {
		t.Errorf("a closed pipe: got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := Plain(&out).Follow(ctx, make(chan Model)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an ended context: got %v", err)
	}
}
