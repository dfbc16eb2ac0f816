package v1alpha1

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// ValueError says what is wrong with a value, and what to write instead.
type ValueError struct{ What, Remedy string }

// Error joins both.
func (e *ValueError) Error() string { return e.What + ": " + e.Remedy }

// Duration is a length of time: 90s, 30m, 24h, 7d, 1d12h.
type Duration time.Duration

var days = regexp.MustCompile(`^([0-9]{1,6})d(.*)$`)

// UnmarshalText reads a duration in Go's notation with d for days.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	remedy := "write a number with its unit, such as 90s, 30m, 24h, 7d or 1d12h"
	var whole time.Duration
	rest := s
	if m := days.FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n > maxDays {
			return &ValueError{"is too long", fmt.Sprintf("the longest duration is %dd", maxDays)}
		}
		whole, rest = time.Duration(n)*24*time.Hour, m[2]
	}
	var part time.Duration
	if rest != "" || whole == 0 && s == "" {
		if _, err := strconv.ParseFloat(rest, 64); err == nil && rest != "0" {
			return &ValueError{"has no unit", remedy}
		}
		if strings.HasPrefix(rest, "+") {
			return &ValueError{"is not a duration", remedy}
		}
		var err error
		if part, err = time.ParseDuration(rest); err != nil {
			if strings.HasSuffix(rest, "w") {
				remedy += "; weeks are written in days: 1w is 7d"
			}
			return &ValueError{"is not a duration", remedy}
		}
	}
	switch {
	case part < 0:
		return &ValueError{"is negative", remedy}
	case part > maxDays*24*time.Hour-whole:
		return &ValueError{"is too long", fmt.Sprintf("the longest duration is %dd", maxDays)}
	}
	*d = Duration(whole + part)
	return nil
}

// maxDays bounds all durations, far from what overflows.
const maxDays = 3660

// Amount is a number, or a share of a whole in percent: 2, 25%. It is at least 1.
type Amount struct{ fleet.Amount }

// UnmarshalText reads a number or a percentage.
func (a *Amount) UnmarshalText(text []byte) error {
	count, percent, err := amount(string(text), 1)
	a.Amount = fleet.Amount{Count: count, Percent: percent}
	return err
}

// Count is a number, or a share of a whole in percent, that may be none: 0, 2, 25%.
type Count struct{ fleet.Amount0 }

// UnmarshalText reads a number or a percentage.
func (c *Count) UnmarshalText(text []byte) error {
	count, percent, err := amount(string(text), 0)
	c.Amount0 = fleet.Amount0{Count: count, Percent: percent}
	return err
}

// amount reads a number or a percentage that is at least some minimum.
func amount(s string, least int) (count, percent int, err error) {
	remedy := fmt.Sprintf("write a whole number from %d on, such as 2, or a percentage, such as 25%%", least)
	digits, isPercent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil || strings.HasPrefix(digits, "+"):
		return 0, 0, &ValueError{"is neither a number nor a percentage", remedy}
	case isPercent && n > 100:
		return 0, 0, &ValueError{"is more than the whole", "write a percentage from 1% to 100%"}
	case n < int64(least):
		return 0, 0, &ValueError{"is too little", remedy}
	case n > math.MaxInt32:
		return 0, 0, &ValueError{"is too much", remedy}
	case isPercent:
		return 0, int(n), nil
	}
	return int(n), 0, nil
}

// Size is an amount of bytes: 500Mi, 6Gi.
type Size int64

var size = regexp.MustCompile(`^([0-9]{1,6})(Mi|Gi)$`)

// UnmarshalText reads a number of mebibytes or gibibytes.
func (s *Size) UnmarshalText(text []byte) error {
	m := size.FindStringSubmatch(string(text))
	if m == nil {
		return &ValueError{"is not a size", "write a whole number with Mi or Gi, such as 500Mi or 6Gi"}
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return &ValueError{"is not a size", "write a whole number with Mi or Gi, such as 500Mi or 6Gi"}
	}
	*s = Size(n << map[string]int{"Mi": 20, "Gi": 30}[m[2]])
	return nil
}

// Day is a day of the week: Mon or Monday.
type Day time.Weekday

// UnmarshalText reads the English name of a day, whole or its first three letters.
func (d *Day) UnmarshalText(text []byte) error {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if s := string(text); s == day.String() || s == day.String()[:3] {
			*d = Day(day)
			return nil
		}
	}
	remedy := "write one of Mon, Tue, Wed, Thu, Fri, Sat, Sun"
	if strings.ContainsAny(string(text), "-,") {
		remedy = "list the days one by one: [Mon, Tue, Wed]"
	}
	return &ValueError{"is not a day of the week", remedy}
}

// TimeOfDay is a time on the wall's clock, from 00:00 to 24:00.
type TimeOfDay fleet.TimeOfDay

var timeOfDay = regexp.MustCompile(`^([0-9]{1,2}):([0-9]{2})$`)

// UnmarshalText reads hours and minutes.
func (t *TimeOfDay) UnmarshalText(text []byte) error {
	remedy := `write hours and minutes of a 24-hour clock, such as "09:00" or "22:30"`
	m := timeOfDay.FindStringSubmatch(string(text))
	if m == nil {
		return &ValueError{"is not a time of day", remedy}
	}
	hours, err := strconv.Atoi(m[1])
	if err != nil {
		return &ValueError{"is not a time of day", remedy}
	}
	minutes, err := strconv.Atoi(m[2])
	if err != nil || hours > 24 || minutes > 59 || (hours == 24 && minutes > 0) {
		return &ValueError{"is a time that no day has", remedy}
	}
	*t = TimeOfDay(hours*60 + minutes)
	return nil
}

// Moment is a date, a date with a time, or one with its offset as well:
// 2026-12-20, 2026-12-20T18:00, 2026-12-20T18:00:00+01:00.
type Moment struct {
	// Clock is what the clock on the wall shows, written in UTC, or the moment
	// itself where Fixed.
	Clock time.Time
	// Fixed says that the text named its offset, and needs no time zone.
	Fixed bool
}

// UnmarshalText reads a moment.
func (m *Moment) UnmarshalText(text []byte) error {
	s := string(text)
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			*m = Moment{Clock: t}
			return within(t)
		}
	}
	for _, layout := range []string{"2006-01-02T15:04Z07:00", time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			*m = Moment{Clock: t.UTC(), Fixed: true}
			return within(t)
		}
	}
	what := "is not a date"
	if date.MatchString(s) {
		what = "is a date that no calendar has"
	}
	return &ValueError{what, "write year-month-day, such as 2026-12-20, with a time if need be: 2026-12-20T18:00"}
}

var date = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}`)

// within keeps moments to years that time zones and JSON know how to handle.
func within(t time.Time) error {
	if y := t.Year(); y < 2000 || y > 2200 {
		return &ValueError{"is too far from today", "write a year from 2000 to 2200"}
	}
	return nil
}
