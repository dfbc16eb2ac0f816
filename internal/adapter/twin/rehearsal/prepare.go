package rehearsal

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

// stage of loading: objects of a stage need those of the stages before.
type stage int

const (
	first    stage = iota // namespaces, definitions, classes
	accounts              // what pods and claims name
	machines
	claims
	volumes
	owners // of pods, or of owners of pods
	middle // what has an owner and owns pods
	around // what is about pods
	pods
	limits // what would forbid the loading itself
	probed // asked about, and not kept
)

// stages say what of a snapshot lives on in the twin. Everything else is only
// tried: the API server says whether it takes it.
var stages = map[kind]stage{
	{"", "Namespace"}: first,
	{"apiextensions.k8s.io", "CustomResourceDefinition"}: first,
	{"scheduling.k8s.io", "PriorityClass"}:               first,
	{"node.k8s.io", "RuntimeClass"}:                      first,
	{"storage.k8s.io", "StorageClass"}:                   first,
	{"storage.k8s.io", "CSIDriver"}:                      first,
	{"", "ServiceAccount"}:                               accounts,
	{"", "Node"}:                                         machines,
	{"storage.k8s.io", "CSINode"}:                        claims, // after its node
	{"", "PersistentVolumeClaim"}:                        claims,
	{"", "PersistentVolume"}:                             volumes,
	{"apps", "Deployment"}:                               owners,
	{"apps", "StatefulSet"}:                              owners,
	{"apps", "DaemonSet"}:                                owners,
	{"batch", "Job"}:                                     owners,
	{"", "ReplicationController"}:                        owners,
	{"apps", "ReplicaSet"}:                               middle,
	{"policy", "PodDisruptionBudget"}:                    around,
	{"autoscaling", "HorizontalPodAutoscaler"}:           around,
	{"", "Service"}:                                      around,
	{"", "Pod"}:                                          pods,
	{"", "LimitRange"}:                                   limits,
	{"", "ResourceQuota"}:                                limits,
}

// extensions is the group that everything was in before it had its own.
const extensions = "extensions"

// stageOf is the stage of a kind, also of one in the group that it once was in.
func stageOf(k kind) stage {
	if s, ok := stages[k]; ok {
		return s
	}
	if k.group == extensions {
		for _, group := range []string{"apps", "policy"} {
			if s, ok := stages[kind{group, k.name}]; ok {
				return s
			}
		}
	}
	return probed
}

// jobTracking is the one finalizer that pods keep: the Job's controller needs it
// to count them.
const jobTracking = "batch.kubernetes.io/job-tracking"

// bare copies an object without what only its own API server may write.
func bare(o *Object) map[string]any {
	c := runtime.DeepCopyJSON(o.Content)
	for _, field := range []string{
		"uid", "resourceVersion", "generation", "creationTimestamp", "selfLink", "managedFields",
		"deletionTimestamp", "deletionGracePeriodSeconds",
	} {
		drop(c, "metadata", field)
	}
	kept := []any{}
	for _, f := range list(c, "metadata", "finalizers") {
		if f == jobTracking {
			kept = append(kept, f)
		}
	}
	drop(c, "metadata", "finalizers")
	if len(kept) > 0 {
		put(c, kept, "metadata", "finalizers")
	}
	drop(c, "status")
	return c
}

func list(content map[string]any, path ...string) []any {
	parent := part(content, path[:len(path)-1]...)
	if parent == nil {
		return nil
	}
	l, _ := parent[path[len(path)-1]].([]any)
	return l
}

// clock turns times of the snapshot into times of the twin.
type clock struct {
	takenAt time.Time
	now     time.Time
	speed   float64
}

// shift moves a time of the snapshot: what was an hour before it is an hour ago.
func (k clock) shift(s string) string {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil || k.takenAt.IsZero() {
		return s
	}
	return k.now.Add(at.Sub(k.takenAt)).UTC().Format(time.RFC3339)
}

