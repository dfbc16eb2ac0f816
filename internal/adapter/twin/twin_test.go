package twin_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"liftlock.dev/liftlock/internal/adapter/twin"
)

// binaries finds bin/kube by walking up to the repository's root. Without them
// nothing here can be proven, so their absence fails the test.
func binaries(t *testing.T, minors ...string) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "hack", "kube")); err == nil {
			break
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			t.Fatal("no hack/kube in any folder above")
		}
		folder = parent
	}
	folder = filepath.Join(folder, "bin", "kube")
	for _, minor := range minors {
		if _, err := os.Stat(filepath.Join(folder, minor, "kube")); err != nil {
			t.Fatalf("%v: run make kube", err)
		}
	}
	return folder
}

func start(t *testing.T, version string) *twin.ControlPlane {
	t.Helper()
	plane, err := twin.New(twin.Options{
		BinDir:   binaries(t, "1.34"),
		StateDir: filepath.Join(t.TempDir(), "plane"),
		Name:     "apps",
		Version:  version,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if left := children(t, plane.StateDir()); len(left) > 0 {
			t.Errorf("processes left after Close: %v", left)
		}
		if _, err := os.Stat(plane.StateDir()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("state folder left after Close: %v", err)
		}
	})
	if err := plane.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return plane
}

// children lists the processes that run in a folder.
func children(t *testing.T, folder string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, link := range links {
		target, err := os.Readlink(link)
		if err == nil && strings.TrimSuffix(target, " (deleted)") == folder {
			found = append(found, filepath.Base(filepath.Dir(link)))
		}
	}
	return found
}

func client(t *testing.T, plane *twin.ControlPlane) *kubernetes.Clientset {
	t.Helper()
	// By way of the kubeconfig, since that is what others are given.
	config, err := clientcmd.RESTConfigFromKubeConfig(plane.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func reported(t *testing.T, set *kubernetes.Clientset) string {
	t.Helper()
	info, err := set.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	return info.GitVersion
}

func TestUpgradeKeepsDataAndAddress(t *testing.T) {
	plane := start(t, "1.34.4")
	set := client(t, plane)
	if got := reported(t, set); got != "v1.34.4" {
		t.Fatalf("version %s, want v1.34.4", got)
	}
	_, err := set.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "kept"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	if err := plane.SetVersion(t.Context(), "1.35.4"); err != nil {
		t.Fatal(err)
	}
	if got := reported(t, set); got != "v1.35.4" {
		t.Errorf("version after the upgrade %s, want v1.35.4", got)
	}
	if _, err := set.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("after the upgrade: %v", err)
	}

	before := string(plane.Kubeconfig())
	if err := plane.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Discovery().ServerVersion(); err == nil {
		t.Error("a stopped control plane answers")
	}
	if err := plane.SetVersion(t.Context(), "1.35.4"); err == nil || !strings.Contains(err.Error(), "start it first") {
		t.Errorf("upgrade of a stopped control plane: %v", err)
	}
	if err := plane.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if string(plane.Kubeconfig()) != before {
		t.Error("the kubeconfig changed over a restart")
	}
	if _, err := set.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

func TestOtherPatchOfTheMinor(t *testing.T) {
	plane := start(t, "1.34.2")
	if got := reported(t, client(t, plane)); got != "v1.34.2" {
		t.Errorf("version %s, want v1.34.2", got)
	}
}

func TestRefusals(t *testing.T) {
	folder := binaries(t)
	for name, test := range map[string]struct{ version, want string }{
		"unknown minor": {"1.12.3", "run make kube"},
		"no patch":      {"1.34", "not of the form"},
		"with a v":      {"v1.34.4", "not of the form"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := twin.New(twin.Options{BinDir: folder, StateDir: t.TempDir(), Name: "apps", Version: test.version})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestFailedStartLeavesNothingAndTellsWhy(t *testing.T) {
	state := filepath.Join(t.TempDir(), "plane")
	plane, err := twin.New(twin.Options{BinDir: binaries(t, "1.34"), StateDir: state, Name: "apps", Version: "1.34.4"})
	if err != nil {
		t.Fatal(err)
	}
	// A file in the place of etcd's data folder.
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "etcd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err = plane.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "etcd ended") || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v, want etcd's own words", err)
	}
	if left := children(t, state); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if err := plane.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCancelledStart(t *testing.T) {
	state := filepath.Join(t.TempDir(), "plane")
	plane, err := twin.New(twin.Options{BinDir: binaries(t, "1.34"), StateDir: state, Name: "apps", Version: "1.34.4"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := plane.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	if left := children(t, state); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if err := plane.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestChildrenDieWithTheirParent kills a process that runs a control plane.
func TestChildrenDieWithTheirParent(t *testing.T) {
	const role = "TWIN_TEST_PARENT"
	if state := os.Getenv(role); state != "" {
		plane, err := twin.New(twin.Options{BinDir: binaries(t, "1.34"), StateDir: state, Name: "apps", Version: "1.34.4"})
		if err != nil {
			t.Fatal(err)
		}
		if err := plane.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		fmt.Println("ready")
		select {} // until killed
	}
	state := filepath.Join(t.TempDir(), "plane")
	parent := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildrenDieWithTheirParent$")
	parent.Env = append(os.Environ(), role+"="+state)
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("ready"))
	if _, err := output.Read(line); err != nil || string(line) != "ready" {
		t.Fatalf("parent said %q, %v", line, err)
	}
	pids := children(t, state)
	if len(pids) != 4 {
		t.Fatalf("%d processes, want etcd, kube-apiserver, kube-controller-manager, kube-scheduler", len(pids))
	}
	if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for deadline := time.Now().Add(5 * time.Second); ; {
		alive := 0
		for _, pid := range pids {
			number, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatal(err)
			}
			if syscall.Kill(number, 0) == nil && !zombie(pid) {
				alive++
			}
		}
		if alive == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d processes outlive their parent", alive)
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
}

// zombie tells whether a process is dead and only waits to be collected.
func zombie(pid string) bool {
	content, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	return err == nil && strings.Contains(string(content), ") Z ")
}
