package report

import (
	"slices"
	"time"
)

// scale maps times to a horizontal axis. Stretches in which nothing was done
// but waiting, for a window or through a soak, would squeeze the work of a
// month-long rollout into a hair; where they are long they are drawn short,
// with a break.
type scale struct {
	stretches []stretch
}

// stretch is a part of the axis on which time runs evenly.
type stretch struct {
	from, until time.Time
	x0, x1      float64
	broken      bool // drawn shorter than it was
}

// interval is a stretch of time.
type interval struct{ from, until time.Time }

const (
	breakWidth = 34.0 // of a stretch that is drawn short
	// A stretch without work is drawn short when it is longer than this share of
	// all the time with work.
	breakShare = 0.25
	// Work closer together than this share of the time with work is one stretch.
	margin = 0.02
	// edge is how far from the end of the axis the last tick stays, so that its
	// label is not cut off.
	edge = 22.0
)

// newScale makes an axis from x0 to x1 over a time, in which work says when
// something was done.
func newScale(over interval, work []interval, x0, x1 float64) scale {
	if !over.until.After(over.from) {
		over.until = over.from.Add(time.Second)
	}
	stretches := cut(over, work)
	evenly := time.Duration(0)
	breaks := 0
	for _, s := range stretches {
		if s.broken {
			breaks++
		} else {
			evenly += s.until.Sub(s.from)
		}
	}
	wide := breakWidth
	if room := (x1 - x0) / 2; float64(breaks)*wide > room {
		wide = room / float64(breaks)
	}
	perNano := 0.0
	if evenly > 0 {
		perNano = (x1 - x0 - float64(breaks)*wide) / float64(evenly)
	}
	x := x0
	for i := range stretches {
		s := &stretches[i]
		s.x0 = x
		if s.broken {
			x += wide
		} else {
			x += float64(s.until.Sub(s.from)) * perNano
		}
		s.x1 = x
	}
	return scale{stretches: stretches}
}

// cut divides a time into stretches with work and long ones without.
func cut(over interval, work []interval) []stretch {
	work = clipped(over, work)
	var busy time.Duration
	for _, w := range work {
		busy += w.until.Sub(w.from)
	}
	if busy == 0 {
		return []stretch{{from: over.from, until: over.until}}
	}
	longest := time.Duration(float64(busy) * breakShare)
	pad := time.Duration(float64(busy) * margin)
	var stretches []stretch
	at := over.from // everything before is cut
	start := over.from
	for i := 0; i <= len(work); i++ {
		next, first, last := over.until, i == 0, i == len(work)
		if !last {
			next = work[i].from
		}
		idleFrom, idleUntil := at.Add(pad), next.Add(-pad)
		if first {
			idleFrom = at
		}
		if last {
			idleUntil = next
		}
		if idleUntil.Sub(idleFrom) > longest {
			if idleFrom.After(start) {
				stretches = append(stretches, stretch{from: start, until: idleFrom})
			}
			stretches = append(stretches, stretch{from: idleFrom, until: idleUntil, broken: true})
			start = idleUntil
		}
		if !last {
			at = work[i].until
		}
	}
	if over.until.After(start) {
		stretches = append(stretches, stretch{from: start, until: over.until})
	}
	return stretches
}

// clipped returns the union of intervals within a time, in order.
func clipped(over interval, list []interval) []interval {
	var inside []interval
	for _, i := range list {
		if i.from.Before(over.from) {
			i.from = over.from
		}
		if i.until.After(over.until) {
			i.until = over.until
		}
		if i.until.After(i.from) {
			inside = append(inside, i)
		}
	}
	slices.SortFunc(inside, func(a, b interval) int { return a.from.Compare(b.from) })
	var union []interval
	for _, i := range inside {
		if n := len(union); n > 0 && !i.from.After(union[n-1].until) {
			if i.until.After(union[n-1].until) {
				union[n-1].until = i.until
			}
			continue
		}
		union = append(union, i)
	}
	return union
}

// x is where a time is on the axis. Times outside are at its ends.
func (s scale) x(t time.Time) float64 {
	for _, part := range s.stretches {
		if t.Before(part.until) {
			if t.Before(part.from) {
				return part.x0
			}
			share := float64(t.Sub(part.from)) / float64(part.until.Sub(part.from))
			return part.x0 + share*(part.x1-part.x0)
		}
	}
	if n := len(s.stretches); n > 0 {
		return s.stretches[n-1].x1
	}
	return 0
}

// tick is a mark on the axis.
type tick struct {
	X     float64
	Label string
	Date  string // set where the day changes
}

// gap is a break of the axis.
type gap struct {
	X, Width float64
	Label    string // how long it was
}

// tickSteps are the distances between ticks that people read easily.
var tickSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour,
}

// ticks marks the axis at round times in UTC, not closer than the given width.
func (s scale) ticks(apart float64) []tick {
	var marks []tick
	lastX, lastDate := -2*apart, ""
	for _, part := range s.stretches {
		if part.broken || part.x1 <= part.x0 {
			continue
		}
		perPixel := float64(part.until.Sub(part.from)) / (part.x1 - part.x0)
		step := tickSteps[len(tickSteps)-1]
		for _, candidate := range tickSteps {
			if float64(candidate) >= apart*perPixel {
				step = candidate
				break
			}
		}
		layout := "15:04"
		if step < time.Minute {
			layout = "15:04:05"
		}
		for t := part.from.UTC().Truncate(step); !t.After(part.until); t = t.Add(step) {
			if t.Before(part.from) {
				continue
			}
			x := s.x(t)
			if x-lastX < apart*0.9 || x > s.stretches[len(s.stretches)-1].x1-edge {
				continue
			}
			mark := tick{X: x, Label: t.Format(layout)}
			if date := t.Format("2 Jan"); date != lastDate {
				mark.Date, lastDate = date, date
			}
			marks = append(marks, mark)
			lastX = x
		}
	}
	return marks
}

// gaps lists the breaks of the axis.
func (s scale) gaps() []gap {
	var list []gap
	for _, part := range s.stretches {
		if part.broken {
			list = append(list, gap{X: part.x0, Width: part.x1 - part.x0, Label: duration(part.until.Sub(part.from))})
		}
	}
	return list
}
