package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// Store holds an adapter to the contract of rollout.Store.
func Store(t *testing.T, fresh Fresh[rollout.Store]) {
	t.Helper()
	t.Run("Records", func(t *testing.T) { records(t, fresh) })
	t.Run("StaleWrites", func(t *testing.T) { staleWrites(t, fresh) })
	t.Run("ListsRecords", func(t *testing.T) { listsRecords(t, fresh) })
	t.Run("TwoWorkersCount", func(t *testing.T) { twoWorkersCount(t, fresh) })
	t.Run("FleetFiles", func(t *testing.T) { fleetFiles(t, fresh) })
	t.Run("EndedContext", func(t *testing.T) { endedStore(t, fresh) })
}

// value makes a record's value of anything.
func value(t *testing.T, v any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return text
}

// sameJSON compares values by meaning: a store may lay them out anew.
func sameJSON(t *testing.T, what string, got, want json.RawMessage) {
	t.Helper()
	var a, b any
	must(t, json.Unmarshal(got, &a))
	must(t, json.Unmarshal(want, &b))
	equal(t, what, a, b)
}

func records(t *testing.T, fresh Fresh[rollout.Store]) {
	open := fresh(t)
	s := open(t)
	ctx := t.Context()
	key := rollout.Key{Rollout: "r-1", Kind: "cluster", Name: "/subscriptions/s/prod"}

	if _, err := s.Record(ctx, key); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("a record that was never written: got %v, want ErrNotFound", err)
	}

	first := value(t, map[string]any{"state": "Running", "texts": odd, "empty": map[string]any{}})
	revision := result[int64](t)(s.PutRecord(ctx, rollout.Record{Key: key, UpdatedAt: base, Value: first}))
	if revision <= 0 {
		t.Errorf("revision of a new record: got %d, want more than zero, which stands for a new one", revision)
	}
	got := result[rollout.Record](t)(s.Record(ctx, key))
	equal(t, "key", got.Key, key)
	equal(t, "revision as read", got.Revision, revision)
	if !got.UpdatedAt.Equal(base) {
		t.Errorf("time: got %s, want %s", got.UpdatedAt, base)
	}
	sameJSON(t, "value", got.Value, first)

	// What another process opens is what was written.
	got.Value = value(t, strings.Repeat("many pods, ", 20_000)) // 220 kB
	got.UpdatedAt = base.Add(time.Second)
	next := result[int64](t)(s.PutRecord(ctx, got))
	if next == revision {
		t.Errorf("revision after a second write: got %d again", next)
	}
	other := result[rollout.Record](t)(open(t).Record(ctx, key))
	equal(t, "revision seen by another", other.Revision, next)
	sameJSON(t, "value seen by another", other.Value, got.Value)

	for i, text := range odd {
		if text == "" {
			continue // an empty name is the rollout's own record, below
		}
		key := rollout.Key{Rollout: "r-1", Kind: "odd", Name: text}
		result[int64](t)(s.PutRecord(ctx, rollout.Record{Key: key, Value: value(t, i)}))
		sameJSON(t, fmt.Sprintf("record %q", text), result[rollout.Record](t)(s.Record(ctx, key)).Value, value(t, i))
	}

	own := rollout.Key{Rollout: "r-1", Kind: "rollout"}
	before := time.Now().Add(-time.Minute)
	result[int64](t)(s.PutRecord(ctx, rollout.Record{Key: own, Value: value(t, nil)}))
	if at := result[rollout.Record](t)(s.Record(ctx, own)).UpdatedAt; at.Before(before) {
		t.Errorf("a record written without a time: got %s, want the present", at)
	}

	for _, bad := range []string{"", "{", "{} {}", "not JSON"} {
		key := rollout.Key{Rollout: "r-1", Kind: "bad"}
		if _, err := s.PutRecord(ctx, rollout.Record{Key: key, Value: json.RawMessage(bad)}); err == nil {
			t.Errorf("value %q was accepted, want an error: it is not JSON", bad)
		}
		if _, err := s.Record(ctx, key); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("value %q was refused but kept: %v", bad, err)
		}
	}
}

func staleWrites(t *testing.T, fresh Fresh[rollout.Store]) {
	s := fresh(t)(t)
	ctx := t.Context()
	key := rollout.Key{Rollout: "r-1", Kind: "ring", Name: "dev"}
	put := func(revision int64, v any) (int64, error) {
		return s.PutRecord(ctx, rollout.Record{Key: key, Revision: revision, UpdatedAt: base, Value: value(t, v)})
	}

	if _, err := put(7, "from nowhere"); !errors.Is(err, rollout.ErrStaleWrite) {
		t.Errorf("write with a revision to a record that does not exist: got %v, want ErrStaleWrite", err)
	}
	first := result[int64](t)(put(0, "first"))
	if _, err := put(0, "also first"); !errors.Is(err, rollout.ErrStaleWrite) {
		t.Errorf("second write of a new record: got %v, want ErrStaleWrite", err)
	}
	second := result[int64](t)(put(first, "second"))
	for _, stale := range []int64{first, second + 1, 0} {
		if _, err := put(stale, "stale"); !errors.Is(err, rollout.ErrStaleWrite) {
			t.Errorf("write at revision %d where it is %d: got %v, want ErrStaleWrite", stale, second, err)
		}
	}
	sameJSON(t, "value after refused writes", result[rollout.Record](t)(s.Record(ctx, key)).Value, value(t, "second"))
}

