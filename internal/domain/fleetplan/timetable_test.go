package fleetplan

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/window"
)

func at(tb testing.TB, s string) time.Time {
	tb.Helper()
	moment, err := time.Parse(time.RFC3339, s)
	if err != nil {
		tb.Fatal(err)
	}
	return moment
}

const oslo = "Europe/Oslo"

func nightly(start, hours int) []fleet.Window {
	return []fleet.Window{{Start: fleet.TimeOfDay(start * 60), Duration: time.Duration(hours) * time.Hour, TimeZone: oslo}}
}

// plain is a cluster whose work is one stretch, and that is started where it fits.
func plain(id string, takes time.Duration) Work {
	return Work{ID: id, Needs: takes, Parts: []Part{{Takes: takes}}}
}

func TestSchedule(t *testing.T) {
	hour := time.Hour
	for _, tc := range []struct {
		name   string
		hours  Hours
		atOnce int
		works  []Work
		from   string
		want   string
	}{
		{
			"always open, one after the other",
			Hours{},
			1,
			[]Work{plain("a", hour), plain("b", 2*hour)},
			"2026-03-02T08:00:00Z",
			"a Mon 08:00 to Mon 09:00; b Mon 09:00 to Mon 11:00",
		},
		{
			"two at once",
			Hours{},
			2,
			[]Work{plain("a", hour), plain("b", 3*hour), plain("c", hour)},
			"2026-03-02T08:00:00Z",
			"a Mon 08:00 to Mon 09:00; b Mon 08:00 to Mon 11:00; c Mon 09:00 to Mon 10:00",
		},
		{"no cluster", Hours{Windows: nightly(9, 6)}, 1, nil, "2026-03-02T08:00:00Z", ""},
		{
			"over midnight",
			Hours{Windows: nightly(22, 6)},
			1,
			[]Work{plain("a", 3*hour), plain("b", 3*hour), plain("c", hour)},
			"2026-03-02T12:00:00Z",
			"a Mon 21:00 to Tue 00:00; b Tue 00:00 to Tue 03:00; c Tue 21:00 to Tue 22:00",
		},
		{
			"in the midst of a window",
			Hours{Windows: nightly(9, 6)},
			1,
			[]Work{plain("a", hour)},
			"2026-03-02T10:30:00Z",
			"a Mon 10:30 to Mon 11:30",
		},
		{
			"too late for the long one, not for the short one",
			Hours{Windows: nightly(9, 6)},
			1,
			[]Work{plain("a", 4*hour), plain("b", hour)},
			"2026-03-02T11:00:00Z",
			"b Mon 11:00 to Mon 12:00; a Tue 08:00 to Tue 12:00",
		},
		// 01:00 for four hours ends at 05:00 on the wall: three hours where clocks
		// go forward, five where they go back.
		{
			"the night of three hours is too short",
			Hours{Windows: nightly(1, 4)},
			1,
			[]Work{plain("a", 3*hour+30*time.Minute)},
			"2026-03-28T12:00:00Z",
			"a Sun 23:00 to Mon 02:30",
		},
		{
			"the night of five hours is long enough",
			Hours{Windows: nightly(1, 4)},
			1,
			[]Work{plain("a", 4*hour+30*time.Minute)},
			"2026-10-20T12:00:00Z",
			"a Sat 23:00 to Sun 03:30",
		},
		{
			"a freeze cuts the window",
			Hours{Windows: nightly(9, 6), Freezes: []fleet.Freeze{{Name: "audit", From: at(t, "2026-03-02T10:00:00Z"), Until: at(t, "2026-03-03T09:00:00Z")}}},
			1,
			[]Work{plain("a", 3*hour), plain("b", 2*hour)},
			"2026-03-02T08:00:00Z",
			"b Mon 08:00 to Mon 10:00; a Tue 09:00 to Tue 12:00",
		},
		{
			"a freeze alone",
			Hours{Freezes: []fleet.Freeze{{From: at(t, "2026-03-01T00:00:00Z"), Until: at(t, "2026-03-03T09:00:00Z")}}},
			1,
			[]Work{plain("a", hour)},
			"2026-03-02T08:00:00Z", "a Tue 09:00 to Tue 10:00",
		},
		{
			"what is not done waits for the next window",
			Hours{Windows: nightly(9, 2), OnClose: fleet.FinishWave},
			1,
			[]Work{{ID: "a", Needs: hour, Parts: []Part{{Takes: 5 * hour}}}},
			"2026-03-02T08:00:00Z", "a Mon 08:00 to Wed 09:00",
		},
		{
			"what was started is finished",
			Hours{Windows: nightly(9, 2), OnClose: fleet.FinishCluster},
			1,
			[]Work{{ID: "a", Needs: hour, Parts: []Part{{Takes: 5 * hour}}}},
			"2026-03-02T08:00:00Z", "a Mon 08:00 to Mon 13:00",
		},
		{
			"a soak passes while the window is closed",
			Hours{Windows: nightly(9, 2), OnClose: fleet.FinishWave},
			1,
			[]Work{{ID: "a", Needs: hour, Parts: []Part{{Takes: hour}, {Takes: 10 * hour, Soak: true}, {Takes: hour}}}},
			"2026-03-02T08:00:00Z", "a Mon 08:00 to Tue 09:00",
		},
		{
			"a pool that is too late waits for the next window",
			Hours{Windows: nightly(9, 4), OnClose: fleet.FinishWave},
			1,
			[]Work{{ID: "a", Needs: hour, Parts: []Part{{Takes: 2 * hour}, {Takes: hour, Needs: 3 * hour}}}},
			"2026-03-02T08:00:00Z", "a Mon 08:00 to Tue 09:00",
		},
		{
			"no window is long enough to start",
			Hours{Windows: nightly(9, 2)},
			1,
			[]Work{plain("a", 3*hour), plain("b", hour)},
			"2026-03-02T08:00:00Z",
			"b Mon 08:00 to Mon 09:00; never a",
		},
		{
			"no window is long enough for a pool",
			Hours{Windows: nightly(9, 2), OnClose: fleet.PauseAtOnce},
			1,
			[]Work{{ID: "a", Needs: hour, Parts: []Part{{Takes: hour, Needs: 3 * hour}}}},
			"2026-03-02T08:00:00Z", "; never a",
		},
		{"a window that cannot be read", Hours{Windows: []fleet.Window{{Duration: hour, TimeZone: "Nowhere"}}}, 1, []Work{plain("a", hour)}, "2026-03-02T08:00:00Z", "; never a"},
		{
			"less than one at once is one",
			Hours{},
			0,
			[]Work{plain("a", hour), plain("b", hour)},
			"2026-03-02T08:00:00Z",
			"a Mon 08:00 to Mon 09:00; b Mon 09:00 to Mon 10:00",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := Schedule(tc.hours, tc.atOnce, tc.works, at(t, tc.from))
			var got []string
			for _, s := range table.Slots {
				got = append(got, fmt.Sprintf("%s %s to %s", s.ID, s.Starts.UTC().Format("Mon 15:04"), s.Ends.UTC().Format("Mon 15:04")))
			}
			text := strings.Join(got, "; ")
			if len(table.Never) > 0 {
				text += "; never " + strings.Join(table.Never, ", ")
			}
			if text != tc.want {
				t.Errorf("got  %s\nwant %s", text, tc.want)
			}
		})
	}
}

