package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/config/v1alpha1"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Read reads a Fleet file as it holds today: what has run out, such as an
// acceptance, is a problem. It returns the file's bytes as well, so that a
// rollout can keep them under the Spec's digest.
//
// The error is an *Error where the file could be read and something is wrong
// with it.
func Read(path string) (fleet.Spec, []byte, error) {
	data, err := contents(path)
	if err != nil {
		return fleet.Spec{}, nil, fmt.Errorf("read Fleet file: %w", err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return fleet.Spec{}, nil, fmt.Errorf("read Fleet file %s: %w", path, err)
	}
	spec, err := parse(path, filepath.Dir(absolute), data, time.Now())
	if err != nil {
		return fleet.Spec{}, nil, err
	}
	return spec, data, nil
}

// contents returns at most one byte more than a file may have.
func contents(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// Parse reads a Fleet file that was checked before, such as one that a rollout
// has kept: nothing in it runs out. name is what problems call the file; its
// folder is where relative paths in the file begin. The error is an *Error.
func Parse(name string, data []byte) (fleet.Spec, error) {
	return parse(name, filepath.Dir(name), data, time.Time{})
}

// ParseAt is Parse for a file as it holds at a moment: what has run out by then
// is a problem.
func ParseAt(name string, data []byte, now time.Time) (fleet.Spec, error) {
	return parse(name, filepath.Dir(name), data, now)
}

func parse(name, folder string, data []byte, now time.Time) (fleet.Spec, error) {
	r := &reader{
		file:   name,
		places: map[string]spot{},
		broken: map[string]bool{},
		below:  map[string]bool{},
		known:  belongings(reflect.TypeFor[v1alpha1.File](), "", map[string][]string{}),
	}
	root := r.parse(data)
	if root == nil {
		return fleet.Spec{}, &Error{sorted(r.problems)}
	}
	var file v1alpha1.File
	r.places[""] = spot{root.at, root}
	r.decode(root, reflect.ValueOf(&file).Elem(), "", rules{})
	if r.values > maxValues {
		r.problem(Problem{Line: 1, Column: 1, What: fmt.Sprintf("comes to more than %d values once its aliases are followed", maxValues), Remedy: "use fewer aliases"})
		return fleet.Spec{}, &Error{sorted(r.problems)}
	}
	if root.kind != mapping {
		return fleet.Spec{}, &Error{sorted(r.problems)}
	}
	if !r.ours(root) {
		return fleet.Spec{}, &Error{sorted(slices.DeleteFunc(r.problems, func(p Problem) bool { return p.Path != "apiVersion" && p.Path != "kind" }))}
	}
	c := &checker{reader: r, folder: folder, now: now}
	spec := c.fleet(&file)
	if len(r.problems) > 0 {
		return fleet.Spec{}, &Error{sorted(r.problems)}
	}
	digest := sha256.Sum256(data)
	spec.Digest = hex.EncodeToString(digest[:])
	return spec, nil
}

// ours reports whether a file means to be one of Liftlock's: of another's,
// there is no point in listing every key.
func (r *reader) ours(root *node) bool {
	for _, e := range root.entries {
		if e.key == "apiVersion" && e.value.kind == scalar {
			return strings.HasPrefix(e.value.text, "liftlock.dev/") || !strings.Contains(e.value.text, "/")
		}
	}
	return true
}
