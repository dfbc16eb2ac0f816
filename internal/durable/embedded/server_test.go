package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/primitives"
	"go.uber.org/goleak"
)

// TestServer runs a workflow, stops, and does both again on the same file, in
// one process.
func TestServer(t *testing.T) {
	defer goleak.VerifyNone(t,
		// The server does not close the connections between its services. What
		// stays is 28 parked goroutines each time; nothing of them listens,
		// polls or has the file open.
		goleak.IgnoreTopFunction("google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run"),
		goleak.IgnoreTopFunction("google.golang.org/grpc.(*addrConn).resetTransportAndUnlock"),
	)
	dir := t.TempDir()
	recorder := &logRecorder{}
	for round := range 2 {
		begun := time.Now()
		s, err := Start(t.Context(), Options{Dir: dir, Logger: slog.New(recorder)})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("start %d: %s", round+1, time.Since(begun))
		if err := runOnce(t.Context(), s, dir); err != nil {
			t.Error(err)
		}
		t.Logf("%d MB resident", residentMB(os.Getpid()))
		begun = time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("close: %s", time.Since(begun))
		if err := s.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		for service := range s.ports {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.ports.address(service))
			if err == nil {
				t.Errorf("%s still listens on %s", service, s.ports.address(service))
				_ = conn.Close()
			}
		}
		if open := openFiles(dir); len(open) > 0 {
			t.Errorf("still open: %v", open)
		}
		left, err := filepath.Glob(filepath.Join(dir, "temporal.db*"))
		if err != nil || len(left) != 1 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	// On a busy machine the server has reason to warn; this it does always.
	for _, line := range recorder.all() {
		t.Log(line)
		for _, noise := range []string{"HTTP API port", "network dial error", "Failed to poll", "shard closed"} {
			if strings.Contains(line, noise) {
				t.Errorf("logged although nothing was wrong: %s", line)
			}
		}
	}
}

// runOnce begins climb and sees it to its end.
func runOnce(ctx context.Context, s *Server, dir string) error {
	c, err := s.Dial(ctx, client.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	stop, err := startWorker(c, dir)
	if err != nil {
		return err
	}
	defer stop()
	if _, err := begin(ctx, c); err != nil {
		return err
	}
	got, err := finish(ctx, c)
	if err != nil {
		return err
	}
	if got != wantSum {
		return errors.New("wrong sum")
	}
	return nil
}

// openFiles lists which files below dir this process has open, on systems that
// tell.
func openFiles(dir string) []string {
	descriptors, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return nil
	}
	var open []string
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(descriptor); err == nil && strings.HasPrefix(target, dir) {
			open = append(open, target)
		}
	}
	return open
}

func TestNamespace(t *testing.T) {
	const retention = 45 * 24 * time.Hour
	for name, test := range map[string]struct {
		options   Options
		namespace string
		retention time.Duration
	}{
		"defaults": {Options{}, "liftlock", 90 * 24 * time.Hour},
		"given":    {Options{Namespace: "other", Retention: retention}, "other", retention},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Dir = t.TempDir()
			c := mustDial(t, mustStart(t, test.options))
			got, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: test.namespace})
			if err != nil {
				t.Fatal(err)
			}
			if kept := got.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); kept != test.retention {
				t.Errorf("retention %s, want %s", kept, test.retention)
			}
		})
	}
}

// TestStrangersAreRefused knocks at every service as another user of the
// machine could.
func TestStrangersAreRefused(t *testing.T) {
	s := mustStart(t, Options{Dir: t.TempDir()})
	stranger, err := newIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range services {
		address := s.ports.address(service)
		for name, config := range map[string]*tls.Config{
			"no certificate":         {InsecureSkipVerify: true, NextProtos: []string{"h2"}},
			"another's certificate":  {InsecureSkipVerify: true, NextProtos: []string{"h2"}, Certificates: stranger.config.Certificates},
			"the right certificate":  withProtocol(s.identity.config),
			"mistrust of our server": {ServerName: serverName, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13},
		} {
			t.Run(string(service)+"/"+name, func(t *testing.T) {
				err := greet(t.Context(), address, config)
				if name == "the right certificate" {
					if err != nil {
						t.Errorf("our own client is refused: %v", err)
					}
					return
				}
				if err == nil {
					t.Error("let in")
				}
			})
		}
	}

	// Nothing else listens, and nothing beyond loopback.
	var want []string
	for _, service := range services {
		want = append(want, s.ports.address(service))
	}
	slices.Sort(want)
	if got := listening(t); got != nil {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("listening (-want +got):\n%s", diff)
		}
	}

	// Through the client, without TLS.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	c, err := client.DialContext(ctx, client.Options{HostPort: s.ports.address(primitives.FrontendService), Logger: quiet()})
	if err == nil {
		c.Close()
		t.Error("a client without a certificate is let in")
	}
}

// listening returns the addresses on which this process accepts TCP
// connections, or nil on systems that do not tell.
func listening(t *testing.T) []string {
	t.Helper()
	const listens = "0A" // TCP_LISTEN
	mine := map[string]bool{}
	for _, target := range openFiles("socket:[") {
		mine[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] = true
	}
	var out []string
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err != nil {
			return nil
		}
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != listens || !mine[fields[9]] {
				continue
			}
			var a, b, c, d, port int
			if _, err := fmt.Sscanf(fields[1], "%02X%02X%02X%02X:%04X", &d, &c, &b, &a, &port); err != nil {
				out = append(out, fields[1]) // an IPv6 address
				continue
			}
			out = append(out, fmt.Sprintf("%d.%d.%d.%d:%d", a, b, c, d, port))
		}
	}
	slices.Sort(out)
	return out
}

func withProtocol(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	return config
}

// greet opens a connection and reads the server's first frame. A TLS 1.3 client
// learns only by reading that its certificate was refused.
func greet(ctx context.Context, address string, config *tls.Config) error {
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 9))
	return err
}

// TestPortTakenInTheMiddle has another listener on one of the ports.
func TestPortTakenInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, storeFile)
	if err := prepareStore(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	identity, err := newIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	options, err := Options{Dir: dir}.complete()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{options: options, identity: identity}
	found, err := freePorts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", found.address(primitives.FrontendService))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if err := s.launchOn(t.Context(), path, found); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("got %v", err)
	}
	if open := openFiles(dir); len(open) > 0 {
		t.Errorf("still open: %v", open)
	}
	// The next attempt has other ports and the file to itself.
	if err := s.launch(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := s.waitReady(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestStartIsCancelled(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if open := openFiles(dir); len(open) > 0 {
		t.Errorf("still open: %v", open)
	}
	mustStart(t, Options{Dir: dir})
}

func TestOptions(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"no folder":       {Options{}, "no state folder"},
		"uri character":   {Options{Dir: "/tmp/a?b"}, "choose another folder"},
		"short retention": {Options{Dir: "/tmp/a", Retention: time.Hour}, "shorter than"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Start(t.Context(), test.options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
