package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"liftlock.dev/liftlock/internal/adapter/sqlite"
	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/rollout"
	"liftlock.dev/liftlock/internal/server"
)

// storeName is the file in the state folder that holds records, ledger and journal.
const storeName = "liftlock.db"

// state is an open state folder.
type state struct {
	dir  string
	file *sqlite.File
}

var _ cli.State = (*state)(nil)

// OpenState opens a state folder that an engine has made.
func (h *Host) OpenState(ctx context.Context, dir string) (cli.State, error) {
	if err := begun(dir); err != nil {
		return nil, err
	}
	return openState(ctx, dir)
}

// begun says that a folder has no store, if so: nothing was ever begun there.
func begun(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, storeName)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w has been started with the state folder %s; start one with: liftlock run FLEET_FILE", rollout.ErrNoRollout, dir)
	}
	return nil
}

// openState opens a state folder, making it where it is missing.

func openState(ctx context.Context, dir string) (*state, error) {
	file, err := sqlite.Open(ctx, filepath.Join(dir, storeName))
	if err != nil {
		return nil, err
	}
	return &state{dir: dir, file: file}, nil
}

// Store returns the records.
func (s *state) Store() rollout.Store { return s.file }

// Ledger returns the ledger.
func (s *state) Ledger() rollout.Ledger { return s.file }

// Journal returns the journal.
func (s *state) Journal() rollout.Journal { return s.file }

// Snapshot copies the store to a file while others use it.
func (s *state) Snapshot(ctx context.Context, path string) error { return s.file.Snapshot(ctx, path) }

// Close closes the folder.
func (s *state) Close() error { return s.file.Close() }

// Send hands a person's request to the engine that runs on this folder, or
// carries it out on the folder itself where none does.
func (s *state) Send(ctx context.Context, request rollout.Request) (rollout.Answer, error) {
	answer, err := server.Send(ctx, server.SocketPath(s.dir), request)
	if !errors.Is(err, server.ErrNobody) {
		return answer, err
	}
	return s.control().Do(ctx, request)
}

func (s *state) control() *rollout.Control {
	return &rollout.Control{Store: s.file, Journal: s.file, Clock: time.Now}
}