func listsRecords(t *testing.T, fresh Fresh[rollout.Store]) {
	s := fresh(t)(t)
	ctx := t.Context()
	for _, key := range []rollout.Key{
		{Rollout: "r-2", Kind: "cluster", Name: "b"},
		{Rollout: "r-1", Kind: "cluster", Name: "c"},
		{Rollout: "r-1", Kind: "cluster", Name: "a"},
		{Rollout: "r-1", Kind: "ring", Name: "a"},
		{Rollout: "r-1", Kind: "rollout"},
		{Rollout: "r-10", Kind: "cluster", Name: "a"}, // r-1 is its beginning
	} {
		result[int64](t)(s.PutRecord(ctx, rollout.Record{Key: key, UpdatedAt: base, Value: value(t, key.Name)}))
	}
	names := func(rolloutID, kind string) []string {
		var names []string
		for _, r := range result[[]rollout.Record](t)(s.Records(ctx, rolloutID, kind)) {
			sameJSON(t, "value of "+r.Name, r.Value, value(t, r.Name))
			names = append(names, r.Rollout+"/"+r.Kind+"/"+r.Name)
		}
		return names
	}
	equal(t, "one rollout's clusters", names("r-1", "cluster"), []string{"r-1/cluster/a", "r-1/cluster/c"})
	equal(t, "one rollout's own record", names("r-1", "rollout"), []string{"r-1/rollout/"})
	equal(t, "all rollouts' clusters", names("", "cluster"),
		[]string{"r-1/cluster/a", "r-1/cluster/c", "r-10/cluster/a", "r-2/cluster/b"})
	equal(t, "a kind that is not there", names("r-1", "nothing"), nil)
	equal(t, "a rollout that is not there", names("r-3", "cluster"), nil)
}

// twoWorkersCount lets two workers count up one number, each reading, adding
// and writing, and reading anew when the other was first. Every count must be
// there in the end.
func twoWorkersCount(t *testing.T, fresh Fresh[rollout.Store]) {
	const each = 25
	open := fresh(t)
	ctx := t.Context()
	key := rollout.Key{Rollout: "r-1", Kind: "counter"}

	var workers sync.WaitGroup
	for range 2 {
		s := open(t)
		for range 2 {
			workers.Go(func() {
				for range each {
					if err := count(ctx, s, key); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	workers.Wait()
	sameJSON(t, "count of four loops", result[rollout.Record](t)(open(t).Record(ctx, key)).Value, value(t, 4*each))
}

// count adds one to the number in a record.
func count(ctx context.Context, s rollout.Store, key rollout.Key) error {
	for {
		var n int
		r, err := s.Record(ctx, key)
		switch {
		case errors.Is(err, rollout.ErrNotFound):
			r = rollout.Record{Key: key}
		case err != nil:
			return err
		default:
			if err := json.Unmarshal(r.Value, &n); err != nil {
				return err
			}
		}
		if r.Value, err = json.Marshal(n + 1); err != nil {
			return err
		}
		if _, err = s.PutRecord(ctx, r); !errors.Is(err, rollout.ErrStaleWrite) {
			return err
		}
	}
}

func fleetFiles(t *testing.T, fresh Fresh[rollout.Store]) {
	open := fresh(t)
	s := open(t)
	ctx := t.Context()
	if _, err := s.Fleet(ctx, "none"); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("a Fleet file that was never kept: got %v, want ErrNotFound", err)
	}
	file := rollout.FleetFile{
		Digest: "9f86d081884c7d65",
		Source: []byte("kind: Fleet # " + strings.Join(odd, "\n# ") + "\n\xff\x00not text"),
		Spec: fleet.Spec{
			Name: "shop", Digest: "9f86d081884c7d65",
			Rings: []fleet.Ring{{Name: "sandbox", Soak: 90 * time.Minute}, {Name: "prod"}},
		},
	}
	must(t, s.PutFleet(ctx, file))
	must(t, s.PutFleet(ctx, file)) // the same twice is one
	equal(t, "Fleet file", result[rollout.FleetFile](t)(open(t).Fleet(ctx, file.Digest)), file)

	changed := file
	changed.Source = []byte("kind: Fleet # changed")
	if err := s.PutFleet(ctx, changed); err == nil {
		t.Error("another file under the same digest was accepted, want an error")
	}
	equal(t, "Fleet file afterwards", result[rollout.FleetFile](t)(s.Fleet(ctx, file.Digest)), file)
}

func endedStore(t *testing.T, fresh Fresh[rollout.Store]) {
	s := fresh(t)(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	key := rollout.Key{Rollout: "r-1", Kind: "rollout"}
	if _, err := s.PutRecord(ctx, rollout.Record{Key: key, Value: value(t, 1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("write in an ended context: got %v, want context.Canceled", err)
	}
	if _, err := s.Record(ctx, key); !errors.Is(err, context.Canceled) {
		t.Errorf("read in an ended context: got %v, want context.Canceled", err)
	}
	if _, err := s.Record(t.Context(), key); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("after a write in an ended context: got %v, want ErrNotFound", err)
	}
}
