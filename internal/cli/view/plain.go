package view

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Printer writes a line for each change between the models that it is shown.
type Printer struct {
	w    io.Writer
	said map[string]string // by what a line is about: what was said last
}

// Plain returns a Printer for streams that are no terminal. Each line begins
// with the time in UTC and what it is about:
//
//	2026-11-23T09:00:12Z prod/apps: Running: 39 of 156 pods moved
func Plain(w io.Writer) *Printer {
	return &Printer{w: w, said: map[string]string{}}
}

// Follow shows models until there are no more, or until the context ends, which
// is its error then.
func (p *Printer) Follow(ctx context.Context, updates <-chan Model) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case m, more := <-updates:
			if !more {
				return nil
			}
			if err := p.Show(m); err != nil {
				return err
			}
		}
	}
}

// Show writes what has changed since the model before.
func (p *Printer) Show(m Model) error {
	var lines strings.Builder
	say := func(about, key, text string) {
		id := about + "\x00" + strings.SplitN(key, "\x00", 2)[0]
		if last, said := p.said[id]; said && last == key || text == "" {
			p.said[id] = key
			return
		}
		p.said[id] = key
		fmt.Fprintf(&lines, "%s %s: %s\n", m.Now.UTC().Format(time.RFC3339), clean(about), clean(text))
	}
	state := func(about string, s fleet.State, reason, extra string) {
		text := string(s)
		if extra != "" {
			text += ": " + extra
		}
		if reason != "" {
			text += ": " + reason
		}
		if s == fleet.StatePending && reason == "" {
			text = "" // nothing happened to it yet
		}
		say(about, "state\x00"+string(s)+"\x00"+withoutNumbers(reason), text)
	}
	pods := func(about string, moved, total int) {
		if total == 0 {
			return
		}
		quarter := min(4, 4*moved/total)
		text := fmt.Sprintf("%d of %d pods moved", moved, total)
		if quarter == 0 {
			text = "" // it was said that the work began
		}
		say(about, fmt.Sprintf("pods\x00%d", quarter), text)
	}
	falls := func(about string, n int) {
		text := ""
		if n > 0 {
			text = "workloads fell below what they require: " + counted(n, "fall", "falls")
		}
		say(about, fmt.Sprintf("falls\x00%d", n), text)
	}

	state("fleet "+m.Fleet, m.State, m.Reason, "to "+m.Target)
	for _, r := range m.Rings {
		state("ring "+r.Name, r.State, r.Reason, "")
		for _, c := range r.Clusters {
			versions := ""
			if c.To != "" {
				versions = c.From + " to " + c.To
			}
			state(c.Name, c.State, c.Reason, versions)
			falls(c.Name, c.Violations)
			for _, pool := range c.Pools {
				state(c.Name+"/"+pool.Name, pool.State, pool.Reason, string(pool.Strategy))
				pods(c.Name+"/"+pool.Name, pool.PodsMoved, pool.PodsTotal)
			}
		}
	}
	for _, a := range m.Approvals {
		text := fmt.Sprintf("waits for approval %s of role %s; give it with: %s", a.Name, a.Role, a.Command)
		say("ring "+a.Ring, "approval "+a.Name+" "+a.Role+"\x00", text)
	}
	p.forgetApprovals(m)
	if lines.Len() == 0 {
		return nil
	}
	if _, err := io.WriteString(p.w, lines.String()); err != nil {
		return fmt.Errorf("show progress: %w", err)
	}
	return nil
}

// forgetApprovals makes an approval that is waited for anew, because it
// expired, be said anew.
func (p *Printer) forgetApprovals(m Model) {
	waited := map[string]bool{}
	for _, a := range m.Approvals {
		waited["ring "+a.Ring+"\x00approval "+a.Name+" "+a.Role] = true
	}
	for id := range p.said {
		if strings.Contains(id, "\x00approval ") && !waited[id] {
			delete(p.said, id)
		}
	}
}

// withoutNumbers makes reasons equal that differ in numbers only, so that a
// countdown is one line.
func withoutNumbers(reason string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsDigit(c) {
			return -1
		}
		return c
	}, reason)
}
