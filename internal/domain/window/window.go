package window

import (
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

const (
	// sight is how far an opening is followed. One that reaches further counts
	// as unbounded.
	sight = 64 * day
	// horizon is how far ahead the next opening is looked for.
	horizon = 3 * 366 * day
)

// Opening is one span in which work may start, after windows were added up and
// freezes cut out. Opens is part of it, Closes is not.
type Opening struct {
	Opens  time.Time // zero where no beginning is in sight
	Closes time.Time // zero where no end is in sight
}

// Open returns the opening in which a moment lies, and whether there is one.
func Open(windows []fleet.Window, freezes []fleet.Freeze, at time.Time) (Opening, bool) {
	c, err := newCalendar(windows, freezes)
	if err != nil {
		return Opening{}, false
	}
	return c.open(at)
}

// Next returns the first opening that begins after a moment, even where the
// moment itself lies in one. closes is zero where no end is in sight. It is not
// ok where nothing opens within three years, or ever.
func Next(windows []fleet.Window, freezes []fleet.Freeze, after time.Time) (opens, closes time.Time, ok bool) {
	return NextFit(windows, freezes, after, 0)
}

// NextFit is Next for work that takes a while: it passes over the openings that
// are shorter than that.
func NextFit(windows []fleet.Window, freezes []fleet.Freeze, after time.Time, takes time.Duration) (opens, closes time.Time, ok bool) {
	c, err := newCalendar(windows, freezes)
	if err != nil {
		return time.Time{}, time.Time{}, false
	}
	o, ok := c.next(after, takes)
	return o.Opens, o.Closes, ok
}

// Fits reports whether work that starts at a moment and takes that long ends
// before the opening does. Work that ends exactly at its close fits.
func Fits(windows []fleet.Window, freezes []fleet.Freeze, at time.Time, takes time.Duration) bool {
	o, ok := Open(windows, freezes, at)
	return ok && (o.Closes.IsZero() || !at.Add(takes).After(o.Closes))
}

// Check reports the first window that cannot be read, and why. While there is
// one, nothing opens.
func Check(windows []fleet.Window) error {
	_, err := newCalendar(windows, nil)
	return err
}
