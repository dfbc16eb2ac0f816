// Command engine runs a Temporal server as a process of its own, for tests of
// Liftlock with an outside Temporal cluster: the embedded server behind a door
// that speaks mutual TLS with certificates made anew for every start.
//
//	engine FOLDER
//
// When it can be used, FOLDER/address holds where it listens; ca.pem, cert.pem
// and key.pem beside it let a client in. It ends when it is told to.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"go.temporal.io/api/proxy"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"liftlock.dev/liftlock/internal/durable/embedded"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 1 {
		return errors.New("usage: engine FOLDER")
	}
	folder := args[0]
	server, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(folder, "temporal")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	inside, err := server.Dial(ctx, client.Options{})
	if err != nil {
		return err
	}
	defer inside.Close()
	handler, err := proxy.NewWorkflowServiceProxyServer(proxy.WorkflowServiceProxyOptions{Client: inside.WorkflowService()})
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	secure, err := certificates(folder, time.Now())
	if err != nil {
		return err
	}
	door := grpc.NewServer(grpc.Creds(credentials.NewTLS(secure)))
	workflowservice.RegisterWorkflowServiceServer(door, handler)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- door.Serve(listener) }()
	// Whoever waits for the file must never read half of it.
	address := filepath.Join(folder, "address")
	if err := errors.Join(os.WriteFile(address+".new", []byte(listener.Addr().String()), 0o600), os.Rename(address+".new", address)); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err := <-served:
		return err
	}
	door.Stop() // long polls would keep a graceful end waiting
	return <-served
}

// certificates makes an authority, a certificate for the server and one for
// clients, writes what clients need, and returns what the server needs.
func certificates(folder string, now time.Time) (*tls.Config, error) {
	authority, err := sign(now, "authority", nil)
	if err != nil {
		return nil, err
	}
	own, err := sign(now, "127.0.0.1", authority)
	if err != nil {
		return nil, err
	}
	theirs, err := sign(now, "client", authority)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(theirs.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("client key: %w", err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: authority.Certificate[0]}, "cert.pem": {Type: "CERTIFICATE", Bytes: theirs.Certificate[0]},
		"key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*own}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}, nil
}

// sign makes a certificate, signed by an authority or, where that is nil, as one.
func sign(now time.Time, name string, by *tls.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", name, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", name, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	parent, signer := template, any(key)
	if by == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	} else {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", name, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", name, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
