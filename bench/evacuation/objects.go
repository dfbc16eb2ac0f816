package evacuation

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// create makes the objects of the apps that are wanted, some at a time.
func create(ctx context.Context, client kubernetes.Interface, apps []app, wanted func(*app) bool) error {
	for i := range apps {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: apps[i].namespace}}
		if i > 0 && apps[i-1].namespace == apps[i].namespace {
			continue
		}
		if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make namespace %s: %w", namespace.Name, err)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range apps {
		a := &apps[i]
		if !wanted(a) {
			continue
		}
		group.Go(func() error {
			if err := a.create(ctx, client); err != nil {
				return fmt.Errorf("make %s: %w", a, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (a *app) create(ctx context.Context, client kubernetes.Interface) error {
	meta := metav1.ObjectMeta{Namespace: a.namespace, Name: a.name, Labels: a.labels()}
	selector := &metav1.LabelSelector{MatchLabels: a.labels()}
	if a.budget != nil { // before the pods, so that none is ever without
		pdb := &policyv1.PodDisruptionBudget{
			ObjectMeta: meta,
			Spec: policyv1.PodDisruptionBudgetSpec{
				Selector: selector, MinAvailable: a.budget.minAvailable, MaxUnavailable: a.budget.maxUnavailable,
			},
		}
		if _, err := client.PolicyV1().PodDisruptionBudgets(a.namespace).Create(ctx, pdb, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	replicas := int32(a.replicas)
	switch a.kind {
	case deployment:
		d := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: a.template()}}
		switch {
		case a.recreate:
			d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
		case a.maxSurge != nil || a.maxUnavailable != nil:
			d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: a.maxSurge, MaxUnavailable: a.maxUnavailable}
		}
		if _, err := client.AppsV1().Deployments(a.namespace).Create(ctx, d, metav1.CreateOptions{}); err != nil {
			return err
		}
		return a.autoscale(ctx, client, meta)
	case statefulSet:
		s := &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, Selector: selector, Template: a.template(), ServiceName: a.name,
		}}
		if a.volume {
			class := "managed-csi"
			s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class,
					Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("32Gi")}},
				},
			}}
		}
		_, err := client.AppsV1().StatefulSets(a.namespace).Create(ctx, s, metav1.CreateOptions{})
		return err
	case job:
		template := a.template()
		template.Spec.RestartPolicy = corev1.RestartPolicyNever
		j := &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Parallelism: &replicas, Completions: &replicas, Template: template}}
		_, err := client.BatchV1().Jobs(a.namespace).Create(ctx, j, metav1.CreateOptions{})
		return err
	}
	return fmt.Errorf("%q is no kind of workload", a.kind)
}

func (a *app) autoscale(ctx context.Context, client kubernetes.Interface, meta metav1.ObjectMeta) error {
	if a.autoscaled == 0 {
		return nil
	}
	least, target := int32(a.replicas), int32(60)
	_, err := client.AutoscalingV2().HorizontalPodAutoscalers(a.namespace).Create(ctx, &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: meta,
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: string(deployment), Name: a.name},
			MinReplicas:    &least, MaxReplicas: int32(a.autoscaled),
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &target},
				},
			}},
		},
	}, metav1.CreateOptions{})
	return err
}

func (a *app) labels() map[string]string { return map[string]string{"app": a.name} }

// template is what the app's pods are made from. The annotations tell the
// simulated kubelets the times that were drawn.
func (a *app) template() corev1.PodTemplateSpec {
	notes := map[string]string{
		"sim.liftlock.dev/start":       a.starts.String(),
		"sim.liftlock.dev/termination": a.stops.String(),
	}
	if a.autoscaled > 0 {
		// A load that the pods share: also twice as many of them want no more.
		notes["sim.liftlock.dev/cpu"] = "70m"
	}
	if a.kind == job {
		notes["sim.liftlock.dev/runs-for"] = a.runs.String()
	}
	t := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: a.labels(), Annotations: notes},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "contoso.azurecr.io/" + a.name + ":1.4.2",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("512Mi"),
			}},
		}}},
	}
	if a.volume {
		t.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/var/lib/data"}}
	}
	if a.spread {
		t.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: a.labels()},
			}},
		}}
	}
	return t
}
