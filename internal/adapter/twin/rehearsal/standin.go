package rehearsal

import (
	"fmt"
	"maps"
	"slices"
)

// standIns makes what objects name and the snapshot does not hold, where nothing
// would work without: namespaces, accounts, classes, claims and volumes. Where of
// one says what that means, if it means anything.
func standIns(objects []Object) map[stage][]Object {
	have := map[string]bool{}
	for i := range objects {
		have[objects[i].Key()] = true
	}
	made := map[stage][]Object{}
	add := func(s stage, content map[string]any, note string) bool {
		o := Object{Content: content, Where: note}
		if have[o.Key()] {
			return false
		}
		have[o.Key()] = true
		made[s] = append(made[s], o)
		return true
	}
	spaces := map[string]bool{"default": true, "kube-system": true}
	for i := range objects {
		if n := objects[i].namespace(); n != "" {
			spaces[n] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(spaces)) {
		add(first, object("v1", "Namespace", "", n), "")
		add(accounts, object("v1", "ServiceAccount", n, "default"), "")
	}
	for i := range objects {
		o := &objects[i]
		switch o.kind() {
		case kind{"", "Pod"}:
			if outOf(o) == "" {
				standInsOfPod(o, add)
			}
		case kind{"", "PersistentVolumeClaim"}:
			if have["PersistentVolume/"+text(o.Content, "spec", "volumeName")] {
				continue
			}
			if volume := volumeFor(o.Content); volume != nil {
				add(volumes, volume, fmt.Sprintf("volume %s of claim %s is not in the snapshot: it is taken to be attachable in every zone", text(o.Content, "spec", "volumeName"), o.key()))
			}
		}
	}
	return made
}

// standInsOfPod makes what a pod names.
func standInsOfPod(o *Object, add func(stage, map[string]any, string) bool) {
	if name := text(o.Content, "spec", "serviceAccountName"); name != "" {
		add(accounts, object("v1", "ServiceAccount", o.namespace(), name), "")
	}
	if name := text(o.Content, "spec", "priorityClassName"); name != "" && name != "system-node-critical" && name != "system-cluster-critical" {
		class := object("scheduling.k8s.io/v1", "PriorityClass", "", name)
		class["value"] = number(o.Content, "spec", "priority")
		if policy := text(o.Content, "spec", "preemptionPolicy"); policy != "" {
			class["preemptionPolicy"] = policy
		}
		add(first, class, "")
	}
	if name := text(o.Content, "spec", "runtimeClassName"); name != "" {
		class := object("node.k8s.io/v1", "RuntimeClass", "", name)
		class["handler"] = name
		if overhead := part(o.Content, "spec", "overhead"); overhead != nil {
			class["overhead"] = map[string]any{"podFixed": overhead}
		}
		add(first, class, fmt.Sprintf("RuntimeClass %s is not in the snapshot: it is taken to run on every node", name))
	}
	for _, v := range items(o.Content, "spec", "volumes") {
		claim := text(v, "persistentVolumeClaim", "claimName")
		if claim == "" {
			continue
		}
		c := object("v1", "PersistentVolumeClaim", o.namespace(), claim)
		c["spec"] = map[string]any{
			"accessModes": []any{"ReadWriteOnce"}, "storageClassName": "", "volumeName": "stand-in-" + o.namespace() + "-" + claim,
			"resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}},
		}
		bound(c)
		if add(claims, c, fmt.Sprintf("claim %s/%s is not in the snapshot: it is taken to be bound to a volume that is attachable in every zone", o.namespace(), claim)) {
			add(volumes, volumeFor(c), "")
		}
	}
}

// volumeFor makes the volume that a claim is bound to; nil for one that is not.
func volumeFor(claim map[string]any) map[string]any {
	name := text(claim, "spec", "volumeName")
	if name == "" {
		return nil
	}
	v := object("v1", "PersistentVolume", "", name)
	capacity := map[string]any{"storage": "1Gi"}
	if has := part(claim, "status", "capacity"); has != nil {
		capacity = has
	} else if wants := part(claim, "spec", "resources", "requests"); wants != nil {
		capacity = wants
	}
	ref := map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim",
		"namespace": text(claim, "metadata", "namespace"), "name": text(claim, "metadata", "name"), "uid": text(claim, "metadata", "uid"),
	}
	v["spec"] = map[string]any{
		"capacity": capacity, "accessModes": list(claim, "spec", "accessModes"), "persistentVolumeReclaimPolicy": "Retain",
		"storageClassName": text(claim, "spec", "storageClassName"), "claimRef": ref,
		"csi": map[string]any{"driver": "stand-in.liftlock.dev", "volumeHandle": name},
	}
	if mode := text(claim, "spec", "volumeMode"); mode != "" {
		put(v, mode, "spec", "volumeMode")
	}
	v["status"] = map[string]any{"phase": "Bound"}
	return v
}

// bound marks a claim as bound, so that no controller looks for a volume.
func bound(claim map[string]any) {
	put(claim, "yes", "metadata", "annotations", "pv.kubernetes.io/bind-completed")
	put(claim, map[string]any{
		"phase": "Bound", "accessModes": list(claim, "spec", "accessModes"), "capacity": part(claim, "spec", "resources", "requests"),
	}, "status")
}

func object(apiVersion, kind, namespace, name string) map[string]any {
	metadata := map[string]any{"name": name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	return map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
}
