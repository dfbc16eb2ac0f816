package kube_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/sim/aks"
)

const workloads = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  replicas: 1
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: db, image: "db:1", resources: {requests: {cpu: 100m}}}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      storageClassName: managed-csi
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 8Gi}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: report, namespace: shop}
spec:
  template:
    metadata:
      annotations: {sim.liftlock.dev/runs-for: "1s-2s"}
      labels: {app: report}
    spec:
      restartPolicy: Never
      containers: [{name: report, image: "report:1"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata:
      labels: {app: api}
      annotations: {sim.liftlock.dev/cpu: "180m"}
    spec:
      containers:
      - {name: api, image: "api:1", resources: {requests: {cpu: 100m}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: api, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}
  minReplicas: 2
  maxReplicas: 6
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 90}}}
---
apiVersion: v1
kind: Pod
metadata:
  name: puller
  namespace: shop
  annotations: {sim.liftlock.dev/image-pull: "1500ms", sim.liftlock.dev/start: "0s"}
spec:
  containers: [{name: main, image: "large:1"}]
---
apiVersion: v1
kind: Pod
metadata:
  name: stuck
  namespace: shop
  labels: {app: stuck}
  annotations: {sim.liftlock.dev/start: never}
spec:
  containers: [{name: main, image: "stuck:1"}]
`

// TestWorkloads runs the kinds of pods whose life is more than start and end.
func TestWorkloads(t *testing.T) {
	const attach, detach = time.Second, 1200 * time.Millisecond
	r := newRig(t, aks.Timing{
		Seed:         2,
		PodStart:     aks.Range{Min: 200 * time.Millisecond, Max: 300 * time.Millisecond},
		VolumeAttach: aks.Range{Min: attach, Max: attach},
		VolumeDetach: aks.Range{Min: detach, Max: detach},
	})
	// Two nodes of one zone, since a disk does not leave its zone.
	r.addNodes(t, 0, 0)
	r.addNodes(t, 3, 3)
	r.apply(t, workloads)

	t.Run("a job runs its time", func(t *testing.T) {
		eventually(t, "job complete", func() (bool, string) {
			job, err := r.client.BatchV1().Jobs("shop").Get(t.Context(), "report", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return job.Status.Succeeded == 1 && job.Status.CompletionTime != nil, fmt.Sprintf("%+v", job.Status)
		})
		pod := r.pods(t, "app=report")[0]
		ended := pod.Status.ContainerStatuses[0].State.Terminated
		if ran := ended.FinishedAt.Sub(ended.StartedAt.Time); ran < time.Second || ran > 4*time.Second {
			t.Errorf("it ran for %s, want 1s to 2s", ran)
		}
	})

	t.Run("an image is pulled once", func(t *testing.T) {
		var pod *corev1.Pod
		eventually(t, "pod runs", func() (bool, string) {
			var err error
			if pod, err = r.client.CoreV1().Pods("shop").Get(t.Context(), "puller", metav1.GetOptions{}); err != nil {
				t.Fatal(err)
			}
			return podReady(pod), string(pod.Status.Phase)
		})
		images := r.node(t, pod.Spec.NodeName).Status.Images
		if len(images) != 1 || images[0].Names[0] != "large:1" {
			t.Errorf("images of the node: %v", images)
		}
	})

	t.Run("a pod may never get ready", func(t *testing.T) {
		pod := r.pods(t, "app=stuck")[0]
		if pod.Spec.NodeName == "" || podReady(&pod) || pod.Status.Phase != corev1.PodPending {
			t.Errorf("pod on %q: %+v", pod.Spec.NodeName, pod.Status)
		}
	})

	t.Run("a volume moves with its pod", func(t *testing.T) {
		pod := r.ready(t, "app=db", 1)[0]
		from := pod.Spec.NodeName
		// Watch who has the disk while the pod moves.
		moved := time.Now()
		if err := r.cluster.Drain(t.Context(), from, 20*time.Second); err != nil {
			t.Fatal(err)
		}
		eventually(t, "pod Ready elsewhere", func() (bool, string) {
			list, err := r.client.StorageV1().VolumeAttachments().List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			attached := map[string]string{}
			for _, attachment := range list.Items {
				if attachment.Status.Attached {
					attached[attachment.Spec.NodeName] = *attachment.Spec.Source.PersistentVolumeName
				}
			}
			if len(attached) > 1 {
				t.Fatalf("the disk is attached to two nodes: %v", attached)
			}
			for _, pod := range r.pods(t, "app=db") {
				if podReady(&pod) && pod.DeletionTimestamp == nil {
					if attached[pod.Spec.NodeName] == "" {
						t.Fatalf("pod Ready on %s, disk attached to %v", pod.Spec.NodeName, attached)
					}
					return pod.Spec.NodeName != from, pod.Spec.NodeName
				}
			}
			return false, fmt.Sprint(attached)
		})
		if took := time.Since(moved); took < attach+detach {
			t.Errorf("moved in %s, faster than detach and attach", took)
		}
		volumes, err := r.client.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(volumes.Items) != 1 {
			t.Fatalf("%d volumes, %v", len(volumes.Items), err)
		}
		if zone := volumes.Items[0].Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0]; zone.Values[0] != "westeurope-1" {
			t.Errorf("the volume is in %v", zone)
		}
		if err := r.cluster.SetUnschedulable(t.Context(), from, false); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a volume survives its node", func(t *testing.T) {
		from := r.ready(t, "app=db", 1)[0].Spec.NodeName
		if err := r.cluster.RemoveNode(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		if now := r.ready(t, "app=db", 1)[0].Spec.NodeName; now == from {
			t.Errorf("pod Ready on %s, which is gone", now)
		}
	})

	t.Run("a volume goes with its claim", func(t *testing.T) {
		for _, err := range []error{
			r.client.AppsV1().StatefulSets("shop").Delete(t.Context(), "db", metav1.DeleteOptions{}),
			r.client.CoreV1().PersistentVolumeClaims("shop").Delete(t.Context(), "data-db-0", metav1.DeleteOptions{}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "volume gone", func() (bool, string) {
			volumes, err := r.client.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return len(volumes.Items) == 0, fmt.Sprintf("%+v", volumes.Items)
		})
	})

	t.Run("an autoscaler follows the metrics", func(t *testing.T) {
		// 180m used of 100m requested, 90 % wanted: twice as many.
		eventually(t, "four replicas", func() (bool, string) {
			scaler, err := r.client.AutoscalingV2().HorizontalPodAutoscalers("shop").Get(t.Context(), "api", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return scaler.Status.DesiredReplicas >= 4, fmt.Sprintf("%+v", scaler.Status)
		})
	})
}
