package evacuate

import (
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// starts are how long pods took from their creation until they were Ready, as far
// as the snapshot shows, sorted.
type starts struct {
	of   map[*workload][]time.Duration
	pool []time.Duration // of all pods of the pool
	// least, when set, is the quickest start of each workload's pods instead.
	least map[string]time.Duration
}

// longestStart: what took longer became Ready again, and did not start that long.
const longestStart = 15 * time.Minute

// observe gathers the starts of the pods of workloads that have to move.
func (pl *planner) observe() starts {
	s := starts{of: map[*workload][]time.Duration{}}
	for _, key := range sortedKeys(pl.workloads) {
		w := pl.workloads[key]
		if len(w.leave) == 0 || w.Kind == fleet.DaemonSet || w.Kind == fleet.Job {
			continue
		}
		var took []time.Duration
		for _, p := range w.pods {
			if !p.Ready || p.CreatedAt.IsZero() || p.ReadySince.Before(p.CreatedAt) {
				continue
			}
			if d := p.ReadySince.Sub(p.CreatedAt); d <= longestStart {
				took = append(took, d)
			}
		}
		slices.Sort(took)
		s.of[w] = took
		s.pool = append(s.pool, took...)
	}
	slices.Sort(s.pool)
	return s
}

// quickest is the shortest time in which a pod of a workload was seen to start;
// where none was, in which any was.
func (s *starts) quickest(w *workload) time.Duration {
	if d, ok := s.least[w.key]; ok {
		return d
	}
	switch took := s.of[w]; {
	case len(took) > 0:
		return took[0]
	case len(s.pool) > 0:
		return s.pool[0]
	}
	return 0
}

// average is how long pods of a workload took to start on average, or any where
// none of its own was seen.
func (s *starts) average(w *workload) time.Duration {
	if d, ok := s.least[w.key]; ok {
		return d
	}
	took := s.of[w]
	if len(took) == 0 {
		return s.quickest(w)
	}
	sum := time.Duration(0)
	for _, d := range took {
		sum += d
	}
	return sum / time.Duration(len(took))
}

// draw picks a start of a workload's pods by a number from 0 to 1.
func (s *starts) draw(w *workload, u float64, usual time.Duration) time.Duration {
	took := s.of[w]
	if len(took) == 0 {
		took = s.pool
	}
	if len(took) == 0 {
		return usual
	}
	return took[min(int(u*float64(len(took))), len(took)-1)]
}

// chance makes a number from 0 to 1 out of a seed and a count, evenly spread and
// always the same: forecasts must not differ from run to run (splitmix64).
func chance(seed, n uint64) float64 {
	x := seed + (n+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}
