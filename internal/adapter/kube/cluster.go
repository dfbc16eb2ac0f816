package kube

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// cluster is an open connection to one cluster's API server, known to be that
// cluster's. It is safe for concurrent use.
type cluster struct {
	name string
	host string // as the kubeconfig names the server
	uid  string // of the kube-system namespace

	client  kubernetes.Interface // every exchange ends within requestTimeout
	watches kubernetes.Interface // the same without a limit
	dynamic dynamic.Interface
	// metadata reads objects of any kind without what they say.
	metadata metadata.Interface

	readers Readers

	now   func() time.Time
	log   *slog.Logger
	lease *leaseMemory
}

var _ rollout.Kubernetes = (*cluster)(nil)

// UID implements rollout.Kubernetes.
func (c *cluster) UID() string { return c.uid }

// ServerVersion implements rollout.Kubernetes.
func (c *cluster) ServerVersion(ctx context.Context) (fleet.Version, error) {
	info, err := c.discovery().ServerVersionWithContext(ctx)
	if err != nil {
		return fleet.Version{}, fmt.Errorf("cluster %s: read the API server's version: %w", c.name, err)
	}
	version, err := fleet.ParseVersion(info.GitVersion)
	if err != nil {
		return fleet.Version{}, fmt.Errorf("cluster %s: the API server's version: %w", c.name, err)
	}
	return version, nil
}

func (c *cluster) discovery() discovery.DiscoveryInterfaceWithContext {
	return discovery.ToDiscoveryInterfaceWithContext(c.client.Discovery())
}
