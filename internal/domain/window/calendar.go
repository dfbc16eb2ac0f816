package window

import (
	"cmp"
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // zones load on machines that have no zone database

	"liftlock.dev/liftlock/internal/domain/fleet"
)

const (
	day = 24 * time.Hour
	// longest is the longest window: one that is longer than the week in which
	// it recurs never closes.
	longest = 7 * day
)

// calendar is a set of windows and freezes whose time zones are loaded.
type calendar struct {
	windows []zoned
	freezes []span // sorted and merged
}

// zoned is a window with its time zone.
type zoned struct {
	fleet.Window
	zone *time.Location
}

// span is a half-open stretch of time.
type span struct{ from, until time.Time }

// newCalendar loads the zones of the windows. Its error names the first window
// that cannot be read.
func newCalendar(windows []fleet.Window, freezes []fleet.Freeze) (*calendar, error) {
	c := &calendar{windows: make([]zoned, 0, len(windows))}
	for i, w := range windows {
		zone, err := readable(w)
		if err != nil {
			return nil, fmt.Errorf("window %d: %w", i+1, err)
		}
		c.windows = append(c.windows, zoned{w, zone})
	}
	for _, f := range freezes {
		if f.From.Before(f.Until) {
			c.freezes = append(c.freezes, span{f.From, f.Until})
		}
	}
	c.freezes = merge(c.freezes)
	return c, nil
}

// readable returns the window's time zone, or why the window means nothing.
func readable(w fleet.Window) (*time.Location, error) {
	if w.Start < 0 || time.Duration(w.Start)*time.Minute >= day {
		return nil, fmt.Errorf("starts at minute %d, which no day has", w.Start)
	}
	if w.Duration <= 0 {
		return nil, fmt.Errorf("lasts %s: never open", w.Duration)
	}
	if w.Duration > longest {
		return nil, fmt.Errorf("lasts %s: longer than a week", w.Duration)
	}
	for _, d := range w.Days {
		if d < time.Sunday || d > time.Saturday {
			return nil, fmt.Errorf("day %d is no weekday", int(d))
		}
	}
	// Both of these load, as UTC and as whatever the machine is set to.
	if w.TimeZone == "" || w.TimeZone == "Local" {
		return nil, fmt.Errorf("time zone %q is not an IANA name", w.TimeZone)
	}
	zone, err := time.LoadLocation(w.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q cannot be loaded: %w", w.TimeZone, err)
	}
	return zone, nil
}

// open returns the opening that holds a moment.
func (c *calendar) open(at time.Time) (Opening, bool) {
	// Look wider until the opening's ends lie inside of what was looked at.
	for reach := c.reach(); ; reach *= 2 {
		reach = min(reach, sight)
		from, until := at.Add(-reach), at.Add(reach)
		s, ok := within(c.spans(from, until), at)
		if !ok {
			return Opening{}, false
		}
		opensInside, closesInside := s.from.After(from), s.until.Before(until)
		if (opensInside && closesInside) || reach == sight {
			var o Opening
			if opensInside {
				o.Opens = s.from
			}
			if closesInside {
				o.Closes = s.until
			}
			return o, true
		}
	}
}

// next returns the first opening that begins after a moment and is at least
// that long.
func (c *calendar) next(after time.Time, takes time.Duration) (Opening, bool) {
	end := after.Add(horizon)
	for from := after; from.Before(end); from = from.Add(c.reach()) {
		// From a little before, so that an opening which began earlier is not
		// taken for one that begins now.
		for _, s := range c.spans(from.Add(-time.Second), from.Add(c.reach())) {
			if !s.from.After(after) || s.from.Before(from) {
				continue
			}
			o, ok := c.open(s.from)
			if ok && (o.Closes.IsZero() || o.Closes.Sub(o.Opens) >= takes) {
				return o, true
			}
		}
	}
	return Opening{}, false
}

// reach is how far to look at first: a stretch that holds a whole week and the
// longest of windows.
func (c *calendar) reach() time.Duration {
	reach := 8 * day
	for _, w := range c.windows {
		reach = max(reach, 8*day+w.Duration)
	}
	return reach
}

// spans returns the openings in a stretch of time, cut to it, in order.
func (c *calendar) spans(from, until time.Time) []span {
	if len(c.windows) == 0 {
		return cut([]span{{from, until}}, c.freezes)
	}
	var all []span
	for _, w := range c.windows {
		for _, s := range w.spans(from, until) {
			all = append(all, span{later(s.from, from), earlier(s.until, until)})
		}
	}
	return cut(merge(all), c.freezes)
}

// spans returns the openings of one window that touch a stretch of time.
func (w *zoned) spans(from, until time.Time) []span {
	// Local dates from before the stretch, so that an opening which is still
	// under way at its start is found. Dates are kept as midnights of UTC,
	// where every day has 24 hours.
	date := wall(from.In(w.zone)).Add(-w.Duration - 2*day).Truncate(day)
	last := wall(until.In(w.zone)).Add(2 * day)
	var res []span
	for ; !date.After(last); date = date.Add(day) {
		if len(w.Days) > 0 && !slices.Contains(w.Days, date.Weekday()) {
			continue
		}
		start := date.Add(time.Duration(w.Start) * time.Minute)
		s := span{First(start, w.zone), First(start.Add(w.Duration), w.zone)}
		if s.from.Before(s.until) && s.until.After(from) && s.from.Before(until) {
			res = append(res, s)
		}
	}
	return res
}

// wall returns what the clock on the wall shows, written as a time in UTC so
// that it can be reckoned with.
func wall(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// merge sorts spans and joins those that touch.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.from.Compare(b.from), a.until.Compare(b.until)) })
	var res []span
	for _, s := range spans {
		if n := len(res); n > 0 && !s.from.After(res[n-1].until) {
			res[n-1].until = later(res[n-1].until, s.until)
			continue
		}
		res = append(res, s)
	}
	return res
}

// cut takes freezes out of spans. Both are sorted and merged.
func cut(spans, freezes []span) []span {
	var res []span
	for _, s := range spans {
		for _, f := range freezes {
			if !f.until.After(s.from) || !f.from.Before(s.until) {
				continue
			}
			if s.from.Before(f.from) {
				res = append(res, span{s.from, f.from})
			}
			s.from = f.until
		}
		if s.from.Before(s.until) {
			res = append(res, s)
		}
	}
	return res
}

// within finds the span that holds a moment.
func within(spans []span, at time.Time) (span, bool) {
	for _, s := range spans {
		if !s.from.After(at) && s.until.After(at) {
			return s, true
		}
	}
	return span{}, false
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
