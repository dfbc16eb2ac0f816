package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// frame is what a picture depends on beside the model.
type frame struct {
	width, height int
	turn          int       // of the spinner
	now           time.Time // from which elapsed times are told
	paint         func(string, style) string
}

// style is how a text is shown.
type style struct {
	tone  tone
	bold  bool
	faint bool
}

const (
	barWidth    = 14
	mostJournal = 8
	// leastBody is how many lines the rings keep before journal and approvals get any.
	leastBody = 3
)

// draw makes the picture: at most height-1 lines of at most width columns. The
// last line of a terminal stays free, so that nothing scrolls.
func draw(m Model, f frame) string {
	f.width, f.height = max(f.width, 20), max(f.height, 8)
	room := f.height - 1
	head := drawHead(m, f)
	foot := drawFoot(m, f)
	room -= len(head) + len(foot)
	approvals := drawApprovals(m, f, room-leastBody)
	room -= len(approvals)
	body := drawBody(m, f, max(1, room))
	room -= len(body)
	lines := slices.Concat(head, body, approvals, drawJournal(m, f, room), foot)
	return strings.Join(lines[:min(len(lines), f.height-1)], "\n")
}

// drawHead says which rollout it is and how it stands.
func drawHead(m Model, f frame) []string {
	title := "starting"
	if m.Target != "" {
		title = "to " + clean(m.Target)
	}
	if m.Fleet != "" {
		title = clean(m.Fleet) + " " + title
	}
	state := string(m.State)
	var times []string
	if !m.StartedAt.IsZero() {
		until := f.now
		if !m.EndedAt.IsZero() {
			until = m.EndedAt
		}
		times = append(times, duration(until.Sub(m.StartedAt)))
	}
	if left := remaining(m.Left, m.Now, f.now); left > 0 && m.EndedAt.IsZero() {
		times = append(times, "about "+duration(left)+" left")
	}
	right := strings.Join(times, ", ")
	title = fit(title, max(1, f.width-lipgloss.Width(state)-2))
	used := lipgloss.Width(title) + 2 + lipgloss.Width(state)
	line := f.paint(title, style{bold: true}) + "  " + f.paint(fit(state, f.width-3), style{tone: toneOf(m.State), bold: true})
	if gap := f.width - used - lipgloss.Width(right); right != "" && gap >= 2 {
		line += strings.Repeat(" ", gap) + right
	}
	lines := []string{line}
	if m.Reason != "" {
		lines = append(lines, f.paint(fit(clean(m.Reason), f.width), style{faint: true}))
	}
	return append(lines, "")
}

// remaining is what is left of a forecast that was made at a time.
func remaining(left time.Duration, at, now time.Time) time.Duration {
	if left <= 0 {
		return 0
	}
	return max(time.Second, left-max(0, now.Sub(at)))
}

// drawFoot says how the workloads fare.
func drawFoot(m Model, f frame) []string {
	text, as := "no workload watched yet", style{faint: true}
	switch {
	case m.Violations > 0:
		text, as = "workloads fell below what they require: "+counted(m.Violations, "fall", "falls"), style{tone: bad, bold: true}
	case m.Workloads > 0:
		text, as = fmt.Sprintf("no workload below what it requires (%d watched)", m.Workloads), style{tone: good}
	}
	const hint = "q: leave"
	text = fit(text, f.width)
	line := f.paint(text, as)
	if gap := f.width - lipgloss.Width(text) - len(hint); m.EndedAt.IsZero() && gap >= 2 {
		line += strings.Repeat(" ", gap) + f.paint(hint, style{faint: true})
	}
	return []string{"", line}
}