// scaled is a number of seconds at the twin's speed, at least one if it was any.
func (k clock) scaled(seconds int64) int64 {
	if seconds <= 0 {
		return seconds
	}
	return max(1, int64(float64(seconds)/k.speed))
}

// prepare makes of an object what is created for it, and the status that it gets
// afterwards (nil for none). uids are those of what is there already, by the uids
// that they had.
func prepare(o *Object, uids map[string]string, k clock) (content, status map[string]any) {
	c := bare(o)
	namespace := o.namespace()
	reown(c, namespace, uids)
	was := runtime.DeepCopyJSON(o.Content)
	switch o.kind().name {
	case "Namespace":
		drop(c, "spec")
	case "CustomResourceDefinition":
		drop(c, "spec", "conversion") // a webhook would have to be asked
	case "ServiceAccount":
		drop(c, "secrets")
	case "Node":
		status = prepareNode(c, was)
	case "PersistentVolumeClaim":
		drop(c, "spec", "dataSource")
		drop(c, "spec", "dataSourceRef")
		status = only(part(was, "status"), "phase", "accessModes", "capacity")
	case "PersistentVolume":
		if ref := part(c, "spec", "claimRef"); ref != nil {
			delete(ref, "resourceVersion")
			put(ref, "PersistentVolumeClaim", "kind")
			rewrite(ref, text(ref, "namespace"), uids)
		}
		status = only(part(was, "status"), "phase")
	case "Deployment", "StatefulSet":
		if n := number(c, "spec", "minReadySeconds"); n > 0 {
			put(c, k.scaled(n), "spec", "minReadySeconds")
		}
	case "Job":
		status = prepareJob(c, was, k)
	case "Service":
		prepareService(c)
	case "Pod":
		status = preparePod(c, was, uids)
	case "ResourceQuota":
		status = part(was, "status")
	}
	return c, status
}

// reown rewrites the uids of owners that are there.
func reown(c map[string]any, namespace string, uids map[string]string) {
	for _, ref := range items(c, "metadata", "ownerReferences") {
		rewrite(ref, namespace, uids)
	}
}

// rewrite gives a reference the uid that its object has now: found by the uid that
// it had, or by its name in dumps that were stripped of uids.
func rewrite(ref map[string]any, namespace string, uids map[string]string) {
	for _, known := range []string{text(ref, "uid"), named(text(ref, "kind"), namespace, text(ref, "name"))} {
		if uid, ok := uids[known]; ok && known != "" {
			ref["uid"] = uid
			return
		}
	}
	if text(ref, "uid") == "" {
		ref["uid"] = "not-in-the-snapshot"
	}
}

// named is the key of an object among uids, beside the uid that it had.
func named(kind, namespace, name string) string {
	return kind + "/" + strings.TrimPrefix(namespace+"/"+name, "/")
}

// only keeps some fields.
func only(m map[string]any, fields ...string) map[string]any {
	if m == nil {
		return nil
	}
	kept := map[string]any{}
	for _, f := range fields {
		if v, ok := m[f]; ok {
			kept[f] = v
		}
	}
	return kept
}

// prepareNode keeps what the scheduler looks at. Taints of conditions are written
// by the node controller, from the conditions.
func prepareNode(c, was map[string]any) map[string]any {
	drop(c, "spec", "podCIDR")
	drop(c, "spec", "podCIDRs")
	drop(c, "spec", "configSource")
	keepTaints(c, func(key string) bool { return !strings.HasPrefix(key, "node.kubernetes.io/") })
	return only(part(was, "status"), "capacity", "allocatable", "conditions", "addresses", "nodeInfo", "features", "runtimeHandlers")
}

// keepTaints drops the taints whose keys are not wanted.
func keepTaints(c map[string]any, wanted func(key string) bool) {
	kept := []any{}
	for _, t := range items(c, "spec", "taints") {
		if wanted(text(t, "key")) {
			delete(t, "timeAdded")
			kept = append(kept, t)
		}
	}
	drop(c, "spec", "taints")
	if len(kept) > 0 {
		put(c, kept, "spec", "taints")
	}
}

