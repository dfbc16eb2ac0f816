package report

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// minutes is an interval in minutes of the sample's day.
func minutes(from, until float64) interval {
	at := func(m float64) time.Time { return day.Add(time.Duration(m * float64(time.Minute))) }
	return interval{at(from), at(until)}
}

func TestScale(t *testing.T) {
	type part struct {
		Minutes, Width float64
		Broken         bool
	}
	for _, tt := range []struct {
		name string
		over interval
		work []interval
		want []part
	}{
		// Nothing to prefer: time runs evenly.
		{"no work", minutes(0, 60), nil, []part{{60, 1000, false}}},
		{"all work", minutes(0, 60), []interval{minutes(0, 60)}, []part{{60, 1000, false}}},
		// A wait of a tenth of the work is part of the picture.
		{"a short wait", minutes(0, 110), []interval{minutes(0, 50), minutes(60, 110)}, []part{{110, 1000, false}}},
		// Days of soak between two hours of work: the work gets the room, with
		// a little of the wait (2 % of 120 minutes) at its edges.
		{
			"a long soak", minutes(0, 6000),
			[]interval{minutes(0, 60), minutes(5940, 6000)},
			[]part{{62.4, 483, false}, {5875.2, 34, true}, {62.4, 483, false}},
		},
		{
			"a wait before and one that goes on", minutes(0, 3000),
			[]interval{minutes(1000, 1100)},
			[]part{{998, 34, true}, {104, 932, false}, {1898, 34, true}},
		},
		// Work at once in two clusters is one stretch; work outside is cut off.
		{
			"overlapping work", minutes(0, 100),
			[]interval{minutes(-50, 40), minutes(20, 60), minutes(30, 35), minutes(60, 300)},
			[]part{{100, 1000, false}},
		},
		{"no length", minutes(0, 0), nil, []part{{1.0 / 60, 1000, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScale(tt.over, tt.work, 0, 1000)
			var got []part
			for _, p := range s.stretches {
				got = append(got, part{p.until.Sub(p.from).Minutes(), math.Round(p.x1 - p.x0), p.broken})
			}
			nearly := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-6 })
			if diff := cmp.Diff(tt.want, got, nearly); diff != "" {
				t.Errorf("stretches (-want +got):\n%s", diff)
			}
			// Whatever the breaks: a later time is never drawn further left.
			last := -1.0
			for m := -10.0; m < tt.over.until.Sub(tt.over.from).Minutes()+10; m++ {
				x := s.x(tt.over.from.Add(time.Duration(m * float64(time.Minute))))
				if x < last || x < 0 || x > 1000.001 || math.IsNaN(x) {
					t.Fatalf("minute %v is drawn at %v, the one before at %v", m, x, last)
				}
				last = x
			}
			for i, mark := range s.ticks(80) {
				if i > 0 && mark.X-s.ticks(80)[i-1].X < 72 {
					t.Errorf("ticks %s and the one before are too close", mark.Label)
				}
			}
		})
	}
}

func TestManyBreaksFit(t *testing.T) {
	var work []interval
	for i := range 100 {
		work = append(work, minutes(float64(i)*1000, float64(i)*1000+1))
	}
	s := newScale(minutes(0, 100_000), work, 0, 1000)
	if x := s.stretches[len(s.stretches)-1].x1; math.Abs(x-1000) > 0.001 {
		t.Errorf("the axis ends at %v, want 1000", x)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 400 * time.Millisecond: "0s", 59600 * time.Millisecond: "1m", 61 * time.Second: "1m 1s",
		59*time.Minute + 59*time.Second: "59m 59s", 3600 * time.Second: "1h", 90*time.Minute + 40*time.Second: "1h 31m",
		26 * time.Hour: "1d 2h", 48*time.Hour + 10*time.Minute: "2d",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%s): got %q, want %q", d, got, want)
		}
	}
}
