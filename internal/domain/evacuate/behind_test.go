package evacuate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// TestBudgetsBehind: a StatefulSet's next pod waits while the statuses of many
// budgets lag behind, and only then.
func TestBudgetsBehind(t *testing.T) {
	for name, test := range map[string]struct {
		others, low, high int // other budgets, and how many of them count too few or too many
		bare              bool
		kind              fleet.WorkloadKind
		sentAgo           time.Duration // the pod before was evicted
		waits             bool
	}{
		"all keep up":                        {others: 9, kind: fleet.StatefulSet},
		"one is off":                         {others: 9, low: 1, kind: fleet.StatefulSet},
		"two of ten do not count new pods":   {others: 9, low: 2, kind: fleet.StatefulSet, waits: true},
		"two of ten still count old pods":    {others: 9, high: 2, kind: fleet.StatefulSet, waits: true},
		"two of forty":                       {others: 39, low: 1, high: 1, kind: fleet.StatefulSet},
		"a StatefulSet without a budget":     {others: 9, low: 5, bare: true, kind: fleet.StatefulSet},
		"pods that come back by other names": {others: 9, low: 5, kind: fleet.Deployment},
		"some time after the pod before":     {others: 9, low: 5, kind: fleet.StatefulSet, sentAgo: time.Minute, waits: true},
		"not for ever":                       {others: 9, low: 5, kind: fleet.StatefulSet, sentAgo: 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w, pods := made(test.kind, "app", 4)
			s := scene{w: w, pods: pods, stay: 1}
			if !test.bare {
				s.budgets = append(s.budgets, guard("app", "", "1", 4))
			}
			in := s.input()
			for i := range test.others {
				other, its := made(fleet.DaemonSet, fmt.Sprintf("other-%d", i), 3)
				for j := range its {
					its[j].Node = "other"
				}
				b := guard(other.Name, "", "1", 3)
				switch {
				case i < test.low:
					b.CurrentHealthy--
				case i < test.low+test.high:
					b.CurrentHealthy++
				}
				in.Snapshot.Workloads = append(in.Snapshot.Workloads, other)
				in.Snapshot.Pods = append(in.Snapshot.Pods, its...)
				in.Snapshot.Budgets = append(in.Snapshot.Budgets, b)
			}
			if test.sentAgo > 0 {
				in.Memory.Acted = map[string]Acted{w.Key(): {UID: w.UID, Move: MoveOrdered, At: in.Snapshot.TakenAt.Add(-test.sentAgo), Before: 4, Weight: 1}}
			}
			pass := Next(in)
			evicts := len(pass.Actions) > 0 && pass.Actions[0].Kind == Evict
			if evicts == test.waits {
				t.Errorf("evicts: %t: %s", evicts, pass.Reason)
			}
			if test.waits && !strings.Contains(pass.Verdicts[0].Reason, "lag behind") {
				t.Errorf("does not say why it waits: %s", pass.Verdicts[0].Reason)
			}
		})
	}
}
