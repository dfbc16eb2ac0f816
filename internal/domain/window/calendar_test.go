package window_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/window"
)

var update = flag.Bool("update", false, "write what the tests found into testdata")

// at reads a moment.
func at(tb testing.TB, s string) time.Time {
	tb.Helper()
	res, err := time.Parse(time.RFC3339, s)
	if err != nil {
		tb.Fatal(err)
	}
	return res
}

// TestCalendars writes a fortnight of openings around each change of clocks as
// a person would check them: on the wall's clock, with its offset.
func TestCalendars(t *testing.T) {
	weekdays := []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
	shapes := []struct {
		name    string
		windows func(zone string) []fleet.Window
	}{
		{"nights 22:00-04:00", func(zone string) []fleet.Window {
			return []fleet.Window{{Start: 22 * 60, Duration: 6 * time.Hour, TimeZone: zone}}
		}},
		{"daily 02:30-03:30", func(zone string) []fleet.Window {
			return []fleet.Window{{Start: 2*60 + 30, Duration: time.Hour, TimeZone: zone}}
		}},
		{"daily 02:10-02:20", func(zone string) []fleet.Window {
			return []fleet.Window{{Start: 2*60 + 10, Duration: 10 * time.Minute, TimeZone: zone}}
		}},
		{"weekdays 09:00-17:00 and Fri 16:00 for 10h", func(zone string) []fleet.Window {
			return []fleet.Window{
				{Days: weekdays, Start: 9 * 60, Duration: 8 * time.Hour, TimeZone: zone},
				{Days: []time.Weekday{time.Friday}, Start: 16 * 60, Duration: 10 * time.Hour, TimeZone: zone},
			}
		}},
		{"all day, every day but Sunday", func(zone string) []fleet.Window {
			return []fleet.Window{{Days: []time.Weekday{1, 2, 3, 4, 5, 6}, Start: 0, Duration: 24 * time.Hour, TimeZone: zone}}
		}},
	}
	for _, c := range []struct{ zone, name, from string }{
		{"Europe/Oslo", "spring", "2026-03-26T12:00:00Z"},
		{"Europe/Oslo", "autumn", "2026-10-22T12:00:00Z"},
		{"America/New_York", "spring", "2026-03-05T17:00:00Z"},
		{"America/New_York", "autumn", "2026-10-29T17:00:00Z"},
		{"Australia/Lord_Howe", "spring", "2026-10-01T02:00:00Z"},
		{"Australia/Lord_Howe", "autumn", "2026-04-02T02:00:00Z"},
		{"Pacific/Apia", "the day that was skipped", "2011-12-27T22:00:00Z"},
	} {
		name := strings.ReplaceAll(c.zone, "/", "-") + " " + c.name
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, shape := range shapes {
				fmt.Fprintf(&b, "%s\n", shape.name)
				windows := shape.windows(c.zone)
				end := at(t, c.from).Add(6 * 24 * time.Hour)
				for after := at(t, c.from); ; {
					opens, closes, ok := window.Next(windows, nil, after)
					if !ok || opens.After(end) {
						break
					}
					const layout = "Mon 02 15:04 -0700"
					fmt.Fprintf(&b, "\t%s  to  %s  (%s)\n", opens.In(zone).Format(layout), closes.In(zone).Format(layout), closes.Sub(opens))
					after = opens
				}
			}
			path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		})
	}
}

// TestDayBelongsToOpening: the part after midnight belongs to the evening
// before, on listed days and on others.
func TestDayBelongsToOpening(t *testing.T) {
	fridays := []fleet.Window{{Days: []time.Weekday{time.Friday}, Start: 22 * 60, Duration: 6 * time.Hour, TimeZone: "Europe/Oslo"}}
	for _, c := range []struct {
		at   string
		want bool
	}{
		{"2026-11-27T01:00:00+01:00", false}, // Friday, before
		{"2026-11-27T21:59:59+01:00", false},
		{"2026-11-27T22:00:00+01:00", true},
		{"2026-11-28T01:00:00+01:00", true}, // Saturday
		{"2026-11-28T03:59:59+01:00", true},
		{"2026-11-28T04:00:00+01:00", false},
		{"2026-11-28T22:30:00+01:00", false},
	} {
		if _, got := window.Open(fridays, nil, at(t, c.at)); got != c.want {
			t.Errorf("open at %s: %v, want %v", c.at, got, c.want)
		}
	}
}

func TestUnbounded(t *testing.T) {
	now := at(t, "2026-11-24T12:00:00Z")
	if o, ok := window.Open(nil, nil, now); !ok || !o.Opens.IsZero() || !o.Closes.IsZero() {
		t.Errorf("without windows: %+v, %v", o, ok)
	}
	always := []fleet.Window{{Start: 0, Duration: 24 * time.Hour, TimeZone: "UTC"}}
	if o, ok := window.Open(always, nil, now); !ok || !o.Closes.IsZero() {
		t.Errorf("every whole day: %+v, %v", o, ok)
	}
	if !window.Fits(always, nil, now, 40*24*time.Hour) {
		t.Error("forty days do not fit into all days")
	}
	freeze := []fleet.Freeze{{Name: "christmas", From: at(t, "2026-12-20T00:00:00Z"), Until: at(t, "2027-01-03T00:00:00Z")}}
	o, ok := window.Open(nil, freeze, now)
	if !ok || !o.Closes.Equal(freeze[0].From) {
		t.Errorf("before a freeze: %+v, %v", o, ok)
	}
	opens, closes, ok := window.Next(nil, freeze, now)
	if !ok || !opens.Equal(freeze[0].Until) || !closes.IsZero() {
		t.Errorf("after a freeze: %s, %s, %v", opens, closes, ok)
	}
}

