package view

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"go.uber.org/goleak"
)

// TestMain fails if a goroutine is left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// terminal takes what is drawn, and says when it contains a text.
type terminal struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newTerminal() *terminal { return &terminal{changed: make(chan struct{}, 1)} }

func (w *terminal) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
	return w.text.Write(p)
}

// wait waits until a text was drawn.
func (w *terminal) wait(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		w.mu.Lock()
		drawn := strings.Contains(w.text.String(), text)
		w.mu.Unlock()
		if drawn {
			return
		}
		select {
		case <-w.changed:
		case <-deadline:
			t.Fatalf("%q was not drawn", text)
		}
	}
}

func TestLive(t *testing.T) {
	type run struct {
		cancel  context.CancelFunc
		keys    io.WriteCloser
		updates chan Model
		screen  *terminal
	}
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, r run)
		want error
	}{
		{"no more models", func(_ *testing.T, r run) {
			r.updates <- finished()
			close(r.updates)
		}, nil},
		{"left by q", func(t *testing.T, r run) {
			if _, err := io.WriteString(r.keys, "q"); err != nil {
				t.Error(err)
			}
		}, ErrLeft},
		{"left by Ctrl-C", func(t *testing.T, r run) {
			if _, err := io.WriteString(r.keys, "\x03"); err != nil {
				t.Error(err)
			}
		}, ErrLeft},
		{"the context ends", func(_ *testing.T, r run) { r.cancel() }, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			in, keys := io.Pipe()
			defer func() { _ = keys.Close() }()
			r := run{cancel, keys, make(chan Model), newTerminal()}
			done := make(chan error, 1)
			go func() { done <- Live(ctx, in, r.screen, r.updates, Options{}) }()
			r.updates <- four()
			r.screen.wait(t, "shop to 1.35.4")
			tt.end(t, r)
			select {
			case err := <-done:
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it does not end")
			}
			if tt.want == nil {
				r.screen.wait(t, "all clusters are at 1.35.4")
			}
		})
	}
}

// TestClockGoesOn shows that elapsed times go on between models.
func TestClockGoesOn(t *testing.T) {
	s := &screen{paint: painter(io.Discard, Options{}), width: 80, height: 24}
	came := time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC) // this machine's clock is another one
	s.Update(modelMsg{four(), came})
	if !strings.Contains(s.View(), "5m00s, about 4m00s left") {
		t.Errorf("at first:\n%s", s.View())
	}
	s.Update(turnMsg(came.Add(7 * time.Second)))
	if !strings.Contains(s.View(), "5m07s, about 3m53s left") {
		t.Errorf("seven seconds later:\n%s", s.View())
	}
	s.Update(tea.WindowSizeMsg{Width: 40, Height: 10})
	if lines := strings.Split(s.View(), "\n"); len(lines) > 10 {
		t.Errorf("after the window shrank: %d lines", len(lines))
	}
}
