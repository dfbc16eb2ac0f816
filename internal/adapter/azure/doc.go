// Package azure is the rollout's provider for Azure Kubernetes Service: it
// finds clusters, reads them and what is offered to them, starts the
// long-running operations that change them, and polls those. It speaks to Azure
// Resource Manager through the Azure SDK alone, in any cloud.
//
// It translates and decides nothing. Every change reads the object first,
// writes the whole of it back under its ETag, and is left out where the object
// is already as wished or on its way there. What the service answers is turned
// into a rollout.ProviderError with a code, the service's own words and what to
// do next. Signed URLs, tokens and request bodies reach neither logs nor errors.
//
// How API servers are reached and what their nodes say is left to other
// packages; this one only hands out the kubeconfig that the service issues.
package azure
