package evacuation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"liftlock.dev/liftlock/sim/aks"
	"liftlock.dev/liftlock/sim/kube"
	"liftlock.dev/liftlock/sim/witness"
)

const (
	kubernetesVersion = "1.34.4"
	nodeGroup         = "mc_bench"
	imageFamily       = "AKSUbuntu-2204gen2containerd"
	oldImage          = imageFamily + "-202610.12.0"
	newImage          = imageFamily + "-202611.09.0"
	clusterID         = "/subscriptions/00000000-0000-0000-0000-000000000001/resourcegroups/rg-bench/providers/microsoft.containerservice/managedclusters/bench"
	poolName          = "apps"
	// growth of memory before garbage is collected, in percent: processor time is
	// what a machine lacks that simulates a hundred.
	growth = 400
)

// bed is one cluster, whole and watched, for one strategy.
type bed struct {
	size       Size
	apps       []app
	cluster    *kube.Cluster
	client     *kubernetes.Clientset
	kubeconfig []byte
	recorder   *recorder
	witness    *witness.Witness
	began      time.Time
	machines   *machines
}

// newBed starts a cluster with all its workloads Ready, and returns how it is
// taken down again.
func newBed(ctx context.Context, binaries string, size Size, log *slog.Logger) (_ *bed, down func(context.Context) error, err error) {
	state, err := os.MkdirTemp("", "liftlock-bench-")
	if err != nil {
		return nil, nil, fmt.Errorf("folder for a cluster: %w", err)
	}
	b := &bed{size: size, apps: draw(size)}
	world, err := kube.New(kube.Options{BinDir: binaries, StateDir: filepath.Join(state, "kube"), Growth: growth, Logger: log})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(state))
	}
	down = func(ctx context.Context) error {
		if b.witness != nil {
			b.witness.Close()
		}
		if b.recorder != nil {
			b.recorder.close()
		}
		return errors.Join(world.Close(ctx), os.RemoveAll(state))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, down(context.WithoutCancel(ctx)))
		}
	}()
	created, err := world.Create(ctx, aks.ClusterSpec{
		ID: clusterID, Name: "bench", Version: kubernetesVersion,
		Timing: aks.Timing{
			Seed:     int64(size.Seed),
			PodStart: aks.Range{Min: agentStart, Max: agentStart}, PodTermination: aks.Range{Min: agentStop, Max: agentStop},
			VolumeAttach: aks.Range{Min: volumeAttach, Max: volumeAttach}, VolumeDetach: aks.Range{Min: volumeDetach, Max: volumeDetach},
		},
	})
	if err != nil {
		return nil, nil, err
	}
	b.cluster = created.(*kube.Cluster) //nolint:forcetypeassert // it is what the package makes
	if b.kubeconfig, err = b.cluster.Kubeconfig(ctx); err != nil {
		return nil, nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(b.kubeconfig)
	if err != nil {
		return nil, nil, fmt.Errorf("kubeconfig of the cluster: %w", err)
	}
	config.QPS, config.UserAgent = -1, "liftlock-bench"
	config.AcceptContentTypes, config.ContentType = "application/vnd.kubernetes.protobuf,application/json", "application/vnd.kubernetes.protobuf"
	if b.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, nil, fmt.Errorf("client of the cluster: %w", err)
	}
	b.machines = &machines{cluster: b.cluster}
	if err := b.fill(ctx); err != nil {
		return nil, nil, err
	}
	return b, down, nil
}

// fill brings nodes and workloads up, as fast as the machine allows.
func (b *bed) fill(ctx context.Context) error {
	if _, err := b.machines.add(ctx, poolName, b.size.Nodes, oldImage); err != nil {
		return err
	}
	b.cluster.SetNodeBoot(aks.Range{Min: nodeBoot, Max: nodeBoot})
	if err := create(ctx, b.client, b.apps, func(a *app) bool { return a.kind != job }); err != nil {
		return err
	}
	b.witness = witness.New(time.Now, nil)
	if err := b.witness.Watch(ctx, clusterID, "bench", b.kubeconfig); err != nil {
		return err
	}
	const patience = 10 * time.Minute
	if err := b.witness.Begin(ctx, clusterID, patience); err != nil {
		return err
	}
	var err error
	b.recorder, err = record(ctx, b.client)
	return err
}

// begin starts the Jobs and the measurement.
func (b *bed) begin(ctx context.Context) error {
	if err := create(ctx, b.client, b.apps, func(a *app) bool { return a.kind == job }); err != nil {
		return err
	}
	b.witness.Restart()
	b.began = time.Now()
	b.recorder.begin(b.began)
	return nil
}

// machines makes and ends the cluster's nodes, as a cloud does.
type machines struct {
	cluster *kube.Cluster
	made    int
}

func (m *machines) spec(pool, name, image string, number, boots int) aks.NodeSpec {
	return aks.NodeSpec{
		Name: name, Version: kubernetesVersion, Image: image, Zone: "0", Region: "westeurope", VMSize: "Standard_D8s_v5",
		ProviderID: fmt.Sprintf("azure:///subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/%s/providers/Microsoft.Compute/virtualMachineScaleSets/aks-%s-10000000-vmss/virtualMachines/%d", nodeGroup, pool, number),
		MilliCPU:   8000, MemoryBytes: 32 << 30, MaxPods: 110, BootID: fmt.Sprintf("%s-%d", name, boots),
	}
}

// add makes nodes side by side and returns their names once all are Ready.
func (m *machines) add(ctx context.Context, pool string, count int, image string) ([]string, error) {
	names := make([]string, count)
	group, ctx := errgroup.WithContext(ctx)
	for i := range count {
		number := m.made
		m.made++
		names[i] = fmt.Sprintf("aks-%s-10000000-vmss%06d", pool, number)
		group.Go(func() error { return m.cluster.AddNode(ctx, m.spec(pool, names[i], image, number, 1)) })
	}
	return names, group.Wait()
}

// reimage gives nodes the new image, side by side.
func (m *machines) reimage(ctx context.Context, pool string, names ...string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		group.Go(func() error {
			number := 0
			if _, err := fmt.Sscanf(name[len(name)-6:], "%d", &number); err != nil {
				return fmt.Errorf("number of node %s: %w", name, err)
			}
			return m.cluster.Reimage(ctx, m.spec(pool, name, newImage, number, 2))
		})
	}
	return group.Wait()
}

// remove ends nodes, side by side.
func (m *machines) remove(ctx context.Context, names ...string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for _, name := range names {
		group.Go(func() error { return m.cluster.RemoveNode(ctx, name) })
	}
	return group.Wait()
}
