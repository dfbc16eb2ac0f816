package kube

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"path/filepath"
	"strconv"
	"text/template"

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

// stagesTemplate has delimiters of its own, since the stages hold templates.
//
//go:embed stages.yaml
var stagesTemplate string

// stages renders KWOK's configuration for a cluster.
func stages(timing aks.Timing) ([]byte, error) {
	parsed, err := template.New("stages").Delims("[[", "]]").Parse(stagesTemplate)
	if err != nil {
		return nil, fmt.Errorf("read the stages of pods: %w", err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, map[string]string{
		"Start":       span(timing.PodStart),
		"Termination": span(timing.PodTermination),
		"RunsFor":     "30s",
	}); err != nil {
		return nil, fmt.Errorf("render the stages of pods: %w", err)
	}
	return out.Bytes(), nil
}

// span writes a range as the annotations do.
func span(r aks.Range) string {
	return fmt.Sprintf("%dms-%dms", r.Min.Milliseconds(), max(r.Min, r.Max).Milliseconds())
}

func (c *Cluster) startKWOK(ctx context.Context) (*process.Process, error) {
	stateDir := c.plane.StateDir()
	config, err := stages(c.spec.Timing)
	if err != nil {
		return nil, err
	}
	if err := writePrivate(filepath.Join(stateDir, "stages.yaml"), config); err != nil {
		return nil, err
	}
	return process.Start(ctx, process.Command{
		Name: "kwok",
		Path: filepath.Join(c.binDir, "kwok"),
		Args: []string{
			"--config=stages.yaml",
			"--kubeconfig=kubeconfig",
			"--manage-all-nodes=false",
			"--manage-nodes-with-label-selector=" + kubeletLabel + "=running",
			// The agent renews the leases of nodes. KWOK would own nodes by them,
			// and overlook pods that are bound before it does.
			"--node-lease-duration-seconds=0",
		},
		Env:     []string{"GOGC=" + strconv.Itoa(cmp.Or(c.growth, 50)), "HOME=" + stateDir},
		Dir:     stateDir,
		LogFile: filepath.Join(stateDir, "kwok.log"),
	})
}
