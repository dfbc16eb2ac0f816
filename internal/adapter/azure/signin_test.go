package azure

import "testing"

func TestSignIn(t *testing.T) {
	ruler := "--------------------------------------------------------------------------------\n"
	for _, tc := range []struct{ name, message, want string }{
		{"one sentence", "WorkloadIdentityCredential: no client ID specified.", "WorkloadIdentityCredential: no client ID specified"},
		{
			"a chain",
			"DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:\n\tEnvironmentCredential: missing environment variable AZURE_TENANT_ID\n\t" +
				"ManagedIdentityCredential authentication failed.\nGET http://169.254.169.254/metadata/identity/oauth2/token\n" + ruler + "RESPONSE 403: 403 Forbidden\n" + ruler +
				"{\n  \"error\": \"a body\"\n}\n" + ruler + "To troubleshoot, visit https://aka.ms/azsdk/go/identity/troubleshoot#managed-id\n" +
				"\tAzureCLICredential: Azure CLI not found on path\n",
			"DefaultAzureCredential: failed to acquire a token; EnvironmentCredential: missing environment variable AZURE_TENANT_ID; " +
				"ManagedIdentityCredential authentication failed; GET http://169.254.169.254/metadata/identity/oauth2/token; the answer was 403: 403 Forbidden; " +
				"AzureCLICredential: Azure CLI not found on path",
		},
		{
			"a body without its end",
			"ClientSecretCredential authentication failed.\nPOST https://login/x\n" + ruler + "RESPONSE 401: 401 Unauthorized\n" + ruler + "  \"error_description\": \"AADSTS700016: no such application.\",\nmore",
			"ClientSecretCredential authentication failed; POST https://login/x; the answer was 401: 401 Unauthorized; AADSTS700016: no such application",
		},
		{"nothing", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := signIn(tc.message); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
