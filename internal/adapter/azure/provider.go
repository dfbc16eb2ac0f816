package azure

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// Options says which cloud to talk to, as whom, and how patiently.
type Options struct {
	Cloud    fleet.Cloud
	Identity fleet.Identity
	// Logger gets what operators of Liftlock may want to know; nil for nobody.
	Logger *slog.Logger
	HTTP   HTTPOptions
}

// HTTPOptions tunes single calls. The zero value is what production uses.
type HTTPOptions struct {
	// MaxRetries of a call that met a server error, a refused connection or a
	// short throttling. Zero means 3, negative none.
	MaxRetries int
	// RetryDelay is the first pause between tries where the service names none;
	// it doubles each time. Zero means 800 ms.
	RetryDelay time.Duration
	// MaxRetryDelay bounds every pause. A Retry-After beyond it is not slept
	// through but returned as rollout.CodeThrottled. Zero means one minute.
	MaxRetryDelay time.Duration
	// TryTimeout bounds one try. Zero means 100 seconds: listing a large
	// subscription takes long.
	TryTimeout time.Duration
	// Concurrency is how many listings run at once. Zero means 8.
	Concurrency int
}

func (o HTTPOptions) withDefaults() HTTPOptions {
	if o.MaxRetries == 0 {
		o.MaxRetries = 3
	}
	if o.RetryDelay == 0 {
		o.RetryDelay = 800 * time.Millisecond
	}
	if o.MaxRetryDelay == 0 {
		o.MaxRetryDelay = time.Minute
	}
	if o.TryTimeout == 0 {
		o.TryTimeout = 100 * time.Second
	}
	if o.Concurrency == 0 {
		o.Concurrency = 8
	}
	return o
}

// Provider is Azure Kubernetes Service as a rollout.Provider. It is safe for
// concurrent use.
type Provider struct {
	credential azcore.TokenCredential
	client     *http.Client
	options    *arm.ClientOptions
	listings   int
	log        *slog.Logger

	mu            sync.Mutex
	subscriptions map[string]*subscription
}

var _ rollout.Provider = (*Provider)(nil)

// New returns a provider for the cloud and identity of the options. It reads
// the files they name and calls nobody: whether the identity is accepted shows
// at the first call. The error of a wrong or unreadable option names it.
func New(ctx context.Context, o Options) (*Provider, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	configuration, err := cloudConfiguration(o.Cloud)
	if err != nil {
		return nil, err
	}
	client, err := newHTTPClient(o.Cloud.CAFile)
	if err != nil {
		return nil, err
	}
	tuning := o.HTTP.withDefaults()
	common := policy.ClientOptions{
		Cloud:     configuration,
		Transport: client,
		Telemetry: policy.TelemetryOptions{ApplicationID: "liftlock"},
		Retry: policy.RetryOptions{
			MaxRetries:    int32(min(tuning.MaxRetries, 100)),
			RetryDelay:    tuning.RetryDelay,
			MaxRetryDelay: tuning.MaxRetryDelay,
			TryTimeout:    tuning.TryTimeout,
		},
	}
	identity, err := newCredential(o.Identity, o.Cloud, common)
	if err != nil {
		return nil, err
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Provider{
		credential: identity,
		client:     client,
		// Registering the resource provider is not Liftlock's to do: where
		// clusters are, it is registered.
		options:       &arm.ClientOptions{ClientOptions: common, DisableRPRegistration: true},
		listings:      tuning.Concurrency,
		log:           log,
		subscriptions: map[string]*subscription{},
	}, nil
}

// Close lets go of idle connections. The provider may still be used.
func (p *Provider) Close() { p.client.CloseIdleConnections() }

// subscription holds the SDK's clients of one subscription.
type subscription struct {
	clusters  *armcontainerservice.ManagedClustersClient
	pools     *armcontainerservice.AgentPoolsClient
	machines  *armcontainerservice.MachinesClient
	snapshots *armcontainerservice.SnapshotsClient
}

// in returns the clients of a subscription, made once.
func (p *Provider) in(id string) (*subscription, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.subscriptions[id]; ok {
		return s, nil
	}
	factory, err := armcontainerservice.NewClientFactory(id, p.credential, p.options)
	if err != nil {
		return nil, fmt.Errorf("subscription %s: %w", id, err)
	}
	s := &subscription{
		clusters:  factory.NewManagedClustersClient(),
		pools:     factory.NewAgentPoolsClient(),
		machines:  factory.NewMachinesClient(),
		snapshots: factory.NewSnapshotsClient(),
	}
	p.subscriptions[id] = s
	return s, nil
}
