package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// knownKinds are the controllers whose objects are read, by API group and kind.
var knownKinds = map[[2]string]fleet.WorkloadKind{
	{"apps", "Deployment"}:        fleet.Deployment,
	{"apps", "ReplicaSet"}:        fleet.ReplicaSet,
	{"apps", "StatefulSet"}:       fleet.StatefulSet,
	{"apps", "DaemonSet"}:         fleet.DaemonSet,
	{"batch", "Job"}:              fleet.Job,
	{"", "ReplicationController"}: fleet.ReplicaSet,
}

func kindOf(owner *metav1.OwnerReference) (fleet.WorkloadKind, bool) {
	kind, known := knownKinds[[2]string{groupOf(owner.APIVersion), owner.Kind}]
	return kind, known
}

// finder looks a known controller up by its uid.
type finder func(uid string) (key string, owner *metav1.OwnerReference, found bool)

// topmost climbs from a pod's controller to the topmost one that counts as its
// workload:
//
//   - a Deployment, StatefulSet, DaemonSet, Job or ReplicationController is the
//     workload, whoever has it (that is then its Manager);
//   - a ReplicaSet is only if nobody has it, or its Deployment is gone;
//   - a controller of a kind that we do not read makes an Other workload.
//
// A pod whose controller is gone is answered "": nobody would replace it.
func topmost(namespace string, owner *metav1.OwnerReference, find finder) (key string, other *fleet.Workload) {
	if owner == nil {
		return "", nil
	}
	if _, known := kindOf(owner); !known {
		w := otherWorkload(namespace, owner)
		return w.Key(), &w
	}
	key, above, found := find(string(owner.UID))
	if !found {
		return "", nil
	}
	if owner.Kind != "ReplicaSet" || above == nil {
		return key, nil
	}
	if _, known := kindOf(above); !known {
		w := otherWorkload(namespace, above)
		return w.Key(), &w
	}
	if deployment, _, alive := find(string(above.UID)); alive {
		return deployment, nil
	}
	return key, nil
}

// unseenOwner is the key of the workload that a pod belongs to by its own or its
// ReplicaSet's word, where that is not to be found; "" where all is.
func unseenOwner(namespace string, owner *metav1.OwnerReference, find finder) string {
	if owner == nil {
		return ""
	}
	kind, known := kindOf(owner)
	if !known {
		return ""
	}
	_, above, found := find(string(owner.UID))
	if found && kind == fleet.ReplicaSet && above != nil {
		if owner = above; !isKnown(owner) {
			return ""
		}
		kind, _ = kindOf(owner)
		_, _, found = find(string(owner.UID))
	}
	if found {
		return ""
	}
	w := fleet.Workload{Kind: kind, Namespace: namespace, Name: owner.Name}
	return w.Key()
}

func isKnown(owner *metav1.OwnerReference) bool {
	_, known := kindOf(owner)
	return known
}

// otherWorkload stands for a controller that we know by name only. Its kind is
// part of its name, so that a Rollout and a CloneSet of one name stay apart.
func otherWorkload(namespace string, owner *metav1.OwnerReference) fleet.Workload {
	return fleet.Workload{
		Kind:      fleet.Other,
		Namespace: namespace,
		Name:      otherName(owner.Kind, owner.Name),
		UID:       string(owner.UID),
		Settled:   true,
	}
}

func otherName(kind, name string) string { return kind + ":" + name }
