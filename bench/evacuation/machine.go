package evacuation

import "fmt"

// overloaded says that a makespan may be the machine's rather than a strategy's.
func overloaded(busy float64) string {
	const most = 0.9
	if busy < most {
		return ""
	}
	return fmt.Sprintf(" (the machine was busy to %.0f %%: it, not the rules, may have set the time)", busy*100)
}
