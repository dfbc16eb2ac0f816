package traffic

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// home is where everything of the world is kept: in memory, and short enough
// for the names of sockets.
const home = "/run/traffic"

// reasonFile is the pipe through which entering says why it cannot be done.
const reasonFile = 3

// enter makes the new namespaces a machine of their own, and becomes the
// process that runs the tests. What fails here cannot be done on this machine.
func enter() int {
	runtime.LockOSThread() // a thread's cgroup namespace is its own, until it becomes the process
	reason := os.NewFile(reasonFile, "reason")
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"keep mounts to itself", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"enter its control groups", func() error { return enterCgroups(os.Getenv(worldVariable)) }},
		{"see its own processes alone", func() error {
			return unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		}},
		{"keep files in memory", keepInMemory},
		{"keep the kernel's settings", shieldSettings},
		{"use overlayfs", tryOverlay},
		{"make a network", makeNetwork},
		{"use nftables", func() error { return run("nft", "list", "ruleset") }},
	} {
		if err := step.do(); err != nil {
			fmt.Fprintf(reason, "a process in its own namespaces cannot %s: %v\n", step.what, err)
			return 1
		}
	}
	unix.CloseOnExec(reasonFile)
	var environment []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, stageVariable+"=") && !strings.HasPrefix(variable, "TMPDIR=") {
			environment = append(environment, variable)
		}
	}
	environment = append(environment, stageVariable+"=inside", "TMPDIR="+filepath.Join(home, "tmp"))
	err := syscall.Exec("/proc/self/exe", os.Args, environment)
	fmt.Fprintln(reason, "it cannot run itself again:", err)
	return 1
}

// keepInMemory hides the folders that kubelets and containerds write to, also
// those whose places cannot be configured.
func keepInMemory() error {
	for _, folder := range []string{"/run", "/var"} {
		if err := unix.Mount("tmpfs", folder, "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
			return fmt.Errorf("mount %s: %w", folder, err)
		}
	}
	for _, folder := range []string{filepath.Join(home, "tmp"), "/var/lib", "/var/log", "/var/tmp"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// kubeletSettings are settings of the kernel that every kubelet sees to. There
// is but one kernel, so each finds what it wants and changes nothing.
var kubeletSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

func shieldSettings() error {
	for name, value := range kubeletSettings {
		shield := filepath.Join(home, "settings", name)
		if err := os.MkdirAll(filepath.Dir(shield), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(shield, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(shield, filepath.Join("/proc/sys", name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount over %s: %w", name, err)
		}
	}
	return nil
}

// tryOverlay mounts and unmounts what every container's files are.
func tryOverlay() error {
	folder := filepath.Join(home, "overlay")
	for _, part := range []string{"lower", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(folder, part), 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", folder)
	if err := unix.Mount("overlay", filepath.Join(folder, "merged"), "overlay", 0, options); err != nil {
		return err
	}
	return unix.Unmount(filepath.Join(folder, "merged"), 0)
}

// makeNetwork makes the network of the world: a bridge with the addresses of
// the nodes, over which ClusterIPs are reached, too. Nothing leads out of it.
func makeNetwork() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	commands := [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "nodes", "type", "bridge"},
		{"address", "add", hostAddress + "/32", "dev", "nodes"},
		{"link", "set", "nodes", "up"},
		{"route", "add", serviceRange, "dev", "nodes", "src", hostAddress},
	}
	for _, args := range commands {
		if err := run("ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// run runs a program of the machine to its end.
func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
