package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Checked is what checks said about one or more clusters. Its JSON is a published
// format: fields are added, never given a new meaning, and lists are never null.
type Checked struct {
	Fleet       string             `json:"fleet,omitempty"`
	At          time.Time          `json:"at"`
	Summary     CheckSummary       `json:"summary"`
	Results     []check.Result     `json:"results"`
	Acceptances []check.Acceptance `json:"acceptances"`
	// Skipped are files, or parts of them, that could not be read.
	Skipped []Skipped `json:"skipped"`

	Product string `json:"product,omitempty"` // "liftlock v0.1.0"
}

// Skipped is a file, or a part of one, that could not be read.
type Skipped struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Why  string `json:"why"`
}

// CheckSummary counts what was found.
type CheckSummary struct {
	Clusters int `json:"clusters"`
	Blockers int `json:"blockers"` // that nobody accepted, as the next two
	Warnings int `json:"warnings"`
	Infos    int `json:"infos"`
	Accepted int `json:"accepted"`
	// Ran and NotRun count checks of clusters: one check of two clusters is two.
	Ran    int `json:"ran"`
	NotRun int `json:"notRun"` // since something could not be read; or not on all they should have seen
	Absent int `json:"absent"` // since the source does not hold what they need
	Files  int `json:"skippedFiles"`
}

// NewChecked counts results up.
func NewChecked(results []check.Result, acceptances []check.Acceptance, skipped []Skipped) Checked {
	c := Checked{Results: append([]check.Result{}, results...), Acceptances: append([]check.Acceptance{}, acceptances...), Skipped: append([]Skipped{}, skipped...)}
	s := &c.Summary
	s.Clusters, s.Files = len(results), len(skipped)
	for i := range results {
		r := &results[i]
		s.Blockers += r.Count(fleet.Blocker)
		s.Warnings += r.Count(fleet.Warning)
		s.Infos += r.Count(fleet.Info)
		s.Accepted += r.Accepted()
		s.Ran += len(r.Ran)
		failed, absent := r.Lacking()
		s.NotRun += len(failed)
		s.Absent += len(absent)
	}
	return c
}

// CheckJSON writes the published form, indented.
func CheckJSON(w io.Writer, c Checked) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(c); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
