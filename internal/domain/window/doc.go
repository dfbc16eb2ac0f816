// Package window decides when work may start: which moments lie in a ring's
// time windows and in none of its freezes, when the next such span begins, and
// how to say so in words. It reads no clock: every function is told the moment
// that it is asked about.
//
// Windows are meant as the clock on the wall shows them. A window belongs to
// the day on which it opens: Fri 22:00 for six hours covers Saturday 01:00, not
// Friday 01:00. Where clocks go forward over its start it opens at the first
// moment that exists; where they go back it opens once, at the first of the two
// moments; and its end is a time on the same clock, so that 22:00 for six hours
// ends at 04:00 in every night of the year. A window that lies in skipped time
// altogether does not open that day. Several windows add up, and freezes are cut
// out of the sum.
//
// No windows at all means that work may start at any time. A window that cannot
// be read (an unknown time zone, no duration) closes the whole ring: what is
// meant is then not known. Reason names it.
//
// Whether work that is under way goes on when a window closes is for package
// gate to say; whether a file's windows make sense, for the config package.
package window
