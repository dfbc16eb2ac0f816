package azure

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v9"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// SnapshotPool implements rollout.Provider. A snapshot of that name that was
// taken of another pool is refused with CodeInvalid.
func (p *Provider) SnapshotPool(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, name string) (string, error) {
	a := actOnPool(cluster, pool.Name, "keep its node image as snapshot "+name)
	t, err := p.cluster(cluster.ID, a)
	if err != nil {
		return "", err
	}
	source := cluster.ID + "/agentPools/" + pool.Name
	there, err := t.snapshots.Get(ctx, t.group, name, nil)
	switch {
	case err == nil:
		return snapshotOf(a, &there.Snapshot, source)
	case !gone(err):
		return "", a.failed(ctx, err)
	}
	made, err := t.snapshots.CreateOrUpdate(ctx, t.group, name, armcontainerservice.Snapshot{
		Location: &cluster.Location,
		Properties: &armcontainerservice.SnapshotProperties{
			CreationData: creationData(source),
			SnapshotType: ptr(armcontainerservice.SnapshotTypeNodePool),
		},
	}, nil)
	if err != nil {
		return "", a.failed(ctx, err)
	}
	return snapshotOf(a, &made.Snapshot, source)
}

func snapshotOf(a act, s *armcontainerservice.Snapshot, source string) (string, error) {
	if s.ID == nil || s.Properties == nil {
		return "", a.refuse(rollout.CodeFailed, "report it: the service answered with something unexpected", "a snapshot without id or properties")
	}
	if of := s.Properties.CreationData; of != nil && !strings.EqualFold(text(of.SourceResourceID), source) {
		return "", a.refuse(rollout.CodeInvalid, "choose another name, or delete that snapshot", "a snapshot of that name exists, taken of %s", text(of.SourceResourceID))
	}
	return strings.ToLower(*s.ID), nil
}

// SnapshotImage implements rollout.Provider.
func (p *Provider) SnapshotImage(ctx context.Context, id string) (image string, createdAt time.Time, err error) {
	a := act{"snapshot " + id[strings.LastIndex(id, "/")+1:], "read"}
	t, err := p.target(id, snapshotType, a)
	if err != nil {
		return "", time.Time{}, err
	}
	got, err := t.snapshots.Get(ctx, t.group, t.name, nil)
	if err != nil {
		return "", time.Time{}, a.failed(ctx, err)
	}
	if got.Properties == nil || text(got.Properties.NodeImageVersion) == "" {
		return "", time.Time{}, fmt.Errorf("%s: the service does not say which node image it holds", a.object)
	}
	if got.SystemData != nil && got.SystemData.CreatedAt != nil {
		createdAt = got.SystemData.CreatedAt.UTC()
	}
	return *got.Properties.NodeImageVersion, createdAt, nil
}
