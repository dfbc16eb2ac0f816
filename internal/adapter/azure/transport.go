package azure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// newHTTPClient returns the client of all calls: proxies from the environment,
// the system's certificate authorities and those of caFile. Its own timeouts
// stand below the one per try, so that a dead host is named as such.
func newHTTPClient(caFile string) (*http.Client, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 20 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
		// Some front ends of Azure renegotiate; the SDK's own client lets them too.
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, Renegotiation: tls.RenegotiateFreelyAsClient},
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("cloud caFile: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cloud caFile %s: holds no certificate in PEM form", caFile)
		}
		t.TLSClientConfig.RootCAs = roots
	}
	return &http.Client{Transport: &noting{t}}, nil
}

// noting is a transport that tells who asks for it why no answer came. The
// identity library reduces that to text, and a host out of reach must not be
// taken for credentials that were refused.
type noting struct{ base *http.Transport }

// RoundTrip implements http.RoundTripper.
func (n *noting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := n.base.RoundTrip(req)
	if note, ok := req.Context().Value(noteKey{}).(*note); ok {
		note.failure = err
	}
	return resp, err
}

// CloseIdleConnections lets http.Client pass the call on.
func (n *noting) CloseIdleConnections() { n.base.CloseIdleConnections() }

type noteKey struct{}

// note keeps the transport's error of the last call under a context.
type note struct{ failure error }

func withNote(ctx context.Context) (context.Context, *note) {
	n := &note{}
	return context.WithValue(ctx, noteKey{}, n), n
}
