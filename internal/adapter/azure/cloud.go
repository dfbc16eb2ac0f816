package azure

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

const customCloud = "Custom"

// cloudConfiguration turns a Fleet file's cloud into the SDK's. What the file
// gives replaces the named cloud's own, so that a private endpoint of a public
// cloud needs no Custom one.
func cloudConfiguration(c fleet.Cloud) (cloud.Configuration, error) {
	var base cloud.Configuration
	switch strings.ToLower(c.Name) {
	case "", "public":
		base = cloud.AzurePublic
	case "government":
		base = cloud.AzureGovernment
	case "china":
		base = cloud.AzureChina
	case strings.ToLower(customCloud):
		if c.ResourceManager == "" || c.ActiveDirectory == "" {
			return base, fmt.Errorf("cloud %s: resourceManager and activeDirectory must both be given (got %q and %q)", customCloud, c.ResourceManager, c.ActiveDirectory)
		}
	default:
		return base, fmt.Errorf("cloud name %q: want Public, Government, China or %s", c.Name, customCloud)
	}
	for name, address := range map[string]string{"resourceManager": c.ResourceManager, "activeDirectory": c.ActiveDirectory} {
		if address == "" {
			continue
		}
		// The SDK refuses to send a token in the clear; say so before the first call does.
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" {
			return base, fmt.Errorf("cloud %s: want an https:// address (got %q)", name, address)
		}
	}
	service := base.Services[cloud.ResourceManager]
	if c.ResourceManager != "" {
		service.Endpoint = strings.TrimRight(c.ResourceManager, "/")
		if service.Audience == "" {
			service.Audience = service.Endpoint
		}
	}
	if c.Audience != "" {
		service.Audience = c.Audience
	}
	authority := base.ActiveDirectoryAuthorityHost
	if c.ActiveDirectory != "" {
		authority = strings.TrimRight(c.ActiveDirectory, "/") + "/"
	}
	return cloud.Configuration{
		ActiveDirectoryAuthorityHost: authority,
		Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: service},
	}, nil
}

// skipInstanceDiscovery reports whether the authority is taken as it is. A
// custom one is not known to Microsoft's directory of authorities.
func skipInstanceDiscovery(c fleet.Cloud) bool {
	return strings.EqualFold(c.Name, customCloud) && !c.InstanceDiscovery
}
