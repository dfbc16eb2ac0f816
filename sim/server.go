package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"liftlock.dev/liftlock/sim/aks"
	"liftlock.dev/liftlock/sim/arm"
	"liftlock.dev/liftlock/sim/control"
	"liftlock.dev/liftlock/sim/entra"
	"liftlock.dev/liftlock/sim/fault"
	"liftlock.dev/liftlock/sim/scenario"
	"liftlock.dev/liftlock/sim/witness"
)

// Options says what is simulated and where.
type Options struct {
	// Scenario says what there is; see scenario.Load.
	Scenario *scenario.Scenario
	// Kubernetes runs the control planes. Close closes it.
	Kubernetes aks.Kubernetes
	// StateDir is where the files that Endpoint names are written. It must exist.
	StateDir string
	// Listen is the address to listen on; empty means a free port of 127.0.0.1.
	Listen string
	Logger *slog.Logger
	Now    func() time.Time
	// Unwatched leaves the availability watch out, for control planes that are
	// not real.
	Unwatched bool
	// BootParallel is how many clusters start at a time; 0 means two.
	BootParallel int
	// SettlePatience is how long workloads may take to become Ready before the
	// availability watch begins; 0 means five minutes.
	SettlePatience time.Duration
}

// Endpoint says where a simulated Azure is and how to sign in.
type Endpoint struct {
	ARMEndpoint   string `json:"armEndpoint"`   // no trailing slash
	AuthorityHost string `json:"authorityHost"` // with trailing slash
	Audience      string `json:"audience"`
	Control       string `json:"control"` // the control API
	CAFile        string `json:"caFile"`
	TenantID      string `json:"tenantId"`
	ClientID      string `json:"clientId"`
	// TokenFile holds a federated token, as workload identity projects one.
	TokenFile string `json:"tokenFile"`
	// ClientSecretFile holds the same client's secret.
	ClientSecretFile string   `json:"clientSecretFile"`
	Subscriptions    []string `json:"subscriptions"`
	Scenario         string   `json:"scenario"`
	PID              int      `json:"pid"`
}

// Server is a running simulated Azure.
type Server struct {
	options  Options
	endpoint Endpoint
	ca       *authority
	cloud    *aks.Cloud
	faults   *fault.Set
	journal  *arm.Journal
	witness  *witness.Witness
	tokens   *entra.Server
	http     *http.Server
	log      *slog.Logger
	now      func() time.Time

	last    atomic.Int64 // unix nanoseconds of the latest request
	pending atomic.Int64 // requests being answered
	woken   chan struct{}
	closing chan struct{} // closed by Close
	once    sync.Once
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// Start brings a simulated Azure up and returns when all clusters of the
// scenario are there with their workloads. End it with Close; a failed Start
// leaves nothing behind.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.BootParallel == 0 {
		o.BootParallel = 2
	}
	if o.SettlePatience == 0 {
		o.SettlePatience = 5 * time.Minute
	}
	s := &Server{options: o, log: o.Logger, now: o.Now, woken: make(chan struct{}, 1), closing: make(chan struct{}), faults: fault.NewSet(o.Now), witness: witness.New(o.Now, o.Logger)}
	s.last.Store(o.Now().UnixNano())
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	defer func() {
		if err != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			err = errors.Join(err, s.Close(closing))
		}
	}()
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	for _, f := range o.Scenario.Faults {
		if _, err := s.faults.Add(f); err != nil {
			return nil, fmt.Errorf("fault of the scenario: %w", err)
		}
	}
	if err := s.boot(ctx); err != nil {
		return nil, err
	}
	s.work.Go(func() { s.turn(background) })
	s.last.Store(s.now().UnixNano()) // nobody can have asked before
	return s, nil
}

// listen makes the cloud and opens its doors.
func (s *Server) listen(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.options.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if err := s.open(listener); err != nil {
		return errors.Join(err, listener.Close())
	}
	return nil
}

