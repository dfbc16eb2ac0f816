package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"unicode"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

//go:embed page.html.tmpl plan.html.tmpl style.css
var files embed.FS

// page is what the template is given.
type page struct {
	Report
	Total     tally
	Verdict   string
	Length    string
	Sections  []section
	Timeline  timeline
	Events    []event
	Plots     []plot
	Concerns  []concern
	ManyPlots bool
}

// section is a ring with its clusters.
type section struct {
	Ring
	Clusters []Cluster
	Soak     string
}

// concern is a finding with the cluster that it is about.
type concern struct {
	fleet.Finding
	Of string
}

// openPlots is up to how many clusters have their availability shown at once.
const openPlots = 8

// HTML writes the report as one page. It needs no other file, no network and no
// script; it follows the reader's light or dark preference and prints.
func HTML(w io.Writer, r Report) error {
	tmpl, err := template.New("page.html.tmpl").Funcs(template.FuncMap{
		"moment":   moment,
		"machine":  machineTime,
		"seconds":  seconds,
		"duration": duration,
		"tone":     tone,
		"mark":     mark,
		"counted":  counted,
		"words":    kindWords,
		"px":       func(x float64) string { return fmt.Sprintf("%.1f", x) },
		"signed":   signed,
		"add":      func(a, b float64) float64 { return a + b },
		"half":     func(a float64) float64 { return a / 2 },
		"short":    shorten,
	}).ParseFS(files, "page.html.tmpl", "style.css")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	// Into memory first, so that a fault leaves no half page.
	var text bytes.Buffer
	if err := tmpl.Execute(&text, newPage(whole(r))); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if _, err := w.Write(bytes.Map(visible, text.Bytes())); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// visible drops characters that steer instead of being seen: a name that holds
// one could turn the direction of the text around it.
func visible(c rune) rune {
	if unicode.IsControl(c) && c != '\n' && c != '\t' || unicode.Is(unicode.Bidi_Control, c) {
		return -1
	}
	return c
}

// newPage gathers what the template shows.
func newPage(r Report) page {
	p := page{Report: r, Total: add(r), Verdict: verdict(r), Timeline: newTimeline(r), Events: events(r)}
	if !r.StartedAt.IsZero() {
		p.Length = duration(end(r, r.EndedAt).Sub(r.StartedAt))
	}
	for _, ring := range rings(r) {
		s := section{Ring: ring, Clusters: inRing(r, ring.Name)}
		if !ring.EndedAt.IsZero() && ring.ProvenAt.After(ring.EndedAt) {
			s.Soak = duration(ring.ProvenAt.Sub(ring.EndedAt))
		}
		p.Sections = append(p.Sections, s)
	}
	p.ManyPlots = len(r.Clusters) > openPlots
	for i, c := range r.Clusters {
		plot := newPlot(r, i, c)
		plot.Open = !p.ManyPlots || plot.Violations > 0
		p.Plots = append(p.Plots, plot)
	}
	for _, f := range r.Findings {
		of := f.Cluster
		if of == "" {
			of = "fleet"
		}
		p.Concerns = append(p.Concerns, concern{f, of})
	}
	for _, c := range r.Clusters {
		for _, f := range c.Findings {
			p.Concerns = append(p.Concerns, concern{f, c.Name})
		}
	}
	return p
}

// Tone is how the page as a whole is shown.
func (p page) Tone() string {
	if p.Violations > 0 {
		return "bad"
	}
	return tone(p.State)
}

// MovesPerPod is how often a pod moved, on average, with two digits, or "".
func (p page) MovesPerPod() string {
	if p.Total.PodsToMove == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", float64(p.Total.PodMoves)/float64(p.Total.PodsToMove))
}

// Nearest is how near the cluster's worst workload came to what it requires.
func (s Cluster) Nearest() string {
	if len(s.Availability.Lowest) == 0 {
		return "–"
	}
	l := s.Availability.Lowest[0]
	return signed(l.Lowest - l.floor())
}

// Versions says from where to where a pool went, without what did not change.
func (p Pool) Versions() string {
	if p.From == p.To {
		return p.From
	}
	return p.From + " → " + p.To
}
