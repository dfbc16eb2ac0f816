package window

import "time"

// First returns the first moment at which the clock on a zone's wall shows a
// time or a later one: the moment itself, the earlier of two where clocks went
// back, the end of the gap where they went forward. clock is what the clock
// shows, written in UTC.
func First(clock time.Time, zone *time.Location) time.Time {
	// No zone was ever further than 16 hours from UTC, so the clock has not
	// shown that time yet.
	at := clock.Add(-16 * time.Hour)
	for {
		local := at.In(zone)
		_, offset := local.Zone()
		_, end := local.ZoneBounds()
		if moment := later(at, clock.Add(-time.Duration(offset)*time.Second)); end.IsZero() || moment.Before(end) {
			return moment.UTC()
		}
		at = end
	}
}
