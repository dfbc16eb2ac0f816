// Package process runs programs as children that never outlive this process:
// on Linux the kernel kills them when this process dies, however it dies.
//
// It knows nothing of what the programs are; restarting them, and telling from
// their output whether they are ready, is left to the caller.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Command says what to run.
type Command struct {
	// Name is what messages call the program: "kube-apiserver".
	Name string
	// Path of the executable.
	Path string
	Args []string
	// Env is added to a bare environment (PATH and HOME only), so that proxy
	// settings and credentials of this process do not reach the child.
	Env []string
	// Dir is the working directory.
	Dir string
	// LogFile receives what the program prints; it is appended to.
	LogFile string
}

// Process is a running program. Its methods may be called from any goroutine.
type Process struct {
	command Command
	pid     int
	cmd     *exec.Cmd
	done    chan struct{}
	err     error // set before done is closed
}

// Start runs a command. The program lives until it ends by itself or Stop is
// called, not until ctx ends.
func Start(ctx context.Context, command Command) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Name, err)
	}
	log, err := os.OpenFile(command.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: open its log: %w", command.Name, err)
	}
	//nolint:gosec // the path comes from the caller's own configuration
	cmd := exec.CommandContext(context.WithoutCancel(ctx), command.Path, command.Args...)
	cmd.Dir = command.Dir
	cmd.Env = append(bareEnvironment(), command.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()

	p := &Process{command: command, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ties the child's life to the thread that made it, so that
		// thread has to stay until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		_ = log.Close() // the child holds its own descriptor
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s (%s): %w", command.Name, command.Path, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exited returns nil while the program runs; afterwards an error that says how
// it ended, with the last lines of its output.
func (p *Process) Exited() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	how := "exited"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s ended (%s); its last lines in %s:\n%s", p.command.Name, how, p.command.LogFile, p.Tail(12))
}

// Tail returns the last lines of the program's output.
func (p *Process) Tail(lines int) string {
	const enough = 16 << 10
	file, err := os.Open(filepath.Clean(p.command.LogFile))
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > enough {
		if _, err := file.Seek(-enough, io.SeekEnd); err != nil {
			return fmt.Sprintf("(no log: %v)", err)
		}
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	all := strings.Split(string(bytes.TrimSpace(content)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Stop asks the program to end, and kills it when it has not within grace or
// when ctx ends; without grace it kills at once. It returns when the program is
// gone. Stopping a program that has ended is no error.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	if grace > 0 {
		if err := p.signal(syscall.SIGTERM); err == nil {
			timer := time.NewTimer(grace)
			defer timer.Stop()
			select {
			case <-p.done:
				return nil
			case <-timer.C:
			case <-ctx.Done():
			}
		}
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("stop %s (process %d): %w", p.command.Name, p.pid, err)
	}
	// A killed process is gone as soon as the kernel gets to it.
	<-p.done
	return nil
}

func (p *Process) signal(signal syscall.Signal) error {
	err := p.cmd.Process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// bareEnvironment is what every program may expect.
func bareEnvironment() []string {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	return []string{"PATH=" + path, "HOME=" + os.TempDir()}
}
