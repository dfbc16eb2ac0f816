package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// Options say where a Connector finds the credentials of clusters. A cluster
// named in Contexts is reached through File, every other one through Kubeconfig.
type Options struct {
	// Kubeconfig fetches a kubeconfig from the cluster's provider. It is asked
	// again when the API server refuses the credentials.
	Kubeconfig func(ctx context.Context, cluster fleet.Cluster) ([]byte, error)
	// File is a kubeconfig file, and Contexts says which of its contexts is
	// which cluster's, by cluster id or name. The file's current context is
	// never used.
	File     string
	Contexts map[string]string
	// Readers are needed for checks alone.
	Readers Readers
	// Logger gets the API servers' warnings and broken watches; nil for none.
	Logger *slog.Logger
}

// Connector opens and keeps connections to API servers, one for each cluster.
// It implements rollout.Connector and is safe for concurrent use.
type Connector struct {
	options Options
	now     func() time.Time

	mu    sync.Mutex
	slots map[string]*slot // by cluster id
}

// slot holds the connection of one cluster; its mutex lets one caller connect
// while the others wait for the result.
type slot struct {
	mu      sync.Mutex
	cluster *cluster
	opened  time.Time // when opening was tried last
}

var _ rollout.Connector = (*Connector)(nil)

// NewConnector makes a Connector. It connects to nothing yet.
func NewConnector(options Options) *Connector {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Connector{options: options, now: time.Now, slots: map[string]*slot{}}
}

// Connect implements rollout.Connector. The first call for a cluster checks its
// nodes and its kube-system namespace; later calls check the namespace again,
// which is enough, since its uid was seen together with the right nodes.
func (c *Connector) Connect(ctx context.Context, target fleet.Cluster, seen string) (rollout.Kubernetes, error) {
	c.mu.Lock()
	s := c.slots[target.ID]
	if s == nil {
		s = &slot{}
		c.slots[target.ID] = s
	}
	c.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster != nil {
		err := s.cluster.stillItself(ctx, seen)
		if err == nil {
			return s.cluster, nil
		}
		if ctx.Err() != nil || !freshCredentialsMayHelp(err) && c.now().Sub(s.opened) < reopenPause {
			return nil, fmt.Errorf("cluster %s: %w", target.Name, err)
		}
	}
	// Until a new connection is proven, the old one stays: its server may only be
	// away, and come back.
	s.opened = c.now()
	opened, err := c.open(ctx, target)
	if err != nil {
		return nil, err
	}
	if err := opened.identify(ctx, target, seen); err != nil {
		return nil, err
	}
	if s.cluster != nil && s.cluster.uid == opened.uid {
		opened.lease = s.cluster.lease
	}
	s.cluster = opened
	return opened, nil
}

// reopenPause is the least time between two attempts to open a connection whose
// server does not answer: its provider must not be asked for credentials at every
// step of an outage, yet a server that moved must be found again.
const reopenPause = time.Minute

// freshCredentialsMayHelp knows the failures of credentials, certificate
// authorities and addresses that have been replaced.
func freshCredentialsMayHelp(err error) bool {
	if _, other := errors.AsType[*rollout.IdentityError](err); other {
		return true // re-created under the same id, maybe; its uid is checked on the new connection
	}
	if status, answered := statusOf(err); answered {
		return status.Status().Code == http.StatusUnauthorized
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, rejected := errors.AsType[tls.AlertError](err)
	_, unknown := errors.AsType[*net.DNSError](err)
	return untrusted || rejected || unknown
}

// open builds the clients of a cluster without asking it anything.
func (c *Connector) open(ctx context.Context, target fleet.Cluster) (*cluster, error) {
	config, err := c.restConfig(ctx, target)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", target.Name, err)
	}
	first, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: credentials are unusable: %w", target.Name, err)
	}
	opened := &cluster{
		name:    target.Name,
		host:    config.Host,
		now:     c.now,
		log:     c.options.Logger.With("cluster", target.Name),
		lease:   &leaseMemory{},
		readers: c.options.Readers,
	}
	transport := &renewing{current: first, now: c.now}
	transport.renew = func(ctx context.Context) (http.RoundTripper, error) {
		return c.renew(ctx, target, opened)
	}
	// The kubeconfig's TLS settings and credentials are in the transport; two
	// clients share it, since a time limit on a whole exchange ends watches.
	brief := &http.Client{Transport: pressing{transport}, Timeout: requestTimeout}
	lasting := &http.Client{Transport: transport}
	if opened.client, err = kubernetes.NewForConfigAndClient(config, brief); err == nil {
		if opened.watches, err = kubernetes.NewForConfigAndClient(config, lasting); err == nil {
			if opened.dynamic, err = dynamic.NewForConfigAndClient(config, brief); err == nil {
				opened.metadata, err = metadata.NewForConfigAndClient(metadata.ConfigFor(config), brief)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cluster %s: kubeconfig is unusable: %w", target.Name, err)
	}
	return opened, nil
}

// renew fetches the credentials of an open connection again and makes sure that
// they lead to the same cluster.
func (c *Connector) renew(ctx context.Context, target fleet.Cluster, open *cluster) (http.RoundTripper, error) {
	config, err := c.restConfig(ctx, target)
	if err != nil {
		return nil, err
	}
	if config.Host != open.host {
		return nil, fmt.Errorf("the API server moved from %s to %s: connect anew", open.host, config.Host)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfigAndClient(config, &http.Client{Transport: transport, Timeout: requestTimeout})
	if err != nil {
		return nil, err
	}
	uid, err := systemUID(ctx, client)
	if err != nil {
		return nil, err
	}
	if open.uid != "" && uid != open.uid {
		return nil, &rollout.IdentityError{
			Cluster:  target.Name,
			Expected: "kube-system with uid " + open.uid,
			Found:    "uid " + uid,
		}
	}
	open.log.InfoContext(ctx, "fetched fresh credentials after the API server refused the old ones")
	return transport, nil
}
