package fleetplan

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/window"
)

const (
	day = 24 * time.Hour
	// listed is how many openings a ring's calendar names beyond those that it uses.
	listed = 3
	// sight is how far ahead the longest window is looked for where none is long
	// enough.
	sight = 100 * day
)

// RingHours is all that the calendar of a ring depends on.
type RingHours struct {
	Ring   fleet.Ring
	Hours  Hours
	AtOnce int
	// Usual and Late are the clusters' work by the middle forecast, and as it is in
	// nine of ten cases at the most.
	Usual, Late []Work
	// From and FromLate are when the rings before have soaked.
	From, FromLate time.Time
	Names          map[string]string // of clusters, by id
}

// Fill says when a ring works, and whether its work fits its windows. ok is false
// where a cluster of it never comes to its end.
func (r *RingHours) Fill() (c Calendar, usual Timetable, ok bool) {
	usual = Schedule(r.Hours, r.AtOnce, r.Usual, r.From)
	late := Schedule(r.Hours, r.AtOnce, r.Late, r.FromLate)
	c = Calendar{Earliest: r.From, Openings: []Opening{}, Freezes: []Freeze{}}
	ok = len(usual.Never) == 0 && len(late.Never) == 0
	if len(r.Usual) == 0 {
		// A ring without clusters is skipped: it holds up nobody and soaks not.
		c.Proven, c.ProvenLate = r.From, r.FromLate
		c.Fit = Fit{Verdict: NothingToFit, Says: "no cluster of the ring is to be upgraded", Change: []string{}}
		return c, usual, ok
	}
	c.Starts, c.Ends = usual.Starts(), usual.Ends()
	if ok {
		c.Proven = c.Ends.Add(r.Ring.Soak)
		c.EndsLate = late.Ends()
		c.ProvenLate = c.EndsLate.Add(r.Ring.Soak)
	}
	c.Openings = r.openings(&usual, c.Ends)
	c.Freezes = r.inTheWay(c)
	// Whether it fits is asked of the windows at hand: as late as it may be, from
	// the start that is forecast.
	slow := Schedule(r.Hours, r.AtOnce, r.Late, r.From)
	c.Fit = r.fit(&slow)
	if c.Fit.Change == nil {
		c.Fit.Change = []string{}
	}
	return c, usual, ok
}

// openings are those that the ring uses, and the next few.
func (r *RingHours) openings(t *Timetable, ends time.Time) []Opening {
	if len(r.Hours.Windows) == 0 && len(r.inSight(r.From)) == 0 {
		return []Opening{} // always open
	}
	const most = 60
	all := r.Hours.openings(r.From, r.From.Add(3*366*day), most)
	list := []Opening{}
	more := 0
	for _, o := range all {
		for _, s := range t.Slots {
			if s.Ends.After(o.Opens) && (o.Closes.IsZero() || s.Starts.Before(o.Closes)) {
				o.Used = true
			}
		}
		if !o.Used && (ends.IsZero() || o.Opens.After(ends) || len(t.Slots) == 0) {
			if more++; more > listed {
				break
			}
		}
		list = append(list, o)
	}
	return list
}

// inSight are the freezes that are not over.
func (r *RingHours) inSight(from time.Time) []fleet.Freeze {
	return slices.DeleteFunc(slices.Clone(r.Hours.Freezes), func(f fleet.Freeze) bool { return !f.Until.After(from) || !f.From.Before(f.Until) })
}

// inTheWay lists the freezes that close a window between the earliest start of
// the ring and its end; without an end in sight, all that are still to come.
func (r *RingHours) inTheWay(c Calendar) []Freeze {
	list := []Freeze{}
	until := c.EndsLate
	if until.IsZero() {
		until = r.From.Add(sight)
	}
	for _, f := range r.inSight(r.From) {
		if !f.From.Before(until) {
			continue
		}
		at := f.From
		if at.Before(r.From) {
			at = r.From
		}
		_, open := window.Open(r.Hours.Windows, nil, at)
		if opens, _, ok := window.Next(r.Hours.Windows, nil, at); open || ok && opens.Before(f.Until) && opens.Before(until) {
			list = append(list, Freeze{Name: f.Name, From: f.From, Until: f.Until})
		}
	}
	slices.SortStableFunc(list, func(a, b Freeze) int { return a.From.Compare(b.From) })
	return list
}

