package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/config/v1alpha1"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/window"
)

const (
	day         = 24 * time.Hour
	maxRingSoak = 90 * day // node images are kept no longer
	maxExpires  = 366 * day
)

// rings checks the rings, one by one and against each other.
func (c *checker) rings(path string, list []v1alpha1.Ring, spec *fleet.Spec) []fleet.Ring {
	res := make([]fleet.Ring, 0, len(list))
	names, selectors := map[string]string{}, map[string]string{}
	for i, v := range list {
		at := item(path, i)
		c.name(field(at, "name"), v.Name)
		c.once(names, field(at, "name"), v.Name)
		c.within(field(at, "soak"), v.Soak, 0, maxRingSoak)
		r := fleet.Ring{
			Name:        v.Name,
			Select:      c.selector(field(at, "select"), v.Select, spec.Sources),
			Windows:     c.windows(field(at, "windows"), v.Windows),
			Freezes:     c.freezes(field(at, "freezes"), v.Freezes),
			OnClose:     fleet.OnClose(v.OnClose),
			Concurrency: v.Concurrency.Amount,
			Soak:        time.Duration(v.Soak),
			Failures:    fleet.FailurePolicy{Allowed: v.Failures.Allowed.Amount0, MinSuccess: v.Failures.MinSuccess.Amount, FailOnSetAside: v.Failures.SetAsideCounts},
		}
		r.Before, r.After = c.approvals(field(at, "approvals"), v.Approvals)
		if v.Target != nil {
			r.Target = c.ringTarget(field(at, "target"), *v.Target, i, spec.Target)
		}
		c.reachable(at, r, selectors, i == len(list)-1)
		c.opens(at, r, spec.Freezes)
		res = append(res, r)
	}
	return res
}

// selector checks which clusters a ring takes.
func (c *checker) selector(path string, v v1alpha1.Selector, sources []fleet.Source) fleet.Selector {
	if c.has(path) && reflect.ValueOf(v).IsZero() && c.sound(path) && !c.below[path] {
		c.bad(path, "selects nothing", "give names, tags, subscriptions, resourceGroups or locations")
	}
	c.patterns(field(path, "names"), v.Names, clusterName)
	c.patterns(field(path, "resourceGroups"), v.ResourceGroups, resourceGroup)
	c.tags(field(path, "tags"), v.Tags)
	for i, l := range v.Locations {
		if l != "" && !location.MatchString(l) {
			c.bad(item(field(path, "locations"), i), "is not the name of a region", "write it as Azure does in its API, such as westeurope or norwayeast")
		}
	}
	return fleet.Selector{
		Names: v.Names, Tags: v.Tags, ResourceGroups: v.ResourceGroups, Locations: v.Locations,
		Subscriptions: c.subscriptions(field(path, "subscriptions"), v.Subscriptions, sources),
	}
}

// reachable reports a ring that leaves others, or is left, without clusters.
// selectors says which ring has a selector already.
func (c *checker) reachable(at string, r fleet.Ring, selectors map[string]string, last bool) {
	sel := field(at, "select")
	if !c.has(sel) || c.below[sel] || !c.sound(sel) {
		return
	}
	key, err := json.Marshal(r.Select)
	if other, taken := selectors[string(key)]; err == nil && taken {
		c.bad(sel, "selects the same clusters as "+other, "a cluster belongs to one ring: tell them apart, or join the rings")
		return
	}
	selectors[string(key)] = at
	all := !reflect.ValueOf(r.Select).IsZero() && len(r.Select.Tags)+len(r.Select.Subscriptions)+len(r.Select.Locations) == 0 &&
		(len(r.Select.Names) == 0 || slices.Contains(r.Select.Names, "*")) &&
		(len(r.Select.ResourceGroups) == 0 || slices.Contains(r.Select.ResourceGroups, "*"))
	if all && !last {
		c.bad(sel, "selects every cluster, and leaves none for the rings after it", "a cluster belongs to one ring: select less")
	}
}

// windows checks when a ring's work may start.
func (c *checker) windows(path string, list []v1alpha1.Window) []fleet.Window {
	var res []fleet.Window
	for i, v := range list {
		at := item(path, i)
		zone := c.zoneOf(at, v.TimeZone, true)
		length := c.length(at, v)
		if zone == nil || length == 0 || !c.has(field(at, "start")) || c.below[at] {
			continue
		}
		w := fleet.Window{Start: fleet.TimeOfDay(v.Start), Duration: length, TimeZone: zone.String()}
		for _, d := range v.Days {
			w.Days = append(w.Days, time.Weekday(d))
		}
		slices.Sort(w.Days)
		for j, other := range res {
			if reflect.DeepEqual(other, w) {
				c.bad(at, "is the same window as "+item(path, j), "keep one of them")
			}
		}
		res = append(res, w)
	}
	return res
}

