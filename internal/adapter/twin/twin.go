// Package twin starts throw-away Kubernetes control planes: a real etcd,
// kube-apiserver, kube-controller-manager and kube-scheduler of a given
// version, on the loopback address, with certificates of their own. A running
// one can be taken to another version, as a managed service does it: the
// components are restarted with the other release's binaries on the same etcd.
//
// It knows nothing of nodes and workloads: whoever starts a control plane
// brings them, simulated or real.
package twin

import (
	"cmp"
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"liftlock.dev/liftlock/internal/adapter/twin/process"
)

// readyTimeout bounds how long a component may take to answer. A control plane
// needs three seconds alone, and its share of the processor on a small, busy
// machine. One that ends is noticed at once.
const readyTimeout = 5 * time.Minute

// Options say what to start and where.
type Options struct {
	// BinDir holds the binaries as <minor>/kube; see hack/kube/build.sh.
	BinDir string
	// StateDir is made, and removed by Close; nobody else may use it. Logs,
	// keys and etcd's data are kept there.
	StateDir string
	// Name of the cluster in kubeconfigs and messages.
	Name string
	// Version to start with: "1.34.4".
	Version string
	// Growth is by how many percent a component's memory may grow before it
	// collects garbage; 0 for 50, which keeps many control planes on a small
	// machine. More memory saves processor time on a large cluster.
	Growth int
	// Load fills a control plane that is started for the first time, while its
	// API server answers and nothing reacts yet: neither controllers nor the
	// scheduler run. nil for an empty one.
	Load func(ctx context.Context, config *rest.Config) error
	// Controllers are flags of kube-controller-manager that win over the usual
	// ones, for whoever plays a controller's part, or wants one not to act.
	Controllers []string
	// Logger takes what happens to the components; nil for nothing.
	Logger *slog.Logger
}

// ControlPlane is one throw-away control plane. Its methods may be called from
// any goroutine; those that change it wait for each other.
type ControlPlane struct {
	options     Options
	credentials *credentials

	mu         sync.Mutex
	port       int
	kubeconfig []byte
	config     *rest.Config
	current    binary
	etcdBinary binary
	running    map[string]*process.Process
	expected   map[*process.Process]bool // ended on purpose
	loaded     bool
	watchers   sync.WaitGroup
	closed     bool
}

// New prepares a control plane; Start runs it.
func New(options Options) (*ControlPlane, error) {
	found, err := findBinary(options.BinDir, options.Version)
	if err != nil {
		return nil, fmt.Errorf("control plane %s: %w", options.Name, err)
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.StateDir, err = filepath.Abs(options.StateDir); err != nil {
		return nil, fmt.Errorf("control plane %s: state folder: %w", options.Name, err)
	}
	if found.path, err = filepath.Abs(found.path); err != nil {
		return nil, fmt.Errorf("control plane %s: binary: %w", options.Name, err)
	}
	if options.BinDir, err = filepath.Abs(options.BinDir); err != nil {
		return nil, fmt.Errorf("control plane %s: binaries: %w", options.Name, err)
	}
	secrets, err := newCredentials(time.Now())
	if err != nil {
		return nil, fmt.Errorf("control plane %s: %w", options.Name, err)
	}
	return &ControlPlane{
		options:     options,
		credentials: secrets,
		current:     found,
		// etcd stays what it was at first: a control plane's upgrade does not
		// touch it, and its data only ever goes up.
		etcdBinary: found,
		running:    map[string]*process.Process{},
		expected:   map[*process.Process]bool{},
	}, nil
}

// Start runs the control plane and returns once its API server is ready and
// its controllers work. After Stop it comes back with its data, at the same
// address. When it fails, nothing is left running.
func (c *ControlPlane) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("control plane %s is closed", c.options.Name)
	}
	if len(c.running) > 0 {
		return nil
	}
	if err := os.MkdirAll(c.options.StateDir, 0o700); err != nil {
		return fmt.Errorf("control plane %s: state folder: %w", c.options.Name, err)
	}
	if err := c.start(ctx); err != nil {
		return errors.Join(fmt.Errorf("start control plane %s %s: %w", c.options.Name, c.current.reported, err),
			c.stop(context.WithoutCancel(ctx), 0, all...))
	}
	return nil
}