func TestNextFit(t *testing.T) {
	windows := []fleet.Window{
		{Days: []time.Weekday{time.Tuesday}, Start: 9 * 60, Duration: 2 * time.Hour, TimeZone: "UTC"},
		{Days: []time.Weekday{time.Saturday}, Start: 9 * 60, Duration: 12 * time.Hour, TimeZone: "UTC"},
	}
	now := at(t, "2026-11-24T10:00:00Z") // Tuesday
	for _, c := range []struct {
		takes time.Duration
		want  string
	}{
		{time.Hour, "2026-11-28T09:00:00Z"},
		{12 * time.Hour, "2026-11-28T09:00:00Z"},
	} {
		opens, _, ok := window.NextFit(windows, nil, now, c.takes)
		if !ok || !opens.Equal(at(t, c.want)) {
			t.Errorf("%s: %s, %v, want %s", c.takes, opens, ok, c.want)
		}
	}
	if _, _, ok := window.NextFit(windows, nil, now, 13*time.Hour); ok {
		t.Error("thirteen hours fit into twelve")
	}
	freeze := []fleet.Freeze{{From: at(t, "2026-11-28T15:00:00Z"), Until: at(t, "2026-11-29T00:00:00Z")}}
	opens, _, ok := window.NextFit(windows, freeze, now, 8*time.Hour)
	if !ok || !opens.Equal(at(t, "2026-12-05T09:00:00Z")) {
		t.Errorf("with a freeze in the afternoon: %s, %v", opens, ok)
	}
}

// TestUnreadable: what cannot be read opens nothing, even beside windows that
// can be.
func TestUnreadable(t *testing.T) {
	good := fleet.Window{Start: 0, Duration: 24 * time.Hour, TimeZone: "UTC"}
	for name, bad := range map[string]fleet.Window{
		"unknown zone":  {Start: 9 * 60, Duration: time.Hour, TimeZone: "Mars/Olympus"},
		"no zone":       {Start: 9 * 60, Duration: time.Hour},
		"local zone":    {Start: 9 * 60, Duration: time.Hour, TimeZone: "Local"},
		"zone in files": {Start: 9 * 60, Duration: time.Hour, TimeZone: "../../etc/passwd"},
		"no duration":   {Start: 9 * 60, TimeZone: "UTC"},
		"negative":      {Start: 9 * 60, Duration: -time.Hour, TimeZone: "UTC"},
		"endless":       {Start: 9 * 60, Duration: 1<<63 - 1, TimeZone: "UTC"},
		"start":         {Start: 24 * 60, Duration: time.Hour, TimeZone: "UTC"},
		"start before":  {Start: -1, Duration: time.Hour, TimeZone: "UTC"},
		"day":           {Days: []time.Weekday{7}, Start: 0, Duration: time.Hour, TimeZone: "UTC"},
	} {
		t.Run(name, func(t *testing.T) {
			windows := []fleet.Window{good, bad}
			now := at(t, "2026-11-24T09:30:00Z")
			if o, ok := window.Open(windows, nil, now); ok {
				t.Errorf("open: %+v", o)
			}
			if opens, _, ok := window.Next(windows, nil, now); ok {
				t.Errorf("opens at %s", opens)
			}
			if window.Fits(windows, nil, now, 0) {
				t.Error("work fits")
			}
			err := window.Check(windows)
			if err == nil || !strings.HasPrefix(err.Error(), "window 2: ") {
				t.Errorf("Check: %v", err)
			}
			if got := window.Reason("ring test", windows, nil, now); !strings.HasPrefix(got, "ring test: nothing starts, because window 2: ") {
				t.Errorf("reason: %s", got)
			}
		})
	}
}

func TestReason(t *testing.T) {
	office := []fleet.Window{{Days: []time.Weekday{time.Tuesday}, Start: 9 * 60, Duration: 8 * time.Hour, TimeZone: "Europe/Oslo"}}
	christmas := []fleet.Freeze{{Name: "christmas", From: at(t, "2026-12-19T23:00:00Z"), Until: at(t, "2027-01-02T23:00:00Z"), TimeZone: "Europe/Oslo"}}
	forever := []fleet.Freeze{{Name: "forever", From: at(t, "2026-01-01T00:00:00Z"), Until: at(t, "2036-01-01T00:00:00Z")}}
	for _, c := range []struct {
		name    string
		windows []fleet.Window
		freezes []fleet.Freeze
		at      string
		want    string
	}{
		{"closed", office, nil, "2026-11-23T12:00:00Z", "ring test: next window opens Tue 2026-11-24 09:00 Europe/Oslo"},
		{"open", office, nil, "2026-11-24T12:00:00Z", "ring test: window is open until Tue 2026-11-24 17:00 Europe/Oslo"},
		{"no windows", nil, nil, "2026-11-24T12:00:00Z", "ring test: work may start at any time"},
		{"before a freeze", nil, christmas, "2026-11-24T12:00:00Z", "ring test: open until a freeze begins Sun 2026-12-20 00:00 Europe/Oslo"},
		{"frozen", nil, christmas, "2026-12-24T12:00:00Z", "ring test: frozen by christmas until Sun 2027-01-03 00:00 Europe/Oslo"},
		{"frozen windows", office, christmas, "2026-12-22T12:00:00Z", "ring test: frozen by christmas until Sun 2027-01-03 00:00 Europe/Oslo; next window opens Tue 2027-01-05 09:00 Europe/Oslo"},
		{"frozen for good", office, forever, "2026-12-22T12:00:00Z", "ring test: frozen by forever until Tue 2036-01-01 01:00 Europe/Oslo; no window opens within three years"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := window.Reason("ring test", c.windows, c.freezes, at(t, c.at)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
