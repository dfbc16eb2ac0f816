package traffic

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupPrefix = "liftlock-traffic-"

// hierarchy is one mounted tree of control groups.
type hierarchy struct {
	path string
	data string // what it is mounted with; "" for the unified one
	kind string // cgroup or cgroup2
}

// hierarchies reads the mounted trees, of version 1 and 2.
func hierarchies() ([]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []hierarchy
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		place, super := strings.Fields(before), strings.Fields(after)
		if len(place) < 5 || len(super) < 3 || !strings.HasPrefix(super[0], "cgroup") {
			continue
		}
		h := hierarchy{path: place[4], kind: super[0]}
		if h.kind == "cgroup" {
			var controllers []string
			for option := range strings.SplitSeq(super[2], ",") {
				switch {
				case strings.HasPrefix(option, "name="):
					controllers = append(controllers, "none", option)
				case slices.Contains([]string{"rw", "ro", "xattr", "clone_children", "cpuset_v2_mode"}, option),
					strings.HasPrefix(option, "release_agent="):
				default:
					controllers = append(controllers, option)
				}
			}
			h.data = strings.Join(controllers, ",")
		}
		found = append(found, h)
	}
	if len(found) == 0 {
		return nil, errors.New("none are mounted")
	}
	return found, nil
}

// makeCgroups makes a group of every tree for all that the tests will run.
func makeCgroups(name string) error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range trees {
		group := filepath.Join(h.path, name)
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if h.kind == "cgroup2" {
			if err := passOn(h.path); err != nil {
				return err
			}
			continue
		}
		// Without processors and memory nothing may enter.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(h.path, file))
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(group, file), value, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// passOn lets the groups below one use its controllers.
func passOn(group string) error {
	offered, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	passed, err := os.ReadFile(filepath.Join(group, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	for controller := range strings.FieldsSeq(string(offered)) {
		wanted := slices.Contains([]string{"cpu", "cpuset", "memory", "pids"}, controller)
		if !wanted || slices.Contains(strings.Fields(string(passed)), controller) {
			continue
		}
		if err := os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("pass controller %s on: %w", controller, err)
		}
	}
	return nil
}

// enterCgroups puts this process into its groups, and makes them the roots of
// all trees that it and its children see.
func enterCgroups(name string) error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range trees {
		// 0 is whoever writes it.
		if err := os.WriteFile(filepath.Join(h.path, name, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return err
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return err
	}
	for _, h := range trees {
		if err := unix.Unmount(h.path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", h.path, err)
		}
		if err := unix.Mount("cgroup", h.path, h.kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, h.data); err != nil {
			return fmt.Errorf("mount %s: %w", h.path, err)
		}
		if h.kind != "cgroup2" {
			continue
		}
		// A group with processes may not pass controllers on, so they get one to themselves.
		main := filepath.Join(h.path, "main")
		if err := os.Mkdir(main, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(main, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return err
		}
		if err := passOn(h.path); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes the groups, which are empty as soon as the kernel has
// killed what was in them.
func removeCgroups(name string) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := tryRemoveCgroups(name)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond) // between two attempts
	}
}

func tryRemoveCgroups(name string) error {
	trees, err := hierarchies()
	if err != nil {
		return nil //nolint:nilerr // without trees there are no groups
	}
	var failed []error
	for _, h := range trees {
		var groups []string
		err := filepath.WalkDir(filepath.Join(h.path, name), func(path string, entry fs.DirEntry, _ error) error {
			if entry != nil && entry.IsDir() { // what has gone meanwhile need not be removed
				groups = append(groups, path)
			}
			return nil
		})
		failed = append(failed, err)
		for _, group := range slices.Backward(groups) {
			if err := os.Remove(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failed = append(failed, err)
			}
		}
	}
	return errors.Join(failed...)
}

// sweep removes the groups of runs that were killed together with whoever would
// have removed them.
func sweep() {
	trees, err := hierarchies()
	if err != nil {
		return
	}
	for _, h := range trees {
		old, _ := filepath.Glob(filepath.Join(h.path, cgroupPrefix+"*"))
		for _, group := range old {
			process := strings.TrimPrefix(filepath.Base(group), cgroupPrefix)
			if _, err := os.Stat(filepath.Join("/proc", process)); err == nil {
				continue // that run lives
			}
			_ = tryRemoveCgroups(filepath.Base(group))
		}
	}
}
