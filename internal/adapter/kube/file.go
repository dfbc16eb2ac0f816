package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// ReadFile reads a snapshot of a cluster from what kubectl get -o json printed:
// a List of objects of any kinds. What it makes of them is what Snapshot makes
// of the same objects on an API server. A fleet.Snapshot in JSON is read, too.
//
// The snapshot is taken to be of the time at, or where that is zero, of the
// newest time in the file. What makes the file unusable is a *FileError that
// holds every problem. What can be read, but not as it should be, or does not
// seem to be whole, is a finding.
//
// A file is not an API server: what is not in it may exist all the same. So a pod
// whose controller is not in the file is not taken as one without; its workload
// is then one that the snapshot does not hold.
func ReadFile(ctx context.Context, in io.Reader, file string, at time.Time) (fleet.Snapshot, []fleet.Finding, error) {
	f := newFileReader(in)
	if err := f.read(ctx, file); err != nil {
		return fleet.Snapshot{}, nil, err
	}
	s, findings := f.snapshot(at)
	return s, findings, nil
}

func newFileReader(in io.Reader) *fileReader {
	return &fileReader{text: newText(in), seen: map[string]sighting{}, ignored: map[string]int{}, counts: map[string]int{}}
}

// read reads the whole file, or says all that makes it unusable.
func (f *fileReader) read(ctx context.Context, file string) error {
	f.run(ctx)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(f.problems) == 0 && f.own == nil {
		f.whole()
	}
	if len(f.problems) > 0 {
		slices.SortStableFunc(f.problems, func(a, b Problem) int { return cmp.Compare(a.Offset, b.Offset) })
		return &FileError{File: file, Problems: f.problems}
	}
	return nil
}

// snapshot joins what was read, and says what it seems to lack.
func (f *fileReader) snapshot(at time.Time) (fleet.Snapshot, []fleet.Finding) {
	if f.own != nil {
		if !at.IsZero() {
			f.own.TakenAt = at.UTC()
		}
		return *f.own, nil
	}
	f.all.at = cmp.Or(at, f.all.newest).UTC()
	f.all.partial = true
	f.adopt()
	if f.repeated {
		f.once()
	}
	s := assemble(&f.all.gathered)
	return s, slices.Concat(f.all.findings, f.missing(), ownerless(&s))
}

// fileReader reads one file. Its text is split by one goroutine and decoded by
// others, a batch of objects at a time.
type fileReader struct {
	text     *text
	all      harvest
	own      *fleet.Snapshot
	problems []Problem
	seen     map[string]sighting // by kind and name
	ignored  map[string]int      // objects of kinds that are not needed
	counts   map[string]int      // objects by kind
	repeated bool                // an object was there twice, and alike
	// facts: what checks need beyond a snapshot is kept, too, and no kind must be
	// there.
	facts bool
}

// sighting is where an object was seen first.
type sighting struct {
	path, uid, version string
}

// batch is a part of a file's objects.
type batch struct {
	raw   []byte
	items []span
	kind  [2]string
	facts bool
	out   chan yield
}

// span is where an object is in its batch, and in the file.
type span struct {
	from, to int
	at       place
	path     string
}

// yield is what came of a batch.
type yield struct {
	harvest
	taken    []taken
	problems []Problem
}

// taken is an object that was taken in.
type taken struct {
	kind, object, uid, version, path string
	at                               place
	ignored                          bool
}

// batchSize is about how much text is decoded at once.
const batchSize = 1 << 20

// run reads the whole file.
func (f *fileReader) run(ctx context.Context) {
	workers := min(max(2, runtime.GOMAXPROCS(0)), 8)
	work := make(chan *batch, workers)
	order := make(chan *batch, 4*workers)
	var decoding, merging sync.WaitGroup
	for range workers {
		decoding.Go(func() {
			var scratch []byte
			for b := range work {
				var y yield
				y, scratch = b.decode(scratch)
				b.raw = nil
				b.out <- y
			}
		})
	}
	var found []Problem
	merging.Go(func() {
		for b := range order {
			f.merge(<-b.out)
		}
	})
	emit := func(b *batch) bool {
		if ctx.Err() != nil {
			return false
		}
		b.out, b.facts = make(chan yield, 1), f.facts
		order <- b
		work <- b
		return true
	}
	if err := f.document(emit); err != nil && ctx.Err() == nil {
		found = append(found, problemAt(f.text.here(), "", err))
	}
	close(order)
	close(work)
	decoding.Wait()
	merging.Wait()
	f.problems = append(f.problems, found...)
}

