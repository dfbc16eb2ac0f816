package rollout_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/adapter/storetest"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// memory is a Store, a Ledger and a Journal that forgets with the test. It is
// held to the same suites as the one on disk.
type memory struct {
	mu      sync.Mutex
	files   map[string]rollout.FleetFile
	records map[rollout.Key]rollout.Record
	ledger  []fleet.LedgerEntry
	journal []fleet.JournalEntry
	seq     int64
	// enter is asked before every call; its error is the call's.
	enter func(method string) error
}

func newMemory() *memory {
	return &memory{files: map[string]rollout.FleetFile{}, records: map[rollout.Key]rollout.Record{}, enter: func(string) error { return nil }}
}

func TestMemoryStore(t *testing.T)   { storetest.Store(t, freshMemory[rollout.Store]) }
func TestMemoryLedger(t *testing.T)  { storetest.Ledger(t, freshMemory[rollout.Ledger]) }
func TestMemoryJournal(t *testing.T) { storetest.Journal(t, freshMemory[rollout.Journal]) }

func freshMemory[Port any](t *testing.T) func(t *testing.T) Port {
	t.Helper()
	m := newMemory()
	return func(*testing.T) Port { return any(m).(Port) }
}

func (m *memory) begin(ctx context.Context, method string) (func(), error) {
	if err := ctx.Err(); err != nil {
		return func() {}, err
	}
	if err := m.enter(method); err != nil {
		return func() {}, err
	}
	m.mu.Lock()
	return m.mu.Unlock, nil
}

func (m *memory) PutFleet(ctx context.Context, file rollout.FleetFile) error {
	end, err := m.begin(ctx, "PutFleet")
	defer end()
	if err != nil {
		return err
	}
	if have, ok := m.files[file.Digest]; ok && string(have.Source) != string(file.Source) {
		return fmt.Errorf("another file has digest %s", file.Digest)
	} else if !ok {
		file.Source = slices.Clone(file.Source)
		m.files[file.Digest] = file
	}
	return nil
}

func (m *memory) Fleet(ctx context.Context, digest string) (rollout.FleetFile, error) {
	end, err := m.begin(ctx, "Fleet")
	defer end()
	if err != nil {
		return rollout.FleetFile{}, err
	}
	file, ok := m.files[digest]
	if !ok {
		return file, rollout.ErrNotFound
	}
	return file, nil
}

func (m *memory) PutRecord(ctx context.Context, r rollout.Record) (int64, error) {
	end, err := m.begin(ctx, "PutRecord "+r.Kind)
	defer end()
	if err != nil {
		return 0, err
	}
	if m.records[r.Key].Revision != r.Revision {
		return 0, rollout.ErrStaleWrite
	}
	if !json.Valid(r.Value) {
		return 0, fmt.Errorf("record %+v is not JSON", r.Key)
	}
	m.seq++
	r.Revision, r.Value = m.seq, slices.Clone(r.Value)
	if r.UpdatedAt.IsZero() {
		r.UpdatedAt = time.Now()
	}
	r.UpdatedAt = r.UpdatedAt.UTC().Round(0)
	m.records[r.Key] = r
	return r.Revision, nil
}

func (m *memory) Record(ctx context.Context, key rollout.Key) (rollout.Record, error) {
	end, err := m.begin(ctx, "Record")
	defer end()
	if err != nil {
		return rollout.Record{}, err
	}
	r, ok := m.records[key]
	if !ok {
		return r, rollout.ErrNotFound
	}
	r.Value = slices.Clone(r.Value)
	return r, nil
}

func (m *memory) Records(ctx context.Context, id, kind string) ([]rollout.Record, error) {
	end, err := m.begin(ctx, "Records")
	defer end()
	if err != nil {
		return nil, err
	}
	var found []rollout.Record
	for key, r := range m.records {
		if (id == "" || key.Rollout == id) && key.Kind == kind {
			r.Value = slices.Clone(r.Value)
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b rollout.Record) int {
		return cmp.Or(cmp.Compare(a.Rollout, b.Rollout), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return found, nil
}

func (m *memory) Append(ctx context.Context, entries ...fleet.LedgerEntry) error {
	end, err := m.begin(ctx, "Append")
	defer end()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.ContainsFunc(m.ledger, func(h fleet.LedgerEntry) bool {
			return h.Fleet == e.Fleet && h.Kind == e.Kind && h.Subject == e.Subject && h.Version == e.Version && h.Ring == e.Ring && h.Rollout == e.Rollout
		}) {
			continue
		}
		e.ProvenAt = e.ProvenAt.UTC().Round(0)
		m.ledger = append(m.ledger, e)
	}
	return nil
}

func (m *memory) Entries(ctx context.Context, name string) ([]fleet.LedgerEntry, error) {
	end, err := m.begin(ctx, "Entries")
	defer end()
	if err != nil {
		return nil, err
	}
	var found []fleet.LedgerEntry
	for _, e := range m.ledger {
		if e.Fleet == name {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b fleet.LedgerEntry) int { return a.ProvenAt.Compare(b.ProvenAt) })
	return found, nil
}

func (m *memory) Write(ctx context.Context, entries ...fleet.JournalEntry) error {
	end, err := m.begin(ctx, "Write")
	defer end()
	if err != nil {
		return err
	}
	for _, e := range entries {
		m.seq++
		e.Seq, e.At = m.seq, e.At.UTC().Round(0)
		m.journal = append(m.journal, e)
	}
	return nil
}

func (m *memory) Read(ctx context.Context, id string, after int64, limit int) ([]fleet.JournalEntry, error) {
	end, err := m.begin(ctx, "Read")
	defer end()
	if err != nil {
		return nil, err
	}
	var found []fleet.JournalEntry
	for _, e := range m.journal {
		if (id == "" || e.Rollout == id) && e.Seq > after && (limit == 0 || len(found) < limit) {
			found = append(found, e)
		}
	}
	return found, nil
}

// forgetMoves makes the pools of a rollout forget what was moved, as it is once
// everything has been seen to be well.
func (m *memory) forgetMoves(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.records {
		if key.Rollout != id || key.Kind != "pool" {
			continue
		}
		var p rollout.PoolRecord
		if err := json.Unmarshal(r.Value, &p); err != nil {
			panic(err)
		}
		for _, e := range p.Evacuations {
			e.Memory.Acted = nil
		}
		r.Value, _ = json.Marshal(p)
		m.records[key] = r
	}
}
