package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"go.temporal.io/sdk/client"

	"liftlock.dev/liftlock/internal/cli"
)

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
