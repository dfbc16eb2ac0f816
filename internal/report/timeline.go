package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// group is how spans of a kind are drawn.
type group struct {
	Class string // of the style sheet
	Label string // in the legend
	idle  bool   // waiting, not work
}

// groups are the ways to draw a span, in the order of the legend.
var groups = []group{
	{Class: "control", Label: "control plane"},
	{Class: "create", Label: "new nodes"},
	{Class: "move", Label: "evacuate"},
	{Class: "soak", Label: "soak", idle: true},
	{Class: "delete", Label: "delete old nodes"},
	{Class: "other", Label: "other provider work"},
	{Class: "check", Label: "verify"},
	{Class: "back", Label: "roll back"},
	{Class: "wait", Label: "wait", idle: true},
	{Class: "work", Label: "work", idle: false},
}

// classes maps kinds of spans to groups. Kinds that are not here are drawn as work.
var classes = map[string]string{
	"upgradeControlPlane": "control",
	"createPool":          "create", "scalePool": "create", "awaitNodes": "create", "nodes": "create",
	"evacuate": "move", "moveBack": "move",
	"soak":        "soak",
	"deletePool":  "delete",
	"upgradePool": "other", "upgradeNodeImage": "other", "setAutoscaler": "other", "setChannels": "other",
	"reconcile": "other", "snapshotPool": "other", "restore": "other",
	"verify": "check", "prove": "check", "check": "check",
	"rollback": "back",
	"waiting":  "wait", "wait": "wait", "await": "wait", "window": "wait", "freeze": "wait", "approval": "wait",
	"blocked": "wait", "hold": "wait", "paused": "wait", "backup": "wait", "acceptance": "wait", "operation": "wait",
	"ring": "work",
}

// groupOf finds how a kind of span is drawn.
func groupOf(kind string) group {
	class, ok := classes[kind]
	if !ok {
		class = "work"
	}
	for _, g := range groups {
		if g.Class == class {
			return g
		}
	}
	return groups[len(groups)-1]
}

// timeline is the chart of what was done when.
type timeline struct {
	Width, Height float64
	Left          float64 // where the axis begins
	Bottom        float64 // of the lanes
	Ticks         []tick
	Gaps          []gap
	Bands         []band
	Lanes         []lane
	Legend        []group
	Summary       string // for people who cannot see it
}

// band is the background of a ring.
type band struct {
	Y, Height float64
	Name      string
	State     string
	Shaded    bool
}

// lane is one row.
type lane struct {
	Y, Height, Middle float64
	Cluster           string // on the first lane of a cluster
	Name              string // of the lane: "control plane", a pool
	Bars              []bar
}

// bar is one span.
type bar struct {
	X, Width float64
	Class    string
	Label    string // inside, where there is room
	Title    string // what a pointer shows
}

const (
	chartWidth  = 1120.0
	chartLeft   = 212.0
	chartRight  = 12.0
	axisHeight  = 44.0
	bandHead    = 26.0
	laneTall    = 20.0
	laneShort   = 15.0
	laneGap     = 4.0
	letterWidth = 6.3 // of the labels' font, on average
	// maxLanes is up to how many lanes pools get lanes of their own.
	maxLanes = 90
)

// rowSpans is a row before it is laid out.
type rowSpans struct {
	cluster, name string
	spans         []Span
}

// newTimeline lays the chart out. It has no lanes where no span is known.
func newTimeline(r Report) timeline {
	t := timeline{Width: chartWidth, Left: chartLeft}
	over, work, ok := extent(r)
	if !ok {
		return t
	}
	axis := newScale(over, work, chartLeft, chartWidth-chartRight)
	detailed := 0
	for _, c := range r.Clusters {
		detailed += 1 + len(c.Pools)
	}
	used := map[string]bool{}
	y := axisHeight
	for i, ring := range rings(r) {
		b := band{Y: y, Name: ring.Name, State: string(ring.State), Shaded: i%2 == 0}
		own := lane{Y: y + 3, Height: bandHead - 6, Middle: y + bandHead/2, Bars: bars(r, axis, ringSpans(ring), "ring "+ring.Name, used)}
		t.Lanes = append(t.Lanes, own)
		y += bandHead
		for _, c := range inRing(r, ring.Name) {
			for _, row := range rows(c, detailed <= maxLanes) {
				height, letters := laneTall, 15
				if detailed > maxLanes {
					height, letters = laneShort, 32
				}
				of := c.Name
				if row.name != "" {
					of += ", " + row.name
				}
				t.Lanes = append(t.Lanes, lane{
					Y: y, Height: height, Middle: y + height/2, Cluster: shorten(row.cluster, letters), Name: shorten(row.name, 14),
					Bars: bars(r, axis, row.spans, of, used),
				})
				y += height + laneGap
			}
			y += laneGap
		}
		y += laneGap
		b.Height = y - b.Y
		t.Bands = append(t.Bands, b)
	}
	t.Bottom = y
	t.Ticks, t.Gaps = axis.ticks(86), axis.gaps()
	t.Height = y + 6
	if len(t.Gaps) > 0 {
		t.Height += 14
	}
	for _, g := range groups {
		if used[g.Class] {
			t.Legend = append(t.Legend, g)
		}
	}
	t.Summary = fmt.Sprintf("Timeline from %s to %s UTC: %s in %s. The same as text is in the table below it.",
		moment(over.from), moment(over.until), counted(len(r.Clusters), "cluster", "clusters"),
		counted(len(rings(r)), "ring", "rings"))
	return t
}

