package window_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/window"
)

// scan answers for every minute of a stretch whether work may start, by
// watching the clock on the wall go by. It shares nothing with the package: a
// clock that was set back shows times it has shown before, and those count as
// past (so a window opens once); a clock that was set forward has passed all
// that it skipped.
func scan(t *testing.T, windows []fleet.Window, freezes []fleet.Freeze, from time.Time, minutes int) []bool {
	t.Helper()
	open := make([]bool, minutes)
	for _, w := range windows {
		zone, err := time.LoadLocation(w.TimeZone)
		if err != nil {
			t.Fatal(err)
		}
		var shown time.Time // the latest that the clock has shown
		for i := -4 * 24 * 60; i < minutes; i++ {
			local := from.Add(time.Duration(i) * time.Minute).In(zone)
			clock := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), 0, 0, time.UTC)
			if clock.After(shown) {
				shown = clock
			}
			if i < 0 {
				continue
			}
			for back := 0; back <= 9; back++ {
				date := time.Date(shown.Year(), shown.Month(), shown.Day()-back, 0, 0, 0, 0, time.UTC)
				if len(w.Days) > 0 && !slices.Contains(w.Days, date.Weekday()) {
					continue
				}
				opens := date.Add(time.Duration(w.Start) * time.Minute)
				if !shown.Before(opens) && shown.Before(opens.Add(w.Duration)) {
					open[i] = true
				}
			}
		}
	}
	for i := range open {
		at := from.Add(time.Duration(i) * time.Minute)
		open[i] = open[i] || len(windows) == 0
		for _, f := range freezes {
			if !at.Before(f.From) && at.Before(f.Until) {
				open[i] = false
			}
		}
	}
	return open
}

// strange are moments at which clocks did something.
var strange = []struct {
	zone string
	at   string // the stretch begins then
}{
	{"Europe/Oslo", "2026-03-27T00:00:00Z"},         // forward an hour on the 29th
	{"Europe/Oslo", "2026-10-23T00:00:00Z"},         // back an hour on the 25th
	{"America/New_York", "2026-03-06T00:00:00Z"},    // forward on the 8th
	{"America/New_York", "2026-10-30T00:00:00Z"},    // back on 1 November
	{"Australia/Lord_Howe", "2026-04-03T00:00:00Z"}, // back half an hour on the 5th
	{"Australia/Lord_Howe", "2026-10-02T00:00:00Z"}, // forward half an hour on the 4th
	{"Pacific/Apia", "2011-12-28T00:00:00Z"},        // the 30th did not happen
	{"Asia/Kathmandu", "2026-06-01T00:00:00Z"},      // 5:45 ahead
	{"America/Sao_Paulo", "2018-11-02T00:00:00Z"},   // forward at midnight: the day begins at 01:00
	{"Africa/Casablanca", "2026-02-13T00:00:00Z"},   // back for Ramadan
	{"UTC", "2026-12-30T00:00:00Z"},
}

const stretch = 5 * 24 * 60 // minutes

func TestAgainstMinuteScan(t *testing.T) {
	for i, s := range strange {
		t.Run(fmt.Sprintf("%s %.10s", s.zone, s.at), func(t *testing.T) {
			rounds := 2
			if testing.Short() {
				rounds = 1
			}
			for round := range rounds {
				compare(t, s.zone, s.at, uint64(i), uint64(round))
			}
		})
	}
}

func FuzzAgainstMinuteScan(f *testing.F) {
	for i := range strange {
		f.Add(uint64(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, which, seed uint64) {
		s := strange[which%uint64(len(strange))]
		compare(t, s.zone, s.at, which, seed)
	})
}

// compare draws windows and freezes and holds the package to the scan.
func compare(t *testing.T, zone, at string, a, b uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(a, b))
	from, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Fatal(err)
	}
	var windows []fleet.Window
	for range random.IntN(4) {
		w := fleet.Window{
			Start:    fleet.TimeOfDay(random.IntN(24 * 60)),
			Duration: time.Duration(1+random.IntN(14*60)) * time.Minute,
			TimeZone: zone,
		}
		switch random.IntN(4) {
		case 0: // near the changes, which happen at night
			w.Start = fleet.TimeOfDay(random.IntN(4 * 60))
		case 1:
			w.Duration = time.Duration(1+random.IntN(72*60)) * time.Minute
		case 2:
			w.TimeZone = strange[random.IntN(len(strange))].zone
		}
		for d := range time.Saturday + 1 {
			if random.IntN(2) == 0 {
				w.Days = append(w.Days, d)
			}
		}
		windows = append(windows, w)
	}
	var freezes []fleet.Freeze
	for range random.IntN(3) {
		begin := from.Add(time.Duration(random.IntN(stretch)) * time.Minute)
		freezes = append(freezes, fleet.Freeze{From: begin, Until: begin.Add(time.Duration(random.IntN(30*60)) * time.Minute)})
	}

	want := scan(t, windows, freezes, from, stretch)
	minute := func(i int) time.Time { return from.Add(time.Duration(i) * time.Minute) }
	index := func(at time.Time) int { return int(at.Sub(from) / time.Minute) }
	for i := 0; i < len(want); i++ {
		o, open := window.Open(windows, freezes, minute(i))
		if open != want[i] {
			t.Fatalf("%s: open %v, the scan says %v\nwindows %+v\nfreezes %+v", minute(i), open, want[i], windows, freezes)
		}
		if open {
			opens, closes := i, i
			for opens > 0 && want[opens-1] {
				opens--
			}
			for closes < len(want) && want[closes] {
				closes++
			}
			if opens > 0 && index(o.Opens) != opens {
				t.Fatalf("%s: opens %s, the scan says %s", minute(i), o.Opens, minute(opens))
			}
			if closes < len(want) && index(o.Closes) != closes {
				t.Fatalf("%s: closes %s, the scan says %s", minute(i), o.Closes, minute(closes))
			}
			if closes < len(want) {
				left := time.Duration(closes-i) * time.Minute
				if !window.Fits(windows, freezes, minute(i), left) || window.Fits(windows, freezes, minute(i), left+time.Second) {
					t.Fatalf("%s: %s are left, and Fits does not say so", minute(i), left)
				}
			}
		}
		// Neighbours say the same: on to just before the next change.
		same := slices.Index(want[i:], !want[i])
		if same < 0 {
			same = 1000
		}
		if same > 2 {
			i += random.IntN(same - 1)
		}
	}
	for range 15 {
		i := random.IntN(len(want) - 1)
		next := i + 1
		for next < len(want) && (!want[next] || want[next-1]) {
			next++
		}
		opens, _, ok := window.Next(windows, freezes, minute(i))
		if next < len(want) && (!ok || index(opens) != next) {
			t.Fatalf("next after %s: %s (%v), the scan says %s\nwindows %+v\nfreezes %+v", minute(i), opens, ok, minute(next), windows, freezes)
		}
		if next == len(want) && ok && opens.Before(minute(len(want)-1)) {
			t.Fatalf("next after %s: %s, the scan says none", minute(i), opens)
		}
	}
}
