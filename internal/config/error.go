package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error says everything that is wrong with a file, in the order of its lines.
type Error struct {
	Problems []Problem `json:"problems"`
}

// Problem is one thing that is wrong with a file.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // from 1
	// Path is where in the document: spec.rings[0].soak. It is "" for the
	// document as a whole.
	Path string `json:"path"`
	// Value is what was found there, as it is shown to people: quoted, cut when
	// long, and "a hidden value" in place of what may be a secret. It is ""
	// where there is nothing to show.
	Value  string `json:"value,omitempty"`
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

// String is "file:line: path: what (got value)". The remedy is left to the
// caller: Error puts it on a line of its own.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.What)
	if p.Value != "" {
		fmt.Fprintf(&b, " (got %s)", p.Value)
	}
	return b.String()
}

// Error lists all problems, each with its remedy on an indented line below.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
		if p.Remedy != "" {
			b.WriteString("\n\t" + p.Remedy)
		}
	}
	return b.String()
}

// sorted puts problems in the order in which a reader meets them.
func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	return problems
}