// rows are the lanes of a cluster: one for itself and one for each pool, or one
// for all of it.
func rows(c Cluster, detailed bool) []rowSpans {
	if !detailed {
		all := slices.Clone(c.Spans)
		for _, p := range c.Pools {
			all = append(all, p.Spans...)
		}
		// Work is drawn over waiting, whichever began first.
		slices.SortStableFunc(all, func(a, b Span) int {
			if x, y := groupOf(a.Kind).idle, groupOf(b.Kind).idle; x != y {
				if x {
					return -1
				}
				return 1
			}
			return a.From.Compare(b.From)
		})
		return []rowSpans{{cluster: c.Name, spans: all}}
	}
	list := []rowSpans{{cluster: c.Name, name: "control plane", spans: c.Spans}}
	for _, p := range c.Pools {
		list = append(list, rowSpans{name: p.Name, spans: p.Spans})
	}
	return list
}

// ringSpans are the waits of a ring, and its soak.
func ringSpans(ring Ring) []Span {
	spans := slices.Clone(ring.Spans)
	if !ring.EndedAt.IsZero() && ring.ProvenAt.After(ring.EndedAt) {
		spans = append(spans, Span{Kind: "soak", What: "soak of ring " + ring.Name, From: ring.EndedAt, Until: ring.ProvenAt})
	}
	return spans
}

// extent is the time that the chart covers, and when work was done in it.
func extent(r Report) (over interval, work []interval, ok bool) {
	take := func(spans []Span) {
		for _, s := range spans {
			i := interval{s.From, end(r, s.Until)}
			if s.From.IsZero() || i.until.Before(i.from) {
				continue
			}
			if !ok || i.from.Before(over.from) {
				over.from = i.from
			}
			if !ok || i.until.After(over.until) {
				over.until = i.until
			}
			ok = true
			if !groupOf(s.Kind).idle {
				work = append(work, i)
			}
		}
	}
	for _, c := range r.Clusters {
		take(c.Spans)
		for _, p := range c.Pools {
			take(p.Spans)
		}
	}
	for _, ring := range r.Rings {
		take(ringSpans(ring))
	}
	return over, work, ok
}

// bars lays spans out on the axis and notes the groups that were used.
func bars(r Report, axis scale, spans []Span, of string, used map[string]bool) []bar {
	var list []bar
	for _, s := range spans {
		if s.From.IsZero() {
			continue
		}
		until := end(r, s.Until)
		x0, x1 := axis.x(s.From), axis.x(until)
		g := groupOf(s.Kind)
		used[g.Class] = true
		b := bar{X: x0, Width: max(x1-x0, 2), Class: g.Class, Title: spanTitle(s, of, until)}
		if label := barLabel(s); float64(len(label))*letterWidth+8 < b.Width {
			b.Label = label
		}
		list = append(list, b)
	}
	return list
}

// barLabel is what is written into a bar.
func barLabel(s Span) string {
	if g := groupOf(s.Kind); g.Class == "wait" || g.Class == "work" || g.Class == "other" {
		return kindWords(s.Kind)
	}
	return groupOf(s.Kind).Label
}

// spanTitle says all about a span.
func spanTitle(s Span, of string, until time.Time) string {
	var t strings.Builder
	fmt.Fprintf(&t, "%s: %s", of, kindWords(s.Kind))
	if s.What != "" && s.What != s.Kind {
		fmt.Fprintf(&t, " (%s)", s.What)
	}
	fmt.Fprintf(&t, ", %s to %s UTC, %s", moment(s.From), until.UTC().Format("15:04:05"), duration(until.Sub(s.From)))
	if s.Until.IsZero() {
		t.WriteString(", goes on")
	}
	return t.String()
}

// shorten cuts a name to so many letters, keeping its end, where names differ.
func shorten(name string, letters int) string {
	runes := []rune(name)
	if len(runes) <= letters {
		return name
	}
	head := letters / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(letters-head-1):])
}

// event is a row of the timeline as a table.
type event struct {
	Of, What    string
	From, Until time.Time
	Length      string
}

// events lists the timeline's spans as text, in order of time.
func events(r Report) []event {
	var list []event
	take := func(of string, spans []Span) {
		for _, s := range spans {
			what := kindWords(s.Kind)
			if s.What != "" && s.What != s.Kind {
				what += ": " + s.What
			}
			until := end(r, s.Until)
			list = append(list, event{Of: of, What: what, From: s.From, Until: until, Length: duration(until.Sub(s.From))})
		}
	}
	for _, ring := range r.Rings {
		take("ring "+ring.Name, ringSpans(ring))
	}
	for _, c := range r.Clusters {
		take(c.Name, c.Spans)
		for _, p := range c.Pools {
			take(c.Name+", pool "+p.Name, p.Spans)
		}
	}
	slices.SortStableFunc(list, func(a, b event) int { return a.From.Compare(b.From) })
	return list
}
