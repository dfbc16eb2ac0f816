package view

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// ErrLeft is returned by Live when the person at the terminal left the view,
// by q or Ctrl-C. The rollout goes on; what that means is the caller's to decide.
var ErrLeft = errors.New("the view was left")

// Options says how the live view looks.
type Options struct {
	Color bool // false where NO_COLOR is set
}

// turning is how often the spinner turns and the clocks are read.
const turning = 120 * time.Millisecond

// Live draws models on a terminal until there are no more, and leaves the last
// picture standing. It ends with ErrLeft when the person leaves it, and with
// the context's error when the context ends. Terminal modes are restored and no
// goroutine is left, whatever ends it.
func Live(ctx context.Context, in io.Reader, out io.Writer, updates <-chan Model, o Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	program := tea.NewProgram(&screen{paint: painter(out, o)},
		tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out),
		tea.WithoutSignalHandler()) // the caller's context ends with signals

	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case m, more := <-updates:
				if !more {
					program.Send(endMsg{})
					return
				}
				program.Send(modelMsg{m, time.Now()})
			}
		}
	}()
	final, err := program.Run()
	interrupted := context.Cause(ctx)
	cancel(nil)
	<-done
	if interrupted != nil {
		return interrupted
	}
	if err != nil {
		return fmt.Errorf("show progress: %w", err)
	}
	if last, ok := final.(*screen); ok && last.left {
		return ErrLeft
	}
	return nil
}

// painter returns how texts are shown: in the terminal's own sixteen colours,
// which fit a light and a dark background, or in none.
func painter(out io.Writer, o Options) func(string, style) string {
	if !o.Color {
		return func(text string, _ style) string { return text }
	}
	renderer := lipgloss.NewRenderer(out, termenv.WithProfile(termenv.ANSI))
	colors := map[tone]lipgloss.Color{busy: "4", good: "2", warn: "3", bad: "1"}
	return func(text string, s style) string {
		if text == "" {
			return ""
		}
		look := renderer.NewStyle().Bold(s.bold).Faint(s.faint)
		if color, ok := colors[s.tone]; ok {
			look = look.Foreground(color)
		}
		return look.Render(text)
	}
}

// modelMsg brings a model and when it came.
type modelMsg struct {
	model Model
	came  time.Time
}

// turnMsg turns the spinner.
type turnMsg time.Time

// endMsg says that there are no more models.
type endMsg struct{}

// screen is the program that draws.
type screen struct {
	paint         func(string, style) string
	width, height int
	model         Model
	came          time.Time
	now           time.Time
	turn          int
	seen          bool // there is a model
	left, ended   bool
}

var _ tea.Model = (*screen)(nil)

// Init implements tea.Model.
func (s *screen) Init() tea.Cmd { return turn() }

// turn asks for the next turn of the spinner.
func turn() tea.Cmd {
	return tea.Tick(turning, func(t time.Time) tea.Msg { return turnMsg(t) })
}

// Update implements tea.Model.
func (s *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = msg.Width, msg.Height
	case tea.KeyMsg:
		switch msg.String() {
		case "q", "Q", "ctrl+c":
			s.left = true
			return s, tea.Quit
		}
	case modelMsg:
		s.model, s.came, s.now, s.seen = msg.model, msg.came, msg.came, true
	case turnMsg:
		s.turn++
		s.now = time.Time(msg)
		return s, turn()
	case endMsg:
		s.ended = true
		return s, tea.Quit
	}
	return s, nil
}

// View implements tea.Model.
func (s *screen) View() string {
	if !s.seen {
		return ""
	}
	f := frame{width: s.width, height: s.height, turn: s.turn, paint: s.paint, now: s.model.Now}
	if f.width == 0 { // a terminal that does not tell
		f.width, f.height = 80, 24
	}
	// The model's clock, moved on by as much as ours has.
	if passed := s.now.Sub(s.came); passed > 0 {
		f.now = f.now.Add(passed)
	}
	// The library erases the line that it ends on; that one is empty.
	return draw(s.model, f) + "\n"
}
