// Package sqlite keeps what Liftlock must not forget in one SQLite file: the
// records and Fleet files of rollouts (rollout.Store), what rings have proven
// (rollout.Ledger) and what was done (rollout.Journal).
//
// The file is written ahead (WAL) and flushed at every commit (synchronous
// FULL), so that what a method returned from is there after a SIGKILL and after
// a power cut. Several processes of one host may have it open at once. The
// ledger, the journal and the Fleet files are append-only by triggers in the
// file itself, whoever opens it.
//
// It decides nothing and knows nothing of the values it keeps. The workflow
// engine has a file of its own; nothing here touches it.
package sqlite
