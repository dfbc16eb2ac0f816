// Package kube stands behind the simulated managed clusters: a real control
// plane for each (internal/adapter/twin), whose nodes and pods are simulated by
// one KWOK process. An agent per cluster does what a cloud's own components and
// kubelets would do beside that: node leases, start-up taints, disks that take
// their time to attach, image pulls, and the metrics API.
//
// It obeys orders about nodes and versions; which orders a managed service
// accepts, and in what order it gives them, is left to package aks.
//
// What a workload does can be told by annotations on its pods:
//
//	sim.liftlock.dev/start: "2s-5s"        from ready to start to Ready; "never" for a pod that does not get there
//	sim.liftlock.dev/termination: "1s-3s"  from deletion to gone, at most the pod's own grace period
//	sim.liftlock.dev/runs-for: "20s"       for pods that end by themselves (restartPolicy other than Always); default 30s
//	sim.liftlock.dev/image-pull: "10s"     on a node that does not have the pod's images yet, each
//	sim.liftlock.dev/cpu: "120m"           what the metrics API says the pod uses; default half of its request
//	sim.liftlock.dev/memory: "64Mi"        likewise
//
// What an image takes is told by its name as well: one of the repository
// example.com/pull-3m/size-6gi/shop takes three minutes to be pulled, once on
// each node and for whatever pod comes first, and has six gibibytes. Nodes report
// the images that they have pulled.
package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"liftlock.dev/liftlock/internal/adapter/twin/kwok"
	"liftlock.dev/liftlock/sim/aks"
)

// Options say where the binaries are and where clusters may keep their data.
type Options struct {
	// BinDir holds <minor>/kube and kwok; see hack/kube/build.sh.
	BinDir string
	// StateDir is made, and removed by Close; nobody else may use it.
	StateDir string
	// Growth is by how many percent the memory of a cluster's processes may grow
	// before they collect garbage; 0 for 50.
	Growth int
	// Logger takes what happens behind the API; nil for nothing.
	Logger *slog.Logger
}

// Kubernetes runs clusters. It is safe for concurrent use.
type Kubernetes struct {
	options Options

	mu       sync.Mutex
	clusters map[string]*Cluster // by id; nil while one is made
	closed   bool
}

var (
	_ aks.Kubernetes = (*Kubernetes)(nil)
	_ aks.Cluster    = (*Cluster)(nil)
)

// New returns a Kubernetes without clusters. It fails when the node simulator
// was not built.
func New(options Options) (*Kubernetes, error) {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if options.BinDir, err = filepath.Abs(options.BinDir); err != nil {
		return nil, fmt.Errorf("folder of Kubernetes binaries: %w", err)
	}
	if options.StateDir, err = filepath.Abs(options.StateDir); err != nil {
		return nil, fmt.Errorf("folder of cluster state: %w", err)
	}
	if err := kwok.Look(options.BinDir); err != nil {
		return nil, err
	}
	return &Kubernetes{options: options, clusters: map[string]*Cluster{}}, nil
}

// Create starts a cluster with the objects that a managed cluster has from the
// start, and no node. When it fails, nothing is left.
func (k *Kubernetes) Create(ctx context.Context, spec aks.ClusterSpec) (aks.Cluster, error) {
	if err := k.reserve(spec.ID); err != nil {
		return nil, err
	}
	cluster, err := newCluster(ctx, k.options, spec, func() { k.forget(spec.ID) })
	if err != nil {
		k.forget(spec.ID)
		return nil, fmt.Errorf("create cluster %s: %w", spec.Name, err)
	}
	k.mu.Lock()
	closed := k.closed
	if !closed {
		k.clusters[spec.ID] = cluster
	}
	k.mu.Unlock()
	if closed {
		return nil, errors.Join(errClosed, cluster.Delete(ctx))
	}
	return cluster, nil
}

var errClosed = errors.New("the simulated Kubernetes is closed")

func (k *Kubernetes) reserve(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errClosed
	}
	if _, ok := k.clusters[id]; ok {
		return fmt.Errorf("create cluster %s: there is one of that id", id)
	}
	k.clusters[id] = nil
	return nil
}

func (k *Kubernetes) forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.clusters, id)
}

// Close ends every cluster and removes the state folder.
func (k *Kubernetes) Close(ctx context.Context) error {
	k.mu.Lock()
	k.closed = true
	var left []*Cluster
	for _, cluster := range k.clusters {
		if cluster != nil {
			left = append(left, cluster)
		}
	}
	k.mu.Unlock()
	errs := make([]error, len(left)+1)
	var group sync.WaitGroup
	for i, cluster := range left {
		group.Go(func() { errs[i] = cluster.Delete(ctx) })
	}
	group.Wait()
	errs[len(left)] = os.RemoveAll(k.options.StateDir)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the simulated Kubernetes: %w", err)
	}
	return nil
}
