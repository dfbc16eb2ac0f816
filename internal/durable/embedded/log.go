package embedded

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// noise lists what the server warns about although nothing is wrong, by how the
// message begins.
var noise = []string{
	// We give the frontend no HTTP port.
	"HTTP API port has not been set",
}

// serverLog passes what the server logs at warning and above on to slog.
type serverLog struct {
	logger *slog.Logger
	attrs  []any
	// closing is set when the server is told to stop, for this log and all made
	// from it by With. From then on the server's parts only report that the
	// others go away.
	closing *atomic.Bool
	repeats *repeats
}

var (
	_ log.Logger     = (*serverLog)(nil)
	_ log.WithLogger = (*serverLog)(nil)
)

// newServerLog returns a log that writes to logger.
func newServerLog(logger *slog.Logger) *serverLog {
	return &serverLog{logger: logger, closing: &atomic.Bool{}, repeats: &repeats{now: time.Now}}
}

// Debug discards: the server's details serve its own developers.
func (l *serverLog) Debug(string, ...tag.Tag) {}

// Info discards, as Debug does.
func (l *serverLog) Info(string, ...tag.Tag) {}

// Warn passes a warning on.
func (l *serverLog) Warn(msg string, tags ...tag.Tag) { l.write(l.logger.Warn, msg, tags) }

// Error passes an error on.
func (l *serverLog) Error(msg string, tags ...tag.Tag) { l.write(l.logger.Error, msg, tags) }

// DPanic passes on what would panic in the server's own development builds.
func (l *serverLog) DPanic(msg string, tags ...tag.Tag) { l.write(l.logger.Error, msg, tags) }

// Panic logs and panics; the server recovers where it means to.
func (l *serverLog) Panic(msg string, tags ...tag.Tag) {
	l.write(l.logger.Error, msg, tags)
	panic(msg)
}

// Fatal logs and panics with a fatalError. The server expects that it does not
// return. While the server is put together, run recovers it; later nothing on
// a SQLite store is known to call it, and going on half-dead would be worse.
func (l *serverLog) Fatal(msg string, tags ...tag.Tag) {
	l.write(l.logger.Error, msg, tags)
	panic(newFatalError(msg, tags))
}

// With returns a log that adds tags to every line.
func (l *serverLog) With(tags ...tag.Tag) log.Logger {
	return &serverLog{logger: l.logger, attrs: slices.Concat(l.attrs, attrs(tags)), closing: l.closing, repeats: l.repeats}
}

func (l *serverLog) write(to func(string, ...any), msg string, tags []tag.Tag) {
	if l.closing.Load() || isNoise(msg) {
		return
	}
	held, ok := l.repeats.pass(msg)
	if !ok {
		return
	}
	all := slices.Concat(l.attrs, attrs(tags))
	if held > 0 {
		all = append(all, slog.Int("repeated", held))
	}
	to("temporal: "+msg, all...)
}

// repeatEvery is how often the same message is passed on. While the disk is
// full the server says the same thing a dozen times a second.
const repeatEvery = 10 * time.Second

// repeats holds back what was said a moment ago. The server's messages are
// fixed texts, so there are few.
type repeats struct {
	now  func() time.Time
	mu   sync.Mutex
	said map[string]*repeat
}

// repeat is one message: when it was last passed on, and how often it came
// since then.
type repeat struct {
	at   time.Time
	held int
}

// pass tells whether a message may be passed on, and how many like it were held
// back before.
func (r *repeats) pass(msg string) (held int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	last, known := r.said[msg]
	if !known {
		if r.said == nil {
			r.said = map[string]*repeat{}
		}
		r.said[msg] = &repeat{at: now}
		return 0, true
	}
	if now.Sub(last.at) < repeatEvery {
		last.held++
		return 0, false
	}
	held = last.held
	*last = repeat{at: now}
	return held, true
}

func isNoise(msg string) bool {
	return slices.ContainsFunc(noise, func(prefix string) bool { return strings.HasPrefix(msg, prefix) })
}

// attrs turns the server's tags into slog attributes.
func attrs(tags []tag.Tag) []any {
	out := make([]any, 0, len(tags))
	for _, t := range tags {
		out = append(out, slog.Any(t.Key(), t.Value()))
	}
	return out
}

// fatalError is what the server called fatal.
type fatalError struct {
	text string
	err  error
}

// newFatalError gives an error that was logged its meaning back: tags hold its
// text only.
func newFatalError(msg string, tags []tag.Tag) *fatalError {
	e := &fatalError{text: msg}
	for _, t := range tags {
		if cause, ok := t.Value().(string); ok && t.Key() == "error" {
			e.text += ": " + cause
		}
	}
	if strings.Contains(e.text, syscall.EADDRINUSE.Error()) {
		e.err = syscall.EADDRINUSE
	}
	return e
}

// Error returns the server's message.
func (e *fatalError) Error() string { return e.text }

// Unwrap returns what is known of the cause, or nil.
func (e *fatalError) Unwrap() error { return e.err }

// atLeast drops records below a level. Clients of this engine log each worker's
// and each activity's start, which nobody asked for.
type atLeast struct {
	slog.Handler
	level slog.Level
}

// Enabled reports whether the level passes here and below.
func (h atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

// WithAttrs keeps the filter on the derived handler.
func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

// WithGroup keeps the filter on the derived handler.
func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}