func (s *Server) open(listener net.Listener) error {
	ca, err := newAuthority(s.now())
	if err != nil {
		return err
	}
	s.ca = ca
	sc := s.options.Scenario
	base := "https://" + listener.Addr().String()
	identity := sc.Identity
	fallback := func(text *string, value string) {
		if *text == "" {
			*text = value
		}
	}
	fallback(&identity.TenantID, "72f988bf-0000-4000-8000-51a0b5c0ffee")
	fallback(&identity.ClientID, "11f7c0de-0000-4000-8000-00000000a11c")
	fallback(&identity.ClientSecret, "simulated~secret.of.a.simulated.client")
	fallback(&identity.Subject, "system:serviceaccount:liftlock:liftlock")
	s.tokens, err = entra.New(entra.Options{
		TenantID: identity.TenantID, ClientID: identity.ClientID, ClientSecret: identity.ClientSecret, Subject: identity.Subject,
		BaseURL: base, Now: s.now,
	})
	if err != nil {
		return err
	}
	options := aks.Options{Kubernetes: s.options.Kubernetes, Faults: s.faults, Logger: s.log, Now: s.now}
	if !s.options.Unwatched {
		options.Observer = (*observer)(s)
	}
	if sc.BudgetCheck {
		options.BudgetCheck = unsatisfiableBudgets
	}
	if err := sc.Cloud(&options, identity.TenantID); err != nil {
		return fmt.Errorf("scenario %s: %w", sc.Name, err)
	}
	s.cloud = aks.New(options)
	if err := s.writeFiles(base, identity); err != nil {
		return err
	}
	speedUp := sc.Throttling.SpeedUp
	switch {
	case sc.Throttling.Off:
		speedUp = 0
	case speedUp == 0:
		speedUp = 1
	}
	manager := arm.New(arm.Options{
		Cloud: s.cloud, Tokens: s.tokens, Faults: s.faults, Logger: s.log, Now: s.now, BaseURL: base,
		RetryAfter: sc.RetryAfter, PageSize: sc.PageSize, ThrottleSpeedUp: speedUp, World: s.change,
	})
	s.journal = manager.Journal()
	steering := control.New(control.Options{
		Cloud: s.cloud, Faults: s.faults, Journal: s.journal, Witness: s.witness, Endpoint: s.endpoint, Added: s.wake,
	})
	s.http = &http.Server{
		Handler: s.door(manager, steering), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // resets and strangers' handshakes are no news
		// Faults reset connections, which HTTP/2 would share between calls.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	secure := tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{ca.server}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	s.work.Go(func() {
		if err := s.http.Serve(secure); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serving ended", "error", err)
		}
	})
	return nil
}

// writeFiles writes what clients need to reach and to trust the server.
func (s *Server) writeFiles(base string, identity scenario.Identity) error {
	token, err := s.tokens.FederatedToken(30 * 24 * time.Hour)
	if err != nil {
		return err
	}
	s.endpoint = Endpoint{
		ARMEndpoint: base, AuthorityHost: base + "/", Audience: arm.Audience, Control: base + strings.TrimSuffix(control.Prefix, "/"),
		CAFile: filepath.Join(s.options.StateDir, "ca.crt"), TokenFile: filepath.Join(s.options.StateDir, "federated-token"),
		ClientSecretFile: filepath.Join(s.options.StateDir, "client-secret"), TenantID: identity.TenantID, ClientID: identity.ClientID,
		Scenario: s.options.Scenario.Name, PID: os.Getpid(),
	}
	for _, sub := range s.cloud.Subscriptions() {
		s.endpoint.Subscriptions = append(s.endpoint.Subscriptions, sub.ID)
	}
	for file, text := range map[string]string{
		s.endpoint.CAFile: string(s.ca.pem), s.endpoint.TokenFile: token, s.endpoint.ClientSecretFile: identity.ClientSecret,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return fmt.Errorf("state folder: %w", err)
		}
	}
	return nil
}

// door sends requests to whom they are for, and notes that there was one.
func (s *Server) door(manager, steering http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.pending.Add(1)
		s.last.Store(s.now().UnixNano())
		defer func() {
			s.last.Store(s.now().UnixNano())
			s.pending.Add(-1)
		}()
		switch {
		case strings.HasPrefix(r.URL.Path, control.Prefix):
			steering.ServeHTTP(w, r)
		case r.URL.Path == "/metadata/endpoints":
			s.metadata(w)
		case entra.Handles(r.URL.Path):
			if s.signInStruck(w, r) {
				return
			}
			s.tokens.ServeHTTP(w, r)
		default:
			manager.ServeHTTP(w, r)
		}
	})
}

