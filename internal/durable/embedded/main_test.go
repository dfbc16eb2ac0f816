package embedded

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
)

// childDir tells a process of this test binary to be an engine on that folder
// until it is killed, instead of running tests.
const childDir = "LIFTLOCK_TEST_ENGINE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := beEngine(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beEngine runs an engine and a worker on a folder, begins climb unless it is
// under way, says so, and works until it is killed or its parent is gone.
func beEngine(ctx context.Context, dir string) error {
	s, err := Start(ctx, Options{Dir: dir})
	if err != nil {
		return err
	}
	c, err := s.Dial(ctx, client.Options{})
	if err != nil {
		return err
	}
	if _, err := startWorker(c, dir); err != nil {
		return err
	}
	if _, err := begin(ctx, c); err != nil {
		return err
	}
	fmt.Println("running")
	_, err = bufio.NewReader(os.Stdin).ReadByte() // until the parent goes
	return err
}

// child is an engine in a process of its own.
type child struct {
	cmd   *exec.Cmd
	lines chan string
}

// startChild starts an engine on dir that ends with ctx at the latest.
func startChild(ctx context.Context, t *testing.T, dir string) *child {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, executable)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // open as long as we live
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, lines: make(chan string, 1)}
	go func() {
		defer close(c.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			c.lines <- scanner.Text()
		}
	}()
	return c
}

// waitRunning returns when the child's engine works.
func (c *child) waitRunning(t *testing.T) {
	t.Helper()
	if line, ok := <-c.lines; !ok || line != "running" {
		t.Fatalf("child says %q, not running", line)
	}
}

// kill ends the child with SIGKILL and waits until it is gone.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.wait()
}

// wait returns when the child is gone, however it went.
func (c *child) wait() {
	for range c.lines {
	}
	_ = c.cmd.Wait()
}

// residentMB reads how much memory a process holds, 0 where it is not told.
func residentMB(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kb, _ := strconv.Atoi(fields[1])
			return kb >> 10
		}
	}
	return 0
}
