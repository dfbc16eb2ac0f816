package manifest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Skipped is what was not read: a file, or the part of it that begins at a line.
type Skipped struct {
	File string
	Line int // 0 for all of it
	Why  string
}

// String is "deploy/web.yaml:12: why".
func (s Skipped) String() string {
	if s.Line == 0 {
		return s.File + ": " + s.Why
	}
	return fmt.Sprintf("%s:%d: %s", s.File, s.Line, s.Why)
}

// maxFile bounds how much of one file is read, and how much one packed chart may
// come to.
const maxFile = 64 << 20

// Read reads a file, or all manifests and charts below a folder. The error is for
// what cannot be looked at at all; the rest of what was not read is Skipped.
func Read(ctx context.Context, path string) ([]fleet.Object, []Skipped, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read manifests: %w", err)
	}
	var w walk
	if info.IsDir() {
		w.folder(ctx, path)
	} else {
		w.files = []string{path}
	}
	found := readAll(ctx, w.files, w.skipped)
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("read manifests in %s: %w", path, err)
	}
	objects, skipped := found.finish()
	return objects, skipped, nil
}

// ReadStream reads manifests from a stream, such as the standard input. name is
// what it is called in places.
func ReadStream(ctx context.Context, in io.Reader, name string) ([]fleet.Object, []Skipped, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read manifests from %s: %w", name, err)
	}
	objects, skipped := readText(name, text)
	return objects, skipped, nil
}

// Text reads manifests from a text that is at hand, such as the one that Helm
// stored. unread says, a line each, what was not read.
func Text(name string, text []byte) (objects []fleet.Object, unread []string) {
	objects, skipped := readText(name, text)
	for _, s := range skipped {
		unread = append(unread, s.String())
	}
	return objects, unread
}

func readText(name string, text []byte) ([]fleet.Object, []Skipped) {
	var found findings
	found.text(name, text)
	return found.finish()
}

// readAll reads files side by side. Their order decides nothing.
func readAll(ctx context.Context, files []string, skipped []Skipped) *findings {
	workers := min(max(2, runtime.GOMAXPROCS(0)), 8)
	each := make([]findings, workers)
	work := make(chan string)
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			for file := range work {
				each[i].file(file)
			}
		})
	}
	for _, file := range files {
		if ctx.Err() != nil {
			break
		}
		work <- file
	}
	close(work)
	group.Wait()
	all := &findings{skipped: skipped}
	for i := range each {
		all.documents = append(all.documents, each[i].documents...)
		all.defines = append(all.defines, each[i].defines...)
		all.skipped = append(all.skipped, each[i].skipped...)
	}
	return all
}

// findings is what was found so far.
type findings struct {
	documents []document
	defines   []define
	skipped   []Skipped
	scratch   []line // of the file before: most of what reading would allocate
}

func (f *findings) skip(file string, line int, why string, about ...any) {
	f.skipped = append(f.skipped, Skipped{file, line, fmt.Sprintf(why, about...)})
}

// finish makes objects of the documents, once all templates that they may include
// are known.
func (f *findings) finish() ([]fleet.Object, []Skipped) {
	library := newLibrary(f.defines)
	var objects []fleet.Object
	for i := range f.documents {
		d := &f.documents[i]
		more, why := d.objects(library)
		if why != "" {
			f.skip(d.file, d.line, "%s", why)
		}
		objects = append(objects, more...)
	}
	slices.SortStableFunc(objects, func(a, b fleet.Object) int { return comparePlaces(a.Where, b.Where) })
	slices.SortStableFunc(f.skipped, func(a, b Skipped) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	return objects, f.skipped
}

// comparePlaces orders places by file, and by line as numbers.
func comparePlaces(a, b string) int {
	fileA, lineA := splitPlace(a)
	fileB, lineB := splitPlace(b)
	return cmp.Or(cmp.Compare(fileA, fileB), cmp.Compare(lineA, lineB))
}

// file reads one file.
func (f *findings) file(path string) {
	name := filepath.ToSlash(path)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		f.skip(name, 0, "cannot be read: %s", cause(err))
		return
	case !info.Mode().IsRegular():
		f.skip(name, 0, "is no regular file")
		return
	case info.Size() > maxFile && !isPacked(path):
		f.skip(name, 0, tooLarge, info.Size()>>20, maxFile>>20)
		return
	}
	if isPacked(path) {
		f.packed(path, name)
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		f.skip(name, 0, "cannot be read: %s", cause(err))
		return
	}
	f.text(name, text)
}