// drawApprovals names what a person has to give, and how.
func drawApprovals(m Model, f frame, room int) []string {
	if len(m.Approvals) == 0 || room < 3 {
		return nil
	}
	lines := []string{""}
	for i, a := range m.Approvals {
		more := len(m.Approvals) - i
		if len(lines)+2 > room || more > 1 && len(lines)+3 > room {
			lines = append(lines, f.paint(fmt.Sprintf("and %s more", counted(more, "approval", "approvals")), style{tone: warn}))
			break
		}
		lines = append(lines,
			f.paint(fit(fmt.Sprintf("ring %s waits for approval %s of role %s:", clean(a.Ring), clean(a.Name), clean(a.Role)), f.width), style{tone: warn, bold: true}),
			"  "+fit(clean(a.Command), f.width-2))
	}
	return lines
}

// drawJournal shows the newest entries that there is room for.
func drawJournal(m Model, f frame, room int) []string {
	n := min(len(m.Journal), mostJournal, room-1)
	if n <= 0 {
		return nil
	}
	lines := []string{""}
	for _, e := range m.Journal[len(m.Journal)-n:] {
		text := clean(where(e)) + "  " + words(clean(e.Action))
		if e.Object != "" {
			text += " " + clean(e.Object)
		}
		if e.Reason != "" {
			text += ": " + clean(e.Reason)
		}
		lines = append(lines, f.paint(fit(e.At.UTC().Format("15:04:05")+"  "+text, f.width), style{faint: true}))
	}
	return lines
}

// drawBody shows rings, clusters and pools in as much detail as there is room
// for.
func drawBody(m Model, f frame, room int) []string {
	var rows []row
	for _, d := range detailLevels {
		if rows = bodyRows(m, f, d); len(rows) <= room {
			break
		}
	}
	if len(rows) > room {
		rows = shortened(rows, room)
	}
	return layout(rows, f.width, f.paint)
}

// detail says how much is shown.
type detail struct {
	idleClusters bool // clusters where nothing happens, one by one
	pools        bool
	reasons      bool // of what goes well, too
	idleRings    bool // rings where nothing happens, one by one
}

// detailLevels are tried in this order until the picture fits.
var detailLevels = []detail{
	{idleClusters: true, pools: true, reasons: true, idleRings: true},
	{pools: true, reasons: true, idleRings: true},
	{pools: true, idleRings: true},
	{pools: true},
	{reasons: true},
	{},
}

// bodyRows makes the rows at a level of detail.
func bodyRows(m Model, f frame, d detail) []row {
	var rows []row
	for i := 0; i < len(m.Rings); i++ {
		r := m.Rings[i]
		if !d.idleRings && idle(r) {
			from := i
			for i+1 < len(m.Rings) && idle(m.Rings[i+1]) && m.Rings[i+1].State == r.State {
				i++
			}
			if i > from {
				rows = append(rows, ringsRow(m.Rings[from:i+1], f))
				continue
			}
		}
		rows = append(rows, ringRows(m, r, f, d)...)
	}
	return rows
}

// idle reports whether nothing happens in a ring that a person should see.
func idle(r Ring) bool {
	return (r.State.Ended() || r.State == fleet.StatePending) && !underWay(r.State) &&
		!slices.ContainsFunc(r.Clusters, func(c Cluster) bool { return underWay(c.State) })
}

// ringRows are the lines of a ring and what is in it. A finished ring is one.
func ringRows(m Model, r Ring, f frame, d detail) []row {
	if len(r.Clusters) == 1 && r.Clusters[0].Name == r.Name && !r.State.Ended() {
		return loneRows(m, r, f, d)
	}
	rows := []row{ringRow(r, f)}
	if r.Reason != "" && !r.State.Ended() {
		rows = append(rows, reasonRow(2, r.Reason))
	}
	if idle(r) && (!d.idleClusters || r.State.Ended() || len(r.Clusters) > 6) {
		return rows
	}
	others := map[fleet.State]int{}
	for _, c := range attention(r.Clusters) {
		if !d.idleClusters && !underWay(c.State) {
			others[c.State]++
			continue
		}
		rows = append(rows, clusterRows(m, c, f, d, 2)...)
	}
	if len(others) > 0 {
		rows = append(rows, row{indent: 4, whole: &cell{summary(others), style{faint: true}}})
	}
	return rows
}

