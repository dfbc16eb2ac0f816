package traffic

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// service is one of the services under test, and how it is used.
type service struct {
	name     string
	replicas int32
	args     []string                          // of cmd/web
	budget   *policyv1.PodDisruptionBudgetSpec // without its selector
	rate     int                               // requests per second
	patience time.Duration                     // for one request
	counted  bool                              // it stops gracefully, so no request may be lost
}

var (
	one  = intstr.FromInt32(1)
	keep = &policyv1.PodDisruptionBudgetSpec{MinAvailable: &one}
	slip = &policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one}
)

// services are those that teams really run. All but the last serve for a few
// seconds after SIGTERM, while the cluster still sends them requests.
var services = []service{
	{name: "web", replicas: 6, args: []string{"-linger=5s"}, budget: slip, rate: 200, patience: 10 * time.Second, counted: true},
	{name: "budget", replicas: 1, args: []string{"-start=1s", "-linger=5s"}, budget: keep, rate: 90, patience: 10 * time.Second, counted: true},
	{name: "slow", replicas: 3, args: []string{"-start=10s", "-linger=5s"}, budget: slip, rate: 90, patience: 10 * time.Second, counted: true},
	{name: "long", replicas: 3, args: []string{"-work=4s", "-linger=5s"}, rate: 30, patience: 20 * time.Second, counted: true},
	{name: "starter", replicas: 1, args: []string{"-start=15s", "-linger=5s"}, rate: 90, patience: 10 * time.Second, counted: true},
	{name: "abrupt", replicas: 2, args: []string{"-abrupt"}, rate: 20, patience: 10 * time.Second},
}

// starter is the service that a drain takes down: it takes longer to start than
// its old pod lingers.
const starter = "starter"

// deploy creates the services on the nodes that are schedulable, and returns
// the addresses at which they answer.
func (w *world) deploy(t *testing.T, namespace string) map[string]string {
	t.Helper()
	ctx := t.Context()
	if _, err := w.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{}
	for _, s := range services {
		labels := map[string]string{"app": s.name}
		if _, err := w.client.AppsV1().Deployments(namespace).Create(ctx, s.deployment(labels), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if s.budget != nil {
			budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: s.name}, Spec: *s.budget}
			budget.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
			if _, err := w.client.PolicyV1().PodDisruptionBudgets(namespace).Create(ctx, budget, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		created, err := w.client.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: s.name},
			Spec: corev1.ServiceSpec{
				Selector: labels,
				Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		addresses[s.name] = "http://" + created.Spec.ClusterIP + "/"
	}
	w.awaitReady(t, namespace)
	for name, address := range addresses {
		if err := poll(ctx, time.Minute, name+" answers at its ClusterIP", func() error { return answers(ctx, address) }); err != nil {
			t.Fatal(err)
		}
	}
	return addresses
}

func (s *service) deployment(labels map[string]string) *appsv1.Deployment {
	no, grace := false, int64(40)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: s.name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &s.replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					AutomountServiceAccountToken:  &no,
					EnableServiceLinks:            &no,
					TerminationGracePeriodSeconds: &grace,
					DNSPolicy:                     corev1.DNSDefault, // there is no cluster DNS
					Containers: []corev1.Container{{
						Name: "web", Image: imageName("web"), ImagePullPolicy: corev1.PullNever, Args: s.args,
						Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
							corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi"),
						}},
						// Patient once it is Ready, so that a machine that is busy for
						// seconds does not take a healthy pod out of its service.
						ReadinessProbe: &corev1.Probe{
							ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(8080)}},
							PeriodSeconds: 1, TimeoutSeconds: 10, FailureThreshold: 10,
						},
					}},
				},
			},
		},
	}
}

// awaitReady waits until every service has all its pods, and none too many.
func (w *world) awaitReady(t *testing.T, namespace string) {
	t.Helper()
	if err := poll(t.Context(), 2*time.Minute, "all pods of "+namespace+" are Ready", func() error {
		deployments, err := w.client.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, d := range deployments.Items {
			if s := d.Status; s.ObservedGeneration < d.Generation || s.UpdatedReplicas != *d.Spec.Replicas ||
				s.ReadyReplicas != *d.Spec.Replicas || s.Replicas != *d.Spec.Replicas {
				return fmt.Errorf("deployment %s: %+v", d.Name, s)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// withdraw deletes the services and waits until their containers are gone.
func (w *world) withdraw(t *testing.T, namespace string) {
	t.Helper()
	if err := w.client.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := poll(t.Context(), 2*time.Minute, "the pods of "+namespace+" are gone", func() error {
		pods, err := w.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("there are %d", len(pods.Items))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// answers makes one request.
func answers(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if class, err := request(ctx, address); class != "" {
		return fmt.Errorf("%s: %w", class, err)
	}
	return nil
}

// fresh makes a new connection for every request.
var fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
