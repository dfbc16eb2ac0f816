package kube

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"liftlock.dev/liftlock/internal/adapter/twin"
	"liftlock.dev/liftlock/sim/aks"
)

// Cluster is one simulated cluster. It is safe for concurrent use; operations
// on the control plane wait for each other.
type Cluster struct {
	spec   aks.ClusterSpec
	binDir string
	growth int
	log    *slog.Logger
	plane  *twin.ControlPlane
	forget func()

	client  *kubernetes.Clientset
	dynamic *dynamic.DynamicClient
	metrics *metricsServer
	dice    *dice

	mu    sync.Mutex // of agent, and of changes to the control plane
	agent *agent     // nil while nodes stand still

	boot atomic.Pointer[aks.Range] // instead of the timing's, once it was set
}

// SetNodeBoot changes how long nodes boot from now on, for whoever wants a
// cluster soon and its upgrade at its real pace.
func (c *Cluster) SetNodeBoot(boot aks.Range) { c.boot.Store(&boot) }

func (c *Cluster) nodeBoot() time.Duration {
	if boot := c.boot.Load(); boot != nil {
		return c.dice.draw(*boot)
	}
	return c.dice.draw(c.spec.Timing.NodeBoot)
}

// addOns are the objects that a managed cluster has from the start.
//
//go:embed addons.yaml
var addOns []byte

func newCluster(ctx context.Context, options Options, spec aks.ClusterSpec, forget func()) (_ *Cluster, err error) {
	folder := filepath.Join(options.StateDir, folderName(spec))
	// What a simulator that was killed left there belongs to nobody.
	if err := os.RemoveAll(folder); err != nil {
		return nil, fmt.Errorf("clear the state folder: %w", err)
	}
	plane, err := twin.New(twin.Options{
		BinDir: options.BinDir, StateDir: folder, Name: spec.Name, Version: spec.Version, Growth: options.Growth, Logger: options.Logger,
	})
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		spec: spec, binDir: options.BinDir, growth: options.Growth, plane: plane, forget: forget,
		log:  options.Logger.With("cluster", spec.Name),
		dice: newDice(spec.Timing.Seed),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Delete(context.WithoutCancel(ctx)))
		}
	}()
	if err := plane.Start(ctx); err != nil {
		return nil, err
	}
	config := plane.Config()
	config.UserAgent = "azure-simulator"
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make a dynamic client: %w", err)
	}
	config.AcceptContentTypes, config.ContentType = "application/vnd.kubernetes.protobuf,application/json", "application/vnd.kubernetes.protobuf"
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	if c.metrics, err = serveMetrics(ctx, plane, c.log); err != nil {
		return nil, err
	}
	if err := c.Apply(ctx, addOns); err != nil {
		return nil, fmt.Errorf("create the add-ons: %w", err)
	}
	if err := c.Apply(ctx, c.metrics.registration()); err != nil {
		return nil, fmt.Errorf("register the metrics API: %w", err)
	}
	if err := c.startAgent(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

var notInNames = regexp.MustCompile(`[^a-z0-9-]+`)

// folderName is short, readable, and different for different ids.
func folderName(spec aks.ClusterSpec) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(spec.ID))
	name := notInNames.ReplaceAllString(strings.ToLower(spec.Name), "-")
	return name[:min(len(name), 30)] + "-" + strconv.FormatUint(uint64(hash.Sum32()), 36)
}

// Kubeconfig implements aks.Cluster.
func (c *Cluster) Kubeconfig(context.Context) ([]byte, error) {
	return c.plane.Kubeconfig(), nil
}

// SetVersion implements aks.Cluster. Nodes stand still while there is no API
// server, as kubelets would keep what they run.
func (c *Cluster) SetVersion(ctx context.Context, version string) error {
	return c.pausing(ctx, func() error { return c.plane.SetVersion(ctx, version) })
}

// pausing changes the control plane while nothing simulates nodes, so that no
// stage is lost to a refused connection.
func (c *Cluster) pausing(ctx context.Context, change func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.stopAgent(ctx); err != nil {
		return err
	}
	if err := change(); err != nil {
		if c.plane.Running() { // as before, so nodes go on as before
			err = errors.Join(err, c.startAgent(context.WithoutCancel(ctx)))
		}
		return err
	}
	return c.startAgent(ctx)
}

// Stop implements aks.Cluster.
func (c *Cluster) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.stopAgent(ctx); err != nil {
		return fmt.Errorf("stop cluster %s: %w", c.spec.Name, err)
	}
	return c.plane.Stop(ctx)
}

// Start implements aks.Cluster.
func (c *Cluster) Start(ctx context.Context) error {
	if err := c.pausing(ctx, func() error { return c.plane.Start(ctx) }); err != nil {
		return fmt.Errorf("start cluster %s: %w", c.spec.Name, err)
	}
	return nil
}

// Delete implements aks.Cluster. Deleting twice is no error.
func (c *Cluster) Delete(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	errs = append(errs, c.stopAgent(ctx))
	if c.metrics != nil {
		errs = append(errs, c.metrics.close())
		c.metrics = nil
	}
	errs = append(errs, c.plane.Close(ctx))
	c.forget()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("delete cluster %s: %w", c.spec.Name, err)
	}
	return nil
}

// StateDir returns the folder of the cluster's logs, for whoever wants to know
// why something went wrong.
func (c *Cluster) StateDir() string { return c.plane.StateDir() }

// dice draws durations. Seeded alike and asked in the same order, it draws the
// same ones.
type dice struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func newDice(seed int64) *dice {
	return &dice{rand: rand.New(rand.NewPCG(uint64(seed), 0x6c696674))} //nolint:gosec // not a secret
}

func (d *dice) draw(r aks.Range) time.Duration {
	if r.Max <= r.Min {
		return r.Min
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return r.Min + time.Duration(d.rand.Int64N(int64(r.Max-r.Min)+1))
}

// pause waits, or ends early with the context's error.
func pause(ctx context.Context, duration time.Duration) error {
	if duration <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
