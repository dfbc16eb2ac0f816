package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lockName is the file in the state folder that the running engine locks.
const lockName = "engine.lock"

// errHeld is what lockFile returns when another open file holds the lock.
var errHeld = errors.New("lock is held")

// LockedError says that another process, or this one, already runs the engine
// of a folder.
type LockedError struct {
	// Dir is the state folder.
	Dir string
	// PID is the process that holds it, 0 if it could not be read.
	PID int
}

// Error names the holder and the two ways on.
func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("start engine: %s already runs the engine in %s; control that one instead, or stop it first, or use another state folder", holder, e.Dir)
}

// dirLock is the right to run the engine of a folder. The kernel takes it away
// when the process ends, however it ends, so it is never left behind.
type dirLock struct {
	file *os.File
}

// acquireLock takes the lock of dir without waiting, or returns a LockedError.
func acquireLock(dir string) (*dirLock, error) {
	path := filepath.Join(dir, lockName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start engine: open lock %s: %w", path, err)
	}
	if err := lockFile(file); err != nil {
		defer func() { _ = file.Close() }()
		if errors.Is(err, errHeld) {
			return nil, &LockedError{Dir: dir, PID: readPID(file)}
		}
		return nil, fmt.Errorf("start engine: lock %s: %w", path, err)
	}
	lock := &dirLock{file: file}
	if err := lock.writePID(os.Getpid()); err != nil {
		return nil, errors.Join(fmt.Errorf("start engine: write lock %s: %w", path, err), lock.release())
	}
	return lock, nil
}

// writePID replaces the content of the lock file; a shorter number must not
// leave digits of a longer one behind.
func (l *dirLock) writePID(pid int) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(pid)+"\n"), 0)
	return err
}

// release gives the lock up. The file stays: removing it would let a third
// process lock a new file while a second one still waits for the old.
func (l *dirLock) release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release lock %s: %w", l.file.Name(), err)
	}
	return nil
}

// readPID returns the process id in a lock file, or 0.
func readPID(file *os.File) int {
	content, err := io.ReadAll(io.NewSectionReader(file, 0, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return pid
}
