package evacuate

import (
	"strings"
	"testing"
)

// TestDemo evacuates a node pool that holds every awkward workload of the demo,
// and moves everything back again.
func TestDemo(t *testing.T) {
	var story strings.Builder
	r := evacuation(t, 1, demo)
	r.story = &story
	r.drive(StatusDone)
	r.checkEnd(0)
	if r.k.refusals > 0 {
		t.Errorf("%d evictions were refused by the API", r.k.refusals)
	}
	golden(t, "demo", story.String())
}
