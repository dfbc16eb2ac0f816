package fleet

import "time"

// UsualNodePolicy is the policy of a Fleet file that says nothing about nodes.
func UsualNodePolicy() NodePolicy {
	return NodePolicy{
		Strategy: BlueGreen,
		Soak:     10 * time.Minute,
		Pace:     Pace{CanaryNodes: 1, MaxInMotion: Amount{Percent: 10}, HealthPasses: 2},
		Evacuation: EvacuationPolicy{
			BarePods: "refuse", LocalData: "refuse", JobWait: time.Hour, JobsAfter: "refuse",
			MaxSurge: Amount{Count: 1}, Timeout: 30 * time.Minute, OnFailure: "wait", LoadBalancerSettle: 30 * time.Second,
			PrePull: PrePull{Images: "bigImages", Threshold: 1 << 30, Timeout: 30 * time.Minute},
		},
	}
}
