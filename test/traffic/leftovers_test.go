package traffic

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// machine is what the tests could change for all of the machine.
type machine struct {
	settings map[string]string // of the kernel, those that kubelets would change
	tables   string            // of nftables
}

func lookAtMachine() machine {
	m := machine{settings: map[string]string{}}
	for name := range kubeletSettings {
		if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			m.settings[name] = strings.TrimSpace(string(value))
		}
	}
	if tables, err := exec.Command("nft", "list", "tables").Output(); err == nil {
		m.tables = string(tables)
	}
	return m
}

// leftovers looks on the machine for anything that the tests made there. The
// kernel has taken their namespaces away by now, so all of it would be a fault.
func leftovers(name string, before machine) error {
	var found []error
	processes, err := filepath.Glob("/proc/[0-9]*/cgroup")
	found = append(found, err)
	for _, file := range processes {
		if groups, err := os.ReadFile(file); err == nil && strings.Contains(string(groups), "/"+name) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			found = append(found, fmt.Errorf("process %s still runs: %s", filepath.Base(filepath.Dir(file)), strings.ReplaceAll(string(command), "\x00", " ")))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	found = append(found, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, home) || strings.Contains(line, name) {
			found = append(found, fmt.Errorf("mount is still there: %s", strings.TrimSpace(line)))
		}
	}
	links, err := net.Interfaces()
	found = append(found, err)
	for _, link := range links {
		if link.Name == "nodes" || strings.HasPrefix(link.Name, podBridge) {
			found = append(found, fmt.Errorf("network link %s is still there", link.Name))
		}
	}
	if trees, err := hierarchies(); err == nil {
		for _, h := range trees {
			if _, err := os.Stat(filepath.Join(h.path, name)); err == nil {
				found = append(found, fmt.Errorf("control group %s is still there", filepath.Join(h.path, name)))
			}
		}
	}
	if _, err := os.Stat(home); err == nil {
		found = append(found, fmt.Errorf("%s is still there", home))
	}
	after := lookAtMachine()
	for name, value := range after.settings {
		if before.settings[name] != value {
			found = append(found, fmt.Errorf("%s was %s and is %s", name, before.settings[name], value))
		}
	}
	if after.tables != before.tables {
		found = append(found, fmt.Errorf("nftables were %q and are %q", before.tables, after.tables))
	}
	return errors.Join(found...)
}
