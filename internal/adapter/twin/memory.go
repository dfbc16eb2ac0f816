package twin

import (
	"fmt"
	"os"
	"strings"
)

const (
	// each is about what a control plane with some hundred pods and its node
	// simulator take, in MiB.
	each = 900
	// spare is left to the machine.
	spare = 1024
)

// AtOnce is how many of wanted control planes fit into the memory that is free
// now, at least one. Where that is not to be known, they come one after the other.
func AtOnce(wanted int) int {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 1
	}
	return fitting(string(text), wanted)
}

func fitting(meminfo string, wanted int) int {
	for line := range strings.Lines(meminfo) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib := 0
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				return 1
			}
			return max(1, min(wanted, (kib/1024-spare)/each))
		}
	}
	return 1
}