// length is how long a window is open; 0 where that is reported as a problem.
func (c *checker) length(at string, v v1alpha1.Window) time.Duration {
	start, end, duration := field(at, "start"), field(at, "end"), field(at, "duration")
	if c.sound(start) && time.Duration(v.Start)*time.Minute >= day {
		c.bad(start, "is the next day's midnight", `write "00:00", and the next day`)
		return 0
	}
	switch {
	case !c.sound(start, end, duration) || !c.has(start):
		return 0
	case c.has(end) && c.has(duration):
		c.bad(at, "gives both end and duration", "keep one of them")
		return 0
	case c.has(duration):
		if d := time.Duration(v.Duration); d > 0 && d < time.Minute || d > 7*day || d == 0 {
			c.bad(duration, "is a window that is never or always open", "write a duration from 1m to 7d; without windows, work may start at any time")
			return 0
		}
		return time.Duration(v.Duration)
	case !c.has(end):
		c.bad(at, "says when it opens and not when it closes", `add end, such as "17:00", or duration, such as 8h`)
		return 0
	case v.End == v.Start:
		c.bad(end, "is when the window opens, too", "for a whole day write duration: 24h")
		return 0
	}
	length := time.Duration(v.End-v.Start) * time.Minute
	if length < 0 {
		length += day
	}
	return length
}

// opens reports a ring that can never start.
func (c *checker) opens(at string, r fleet.Ring, frozen []fleet.Freeze) {
	if c.now.IsZero() || c.below[at] || c.below["spec.freezes"] {
		return
	}
	freezes := slices.Concat(frozen, r.Freezes)
	if _, open := window.Open(r.Windows, freezes, c.now); open {
		return
	}
	if _, _, ok := window.Next(r.Windows, freezes, c.now); !ok {
		c.bad(at, "can never start: its freezes cover all of its windows", "shorten the freezes or add a window")
	}
}

// approvals checks who must agree. Names are unique in the ring, because
// `liftlock approve` is given them.
func (c *checker) approvals(path string, v v1alpha1.Approvals) (before, after []fleet.Approval) {
	names := map[string]string{}
	check := func(path string, list []v1alpha1.Approval) []fleet.Approval {
		var res []fleet.Approval
		for i, a := range list {
			at := item(path, i)
			c.name(field(at, "name"), a.Name)
			c.once(names, field(at, "name"), a.Name)
			if expires := field(at, "expires"); c.has(expires) {
				c.within(expires, a.Expires, time.Minute, maxExpires)
			}
			res = append(res, fleet.Approval{Name: a.Name, Role: a.Role, Expires: time.Duration(a.Expires)})
		}
		return res
	}
	return check(field(path, "before"), v.Before), check(field(path, "after"), v.After)
}

// ringTarget checks the target of a ring that holds back.
func (c *checker) ringTarget(path string, v v1alpha1.Target, index int, whole fleet.Target) *fleet.Target {
	t := c.target(path, v)
	switch {
	case index == 0:
		c.bad(path, "is another target for the first ring", "the first ring resolves and proves the target of the fleet: change spec.target, or let a later ring hold back")
	case t.Channel == fleet.ChannelExact && whole.Channel == fleet.ChannelExact && whole.Version.Less(t.Version):
		c.bad(field(path, "version"), "is beyond the fleet's target, which no ring will have proven", "write "+whole.Version.String()+" or an earlier version")
	case t == whole && !c.below[path] && !c.below["spec.target"]:
		c.bad(path, "is the fleet's target", "remove it")
	}
	return &t
}

// within checks the bounds of a duration.
func (c *checker) within(path string, d v1alpha1.Duration, least, most time.Duration) {
	switch t := time.Duration(d); {
	case !c.sound(path):
	case t < least && least == time.Minute:
		c.bad(path, "is too short", "write at least 1m")
	case t > most && most < day:
		c.bad(path, "is too long", fmt.Sprintf("write at most %dm", int(most.Minutes())))
	case t > most:
		c.bad(path, "is too long", fmt.Sprintf("write at most %dd", most/day))
	}
}
