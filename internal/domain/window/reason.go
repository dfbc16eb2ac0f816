package window

import (
	"fmt"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// layout is how moments are shown, followed by the name of their zone.
const layout = "Mon 2006-01-02 15:04"

// Reason says in words why work may or may not start at a moment, and when that
// changes: "ring test: next window opens Tue 2026-11-24 09:00 Europe/Oslo".
// subject is whose windows they are ("ring test"). Moments are shown in the
// time zone of the first window, else of the freeze, else in UTC.
func Reason(subject string, windows []fleet.Window, freezes []fleet.Freeze, at time.Time) string {
	c, err := newCalendar(windows, freezes)
	if err != nil {
		return fmt.Sprintf("%s: nothing starts, because %v", subject, err)
	}
	zone := c.zone(freezes)
	if o, ok := c.open(at); ok {
		switch {
		case !o.Closes.IsZero() && len(windows) == 0:
			return fmt.Sprintf("%s: open until a freeze begins %s", subject, Show(o.Closes, zone))
		case !o.Closes.IsZero():
			return fmt.Sprintf("%s: window is open until %s", subject, Show(o.Closes, zone))
		default:
			return subject + ": work may start at any time"
		}
	}
	frozen := ""
	if f, ok := frozenBy(freezes, at); ok {
		frozen = fmt.Sprintf("frozen by %s until %s", f.Name, Show(f.Until, zone))
		if f.Name == "" {
			frozen = "frozen until " + Show(f.Until, zone)
		}
	}
	o, ok := c.next(at, 0)
	switch {
	case !ok && frozen != "":
		return fmt.Sprintf("%s: %s; no window opens within three years", subject, frozen)
	case !ok:
		return subject + ": no window opens within three years"
	case frozen != "" && len(windows) == 0:
		return fmt.Sprintf("%s: %s", subject, frozen)
	case frozen != "":
		return fmt.Sprintf("%s: %s; next window opens %s", subject, frozen, Show(o.Opens, zone))
	default:
		return fmt.Sprintf("%s: next window opens %s", subject, Show(o.Opens, zone))
	}
}

// Show writes a moment as people read it, in a zone: "Tue 2026-11-24 09:00 Europe/Oslo".
func Show(at time.Time, zone *time.Location) string {
	return at.In(zone).Format(layout) + " " + zone.String()
}

// zone is the time zone in which moments are shown.
func (c *calendar) zone(freezes []fleet.Freeze) *time.Location {
	if len(c.windows) > 0 {
		return c.windows[0].zone
	}
	for _, f := range freezes {
		if zone, err := time.LoadLocation(f.TimeZone); err == nil && f.TimeZone != "" {
			return zone
		}
	}
	return time.UTC
}

// frozenBy returns the freeze that holds a moment, the one that ends last where
// there are several.
func frozenBy(freezes []fleet.Freeze, at time.Time) (fleet.Freeze, bool) {
	var res fleet.Freeze
	found := false
	for _, f := range freezes {
		if !f.From.After(at) && f.Until.After(at) && (!found || f.Until.After(res.Until)) {
			res, found = f, true
		}
	}
	return res, found
}
