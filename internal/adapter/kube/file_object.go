package kube

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	kjson "sigs.k8s.io/json"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// mostReplicas is more than a workload can have in any cluster.
const mostReplicas = 1_000_000

// fileKinds are the kinds that a file may hold, by API group and kind, and how
// an object of each is taken in.
var fileKinds = map[[2]string]func(*harvest, []byte) (any, error){
	{"", "Node"}: taking(func(h *harvest, n *corev1.Node) error {
		h.named("", &n.ObjectMeta)
		for i := range n.Status.Conditions {
			h.saw(n.Status.Conditions[i].LastHeartbeatTime, n.Status.Conditions[i].LastTransitionTime)
		}
		h.nodes = append(h.nodes, toNode(n))
		return nil
	}),
	{"", "Pod"}: taking(func(h *harvest, p *corev1.Pod) error {
		h.named("pods", &p.ObjectMeta)
		for i := range p.Status.Conditions {
			h.saw(p.Status.Conditions[i].LastTransitionTime)
		}
		if p.Status.StartTime != nil {
			h.saw(*p.Status.StartTime)
		}
		h.pods = append(h.pods, toPod(p))
		return nil
	}),
	{"", "Namespace"}: taking(func(h *harvest, n *corev1.Namespace) error {
		h.named("", &n.ObjectMeta)
		if ends(n) {
			h.terminatingNamespaces = append(h.terminatingNamespaces, n.Name)
		}
		return nil
	}),
	{"", "PersistentVolume"}: taking(func(h *harvest, v *corev1.PersistentVolume) error {
		h.named("", &v.ObjectMeta)
		h.volumes = append(h.volumes, toVolume(v))
		return nil
	}),
	{"", "PersistentVolumeClaim"}: taking(func(h *harvest, c *corev1.PersistentVolumeClaim) error {
		h.named("persistentvolumeclaims", &c.ObjectMeta)
		h.claims = append(h.claims, *c)
		return nil
	}),
	{"", "ReplicationController"}: taking(func(h *harvest, r *corev1.ReplicationController) error {
		return h.controller(&r.ObjectMeta, toReplicationController(r))
	}),
	{"apps", "Deployment"}: taking(func(h *harvest, d *appsv1.Deployment) error {
		for i := range d.Status.Conditions {
			h.saw(d.Status.Conditions[i].LastUpdateTime)
		}
		return h.controller(&d.ObjectMeta, toDeployment(d))
	}),
	{"apps", "ReplicaSet"}: taking(func(h *harvest, r *appsv1.ReplicaSet) error {
		return h.controller(&r.ObjectMeta, toReplicaSet(r))
	}),
	{"apps", "StatefulSet"}: taking(func(h *harvest, s *appsv1.StatefulSet) error {
		return h.controller(&s.ObjectMeta, toStatefulSet(s))
	}),
	{"apps", "DaemonSet"}: taking(func(h *harvest, d *appsv1.DaemonSet) error {
		return h.controller(&d.ObjectMeta, toDaemonSet(d))
	}),
	{"batch", "Job"}: taking(func(h *harvest, j *batchv1.Job) error {
		return h.controller(&j.ObjectMeta, toJob(j))
	}),
	{"policy", "PodDisruptionBudget"}: taking(func(h *harvest, b *policyv1.PodDisruptionBudget) error {
		h.named("poddisruptionbudgets", &b.ObjectMeta)
		if err := errors.Join(amountIn("spec.minAvailable", b.Spec.MinAvailable), amountIn("spec.maxUnavailable", b.Spec.MaxUnavailable)); err != nil {
			return err
		}
		budget, err := toBudget(b)
		if err != nil {
			// The domain takes it to select all and to allow nothing.
			budget.Selector = "!!unreadable"
			h.findings = append(h.findings, fleet.Finding{
				ID: "budget-selector-unreadable", Severity: fleet.Warning, Object: "PodDisruptionBudget/" + budget.Key(),
				What:   "the selector of budget " + budget.Key() + " cannot be read: it is taken to select every pod of its namespace, and to allow no eviction",
				Why:    err.Error(),
				Remedy: "correct the budget's selector",
			})
		}
		h.budgets = append(h.budgets, budget)
		return nil
	}),
	{"autoscaling", "HorizontalPodAutoscaler"}: taking(func(h *harvest, a *autoscalingv2.HorizontalPodAutoscaler) error {
		h.named("horizontalpodautoscalers", &a.ObjectMeta)
		if s, ok := toScaler(a); ok {
			h.scalers = append(h.scalers, s)
		}
		return nil
	}),
	{"keda.sh", "ScaledObject"}: func(h *harvest, raw []byte) (any, error) {
		var content map[string]any
		if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &content); err != nil {
			return new(map[string]any), err
		}
		object := &unstructured.Unstructured{Object: content}
		h.named("scaledobjects", &metav1.ObjectMeta{Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID()})
		h.scalers = append(h.scalers, fromScaledObject(object))
		return nil, nil
	},
	{"storage.k8s.io", "VolumeAttachment"}: taking(func(h *harvest, a *storagev1.VolumeAttachment) error {
		h.named("", &a.ObjectMeta)
		h.attachments = append(h.attachments, *a)
		return nil
	}),
}

