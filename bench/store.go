package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"liftlock.dev/liftlock/internal/adapter/sqlite"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// store measures durable journal writes: each is on the disk when it returns.
func store(ctx context.Context) (_ []figure, err error) {
	dir, err := os.MkdirTemp("", "liftlock-bench-")
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file, err := sqlite.Open(ctx, filepath.Join(dir, "liftlock.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	const writes = 300
	began := time.Now()
	for i := range writes {
		entry := fleet.JournalEntry{At: time.Now(), Rollout: "bench", Actor: "liftlock", Action: "evict", Object: fmt.Sprint(i)}
		if err := file.Write(ctx, entry); err != nil {
			return nil, err
		}
	}
	return []figure{atLeast("durable journal writes per second", writes/time.Since(began).Seconds(), 50, nil)}, nil
}
