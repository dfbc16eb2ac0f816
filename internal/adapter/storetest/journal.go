package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// Journal holds an adapter to the contract of rollout.Journal.
func Journal(t *testing.T, fresh Fresh[rollout.Journal]) {
	t.Helper()
	t.Run("Entries", func(t *testing.T) { journalEntries(t, fresh) })
	t.Run("Pages", func(t *testing.T) { journalPages(t, fresh) })
	t.Run("TwoWorkersWrite", func(t *testing.T) { twoWorkersWrite(t, fresh) })
}

func journalEntries(t *testing.T, fresh Fresh[rollout.Journal]) {
	t.Helper()
	open := fresh(t)
	j := open(t)
	ctx := t.Context()
	equal(t, "an empty journal", len(result[[]fleet.JournalEntry](t)(j.Read(ctx, "", 0, 0))), 0)

	want := []fleet.JournalEntry{
		{At: base.UTC(), Rollout: "r-1", Actor: "liftlock", Action: "start"},
		{
			At: base.Add(time.Second).UTC(), Rollout: "r-1", Actor: "ada@example.com (unverified)", Ring: "prod", Cluster: "prod", Pool: "apps",
			Action: "approve", Object: "gate/release", Reason: odd[3], Details: map[string]string{"comment": odd[2], odd[4]: odd[5]},
		},
		// The clock was set back: order is the journal's, not the clock's.
		{At: base.Add(-time.Hour).UTC(), Rollout: "r-1", Actor: "liftlock", Action: "cordon", Object: "node/a"},
	}
	must(t, j.Write(ctx, want[0]))
	must(t, j.Write(ctx, want[1:]...))
	must(t, j.Write(ctx)) // nothing is fine, too
	got := result[[]fleet.JournalEntry](t)(open(t).Read(ctx, "r-1", 0, 0))
	if len(got) != len(want) {
		t.Fatalf("got %d entries, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Seq <= 0 || i > 0 && got[i].Seq <= got[i-1].Seq {
			t.Errorf("entry %d has sequence number %d, want more than zero and more than the one before", i, got[i].Seq)
		}
		want[i].Seq = got[i].Seq
	}
	equal(t, "entries", got, want)

	// A number that the writer made up is the journal's to give.
	must(t, j.Write(ctx, fleet.JournalEntry{Seq: got[0].Seq, At: base, Rollout: "r-1", Actor: "liftlock", Action: "finish"}))
	got = result[[]fleet.JournalEntry](t)(j.Read(ctx, "r-1", 0, 0))
	if len(got) != 4 || got[0].Action != "start" || got[3].Action != "finish" {
		t.Errorf("after an entry with a number of its own: got %v", got)
	}
}

func journalPages(t *testing.T, fresh Fresh[rollout.Journal]) {
	t.Helper()
	j := fresh(t)(t)
	ctx := t.Context()
	for i := range 10 {
		must(t, j.Write(ctx, fleet.JournalEntry{
			At: base, Rollout: []string{"r-1", "r-10"}[i%2], Actor: "liftlock", Action: "evict", Object: fmt.Sprint(i),
		}))
	}
	objects := func(rolloutID string, after int64, limit int) (objects []string, last int64) {
		for _, e := range result[[]fleet.JournalEntry](t)(j.Read(ctx, rolloutID, after, limit)) {
			objects, last = append(objects, e.Object), e.Seq
		}
		return objects, last
	}
	all, _ := objects("", 0, 0)
	equal(t, "all rollouts", all, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"})
	first, last := objects("r-1", 0, 3)
	equal(t, "first page", first, []string{"0", "2", "4"})
	second, last := objects("r-1", last, 3)
	equal(t, "second page", second, []string{"6", "8"})
	third, _ := objects("r-1", last, 3)
	equal(t, "past the end", third, nil)
}

func twoWorkersWrite(t *testing.T, fresh Fresh[rollout.Journal]) {
	t.Helper()
	const each = 25
	open := fresh(t)
	ctx := t.Context()
	var workers sync.WaitGroup
	for worker := range 2 {
		j := open(t)
		workers.Go(func() {
			for i := range each {
				e := fleet.JournalEntry{At: base, Rollout: "r-1", Actor: fmt.Sprint(worker), Action: "evict", Object: fmt.Sprint(i)}
				if err := j.Write(ctx, e); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	seen := map[int64]bool{}
	next := map[string]int{}
	for _, e := range result[[]fleet.JournalEntry](t)(open(t).Read(ctx, "r-1", 0, 0)) {
		if seen[e.Seq] {
			t.Errorf("sequence number %d was given twice", e.Seq)
		}
		seen[e.Seq] = true
		// What one worker wrote later comes later.
		equal(t, "order of worker "+e.Actor, e.Object, fmt.Sprint(next[e.Actor]))
		next[e.Actor]++
	}
	equal(t, "entries of two workers", len(seen), 2*each)
}
