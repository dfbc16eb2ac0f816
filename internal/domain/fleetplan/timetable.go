package fleetplan

import (
	"cmp"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/window"
)

// Hours are when a ring may work.
type Hours struct {
	Windows []fleet.Window
	Freezes []fleet.Freeze
	OnClose fleet.OnClose
}

// Work is what is to be done to one cluster.
type Work struct {
	ID string
	// Needs is what must be left of a window before the cluster is started.
	Needs time.Duration
	Parts []Part
}

// Part is a stretch of a cluster's work.
type Part struct {
	Takes time.Duration
	Soak  bool // passes whether a window is open or not
	// Needs is what must be left of a window before the part is begun.
	Needs time.Duration
}

// total is how long a cluster takes when everything is open.
func (w *Work) total() (sum time.Duration) {
	for _, p := range w.Parts {
		sum += p.Takes
	}
	return sum
}

// Slot is when a cluster is worked on.
type Slot struct {
	ID           string
	Starts, Ends time.Time
}

// Timetable is when the clusters of a ring are worked on.
type Timetable struct {
	Slots []Slot // in order of their start
	// Never are clusters that would never be started, or never come to their end:
	// no window is long enough.
	Never []string
}

// Starts is when the first cluster starts, Ends when the last one ends; zero
// without any.
func (t *Timetable) Starts() time.Time {
	if len(t.Slots) == 0 {
		return time.Time{}
	}
	return t.Slots[0].Starts
}

// Ends is when the last cluster ends.
func (t *Timetable) Ends() (last time.Time) {
	for _, s := range t.Slots {
		if s.Ends.After(last) {
			last = s.Ends
		}
	}
	return last
}

// Schedule says when clusters are worked on, so many at once, as a ring starts
// them: in order, each only while its estimate still fits into the window.
func Schedule(hours Hours, atOnce int, works []Work, from time.Time) Timetable {
	var out Timetable
	pending := slices.DeleteFunc(slices.Clone(works), func(w Work) bool {
		_, fits := hours.first(from, w.Needs)
		if !fits {
			out.Never = append(out.Never, w.ID)
		}
		return !fits
	})
	var busy []time.Time // when what runs ends
	at := from
	for len(pending) > 0 {
		busy = slices.DeleteFunc(busy, func(ends time.Time) bool { return !ends.After(at) })
		if len(busy) >= max(1, atOnce) {
			at = slices.MinFunc(busy, time.Time.Compare)
			continue
		}
		o, open := window.Open(hours.Windows, hours.Freezes, at)
		i := slices.IndexFunc(pending, func(w Work) bool {
			return open && (o.Closes.IsZero() || !at.Add(w.Needs).After(o.Closes))
		})
		if i < 0 {
			least := slices.MinFunc(pending, func(a, b Work) int { return cmp.Compare(a.Needs, b.Needs) }).Needs
			opens, _, ok := window.NextFit(hours.Windows, hours.Freezes, at, least)
			if !ok {
				for _, w := range pending {
					out.Never = append(out.Never, w.ID)
				}
				return out
			}
			at = opens
			continue
		}
		w := pending[i]
		pending = slices.Delete(pending, i, i+1)
		ends, ok := hours.carryOut(w.Parts, at)
		if !ok {
			out.Never = append(out.Never, w.ID)
			continue
		}
		out.Slots = append(out.Slots, Slot{ID: w.ID, Starts: at, Ends: ends})
		busy = append(busy, ends)
	}
	return out
}

// fits reports whether the window is open and stays so for long enough.
func (h *Hours) fits(at time.Time, needs time.Duration) bool {
	return window.Fits(h.Windows, h.Freezes, at, needs)
}

// first is the first moment at which a window is open and stays so for long
// enough.
func (h *Hours) first(at time.Time, needs time.Duration) (time.Time, bool) {
	if h.fits(at, needs) {
		return at, true
	}
	opens, _, ok := window.NextFit(h.Windows, h.Freezes, at, needs)
	return opens, ok
}

// carryOut is when a cluster's parts are done. Where a window closes over one,
// it goes on in the next window, unless clusters that were started are finished.
func (h *Hours) carryOut(parts []Part, at time.Time) (ends time.Time, ok bool) {
	for _, p := range parts {
		if p.Soak || h.OnClose == fleet.FinishCluster {
			at = at.Add(p.Takes)
			continue
		}
		if at, ok = h.first(at, p.Needs); !ok {
			return at, false
		}
		for left := p.Takes; left > 0; {
			o, open := window.Open(h.Windows, h.Freezes, at)
			if !open {
				if at, ok = h.first(at, 0); !ok {
					return at, false
				}
				continue
			}
			if o.Closes.IsZero() || !at.Add(left).After(o.Closes) {
				at, left = at.Add(left), 0
				continue
			}
			left -= o.Closes.Sub(at)
			at = o.Closes
		}
	}
	return at, true
}

// openings lists the spans in which work may start, the one that is open at a
// moment first. Their number is bounded, and they begin before a time.
func (h *Hours) openings(from, before time.Time, most int) []Opening {
	var list []Opening
	if o, open := window.Open(h.Windows, h.Freezes, from); open {
		list = append(list, Opening{Opens: o.Opens, Closes: o.Closes})
	}
	for at := from; len(list) < most; {
		opens, closes, ok := window.Next(h.Windows, h.Freezes, at)
		if !ok || opens.After(before) {
			break
		}
		list = append(list, Opening{Opens: opens, Closes: closes})
		at = opens
	}
	return list
}
