// Package witness watches, from outside of whoever upgrades clusters, whether
// every workload stays as available as it must be. It reads the clusters' own
// API servers and remembers the worst it saw, so that what it says holds even
// when the upgrading process was killed in the middle. It changes nothing and
// decides nothing.
package witness

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// Violation is one fall of a workload below what it has to keep.
type Violation struct {
	At    time.Time `json:"at"`
	Ready int       `json:"ready"`
	Floor int       `json:"floor"` // the lower of what is required and what was Ready at the start
}

// Workload is what was seen of one workload since the watch began.
type Workload struct {
	Workload   string      `json:"workload"` // "Deployment/shop/web"
	Replicas   int         `json:"replicas"` // wanted now
	AtStart    int         `json:"replicasAtStart"`
	Required   int         `json:"required"` // now: the strictest of its budgets and its own update strategy
	Ready      int         `json:"ready"`
	ReadyStart int         `json:"readyAtStart"`
	Lowest     int         `json:"lowest"`
	LowestAt   time.Time   `json:"lowestAt"`
	Falls      int         `json:"violations"`
	Violations []Violation `json:"falls,omitempty"`
	// PodSecondsBelow sums over time how many pods were missing of what it had
	// to keep, after it had fallen.
	PodSecondsBelow float64 `json:"podSecondsBelow,omitempty"`
	// Demands says what the requirement comes from.
	Demands []string `json:"demands,omitempty"`
	Gone    bool     `json:"gone,omitempty"` // it was deleted meanwhile
}

// Cluster is what was seen in one cluster.
type Cluster struct {
	Cluster    string     `json:"cluster"`
	ID         string     `json:"id"`
	Since      time.Time  `json:"since,omitzero"` // when the watch began; zero while it has not
	Workloads  []Workload `json:"workloads"`
	Violations int        `json:"violations"`
}

// Report is what was seen in all clusters.
type Report struct {
	Clusters   []Cluster `json:"clusters"`
	Violations int       `json:"violations"`
}

// Witness watches clusters. It is safe for concurrent use.
type Witness struct {
	now func() time.Time
	log *slog.Logger

	mu      sync.Mutex
	watches map[string]*watch
}

// New returns a witness that watches nothing yet.
func New(now func() time.Time, logger *slog.Logger) *Witness {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Witness{now: now, log: logger, watches: map[string]*watch{}}
}

// Watch begins to watch a cluster that a kubeconfig leads to, until Forget or
// Close. What it sees counts from Begin on.
func (w *Witness) Watch(ctx context.Context, id, name string, kubeconfig []byte) error {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return fmt.Errorf("watching cluster %s: %w", name, err)
	}
	config.UserAgent = "liftlock-sim-witness"
	// Clusters are small machines: the other form costs them several times as much.
	config.AcceptContentTypes, config.ContentType = "application/vnd.kubernetes.protobuf,application/json", "application/vnd.kubernetes.protobuf"
	look := &eyes{}
	look.open(config)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("watching cluster %s: %w", name, err)
	}
	return w.watch(ctx, id, name, client, look)
}

// WatchClient is Watch with a client, which must not break: what it misses is
// taken for what happened.
func (w *Witness) WatchClient(ctx context.Context, id, name string, client kubernetes.Interface) error {
	return w.watch(ctx, id, name, client, &eyes{})
}

func (w *Witness) watch(ctx context.Context, id, name string, client kubernetes.Interface, look *eyes) error {
	// The watch outlives the call that begins it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	factory := informers.NewSharedInformerFactory(client, 0)
	v := newWatch(id, name, w.now, factory, cancel)
	look.of = v
	if err := v.listen(); err != nil {
		cancel()
		return fmt.Errorf("watching cluster %s: %w", name, err)
	}
	w.mu.Lock()
	old := w.watches[id]
	w.watches[id] = v
	w.mu.Unlock()
	if old != nil {
		old.stop()
	}
	factory.Start(ctx.Done())
	return nil
}

// Begin waits until every workload of a cluster has as many Ready pods as it
// wants, or patience is over, and counts from then on.
func (w *Witness) Begin(ctx context.Context, id string, patience time.Duration) error {
	w.mu.Lock()
	v := w.watches[id]
	w.mu.Unlock()
	if v == nil {
		return fmt.Errorf("cluster %s is not watched", id)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), v.synced...) {
		return fmt.Errorf("cluster %s: its API server gave no lists within %s", v.name, patience)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !v.settled() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			v.begin()
			return fmt.Errorf("cluster %s: after %s these were not Ready: %s", v.name, patience, strings.Join(v.unready(), ", "))
		}
	}
	v.begin()
	return nil
}

// Restart forgets what was seen and counts anew from now on.
func (w *Witness) Restart() {
	for _, v := range w.all() {
		v.begin()
	}
}

// Forget ends the watch of a cluster and drops what was seen.
func (w *Witness) Forget(id string) {
	w.mu.Lock()
	v := w.watches[id]
	delete(w.watches, id)
	w.mu.Unlock()
	if v != nil {
		v.stop()
	}
}

// Close ends all watches.
func (w *Witness) Close() {
	for _, v := range w.all() {
		w.Forget(v.id)
	}
}

// Report says what was seen so far.
func (w *Witness) Report() Report {
	report := Report{Clusters: []Cluster{}}
	for _, v := range w.all() {
		c := v.report()
		report.Clusters = append(report.Clusters, c)
		report.Violations += c.Violations
	}
	return report
}

func (w *Witness) all() []*watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*watch, 0, len(w.watches))
	for _, v := range w.watches {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *watch) int { return strings.Compare(a.id, b.id) })
	return all
}
