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

// SnapshotPool implements rollout.Provider. A snapshot of that name serves again
// if it holds the pool's node image, whichever pool it was taken of; one that
// holds another image is refused with CodeInvalid.
func (p *Provider) SnapshotPool(ctx context.Context, cluster fleet.Cluster, pool fleet.Pool, name string) (string, error) {
	a := actOnPool(cluster, pool.Name, "keep its node image as snapshot "+name)
	t, err := p.cluster(cluster.ID, a)
	if err != nil {
		return "", err
	}
	there, err := t.snapshots.Get(ctx, t.group, name, nil)
	switch {
	case err == nil:
		return snapshotOf(a, &there.Snapshot, pool.Image)
	case !gone(err):
		return "", a.failed(ctx, err)
	}
	made, err := t.snapshots.CreateOrUpdate(ctx, t.group, name, armcontainerservice.Snapshot{
		Location: &cluster.Location,
		Properties: &armcontainerservice.SnapshotProperties{
			CreationData: creationData(cluster.ID + "/agentPools/" + pool.Name),
			SnapshotType: new(armcontainerservice.SnapshotTypeNodePool),
		},
	}, nil)
	if err != nil {
		return "", a.failed(ctx, err)
	}
	id, err := snapshotOf(a, &made.Snapshot, pool.Image)
	if rollout.CodeOf(err) == rollout.CodeInvalid {
		// The pool was given another image since the caller saw it; what was made
		// just now must not take the name of what was meant.
		if _, err := t.snapshots.Delete(ctx, t.group, name, nil); err != nil && !gone(err) {
			return "", a.failed(ctx, err)
		}
		return "", a.refuse(rollout.CodeChanged, "it will be looked at again", "its node image has changed")
	}
	return id, err
}

func snapshotOf(a act, s *armcontainerservice.Snapshot, image string) (string, error) {
	if s.ID == nil || s.Properties == nil {
		return "", a.refuse(rollout.CodeFailed, "report it: the service answered with something unexpected", "a snapshot without id or properties")
	}
	if holds := text(s.Properties.NodeImageVersion); image != "" && holds != "" && !strings.EqualFold(holds, image) {
		return "", a.refuse(rollout.CodeInvalid, "choose another name, or delete that snapshot", "the snapshot of that name holds node image %s, not %s", holds, image)
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