// loneRows are the lines of a ring whose only cluster has its name: they are
// shown as one.
func loneRows(m Model, r Ring, f frame, d detail) []row {
	c := r.Clusters[0]
	if c.State == fleet.StatePending || c.State.Ended() && c.State != fleet.StateFailed {
		// It is the ring that waits, or soaks.
		c.State, c.Reason = r.State, ""
	}
	if r.Reason != "" {
		c.Reason = r.Reason
	}
	rows := clusterRows(m, c, f, d, 0)
	rows[0].cells[colName].as = style{bold: !idle(r)}
	return rows
}

// underWay reports whether a thing in this state is to be looked at now.
func underWay(s fleet.State) bool {
	return s != fleet.StatePending && s != fleet.StateWaiting && !s.Ended() || s == fleet.StateFailed
}

// attention orders clusters by how much they need a person's eye.
func attention(clusters []Cluster) []Cluster {
	order := func(c Cluster) int {
		switch {
		case c.State == fleet.StateBlocked:
			return 0
		case c.State == fleet.StateFailed:
			return 1
		case underWay(c.State):
			return 2
		}
		return 3
	}
	if len(clusters) <= 8 {
		return clusters // few enough to keep their places
	}
	sorted := slices.Clone(clusters)
	slices.SortStableFunc(sorted, func(a, b Cluster) int { return order(a) - order(b) })
	return sorted
}

// ringsRow is one line for several rings in the same state.
func ringsRow(rings []Ring, f frame) row {
	together := Ring{Name: counted(len(rings), "ring", "rings"), State: rings[0].State}
	for _, r := range rings {
		together.Clusters = append(together.Clusters, r.Clusters...)
	}
	return ringRow(together, f)
}

// ringRow is the line of a ring.
func ringRow(r Ring, f frame) row {
	counts := map[fleet.State]int{}
	var started, ended time.Time
	moved, total := 0, 0
	for _, c := range r.Clusters {
		counts[c.State]++
		moved, total = moved+c.PodsMoved, total+c.PodsTotal
		if !c.StartedAt.IsZero() && (started.IsZero() || c.StartedAt.Before(started)) {
			started = c.StartedAt
		}
		if c.EndedAt.After(ended) {
			ended = c.EndedAt
		}
	}
	out := row{mark: mark(r.State, f.turn), markAs: toneOf(r.State)}
	out.cells[colName] = cell{clean(r.Name), style{bold: !idle(r)}}
	out.cells[colState] = cell{string(r.State), style{tone: toneOf(r.State)}}
	out.cells[colVersions] = cell{counted(len(r.Clusters), "cluster", "clusters"), style{faint: true}}
	switch {
	case idle(r) && r.State.Ended():
		if total > 0 {
			out.cells[colPods] = cell{fmt.Sprintf("%d/%d", moved, total), style{faint: true}}
		}
		if !started.IsZero() && ended.After(started) {
			out.cells[colTime] = cell{duration(ended.Sub(started)), style{faint: true}}
		}
	case len(r.Clusters) > 1:
		out.cells[colTime] = cell{fmt.Sprintf("%d of %d done", counts[fleet.StateSucceeded], len(r.Clusters)), style{faint: true}}
	}
	return out
}