// fit judges a timetable.
func (r *RingHours) fit(slow *Timetable) Fit {
	if len(slow.Never) > 0 {
		return r.never(slow)
	}
	var over []string
	var most time.Duration // that a cluster is not done when its window closes
	first := Opening{}
	same := true
	length := time.Duration(0)
	for i, s := range slow.Slots {
		o, open := window.Open(r.Hours.Windows, r.Hours.Freezes, s.Starts)
		if !open {
			continue
		}
		if o.Closes.IsZero() {
			return Fit{Verdict: AlwaysOpen, Says: "no window bounds it: work may start at any time"}
		}
		if i == 0 {
			first = Opening{Opens: o.Opens, Closes: o.Closes}
		}
		same = same && o.Closes.Equal(first.Closes)
		length = max(length, r.length(o, s.Starts))
		if beyond := s.Starts.Add(r.work(s.ID)).Sub(o.Closes); beyond > 0 {
			over = append(over, r.Names[s.ID])
			most = max(most, beyond)
		}
	}
	whole := Schedule(Hours{}, r.AtOnce, r.Late, r.From)
	takes := whole.Ends().Sub(r.From)
	zone := r.Zone()
	switch {
	case len(over) > 0:
		return r.runsOver(over, most, length)
	case same && first.Opens.IsZero():
		return Fit{Verdict: FitsOne, Says: fmt.Sprintf("takes at most %s in nine of ten cases, and work may start at any time until %s", Say(takes), show(first.Closes, zone))}
	case same:
		return Fit{Verdict: FitsOne, Says: fmt.Sprintf("takes at most %s in nine of ten cases, and the window is open from %s to %s", Say(takes), show(first.Opens, zone), show(first.Closes, zone))}
	}
	windows := r.distinct(slow)
	f := Fit{Verdict: FitsSeveral, Says: fmt.Sprintf("every cluster fits a window; all of them take %d windows (%s of work in nine of ten cases at most, a window has %s)", windows, Say(takes), Say(length))}
	f.Change = append(f.Change, r.moreAtOnce(length)...)
	f.Change = append(f.Change, fmt.Sprintf("or a window of %s (now %s) holds all of them", Say(roundUp(takes)), Say(length)))
	if len(f.Change) == 1 {
		f.Change[0] = strings.TrimPrefix(f.Change[0], "or ")
	}
	return f
}

// length is how long a window is, or what is left of one that was open already.
func (r *RingHours) length(o window.Opening, at time.Time) time.Duration {
	if o.Opens.IsZero() {
		return o.Closes.Sub(at)
	}
	return o.Closes.Sub(o.Opens)
}

// work is how long the late work of a cluster keeps its window busy: a soak at
// the very end needs no window.
func (r *RingHours) work(id string) (sum time.Duration) {
	i := slices.IndexFunc(r.Late, func(w Work) bool { return w.ID == id })
	if i < 0 {
		return 0
	}
	return r.Late[i].total()
}

func (r *RingHours) distinct(t *Timetable) int {
	seen := map[time.Time]bool{}
	for _, s := range t.Slots {
		if o, open := window.Open(r.Hours.Windows, r.Hours.Freezes, s.Starts); open {
			seen[o.Closes] = true
		}
	}
	return len(seen)
}

// moreAtOnce finds how many clusters at once do the ring in a window.
func (r *RingHours) moreAtOnce(length time.Duration) []string {
	first := r.AtOnce + 1
	more := sort.Search(max(0, len(r.Late)-r.AtOnce), func(i int) bool {
		t := Schedule(Hours{}, first+i, r.Late, r.From)
		return t.Ends().Sub(r.From) <= length
	})
	if first+more > len(r.Late) {
		return nil
	}
	return []string{fmt.Sprintf("concurrency %d (now %d) does all of them in one window, if the quota allows", first+more, r.AtOnce)}
}

