package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// release is one version of a module.
type release struct {
	module, version, sum string
	component            string // what people call it; "kubernetes" for upstream's own
	zip                  string
}

// modules are read for what they say, oldest release first. A component's minor
// is one release of it; Kubernetes' modules are v0.MINOR.PATCH.
var modules = []struct{ component, path string }{
	{kubernetes, "k8s.io/api"},
	{kubernetes, "k8s.io/apiextensions-apiserver"},
	{kubernetes, "k8s.io/kube-aggregator"},
	{"cert-manager", "github.com/cert-manager/cert-manager"},
	{"Cilium", "github.com/cilium/cilium"},
	{"external-snapshotter", "github.com/kubernetes-csi/external-snapshotter/client/v8"},
	{"Gateway API", "sigs.k8s.io/gateway-api"},
	{"Karpenter", "sigs.k8s.io/karpenter"},
	{"KEDA", "github.com/kedacore/keda/v2"},
	{"Prometheus Operator", "github.com/prometheus-operator/prometheus-operator"},
}

const kubernetes = "kubernetes"

// readReleases reads what is pinned.
func readReleases() ([]release, error) {
	text, err := os.ReadFile(releasesFile)
	if err != nil {
		return nil, fmt.Errorf("read the pinned releases: %w", err)
	}
	var pinned []release
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s:%d: want MODULE VERSION SUM, got %q", releasesFile, n+1, line)
		}
		r := release{module: fields[0], version: fields[1], sum: fields[2]}
		for _, m := range modules {
			if m.path == r.module {
				r.component = m.component
			}
		}
		if r.component == "" {
			return nil, fmt.Errorf("%s:%d: %s is none of the modules that hack/lifecycle reads", releasesFile, n+1, r.module)
		}
		pinned = append(pinned, r)
	}
	return pinned, nil
}

// renewReleases pins the newest release of every minor that the module proxy
// serves. Releases that it no longer serves stay pinned: what they said stays true.
func renewReleases() error {
	known := map[string]release{}
	if pinned, err := readReleases(); err == nil {
		for _, r := range pinned {
			known[r.module+" "+minorOf(r.version)] = r
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, m := range modules {
		text, err := goCommand(nil, "list", "-m", "-versions", m.path)
		if err != nil {
			return err
		}
		for _, version := range strings.Fields(string(text))[1:] {
			if strings.Contains(version, "-") {
				continue // what is not released may still change
			}
			key := m.path + " " + minorOf(version)
			if r, found := known[key]; !found || compareVersions(r.version, version) < 0 {
				known[key] = release{module: m.path, version: version, component: m.component}
			}
		}
	}
	var all []release
	for _, r := range known {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b release) int {
		return cmp.Or(cmp.Compare(a.module, b.module), compareVersions(a.version, b.version))
	})
	var out bytes.Buffer
	out.WriteString("# The releases that hack/lifecycle reads, with their checksums as in go.sum.\n# Renew with: go run ./hack/lifecycle -renew\n")
	if err := fetch(all, true); err != nil {
		return err
	}
	for i := range all {
		fmt.Fprintf(&out, "%s %s %s\n", all[i].module, all[i].version, all[i].sum)
	}
	return os.WriteFile(releasesFile, out.Bytes(), 0o600)
}

// errAbsent is for a release that is not in the module cache.
var errAbsent = errors.New("is not in the module cache")

// fetch finds the modules' zips, in the module cache or, where that is allowed, by
// way of the module proxy.
func fetch(all []release, download bool) error {
	var environment []string
	if !download {
		environment = []string{"GOPROXY=off"}
	}
	arguments := []string{"mod", "download", "-json"}
	for _, r := range all {
		arguments = append(arguments, r.module+"@"+r.version)
	}
	// The command also fails for modules that want a newer Go, which are there all the same.
	text, failed := goCommand(environment, arguments...)
	type module struct{ Path, Version, Zip, Sum, Error string }
	found := map[string]module{}
	for documents := json.NewDecoder(bytes.NewReader(text)); ; {
		var m module
		err := documents.Decode(&m)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(fmt.Errorf("what go mod download says: %w", err), failed)
		}
		found[m.Path+"@"+m.Version] = m
	}
	for i := range all {
		r := &all[i]
		m := found[r.module+"@"+r.version]
		if m.Zip == "" {
			if !download {
				return fmt.Errorf("%s %s %w", r.module, r.version, errAbsent)
			}
			return fmt.Errorf("download %s %s: %w", r.module, r.version, cmp.Or(failed, errors.New(m.Error)))
		}
		if m.Sum == "" {
			hash, err := os.ReadFile(m.Zip + "hash")
			if err != nil {
				return fmt.Errorf("checksum of %s %s: %w", r.module, r.version, err)
			}
			m.Sum = strings.TrimSpace(string(hash))
		}
		if r.sum != "" && r.sum != m.Sum {
			return fmt.Errorf("%s %s has the checksum %s, and %s pins %s: it is not what was read before", r.module, r.version, m.Sum, releasesFile, r.sum)
		}
		r.zip, r.sum = m.Zip, m.Sum
	}
	return nil
}

// files reads the files that are wanted, by their path in the module.
func (r *release) files(wanted func(path string) bool) (_ map[string][]byte, err error) {
	archive, err := zip.OpenReader(r.zip)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.module, r.version, err)
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	found := map[string][]byte{}
	for _, f := range archive.File {
		path := strings.TrimPrefix(f.Name, r.module+"@"+r.version+"/")
		if !wanted(path) {
			continue
		}
		in, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.module, path, err)
		}
		text, err := io.ReadAll(in)
		if err := errors.Join(err, in.Close()); err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.module, path, err)
		}
		found[path] = text
	}
	return found, nil
}

// goCommand runs the go command where no go.mod of ours decides anything.
func goCommand(environment []string, arguments ...string) ([]byte, error) {
	folder, err := os.MkdirTemp("", "lifecycle-")
	if err != nil {
		return nil, fmt.Errorf("run go: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), []byte("module scratch\n"), 0o600); err != nil {
		return nil, fmt.Errorf("run go: %w", err)
	}
	run := exec.Command("go", arguments...) //nolint:gosec,noctx // go itself, for as long as it takes
	run.Dir = folder
	run.Env = append(append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod"), environment...)
	text, err := run.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) && len(failed.Stderr) > 0 {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(failed.Stderr))
		}
		return text, fmt.Errorf("go %s: %w", strings.Join(arguments, " "), err)
	}
	return text, nil
}

// numbers are those of a version: v0.37.2 is 0, 37, 2.
func numbers(version string) [3]int {
	var out [3]int
	for i, part := range strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3) {
		out[i], _ = strconv.Atoi(part)
	}
	return out
}

func compareVersions(a, b string) int {
	x, y := numbers(a), numbers(b)
	return slices.Compare(x[:], y[:])
}

func minorOf(version string) string {
	n := numbers(version)
	return fmt.Sprintf("%d.%d", n[0], n[1])
}