func (c *ControlPlane) start(ctx context.Context) error {
	if err := c.run(ctx, "etcd", c.etcdBinary, etcdArgs()); err != nil {
		return err
	}
	fresh := c.port == 0
	for attempt := 1; ; attempt++ {
		if fresh {
			if err := c.address(ctx); err != nil {
				return err
			}
		}
		err := c.startComponents(ctx)
		if err == nil {
			break
		}
		taken := strings.Contains(err.Error(), "address already in use")
		if !taken || attempt == 5 {
			return err
		}
		// Somebody took the port since it was found free. A new control plane
		// takes another; one whose address is known waits for its own.
		if err := c.stop(ctx, 0, components...); err != nil {
			return err
		}
	}
	return c.controllersWork(ctx)
}

// address chooses a port and writes the files that hold it.
func (c *ControlPlane) address(ctx context.Context) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	c.port = port
	c.config = restConfig(port, c.credentials)
	if c.kubeconfig, err = kubeconfig(c.options.Name, port, c.credentials); err != nil {
		return err
	}
	return c.writeFiles()
}

// components are what an upgrade restarts, in the order in which they start.
var components = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}

var all = append([]string{"etcd"}, components...)

func (c *ControlPlane) startComponents(ctx context.Context) error {
	if err := c.run(ctx, "kube-apiserver", c.current, apiserverArgs(c.port)); err != nil {
		return err
	}
	if err := c.ready(ctx); err != nil {
		return err
	}
	if c.options.Load != nil && !c.loaded {
		if err := c.options.Load(ctx, rest.CopyConfig(c.config)); err != nil {
			return fmt.Errorf("load it: %w", err)
		}
		c.loaded = true
	}
	if err := c.run(ctx, "kube-controller-manager", c.current, append(controllerArgs(), c.options.Controllers...)); err != nil {
		return err
	}
	return c.run(ctx, "kube-scheduler", c.current, schedulerArgs())
}

// run starts one component and reports it when it ends unasked.
func (c *ControlPlane) run(ctx context.Context, name string, from binary, args []string) error {
	environment := []string{"GOGC=" + strconv.Itoa(cmp.Or(c.options.Growth, 50))}
	if from.reported != from.version && name != "etcd" {
		environment = append(environment, "KUBE_REPORTED_VERSION=v"+from.reported)
	}
	started, err := process.Start(ctx, process.Command{
		Name: name, Path: from.path, Args: append([]string{name}, args...),
		Env: environment, Dir: c.options.StateDir,
		LogFile: filepath.Join(c.options.StateDir, name+".log"),
	})
	if err != nil {
		return err
	}
	c.running[name] = started
	log := c.options.Logger.With("cluster", c.options.Name, "component", name)
	c.watchers.Go(func() {
		<-started.Done()
		c.mu.Lock()
		asked := c.expected[started]
		delete(c.expected, started)
		c.mu.Unlock()
		if !asked {
			log.ErrorContext(context.WithoutCancel(ctx), "control-plane component ended", "error", started.Exited())
		}
	})
	return nil
}

// stop ends components in the reverse of the order in which they start.
func (c *ControlPlane) stop(ctx context.Context, grace time.Duration, names ...string) error {
	var failed []error
	for _, name := range slices.Backward(names) {
		running, ok := c.running[name]
		if !ok {
			continue
		}
		if running.Exited() == nil {
			c.expected[running] = true
		}
		if err := running.Stop(ctx, grace); err != nil {
			failed = append(failed, err)
			continue
		}
		delete(c.running, name)
	}
	return errors.Join(failed...)
}

// ready waits until the API server says that it is.
func (c *ControlPlane) ready(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer closeIdle(client)
	return c.await(ctx, "its API server to be ready", func(ctx context.Context) (bool, error) {
		code := 0
		result := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&code)
		return result.Error() == nil && code == http.StatusOK, result.Error()
	})
}

