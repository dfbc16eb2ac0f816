package fleetplan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// History is how long things took in earlier rollouts.
type History struct {
	Pools         []PastPool
	ControlPlanes []PastControlPlane
}

// PastPool is one pool that came to its end well.
type PastPool struct {
	Cluster  string // id
	Ring     string
	Stem     string // the name without what stand-ins add
	Strategy fleet.Strategy
	Nodes    int           // 0 where it was not written down
	Creation time.Duration // until its first new nodes were Ready; 0 where there were none
	Took     time.Duration // all of its work, without soaks and what it waited for
}

// PastControlPlane is one control plane that was raised to its next version.
type PastControlPlane struct {
	Cluster, Ring string
	Took          time.Duration
}

// What is usual where nobody knows better: the published and reported figures
// for AKS.
const (
	usualControlPlane     = 12 * time.Minute
	usualControlPlaneLate = 15 * time.Minute
	usualPerNode          = 90 * time.Second
	// later is how much longer the usual figures are in the worst of ten cases.
	later = 1.5
)

// PoolSize is what the forecast of a pool depends on.
type PoolSize struct {
	Cluster, Ring, Stem string
	Strategy            fleet.Strategy
	Nodes               int
	// Planned is what a look at the cluster says; nil where there was none.
	Planned *evacuate.PoolPlan
	// Learned says from how many earlier pools of what Planned has its time of a
	// new node; "" for the usual one.
	Learned string
}

// ForecastPool says how long a pool takes, without soaks: as it took before, else
// as its nodes and pods say, else as others of its ring took, else as is usual.
func (h *History) ForecastPool(p PoolSize) Spread {
	var same, ring []time.Duration
	for _, past := range h.Pools {
		if past.Strategy != p.Strategy {
			continue
		}
		if past.Cluster == p.Cluster && strings.EqualFold(past.Stem, p.Stem) {
			same = append(same, past.scaled(p.Nodes))
		}
		if past.Ring == p.Ring && past.Nodes > 0 {
			ring = append(ring, past.scaled(p.Nodes))
		}
	}
	switch {
	case len(same) > 0:
		return spread(same, FromHistory, fmt.Sprintf("this pool took so long %s", times(len(same))))
	case p.Planned != nil:
		says := "its nodes, pods and budgets as they are now"
		if p.Learned != "" {
			says += "; new nodes as they came before (" + p.Learned + ")"
		} else {
			says += "; new nodes as is usual"
		}
		return Spread{Forecast: p.Planned.Forecast, From: FromSnapshot, Says: says}
	case len(ring) > 0:
		return spread(ring, FromRing, fmt.Sprintf("%s of ring %s, by their number of nodes", counted(len(ring), "earlier pool", "earlier pools"), p.Ring))
	}
	usual := evacuate.UsualAssumptions.NodeCreation + time.Duration(p.Nodes)*usualPerNode
	return Spread{
		Forecast: evacuate.Forecast{P50: usual.Seconds(), P90: later * usual.Seconds()}, From: FromUsual,
		Says: fmt.Sprintf("%s a node, as is usual", usualPerNode),
	}
}

// scaled is what a pool took, by the number of nodes that there are now. The
// first new nodes take as long for any number.
func (p *PastPool) scaled(nodes int) time.Duration {
	if p.Nodes == 0 || nodes == 0 {
		return p.Took
	}
	creation := min(p.Creation, p.Took)
	return creation + time.Duration(float64(p.Took-creation)*float64(nodes)/float64(p.Nodes))
}

// NodeCreation is how long it takes until a new node can take pods, as it took
// on the cluster, else in its ring, else anywhere. It is not ok without any.
func (h *History) NodeCreation(cluster, ring string) (takes time.Duration, says string, ok bool) {
	var here, near, all []time.Duration
	for _, p := range h.Pools {
		if p.Creation <= 0 {
			continue
		}
		all = append(all, p.Creation)
		if p.Ring == ring {
			near = append(near, p.Creation)
		}
		if p.Cluster == cluster {
			here = append(here, p.Creation)
		}
	}
	for _, from := range []struct {
		of   []time.Duration
		says string
	}{{here, "of this cluster"}, {near, "of ring " + ring}, {all, "of all rings"}} {
		if len(from.of) > 0 {
			return time.Duration(spread(from.of, "", "").P50 * float64(time.Second)), counted(len(from.of), "pool", "pools") + " " + from.says, true
		}
	}
	return 0, "", false
}

// ForecastControlPlane says how long a control plane takes to its next version.
func (h *History) ForecastControlPlane(cluster, ring string) Spread {
	var here, near, all []time.Duration
	for _, p := range h.ControlPlanes {
		all = append(all, p.Took)
		if p.Ring == ring {
			near = append(near, p.Took)
		}
		if p.Cluster == cluster {
			here = append(here, p.Took)
		}
	}
	switch {
	case len(here) > 0:
		return spread(here, FromHistory, "this control plane took so long "+times(len(here)))
	case len(near) > 0:
		return spread(near, FromRing, fmt.Sprintf("%s of ring %s", counted(len(near), "earlier control plane", "earlier control planes"), ring))
	case len(all) > 0:
		return spread(all, FromRing, counted(len(all), "earlier control plane", "earlier control planes")+" of other rings")
	}
	return Spread{
		Forecast: evacuate.Forecast{P50: usualControlPlane.Seconds(), P90: usualControlPlaneLate.Seconds()}, From: FromUsual,
		Says: "10 to 15 minutes, as is usual",
	}
}

// spread takes the middle, and what nine of ten stay below; of fewer than ten
// that is the longest.
func spread(took []time.Duration, from BasedOn, says string) Spread {
	slices.Sort(took)
	n := len(took)
	return Spread{Forecast: evacuate.Forecast{P50: took[n/2].Seconds(), P90: took[min(n-1, n*9/10)].Seconds()}, From: from, Says: says}
}

func times(n int) string {
	switch n {
	case 1:
		return "once before"
	case 2:
		return "twice before"
	}
	return fmt.Sprintf("%d times before", n)
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
