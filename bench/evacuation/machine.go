package evacuation

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// processors is how long the machine's processors have been busy, and how long
// they could have been, in ticks since it was started.
type processors struct{ busy, all float64 }

// readProcessors reads the kernel's count. Where there is none, it is all zero.
func readProcessors() processors {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return processors{}
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return parseProcessors(line)
}

// parseProcessors reads "cpu  user nice system idle iowait irq softirq steal …".
// What other guests of the host took (steal) was not to be had: it counts as busy.
func parseProcessors(line string) processors {
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return processors{}
	}
	var p processors
	for i, field := range fields[1:9] {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return processors{}
		}
		p.all += ticks
		if i != 3 && i != 4 { // idle, and waiting for disks
			p.busy += ticks
		}
	}
	return p
}

// since is the share of time, from 0 to 1, for which the processors were busy.
func (p processors) since(before processors) float64 {
	if p.all <= before.all {
		return 0
	}
	return (p.busy - before.busy) / (p.all - before.all)
}

// overloaded says that a makespan may be the machine's rather than a strategy's.
func overloaded(busy float64) string {
	const most = 0.9
	if busy < most {
		return ""
	}
	return fmt.Sprintf(" (the machine was busy to %.0f %%: it, not the rules, may have set the time)", busy*100)
}