// TestScheduleKeepsTheRules holds random timetables to what a ring may do.
func TestScheduleKeepsTheRules(t *testing.T) {
	zones := []string{"Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "UTC"}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		from := time.Date(2026, time.Month(1+rng.IntN(12)), 1+rng.IntN(28), rng.IntN(24), 0, 0, 0, time.UTC)
		var h Hours
		h.OnClose = []fleet.OnClose{fleet.FinishWave, fleet.FinishCluster, fleet.PauseAtOnce}[rng.IntN(3)]
		for range rng.IntN(3) {
			h.Windows = append(h.Windows, fleet.Window{
				Days: []time.Weekday{time.Weekday(rng.IntN(7)), time.Weekday(rng.IntN(7))}, Start: fleet.TimeOfDay(rng.IntN(1440)),
				Duration: time.Duration(1+rng.IntN(12)) * time.Hour, TimeZone: zones[rng.IntN(len(zones))],
			})
		}
		for range rng.IntN(3) {
			begin := from.Add(time.Duration(rng.IntN(400)) * time.Hour)
			h.Freezes = append(h.Freezes, fleet.Freeze{From: begin, Until: begin.Add(time.Duration(rng.IntN(100)) * time.Hour)})
		}
		var works []Work
		for i := range rng.IntN(6) {
			w := Work{ID: fmt.Sprint(i), Needs: time.Duration(rng.IntN(300)) * time.Minute}
			for range rng.IntN(4) {
				w.Parts = append(w.Parts, Part{Takes: time.Duration(rng.IntN(400)) * time.Minute, Soak: rng.IntN(3) == 0, Needs: time.Duration(rng.IntN(100)) * time.Minute})
			}
			works = append(works, w)
		}
		atOnce := 1 + rng.IntN(3)
		table := Schedule(h, atOnce, works, from)
		if len(table.Slots)+len(table.Never) != len(works) {
			t.Fatalf("seed %d: %d clusters, %d slots, never %v", seed, len(works), len(table.Slots), table.Never)
		}
		for _, s := range table.Slots {
			var w Work
			for _, one := range works {
				if one.ID == s.ID {
					w = one
				}
			}
			if s.Starts.Before(from) || s.Ends.Sub(s.Starts) < w.total() {
				t.Errorf("seed %d: cluster %s from %s to %s takes %s", seed, s.ID, s.Starts, s.Ends, w.total())
			}
			if !window.Fits(h.Windows, h.Freezes, s.Starts, w.Needs) {
				t.Errorf("seed %d: cluster %s starts %s, where no window is open for %s", seed, s.ID, s.Starts, w.Needs)
			}
			under := 0
			for _, other := range table.Slots {
				if !other.Starts.After(s.Starts) && other.Ends.After(s.Starts) {
					under++
				}
			}
			if under > atOnce {
				t.Errorf("seed %d: %d clusters at once at %s, %d may", seed, under, s.Starts, atOnce)
			}
		}
	}
}

