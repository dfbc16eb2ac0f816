package twin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime of every certificate: longer than any throw-away cluster, and short
// enough that a forgotten one is worth nothing.
const lifetime = 90 * 24 * time.Hour

// KeyPair is a certificate and its private key, both PEM.
type KeyPair struct{ Certificate, Key []byte }

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
	now         time.Time
}

// newAuthority makes an authority with an RSA key, as managed services have them:
// the API server checks a client's certificate with each request, and an RSA
// signature is checked several times faster than one of P-256.
func newAuthority(name string, now time.Time) (*authority, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", name, err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of %s: %w", name, err)
	}
	return &authority{certificate: certificate, key: key, pem: encode("CERTIFICATE", der), now: now}, nil
}

// issue signs a certificate: for a server when it has hosts, else for a client.
func (a *authority) issue(subject pkix.Name, hosts ...string) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("make the key of %s: %w", subject.CommonName, err)
	}
	serial, err := newSerial()
	if err != nil {
		return KeyPair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    a.now.Add(-time.Hour),
		NotAfter:     a.now.Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("sign the certificate of %s: %w", subject.CommonName, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("encode the key of %s: %w", subject.CommonName, err)
	}
	return KeyPair{Certificate: encode("CERTIFICATE", der), Key: encode("EC PRIVATE KEY", keyDER)}, nil
}

// credentials are all certificates and keys of one control plane.
type credentials struct {
	authority  *authority // of the API server and its clients
	frontProxy *authority // of requests that the API server passes on
	server     KeyPair
	admin      KeyPair
	proxy      KeyPair
	accounts   KeyPair // signs the tokens of service accounts
}

func newCredentials(now time.Time) (*credentials, error) {
	c := &credentials{}
	var err error
	if c.authority, err = newAuthority("kubernetes", now); err != nil {
		return nil, err
	}
	if c.frontProxy, err = newAuthority("front-proxy", now); err != nil {
		return nil, err
	}
	issues := []struct {
		to      *KeyPair
		by      *authority
		subject pkix.Name
		hosts   []string
	}{
		{&c.server, c.authority, pkix.Name{CommonName: "kube-apiserver"}, []string{
			"127.0.0.1", "10.0.0.1", "localhost", "kubernetes", "kubernetes.default",
			"kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		{&c.admin, c.authority, pkix.Name{CommonName: "masterclient", Organization: []string{"system:masters"}}, nil},
		{&c.proxy, c.frontProxy, pkix.Name{CommonName: frontProxyName}, nil},
		{&c.accounts, c.authority, pkix.Name{CommonName: "service-accounts"}, nil},
	}
	for _, issue := range issues {
		if *issue.to, err = issue.by.issue(issue.subject, issue.hosts...); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// frontProxyName is the one client that may pass on who asks.
const frontProxyName = "front-proxy-client"

// write puts the files that the components read into folder.
func (c *credentials) write(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the folder for certificates: %w", err)
	}
	files := map[string][]byte{
		"ca.crt":          c.authority.pem,
		"front-proxy.crt": c.frontProxy.pem,
		"server.crt":      c.server.Certificate,
		"server.key":      c.server.Key,
		"proxy.crt":       c.proxy.Certificate,
		"proxy.key":       c.proxy.Key,
		"accounts.key":    c.accounts.Key,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return fmt.Errorf("write certificate: %w", err)
		}
	}
	return nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return serial, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
