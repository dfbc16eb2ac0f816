package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// Ledger holds an adapter to the contract of rollout.Ledger.
func Ledger(t *testing.T, fresh Fresh[rollout.Ledger]) {
	t.Helper()
	t.Run("Entries", func(t *testing.T) { ledgerEntries(t, fresh) })
	t.Run("Once", func(t *testing.T) { ledgerOnce(t, fresh) })
	t.Run("TwoWorkersAppend", func(t *testing.T) { twoWorkersAppend(t, fresh) })
}

// proven makes an entry that was proven some minutes after base.
func proven(minutes int, ring string) fleet.LedgerEntry {
	return fleet.LedgerEntry{
		Fleet: "shop", Kind: fleet.LedgerKubernetes, Subject: "aks", Version: "1.35.4", Ring: ring, Rollout: "r-1",
		ProvenAt: base.Add(time.Duration(minutes) * time.Minute).UTC(), Evidence: "1 of 1 clusters, soaked 90m0s, 0 violations",
	}
}

func ledgerEntries(t *testing.T, fresh Fresh[rollout.Ledger]) {
	open := fresh(t)
	l := open(t)
	ctx := t.Context()
	equal(t, "an empty ledger", len(result[[]fleet.LedgerEntry](t)(l.Entries(ctx, "shop"))), 0)
	must(t, l.Append(ctx)) // nothing is nothing

	image := proven(0, "sandbox")
	image.Kind, image.Subject, image.Version = fleet.LedgerNodeImage, "AKSUbuntu-2204gen2containerd", "AKSUbuntu-2204gen2containerd-202603.22.0"
	image.Digest = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/snapshots/x"
	strange := proven(2, odd[2])
	strange.Evidence = odd[4] + odd[3]
	other := proven(1, "sandbox")
	other.Fleet = "shop2" // another fleet, whose name begins like the first

	// Two at once, and an entry that became proven earlier but was told later.
	must(t, l.Append(ctx, proven(5, "dev"), strange))
	must(t, l.Append(ctx, proven(0, "sandbox"), image, other))
	equal(t, "entries, oldest first", result[[]fleet.LedgerEntry](t)(open(t).Entries(ctx, "shop")),
		[]fleet.LedgerEntry{proven(0, "sandbox"), image, strange, proven(5, "dev")})
	equal(t, "the other fleet's", result[[]fleet.LedgerEntry](t)(l.Entries(ctx, "shop2")), []fleet.LedgerEntry{other})
	equal(t, "a fleet that is not there", len(result[[]fleet.LedgerEntry](t)(l.Entries(ctx, "sho_"))), 0)
}

func ledgerOnce(t *testing.T, fresh Fresh[rollout.Ledger]) {
	l := fresh(t)(t)
	ctx := t.Context()
	first := proven(0, "sandbox")
	again := proven(30, "sandbox") // a step that ran again after a crash
	again.Evidence, again.Digest = "told again", "sha256:1"
	must(t, l.Append(ctx, first, first))
	must(t, l.Append(ctx, again, proven(40, "dev")))
	// In a later rollout it is proven anew, and that is a fact of its own.
	later := proven(60, "sandbox")
	later.Rollout = "r-2"
	must(t, l.Append(ctx, later))
	equal(t, "entries", result[[]fleet.LedgerEntry](t)(l.Entries(ctx, "shop")),
		[]fleet.LedgerEntry{first, proven(40, "dev"), later})
}

func twoWorkersAppend(t *testing.T, fresh Fresh[rollout.Ledger]) {
	const each = 20
	open := fresh(t)
	ctx := t.Context()
	var workers sync.WaitGroup
	for worker := range 2 {
		l := open(t)
		workers.Go(func() {
			for i := range each {
				// One that both tell, and one of its own.
				err := l.Append(ctx, proven(i, fmt.Sprintf("ring-%d", i)), proven(i, fmt.Sprintf("ring-%d-of-%d", i, worker)))
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	equal(t, "entries of two workers", len(result[[]fleet.LedgerEntry](t)(open(t).Entries(ctx, "shop"))), 3*each)
}
