package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// rehearsable writes what kubectl get -A -o json prints of a cluster whose objects
// are as their controllers left them: Deployments of ten with a budget, a
// StatefulSet of three with disks for every eighth of them, two DaemonSets.
func rehearsable(to io.Writer, nodes, pods int) error {
	s := &sample{nodes: nodes}
	s.fill(pods)
	return json.NewEncoder(to).Encode(map[string]any{"apiVersion": "v1", "kind": "List", "items": s.items})
}

// sample gathers the objects of such a cluster.
type sample struct {
	items []any
	nodes int
	pods  int
}

var sampleAt = metav1.NewTime(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC))

func (s *sample) fill(pods int) {
	size := corev1.ResourceList{"cpu": resource.MustParse("7820m"), "memory": resource.MustParse("28Gi"), "pods": resource.MustParse("110")}
	for i := range s.nodes {
		name := s.node(i)
		s.items = append(s.items, &corev1.Node{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: sampleAt, Labels: map[string]string{
				"kubernetes.azure.com/agentpool": "apps", "topology.kubernetes.io/zone": fmt.Sprintf("westeurope-%d", 1+i%3), "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
			}},
			Status: corev1.NodeStatus{
				Capacity: size, Allocatable: size, NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.34.4", OperatingSystem: "linux", Architecture: "amd64"},
				Conditions: []corev1.NodeCondition{{Type: "Ready", Status: "True", Reason: "KubeletReady", LastTransitionTime: sampleAt, LastHeartbeatTime: sampleAt}},
			},
		})
	}
	for i := range 2 {
		s.daemonSet(i)
	}
	for i := 0; s.pods < pods; i++ {
		space := fmt.Sprintf("team-%02d", i/10)
		if i%8 == 7 {
			s.statefulSet(space, fmt.Sprintf("db-%03d", i), min(3, pods-s.pods))
			continue
		}
		s.deployment(space, fmt.Sprintf("app-%03d", i), min(10, pods-s.pods))
	}
}

func (s *sample) node(i int) string { return fmt.Sprintf("aks-apps-%04d", i%s.nodes) }

func metaOf(space, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: space, UID: types.UID(space + "-" + name), Generation: 1, CreationTimestamp: sampleAt}
}

func ownedBy(m metav1.ObjectMeta, kind, name string) metav1.ObjectMeta {
	m.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, UID: types.UID(m.Namespace + "-" + name), Controller: new(true), BlockOwnerDeletion: new(true)}}
	return m
}

func templateOf(labels map[string]string, cpu string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{
			Name: "app", Image: "registry.example.com/shop/app:v1.2.3",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(cpu), "memory": resource.MustParse("256Mi")}},
		}},
		RestartPolicy: "Always", DNSPolicy: "ClusterFirst", TerminationGracePeriodSeconds: new(int64(30)),
	}}
}

// pod adds a pod that was Ready after a start of 5 to 24 seconds.
func (s *sample) pod(m metav1.ObjectMeta, labels map[string]string, template *corev1.PodTemplateSpec, node string, claim string) {
	m.Labels = maps.Clone(template.Labels)
	maps.Copy(m.Labels, labels)
	spec := *template.Spec.DeepCopy()
	spec.NodeName, spec.ServiceAccountName = node, "default"
	if claim != "" {
		spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}
	}
	ready := metav1.NewTime(sampleAt.Add(time.Duration(5+s.pods*7%20) * time.Second))
	status := corev1.PodStatus{Phase: "Running", StartTime: &sampleAt, PodIP: "10.2.3.4", PodIPs: []corev1.PodIP{{IP: "10.2.3.4"}}, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "app", Image: spec.Containers[0].Image, ImageID: "sha256:1", ContainerID: "containerd://1", Ready: true, Started: new(true),
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ready}},
	}}}
	for _, kind := range []corev1.PodConditionType{"PodScheduled", "Initialized", "ContainersReady", "Ready"} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: "True", LastTransitionTime: ready})
	}
	s.pods++
	s.items = append(s.items, &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: m, Spec: spec, Status: status})
}

