package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// kubectlGet writes what kubectl get -A -o json prints of a cluster with that many
// nodes and pods: fifteen pods to a node, Deployments of ten with a budget and
// two ReplicaSets each, a StatefulSet of three for every tenth of them. The objects
// are as large as real ones are.
func kubectlGet(to io.Writer, nodes, pods int) error {
	const perWorkload, perNamespace = 10, 50
	out := bufio.NewWriterSize(to, 1<<20)
	first := true
	write := func(text string, from ...string) {
		separator := ",\n        "
		if first {
			separator, first = "\n        ", false
		}
		_, _ = out.WriteString(separator)
		_, _ = strings.NewReplacer(from...).WriteString(out, text)
	}
	_, _ = out.WriteString("{\n    \"apiVersion\": \"v1\",\n    \"items\": [")

	node, pod, deployment, set, budget, err := templates(perWorkload)
	if err != nil {
		return err
	}
	for i := range nodes {
		write(node, "NODE", fmt.Sprintf("aks-apps-%05d", i), "UID", fmt.Sprintf("node-%d", i), "ZONE", fmt.Sprint(i%3+1))
	}
	for i := range pods {
		w := i / perWorkload
		name := []string{
			"APP", fmt.Sprintf("app-%05d", w), "SPACE", fmt.Sprintf("team-%03d", w/perNamespace),
			"NODE", fmt.Sprintf("aks-apps-%05d", i%nodes), "NUMBER", fmt.Sprint(i),
			"2026-11-20T10:00:30Z", time.Date(2026, 11, 20, 10, 0, 5+i*7%40, 0, time.UTC).Format(time.RFC3339),
		}
		if i%perWorkload == 0 {
			for _, text := range []string{deployment, set, strings.ReplaceAll(set, "abc12", "old34"), budget} {
				write(text, name...)
			}
		}
		write(pod, name...)
	}
	_, _ = out.WriteString("\n    ],\n    \"kind\": \"List\",\n    \"metadata\": {\n        \"resourceVersion\": \"\"\n    }\n}\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	return nil
}

// templates are one object of each kind, with words in capitals for what
// differs.
func templates(replicas int32) (node, pod, deployment, set, budget string, err error) {
	text := func(object any) string {
		raw, failed := json.MarshalIndent(object, "        ", "    ")
		if failed != nil {
			err = failed
		}
		return string(raw)
	}
	at := metav1.NewTime(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC))
	ready := metav1.NewTime(at.Add(30 * time.Second))
	labels := map[string]string{"app.kubernetes.io/name": "APP", "app.kubernetes.io/part-of": "shop", "pod-template-hash": "abc12"}
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{"cpu": resource.MustParse(cpu), "memory": resource.MustParse(memory)}
	}
	meta := func(name, uid string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: "SPACE", UID: types.UID(uid), ResourceVersion: "4711", Generation: 1, CreationTimestamp: at, Labels: labels}
	}
	allocatable := list("15740m", "60Gi")
	allocatable["pods"] = resource.MustParse("110")
	var images []corev1.ContainerImage
	for i := range 25 {
		images = append(images, corev1.ContainerImage{Names: []string{fmt.Sprintf("registry.example.com/shop/image-%d@sha256:%064d", i, i), fmt.Sprintf("registry.example.com/shop/image-%d:v1.%d", i, i)}, SizeBytes: 123456789})
	}
	var conditions []corev1.NodeCondition
	for _, kind := range []corev1.NodeConditionType{"MemoryPressure", "DiskPressure", "PIDPressure", "KernelDeadlock", "Ready"} {
		conditions = append(conditions, corev1.NodeCondition{Type: kind, Status: "False", LastHeartbeatTime: ready, LastTransitionTime: at, Reason: "KubeletHas", Message: "kubelet has what it needs"})
	}
	conditions[len(conditions)-1].Status = "True"
	node = text(&corev1.Node{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Name: "NODE", UID: "UID", CreationTimestamp: at, Labels: map[string]string{
			"kubernetes.azure.com/agentpool": "apps", "topology.kubernetes.io/zone": "region-ZONE", "kubernetes.io/hostname": "NODE", "kubernetes.io/os": "linux",
		}},
		Status: corev1.NodeStatus{Allocatable: allocatable, Capacity: allocatable, Conditions: conditions, Images: images, NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.34.8"}},
	})
	var env []corev1.EnvVar
	for i := range 8 {
		env = append(env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: "https://service.shop.svc.cluster.local:8443/path"})
	}
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080), Scheme: "HTTP"}}, PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
	container := corev1.Container{
		Name: "app", Image: "registry.example.com/shop/app:v1.2.3", Env: env, Args: []string{"--listen=:8080", "--log-format=json"},
		Ports:     []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: "TCP"}},
		Resources: corev1.ResourceRequirements{Requests: list("250m", "512Mi"), Limits: list("1", "1Gi")}, LivenessProbe: probe, ReadinessProbe: probe,
		VolumeMounts:             []corev1.VolumeMount{{Name: "kube-api-access", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}, {Name: "config", MountPath: "/etc/app"}},
		TerminationMessagePath:   "/dev/termination-log",
		TerminationMessagePolicy: "File", ImagePullPolicy: "IfNotPresent",
	}
	sidecar := container
	sidecar.Name, sidecar.Image, sidecar.Env = "proxy", "registry.example.com/mesh/proxy:v2.3.4", env[:2]
	spec := corev1.PodSpec{
		Containers: []corev1.Container{container, sidecar}, NodeName: "NODE", ServiceAccountName: "app", TerminationGracePeriodSeconds: new(int64(30)),
		RestartPolicy: "Always", DNSPolicy: "ClusterFirst", SchedulerName: "default-scheduler", Priority: new(int32(0)), PreemptionPolicy: new(corev1.PreemptLowerPriority),
		Tolerations: []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: new(int64(300))}, {Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: new(int64(300))}},
		Volumes: []corev1.Volume{
			{Name: "kube-api-access", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: new(int64(3607)), Path: "token"}}, {ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}}}}}},
			{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "APP"}}}},
		},
	}
	status := corev1.PodStatus{Phase: "Running", HostIP: "10.1.2.3", PodIP: "10.2.3.4", StartTime: &at, QOSClass: "Burstable"}
	for _, kind := range []corev1.PodConditionType{"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: "True", LastTransitionTime: ready})
	}
	for _, c := range spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: "registry.example.com/shop/app@sha256:" + strings.Repeat("0123456789abcdef", 4), ContainerID: "containerd://" + strings.Repeat("0123456789abcdef", 4),
			Ready: true, Started: new(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ready}},
		})
	}
	of := func(m metav1.ObjectMeta, apiVersion, kind, name, uid string) metav1.ObjectMeta {
		m.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: name, UID: types.UID(uid), Controller: new(true), BlockOwnerDeletion: new(true)}}
		return m
	}
	pod = text(&corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: of(meta("APP-abc12-NUMBER", "pod-NUMBER"), "apps/v1", "ReplicaSet", "APP-abc12", "set-APP-abc12"), Spec: spec, Status: status})
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
	quarter := intstr.FromString("25%")
	deployment = text(&appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: meta("APP", "deployment-APP"),
		Spec:   appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template, Strategy: appsv1.DeploymentStrategy{Type: "RollingUpdate", RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &quarter, MaxUnavailable: &quarter}}},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: replicas, UpdatedReplicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas},
	})
	set = text(&appsv1.ReplicaSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"}, ObjectMeta: of(meta("APP-abc12", "set-APP-abc12"), "apps/v1", "Deployment", "APP", "deployment-APP"),
		Spec:   appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
		Status: appsv1.ReplicaSetStatus{ObservedGeneration: 1, Replicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas},
	})
	budget = text(&policyv1.PodDisruptionBudget{
		TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, ObjectMeta: meta("APP", "budget-APP"),
		Spec:   policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "APP"}}},
		Status: policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1, DisruptionsAllowed: 1, CurrentHealthy: replicas, DesiredHealthy: replicas - 1, ExpectedPods: replicas},
	})
	return node, pod, deployment, set, budget, err
}