// controllersWork waits for the first thing that controllers bring about, which
// pods need: the default service account.
func (c *ControlPlane) controllersWork(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer closeIdle(client)
	return c.await(ctx, "its controllers to work", func(ctx context.Context) (bool, error) {
		for _, namespace := range []string{"default", "kube-system"} {
			_, err := client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// await polls until done says so, a component ends, or the time is up.
func (c *ControlPlane) await(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not within %s", readyTimeout))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		for _, name := range all {
			if running, ok := c.running[name]; ok {
				if err := running.Exited(); err != nil {
					return err
				}
			}
		}
		ok, err := done(ctx)
		if ok {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %w)", what, context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}

// SetVersion restarts the API server, controllers and scheduler with the
// binaries of another version on the same etcd, at the same address. Requests
// fail in between, as they do for a few seconds in any upgrade of a single API
// server.
func (c *ControlPlane) SetVersion(ctx context.Context, version string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, err := findBinary(c.options.BinDir, version)
	if err != nil {
		return fmt.Errorf("upgrade control plane %s from %s: %w", c.options.Name, c.current.reported, err)
	}
	if len(c.running) == 0 {
		return fmt.Errorf("upgrade control plane %s from %s to %s: it is stopped; start it first", c.options.Name, c.current.reported, version)
	}
	if err := c.stop(ctx, stopGrace, components...); err != nil {
		return fmt.Errorf("upgrade control plane %s to %s: %w", c.options.Name, version, err)
	}
	c.current = next
	if err := c.startComponents(ctx); err != nil {
		return fmt.Errorf("upgrade control plane %s to %s: %w", c.options.Name, version, err)
	}
	return nil
}

// stopGrace is how long an API server may finish what it is doing.
const stopGrace = 3 * time.Second

// Stop ends all components and keeps etcd's data.
func (c *ControlPlane) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.stop(ctx, stopGrace, all...); err != nil {
		return fmt.Errorf("stop control plane %s: %w", c.options.Name, err)
	}
	return nil
}

// Close kills all components and removes the state folder. The control plane
// cannot be started again.
func (c *ControlPlane) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	err := c.stop(context.WithoutCancel(ctx), 0, all...)
	c.mu.Unlock()
	c.watchers.Wait()
	if removed := os.RemoveAll(c.options.StateDir); removed != nil {
		err = errors.Join(err, fmt.Errorf("remove its state: %w", removed))
	}
	if err != nil {
		return fmt.Errorf("close control plane %s: %w", c.options.Name, err)
	}
	return nil
}

// Running tells whether the API server's process runs.
func (c *ControlPlane) Running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	server, ok := c.running["kube-apiserver"]
	return ok && server.Exited() == nil
}

// Version returns the version that the control plane runs or would run.
func (c *ControlPlane) Version() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.reported
}

// Kubeconfig returns a kubeconfig of cluster-admin rights with its client
// certificate inline. It is empty before the first Start and stays the same
// afterwards.
func (c *ControlPlane) Kubeconfig() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.kubeconfig...)
}

// Config returns a client configuration of cluster-admin rights; nil before the
// first Start.
func (c *ControlPlane) Config() *rest.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config == nil {
		return nil
	}
	return rest.CopyConfig(c.config)
}

// StateDir returns the folder that Close removes, for the files of whatever
// belongs to this control plane.
func (c *ControlPlane) StateDir() string { return c.options.StateDir }

// ServingCertificate issues a certificate for a server that the API server
// passes requests on to, and returns it with the authority that signed it.
func (c *ControlPlane) ServingCertificate(name string, hosts ...string) (pair KeyPair, authority []byte, err error) {
	pair, err = c.credentials.authority.issue(pkix.Name{CommonName: name}, hosts...)
	return pair, c.credentials.authority.pem, err
}

// FrontProxyAuthority returns the certificate of the authority that signs the
// API server's own client certificate, so that such a server can tell it from
// anyone else.
func (c *ControlPlane) FrontProxyAuthority() []byte { return c.credentials.frontProxy.pem }

// closeIdle lets go of a client's connections, so that none outlives its use.
func closeIdle(client *kubernetes.Clientset) {
	if rest, ok := client.RESTClient().(*rest.RESTClient); ok && rest.Client != nil {
		rest.Client.CloseIdleConnections()
	}
}
