package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.temporal.io/sdk/client"

	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/durable"
)

// joined is a state folder whose rollouts run on a Temporal cluster, seen by a
// process that takes no part in the work.
type joined struct {
	*engine
	conn client.Client
}

// Close closes the folder and the connection.
func (j *joined) Close() error {
	j.conn.Close()
	return j.state.Close()
}

// JoinState opens a state folder to steer the rollouts that run on a Temporal
// cluster.
func (h *Host) JoinState(ctx context.Context, o cli.EngineOptions) (cli.State, error) {
	if err := begun(o.Dir); err != nil {
		return nil, err
	}
	st, err := openState(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	e := &engine{state: st}
	conn, err := e.join(ctx, o)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	e.durable = durable.New(conn)
	return &joined{engine: e, conn: conn}, nil
}

// join connects as one who has the state folder of the workers.
func (e *engine) join(ctx context.Context, o cli.EngineOptions) (client.Client, error) {
	holder, err := e.holder(ctx)
	if err != nil {
		return nil, err
	}
	return e.dial(ctx, o, holder)
}

// dialRemote connects to a Temporal cluster or Temporal Cloud.
func dialRemote(ctx context.Context, t cli.Temporal, options client.Options) (client.Client, error) {
	options.HostPort, options.Namespace = t.Address, t.Namespace
	secure, err := tlsFor(t)
	if err != nil {
		return nil, err
	}
	options.ConnectionOptions.TLS = secure
	if t.APIKeyFile != "" {
		key, err := os.ReadFile(t.APIKeyFile)
		if err != nil {
			return nil, fmt.Errorf("temporal API key: %w", err)
		}
		options.Credentials = client.NewAPIKeyStaticCredentials(strings.TrimSpace(string(key)))
	}
	conn, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal at %s, namespace %s: %w; check the address, the namespace and the credentials", t.Address, t.Namespace, err)
	}
	return conn, nil
}

// tlsFor returns nil where plain text was asked for by giving nothing.
func tlsFor(t cli.Temporal) (*tls.Config, error) {
	if t.CAFile == "" && t.CertFile == "" && t.APIKeyFile == "" {
		return nil, nil //nolint:nilnil // nil means plain text to the SDK
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("temporal CA: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("temporal CA: %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("temporal client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
