package traffic

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The versions of the control plane, the old and the new nodes.
const (
	oldVersion = "1.34.4"
	newVersion = "1.35.4"
)

// What the world runs on, by its folder from this one.
var bin = struct{ kube, old, new, images string }{
	kube:   "../../bin/kube",
	old:    "../../bin/kube/1.34/node",
	new:    "../../bin/kube/1.35/node",
	images: "../../bin/traffic",
}

// locate makes the names in bin good for every folder.
func locate() (err error) {
	for _, file := range []*string{&bin.kube, &bin.old, &bin.new, &bin.images} {
		if *file, err = filepath.Abs(*file); err != nil {
			return err
		}
	}
	return nil
}

// tools are programs of Debian packages, and the packages.
var tools = map[string]string{
	"containerd": "containerd",
	"ctr":        "containerd",
	"runc":       "runc",
	"nft":        "nftables",
	"ip":         "iproute2",
}

// cniFolder is where Debian's package has the network plugins.
const cniFolder = "/usr/lib/cni"

// prepare installs and builds what the tests need. It returns what cannot be
// had on this machine; an error is something that should have worked.
func prepare(ctx context.Context) (why string, err error) {
	if os.Geteuid() != 0 {
		return "real kubelets need root", nil
	}
	for _, file := range []string{bin.old, bin.new, filepath.Join(bin.kube, "1.34", "kube"), filepath.Join(bin.kube, "1.35", "kube")} {
		if _, err := os.Stat(file); err != nil {
			return "", fmt.Errorf("%w; run make kube-demo kube-nodes", err)
		}
	}
	if why := install(ctx); why != "" {
		return why, nil
	}
	return "", buildImages(ctx)
}

// missing lists the packages of which programs are missing.
func missing() (packages []string) {
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil && !slices.Contains(packages, pkg) {
			packages = append(packages, pkg)
		}
	}
	for _, plugin := range []string{"bridge", "host-local", "loopback"} {
		if _, err := os.Stat(filepath.Join(cniFolder, plugin)); errors.Is(err, fs.ErrNotExist) {
			packages = append(packages, "containernetworking-plugins")
			break
		}
	}
	slices.Sort(packages)
	return packages
}

// install gets the missing packages, and returns what could not be had. It
// removes no package: a containerd of another origin stays as it is.
func install(ctx context.Context) (why string) {
	packages := missing()
	if len(packages) == 0 {
		return ""
	}
	lacks := "packages are missing: " + strings.Join(packages, ", ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return lacks + ", and there is no apt-get to install them with"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var out []byte
	apt := func(args ...string) (err error) {
		command := exec.CommandContext(ctx, "apt-get", args...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		out, err = command.CombinedOutput()
		return err
	}
	get := append([]string{"install", "--yes", "--no-install-recommends", "--no-remove"}, packages...)
	if apt(get...) != nil { // the lists of packages may be old or not there
		if err := apt("update"); err == nil {
			_ = apt(get...)
		}
	}
	if len(missing()) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lacks + ", and apt-get cannot install them: " + strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// buildImages builds the programs of the test's images. They stay in
// bin/traffic, so that nothing is linked again where nothing has changed.
func buildImages(ctx context.Context) error {
	if err := os.MkdirAll(bin.images, 0o755); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w",
		"-o", bin.images+string(filepath.Separator), "./cmd/pause", "./cmd/web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", build.Args, err, out)
	}
	return nil
}