func (r *RingHours) runsOver(over []string, most, length time.Duration) Fit {
	needs := time.Duration(0)
	for _, w := range r.Late {
		needs = max(needs, w.total())
	}
	names := few(over)
	f := Fit{Verdict: RunsOver}
	if r.Hours.OnClose == fleet.FinishCluster {
		f.Says = fmt.Sprintf("%s may not be done when the window closes, and would be worked on for up to %s after it (onClose: finishCluster)", names, Say(most))
	} else {
		f.Says = fmt.Sprintf("%s may not be done when the window closes (up to %s are missing): the rest waits for the next window, and old and new nodes stand until then", names, Say(most))
		f.Change = append(f.Change, "onClose: finishCluster finishes after the close what was started")
	}
	f.Change = append([]string{fmt.Sprintf("a window of %s (now %s) is long enough for each of them", Say(roundUp(needs)), Say(length))}, f.Change...)
	f.Change = append(f.Change, "a shorter soak of their pools, or a faster pace (nodes.pace), takes less of it")
	return f
}

// never says why clusters would never be started, or finished.
func (r *RingHours) never(slow *Timetable) Fit {
	f := Fit{Verdict: NeverFits}
	if err := window.Check(r.Hours.Windows); err != nil {
		f.Says = "nothing starts: " + err.Error()
		f.Change = []string{"correct the window"}
		return f
	}
	needs := time.Duration(0)
	var names []string
	for _, w := range r.Late {
		if slices.Contains(slow.Never, w.ID) {
			names = append(names, r.Names[w.ID])
			needs = max(needs, w.Needs)
			for _, p := range w.Parts {
				needs = max(needs, p.Needs)
			}
		}
	}
	longest := time.Duration(0)
	for _, o := range r.Hours.openings(r.From, r.From.Add(sight), 500) {
		if o.Closes.IsZero() {
			longest = sight
			break
		}
		longest = max(longest, r.length(window.Opening{Opens: o.Opens, Closes: o.Closes}, r.From))
	}
	if longest == 0 {
		f.Says = fmt.Sprintf("%s would never start: no window opens within %d days", few(names), int(sight/day))
		f.Change = []string{"give the ring a window that no freeze covers"}
		return f
	}
	f.Says = fmt.Sprintf("%s would never be started: a rollout wants %s left of the window for it, and the longest window has %s", few(names), Say(needs), Say(longest))
	f.Change = []string{fmt.Sprintf("make a window at least %s long", Say(roundUp(needs)))}
	return f
}

// Zone is the time zone in which a ring's times are told: that of its first
// window, else of a freeze, else UTC.
func (r *RingHours) Zone() *time.Location {
	names := []string{}
	for _, w := range r.Hours.Windows {
		names = append(names, w.TimeZone)
	}
	for _, f := range r.Hours.Freezes {
		names = append(names, f.TimeZone)
	}
	for _, name := range names {
		if zone, err := time.LoadLocation(name); err == nil && name != "" && name != "Local" {
			return zone
		}
	}
	return time.UTC
}

func show(at time.Time, zone *time.Location) string {
	return window.Show(at, zone)
}

// few joins names, the first of many.
func few(names []string) string {
	const most = 4
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// Say writes a length of time in days, hours and minutes, rounded up; seconds
// count below a minute.
func Say(d time.Duration) string {
	d = d.Truncate(time.Second)
	if d > 0 && d < time.Minute {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	if d%time.Minute != 0 {
		d += time.Minute - d%time.Minute
	}
	if d >= 3*day { // nobody counts minutes over days
		if rest := d % time.Hour; rest > 0 {
			d += time.Hour - rest
		}
		if h := d % day / time.Hour; h > 0 {
			return fmt.Sprintf("%dd %dh", d/day, h)
		}
		return fmt.Sprintf("%dd", d/day)
	}
	switch h, m := d/time.Hour, d%time.Hour/time.Minute; {
	case h == 0:
		return fmt.Sprintf("%dm", m)
	case m == 0:
		return fmt.Sprintf("%dh", h)
	default:
		return fmt.Sprintf("%dh %dm", h, m)
	}
}

// roundUp rounds to the next half hour.
func roundUp(d time.Duration) time.Duration {
	const step = 30 * time.Minute
	if rest := d % step; rest > 0 {
		d += step - rest
	}
	return d
}
