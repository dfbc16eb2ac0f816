package plan

import (
	"slices"
	"time"
)

// Size is what the duration of a cluster's upgrade depends on most.
type Size struct {
	Nodes  int
	Minors int // minors between its version and the target
}

// Past is how long an earlier cluster took.
type Past struct {
	Size Size
	Took time.Duration
}

// What an upgrade takes where there is no history: the published and reported
// figures for AKS (10 to 15 minutes for a control plane, a few minutes for a
// pool's nodes and their pods).
const (
	perMinor = 12 * time.Minute
	perNode  = 90 * time.Second
	fixed    = 10 * time.Minute
)

// Forecast says how long a cluster will take, from the slower half of what
// earlier ones took for their size, or from common figures without history.
func Forecast(size Size, history []Past) time.Duration {
	guess := func(s Size) time.Duration {
		return fixed + time.Duration(max(s.Minors, 0))*perMinor + time.Duration(s.Nodes)*perNode
	}
	if len(history) == 0 {
		return guess(size)
	}
	ratios := make([]float64, len(history))
	for i, h := range history {
		ratios[i] = float64(h.Took) / float64(guess(h.Size))
	}
	slices.Sort(ratios)
	slow := ratios[len(ratios)*3/4] // of one, two or three: the slowest
	return time.Duration(slow * float64(guess(size)))
}
