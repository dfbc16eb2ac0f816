package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

const (
	// requestTimeout bounds every exchange but a watch, answer included. A page
	// of 500 large pods over a slow line stays below it.
	requestTimeout = time.Minute
	// userAgent names us in the audit logs of clusters.
	userAgent = "liftlock"
	// fieldManager names us in managedFields.
	fieldManager = "liftlock"
)

// restConfig finds the credentials of a cluster and says how to use them.
func (c *Connector) restConfig(ctx context.Context, target fleet.Cluster) (*rest.Config, error) {
	config, err := c.credentials(ctx, target)
	if err != nil {
		return nil, err
	}
	config.UserAgent = userAgent
	// The API server's priority and fairness limits us better than a guess on
	// our side could: it answers 429 with Retry-After, which client-go obeys.
	config.QPS = -1
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = strings.Join([]string{runtime.ContentTypeProtobuf, runtime.ContentTypeJSON}, ",")
	config.WarningHandlerWithContext = quiet{c.options.Logger.With("cluster", target.Name)}
	return config, nil
}

// credentials reads the kubeconfig that is meant for the cluster.
func (c *Connector) credentials(ctx context.Context, target fleet.Cluster) (*rest.Config, error) {
	if name, ok := c.contextFor(target); ok {
		return fromFile(c.options.File, name)
	}
	if c.options.Kubeconfig != nil {
		raw, err := c.options.Kubeconfig(ctx, target)
		if err != nil {
			return nil, fmt.Errorf("fetch credentials: %w", err)
		}
		config, err := fromProvider(raw, target)
		if err != nil {
			return nil, fmt.Errorf("credentials from the provider: %w", err)
		}
		return config, nil
	}
	return nil, errors.New("no kubeconfig context is named for it: add it to the contexts of the Fleet file's access " +
		"(the current context is never used)")
}

// contextFor looks a cluster up by its id, then by its name.
func (c *Connector) contextFor(target fleet.Cluster) (string, bool) {
	for _, key := range []string{target.ID, target.Name} {
		if name, ok := c.options.Contexts[key]; ok {
			return name, true
		}
	}
	return "", false
}

// fromFile takes one named context out of a kubeconfig file.
func fromFile(path, name string) (*rest.Config, error) {
	if path == "" {
		return nil, fmt.Errorf("context %q is named but no kubeconfig file: set the file of the Fleet file's access", name)
	}
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	// Certificates may be named relative to the file.
	if err := clientcmd.ResolveLocalPaths(config); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	rc, err := fromContext(config, name)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return rc, nil
}

// fromProvider takes the context out of a kubeconfig that was made for one
// cluster: the only one there is, or the one called like the cluster.
func fromProvider(raw []byte, target fleet.Cluster) (*rest.Config, error) {
	config, err := clientcmd.Load(raw)
	if err != nil {
		// The parser quotes what it read, which holds secrets.
		return nil, errors.New("not a kubeconfig")
	}
	name := target.Name
	if len(config.Contexts) == 1 {
		for only := range config.Contexts {
			name = only
		}
	}
	return fromContext(config, name)
}

func fromContext(config *clientcmdapi.Config, name string) (*rest.Config, error) {
	// clientcmd falls back to other contexts, and even to the environment of a
	// pod, where something is missing; so look before asking it.
	chosen := config.Contexts[name]
	if chosen == nil {
		return nil, fmt.Errorf("no context %q (there are: %s)", name,
			strings.Join(slices.Sorted(maps.Keys(config.Contexts)), ", "))
	}
	if server := config.Clusters[chosen.Cluster]; server == nil || server.Server == "" {
		return nil, fmt.Errorf("context %q: cluster %q has no server", name, chosen.Cluster)
	}
	if config.AuthInfos[chosen.AuthInfo] == nil {
		return nil, fmt.Errorf("context %q: no user %q", name, chosen.AuthInfo)
	}
	rc, err := clientcmd.NewNonInteractiveClientConfig(*config, name, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("context %q: %w", name, err)
	}
	return rc, nil
}

// quiet keeps the API server's deprecation warnings out of the user's sight:
// they are about our requests, not about the user's objects.
type quiet struct{ log *slog.Logger }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (q quiet) HandleWarningHeaderWithContext(ctx context.Context, code int, agent, text string) {
	q.log.DebugContext(ctx, "warning from the API server", "code", code, "agent", agent, "text", text)
}
