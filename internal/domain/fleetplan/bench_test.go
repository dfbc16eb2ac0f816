package fleetplan

import (
	"fmt"
	"testing"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// BenchmarkMake plans a thousand clusters in rings with windows.
func BenchmarkMake(b *testing.B) {
	in := contoso(b)
	in.Clusters = nil
	for i := range 1000 {
		ring := []string{"sandbox", "dev", "test", "prod"}[min(3, i/50)]
		in.Clusters = append(in.Clusters, aCluster(fmt.Sprintf("c%04d", i), ring, "1.34.4", 20))
	}
	in.Spec.Rings[3].Concurrency = fleet.Amount{Count: 10}
	for b.Loop() {
		if p := Make(in); p.Ends.IsZero() {
			b.Fatal("it never ends")
		}
	}
}
