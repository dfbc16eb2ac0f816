package evacuation

import "testing"

func TestProcessors(t *testing.T) {
	before := parseProcessors("cpu  100 0 50 800 50 0 0 0 0 0")
	after := parseProcessors("cpu  160 0 60 815 55 0 5 5 0 0")
	if got := after.since(before); got != 0.8 {
		t.Errorf("busy for %g of the time, want 0.8", got)
	}
	for _, line := range []string{"", "cpu 1 2", "cpu0 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"} {
		if got := parseProcessors(line); got != (processors{}) {
			t.Errorf("%q: %v", line, got)
		}
	}
	if got := before.since(after); got != 0 {
		t.Errorf("backwards: %g", got)
	}
	if overloaded(0.5) != "" || overloaded(0.95) == "" {
		t.Error("an overloaded machine is to be told")
	}
}
