//go:build unix && !linux

package process

import "syscall"

// attributes puts the child in a group of its own, so that a Ctrl-C in the
// terminal reaches this process alone, which then stops the child in order.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
