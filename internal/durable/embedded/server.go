package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/primitives"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// startAttempts is how often ports are picked anew when another process
	// takes one between the moment it was found free and its use.
	startAttempts = 5

	// readyTimeout is how long a started server may take to answer.
	readyTimeout = time.Minute

	// stopTimeout is how long the server may take to stop before its store is
	// taken away from it.
	stopTimeout = 30 * time.Second

	// lowBytes is where Check calls the disk full: one more step may fit, a
	// burst does not.
	lowBytes = 1 << 20

	pollInterval = 10 * time.Millisecond
)

// Server is a running Temporal server. It serves only clients that come from
// its Dial.
type Server struct {
	options  Options
	identity *identity
	ports    ports
	temporal temporal.Server
	log      *serverLog
	pool     *sql.DB
	lock     *dirLock

	closeOnce sync.Once
	closeErr  error
}

// Start runs the engine of a folder and returns when it answers, typically in
// less than a second. The context bounds the start only; end the server with
// Close.
//
// A folder whose engine runs already gives a LockedError, a store that cannot
// be used a StoreError. On an error nothing is left running.
func Start(ctx context.Context, options Options) (_ *Server, err error) {
	options, err = options.complete()
	if err != nil {
		return nil, err
	}
	if err := prepareDir(options.Dir); err != nil {
		return nil, err
	}
	s := &Server{options: options}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.lock, err = acquireLock(options.Dir); err != nil {
		return nil, err
	}
	path := filepath.Join(options.Dir, storeFile)
	if err := prepareStore(ctx, path); err != nil {
		return nil, err
	}
	if s.identity, err = newIdentity(time.Now()); err != nil {
		return nil, err
	}
	if err := s.launch(ctx, path); err != nil {
		return nil, err
	}
	if err := s.waitReady(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// prepareDir creates the state folder and refuses one that cannot be durable.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("start engine: create state folder %s: %w", dir, err)
	}
	fs, err := statFileSystem(dir)
	if err != nil {
		return err
	}
	return checkFileSystem(dir, fs)
}

// prepareStore creates the store or brings it up to the linked server's schema.
func prepareStore(ctx context.Context, path string) (err error) {
	target, err := linkedSchema()
	if err != nil {
		return err
	}
	db, err := openStore(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return ensureSchema(ctx, db, path, target, time.Now())
}

// createNamespace adds the namespace to the store if it is not there yet.
func createNamespace(store *config.SQL, options Options) error {
	namespace, err := sqliteschema.NewNamespaceConfig(clusterName, options.Namespace, false, nil)
	if err != nil {
		return err
	}
	namespace.Detail.Config.Retention = durationpb.New(options.Retention)
	return sqliteschema.CreateNamespaces(store, namespace)
}

// launch starts the server on free ports, again if one of them was taken
// meanwhile.
func (s *Server) launch(ctx context.Context, path string) error {
	for attempt := 1; ; attempt++ {
		found, err := freePorts(ctx)
		if err != nil {
			return err
		}
		err = s.launchOn(ctx, path, found)
		if err == nil || attempt == startAttempts || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}

// launchOn starts the server on given ports, with a connection pool of its own:
// the server does not take back what it has started when it fails in the
// middle, and the services that it leaves behind must not write any more.
func (s *Server) launchOn(ctx context.Context, path string, found ports) (err error) {
	logger := newServerLog(s.options.Logger)
	store := storeConfig(path, time.Now().UnixNano())
	pool, err := openPool(ctx, store, logger)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			logger.closing.Store(true)
			err = errors.Join(err, pool.Close())
		}
	}()
	if err := createNamespace(store, s.options); err != nil {
		return storeError("create the namespace in", path, err)
	}
	running, err := run(logger, s.identity, store, found)
	if err != nil {
		return fmt.Errorf("start engine: start the Temporal server: %w", err)
	}
	s.temporal, s.pool, s.ports, s.log = running, pool, found, logger
	return nil
}

