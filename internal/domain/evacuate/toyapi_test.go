package evacuate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// do carries an action out, as the adapter would.
func (k *toyKube) do(rollout string, a Action) Outcome {
	k.t.Helper()
	defer k.check(string(a.Kind) + " " + a.Pod + a.Workload + a.Node)
	if k.refuse != nil {
		if why := k.refuse(a); why != "" {
			return Outcome{Result: Refused, Message: why}
		}
	}
	switch a.Kind {
	case Cordon, Uncordon, SoftTaint, RemoveTaint, ExcludeLB, IncludeLB:
		return k.doNode(rollout, a)
	case PrePull:
		return k.doPrePull(a)
	case EndPull:
		k.pods = slices.DeleteFunc(k.pods, func(p *toyPod) bool { return p.UID == a.UID && Puller(&p.Pod) })
		return Outcome{Result: Done}
	case Evict:
		return k.doEvict(a)
	case PreferDelete, ForgetCost:
		for _, p := range k.pods {
			if p.UID == a.UID {
				if a.Kind == PreferDelete {
					p.Annotations[fleet.MarkDeletionCost] = "-1000"
				} else {
					delete(p.Annotations, fleet.MarkDeletionCost)
				}
				return Outcome{Result: Done}
			}
		}
		return Outcome{Result: Gone}
	case Roll, RestoreShape, Surge, RestoreSurge:
		for _, w := range k.workloads {
			if w.Key() == a.Workload && w.UID == a.UID {
				return k.doWorkload(w, a)
			}
		}
		return Outcome{Result: Gone}
	}
	k.t.Fatalf("unknown action %+v", a)
	return Outcome{}
}

func (k *toyKube) doNode(rollout string, a Action) Outcome {
	n := k.node(a.Node)
	if n == nil {
		return Outcome{Result: Gone}
	}
	switch a.Kind {
	case Cordon:
		if !n.Unschedulable {
			n.Unschedulable = true
			n.Annotations[fleet.MarkCordoned] = rollout
		}
	case Uncordon:
		if _, ours := n.Annotations[fleet.MarkCordoned]; ours {
			n.Unschedulable = false
			delete(n.Annotations, fleet.MarkCordoned)
		}
	case SoftTaint:
		n.Taints = append(n.Taints, fleet.Taint{Key: fleet.TaintLeaving, Effect: "PreferNoSchedule"})
	case RemoveTaint:
		n.Taints = slices.DeleteFunc(n.Taints, func(t fleet.Taint) bool { return t.Key == fleet.TaintLeaving })
	case ExcludeLB:
		n.Labels[ExcludeLBLabel] = ExcludeLBValue
	case IncludeLB:
		delete(n.Labels, ExcludeLBLabel)
	default:
	}
	return Outcome{Result: Done}
}

func (k *toyKube) doWorkload(w *toyWorkload, a Action) Outcome {
	switch a.Kind {
	case Roll:
		if w.token == a.Token {
			return Outcome{Result: Done}
		}
		if a.Shape != nil {
			if _, marked := w.Annotations[fleet.MarkStrategy]; !marked {
				before, err := json.Marshal(map[string]any{"type": w.Strategy, "rollingUpdate": map[string]any{
					"maxUnavailable": w.MaxUnavailable, "maxSurge": w.MaxSurge,
				}})
				if err != nil {
					k.t.Fatal(err)
				}
				w.Annotations[fleet.MarkStrategy] = string(before)
			}
			u, s := intstr.FromInt32(a.Shape.MaxUnavailable), intstr.FromInt32(a.Shape.MaxSurge)
			w.MaxUnavailable, w.MaxSurge = &u, &s
		}
		if w.Kind == fleet.Deployment && !w.Paused {
			w.rev++
		} else if w.Kind == fleet.StatefulSet {
			w.rev++
		}
		w.token, w.Settled = a.Token, false
	case RestoreShape:
		u, s, ok := parseStrategy(w.Annotations[fleet.MarkStrategy])
		if ok {
			w.MaxUnavailable, w.MaxSurge = u, s
			delete(w.Annotations, fleet.MarkStrategy)
			w.Settled = false
		}
	case Surge:
		if a.Scaler != "" {
			if w.Scaler.Annotations == nil {
				w.Scaler.Annotations = map[string]string{}
			}
			if _, marked := w.Scaler.Annotations[fleet.MarkScalerMin]; !marked {
				w.Scaler.Annotations[fleet.MarkScalerMin] = strconv.Itoa(int(w.Scaler.Min))
			}
			w.Scaler.Min = a.Replicas
			break
		}
		if _, marked := w.Annotations[fleet.MarkReplicas]; !marked {
			w.Annotations[fleet.MarkReplicas] = strconv.Itoa(int(w.Replicas))
		}
		w.Replicas, w.Settled = a.Replicas, false
	case RestoreSurge:
		if a.Scaler != "" {
			if n, ok := markedNumber(w.Scaler.Annotations, fleet.MarkScalerMin); ok {
				w.Scaler.Min = int32(n)
				delete(w.Scaler.Annotations, fleet.MarkScalerMin)
			}
			break
		}
		if n, ok := markedNumber(w.Annotations, fleet.MarkReplicas); ok {
			w.Replicas, w.Settled = int32(n), false
			delete(w.Annotations, fleet.MarkReplicas)
		}
	default:
	}
	return Outcome{Result: Done}
}

// doEvict follows the eviction subresource of pods.
func (k *toyKube) doEvict(a Action) Outcome {
	var p *toyPod
	for _, q := range k.pods {
		if q.Key() == a.Pod {
			p = q
		}
	}
	if p == nil || p.UID != a.UID {
		return Outcome{Result: Gone}
	}
	if !p.DeletedAt.IsZero() {
		return Outcome{Result: Done}
	}
	var budgets []*toyBudget
	for _, b := range k.budgets {
		sel, err := labels.Parse(b.Selector)
		if err != nil {
			k.t.Fatal(err)
		}
		if b.Namespace == p.Namespace && sel.Matches(labels.Set(p.Labels)) {
			budgets = append(budgets, b)
		}
	}
	refuse := func(format string, args ...any) Outcome {
		k.refusals++
		return Outcome{Result: Refused, Message: fmt.Sprintf(format, args...)}
	}
	if p.Phase != "Pending" && len(budgets) > 1 {
		return refuse("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
	}
	if p.Phase != "Pending" && len(budgets) == 1 {
		b := budgets[0]
		free := !p.Ready && (b.AlwaysAllowUnhealthy || b.CurrentHealthy >= b.DesiredHealthy && b.DesiredHealthy > 0)
		if !free {
			if b.DisruptionsAllowed < 1 {
				return refuse("Cannot evict pod as it would violate the pod's disruption budget. The disruption budget %s needs %d healthy pods and has %d currently",
					b.Name, b.DesiredHealthy, b.CurrentHealthy)
			}
			b.DisruptionsAllowed--
			b.disrupted[p.UID] = true
		}
	}
	k.evicted++
	k.remove(p)
	return Outcome{Result: Done}
}
