package azure

import (
	"context"
	"path"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"
	"k8s.io/client-go/tools/clientcmd"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// Kubeconfig returns the kubeconfig that the service issues to users of a
// cluster. Where the cluster signs people in with Entra and the kubeconfig names
// kubelogin, a token of the provider's identity stands in its place; ask again
// when the API server no longer takes it. It is a secret.
func (p *Provider) Kubeconfig(ctx context.Context, cluster fleet.Cluster) ([]byte, error) {
	a := act{clusterName(cluster.ID, cluster.Name), "get user credentials"}
	t, err := p.cluster(cluster.ID, a)
	if err != nil {
		return nil, err
	}
	// Kubernetes clients no longer know the other format.
	got, err := t.clusters.ListClusterUserCredentials(ctx, t.group, t.name, &armcontainerservice.ManagedClustersClientListClusterUserCredentialsOptions{
		Format: new(armcontainerservice.FormatExec),
	})
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	for _, k := range got.Kubeconfigs {
		if k != nil && len(k.Value) > 0 {
			return p.signedIn(ctx, a, k.Value)
		}
	}
	return nil, a.refuse(rollout.CodeFailed, "check that the cluster is running and the identity may list its user credentials", "the service returned no kubeconfig")
}

// signedIn replaces kubelogin in a kubeconfig by a token. Others are returned
// as they are.
func (p *Provider) signedIn(ctx context.Context, a act, kubeconfig []byte) ([]byte, error) {
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		// The parser quotes what it read, which holds secrets.
		return nil, a.refuse(rollout.CodeFailed, "report it: the service answered with something unexpected", "what the service returned is no kubeconfig")
	}
	changed := false
	for _, user := range config.AuthInfos {
		if user == nil || user.Exec == nil || strings.TrimSuffix(path.Base(strings.ReplaceAll(user.Exec.Command, `\`, "/")), ".exe") != "kubelogin" {
			continue
		}
		token, err := p.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{serverScope(user.Exec.Args)}})
		if err != nil {
			return nil, a.failed(ctx, err)
		}
		user.Exec, user.Token = nil, token.Token
		changed = true
	}
	if !changed {
		return kubeconfig, nil
	}
	written, err := clientcmd.Write(*config)
	if err != nil {
		return nil, a.refuse(rollout.CodeFailed, "report it", "the kubeconfig cannot be written")
	}
	return written, nil
}

// kubernetesServer is the AKS server application of Entra; it is the same in all
// clouds.
const kubernetesServer = "6dae42f8-4368-4678-94ff-3960e28e3630"

// serverScope is the scope of the application that a kubelogin command line
// names: clusters of the first Entra integration have one of their own.
func serverScope(args []string) string {
	server := kubernetesServer
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--server-id="); ok {
			server = value
		} else if arg == "--server-id" && i+1 < len(args) {
			server = args[i+1]
		}
	}
	return server + "/.default"
}
