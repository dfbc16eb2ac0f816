package embedded

import (
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// noise lists what the server warns about on every start on an existing file
// and on every stop although nothing is wrong. Matched by prefix.
var noise = []string{}

// serverLog passes what the server logs at warning and above on to slog.
type serverLog struct {
	logger *slog.Logger
	attrs  []any
	fatal  *fatalLog
}

var (
	_ log.Logger     = (*serverLog)(nil)
	_ log.WithLogger = (*serverLog)(nil)
)

// newServerLog returns a log that writes to logger and remembers what the
// server called fatal.
func newServerLog(logger *slog.Logger) *serverLog {
	return &serverLog{logger: logger, fatal: &fatalLog{}}
}

// Debug discards: the server's details serve its own developers.
func (l *serverLog) Debug(string, ...tag.Tag) {}

// Info discards, as Debug does.
func (l *serverLog) Info(string, ...tag.Tag) {}

// Warn passes a warning on.
func (l *serverLog) Warn(msg string, tags ...tag.Tag) { l.write(slog.LevelWarn, msg, tags) }

// Error passes an error on.
func (l *serverLog) Error(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }

// DPanic passes on what would panic in the server's own development builds.
func (l *serverLog) DPanic(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }

// Panic logs and panics; the server recovers where it means to.
func (l *serverLog) Panic(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	panic(msg)
}

// Fatal logs, remembers the cause for Start and ends the calling goroutine.
// The server expects that it does not return; ending the whole process is not
// a library's decision.
func (l *serverLog) Fatal(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	l.fatal.remember(msg, tags)
	runtime.Goexit()
}

// With returns a log that adds tags to every line.
func (l *serverLog) With(tags ...tag.Tag) log.Logger {
	return &serverLog{logger: l.logger, attrs: slices.Concat(l.attrs, attrs(tags)), fatal: l.fatal}
}

func (l *serverLog) write(level slog.Level, msg string, tags []tag.Tag) {
	if isNoise(msg) {
		return
	}
	msg, all := "temporal: "+msg, slices.Concat(l.attrs, attrs(tags))
	if level >= slog.LevelError {
		l.logger.Error(msg, all...)
		return
	}
	l.logger.Warn(msg, all...)
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

// fatalLog keeps the first fatal message, so that Start can return it.
type fatalLog struct {
	mu  sync.Mutex
	err error
}

func (f *fatalLog) remember(msg string, tags []tag.Tag) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return
	}
	text := msg
	for _, t := range tags {
		if t.Key() != "error" {
			continue
		}
		if cause, ok := t.Value().(string); ok {
			text += ": " + cause
		}
	}
	f.err = errors.New(text)
	// The tag gives the error's text only.
	if strings.Contains(text, syscall.EADDRINUSE.Error()) {
		f.err = errors.Join(syscall.EADDRINUSE, f.err)
	}
}

// cause returns what the server called fatal, or nil.
func (f *fatalLog) cause() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
