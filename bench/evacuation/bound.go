package evacuation

import "time"

// rules are what bounds how fast a strategy may be, beside the drawn times.
type rules struct {
	// surge may reach that many percent of a workload's replicas where its own
	// strategy surges at all; 0 for its own surge.
	surge int
}

// bound is the least time something takes, and what makes it take that long.
type bound struct {
	least time.Duration
	by    string
}

// capacity is the least time from asking for nodes to their taking pods: they
// boot, and the pods of their DaemonSets become Ready.
const capacity = nodeBoot + agentStart

// blueGreen is the least time in which all pods can be on new nodes: capacity
// first, then every workload at once, each as fast as what it requires permits.
// Jobs end by themselves.
func (r rules) blueGreen(apps []app) bound {
	b := r.move(apps)
	b.least += capacity
	return later(b, jobs(apps))
}

// buffer is the least time for there, a reimage of all nodes at once, and back.
func (r rules) buffer(apps []app) bound {
	there := later(bound{r.move(apps).least + capacity, ""}, jobs(apps))
	back := r.move(apps)
	return bound{there.least + capacity + back.least, back.by}
}

// move is the least time for all workloads at once, from when there is room.
func (r rules) move(apps []app) bound {
	var b bound
	for i := range apps {
		b = later(b, bound{r.whole(&apps[i]), apps[i].String()})
	}
	return b
}

// jobs is when the last Job ends by itself.
func jobs(apps []app) bound {
	var b bound
	for i := range apps {
		if a := &apps[i]; a.kind == job {
			b = later(b, bound{a.starts + a.runs, a.String()})
		}
	}
	return b
}

func later(a, b bound) bound {
	if b.least > a.least {
		return b
	}
	return a
}

// whole is the least time for all pods of a workload.
func (r rules) whole(a *app) time.Duration { return r.some(a, a.replicas) }

// some is the least time for that many pods of a workload.
//
// A StatefulSet's pods go one by one: each stops, its disk is detached and
// attached, and it starts. Of others, as many start at once as may be missing
// and as may be there beyond the replicas. While a pod may be missing its old
// one stops meanwhile; the last ones of a round that needs surge stop when the
// new ones are Ready.
func (r rules) some(a *app, pods int) time.Duration {
	if pods == 0 {
		return 0
	}
	switch {
	case a.kind == job:
		return 0
	case a.kind == statefulSet:
		one := a.stops + a.starts
		if a.volume {
			one += volumeDetach + volumeAttach
		}
		return time.Duration(pods) * one
	case a.recreate:
		return max(a.starts, a.stops)
	}
	surge, missing := r.latitude(a)
	atOnce := surge + missing
	rounds := (pods + atOnce - 1) / atOnce
	last := pods - (rounds-1)*atOnce
	if last <= missing {
		return time.Duration(rounds-1)*a.starts + max(a.starts, a.stops)
	}
	return time.Duration(rounds)*a.starts + a.stops
}

// latitude is how many pods of a Deployment may be there beyond its replicas,
// and how many may be missing: by its strategy and its budget, the stricter one.
func (r rules) latitude(a *app) (surge, missing int) {
	surge, missing = a.strategy()
	missing = min(missing, a.replicas-a.budget.keeps(a.replicas))
	if r.surge > 0 && surge > 0 {
		surge = max(surge, a.replicas*r.surge/100)
	}
	if surge == 0 && missing == 0 {
		surge = 1
	}
	return min(surge, a.replicas), min(missing, a.replicas)
}

// strategy is the Deployment's own, in pods.
func (a *app) strategy() (surge, unavailable int) {
	quarter := amount("25%")
	surge, unavailable = scaled(or(a.maxSurge, quarter), a.replicas, true), scaled(or(a.maxUnavailable, quarter), a.replicas, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

func or[T any](value, fallback *T) *T {
	if value != nil {
		return value
	}
	return fallback
}

func (a *app) String() string { return string(a.kind) + "/" + a.namespace + "/" + a.name }
