package azure

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// listing is one list to ask for: a resource group's clusters or, with no
// group, a subscription's. Both in lower case.
type listing struct{ subscription, group string }

func (l listing) String() string {
	if l.group == "" {
		return "subscription " + l.subscription
	}
	return "resource group " + l.group + " of subscription " + l.subscription
}

// Discover implements rollout.Provider. Clusters come in the order of their
// ids, each once. A subscription or group that is refused or does not exist is
// an error that names it: a fleet with a part missing is not a smaller fleet.
func (p *Provider) Discover(ctx context.Context, sources []fleet.Source) ([]fleet.Cluster, error) {
	for i, s := range sources {
		if strings.TrimSpace(s.Subscription) == "" {
			return nil, act{"sources", "discover clusters"}.refuse(rollout.CodeInvalid, "give the subscription's id", "source %d names no subscription", i+1)
		}
	}
	wanted := listings(sources)
	results := make([][]fleet.Cluster, len(wanted))
	failures := make([]error, len(wanted))
	var wait sync.WaitGroup
	slots := make(chan struct{}, p.listings)
	for i, l := range wanted {
		wait.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-ctx.Done():
				failures[i] = ctx.Err()
				return
			}
			results[i], failures[i] = p.list(ctx, l)
		})
	}
	wait.Wait()
	for _, err := range failures {
		if _, ok := errors.AsType[*credentialError](err); ok {
			return nil, err // without a token all lists fail alike: it is said once
		}
	}
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	found := map[string]fleet.Cluster{}
	for i := range wanted {
		for _, c := range results[i] {
			if slices.ContainsFunc(sources, func(s fleet.Source) bool { return belongs(&c, &s) }) {
				found[c.ID] = c
			}
		}
	}
	clusters := make([]fleet.Cluster, 0, len(found))
	for _, c := range found {
		clusters = append(clusters, c)
	}
	slices.SortFunc(clusters, func(a, b fleet.Cluster) int { return strings.Compare(a.ID, b.ID) })
	p.log.DebugContext(ctx, "clusters discovered", slog.Int("sources", len(sources)), slog.Int("listings", len(wanted)), slog.Int("clusters", len(clusters)))
	return clusters, nil
}

// listings returns the fewest lists that hold all clusters of the sources. A
// group that is named outright is listed by itself, since the identity may have
// rights on nothing else.
func listings(sources []fleet.Source) []listing {
	whole := map[string]bool{}
	for _, s := range sources {
		if len(s.ResourceGroups) == 0 || slices.ContainsFunc(s.ResourceGroups, isPattern) {
			whole[normal(s.Subscription)] = true
		}
	}
	var list []listing
	for _, s := range sources {
		subscription := normal(s.Subscription)
		if whole[subscription] {
			list = append(list, listing{subscription: subscription})
			continue
		}
		for _, group := range s.ResourceGroups {
			list = append(list, listing{subscription, normal(group)})
		}
	}
	slices.SortFunc(list, func(a, b listing) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(list)
}

func normal(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// belongs reports whether a source asks for a cluster.
func belongs(c *fleet.Cluster, s *fleet.Source) bool {
	if !strings.EqualFold(c.Subscription, normal(s.Subscription)) || !tagged(c.Tags, s.Tags) {
		return false
	}
	inGroup := len(s.ResourceGroups) == 0 || slices.ContainsFunc(s.ResourceGroups, func(g string) bool { return matches(strings.TrimSpace(g), c.ResourceGroup) })
	excluded := slices.ContainsFunc(s.Exclude, func(e string) bool { return matches(e, c.Name) })
	return inGroup && !excluded
}

func (p *Provider) list(ctx context.Context, l listing) ([]fleet.Cluster, error) {
	a := act{l.String(), "list clusters"}
	in, err := p.in(l.subscription)
	if err != nil {
		return nil, err
	}
	if l.group == "" {
		return pages(ctx, a, in.clusters.NewListPager(nil), func(r armcontainerservice.ManagedClustersClientListResponse) []*armcontainerservice.ManagedCluster {
			return r.Value
		})
	}
	return pages(ctx, a, in.clusters.NewListByResourceGroupPager(l.group, nil), func(r armcontainerservice.ManagedClustersClientListByResourceGroupResponse) []*armcontainerservice.ManagedCluster {
		return r.Value
	})
}

// maxPages ends a listing whose next links lead in a circle; AKS holds at most
// 5,000 clusters a subscription.
const maxPages = 10_000

func pages[T any](ctx context.Context, a act, pager *runtime.Pager[T], values func(T) []*armcontainerservice.ManagedCluster) ([]fleet.Cluster, error) {
	var clusters []fleet.Cluster
	for range maxPages {
		if !pager.More() {
			return clusters, nil
		}
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, a.failed(ctx, err)
		}
		for _, mc := range values(page) {
			c, err := clusterOf(mc)
			if err != nil {
				return nil, a.refuse(rollout.CodeFailed, "report it: the service answered with something unexpected", "%v", err)
			}
			clusters = append(clusters, c)
		}
	}
	return nil, a.refuse(rollout.CodeFailed, "report it: the service answered with something unexpected", "the list has no end after %d pages", maxPages)
}
