// Package kwok runs KWOK as the kubelet of a control plane's nodes. Which
// lives its pods lead is filled into one set of stages, so that simulated
// clusters and rehearsals differ in times and names only.
package kwok

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/template"

	"liftlock.dev/liftlock/internal/adapter/twin/process"
)

// stagesTemplate has delimiters of its own, since the stages hold templates.
//
//go:embed stages.yaml
var stagesTemplate string

// Stages are the lives of pods. Start, RunsFor and Termination are jq expressions
// over a pod that yield a range such as "2s-5s".
type Stages struct {
	// Prefix of the labels and annotations by which KWOK is told what to do.
	Prefix      string
	Start       string // from seen by the kubelet, or prepared, to Ready
	RunsFor     string // of pods that end by themselves
	Termination string // from deletion to gone, at most the grace period
	// Prepared is a jq condition that pods wait for before they start; "" for none.
	Prepared string
	// JobsOnly lets the pods of Jobs end by themselves, and no other ones.
	JobsOnly bool
	// SameName is a jq condition over a pod's owner: whether pods of it are
	// followed by one of the same name. Whoever starts KWOK ends those.
	SameName string
}

// OfStatefulSets is the SameName of clusters in which no other kind has such pods.
const OfStatefulSets = `.kind == "StatefulSet"`

// Configuration renders KWOK's configuration.
func (s *Stages) Configuration() ([]byte, error) {
	parsed, err := template.New("stages").Delims("[[", "]]").Parse(stagesTemplate)
	if err != nil {
		return nil, fmt.Errorf("read the stages of pods: %w", err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, s); err != nil {
		return nil, fmt.Errorf("render the stages of pods: %w", err)
	}
	return out.Bytes(), nil
}

// Options say which nodes KWOK is the kubelet of.
type Options struct {
	// BinDir holds kwok; see hack/kube/build.sh.
	BinDir string
	// StateDir is the control plane's, with its kubeconfig.
	StateDir string
	// Nodes selects nodes by their labels; "" for all.
	Nodes string
	// Growth is that of twin.Options.
	Growth int
	Stages Stages
}

// Look says whether KWOK was built.
func Look(binDir string) error {
	if _, err := os.Stat(filepath.Join(binDir, "kwok")); err != nil {
		return fmt.Errorf("look for the node simulator: %w; run make kube", err)
	}
	return nil
}

// Start runs KWOK beside a control plane.
func Start(ctx context.Context, o Options) (*process.Process, error) {
	config, err := o.Stages.Configuration()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(o.StateDir, "stages.yaml"), config, 0o600); err != nil {
		return nil, fmt.Errorf("write stages.yaml: %w", err)
	}
	binary, err := filepath.Abs(filepath.Join(o.BinDir, "kwok")) // it runs in another folder
	if err != nil {
		return nil, fmt.Errorf("find the node simulator: %w", err)
	}
	args := []string{
		"--config=stages.yaml",
		"--kubeconfig=kubeconfig",
		// KWOK would own nodes by their leases, and overlook pods that are bound
		// before it does.
		"--node-lease-duration-seconds=0",
	}
	if o.Nodes == "" {
		args = append(args, "--manage-all-nodes=true")
	} else {
		args = append(args, "--manage-all-nodes=false", "--manage-nodes-with-label-selector="+o.Nodes)
	}
	return process.Start(ctx, process.Command{
		Name: "kwok", Path: binary, Args: args,
		Env: []string{"GOGC=" + strconv.Itoa(cmp.Or(o.Growth, 50)), "HOME=" + o.StateDir},
		Dir: o.StateDir, LogFile: filepath.Join(o.StateDir, "kwok.log"),
	})
}