// run puts a server together and starts it. The listeners are opened while it
// is put together, before anything runs.
func run(logger *serverLog, identity *identity, store *config.SQL, found ports) (_ temporal.Server, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			fatal, ok := cause.(*fatalError)
			if !ok {
				panic(cause)
			}
			err = fatal
		}
	}()
	server, err := temporal.NewServer(
		temporal.WithConfig(serverConfig(store, found)),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(found.hosts()),
		temporal.WithTLSConfigFactory(identity),
		temporal.WithDynamicConfigClient(dynamicConfig()),
		temporal.WithCustomMetricsHandler(metrics.NoopMetricsHandler),
		temporal.WithLogger(logger),
	)
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	return server, nil
}

// freePorts finds a free port on loopback for each service. All are held until
// all are found, so that no two are the same.
func freePorts(ctx context.Context) (ports, error) {
	var listen net.ListenConfig
	found := make(ports, len(services))
	for _, service := range services {
		listener, err := listen.Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return nil, fmt.Errorf("start engine: find a free port on %s: %w", loopback, err)
		}
		defer func() { _ = listener.Close() }()
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("start engine: find a free port on %s: got address %s", loopback, listener.Addr())
		}
		found[service] = address.Port
	}
	return found, nil
}

// waitReady returns when the namespace can be used.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := s.probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start engine: the Temporal server did not answer: %w", errors.Join(context.Cause(ctx), err))
		case <-ticker.C:
		}
	}
}

// probe asks for the namespace once.
func (s *Server) probe(ctx context.Context) error {
	c, err := s.Dial(ctx, client.Options{Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.options.Namespace})
	return err
}

// Dial connects a client to the server. The address and the TLS configuration
// in the options are replaced by the server's own; an empty namespace becomes
// the engine's, a nil logger the engine's from warnings up. Close the client
// before the server.
func (s *Server) Dial(ctx context.Context, options client.Options) (client.Client, error) {
	options.HostPort = s.ports.address(primitives.FrontendService)
	options.ConnectionOptions.TLS = s.identity.config.Clone()
	if options.Namespace == "" {
		options.Namespace = s.options.Namespace
	}
	if options.Logger == nil {
		options.Logger = sdklog.NewStructuredLogger(slog.New(atLeast{s.options.Logger.Handler(), slog.LevelWarn}))
	}
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("dial engine of %s: %w", s.options.Dir, err)
	}
	return c, nil
}

// Check tells whether the store can be written to, by writing to it. Without
// it a full disk shows only as rollouts that do not move: the server retries
// for as long as it takes and goes on by itself once there is space. The error
// is a StoreError with the remedy.
func (s *Server) Check(ctx context.Context) error {
	path := filepath.Join(s.options.Dir, storeFile)
	fs, err := statFileSystem(s.options.Dir)
	if err != nil {
		return err
	}
	if fs.free >= 0 && fs.free < lowBytes {
		return storeError("write", path, fmt.Errorf("%d KiB free: %w", fs.free>>10, syscall.ENOSPC))
	}
	if _, err := s.pool.ExecContext(ctx, touchStamp); err != nil {
		return storeError("write", path, err)
	}
	return nil
}

// Close stops the server, closes its store and gives the folder free. Stop
// workers and close clients first. It may be called more than once and returns
// what it returned first.
func (s *Server) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Server) close() error {
	var errs []error
	if s.temporal != nil {
		errs = append(errs, s.stop())
	}
	// Another engine may open the file once the lock is gone, so this one must
	// be unable to write by then, even if its server hangs.
	if s.pool != nil {
		if err := s.pool.Close(); err != nil {
			errs = append(errs, fmt.Errorf("stop engine: close store in %s: %w", s.options.Dir, err))
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// stop asks the server to stop and waits a while.
func (s *Server) stop() error {
	s.log.closing.Store(true)
	stopped := make(chan error, 1)
	go func() { stopped <- s.temporal.Stop() }()
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case err := <-stopped:
		if err != nil {
			return fmt.Errorf("stop engine in %s: %w", s.options.Dir, err)
		}
		return nil
	case <-timer.C:
		return fmt.Errorf("stop engine in %s: the Temporal server still runs after %s; its store was closed under it", s.options.Dir, stopTimeout)
	}
}
