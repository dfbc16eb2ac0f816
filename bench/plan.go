package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/domain/evacuate"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// planArgument makes this program plan a file and print what that took: in a
// process of its own, so that its memory is the plan's alone.
const planArgument = "plan-file"

// planned is what planning a file took.
type planned struct {
	Seconds float64 `json:"seconds"`
	PeakMiB float64 `json:"peakMiB"`
	Pods    int     `json:"pods"`
}

// plans measures plans from what kubectl prints of clusters, parsing included,
// and how the cost grows with the cluster.
func plans(ctx context.Context) (_ []figure, err error) {
	dir, err := os.MkdirTemp("", "liftlock-bench-")
	if err != nil {
		return nil, fmt.Errorf("plans: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sizes := []int{4_000, 8_000, 15_000, 30_000, 60_000}
	took := map[int]planned{}
	for _, pods := range sizes {
		path := filepath.Join(dir, "cluster.json")
		if err := writeFile(path, pods); err != nil {
			return nil, err
		}
		if took[pods], err = planApart(ctx, path); err != nil {
			return nil, err
		}
		if took[pods].Pods != pods {
			return nil, fmt.Errorf("plans: %d pods were planned, of %d", took[pods].Pods, pods)
		}
	}
	small, large := took[sizes[0]], took[sizes[len(sizes)-1]]
	var figures []figure
	for _, pods := range sizes[:len(sizes)-1] { // the curve
		figures = append(figures, atMost(fmt.Sprintf("plan from kubectl JSON of %d pods, seconds", pods), took[pods].Seconds, 10, nil))
	}
	return append(figures,
		atMost("plan from kubectl JSON of 4,000 nodes and 60,000 pods, seconds", large.Seconds, 10, nil),
		atMost("plan from kubectl JSON of 4,000 nodes and 60,000 pods, peak memory MiB", large.PeakMiB, 2048, nil),
		// n log n from 4,000 to 60,000 is a factor of 19.9.
		atMost("plan from kubectl JSON, 60,000 pods over 4,000 pods, times", large.Seconds/small.Seconds, 19.9, nil),
	), nil
}

func writeFile(path string, pods int) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("plans: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return kubectlGet(file, (pods+14)/15, pods)
}

// planApart plans a file in a process of its own.
func planApart(ctx context.Context, path string) (planned, error) {
	self, err := os.Executable()
	if err != nil {
		return planned{}, fmt.Errorf("plans: %w", err)
	}
	var took planned
	text, err := exec.CommandContext(ctx, self, planArgument, path).Output() //nolint:gosec // this very program
	if err != nil {
		return planned{}, fmt.Errorf("plans: plan %s: %w", path, err)
	}
	if err := json.Unmarshal(text, &took); err != nil {
		return planned{}, fmt.Errorf("plans: plan %s: %w", path, err)
	}
	return took, nil
}

// planHere plans a file and prints what it took.
func planHere(ctx context.Context, path string) (err error) {
	began := time.Now()
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("plan a file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	s, findings, err := kube.ReadFile(ctx, file, path, time.Time{})
	if err != nil {
		return err
	}
	p, err := rollout.PlanPool(s, findings, rollout.PoolRequest{
		Pool: "apps", Strategy: fleet.BlueGreen, ExtraNodes: len(s.Nodes) / 10, Policy: fleet.UsualNodePolicy(), Assume: evacuate.UsualAssumptions,
	})
	if err != nil {
		return err
	}
	took := planned{Seconds: time.Since(began).Seconds(), Pods: p.Pods - len(p.Blocked) - p.Moves.Refuse}
	if took.PeakMiB, err = peakMiB(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(took)
}

// peakMiB reads from the kernel how much memory this process had at the most.
func peakMiB() (float64, error) {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("peak memory: %w", err)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("peak memory: /proc/self/status has no VmHWM")
}
