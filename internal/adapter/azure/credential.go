package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// newCredential makes the credential of an identity. Secrets are read from the
// files that it names, never from the Fleet file itself.
func newCredential(id fleet.Identity, c fleet.Cloud, common policy.ClientOptions) (azcore.TokenCredential, error) {
	kind := id.Kind
	if kind == "" {
		kind = "Default"
	}
	inner, err := credentialOfKind(id, kind, common, skipInstanceDiscovery(c))
	if err != nil {
		return nil, fmt.Errorf("identity %s: %w", kind, err)
	}
	return &credential{inner: inner, kind: kind}, nil
}

func credentialOfKind(id fleet.Identity, kind string, common policy.ClientOptions, skipDiscovery bool) (azcore.TokenCredential, error) {
	switch strings.ToLower(kind) {
	case "default":
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: common, DisableInstanceDiscovery: skipDiscovery, TenantID: id.TenantID,
		})
	case "workloadidentity":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: common, DisableInstanceDiscovery: skipDiscovery,
			ClientID: id.ClientID, TenantID: id.TenantID, TokenFilePath: id.TokenFile,
		})
	case "managedidentity":
		o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: common}
		if id.ClientID != "" {
			o.ID = azidentity.ClientID(id.ClientID)
		}
		return azidentity.NewManagedIdentityCredential(o)
	case "cli":
		return azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: id.TenantID})
	case "certificate":
		return certificateCredential(id, common, skipDiscovery)
	case "secret":
		return secretCredential(id, common, skipDiscovery)
	}
	return nil, errors.New("not known; want Default, WorkloadIdentity, ManagedIdentity, CLI, Certificate or Secret")
}

func certificateCredential(id fleet.Identity, common policy.ClientOptions, skipDiscovery bool) (azcore.TokenCredential, error) {
	if id.TenantID == "" || id.ClientID == "" || id.CertificateFile == "" {
		return nil, errors.New("tenantID, clientID and certificateFile must be given")
	}
	data, err := os.ReadFile(id.CertificateFile)
	if err != nil {
		return nil, fmt.Errorf("certificateFile: %w", err)
	}
	certificates, key, err := azidentity.ParseCertificates(data, nil)
	if err != nil {
		return nil, fmt.Errorf("certificateFile %s: want a certificate and its key, in PEM or unencrypted PKCS #12 form: %w", id.CertificateFile, err)
	}
	return azidentity.NewClientCertificateCredential(id.TenantID, id.ClientID, certificates, key, &azidentity.ClientCertificateCredentialOptions{
		ClientOptions: common, DisableInstanceDiscovery: skipDiscovery,
		// Authorities that know the certificate by subject and issuer need the
		// chain; the others ignore it.
		SendCertificateChain: true,
	})
}

func secretCredential(id fleet.Identity, common policy.ClientOptions, skipDiscovery bool) (azcore.TokenCredential, error) {
	if id.TenantID == "" || id.ClientID == "" || id.SecretFile == "" {
		return nil, errors.New("tenantID, clientID and secretFile must be given")
	}
	data, err := os.ReadFile(id.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("secretFile: %w", err)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return nil, fmt.Errorf("secretFile %s: is empty", id.SecretFile)
	}
	return azidentity.NewClientSecretCredential(id.TenantID, id.ClientID, secret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions: common, DisableInstanceDiscovery: skipDiscovery,
	})
}

// credential marks the errors of an identity as such: a call that failed for
// want of a token was never made.
type credential struct {
	inner azcore.TokenCredential
	kind  string
}

// GetToken implements azcore.TokenCredential.
func (c *credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	noted, note := withNote(ctx)
	token, err := c.inner.GetToken(noted, o)
	if err != nil {
		return token, &credentialError{kind: c.kind, transport: note.failure, err: err}
	}
	return token, nil
}

// credentialError is a failure to get a token.
type credentialError struct {
	kind      string
	transport error // why the authority gave no answer, where it gave none
	err       error
}

// Error implements error.
func (e *credentialError) Error() string { return "identity " + e.kind + ": " + signIn(e.err.Error()) }

// Unwrap returns the identity library's error.
func (e *credentialError) Unwrap() error { return e.err }

// NonRetriable tells the SDK not to repeat a call that has no token.
func (*credentialError) NonRetriable() {}

// refused reports whether the authority, or the machine, has said no: asking
// again would not help. Otherwise the authority could not be asked.
func (e *credentialError) refused() bool {
	failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](e.err)
	if !ok {
		return true // nothing on this machine to sign in with
	}
	if failed.RawResponse == nil {
		return e.transport == nil
	}
	status := failed.RawResponse.StatusCode
	return status < http.StatusInternalServerError && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
}
