package embedded

import (
	"errors"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/log/tag"
)

func TestServerLog(t *testing.T) {
	recorder := &logRecorder{}
	l := newServerLog(slog.New(recorder))
	named := l.With(tag.Service("history"))
	l.Debug("too much")
	l.Info("too much")
	l.Warn("HTTP API port has not been set. More about it.")
	l.Warn("slow", tag.Counter(3))
	named.Error("broken", tag.Error(errors.New("cause")))
	l.DPanic("strange")
	l.closing.Store(true)
	named.Error("the others are gone")
	want := []string{
		"WARN temporal: slow counter=3",
		"ERROR temporal: broken service=history error=cause",
		"ERROR temporal: strange",
	}
	if diff := cmp.Diff(want, recorder.all()); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
}

func TestFatalKeepsItsCause(t *testing.T) {
	defer func() {
		err, ok := recover().(*fatalError)
		if !ok || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("got %v", err)
		}
		if want := "no listener: listen tcp: address already in use"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}()
	newServerLog(slog.New(slog.DiscardHandler)).Fatal("no listener",
		tag.Error(errors.New("listen tcp: "+syscall.EADDRINUSE.Error())))
}

func TestClientsAreQuiet(t *testing.T) {
	recorder := &logRecorder{}
	l := sdklog.NewStructuredLogger(slog.New(atLeast{slog.New(recorder).Handler(), slog.LevelWarn}))
	l.Info("Started Worker")
	l.Warn("slow")
	sdklog.With(l, "a", 1).Info("Started Worker")
	if diff := cmp.Diff([]string{"WARN slow"}, recorder.all()); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
}

func TestRepeatsAreHeldBack(t *testing.T) {
	recorder := &logRecorder{}
	l := newServerLog(slog.New(recorder))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l.repeats.now = func() time.Time { return now }
	for range 5 {
		l.Warn("full")
		l.With(tag.Service("history")).Warn("full")
	}
	l.Warn("else")
	now = now.Add(repeatEvery)
	l.Warn("full")
	want := []string{"WARN temporal: full", "WARN temporal: else", "WARN temporal: full repeated=9"}
	if diff := cmp.Diff(want, recorder.all()); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
}
