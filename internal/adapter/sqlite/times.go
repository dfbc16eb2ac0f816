package sqlite

import (
	"fmt"
	"time"
)

// timeLayout has a fixed width, so that times sort as text.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// formatTime writes a time as the file keeps it.
func formatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// parseTime reads a time of the file, in UTC.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(timeLayout, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("a time of the file: %w", err)
	}
	return t.UTC(), nil
}