// errObject: an object was decoded, and something in it makes no sense.
type errObject struct{ error }

// taking decodes an object of a type and takes it in. When it cannot be decoded
// it returns a new value of the type, for the diagnosis.
func taking[T any](take func(*harvest, *T) error) func(*harvest, []byte) (any, error) {
	return func(h *harvest, raw []byte) (any, error) {
		object := new(T)
		if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, object); err != nil {
			return new(T), err
		}
		if err := take(h, object); err != nil {
			return nil, errObject{err}
		}
		return nil, nil
	}
}

// harvest is what was gathered from some of a file's objects.
type harvest struct {
	gathered
	facts    *fileFacts // nil where only a snapshot is wanted
	newest   time.Time
	findings []fleet.Finding
	// object names what is being taken in, and why it cannot be if it cannot.
	object, uid, version string
	unnamed              error
}

// saw notes times of the cluster's past, the newest of which is about when the
// snapshot was taken.
func (h *harvest) saw(times ...metav1.Time) {
	for _, t := range times {
		if t.After(h.newest) {
			h.newest = t.Time
		}
	}
}

// named notes which object is taken in. resource is "" for objects that are in
// no namespace. Dumps that were stripped of uids are told apart by names.
func (h *harvest) named(resource string, meta *metav1.ObjectMeta) {
	h.object, h.uid, h.version = meta.Name, string(meta.UID), meta.ResourceVersion
	switch {
	case meta.Name == "":
		h.unnamed = errors.New("has no metadata.name")
	case resource != "" && meta.Namespace == "":
		h.unnamed = errors.New("has no metadata.namespace")
	}
	if resource != "" {
		h.object = meta.Namespace + "/" + meta.Name
	}
	h.saw(meta.CreationTimestamp)
}

// controller takes in a controller of pods.
func (h *harvest) controller(meta *metav1.ObjectMeta, w ownedWorkload) error {
	h.named("controllers", meta)
	h.controllers = append(h.controllers, w)
	if n := w.workload.Replicas; n < 0 || n > mostReplicas {
		return fmt.Errorf("spec.replicas: %d is not a number of replicas", n)
	}
	return errors.Join(
		amountIn("the strategy's maxUnavailable", w.workload.MaxUnavailable),
		amountIn("the strategy's maxSurge", w.workload.MaxSurge))
}

// amountIn checks a count or percentage.
func amountIn(path string, value *intstr.IntOrString) error {
	if value == nil {
		return nil
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(value, 100, true)
	if err != nil || n < 0 || n > mostReplicas {
		return fmt.Errorf("%s: %q is neither a number of pods nor a percentage", path, value.String())
	}
	return nil
}

// ends reports whether a namespace is being deleted.
func ends(n *corev1.Namespace) bool {
	return n.DeletionTimestamp != nil || n.Status.Phase == corev1.NamespaceTerminating
}

// take takes in one object of a list, and returns its kind as people write it.
// kindOfList is what its objects are where they do not say so themselves.
func (h *harvest) take(raw, scratch []byte, kindOfList [2]string) (kind string, known bool, fresh any, err error) {
	h.object, h.uid, h.version, h.unnamed = "", "", "", nil
	lean, version, name, err := prune(raw, scratch[:0], leftOut)
	if err != nil {
		lean = raw // its decoding tells what is wrong
	}
	group, kind := groupOf(string(version)), string(name)
	if kind == "" {
		group, kind = kindOfList[0], kindOfList[1]
	}
	into := fileKinds[[2]string{group, kind}]
	if h.facts != nil && err == nil {
		h.facts.head(raw, string(version), kind)
		if into == nil {
			into = factKinds[[2]string{group, kind}]
		}
	}
	if into == nil {
		var head struct {
			Kind string `json:"kind"`
		}
		// Still it must be an object, and say what it is.
		if err := kjson.UnmarshalCaseSensitivePreserveInts(lean, &head); err != nil {
			return "object", true, &head, err
		}
		if cmp.Or(kind, head.Kind) == "" {
			return "object", true, nil, errObject{errors.New("has no kind: what it is cannot be told")}
		}
		return strings.TrimPrefix(group+"/"+kind, "/"), false, nil, nil
	}
	fresh, err = into(h, lean)
	if err == nil && h.unnamed != nil {
		err = errObject{h.unnamed}
	}
	return kind, true, fresh, err
}
