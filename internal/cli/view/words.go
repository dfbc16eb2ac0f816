package view

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/lipgloss"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// clean takes what could steer a terminal out of a text from elsewhere, and
// makes it one line.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t':
			return ' '
		case unicode.IsControl(c) || unicode.Is(unicode.Cf, c):
			return -1
		}
		return c
	}, s)
}

// fit cuts a text to a width of columns, with an ellipsis.
func fit(s string, width int) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	if width <= 1 {
		return strings.Repeat("…", max(0, width))
	}
	used := 0
	for i, c := range s {
		w := lipgloss.Width(string(c))
		if used+w > width-1 {
			return s[:i] + "…"
		}
		used += w
	}
	return s
}

// fitMiddle cuts a name to a width, keeping its end, where names differ.
func fitMiddle(s string, width int) string {
	if width < 6 || lipgloss.Width(s) <= width {
		return fit(s, width)
	}
	head := (width - 1) / 2
	runes := []rune(s)
	tail, used := len(runes), 0
	for tail > 0 {
		w := lipgloss.Width(string(runes[tail-1]))
		if used+w > width-1-head {
			break
		}
		used += w
		tail--
	}
	return strings.TrimSuffix(fit(s, head+1), "…") + "…" + string(runes[tail:])
}

// duration writes a length of time, two units at most.
func duration(d time.Duration) string {
	d = max(0, d.Round(time.Second))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// counted writes a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// where names the place that a journal entry is about.
func where(e fleet.JournalEntry) string {
	switch {
	case e.Pool != "":
		return e.Cluster + "/" + e.Pool
	case e.Cluster != "":
		return e.Cluster
	case e.Ring != "":
		return "ring " + e.Ring
	}
	return "fleet"
}

// words says an action in words: "upgradeControlPlane" becomes "upgrade control plane".
func words(action string) string {
	var s strings.Builder
	for i, c := range action {
		if unicode.IsUpper(c) && i > 0 {
			s.WriteByte(' ')
		}
		s.WriteRune(unicode.ToLower(c))
	}
	return s.String()
}

// tone groups the states by how they are shown.
type tone int

const (
	calm tone = iota // nothing happens, and nothing is wrong
	busy
	good
	warn
	bad
)

func toneOf(s fleet.State) tone {
	switch s {
	case fleet.StateRunning, fleet.StateSoaking, fleet.StateRollingBack:
		return busy
	case fleet.StateSucceeded:
		return good
	case fleet.StatePaused, fleet.StateAborted, fleet.StateRolledBack:
		return warn
	case fleet.StateFailed, fleet.StateBlocked:
		return bad
	case fleet.StatePending, fleet.StateWaiting, fleet.StateSkipped, fleet.StateSetAside:
		return calm
	}
	return calm
}

// spinner is what turns beside what is under way.
var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// mark is the sign of a state; turn is how far the spinner has come.
func mark(s fleet.State, turn int) string {
	switch s {
	case fleet.StateRunning, fleet.StateRollingBack:
		return spinner[turn%len(spinner)]
	case fleet.StateSucceeded:
		return "✓"
	case fleet.StateFailed:
		return "✗"
	case fleet.StateBlocked:
		return "!"
	case fleet.StatePaused:
		return "="
	case fleet.StateAborted, fleet.StateRolledBack:
		return "«"
	case fleet.StateSkipped, fleet.StateSetAside:
		return "-"
	case fleet.StateSoaking, fleet.StateWaiting:
		return "~"
	case fleet.StatePending:
		return "·"
	}
	return "·"
}
