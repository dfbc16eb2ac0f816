package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	metricsv1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"liftlock.dev/liftlock/internal/adapter/twin"
)

// metricsServer answers metrics.k8s.io for one cluster, to its API server only.
type metricsServer struct {
	server    *http.Server
	port      int
	authority []byte
	done      chan struct{}

	mu    sync.RWMutex
	pods  corelisters.PodLister
	nodes corelisters.NodeLister
}

const metricsHost = "metrics-server.kube-system.svc"

// window is what the figures are said to be averaged over.
const window = 5 * time.Second

func serveMetrics(ctx context.Context, plane *twin.ControlPlane, log *slog.Logger) (*metricsServer, error) {
	pair, authority, err := plane.ServingCertificate("metrics-server", metricsHost)
	if err != nil {
		return nil, fmt.Errorf("certificate of the metrics API: %w", err)
	}
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the metrics API: %w", err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(plane.FrontProxyAuthority())
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the metrics API: %w", err)
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.Join(fmt.Errorf("listen for the metrics API: %s is no TCP address", listener.Addr()), listener.Close())
	}
	m := &metricsServer{port: address.Port, authority: authority, done: make(chan struct{})}
	m.server = &http.Server{
		Handler:           m.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    clients,
			MinVersion:   tls.VersionTLS12,
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(m.done)
		// Ends by close alone; the listener is this one's own.
		_ = m.server.ServeTLS(listener, "", "")
	}()
	return m, nil
}

// serve says where the pods and nodes to answer from are found from now on.
func (m *metricsServer) serve(pods corelisters.PodLister, nodes corelisters.NodeLister) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pods, m.nodes = pods, nodes
}

func (m *metricsServer) close() error {
	err := m.server.Close()
	<-m.done
	if err != nil {
		return fmt.Errorf("close the metrics API: %w", err)
	}
	return nil
}

// registration is the manifest that makes the API server pass requests here.
func (m *metricsServer) registration() []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Service
metadata:
  name: metrics-server
  namespace: kube-system
  labels: {k8s-app: metrics-server}
spec:
  type: ExternalName
  externalName: localhost
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: v1beta1.metrics.k8s.io
  labels: {k8s-app: metrics-server}
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  service:
    name: metrics-server
    namespace: kube-system
    port: %d
  caBundle: %s
