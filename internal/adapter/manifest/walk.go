package manifest

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// walk finds the files below a folder that may hold manifests. Links are
// followed, and whatever they lead to is read once.
type walk struct {
	files   []string
	skipped []Skipped
	seen    map[string]bool // real paths
}

// Folders that are not looked into: history without manifests, and what others
// wrote and nobody applies.
var (
	history = []string{".git", ".hg", ".svn"}
	foreign = []string{"vendor", "node_modules", ".terraform"}
)

// programs make manifests and are none.
var programs = map[string]string{
	".jsonnet": "Jsonnet", ".libsonnet": "Jsonnet", ".cue": "CUE", ".dhall": "Dhall", ".k": "KCL", ".pkl": "Pkl",
}

// folder looks through a folder.
func (w *walk) folder(ctx context.Context, path string) {
	actual := realPath(path)
	if ctx.Err() != nil || w.again(actual) {
		return
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		w.skip(path, "cannot be read: "+cause(err))
	}
	for _, e := range entries {
		inner, at := filepath.Join(path, e.Name()), filepath.Join(actual, e.Name())
		mode := e.Type()
		if mode&fs.ModeSymlink != 0 {
			info, err := os.Stat(inner)
			if err != nil {
				w.skip(inner, "is a link that leads nowhere: "+cause(err))
				continue
			}
			mode, at = info.Mode().Type(), realPath(inner)
		}
		switch {
		case mode.IsDir():
			w.inner(ctx, inner, e.Name())
		case programs[filepath.Ext(inner)] != "":
			w.skip(inner, "is a program in "+programs[filepath.Ext(inner)]+"; render it, and check what comes of it")
		case mayHold(inner) && !w.again(at):
			w.files = append(w.files, inner)
		}
	}
}

// inner looks through a folder in another.
func (w *walk) inner(ctx context.Context, path, name string) {
	switch {
	case slices.Contains(history, name):
	case slices.Contains(foreign, name):
		w.skip(path, "was not looked into: others wrote it; check it by its own path if it is applied")
	default:
		w.folder(ctx, path)
	}
}

// again reports whether something was seen before, by whatever path.
func (w *walk) again(actual string) bool {
	if w.seen[actual] {
		return true
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[actual] = true
	return false
}

func (w *walk) skip(path, why string) {
	w.skipped = append(w.skipped, Skipped{File: filepath.ToSlash(path), Why: why})
}

// realPath is a path without links, or as it is where that cannot be found out.
func realPath(path string) string {
	actual, err := filepath.EvalSymlinks(path)
	if err == nil {
		actual, err = filepath.Abs(actual)
	}
	if err != nil {
		return path
	}
	return actual
}
