package kube

import (
	"context"
	"fmt"

	"liftlock.dev/liftlock/internal/adapter/twin/kwok"
	"liftlock.dev/liftlock/internal/adapter/twin/process"
	"liftlock.dev/liftlock/sim/aks"
)

// Names by which KWOK, the agent and manifests understand each other.
const (
	// prefix of all annotations and labels of the simulator.
	prefix = "sim.liftlock.dev/"
	// kubeletLabel marks the nodes that KWOK is the kubelet of. A node without
	// it is powered off: its pods stay as they are.
	kubeletLabel = prefix + "kubelet"
	// preparedAnnotation is set by the agent on a pod that had to wait for
	// disks or images, once it has them.
	preparedAnnotation = prefix + "prepared"
	imagePullKey       = prefix + "image-pull"
)

// prepared holds for pods that need neither disks nor images, or have them.
const prepared = `(.metadata.annotations["` + preparedAnnotation + `"] == "true")
          or (([.spec.volumes[]? | select(.persistentVolumeClaim or .ephemeral)] | length) == 0
          and .metadata.annotations["` + imagePullKey + `"] == null
          and ([.spec.containers[].image | select(test("/pull-"))] | length) == 0)`

// stages are the lives of a cluster's pods.
func stages(timing aks.Timing) kwok.Stages {
	said := func(key, otherwise string) string {
		return fmt.Sprintf(".metadata.annotations[%q] // %q", prefix+key, otherwise)
	}
	return kwok.Stages{
		Prefix:      prefix,
		Start:       said("start", span(timing.PodStart)),
		RunsFor:     said("runs-for", "30s"),
		Termination: said("termination", span(timing.PodTermination)),
		Prepared:    prepared,
		SameName:    kwok.OfStatefulSets,
	}
}

// span writes a range as the annotations do.
func span(r aks.Range) string {
	return fmt.Sprintf("%dms-%dms", r.Min.Milliseconds(), max(r.Min, r.Max).Milliseconds())
}

func (c *Cluster) startKWOK(ctx context.Context) (*process.Process, error) {
	return kwok.Start(ctx, kwok.Options{
		BinDir: c.binDir, StateDir: c.plane.StateDir(), Nodes: kubeletLabel + "=running", Growth: c.growth, Stages: stages(c.spec.Timing),
	})
}