// boot brings the scenario's clusters up, a few at a time.
func (s *Server) boot(ctx context.Context) error {
	seeds, err := s.options.Scenario.Seeds()
	if err != nil {
		return fmt.Errorf("scenario %s: %w", s.options.Scenario.Name, err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.options.BootParallel)
	for _, seed := range seeds {
		group.Go(func() error {
			started := s.now()
			if err := s.cloud.Boot(groupCtx, seed); err != nil {
				return err
			}
			if !s.options.Unwatched {
				if err := s.witness.Begin(groupCtx, seed.ID.Key(), s.options.SettlePatience); err != nil {
					return fmt.Errorf("waiting for the workloads: %w", err)
				}
			}
			if seed.Stopped {
				if err := s.cloud.Halt(groupCtx, seed.ID); err != nil {
					return err
				}
			}
			s.log.InfoContext(ctx, "cluster is up", "cluster", seed.ID.Name, "seconds", s.now().Sub(started).Round(100*time.Millisecond).Seconds())
			return nil
		})
	}
	return group.Wait()
}

// Endpoint says where the server is.
func (s *Server) Endpoint() Endpoint { return s.endpoint }

// Cloud is the state behind the server.
func (s *Server) Cloud() *aks.Cloud { return s.cloud }

// Journal records the calls that the server answered.
func (s *Server) Journal() *arm.Journal { return s.journal }

// Witness watches the availability of the workloads.
func (s *Server) Witness() *witness.Witness { return s.witness }

// AddFault puts a fault in force and returns its id.
func (s *Server) AddFault(f fault.Fault) (string, error) {
	id, err := s.faults.Add(f)
	if err == nil {
		s.wake()
	}
	return id, err
}

// RemoveFault takes a fault away; an empty id means all of them.
func (s *Server) RemoveFault(id string) bool { return s.faults.Remove(id) }

// HTTPClient returns a client that trusts the server's certificate.
func (s *Server) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.pool, MinVersion: tls.VersionTLS12}}}
}

// Idle says for how long nobody has asked for anything; zero while a request or
// an operation is under way.
func (s *Server) Idle() time.Duration {
	if s.pending.Load() > 0 || s.cloud.Busy() {
		s.last.Store(s.now().UnixNano())
		return 0
	}
	return s.now().Sub(time.Unix(0, s.last.Load()))
}

// Close stops everything: the doors, operations, watches and control planes.
func (s *Server) Close(ctx context.Context) error {
	s.once.Do(func() { close(s.closing) })
	s.stop()
	var problems []error
	if s.http != nil {
		problems = append(problems, s.http.Close())
	}
	s.witness.Close()
	if s.cloud != nil {
		problems = append(problems, s.cloud.Close(ctx))
	} else {
		problems = append(problems, s.options.Kubernetes.Close(ctx))
	}
	s.work.Wait()
	for _, file := range []string{s.endpoint.CAFile, s.endpoint.TokenFile, s.endpoint.ClientSecretFile} {
		if err := os.Remove(file); file != "" && err != nil && !errors.Is(err, os.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// observer tells the witness of clusters.
type observer Server

// ClusterUp implements aks.Observer.
func (o *observer) ClusterUp(id aks.ClusterID, kube aks.Cluster) {
	ctx := context.Background() //nolint:forbidigo // a watch belongs to the server, not to who made the cluster
	kubeconfig, err := kube.Kubeconfig(ctx)
	if err == nil {
		err = o.witness.Watch(ctx, id.Key(), id.Name, kubeconfig)
	}
	if err != nil {
		o.log.Error("the cluster's availability is not watched", "cluster", id.Name, "error", err)
	}
}

// ClusterGone implements aks.Observer.
func (o *observer) ClusterGone(id aks.ClusterID) { o.witness.Forget(id.Key()) }