func (s *sample) deployment(space, name string, replicas int) {
	const hash = "6f7d9c5b48"
	labels, hashed := map[string]string{"app": name}, map[string]string{"app": name, "pod-template-hash": hash}
	count, set := new(int32(replicas)), name+"-"+hash
	template := templateOf(labels, "250m")
	m := metaOf(space, name)
	m.Annotations = map[string]string{"deployment.kubernetes.io/revision": "1"}
	quarter := intstr.FromString("25%")
	of := metaOf(space, set)
	of.Annotations, of.Labels = m.Annotations, hashed
	selects := &metav1.LabelSelector{MatchLabels: labels}
	s.items = append(s.items,
		&appsv1.Deployment{
			TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: m,
			Spec:   appsv1.DeploymentSpec{Replicas: count, Selector: selects, Template: template, Strategy: appsv1.DeploymentStrategy{Type: "RollingUpdate", RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &quarter, MaxUnavailable: &quarter}}},
			Status: appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: *count, UpdatedReplicas: *count, ReadyReplicas: *count, AvailableReplicas: *count},
		},
		&appsv1.ReplicaSet{
			TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"}, ObjectMeta: ownedBy(of, "Deployment", name),
			Spec:   appsv1.ReplicaSetSpec{Replicas: count, Selector: &metav1.LabelSelector{MatchLabels: hashed}, Template: templateOf(hashed, "250m")},
			Status: appsv1.ReplicaSetStatus{ObservedGeneration: 1, Replicas: *count, ReadyReplicas: *count, AvailableReplicas: *count},
		},
		&policyv1.PodDisruptionBudget{
			TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, ObjectMeta: metaOf(space, name),
			Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: selects},
		})
	for i := range replicas {
		s.pod(ownedBy(metaOf(space, fmt.Sprintf("%s-%05d", set, i)), "ReplicaSet", set), hashed, &template, s.node(s.pods), "")
	}
}

func (s *sample) statefulSet(space, name string, replicas int) {
	labels := map[string]string{"app": name}
	template := templateOf(labels, "250m")
	revision := name + "-7c5d9f"
	s.items = append(s.items, &appsv1.StatefulSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}, ObjectMeta: metaOf(space, name),
		Spec: appsv1.StatefulSetSpec{
			Replicas: new(int32(replicas)), ServiceName: name, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template,
			PodManagementPolicy: "Parallel", UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: "RollingUpdate"},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: claimSpecOf("")}},
		},
		Status: appsv1.StatefulSetStatus{ObservedGeneration: 1, Replicas: int32(replicas), ReadyReplicas: int32(replicas), CurrentRevision: revision, UpdateRevision: revision},
	})
	for i := range replicas {
		pod := fmt.Sprintf("%s-%d", name, i)
		claim, volume := "data-"+pod, "pvc-"+space+"-"+pod
		s.items = append(s.items, &corev1.PersistentVolumeClaim{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, ObjectMeta: metaOf(space, claim), Spec: claimSpecOf(volume),
			Status: corev1.PersistentVolumeClaimStatus{Phase: "Bound", AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"}},
		}, &corev1.PersistentVolume{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"}, ObjectMeta: metaOf("", volume),
			Spec: corev1.PersistentVolumeSpec{
				Capacity: corev1.ResourceList{"storage": resource.MustParse("8Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"}, StorageClassName: "managed",
				ClaimRef:               &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: space, Name: claim, UID: types.UID(space + "-" + claim)},
				PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "disk.csi.azure.com", VolumeHandle: "/disks/" + volume}},
			},
			Status: corev1.PersistentVolumeStatus{Phase: "Bound"},
		})
		s.pod(ownedBy(metaOf(space, pod), "StatefulSet", name), map[string]string{"controller-revision-hash": revision, "statefulset.kubernetes.io/pod-name": pod}, &template, s.node(s.pods), claim)
	}
}

func claimSpecOf(volume string) corev1.PersistentVolumeClaimSpec {
	return corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"}, StorageClassName: new("managed"), VolumeName: volume,
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("8Gi")}},
	}
}

func (s *sample) daemonSet(n int) {
	name := fmt.Sprintf("agent-%d", n)
	labels := map[string]string{"app": name}
	template := templateOf(labels, "50m")
	template.Spec.Tolerations = []corev1.Toleration{{Operator: "Exists"}}
	one := intstr.FromInt32(1)
	s.items = append(s.items, &appsv1.DaemonSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"}, ObjectMeta: metaOf("kube-system", name),
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template,
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: "RollingUpdate", RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &one}},
		},
		Status: appsv1.DaemonSetStatus{ObservedGeneration: 1, CurrentNumberScheduled: int32(s.nodes), DesiredNumberScheduled: int32(s.nodes), NumberReady: int32(s.nodes)},
	})
	for i := range s.nodes {
		s.pod(ownedBy(metaOf("kube-system", fmt.Sprintf("%s-%04d", name, i)), "DaemonSet", name), map[string]string{"controller-revision-hash": "58f9d", "pod-template-generation": "1"}, &template, s.node(i), "")
	}
}