`, m.port, base64.StdEncoding.EncodeToString(m.authority))
}

func (m *metricsServer) handler() http.Handler {
	const root = "/apis/metrics.k8s.io/v1beta1"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root, func(w http.ResponseWriter, _ *http.Request) {
		verbs := metav1.Verbs{"get", "list"}
		answer(w, &metav1.APIResourceList{
			TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
			GroupVersion: "metrics.k8s.io/v1beta1",
			APIResources: []metav1.APIResource{
				{Name: "nodes", Kind: "NodeMetrics", Verbs: verbs},
				{Name: "pods", Kind: "PodMetrics", Namespaced: true, Verbs: verbs},
			},
		})
	})
	mux.HandleFunc("GET "+root+"/pods", m.listPods)
	mux.HandleFunc("GET "+root+"/namespaces/{namespace}/pods", m.listPods)
	mux.HandleFunc("GET "+root+"/namespaces/{namespace}/pods/{name}", m.getPod)
	mux.HandleFunc("GET "+root+"/nodes", m.listNodes)
	mux.HandleFunc("GET "+root+"/nodes/{name}", m.getNode)
	return mux
}

func (m *metricsServer) listers() (corelisters.PodLister, corelisters.NodeLister, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.pods, m.nodes, m.pods != nil
}

func (m *metricsServer) listPods(w http.ResponseWriter, r *http.Request) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	pods, _, ok := m.listers()
	if !ok {
		refuse(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "no metrics yet")
		return
	}
	found, err := pods.Pods(r.PathValue("namespace")).List(selector)
	if err != nil {
		refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error())
		return
	}
	list := &metricsv1.PodMetricsList{
		TypeMeta: metav1.TypeMeta{Kind: "PodMetricsList", APIVersion: "metrics.k8s.io/v1beta1"},
		Items:    []metricsv1.PodMetrics{},
	}
	now := time.Now()
	for _, pod := range found {
		if pod.Status.Phase == corev1.PodRunning {
			list.Items = append(list.Items, podMetrics(pod, now))
		}
	}
	answer(w, list)
}

func (m *metricsServer) getPod(w http.ResponseWriter, r *http.Request) {
	pods, _, ok := m.listers()
	if !ok {
		refuse(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "no metrics yet")
		return
	}
	pod, err := pods.Pods(r.PathValue("namespace")).Get(r.PathValue("name"))
	if err != nil || pod.Status.Phase != corev1.PodRunning {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("podmetrics.metrics.k8s.io %q not found", r.PathValue("namespace")+"/"+r.PathValue("name")))
		return
	}
	metrics := podMetrics(pod, time.Now())
	answer(w, &metrics)
}

func (m *metricsServer) listNodes(w http.ResponseWriter, r *http.Request) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	pods, nodes, ok := m.listers()
	if !ok {
		refuse(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "no metrics yet")
		return
	}
	found, err := nodes.List(selector)
	if err != nil {
		refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error())
		return
	}
	list := &metricsv1.NodeMetricsList{
		TypeMeta: metav1.TypeMeta{Kind: "NodeMetricsList", APIVersion: "metrics.k8s.io/v1beta1"},
		Items:    []metricsv1.NodeMetrics{},
	}
	now := time.Now()
	for _, node := range found {
		metrics, err := nodeMetrics(node, pods, now)
		if err != nil {
			refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error())
			return
		}
		list.Items = append(list.Items, metrics)
	}
	answer(w, list)
}

func (m *metricsServer) getNode(w http.ResponseWriter, r *http.Request) {
	pods, nodes, ok := m.listers()
	if !ok {
		refuse(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "no metrics yet")
		return
	}
	node, err := nodes.Get(r.PathValue("name"))
	if err != nil {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("nodemetrics.metrics.k8s.io %q not found", r.PathValue("name")))
		return
	}
	metrics, err := nodeMetrics(node, pods, time.Now())
	if err != nil {
		refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error())
		return
	}
	answer(w, &metrics)
}

// podMetrics puts the usage that a pod's annotations tell on its first
// container; without them every container uses half of what it requests.
func podMetrics(pod *corev1.Pod, now time.Time) metricsv1.PodMetrics {
	metrics := metricsv1.PodMetrics{
		TypeMeta:   metav1.TypeMeta{Kind: "PodMetrics", APIVersion: "metrics.k8s.io/v1beta1"},
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels, CreationTimestamp: metav1.NewTime(now)},
		Timestamp:  metav1.NewTime(now),
		Window:     metav1.Duration{Duration: window},
	}
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		usage := corev1.ResourceList{}
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			usage[name] = halfOf(container.Resources.Requests[name])
			told, ok := pod.Annotations[prefix+string(name)]
			if !ok {
				continue
			}
			quantity, err := resource.ParseQuantity(told)
			if err != nil || i > 0 {
				quantity = resource.Quantity{}
			}
			usage[name] = quantity
		}
		metrics.Containers = append(metrics.Containers, metricsv1.ContainerMetrics{Name: container.Name, Usage: usage})
	}
	return metrics
}

func halfOf(requested resource.Quantity) resource.Quantity {
	return *resource.NewMilliQuantity(requested.MilliValue()/2, requested.Format)
}

// nodeMetrics adds up what a node's pods use.
func nodeMetrics(node *corev1.Node, pods corelisters.PodLister, now time.Time) (metricsv1.NodeMetrics, error) {
	all, err := pods.List(labels.Everything())
	if err != nil {
		return metricsv1.NodeMetrics{}, fmt.Errorf("list pods: %w", err)
	}
	cpu := resource.NewMilliQuantity(50, resource.DecimalSI)
	memory := resource.NewQuantity(512<<20, resource.BinarySI)
	for _, pod := range all {
		if pod.Spec.NodeName != node.Name || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		for _, container := range podMetrics(pod, now).Containers {
			cpu.Add(container.Usage[corev1.ResourceCPU])
			memory.Add(container.Usage[corev1.ResourceMemory])
		}
	}
	return metricsv1.NodeMetrics{
		TypeMeta:   metav1.TypeMeta{Kind: "NodeMetrics", APIVersion: "metrics.k8s.io/v1beta1"},
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: node.Labels, CreationTimestamp: metav1.NewTime(now)},
		Timestamp:  metav1.NewTime(now),
		Window:     metav1.Duration{Duration: window},
		Usage:      corev1.ResourceList{corev1.ResourceCPU: *cpu, corev1.ResourceMemory: *memory},
	}, nil
}

func answer(w http.ResponseWriter, object any) { write(w, http.StatusOK, object) }

func refuse(w http.ResponseWriter, code int32, reason metav1.StatusReason, message string) {
	write(w, int(code), &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: code, Reason: reason, Message: strings.TrimSpace(message),
	})
}

func write(w http.ResponseWriter, code int, object any) {
	content, err := json.Marshal(object)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(content) // a client that went away needs no answer
}
