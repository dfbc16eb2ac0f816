package view

import (
	"strings"

	"github.com/charmbracelet/lipgloss"
)

// row is a line of the picture: cells that stand under each other, or one text
// over the whole width.
type row struct {
	indent int
	mark   string
	markAs tone
	cells  [columns]cell
	whole  *cell
	reason bool // it says why of the line before
}

// cell is a text and how it is shown.
type cell struct {
	text string
	as   style
}

// The columns of the picture. They are left out from the narrowest need on:
// see dropped.
const (
	colName = iota
	colVersions
	colState
	colBar
	colPods
	colTime
	columns
)

// dropped is the order in which columns go where the width does not suffice.
var dropped = []int{colVersions, colBar, colTime, colPods, colState}

const (
	columnGap = 2
	// shortestName is how many columns a name keeps before others go.
	shortestName = 14
)

// layout writes the rows in columns, none wider than width.
func layout(rows []row, width int, paint func(string, style) string) []string {
	var widths [columns]int
	for _, r := range rows {
		if r.whole != nil {
			continue
		}
		for i, c := range r.cells {
			w := lipgloss.Width(c.text)
			if i == colName {
				w += r.indent + 2
			}
			widths[i] = max(widths[i], w)
		}
	}
	total := func() int {
		sum := 0
		for _, w := range widths {
			if w > 0 {
				sum += w + columnGap
			}
		}
		return sum - columnGap
	}
	for _, column := range dropped {
		if total()-widths[colName]+min(widths[colName], shortestName) <= width {
			break
		}
		widths[column] = 0
	}
	if over := total() - width; over > 0 {
		widths[colName] = max(4, widths[colName]-over)
	}
	lines := make([]string, 0, len(rows))
	for _, r := range rows {
		lines = append(lines, strings.TrimRight(layoutRow(r, widths, width, paint), " "))
	}
	return lines
}

// layoutRow writes one row.
func layoutRow(r row, widths [columns]int, width int, paint func(string, style) string) string {
	lead := strings.Repeat(" ", r.indent)
	room := width - r.indent
	if r.mark != "" {
		lead += paint(r.mark, style{tone: r.markAs, bold: r.markAs != calm}) + " "
		room -= 2
	}
	if r.whole != nil {
		return lead + paint(fit(r.whole.text, room), r.whole.as)
	}
	last := 0
	for i, c := range r.cells {
		if c.text != "" && widths[i] > 0 {
			last = i
		}
	}
	var line strings.Builder
	line.WriteString(lead)
	for i, c := range r.cells[:last+1] {
		if widths[i] == 0 {
			continue
		}
		w := widths[i]
		text := fit(c.text, w)
		if i == colName {
			w = max(0, w-r.indent-2)
			text = fitMiddle(c.text, w)
		}
		if i == colPods { // numbers end under each other
			text = strings.Repeat(" ", w-lipgloss.Width(text)) + text
		}
		line.WriteString(paint(text, c.as))
		if i < last {
			line.WriteString(strings.Repeat(" ", w-lipgloss.Width(text)+columnGap))
		}
	}
	return line.String()
}

// bar draws how much of a whole is done.
func bar(done, whole, width int) string {
	if whole <= 0 {
		return ""
	}
	filled := min(width, max(0, done*width/whole))
	return strings.Repeat("█", filled) + strings.Repeat("░", width-filled)
}
