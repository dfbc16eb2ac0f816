package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// checkArgument makes this program check a file and print what that took: in a
// process of its own, so that its memory is the check's alone.
const checkArgument = "check-file"

// What a file that is checked holds, and how many of its objects use an API that
// is gone.
const (
	checkedPods, checkedObjects, checkedRemoved = 10_000, 20_000, 100
)

// checkedFile is what checking a file took, and what was found.
type checkedFile struct {
	Seconds float64 `json:"seconds"`
	PeakMiB float64 `json:"peakMiB"`
	Pods    int     `json:"pods"`
	Removed int     `json:"removed"`
	Ran     int     `json:"ran"`
}

// snapshots measures how long all checks of a cluster take from a file of its
// objects, parsing included.
func snapshots(ctx context.Context) (_ []figure, err error) {
	dir, err := os.MkdirTemp("", "liftlock-bench-")
	if err != nil {
		return nil, fmt.Errorf("check/snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "cluster.json")
	if err := writeChecked(path); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("check/snapshot: %w", err)
	}
	text, err := exec.CommandContext(ctx, self, checkArgument, path).Output() //nolint:gosec // this very program
	if err != nil {
		return nil, fmt.Errorf("check/snapshot: %w", err)
	}
	var took checkedFile
	if err := json.Unmarshal(text, &took); err != nil {
		return nil, fmt.Errorf("check/snapshot: %w", err)
	}
	if took.Pods != checkedPods || took.Removed != checkedRemoved || took.Ran < 15 {
		return nil, fmt.Errorf("check/snapshot: %d checks saw %d pods and found %d objects of removed APIs, of %d and %d", took.Ran, took.Pods, took.Removed, checkedPods, checkedRemoved)
	}
	return []figure{
		atMost("check/snapshot: 10,000 pods and 20,000 objects, seconds", took.Seconds, 5, nil),
		atMost("check/snapshot: 10,000 pods and 20,000 objects, peak memory MiB", took.PeakMiB, 1024, nil),
		info("check/snapshot: checks", float64(took.Ran)),
	}, nil
}

// writeChecked writes what kubectl prints of a cluster: its nodes, pods and
// workloads, and then objects of other kinds with what their writers left on them.
func writeChecked(path string) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("check/snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	nodes := (checkedPods + 14) / 15
	if err := kubectlGet(file, nodes, checkedPods); err != nil {
		return err
	}
	// Ten pods come with a Deployment, two ReplicaSets and a budget.
	return ingresses(file, checkedObjects-checkedPods-nodes-4*checkedPods/10)
}

// ingresses writes a list of Ingresses, as kubectl get --show-managed-fields
// prints them. A client that was never upgraded writes some of them.
func ingresses(to io.Writer, count int) error {
	out := bufio.NewWriterSize(to, 1<<20)
	fields := strings.Repeat(`"f:path":{".":{},"k:{\"host\":\"shop\"}":{"f:backend":{"f:service":{"f:name":{}}}}},`, 12) + `"f:spec":{}`
	_, _ = out.WriteString(`{"apiVersion":"v1","kind":"List","items":[`)
	for i := range count {
		if i > 0 {
			_, _ = out.WriteString(",\n")
		}
		version := "networking.k8s.io/v1"
		if i < checkedRemoved {
			version = "networking.k8s.io/v1beta1"
		}
		fmt.Fprintf(out, `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"shop-%d","namespace":"team-%03d","uid":"ingress-%d","resourceVersion":"4711",
"managedFields":[{"manager":"deployer","operation":"Update","apiVersion":"%s","time":"2026-11-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{%s}},
{"manager":"ingress-controller","operation":"Update","subresource":"status","apiVersion":"networking.k8s.io/v1","time":"2026-11-02T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{%s}}]},
"spec":{"rules":[{"host":"shop-%d.example.com","http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"app","port":{"number":80}}}}]}}]}}`,
			i, i%40, i, version, fields, fields, i)
	}
	_, _ = out.WriteString("]}\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("check/snapshot: %w", err)
	}
	return nil
}

// checkHere checks a file and prints what it took.
func checkHere(ctx context.Context, path string) (err error) {
	began := time.Now()
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("check a file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	facts, err := kube.ReadFacts(ctx, file, path, time.Time{}, kube.Readers{})
	if err != nil {
		return err
	}
	facts.Target, facts.Server = fleet.Version{Major: 1, Minor: 36}, fleet.Version{Major: 1, Minor: 34, Patch: 8}
	facts.Gets(check.NeedTarget)
	facts.Gets(check.NeedServer)
	result := check.Run(&facts, check.All())
	took := checkedFile{Seconds: time.Since(began).Seconds(), Pods: len(facts.Snapshot.Pods), Ran: len(result.Ran)}
	for _, f := range result.Findings {
		if f.ID == "api-removed" {
			took.Removed++
		}
	}
	if took.PeakMiB, err = peakMiB(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(took)
}
