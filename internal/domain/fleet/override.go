package fleet

import "time"

// Override changes the node policy of the pools that it selects. All given
// fields must match; the changes of later overrides win over those of earlier
// ones, field by field.
type Override struct {
	Ring    string      `json:"ring,omitempty"`
	Cluster string      `json:"cluster,omitempty"` // pattern
	Pool    string      `json:"pool,omitempty"`    // pattern
	Nodes   NodeChanges `json:"nodes"`
}

// NodeChanges is a NodePolicy of which only some fields are given. What is nil
// stays as it was.
type NodeChanges struct {
	Strategy      *Strategy         `json:"strategy,omitempty"`
	PoolOrder     []string          `json:"poolOrder,omitempty"`
	CanaryPool    *string           `json:"canaryPool,omitempty"`
	Soak          *time.Duration    `json:"soak,omitempty"`
	Pace          PaceChanges       `json:"pace,omitzero"`
	Evacuation    EvacuationChanges `json:"evacuation,omitzero"`
	ExtraNodes    *Amount0          `json:"extraNodes,omitempty"`
	MaxSurge      *string           `json:"maxSurge,omitempty"`
	RequireBackup *time.Duration    `json:"requireBackup,omitempty"`
	BackupFile    *string           `json:"backupFile,omitempty"`
}

// PaceChanges is a Pace of which only some fields are given.
type PaceChanges struct {
	CanaryNodes  *int    `json:"canaryNodes,omitempty"`
	MaxInMotion  *Amount `json:"maxInMotion,omitempty"`
	HealthPasses *int    `json:"healthPasses,omitempty"`
}

// EvacuationChanges is an EvacuationPolicy of which only some fields are given.
type EvacuationChanges struct {
	BarePods  *string        `json:"barePods,omitempty"`
	LocalData *string        `json:"localData,omitempty"`
	JobWait   *time.Duration `json:"jobWait,omitempty"`
	JobsAfter *string        `json:"jobsAfter,omitempty"`
	MaxSurge  *Amount        `json:"maxSurge,omitempty"`
	Timeout   *time.Duration `json:"timeout,omitempty"`

	OnFailure          *OnFailure     `json:"onFailure,omitempty"`
	LoadBalancerSettle *time.Duration `json:"loadBalancerSettle,omitempty"`
	PrePull            PrePullChanges `json:"prePull,omitzero"`
}

// PrePullChanges is a PrePull of which only some fields are given.
type PrePullChanges struct {
	Images    *PrePullImages `json:"images,omitempty"`
	Threshold *int64         `json:"threshold,omitempty"`
	Timeout   *time.Duration `json:"timeout,omitempty"`
}

// With returns the policy with changes applied.
func (p NodePolicy) With(c NodeChanges) NodePolicy {
	set(&p.Strategy, c.Strategy)
	if len(c.PoolOrder) > 0 {
		p.PoolOrder = c.PoolOrder
	}
	set(&p.CanaryPool, c.CanaryPool)
	set(&p.Soak, c.Soak)
	set(&p.Pace.CanaryNodes, c.Pace.CanaryNodes)
	set(&p.Pace.MaxInMotion, c.Pace.MaxInMotion)
	set(&p.Pace.HealthPasses, c.Pace.HealthPasses)
	set(&p.Evacuation.BarePods, c.Evacuation.BarePods)
	set(&p.Evacuation.LocalData, c.Evacuation.LocalData)
	set(&p.Evacuation.JobWait, c.Evacuation.JobWait)
	set(&p.Evacuation.JobsAfter, c.Evacuation.JobsAfter)
	set(&p.Evacuation.MaxSurge, c.Evacuation.MaxSurge)
	set(&p.Evacuation.Timeout, c.Evacuation.Timeout)
	set(&p.Evacuation.PrePull.Images, c.Evacuation.PrePull.Images)
	set(&p.Evacuation.PrePull.Threshold, c.Evacuation.PrePull.Threshold)
	set(&p.Evacuation.PrePull.Timeout, c.Evacuation.PrePull.Timeout)
	set(&p.Evacuation.OnFailure, c.Evacuation.OnFailure)
	set(&p.Evacuation.LoadBalancerSettle, c.Evacuation.LoadBalancerSettle)
	set(&p.ExtraNodes, c.ExtraNodes)
	set(&p.MaxSurge, c.MaxSurge)
	set(&p.RequireBackup, c.RequireBackup)
	set(&p.BackupFile, c.BackupFile)
	return p
}

// set writes a value over another where there is one.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// NodePolicyFor returns the policy of one pool: the fleet's, changed by every
// override that selects it, in order. match compares a pattern with a name.
func (s *Spec) NodePolicyFor(ring, cluster, pool string, match func(pattern, name string) bool) NodePolicy {
	policy := s.Nodes
	for _, o := range s.Overrides {
		if (o.Ring == "" || o.Ring == ring) && (o.Cluster == "" || match(o.Cluster, cluster)) && (o.Pool == "" || match(o.Pool, pool)) {
			policy = policy.With(o.Nodes)
		}
	}
	return policy
}
