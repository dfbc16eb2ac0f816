package embedded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"go.temporal.io/server/common/rpc/encryption"
)

const (
	// serverName is the name in the certificate; nothing resolves it.
	serverName = "engine.liftlock.invalid"

	// identityLifetime outlives any process. The certificate never leaves
	// memory, so there is nothing to rotate it against.
	identityLifetime = 20 * 365 * 24 * time.Hour
)

// identity is the one certificate that everybody who may talk to the server
// shares: its four services and the clients that Dial returns. It is made anew
// for every start and never written down. The services listen on loopback,
// which every local user can reach; without this certificate the handshake
// fails before a request is read. A token would guard the frontend alone and
// leave history and matching open.
type identity struct {
	config *tls.Config
}

var _ encryption.TLSConfigProvider = (*identity)(nil)

// newIdentity makes a key and a self-signed certificate that serves as server
// certificate, client certificate and the only trusted root.
func newIdentity(now time.Time) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("start engine: make its key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("start engine: make its certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: serverName},
		DNSNames:              []string{serverName},
		NotBefore:             now.Add(-time.Hour), // the wall clock may step back while we run
		NotAfter:              now.Add(identityLifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("start engine: make its certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("start engine: read its certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &identity{config: &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   serverName,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}}, nil
}

// GetInternodeServerConfig guards history, matching and worker.
func (i *identity) GetInternodeServerConfig() (*tls.Config, error) { return i.config.Clone(), nil }

// GetInternodeClientConfig lets the services talk to each other.
func (i *identity) GetInternodeClientConfig() (*tls.Config, error) { return i.config.Clone(), nil }

// GetFrontendServerConfig guards the frontend.
func (i *identity) GetFrontendServerConfig() (*tls.Config, error) { return i.config.Clone(), nil }

// GetFrontendClientConfig lets the server's own workers and our clients in.
func (i *identity) GetFrontendClientConfig() (*tls.Config, error) { return i.config.Clone(), nil }

// GetRemoteClusterClientConfig is asked for the only cluster there is.
func (i *identity) GetRemoteClusterClientConfig(string) (*tls.Config, error) {
	return i.config.Clone(), nil
}

// GetExpiringCerts reports none: the certificate outlives the process.
func (i *identity) GetExpiringCerts(time.Duration) (expiring, expired encryption.CertExpirationMap, err error) {
	return nil, nil, nil
}