// document reads the object that a file is, and whatever objects follow it: the
// output of several kubectl commands in a row is a snapshot, too.
func (f *fileReader) document(emit func(*batch) bool) error {
	c, err := f.text.peek()
	if err != nil && !isEnd(err) {
		return err
	}
	if c != '{' {
		return errors.New(notJSON(f.text.buf[f.text.pos:min(len(f.text.buf), f.text.pos+32)]))
	}
	for n := 0; ; n++ {
		prefix := ""
		if n > 0 {
			prefix = fmt.Sprintf("document[%d].", n)
		}
		if err := f.object(prefix, emit); err != nil {
			return err
		}
		if _, err := f.text.peek(); err != nil {
			if isEnd(err) {
				return nil
			}
			return err
		}
	}
}

// object reads one of the file's objects.
func (f *fileReader) object(prefix string, emit func(*batch) bool) error {
	if err := f.text.expect('{'); err != nil {
		return err
	}
	apiVersion, kind := "", ""
	list := false
	var own ownSnapshot
	for first := true; ; first = false {
		more, err := f.text.more(first, '}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		key, err := f.text.key()
		if err != nil {
			return err
		}
		switch key {
		case "apiVersion", "kind":
			raw, err := f.text.value(nil)
			if err != nil {
				return err
			}
			into := &apiVersion
			if key == "kind" {
				into = &kind
			}
			if err := json.Unmarshal(raw, into); err != nil {
				return fmt.Errorf("%s%s is no text", prefix, key)
			}
		case "items":
			list = true
			of := [2]string{groupOf(apiVersion), strings.TrimSuffix(kind, "List")}
			if err := f.items(prefix, of, emit); err != nil {
				return err
			}
		default:
			known, err := own.take(f.text, key)
			if err != nil {
				return fmt.Errorf("%s%s: %w", prefix, key, err)
			}
			if known {
				continue
			}
			if err := f.text.skip(); err != nil {
				return fmt.Errorf("%s%s: %w", prefix, key, err)
			}
		}
	}
	switch {
	case list:
	case own.any && kind == "":
		s, err := own.snapshot()
		if err != nil {
			return err
		}
		f.own = &s
	default:
		return fmt.Errorf("holds no list of objects (kind %q); %s", kind, getCommand)
	}
	return nil
}

// items reads a list of objects, in batches.
func (f *fileReader) items(prefix string, kind [2]string, emit func(*batch) bool) error {
	if c, err := f.text.peek(); err == nil && c == 'n' { // null: kubectl writes it for an empty list
		return f.text.skip()
	}
	if err := f.text.expect('['); err != nil {
		return fmt.Errorf("%sitems: %w", prefix, err)
	}
	b := &batch{kind: kind}
	for n := 0; ; n++ {
		more, err := f.text.more(n == 0, ']')
		if err == nil && more {
			_, err = f.text.peek()
		}
		if err != nil || !more {
			emit(b)
			if err != nil {
				err = fmt.Errorf("%sitems[%d]: %w", prefix, n, err)
			}
			return err
		}
		s := span{from: len(b.raw), at: f.text.here(), path: fmt.Sprintf("%sitems[%d]", prefix, n)}
		b.raw, err = f.text.value(b.raw)
		if err != nil {
			emit(b)
			return fmt.Errorf("%s: %w", s.path, err)
		}
		s.to = len(b.raw)
		b.items = append(b.items, s)
		if len(b.raw) >= batchSize {
			if !emit(b) {
				return context.Canceled
			}
			b = &batch{kind: kind, raw: make([]byte, 0, batchSize+batchSize/8)}
		}
	}
}

// decode takes in the objects of a batch.
func (b *batch) decode(scratch []byte) (yield, []byte) {
	var y yield
	if b.facts {
		y.facts = &fileFacts{}
	}
	for _, s := range b.items {
		raw := b.raw[s.from:s.to]
		if cap(scratch) < len(raw) {
			scratch = make([]byte, 0, 2*len(raw))
		}
		kind, known, fresh, err := y.take(raw, scratch, b.kind)
		name := kind
		if y.object != "" {
			name += " " + y.object
		}
		var wrong errObject
		switch {
		case errors.As(err, &wrong):
			y.problems = append(y.problems, problemAt(s.at, s.path, fmt.Errorf("%s: %w", name, err)))
			continue
		case err != nil:
			p := diagnose(raw, s.at, s.path, fresh, err)
			p.What = kind + ": " + p.What
			y.problems = append(y.problems, p)
			continue
		}
		y.taken = append(y.taken, taken{kind, y.object, y.uid, y.version, s.path, s.at, !known})
	}
	return y, scratch
}

// merge adds what came of a batch. Batches come in their order.
func (f *fileReader) merge(y yield) {
	f.problems = append(f.problems, y.problems...)
	for _, t := range y.taken {
		if t.ignored {
			f.ignored[t.kind]++
			continue
		}
		f.counts[t.kind]++
		key := t.kind + " " + t.object
		first, again := f.seen[key]
		if !again {
			f.seen[key] = sighting{t.path, t.uid, t.version}
			continue
		}
		if first.uid != "" && first.uid == t.uid && first.version == t.version {
			f.repeated = true // asked for twice, and the same
			continue
		}
		f.problems = append(f.problems, problemAt(t.at, t.path, fmt.Errorf("%s is there already, as %s: which one counts cannot be told", key, first.path)))
	}
	a, b := &f.all, &y.harvest
	a.pods = append(a.pods, b.pods...)
	a.nodes = append(a.nodes, b.nodes...)
	a.controllers = append(a.controllers, b.controllers...)
	a.scalers = append(a.scalers, b.scalers...)
	a.budgets = append(a.budgets, b.budgets...)
	a.claims = append(a.claims, b.claims...)
	a.volumes = append(a.volumes, b.volumes...)
	a.attachments = append(a.attachments, b.attachments...)
	a.terminatingNamespaces = append(a.terminatingNamespaces, b.terminatingNamespaces...)
	a.findings = append(a.findings, b.findings...)
	if b.facts != nil {
		a.facts.add(b.facts)
	}
	if b.newest.After(a.newest) {
		a.newest = b.newest
	}
}

// whole checks that the file holds what no plan can do without.
func (f *fileReader) whole() {
	if f.facts && len(f.counts)+len(f.ignored) == 0 {
		f.problems = append(f.problems, Problem{What: "holds no object; " + getCommand})
	}
	for _, kind := range []string{"Node", "Pod"} {
		if f.counts[kind] == 0 && !f.facts {
			f.problems = append(f.problems, Problem{What: "holds no " + kind + "; " + getCommand})
		}
	}
	if f.all.newest.Year() > 9999 {
		f.problems = append(f.problems, Problem{What: "holds times after the year 9999"})
	}
}

// adopt gives uids to what has none, so that owners are found by their names in
// dumps that were stripped of uids.
func (f *fileReader) adopt() {
	byUID := make(map[types.UID]bool, len(f.all.controllers))
	nameless := map[types.UID]bool{} // made up here
	for i := range f.all.controllers {
		w := &f.all.controllers[i].workload
		if w.UID == "" {
			w.UID = string(madeUpUID(w.Kind, w.Namespace, w.Name))
			nameless[types.UID(w.UID)] = true
		}
		byUID[types.UID(w.UID)] = true
	}
	find := func(namespace string, owner *metav1.OwnerReference) {
		if owner == nil || byUID[owner.UID] {
			return
		}
		if kind, known := kindOf(owner); known {
			if uid := madeUpUID(kind, namespace, owner.Name); nameless[uid] {
				owner.UID = uid
			}
		}
	}
	for i := range f.all.controllers {
		find(f.all.controllers[i].workload.Namespace, f.all.controllers[i].owner)
	}
	for i := range f.all.pods {
		p := &f.all.pods[i]
		p.pod.UID = cmp.Or(p.pod.UID, "Pod/"+p.pod.Key())
		find(p.pod.Namespace, p.owner)
	}
	for i := range f.all.nodes {
		f.all.nodes[i].UID = cmp.Or(f.all.nodes[i].UID, "Node/"+f.all.nodes[i].Name)
	}
}

func madeUpUID(kind fleet.WorkloadKind, namespace, name string) types.UID {
	return types.UID(string(kind) + "/" + namespace + "/" + name)
}

// once drops what was in the file twice, and alike.
func (f *fileReader) once() {
	f.all.pods = distinct(f.all.pods, func(p *ownedPod) string { return p.pod.UID })
	f.all.nodes = distinct(f.all.nodes, func(n *fleet.Node) string { return n.UID })
	f.all.controllers = distinct(f.all.controllers, func(w *ownedWorkload) string { return w.workload.UID })
	f.all.budgets = distinct(f.all.budgets, (*fleet.Budget).Key)
}

func distinct[T any](list []T, key func(*T) string) []T {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(list, func(one T) bool {
		k := key(&one)
		again := seen[k]
		seen[k] = true
		return again
	})
}
