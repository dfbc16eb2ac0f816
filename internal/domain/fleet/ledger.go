package fleet

import "time"

// LedgerKind is what sort of thing was proven.
type LedgerKind string

// The kinds of ledger entries. Applications and other images will be added.
const (
	LedgerKubernetes LedgerKind = "kubernetes" // Subject: provider ("aks"); Version: 1.35.4
	LedgerNodeImage  LedgerKind = "nodeImage"  // Subject: image family; Version: the whole image version; Digest: its snapshot, where one was taken
)

// LedgerEntry records that a ring has proven something. Entries are only ever
// added.
type LedgerEntry struct {
	Fleet    string     `json:"fleet"`
	Kind     LedgerKind `json:"kind"`
	Subject  string     `json:"subject"`
	Version  string     `json:"version"`
	Digest   string     `json:"digest"` // what fixes it exactly: an image digest, a snapshot id; may be empty
	Ring     string     `json:"ring"`
	Rollout  string     `json:"rollout"`
	ProvenAt time.Time  `json:"provenAt"` // when the ring had ended and its soak was over
	Evidence string     `json:"evidence"` // in words: clusters, soak, violations
}

// JournalEntry is one thing that was done or decided: what an auditor reads.
type JournalEntry struct {
	Seq     int64             `json:"seq"`
	At      time.Time         `json:"at"`
	Rollout string            `json:"rollout,omitempty"`
	Actor   string            `json:"actor"` // "liftlock" or a person; unverified ones end in " (unverified)"
	Ring    string            `json:"ring,omitempty"`
	Cluster string            `json:"cluster,omitempty"`
	Pool    string            `json:"pool,omitempty"`
	Action  string            `json:"action"` // a stable word: upgradeControlPlane, createPool, cordon, evict, approve …
	Object  string            `json:"object,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	Details map[string]string `json:"details,omitempty"`
}
