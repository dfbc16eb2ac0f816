package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that runs beside the test.
type process struct {
	cmd      *exec.Cmd
	out, err logbook
	done     chan struct{} // closed when it has ended
}

// logbook is an output that may be read while it is written.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// launch starts a program. It is killed at the end of test owner at the latest,
// which may be one that t is a part of.
func launch(t, owner *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	// Interrupting the tests by hand must leave them the order in which to end things.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	owner.Cleanup(p.kill)
	return p
}

// kill ends the process as a power cut would, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// ended returns the exit code (-1 after a signal) of a process that has ended.
func (p *process) ended() (code int, ended bool) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}

// wait returns the exit code of a process that must end within a while.
func (p *process) wait(t *testing.T, patience time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%v still runs after %s; stderr:\n%s", p.cmd.Args, patience, p.stderr())
	}
	return p.cmd.ProcessState.ExitCode()
}

// end asks the process to end, and complains if it does not.
func (p *process) end(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
		t.Errorf("%v does not end; stderr:\n%s", p.cmd.Args, p.stderr())
		p.kill()
	}
}

func (p *process) stdout() string { return p.out.String() }

func (p *process) stderr() string { return tail(p.err.String(), 60) }

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// within waits until something holds.
func within(t *testing.T, patience time.Duration, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s not yet: %s: %v", patience, what, err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("interrupted while waiting: %s: %v", what, err)
		}
	}
}

// remains lists processes that name a folder on their command line, and files
// in it that only a running process may have.
func remains(dir string) error {
	var found []string
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, file := range procs {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && pid != os.Getpid() && bytes.Contains(text, []byte(dir)) {
			found = append(found, fmt.Sprintf("process %d: %s", pid, bytes.ReplaceAll(text, []byte{0}, []byte{' '})))
		}
	}
	if socket := filepath.Join(dir, "liftlock.sock"); exists(socket) {
		found = append(found, socket)
	}
	if len(found) > 0 {
		return errors.New("left behind: " + strings.Join(found, "; "))
	}
	return nil
}
