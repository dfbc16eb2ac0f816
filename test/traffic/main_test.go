package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// The test binary runs three times: outside, where it prepares and waits;
// entering, as the first process of the new namespaces; and inside, where the
// tests run.
const (
	stageVariable = "LIFTLOCK_TRAFFIC_STAGE"
	worldVariable = "LIFTLOCK_TRAFFIC_WORLD" // the name of this run's cgroups
	mustVariable  = "LIFTLOCK_TRAFFIC"       // "must": what is missing is a failure
)

// unable says why the tests cannot run on this machine.
var unable string

func TestMain(m *testing.M) {
	if err := locate(); err != nil {
		fmt.Fprintln(os.Stderr, "traffic:", err)
		os.Exit(1)
	}
	switch os.Getenv(stageVariable) {
	case "enter":
		os.Exit(enter())
	case "inside":
		os.Exit(m.Run())
	default:
		os.Exit(outside(m))
	}
}

// outside runs the tests in namespaces of their own, and afterwards looks for
// what they left on the machine.
func outside(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	why, err := prepare(ctx)
	code := 0
	if why == "" && err == nil {
		code, why, err = apart(ctx)
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "traffic:", err)
		return 1
	case why == "":
		return code
	case os.Getenv(mustVariable) == "must":
		fmt.Fprintln(os.Stderr, "traffic: cannot run here:", why)
		return 1
	}
	unable = why
	return m.Run() // skips, and says why
}

// apart runs this binary again, apart from the machine. It returns why that
// cannot be done here, or the exit code of the tests.
func apart(ctx context.Context) (code int, why string, err error) {
	name := fmt.Sprintf("%s%d", cgroupPrefix, os.Getpid())
	sweep()
	before := lookAtMachine()
	if err := makeCgroups(name); err != nil {
		return 0, "no control group can be made: " + err.Error(), removeCgroups(name)
	}
	defer func() { err = errors.Join(err, removeCgroups(name), leftovers(name, before)) }()

	reason, write, err := os.Pipe()
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = reason.Close() }()
	// The kernel kills the inner process when this thread ends, so it must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	inner := exec.Command("/proc/self/exe", os.Args[1:]...)
	inner.Args[0] = os.Args[0]
	inner.Env = append(os.Environ(), stageVariable+"=enter", worldVariable+"="+name)
	inner.Stdout, inner.Stderr, inner.ExtraFiles = os.Stdout, os.Stderr, []*os.File{write}
	inner.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // an interrupt in the terminal comes to this process alone
	}
	err = inner.Start()
	_ = write.Close()
	if err != nil {
		return 0, "no namespaces can be made: " + err.Error(), nil
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
			_ = inner.Process.Kill() // and the kernel everything in its namespace
		case <-ended:
		}
	}()
	text, err := io.ReadAll(reason) // ends when the tests begin
	if err != nil {
		return 0, "", err
	}
	err = inner.Wait()
	if ctx.Err() != nil {
		return 0, "", fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if len(text) > 0 {
		return 0, strings.TrimSpace(string(text)), nil
	}
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return max(1, inner.ProcessState.ExitCode()), "", nil
	}
	return 0, "", err
}
