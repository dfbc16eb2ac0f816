package rollout_test

import (
	"context"
	"maps"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// kube is the API server of one of the cloud's clusters.
type kube struct {
	cloud *cloud
	*cluster
}

// Connect implements rollout.Connector.
func (c *cloud) Connect(ctx context.Context, cl fleet.Cluster, seen string) (rollout.Kubernetes, error) {
	end, err := c.call(ctx, "Connect")
	defer end()
	if err != nil {
		return nil, err
	}
	one := c.clusters[cl.ID]
	if seen != "" && seen != one.uid {
		return nil, &rollout.IdentityError{Cluster: one.Name, Expected: seen, Found: one.uid}
	}
	return &kube{c, one}, nil
}

func (k *kube) call(ctx context.Context, method string) (func(), error) {
	end, err := k.cloud.call(ctx, method)
	if err == nil {
		err = k.away
	}
	return end, err
}

func (k *kube) UID() string { return k.uid }

func (k *kube) ServerVersion(ctx context.Context) (fleet.Version, error) {
	end, err := k.call(ctx, "ServerVersion")
	defer end()
	return k.Version, err
}

func (k *kube) Snapshot(ctx context.Context) (fleet.Snapshot, error) {
	end, err := k.call(ctx, "Snapshot")
	defer end()
	if err != nil {
		return fleet.Snapshot{}, err
	}
	s := fleet.Snapshot{TakenAt: k.cloud.now, Pods: slices.Clone(k.pods)}
	for _, n := range k.nodes {
		annotations := map[string]string{}
		maps.Copy(annotations, n.Annotations)
		n.Annotations, n.Taints = annotations, slices.Clone(n.Taints)
		s.Nodes = append(s.Nodes, n)
	}
	for _, w := range k.workloads {
		one := *w
		for _, p := range k.pods {
			if p.Workload == w.Key() {
				one.Current++
				one.Updated++
				if p.Ready {
					one.Ready++
					one.Available++
				}
			}
		}
		s.Workloads = append(s.Workloads, one)
	}
	return s, nil
}

func (k *kube) Inspect(ctx context.Context, needs []check.Need) check.Facts {
	var f check.Facts
	for _, need := range needs {
		switch need {
		case check.NeedSnapshot:
			s, err := k.Snapshot(ctx)
			if err != nil {
				f.Lacks(check.Unread{Need: need, Why: err.Error()})
				continue
			}
			f.Snapshot = s
		case check.NeedServer:
			f.Server = k.Version
		case check.NeedQuotas:
			f.Lacks(check.Unread{Need: need, Why: "the API server refuses to list them", Remedy: "grant the rule"})
			continue
		default:
			continue
		}
		f.Has(need)
	}
	return f
}

func (k *kube) Do(ctx context.Context, id string, a evacuate.Action) (evacuate.Outcome, error) {
	end, err := k.call(ctx, "Do")
	defer end()
	if err != nil {
		return evacuate.Outcome{}, err
	}
	done := evacuate.Outcome{Result: evacuate.Done}
	i := slices.IndexFunc(k.nodes, func(n fleet.Node) bool { return n.Name == a.Node && n.UID == a.UID })
	switch a.Kind {
	case evacuate.Evict:
		at := slices.IndexFunc(k.pods, func(p fleet.Pod) bool { return p.Key() == a.Pod && p.UID == a.UID })
		if at < 0 {
			return evacuate.Outcome{Result: evacuate.Gone}, nil
		}
		w := k.workloads[k.pods[at].Workload]
		k.pods = slices.Delete(k.pods, at, at+1)
		k.cloud.pod(k.cluster, w, "")
		return done, nil
	case evacuate.Cordon, evacuate.Uncordon, evacuate.SoftTaint, evacuate.RemoveTaint:
		if i < 0 {
			return evacuate.Outcome{Result: evacuate.Gone}, nil
		}
	default:
		k.cloud.t.Errorf("cluster %s: action %s is not known here", k.Name, a.Kind)
		return done, nil
	}
	switch n := &k.nodes[i]; a.Kind {
	case evacuate.Cordon:
		n.Unschedulable = true
		n.Annotations[fleet.MarkCordoned] = id
	case evacuate.Uncordon:
		n.Unschedulable = false
		delete(n.Annotations, fleet.MarkCordoned)
	case evacuate.SoftTaint:
		if len(n.Taints) == 0 {
			n.Taints = []fleet.Taint{{Key: fleet.TaintLeaving, Effect: "PreferNoSchedule"}}
		}
	case evacuate.RemoveTaint:
		n.Taints = nil
	default:
	}
	return done, nil
}

func (k *kube) AcquireLease(ctx context.Context, holder string, ttl time.Duration, notes map[string]string) error {
	end, err := k.call(ctx, "AcquireLease")
	defer end()
	if err != nil {
		return err
	}
	if k.holder != "" && k.holder != holder && k.cloud.now.Before(k.renewed.Add(k.ttl)) {
		return &rollout.LeaseHeldError{Cluster: k.Name, Holder: k.holder, RenewedAt: k.renewed, TTL: k.ttl}
	}
	k.holder, k.renewed, k.ttl = holder, k.cloud.now, ttl
	for key, v := range notes {
		if v == "" {
			delete(k.notes, key)
		} else {
			k.notes[key] = v
		}
	}
	return nil
}

func (k *kube) LeaseNotes(ctx context.Context) (map[string]string, error) {
	end, err := k.call(ctx, "LeaseNotes")
	defer end()
	if err != nil {
		return nil, err
	}
	return maps.Clone(k.notes), nil
}

func (k *kube) ReleaseLease(ctx context.Context, holder string) error {
	end, err := k.call(ctx, "ReleaseLease")
	defer end()
	if err != nil {
		return err
	}
	if k.holder == holder {
		k.holder = ""
	}
	return nil
}

func (k *kube) Watch(ctx context.Context, report func(fleet.Sight)) error {
	k.cloud.mu.Lock()
	k.watched++
	k.watchers++
	sight := fleet.Sight{At: k.cloud.now}
	for _, w := range k.workloads {
		sight.Workloads = append(sight.Workloads, fleet.WorkloadAvailability{Workload: w.Key(), Required: 2, Ready: 3})
	}
	k.cloud.mu.Unlock()
	report(sight)
	<-ctx.Done()
	k.cloud.mu.Lock()
	k.watchers--
	k.cloud.mu.Unlock()
	return ctx.Err()
}
