package report

import (
	"fmt"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// plot is the availability chart of one cluster: above, the Ready pods of all
// workloads; below, how far the worst workload was from what it must not fall
// below, with the line that must not be crossed.
type plot struct {
	Index             int // makes ids unique on the page
	Cluster           string
	Ring              string
	State             fleet.State
	Violations        int
	Workloads         int
	Worst             []worst
	Drawn             bool // there is something to draw
	Open              bool // shown without asking
	Width, Height     float64
	Left, Right       float64
	ReadyTop          float64 // of the upper panel
	ReadyBottom       float64
	ReadyLine         string // path
	ReadyArea         string
	ReadyMax          int
	ReadyMin          int
	MarginTop         float64
	MarginBottom      float64
	Zero              float64 // the line
	MarginLine        string
	MarginArea        string
	Grid              []rule
	Ticks             []tick
	Breaks            []gap
	Evacuations       []bar
	Blind             []bar
	Summary           string
	LowestMargin      int
	LowestMarginKnown bool
}

// rule is a horizontal line of the grid.
type rule struct {
	Y     float64
	Label string
}

// worst is a row of the table of workloads.
type worst struct {
	Lowest
	Floor, Margin int
	Below         bool
	// Bullet: a track of BulletWidth for the larger of what was Ready and what
	// is required, filled up to the lowest, with a mark at the floor.
	Fill, Mark float64
}

const (
	plotHeight  = 210.0
	plotLeft    = 58.0
	readyTop    = 14.0
	readyBottom = 78.0
	marginTop   = 98.0
	marginEnd   = 176.0
	bulletWidth = 120.0
	worstRows   = 5
	// noMargin is from where on a margin stands for "nothing is near its floor".
	noMargin = 1000
)

// newPlot lays the chart of a cluster out.
func newPlot(r Report, index int, c Cluster) plot {
	p := plot{
		Index: index, Cluster: c.Name, Ring: c.Ring, State: c.State,
		Violations: c.Availability.Violations, Workloads: c.Availability.Workloads,
		Width: chartWidth, Height: plotHeight, Left: plotLeft, Right: chartWidth - chartRight,
		ReadyTop: readyTop, ReadyBottom: readyBottom, MarginTop: marginTop, MarginBottom: marginEnd,
	}
	p.Worst = worstOf(c.Availability)
	samples := c.Availability.Samples
	if len(samples) == 0 {
		return p
	}
	p.Drawn = true
	over := interval{samples[0].At, latest(samples[len(samples)-1].At, end(r, c.EndedAt))}
	var work []interval
	spans := append([]Span{}, c.Spans...)
	for _, pool := range c.Pools {
		spans = append(spans, pool.Spans...)
	}
	for _, s := range spans {
		if !groupOf(s.Kind).idle {
			work = append(work, interval{s.From, end(r, s.Until)})
		}
	}
	axis := newScale(over, work, p.Left, p.Right)
	p.Ticks, p.Breaks = axis.ticks(96), axis.gaps()
	for _, s := range spans {
		if groupOf(s.Kind).Class == "move" {
			p.Evacuations = append(p.Evacuations, between(axis, s.From, end(r, s.Until), spanTitle(s, c.Name, end(r, s.Until))))
		}
	}
	for _, g := range c.Availability.Gaps {
		until := end(r, g.Until)
		p.Blind = append(p.Blind, between(axis, g.From, until, fmt.Sprintf("not seen for %s: %s", duration(until.Sub(g.From)), g.Why)))
	}
	p.drawReady(axis, samples)
	p.drawMargin(axis, samples)
	p.Summary = p.words()
	return p
}

// between is a bar from one time to another.
func between(axis scale, from, until time.Time, title string) bar {
	x0, x1 := axis.x(from), axis.x(until)
	return bar{X: x0, Width: max(x1-x0, 2), Title: title}
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// drawReady draws the upper panel.
func (p *plot) drawReady(axis scale, samples []Sample) {
	p.ReadyMin, p.ReadyMax = samples[0].Ready, samples[0].Ready
	for _, s := range samples {
		p.ReadyMin, p.ReadyMax = min(p.ReadyMin, s.Ready), max(p.ReadyMax, s.Ready)
	}
	// Room below, so that a small dip is not drawn as a fall to nothing.
	bottom := float64(p.ReadyMin) - max(1, 0.15*float64(p.ReadyMax))
	top := float64(p.ReadyMax)
	y := func(s Sample) float64 {
		return readyBottom - (float64(s.Ready)-bottom)/(top-bottom)*(readyBottom-readyTop)
	}
	p.ReadyLine, p.ReadyArea = steps(axis, samples, y, p.Right, readyBottom)
	p.Grid = append(p.Grid, rule{readyTop, fmt.Sprint(p.ReadyMax)})
	if p.ReadyMin != p.ReadyMax {
		low := y(Sample{Ready: p.ReadyMin})
		if low-readyTop > 14 {
			p.Grid = append(p.Grid, rule{low, fmt.Sprint(p.ReadyMin)})
		}
	}
}

// drawMargin draws the lower panel.
func (p *plot) drawMargin(axis scale, samples []Sample) {
	low, high := 0, 1
	for _, s := range samples {
		if s.Margin >= noMargin {
			continue
		}
		if !p.LowestMarginKnown || s.Margin < p.LowestMargin {
			p.LowestMargin, p.LowestMarginKnown = s.Margin, true
		}
		low, high = min(low, s.Margin), max(high, s.Margin)
	}
	high = min(high, max(4, -low)) // far above the line is not the point
	bottom, top := float64(low)-0.6, float64(high)+0.3
	place := func(margin float64) float64 {
		return marginEnd - (margin-bottom)/(top-bottom)*(marginEnd-marginTop)
	}
	p.Zero = place(0)
	p.MarginLine, p.MarginArea = steps(axis, samples, func(s Sample) float64 {
		return place(float64(min(s.Margin, high)))
	}, p.Right, p.Zero)
	step := max(1, (high-low+3)/4)
	for m := (low / step) * step; m <= high; m += step {
		p.Grid = append(p.Grid, rule{place(float64(m)), signed(m)})
	}
}

// steps draws samples as a line that holds each value until the next, and as
// the area between it and a base line.
func steps(axis scale, samples []Sample, y func(Sample) float64, right, base float64) (line, area string) {
	var path strings.Builder
	last := 0.0
	for i, s := range samples {
		at := y(s)
		if i == 0 {
			fmt.Fprintf(&path, "M%.1f %.1f", axis.x(s.At), at)
		} else if at != last {
			fmt.Fprintf(&path, "H%.1fV%.1f", axis.x(s.At), at)
		}
		last = at
	}
	fmt.Fprintf(&path, "H%.1f", right)
	line = path.String()
	return line, fmt.Sprintf("%sV%.1fH%.1fZ", line, base, axis.x(samples[0].At))
}

// worstOf lists the workloads for the table.
func worstOf(a Availability) []worst {
	var list []worst
	for _, l := range a.Lowest[:min(worstRows, len(a.Lowest))] {
		w := worst{Lowest: l, Floor: l.floor(), Margin: l.Lowest - l.floor(), Below: l.Lowest < l.floor()}
		whole := float64(max(l.AtStart, l.Required, l.Lowest, 1))
		w.Fill = float64(l.Lowest) / whole * bulletWidth
		w.Mark = float64(w.Floor) / whole * bulletWidth
		list = append(list, w)
	}
	return list
}

// words says what the chart shows.
func (p *plot) words() string {
	s := fmt.Sprintf("Cluster %s: %s watched, between %d and %d pods Ready", p.Cluster,
		counted(p.Workloads, "workload", "workloads"), p.ReadyMin, p.ReadyMax)
	switch {
	case p.Violations > 0:
		s += fmt.Sprintf("; %s below what a workload requires, at worst by %d.", counted(p.Violations, "fall", "falls"), -p.LowestMargin)
	case p.LowestMarginKnown:
		s += fmt.Sprintf("; no workload below what it requires, the nearest %d above.", p.LowestMargin)
	default:
		s += "."
	}
	return s
}
