package azure

import (
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"

	"liftlock.dev/liftlock/internal/rollout"
)

// Resource types of the service, compared without regard to case: AKS spells
// its own ids in several ways.
const (
	clusterType  = "Microsoft.ContainerService/managedClusters"
	snapshotType = "Microsoft.ContainerService/snapshots"
)

// resource names an object of the service within its subscription.
type resource struct{ subscription, group, name string }

// parseID reads the resource id of an object of the given type.
func parseID(id, resourceType string) (resource, error) {
	parsed, err := arm.ParseResourceID(id)
	if err != nil {
		return resource{}, fmt.Errorf("resource id %q: %w", id, err)
	}
	if !strings.EqualFold(parsed.ResourceType.String(), resourceType) || parsed.SubscriptionID == "" || parsed.ResourceGroupName == "" || parsed.Name == "" {
		return resource{}, fmt.Errorf("resource id %q: want one of type %s", id, resourceType)
	}
	return resource{parsed.SubscriptionID, parsed.ResourceGroupName, parsed.Name}, nil
}

// target is a parsed id with the clients of its subscription.
type target struct {
	resource
	*subscription
}

// cluster finds the clients for a cluster's id; a malformed id is refused.
func (p *Provider) cluster(id string, a act) (target, error) { return p.target(id, clusterType, a) }

func (p *Provider) target(id, resourceType string, a act) (target, error) {
	r, err := parseID(id, resourceType)
	if err != nil {
		return target{}, a.refuse(rollout.CodeInvalid, "this is no id of Azure Kubernetes Service", "%v", err)
	}
	s, err := p.in(r.subscription)
	if err != nil {
		return target{}, fmt.Errorf("%s: %s: %w", a.object, a.doing, err)
	}
	return target{r, s}, nil
}

func clusterName(id, name string) string {
	if name == "" {
		name = id[strings.LastIndex(id, "/")+1:]
	}
	return "cluster " + name
}

func poolName(pool, cluster string) string { return "pool " + pool + " of " + cluster }
