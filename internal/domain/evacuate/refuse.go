package evacuate

import (
	"fmt"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// refuse says why a pod is not to be moved, whatever its workload allows; the
// zero refusal when nothing speaks against it. The first rule to speak wins.
func (wd *world) refuse(p *pod) (refusal, []fleet.Finding) {
	for _, rule := range []func(*pod) (refusal, []fleet.Finding, bool){
		wd.refuseDying, wd.refuseBare, wd.refuseMarked, wd.refuseJob, wd.refuseLocalData, wd.refuseLocalVolume,
	} {
		if r, f, settled := rule(p); settled {
			return r, f
		}
	}
	return refusal{}, nil
}

// refuseDying leaves pods alone whose namespace is being deleted.
func (wd *world) refuseDying(p *pod) (refusal, []fleet.Finding, bool) {
	if !wd.dying[p.Namespace] {
		return refusal{}, nil, false
	}
	return refusal{move: MoveWait, reason: "its namespace is being deleted, which takes the pod along"}, nil, true
}

// refuseBare refuses pods that nothing would make anew.
func (wd *world) refuseBare(p *pod) (refusal, []fleet.Finding, bool) {
	if p.owner != nil && !p.owner.dangling {
		return refusal{}, nil, false
	}
	what := "has no controller"
	if p.owner != nil {
		what = "belongs to " + p.Workload + ", which was not found"
	}
	f := fleet.Finding{
		ID: "pod-bare", Severity: fleet.Blocker, Object: p.object(),
		What:   "pod " + p.key + " " + what + ": once evicted it does not come back",
		Why:    "it is on node " + p.Node + ", which is to be emptied",
		Remedy: remedies("give it a controller", "delete it", "accept its loss, or set evacuation.barePods: evict"),
	}
	if wd.in.Policy.BarePods == policyEvict || wd.in.accepted("pod-bare", p.object()) {
		f.Severity = fleet.Warning
		return refusal{evict: true, reason: what + "; it may be evicted for good"}, []fleet.Finding{f}, true
	}
	return refusal{move: MoveRefuse, reason: what + " and would not come back (evacuation.barePods: refuse)"}, []fleet.Finding{f}, true
}

// refuseMarked honours the marks with which owners ask not to be disrupted.
func (wd *world) refuseMarked(p *pod) (refusal, []fleet.Finding, bool) {
	mark := ""
	wait := false
	switch {
	case p.Annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false":
		mark = `cluster-autoscaler.kubernetes.io/safe-to-evict: "false"`
	case p.Annotations["karpenter.sh/do-not-disrupt"] == "true":
		mark = `karpenter.sh/do-not-disrupt: "true"`
	case p.Labels["cluster.x-k8s.io/drain"] == "skip":
		mark = "cluster.x-k8s.io/drain: skip"
	case p.Labels["cluster.x-k8s.io/drain"] == "wait-completed":
		mark, wait = "cluster.x-k8s.io/drain: wait-completed", true
	}
	if n := wd.nodes[p.Node]; mark == "" && n != nil {
		// The same said of a whole node: by Karpenter, and by Gardener's machine
		// controller, which keeps such a node for its owner to look at.
		switch {
		case n.Annotations["karpenter.sh/do-not-disrupt"] == "true":
			mark = `karpenter.sh/do-not-disrupt: "true" on its node ` + p.Node
		case n.Annotations["node.machine.sapcloud.io/preserve"] == "now":
			mark = "node.machine.sapcloud.io/preserve: now on its node " + p.Node
		}
	}
	if mark == "" || wd.in.accepted("pod-do-not-disrupt", p.object()) {
		return refusal{}, nil, false
	}
	if wait || p.owner != nil && p.owner.Kind == fleet.Job {
		return refusal{move: MoveWait, reason: "is marked " + mark + ": it is waited for until it has completed"}, nil, true
	}
	f := fleet.Finding{
		ID: "pod-do-not-disrupt", Severity: fleet.Blocker, Object: p.object(),
		What:   "pod " + p.key + " is marked " + mark,
		Why:    "it is on node " + p.Node + ", which is to be emptied",
		Remedy: remedies("remove the mark", "wait until its owner is done with it", "accept its disruption"),
	}
	return refusal{move: MoveRefuse, reason: "is marked " + mark}, []fleet.Finding{f}, true
}

// refuseJob waits for the pods of Jobs.
func (wd *world) refuseJob(p *pod) (refusal, []fleet.Finding, bool) {
	if p.owner == nil || p.owner.Kind != fleet.Job {
		return refusal{}, nil, false
	}
	wait := wd.in.Policy.JobWait
	started := wd.in.Memory.StartedAt
	if started.IsZero() {
		started = wd.now
	}
	until := started.Add(wait)
	deadline := ""
	if d := p.owner.DeadlineAt; !d.IsZero() {
		deadline = "; its own deadline is " + d.UTC().Format(time.RFC3339)
	}
	f := fleet.Finding{
		ID: "job-running", Severity: fleet.Info, Object: p.object(),
		What:   "pod " + p.key + " runs a Job: it is waited for, at most " + wait.String() + deadline,
		Remedy: remedies("let the Job end before the window", "suspend its CronJob meanwhile", "set evacuation.jobWait and evacuation.jobsAfter"),
	}
	if wd.now.Before(until) {
		return refusal{
			move:   MoveWait,
			reason: "runs a Job; it is waited for until " + until.UTC().Format(time.RFC3339) + deadline,
		}, []fleet.Finding{f}, true
	}
	if wd.in.Policy.JobsAfter == policyEvict || wd.in.accepted("job-running", p.object()) {
		f.Severity = fleet.Warning
		f.What = "pod " + p.key + " still runs a Job after " + wait.String() + ": it is evicted, and the Job starts it again"
		return refusal{evict: true, reason: "still runs a Job after " + wait.String() + " (evacuation.jobsAfter: evict)"}, []fleet.Finding{f}, true
	}
	f.Severity = fleet.Blocker
	f.What = "pod " + p.key + " still runs a Job after " + wait.String() + deadline
	f.Why = "it is on node " + p.Node + ", which is to be emptied"
	f.Remedy = remedies("wait for the Job", "delete it", "set evacuation.jobsAfter: evict")
	return refusal{
		move:   MoveRefuse,
		reason: "still runs a Job after " + wait.String() + deadline + " (evacuation.jobsAfter: refuse)",
	}, []fleet.Finding{f}, true
}

// refuseLocalData keeps data that would die with the pod.
func (wd *world) refuseLocalData(p *pod) (refusal, []fleet.Finding, bool) {
	if len(p.LocalData) == 0 || wd.in.Policy.LocalData == policyEvict || wd.in.accepted("pod-local-data", p.object()) {
		return refusal{}, nil, false
	}
	data := strings.Join(p.LocalData, ", ")
	f := fleet.Finding{
		ID: "pod-local-data", Severity: fleet.Blocker, Object: p.object(),
		What:   "pod " + p.key + " keeps data on its node: " + data,
		Why:    "that data is lost when the pod moves",
		Remedy: remedies("move the data to a volume claim", "accept its loss", "set evacuation.localData: evict"),
	}
	return refusal{move: MoveRefuse, reason: "its data on the node (" + data + ") would be lost (evacuation.localData: refuse)"}, []fleet.Finding{f}, true
}

// refuseLocalVolume names pods whose volume cannot leave the node.
func (wd *world) refuseLocalVolume(p *pod) (refusal, []fleet.Finding, bool) {
	for _, name := range p.Claims {
		c := wd.claims[p.Namespace+"/"+name]
		if c == nil || !c.Local {
			continue
		}
		why := fmt.Sprintf("its volume %s lives on node %s", name, p.Node)
		return refusal{move: MoveBlocked, reason: why + " and cannot follow it"}, []fleet.Finding{{
			ID: "pod-local-volume", Severity: fleet.Blocker, Object: p.object(),
			What:   "pod " + p.key + ": " + why,
			Why:    "it can run on no other node",
			Remedy: remedies("copy the data to a volume that can be attached elsewhere", "delete the claim so that it starts empty", "leave this node out of the pool that is replaced"),
		}}, true
	}
	return refusal{}, nil, false
}

// policyEvict is the choice of an EvacuationPolicy that lets a pod go; anything
// else refuses.
const policyEvict = "evict"

// object is what acceptances and findings call a pod: its workload where that
// exists, else itself.
func (p *pod) object() string {
	if p.owner != nil && !p.owner.dangling {
		return p.owner.key
	}
	return "Pod/" + p.key
}
