package twin

import "testing"

func TestControlPlanesThatFit(t *testing.T) {
	text := func(kib string) string { return "MemTotal: 99 kB\nMemAvailable:   " + kib + " kB\nBuffers: 1 kB\n" }
	for _, c := range []struct {
		meminfo      string
		wanted, want int
	}{
		{text("4194304"), 8, 3}, // 4 GiB: one is left to the machine
		{text("4194304"), 2, 2},
		{text("524288"), 5, 1}, // never none
		{text("much"), 5, 1},
		{"", 5, 1},
	} {
		if got := fitting(c.meminfo, c.wanted); got != c.want {
			t.Errorf("%q, %d wanted: %d at once, want %d", c.meminfo, c.wanted, got, c.want)
		}
	}
}

func TestProcessors(t *testing.T) {
	before := parseProcessors("cpu  100 0 50 800 50 0 0 0 0 0")
	after := parseProcessors("cpu  160 0 60 815 55 0 5 5 0 0")
	if got := after.Since(before); got != 0.8 {
		t.Errorf("busy for %g of the time, want 0.8", got)
	}
	for _, line := range []string{"", "cpu 1 2", "cpu0 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"} {
		if got := parseProcessors(line); got != (Processors{}) {
			t.Errorf("%q: %v", line, got)
		}
	}
	if got := before.Since(after); got != 0 {
		t.Errorf("backwards: %g", got)
	}
}
