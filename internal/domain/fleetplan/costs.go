package fleetplan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"liftlock.dev/liftlock/internal/domain/evacuate"
)

// TermSoak is what sets a bound where a soak is longer than all the work.
const TermSoak evacuate.Term = "soak"

// vcpus reads how many vCPUs a VM size has from its name, which says so behind
// the letters of its family: Standard_D4s_v5, Standard_E8-4ds_v5 (4 of 8, and the
// quota counts 4). 0 where the name says nothing.
func vcpus(size string) int {
	name := size
	if prefix, rest, ok := strings.Cut(size, "_"); ok && (strings.EqualFold(prefix, "Standard") || strings.EqualFold(prefix, "Basic")) {
		name = rest
	}
	name, _, _ = strings.Cut(name, "_")
	name = strings.TrimLeft(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	number := func(s string) (n int, rest string) {
		end := strings.IndexFunc(s, func(c rune) bool { return c < '0' || c > '9' })
		if end < 0 {
			end = len(s)
		}
		n, err := strconv.Atoi(s[:end])
		if err != nil || n > 10_000 {
			return 0, ""
		}
		return n, s[end:]
	}
	n, rest := number(name)
	if constrained, ok := strings.CutPrefix(rest, "-"); ok {
		if fewer, _ := number(constrained); fewer > 0 {
			return fewer
		}
	}
	return n
}

// spare is what a cluster has beside its own nodes at the most, while one of its
// pools goes: they go one after the other.
type spare struct {
	nodes, vcpus int
	sizes        map[string]int
}

// sparesOf adds nothing up: of the passes of a cluster the largest counts. cores
// are the vCPUs of a node by VM size, as nodes say.
func spareOf(c *Cluster, cores map[string]int) (s spare, unknown []string) {
	s.sizes = map[string]int{}
	for _, leg := range c.Legs {
		if leg.Pool == nil || leg.Pool.ExtraNodes == 0 {
			continue
		}
		p := leg.Pool
		n := cores[p.VMSize]
		if n == 0 {
			n = vcpus(p.VMSize)
		}
		if n == 0 && !slices.Contains(unknown, p.VMSize) {
			unknown = append(unknown, p.VMSize)
		}
		s.nodes, s.vcpus = max(s.nodes, p.ExtraNodes), max(s.vcpus, p.ExtraNodes*n)
		s.sizes[p.VMSize] = max(s.sizes[p.VMSize], p.ExtraNodes)
	}
	return s, unknown
}

// Peaks says how many nodes more than today there are at once in each region of
// each subscription while a ring is worked on, so many clusters at once. Which of
// them come together is not known beforehand, so the largest are taken to.
func Peaks(ring string, clusters []Cluster, atOnce int, cores map[string]int) []Peak {
	type place struct{ subscription, location string }
	spares := map[place][]spare{}
	unknown := map[place][]string{}
	for i := range clusters {
		c := &clusters[i]
		s, missing := spareOf(c, cores)
		if s.nodes == 0 || c.LeftAlone != "" {
			continue
		}
		at := place{c.Subscription, c.Location}
		spares[at] = append(spares[at], s)
		unknown[at] = append(unknown[at], missing...)
	}
	peaks := []Peak{}
	for at, list := range spares {
		p := Peak{Subscription: at.subscription, Location: at.location, Ring: ring, Sizes: []PeakSize{}, Unknown: []string{}}
		p.Nodes = largest(list, atOnce, func(s spare) int { return s.nodes })
		p.VCPUs = largest(list, atOnce, func(s spare) int { return s.vcpus })
		sizes := map[string]bool{}
		for _, s := range list {
			for size := range s.sizes {
				sizes[size] = true
			}
		}
		for size := range sizes {
			n := cmp.Or(cores[size], vcpus(size))
			nodes := largest(list, atOnce, func(s spare) int { return s.sizes[size] })
			p.Sizes = append(p.Sizes, PeakSize{VMSize: size, Nodes: nodes, VCPUs: nodes * n})
		}
		slices.SortFunc(p.Sizes, func(a, b PeakSize) int { return strings.Compare(a.VMSize, b.VMSize) })
		slices.Sort(unknown[at])
		p.Unknown = append(p.Unknown, slices.Compact(unknown[at])...)
		peaks = append(peaks, p)
	}
	sortPeaks(peaks)
	return peaks
}

// largest adds up the n largest of what is counted.
func largest(list []spare, n int, of func(spare) int) (sum int) {
	counts := make([]int, len(list))
	for i, s := range list {
		counts[i] = of(s)
	}
	slices.SortFunc(counts, func(a, b int) int { return b - a })
	for _, c := range counts[:min(max(1, n), len(counts))] {
		sum += c
	}
	return sum
}

func sortPeaks(peaks []Peak) {
	slices.SortFunc(peaks, func(a, b Peak) int {
		return cmp.Or(strings.Compare(a.Subscription, b.Subscription), strings.Compare(a.Location, b.Location))
	})
}

// highest is the worst of the rings' peaks for each region: rings go one after the
// other.
func highest(rings []Ring) []Peak {
	peaks := []Peak{}
	for i := range rings {
		for _, p := range rings[i].Peaks {
			at := slices.IndexFunc(peaks, func(q Peak) bool { return q.Subscription == p.Subscription && q.Location == p.Location })
			switch {
			case at < 0:
				peaks = append(peaks, p)
			case p.Nodes > peaks[at].Nodes || p.Nodes == peaks[at].Nodes && p.VCPUs > peaks[at].VCPUs:
				peaks[at] = p
			}
		}
	}
	sortPeaks(peaks)
	return peaks
}

// addUp fills in what a cluster's steps come to: its forecast, its bound and the
// hours of its extra nodes.
func (c *Cluster) addUp() {
	c.Forecast, c.NodeHours = evacuate.Forecast{}, 0
	c.Bound = evacuate.Limit{}
	worst := 0.0
	for _, leg := range c.Legs {
		c.Forecast.P50 += leg.Forecast.P50
		c.Forecast.P90 += leg.Forecast.P90
		p := leg.Pool
		if p == nil {
			continue
		}
		c.Forecast.P50 += p.SoakSeconds
		c.Forecast.P90 += p.SoakSeconds
		c.Bound.Seconds += p.Bound.Seconds + p.SoakSeconds
		if p.Bound.Seconds > worst {
			worst, c.Bound.Term, c.Bound.Object = p.Bound.Seconds, p.Bound.Term, p.Bound.Object
		}
		if p.SoakSeconds > worst {
			worst, c.Bound.Term, c.Bound.Object = p.SoakSeconds, TermSoak, "Pool/"+p.Name
		}
		c.NodeHours += p.NodeHours
	}
}

// boundOf is what no order of a ring's clusters can beat: its longest cluster, or
// all of them shared out over those that may go at once; and then its soak.
func boundOf(r *Ring) evacuate.Limit {
	var out evacuate.Limit
	sum := 0.0
	for i := range r.Clusters {
		c := &r.Clusters[i]
		if c.LeftAlone != "" {
			continue
		}
		sum += c.Bound.Seconds
		if c.Bound.Seconds > out.Seconds {
			out = c.Bound
			out.Object = c.Name + ": " + c.Bound.Object
		}
	}
	if shared := sum / float64(max(1, r.Concurrency)); shared > out.Seconds {
		out = evacuate.Limit{Term: "concurrency", Object: "ring " + r.Name, Seconds: shared}
	}
	if sum == 0 && len(r.Clusters) == 0 {
		return out
	}
	if r.SoakSeconds > out.Seconds {
		out.Term, out.Object = TermSoak, "ring "+r.Name
	}
	out.Seconds += r.SoakSeconds
	return out
}