// jobUIDLabels hold the uid of a Job on its pods and in its selector.
var jobUIDLabels = []string{"batch.kubernetes.io/controller-uid", "controller-uid"}

// prepareJob lets the API server write the selector anew, which holds the uid.
func prepareJob(c, was map[string]any, k clock) map[string]any {
	drop(c, "spec", "ttlSecondsAfterFinished")
	if manual, _ := part(c, "spec")["manualSelector"].(bool); !manual {
		drop(c, "spec", "selector")
		for _, label := range append(jobUIDLabels, "batch.kubernetes.io/job-name", "job-name") {
			drop(c, "spec", "template", "metadata", "labels", label)
		}
	}
	status := part(was, "status")
	if status == nil {
		return nil
	}
	if at := text(status, "startTime"); at != "" {
		status["startTime"] = k.shift(at)
	}
	return only(status, "startTime", "active", "succeeded", "failed", "ready", "completedIndexes", "failedIndexes", "uncountedTerminatedPods")
}

// prepareService drops the addresses and ports, which the twin has its own of.
func prepareService(c map[string]any) {
	if text(c, "spec", "clusterIP") != "None" {
		drop(c, "spec", "clusterIP")
		drop(c, "spec", "clusterIPs")
	}
	for _, field := range []string{"ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"} {
		drop(c, "spec", field)
	}
	if text(c, "spec", "clusterIP") == "None" {
		put(c, []any{"None"}, "spec", "clusterIPs")
	}
	for _, p := range items(c, "spec", "ports") {
		delete(p, "nodePort")
	}
}

// Marks of the twin on objects.
const (
	prefix = "rehearse.liftlock.dev/"
	// startKey "never" keeps KWOK from starting a pod that did not start.
	startKey = prefix + "start"
)

// preparePod makes a pod that is where it was, in the state that it was in.
func preparePod(c, was map[string]any, uids map[string]string) map[string]any {
	for _, field := range []string{"ephemeralContainers", "priority", "preemptionPolicy"} {
		drop(c, "spec", field)
	}
	for _, label := range jobUIDLabels {
		if labels := part(c, "metadata", "labels"); labels != nil {
			if uid, ok := uids[text(labels, label)]; ok {
				labels[label] = uid
			}
		}
	}
	status := part(was, "status")
	if status == nil {
		return nil
	}
	for _, field := range []string{"qosClass", "ephemeralContainerStatuses", "resize", "resourceClaimStatuses", "observedGeneration", "extendedResourceClaimStatus", "allocatedResources", "resources", "nominatedNodeName"} {
		delete(status, field)
	}
	for _, condition := range items(status, "conditions") {
		delete(condition, "observedGeneration")
	}
	if text(status, "phase") == "Pending" && text(was, "spec", "nodeName") != "" {
		put(c, "never", "metadata", "annotations", startKey)
	}
	return status
}

// outOf says why an object is not loaded though its kind is; "" for those that are.
func outOf(o *Object) string {
	switch o.kind().name {
	case "Pod":
		if text(o.Content, "metadata", "deletionTimestamp") != "" {
			return "it is on its way out"
		}
		if slices.Contains([]string{"Succeeded", "Failed"}, text(o.Content, "status", "phase")) {
			return "it has ended"
		}
		if part(o.Content, "metadata", "annotations")["kubernetes.io/config.mirror"] != nil {
			return "its kubelet runs it from a file, and comes and goes with the node"
		}
	case "Job":
		for _, c := range items(o.Content, "status", "conditions") {
			if t := text(c, "type"); (t == "Complete" || t == "Failed") && text(c, "status") == "True" {
				return "it has ended"
			}
		}
	case "ReplicaSet":
		if _, owned := o.controller(); owned && number(o.Content, "spec", "replicas") == 0 && number(o.Content, "status", "replicas") == 0 {
			return "it is an earlier revision without pods"
		}
	}
	return ""
}