// fitting is what a ring's calendar says, in a few lines.
func fitting(c *Calendar, zone *time.Location) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", c.Fit.Verdict, c.Fit.Says)
	for _, s := range c.Fit.Change {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	for _, f := range c.Freezes {
		fmt.Fprintf(&b, "freeze %s\n", f.Name)
	}
	for _, o := range c.Openings {
		used := ""
		if o.Used {
			used = " used"
		}
		closes := "…"
		if !o.Closes.IsZero() {
			closes = o.Closes.In(zone).Format("Mon 15:04")
		}
		fmt.Fprintf(&b, "open %s to %s%s\n", o.Opens.In(zone).Format("Mon 2 Jan 15:04"), closes, used)
	}
	return strings.TrimSpace(b.String())
}

func TestFit(t *testing.T) {
	hour := time.Hour
	names := map[string]string{"a": "prod-a", "b": "prod-b", "c": "prod-c", "d": "prod-d", "e": "prod-e", "f": "prod-f"}
	weekends := []fleet.Window{{Days: []time.Weekday{time.Saturday}, Start: 8 * 60, Duration: 10 * hour, TimeZone: oslo}}
	long := plain("a", 3*hour)
	long.Needs = hour
	for _, tc := range []struct {
		name   string
		hours  Hours
		atOnce int
		works  []Work
		want   string
	}{
		{"no window", Hours{}, 1, []Work{plain("a", hour)}, "always: no window bounds it: work may start at any time"},
		{"no cluster", Hours{Windows: weekends}, 1, nil, "nothing: no cluster of the ring is to be upgraded"},
		{"one window", Hours{Windows: weekends}, 1, []Work{plain("a", hour), plain("b", 2*hour)}, `
fits: takes at most 3h in nine of ten cases, and the window is open from Sat 2026-03-07 08:00 Europe/Oslo to Sat 2026-03-07 18:00 Europe/Oslo
open Sat 7 Mar 08:00 to Sat 18:00 used
open Sat 14 Mar 08:00 to Sat 18:00
open Sat 21 Mar 08:00 to Sat 18:00
open Sat 28 Mar 08:00 to Sat 18:00`},
		{"three windows", Hours{Windows: weekends}, 1, []Work{plain("a", 6*hour), plain("b", 6*hour), plain("c", 6*hour)}, `
several: every cluster fits a window; all of them take 3 windows (18h of work in nine of ten cases at most, a window has 10h)
  concurrency 3 (now 1) does all of them in one window, if the quota allows
  or a window of 18h (now 10h) holds all of them
open Sat 7 Mar 08:00 to Sat 18:00 used
open Sat 14 Mar 08:00 to Sat 18:00 used
open Sat 21 Mar 08:00 to Sat 18:00 used
open Sat 28 Mar 08:00 to Sat 18:00
open Sat 4 Apr 08:00 to Sat 18:00
open Sat 11 Apr 08:00 to Sat 18:00`},
		{"a freeze takes a window", Hours{Windows: weekends, Freezes: []fleet.Freeze{
			{Name: "release", From: at(t, "2026-03-06T00:00:00Z"), Until: at(t, "2026-03-09T00:00:00Z")},
			{Name: "on weekdays", From: at(t, "2026-03-10T00:00:00Z"), Until: at(t, "2026-03-11T00:00:00Z")},
			{Name: "long ago", From: at(t, "2026-01-10T00:00:00Z"), Until: at(t, "2026-01-11T00:00:00Z")},
			{Name: "far ahead", From: at(t, "2026-06-10T00:00:00Z"), Until: at(t, "2026-07-11T00:00:00Z")},
		}}, 1, []Work{plain("a", hour)}, `
fits: takes at most 1h in nine of ten cases, and the window is open from Sat 2026-03-14 08:00 Europe/Oslo to Sat 2026-03-14 18:00 Europe/Oslo
freeze release
open Sat 14 Mar 08:00 to Sat 18:00 used
open Sat 21 Mar 08:00 to Sat 18:00
open Sat 28 Mar 08:00 to Sat 18:00
open Sat 4 Apr 08:00 to Sat 18:00`},
		{"runs over", Hours{Windows: nightly(9, 2), OnClose: fleet.FinishWave}, 1, []Work{long}, `
runsOver: prod-a may not be done when the window closes (up to 1h are missing): the rest waits for the next window, and old and new nodes stand until then
  a window of 3h (now 2h) is long enough for each of them
  onClose: finishCluster finishes after the close what was started
  a shorter soak of their pools, or a faster pace (nodes.pace), takes less of it
open Tue 3 Mar 09:00 to Tue 11:00 used
open Wed 4 Mar 09:00 to Wed 11:00 used
open Thu 5 Mar 09:00 to Thu 11:00
open Fri 6 Mar 09:00 to Fri 11:00
open Sat 7 Mar 09:00 to Sat 11:00`},
		{"runs over and is finished", Hours{Windows: nightly(9, 2), OnClose: fleet.FinishCluster}, 1, []Work{long}, `
runsOver: prod-a may not be done when the window closes, and would be worked on for up to 1h after it (onClose: finishCluster)
  a window of 3h (now 2h) is long enough for each of them
  a shorter soak of their pools, or a faster pace (nodes.pace), takes less of it
open Tue 3 Mar 09:00 to Tue 11:00 used
open Wed 4 Mar 09:00 to Wed 11:00
open Thu 5 Mar 09:00 to Thu 11:00
open Fri 6 Mar 09:00 to Fri 11:00`},
		{"never", Hours{Windows: nightly(9, 2)}, 1, []Work{
			plain("a", 100*time.Minute), plain("b", 130*time.Minute), plain("c", 200*time.Minute), plain("d", 3*hour), plain("e", 3*hour), plain("f", 3*hour),
		}, `
never: prod-b, prod-c, prod-d, prod-e and 1 more would never be started: a rollout wants 3h 20m left of the window for it, and the longest window has 2h
  make a window at least 3h 30m long
open Tue 3 Mar 09:00 to Tue 11:00 used
open Wed 4 Mar 09:00 to Wed 11:00
open Thu 5 Mar 09:00 to Thu 11:00
open Fri 6 Mar 09:00 to Fri 11:00`},
		{"frozen for years", Hours{Windows: nightly(9, 2), Freezes: []fleet.Freeze{{Name: "for good", From: at(t, "2026-01-01T00:00:00Z"), Until: at(t, "2036-01-01T00:00:00Z")}}}, 1, []Work{plain("a", hour)}, `
never: prod-a would never start: no window opens within 100 days
  give the ring a window that no freeze covers
freeze for good`},
		{"no such zone", Hours{Windows: []fleet.Window{{Duration: hour, TimeZone: "Nowhere"}}}, 1, []Work{plain("a", hour)}, `
never: nothing starts: window 1: time zone "Nowhere" cannot be loaded: unknown time zone Nowhere
  correct the window`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			from := at(t, "2026-03-02T12:00:00Z")
			r := RingHours{Ring: fleet.Ring{Name: "prod", Soak: hour}, Hours: tc.hours, AtOnce: tc.atOnce, Usual: tc.works, Late: tc.works, From: from, FromLate: from, Names: names}
			calendar, _, ok := r.Fill()
			if never := calendar.Fit.Verdict == NeverFits; ok == never {
				t.Errorf("ok is %t", ok)
			}
			if ok && len(tc.works) > 0 && !calendar.Proven.Equal(calendar.Ends.Add(hour)) {
				t.Errorf("ends %s, proven %s", calendar.Ends, calendar.Proven)
			}
			if diff := cmp.Diff(strings.TrimSpace(tc.want), fitting(&calendar, r.Zone())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSay(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0m", time.Second: "1s", 59 * time.Second: "59s", 61 * time.Second: "2m", time.Minute: "1m", 90 * time.Minute: "1h 30m", 59*time.Minute + 59*time.Second: "1h", 50 * time.Hour: "50h", 72 * time.Hour: "3d", 100*time.Hour + time.Minute: "4d 5h"} {
		if got := Say(d); got != want {
			t.Errorf("%s is said as %s, want %s", d, got, want)
		}
	}
}
