package kube

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// ownedWorkload is a controller of pods, and the controller that has it.
type ownedWorkload struct {
	workload fleet.Workload
	owner    *metav1.OwnerReference
	finished bool // a Job that has run to its end
}

func newWorkload(kind fleet.WorkloadKind, object *metav1.ObjectMeta, seen int64) ownedWorkload {
	w := ownedWorkload{workload: fleet.Workload{
		Kind:        kind,
		Namespace:   object.Namespace,
		Name:        object.Name,
		UID:         string(object.UID),
		Labels:      object.Labels,
		Annotations: object.Annotations,
		Manager:     managerOf(object),
		Settled:     seen >= object.Generation,
	}}
	if owner := metav1.GetControllerOfNoCopy(object); owner != nil {
		copied := *owner
		w.owner = &copied
	}
	return w
}

func toDeployment(d *appsv1.Deployment) ownedWorkload {
	w := newWorkload(fleet.Deployment, &d.ObjectMeta, d.Status.ObservedGeneration)
	w.workload.Replicas = orOne(d.Spec.Replicas)
	w.workload.Ready = d.Status.ReadyReplicas
	w.workload.Available = d.Status.AvailableReplicas
	w.workload.Updated = d.Status.UpdatedReplicas
	w.workload.Current = d.Status.Replicas
	w.workload.Paused = d.Spec.Paused
	w.workload.Strategy = string(d.Spec.Strategy.Type)
	w.workload.MinReadySeconds = d.Spec.MinReadySeconds
	if rolling := d.Spec.Strategy.RollingUpdate; rolling != nil {
		w.workload.MaxUnavailable, w.workload.MaxSurge = rolling.MaxUnavailable, rolling.MaxSurge
	}
	for i := range d.Status.Conditions {
		condition := &d.Status.Conditions[i]
		if condition.Type == appsv1.DeploymentProgressing && condition.Status == corev1.ConditionFalse &&
			condition.Reason == "ProgressDeadlineExceeded" {
			w.workload.ProgressFailed = condition.Message
		}
	}
	return w
}

func toStatefulSet(s *appsv1.StatefulSet) ownedWorkload {
	w := newWorkload(fleet.StatefulSet, &s.ObjectMeta, s.Status.ObservedGeneration)
	w.workload.Replicas = orOne(s.Spec.Replicas)
	w.workload.Ready = s.Status.ReadyReplicas
	w.workload.Available = s.Status.AvailableReplicas
	w.workload.Updated = s.Status.UpdatedReplicas
	w.workload.Current = s.Status.Replicas
	w.workload.Strategy = string(s.Spec.UpdateStrategy.Type)
	w.workload.PodManagement = string(s.Spec.PodManagementPolicy)
	w.workload.MinReadySeconds = s.Spec.MinReadySeconds
	if s.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType {
		// Without the field, or on servers that do not know it, one pod at a time.
		w.workload.MaxUnavailable = new(intstr.FromInt32(1))
		if rolling := s.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
			if rolling.MaxUnavailable != nil {
				w.workload.MaxUnavailable = rolling.MaxUnavailable
			}
			if rolling.Partition != nil {
				w.workload.Partition = *rolling.Partition
			}
		}
	}
	return w
}

func toDaemonSet(d *appsv1.DaemonSet) ownedWorkload {
	w := newWorkload(fleet.DaemonSet, &d.ObjectMeta, d.Status.ObservedGeneration)
	w.workload.Replicas = d.Status.DesiredNumberScheduled
	w.workload.Ready = d.Status.NumberReady
	w.workload.Available = d.Status.NumberAvailable
	w.workload.Updated = d.Status.UpdatedNumberScheduled
	w.workload.Current = d.Status.CurrentNumberScheduled
	w.workload.Strategy = string(d.Spec.UpdateStrategy.Type)
	w.workload.MinReadySeconds = d.Spec.MinReadySeconds
	if rolling := d.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
		w.workload.MaxUnavailable, w.workload.MaxSurge = rolling.MaxUnavailable, rolling.MaxSurge
	}
	return w
}

func toReplicaSet(r *appsv1.ReplicaSet) ownedWorkload {
	w := newWorkload(fleet.ReplicaSet, &r.ObjectMeta, r.Status.ObservedGeneration)
	w.workload.Replicas = orOne(r.Spec.Replicas)
	w.workload.Ready = r.Status.ReadyReplicas
	w.workload.Available = r.Status.AvailableReplicas
	w.workload.Updated = r.Status.Replicas
	w.workload.Current = r.Status.Replicas
	w.workload.MinReadySeconds = r.Spec.MinReadySeconds
	return w
}

func toReplicationController(r *corev1.ReplicationController) ownedWorkload {
	w := newWorkload(fleet.ReplicaSet, &r.ObjectMeta, r.Status.ObservedGeneration)
	w.workload.Replicas = orOne(r.Spec.Replicas)
	w.workload.Ready = r.Status.ReadyReplicas
	w.workload.Available = r.Status.AvailableReplicas
	w.workload.Updated = r.Status.Replicas
	w.workload.Current = r.Status.Replicas
	w.workload.MinReadySeconds = r.Spec.MinReadySeconds
	return w
}

func toJob(j *batchv1.Job) ownedWorkload {
	w := newWorkload(fleet.Job, &j.ObjectMeta, j.Generation)
	w.workload.Replicas = orOne(j.Spec.Parallelism)
	w.workload.Current = j.Status.Active
	w.workload.Updated = j.Status.Active
	if j.Status.Ready != nil {
		w.workload.Ready = *j.Status.Ready
		w.workload.Available = *j.Status.Ready
	}
	w.workload.Paused = j.Spec.Suspend != nil && *j.Spec.Suspend
	if j.Spec.ActiveDeadlineSeconds != nil && j.Status.StartTime != nil {
		w.workload.DeadlineAt = j.Status.StartTime.Add(time.Duration(*j.Spec.ActiveDeadlineSeconds) * time.Second).UTC()
	}
	for i := range j.Status.Conditions {
		condition := &j.Status.Conditions[i]
		if (condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed) &&
			condition.Status == corev1.ConditionTrue {
			w.finished = true
		}
	}
	return w
}

func orOne(number *int32) int32 {
	if number == nil {
		return 1
	}
	return *number
}
