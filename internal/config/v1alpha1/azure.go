package v1alpha1

// Azure says which cloud to talk to, and as whom.
type Azure struct {
	// The cloud: Public, Government, China, or a Custom one with its endpoints.
	Cloud Cloud `json:"cloud,omitzero"`
	// The identity to act as. Secrets are never in this file.
	Identity Identity `json:"identity,omitzero"`
}

// Cloud names an Azure cloud. Its name alone may be written instead of the
// whole: `cloud: Government`.
type Cloud struct {
	// The cloud. Custom is one of your own (Azure Stack Hub, a simulator) and
	// needs its endpoints.
	Name string `json:"name,omitempty" jsonschema:"enum=Public,enum=Government,enum=China,enum=Custom,default=Public"`
	// The Azure Resource Manager of a Custom cloud: https://management.example.
	ResourceManager string `json:"resourceManager,omitempty" jsonschema:"pattern=^https://"`
	// The audience of tokens for a Custom cloud's Resource Manager; its address
	// if not given.
	Audience string `json:"audience,omitempty"`
	// Where a Custom cloud's identities sign in: https://login.example.
	ActiveDirectory string `json:"activeDirectory,omitempty" jsonschema:"pattern=^https://"`
	// A file with the certificates (PEM) of further authorities to trust.
	// Relative paths begin at this file's folder.
	CAFile string `json:"caFile,omitempty"`
	// Whether the sign-in authority is checked against Microsoft's list. Set it
	// to false for a cloud that cannot reach the public one.
	InstanceDiscovery bool `json:"instanceDiscovery,omitempty" jsonschema:"default=true"`
}

// SetShorthand reads a cloud that is written as its name alone.
func (c *Cloud) SetShorthand(name string) { c.Name = name }

// Identity says which Azure identity to act as.
type Identity struct {
	// `Default` tries the environment, workload identity, managed identity and
	// the Azure CLI in turn; the others use just what they name.
	Kind string `json:"kind,omitempty" jsonschema:"enum=Default,enum=WorkloadIdentity,enum=ManagedIdentity,enum=CLI,enum=Certificate,enum=Secret,default=Default"`
	// The Microsoft Entra tenant, as its id or domain.
	TenantID string `json:"tenantID,omitempty"`
	// The client id of the application or of a user-assigned managed identity.
	ClientID string `json:"clientID,omitempty"`
	// For WorkloadIdentity: the file with the service account's token.
	// AZURE_FEDERATED_TOKEN_FILE names it if not given.
	TokenFile string `json:"tokenFile,omitempty"`
	// For Certificate: the file with certificate and private key (PEM or PKCS 12).
	CertificateFile string `json:"certificateFile,omitempty"`
	// For Secret: the file that holds the client secret and nothing else.
	SecretFile string `json:"secretFile,omitempty"`
}

// Access says how the API servers of the clusters are reached. A cluster is
// always named, and what answers is checked to be that cluster.
type Access struct {
	// `ARM` asks Azure for a cluster's user credentials; `Kubeconfig` takes
	// contexts of a file.
	Kind string `json:"kind,omitempty" jsonschema:"enum=ARM,enum=Kubeconfig,default=ARM"`
	// For Kubeconfig: the kubeconfig file. Relative paths begin at this file's folder.
	File string `json:"file,omitempty"`
	// For Kubeconfig: the context of every cluster, by cluster name. The
	// current context is never used.
	Contexts map[string]string `json:"contexts,omitempty"`
}

// Source is a place where clusters are looked for. All that it gives must match.
type Source struct {
	// The id of an Azure subscription.
	Subscription string `json:"subscription" jsonschema:"required,example=00000000-0000-0000-0000-000000000000,pattern=^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"`
	// The resource groups to look in, as patterns: rg-aks-*. All if not given.
	ResourceGroups []string `json:"resourceGroups,omitempty" jsonschema:"minItems=1,uniqueItems=true"`
	// Tags that a cluster must have. Values are patterns.
	Tags map[string]string `json:"tags,omitempty" jsonschema:"example={env: prod}"`
	// Clusters to leave out, as patterns of their names.
	Exclude []string `json:"exclude,omitempty" jsonschema:"uniqueItems=true"`
}
