package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/durable"
	"liftlock.dev/liftlock/internal/rollout"
)

// claimName is the file in the state folder that tells what runs the rollouts
// in it: an engine of its own holds its lock alone, workers of an outside
// Temporal cluster share it. Both at once would take every step twice.
const claimName = "workers.lock"

// claim is a lock that the kernel takes away when the process ends, however it
// ends.
type claim struct{ file *os.File }

// Close gives the claim up.
func (c *claim) Close() error { return c.file.Close() }

// claimFor takes a state folder for an engine of its own, or for a worker of an
// outside Temporal cluster. A folder that is used in the other way is a
// *cli.LockedError.
func claimFor(dir, temporal string) (_ *claim, err error) {
	path := filepath.Join(dir, claimName)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if temporal != "" {
		switch held, err := lock(file, syscall.LOCK_SH); {
		case err != nil:
			return nil, fmt.Errorf("lock %s: %w", path, err)
		case held:
			return nil, &cli.LockedError{Dir: dir, Err: fmt.Errorf("an engine of its own runs the rollouts in %s; stop it before the work goes to Temporal at %s", dir, temporal)}
		}
		return &claim{file}, nil
	}
	held, err := lock(file, syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !held {
		return &claim{file}, nil
	}
	if held, err = lock(file, syscall.LOCK_SH); err == nil && !held {
		return nil, &cli.LockedError{Dir: dir, Err: fmt.Errorf("workers of a Temporal cluster run the rollouts in %s; use the same --temporal, or stop them first", dir)}
	}
	// Another engine of its own holds it; it is named when the engine is started.
	return &claim{file}, nil
}

// lock takes a lock without waiting; held reports that others prevent it.
func lock(file *os.File, kind int) (held bool, err error) {
	err = syscall.Flock(int(file.Fd()), kind|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// identityOf is how workers on the store of a holder sign their polls.
func identityOf(holder string) string { return fmt.Sprintf("%s/%d", holder, os.Getpid()) }

// sameStore refuses to take part beside workers that keep ledger, journal and
// Fleet files elsewhere: each would be handed work that it knows nothing of.
func sameStore(ctx context.Context, conn client.Client, t cli.Temporal, holder string) error {
	queue, err := conn.DescribeTaskQueue(ctx, durable.TaskQueue, enums.TASK_QUEUE_TYPE_ACTIVITY)
	if err != nil {
		return fmt.Errorf("temporal at %s, namespace %s: ask who takes part: %w", t.Address, t.Namespace, err)
	}
	for _, poller := range queue.GetPollers() {
		if other, _, ours := strings.Cut(poller.GetIdentity(), "/"); ours && other != holder {
			return &rollout.RefusedError{What: fmt.Sprintf("worker %s, last seen %s, takes part in namespace %s of Temporal at %s with another state folder; ledger, journal and Fleet files are in that folder, so all workers need the same one (on one host), or a namespace of their own",
				poller.GetIdentity(), poller.GetLastAccessTime().AsTime().Format("15:04:05"), t.Namespace, t.Address)}
		}
	}
	return nil
}
