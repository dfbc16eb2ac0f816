package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The binaries under test, as build made them.
var bin struct{ liftlock, simulator, engine, kube string }

func TestMain(m *testing.M) {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// build brings the binaries up to date. They stay in bin/e2e, so that nothing
// is linked again where nothing has changed.
func build() error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	folder := filepath.Join(root, "bin", "e2e")
	bin.liftlock, bin.simulator, bin.engine = filepath.Join(folder, "liftlock"), filepath.Join(folder, "liftlock-sim"), filepath.Join(folder, "engine")
	bin.kube = filepath.Join(root, "bin", "kube")
	for _, file := range []string{"1.34/kube", "1.35/kube", "kwok"} {
		if _, err := os.Stat(filepath.Join(bin.kube, file)); err != nil {
			return fmt.Errorf("%w; run make kube", err)
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	compile := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", folder+string(filepath.Separator),
		"./cmd/liftlock", "./sim/cmd/liftlock-sim", "./test/e2e/engine")
	compile.Dir, compile.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", compile.Args, err, out)
	}
	return nil
}
