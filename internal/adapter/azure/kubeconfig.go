package azure

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// Kubeconfig returns the kubeconfig that the service issues to users of a
// cluster. It holds a client certificate, or names kubelogin where the cluster
// signs people in with Entra; then KubernetesToken serves instead. It is a
// secret.
func (p *Provider) Kubeconfig(ctx context.Context, cluster fleet.Cluster) ([]byte, error) {
	a := act{clusterName(cluster.ID, cluster.Name), "get user credentials"}
	t, err := p.cluster(cluster.ID, a)
	if err != nil {
		return nil, err
	}
	// Kubernetes clients no longer know the other format.
	got, err := t.clusters.ListClusterUserCredentials(ctx, t.group, t.name, &armcontainerservice.ManagedClustersClientListClusterUserCredentialsOptions{
		Format: ptr(armcontainerservice.FormatExec),
	})
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	for _, k := range got.Kubeconfigs {
		if k != nil && len(k.Value) > 0 {
			return k.Value, nil
		}
	}
	return nil, a.refuse(rollout.CodeFailed, "check that the cluster is running and the identity may list its user credentials", "the service returned no kubeconfig")
}

// kubernetesScope is the AKS server application of Entra; it is the same in all
// clouds.
const kubernetesScope = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"

// KubernetesToken returns a bearer token of the provider's identity for the API
// servers of clusters that sign people in with Entra, and when it ends. It does
// what kubelogin does.
func (p *Provider) KubernetesToken(ctx context.Context) (token string, expires time.Time, err error) {
	got, err := p.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{kubernetesScope}})
	if err != nil {
		return "", time.Time{}, act{"Kubernetes API", "get a token"}.failed(ctx, err)
	}
	return got.Token, got.ExpiresOn, nil
}
