package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"
)

const (
	// DefaultNamespace is the Temporal namespace that Start creates.
	DefaultNamespace = "liftlock"

	// DefaultRetention is how long the history of a finished workflow is kept.
	// The server's own default is a day, which an auditor would find empty.
	DefaultRetention = 90 * 24 * time.Hour

	// minRetention is the shortest retention that the server accepts.
	minRetention = 24 * time.Hour
)

// Options says where the engine keeps its state and how it reports.
// Only Dir is required.
type Options struct {
	// Dir is the state folder. It is created if missing and must be on a local
	// file system.
	Dir string

	// Logger receives the server's warnings and errors. Nil discards them.
	Logger *slog.Logger

	// Namespace is created if missing. Empty means DefaultNamespace.
	Namespace string

	// Retention is how long the histories of finished workflows are kept, at
	// least a day. It is set when the namespace is created and not changed
	// afterwards. Zero means DefaultRetention.
	Retention time.Duration
}

// complete returns the options with defaults applied and the folder absolute.
func (o Options) complete() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("start engine: no state folder given")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("start engine: state folder %s: %w", o.Dir, err)
	}
	// The store's path becomes part of a SQLite URI without being escaped.
	if strings.ContainsAny(dir, "?#%") {
		return o, fmt.Errorf("start engine: state folder %s: its path must not contain '?', '#' or '%%'; choose another folder", dir)
	}
	o.Dir = dir
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	if o.Retention < minRetention {
		return o, fmt.Errorf("start engine: retention %s is shorter than the %s that the server accepts", o.Retention, minRetention)
	}
	return o, nil
}
