package process

import "syscall"

// attributes puts the child in a group of its own, so that a Ctrl-C in the
// terminal reaches this process alone, which then stops the child in order; and
// has the kernel kill the child when this process dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
