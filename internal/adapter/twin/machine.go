package twin

import (
	"fmt"
	"os"
	"strconv"
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

// Processors is how long the machine's processors have been busy, and how long
// they could have been, in ticks since it was started.
type Processors struct{ busy, all float64 }

// ReadProcessors reads the kernel's count. Where there is none, it is all zero.
func ReadProcessors() Processors {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Processors{}
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return parseProcessors(line)
}

// parseProcessors reads "cpu  user nice system idle iowait irq softirq steal …".
// What other guests of the host took (steal) was not to be had: it counts as busy.
func parseProcessors(line string) Processors {
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return Processors{}
	}
	var p Processors
	for i, field := range fields[1:9] {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return Processors{}
		}
		p.all += ticks
		if i != 3 && i != 4 { // idle, and waiting for disks
			p.busy += ticks
		}
	}
	return p
}

// Since is the share of time, from 0 to 1, for which the processors were busy.
func (p Processors) Since(before Processors) float64 {
	if p.all <= before.all {
		return 0
	}
	return (p.busy - before.busy) / (p.all - before.all)
}