// clusterRows are the lines of a cluster.
func clusterRows(m Model, c Cluster, f frame, d detail, indent int) []row {
	out := row{indent: indent, mark: mark(c.State, f.turn), markAs: toneOf(c.State)}
	out.cells[colName] = cell{clean(c.Name), style{}}
	if c.To != "" {
		out.cells[colVersions] = cell{clean(c.From) + " → " + clean(c.To), style{}}
	}
	out.cells[colState] = cell{string(c.State), style{tone: toneOf(c.State)}}
	progress(&out, c.PodsMoved, c.PodsTotal, c.State)
	if !c.StartedAt.IsZero() {
		until := f.now
		if !c.EndedAt.IsZero() {
			until = c.EndedAt
		}
		text := duration(until.Sub(c.StartedAt))
		if left := remaining(c.Left, m.Now, f.now); left > 0 && c.EndedAt.IsZero() {
			text += ", ~" + duration(left)
		}
		out.cells[colTime] = cell{text, style{faint: true}}
	}
	if c.Violations > 0 {
		out.cells[colTime] = cell{counted(c.Violations, "fall", "falls") + "!", style{tone: bad, bold: true}}
	}
	rows := []row{out}
	if c.Reason != "" && c.State != fleet.StateSucceeded && (d.reasons || toneOf(c.State) == bad) {
		rows = append(rows, reasonRow(indent+2, c.Reason))
	}
	if !d.pools || !underWay(c.State) {
		return rows
	}
	for _, p := range c.Pools {
		one := row{indent: indent + 2, mark: mark(p.State, f.turn), markAs: toneOf(p.State)}
		one.cells[colName] = cell{clean(p.Name), style{faint: true}}
		one.cells[colVersions] = cell{clean(string(p.Strategy)), style{faint: true}}
		one.cells[colState] = cell{string(p.State), style{tone: toneOf(p.State), faint: true}}
		progress(&one, p.PodsMoved, p.PodsTotal, p.State)
		rows = append(rows, one)
		if p.Reason != "" && p.Reason != c.Reason && underWay(p.State) && (d.reasons || toneOf(p.State) == bad) {
			rows = append(rows, reasonRow(indent+4, p.Reason))
		}
	}
	return rows
}

// progress fills the cells that say how many pods have moved.
func progress(r *row, moved, total int, s fleet.State) {
	if total == 0 {
		return
	}
	if !s.Ended() {
		r.cells[colBar] = cell{bar(moved, total, barWidth), style{tone: toneOf(s)}}
	}
	r.cells[colPods] = cell{fmt.Sprintf("%d/%d", moved, total), style{}}
}

// reasonRow is a line that says why.
func reasonRow(indent int, reason string) row {
	return row{indent: indent, reason: true, whole: &cell{clean(reason), style{faint: true}}}
}

// summary says how many clusters are in which state.
func summary(counts map[fleet.State]int) string {
	var parts []string
	for _, s := range []fleet.State{
		fleet.StateSucceeded, fleet.StateFailed, fleet.StateRolledBack, fleet.StateAborted, fleet.StateSkipped, fleet.StateSetAside,
		fleet.StateSoaking, fleet.StateWaiting, fleet.StatePending, fleet.StateRunning, fleet.StateRollingBack, fleet.StatePaused, fleet.StateBlocked,
	} {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	return strings.Join(parts, ", ")
}

// shortened cuts rows to the room: from the end, first clusters and their
// pools, then rings in which nothing happens. What goes is counted in a line.
func shortened(rows []row, room int) []row {
	keep := make([]bool, len(rows))
	for i := range keep {
		keep[i] = true
	}
	over := len(rows) - room + 1 // the line that counts needs room too
	drop := func(test func(row) bool) {
		for i := len(rows) - 1; i >= 0 && over > 0; i-- {
			if keep[i] && test(rows[i]) {
				keep[i] = false
				over--
			}
		}
	}
	drop(func(r row) bool { return r.indent > 0 && r.markAs != bad && !r.reason })
	drop(func(r row) bool { return r.indent == 0 && (r.markAs == good || r.markAs == calm) })
	drop(func(r row) bool { return r.indent > 0 })
	drop(func(row) bool { return true })
	kept := make([]row, 0, room)
	hidden, at := 0, 0
	for i, r := range rows {
		if keep[i] {
			kept = append(kept, r)
			continue
		}
		if r.whole == nil {
			hidden++
			at = len(kept)
		}
	}
	if hidden > 0 {
		kept = slices.Insert(kept, at, row{indent: 2, whole: &cell{fmt.Sprintf("and %d more", hidden), style{faint: true}}})
	}
	return kept[:min(len(kept), room)]
}
