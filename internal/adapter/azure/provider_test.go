package azure

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

func TestCloudConfiguration(t *testing.T) {
	for _, test := range []struct {
		cloud                         fleet.Cloud
		endpoint, audience, authority string
		wrong                         string
	}{
		{cloud: fleet.Cloud{}, endpoint: "https://management.azure.com", audience: "https://management.core.windows.net/", authority: "https://login.microsoftonline.com/"},
		{cloud: fleet.Cloud{Name: "public"}, endpoint: "https://management.azure.com", audience: "https://management.core.windows.net/", authority: "https://login.microsoftonline.com/"},
		{cloud: fleet.Cloud{Name: "Government"}, endpoint: "https://management.usgovcloudapi.net", audience: "https://management.core.usgovcloudapi.net/", authority: "https://login.microsoftonline.us/"},
		{cloud: fleet.Cloud{Name: "China"}, endpoint: "https://management.chinacloudapi.cn", audience: "https://management.core.chinacloudapi.cn/", authority: "https://login.chinacloudapi.cn/"},
		{cloud: fleet.Cloud{Name: "Public", ResourceManager: "https://private.example/"}, endpoint: "https://private.example", audience: "https://management.core.windows.net/", authority: "https://login.microsoftonline.com/"},
		{cloud: fleet.Cloud{Name: "Custom", ResourceManager: "https://arm.stack.local/", ActiveDirectory: "https://login.stack.local/adfs", Audience: "https://management.stack.local/guid"}, endpoint: "https://arm.stack.local", audience: "https://management.stack.local/guid", authority: "https://login.stack.local/adfs/"},
		{cloud: fleet.Cloud{Name: "Custom", ResourceManager: "https://arm", ActiveDirectory: "https://login"}, endpoint: "https://arm", audience: "https://arm", authority: "https://login/"},
		{cloud: fleet.Cloud{Name: "Custom"}, wrong: "resourceManager"},
		{cloud: fleet.Cloud{Name: "Mars"}, wrong: `"Mars"`},
		{cloud: fleet.Cloud{Name: "Custom", ResourceManager: "http://arm", ActiveDirectory: "https://login"}, wrong: "https://"},
		{cloud: fleet.Cloud{ActiveDirectory: "login.example"}, wrong: "activeDirectory"},
	} {
		got, err := cloudConfiguration(test.cloud)
		if test.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%+v: %v", test.cloud, err)
			}
			continue
		}
		service := got.Services[cloud.ResourceManager]
		if err != nil || service.Endpoint != test.endpoint || service.Audience != test.audience || got.ActiveDirectoryAuthorityHost != test.authority {
			t.Errorf("%+v: %+v, %v", test.cloud, got, err)
		}
	}
	if skipInstanceDiscovery(fleet.Cloud{Name: "Public"}) || !skipInstanceDiscovery(fleet.Cloud{Name: "custom"}) || skipInstanceDiscovery(fleet.Cloud{Name: "Custom", InstanceDiscovery: true}) {
		t.Error("instance discovery")
	}
}

// Every kind of identity can be made, and those that sign in with Entra do.
func TestIdentities(t *testing.T) {
	f := newFakeARM(t)
	f.on("GET "+prodPath, http.StatusOK, fixture(t, "cluster.json"))
	dir := t.TempDir()
	secret := writeFile(t, filepath.Join(dir, "secret"), "hunter2\n")
	certificate := writeFile(t, filepath.Join(dir, "cert.pem"), selfSigned(t))
	for _, test := range []struct {
		identity fleet.Identity
		signsIn  bool
		wrong    string
	}{
		{identity: fleet.Identity{}},
		{identity: fleet.Identity{Kind: "default", TenantID: tenant}},
		{identity: fleet.Identity{Kind: "ManagedIdentity", ClientID: "client"}},
		{identity: fleet.Identity{Kind: "CLI", TenantID: tenant}},
		{identity: f.options().Identity, signsIn: true},
		{identity: fleet.Identity{Kind: "Secret", TenantID: tenant, ClientID: "client", SecretFile: secret}, signsIn: true},
		{identity: fleet.Identity{Kind: "Certificate", TenantID: tenant, ClientID: "client", CertificateFile: certificate}, signsIn: true},
		{identity: fleet.Identity{Kind: "Secret", TenantID: tenant, ClientID: "client"}, wrong: "secretFile"},
		{identity: fleet.Identity{Kind: "Secret", TenantID: tenant, ClientID: "client", SecretFile: filepath.Join(dir, "missing")}, wrong: "missing"},
		{identity: fleet.Identity{Kind: "Secret", TenantID: tenant, ClientID: "client", SecretFile: writeFile(t, filepath.Join(dir, "empty"), " \n")}, wrong: "is empty"},
		{identity: fleet.Identity{Kind: "Certificate", TenantID: tenant, ClientID: "client"}, wrong: "certificateFile"},
		{identity: fleet.Identity{Kind: "Certificate", TenantID: tenant, ClientID: "client", CertificateFile: secret}, wrong: "PEM"},
		{identity: fleet.Identity{Kind: "Certificate", TenantID: tenant, ClientID: "client", CertificateFile: filepath.Join(dir, "missing")}, wrong: "missing"},
		{identity: fleet.Identity{Kind: "Password"}, wrong: "Password"},
	} {
		t.Run(test.identity.Kind+test.wrong, func(t *testing.T) {
			o := f.options()
			o.Identity = test.identity
			p, err := New(t.Context(), o)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if test.signsIn {
				if _, err := p.Cluster(t.Context(), prodPath); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	f := newFakeARM(t)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(canceled, f.options()); err == nil {
		t.Error("a context that has ended")
	}
	for _, file := range []string{filepath.Join(t.TempDir(), "missing.pem"), writeFile(t, filepath.Join(t.TempDir(), "empty.pem"), "nothing")} {
		o := f.options()
		o.Cloud.CAFile = file
		if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "caFile") {
			t.Errorf("caFile %s: %v", file, err)
		}
	}
	o := f.options()
	o.Cloud.Name = "Mars"
	if _, err := New(t.Context(), o); err == nil {
		t.Error("an unknown cloud")
	}
}

func selfSigned(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "liftlock"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}
