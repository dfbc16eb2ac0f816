// Package embedded runs a Temporal server inside this process on one SQLite
// file, so that a laptop or one small virtual machine is enough to keep a
// rollout going through restarts.
//
// It decides how the server is configured, kept private to this process, held
// to one engine per folder, and how its file is created and brought up to the
// schema of the linked server. Everything in the product that imports
// go.temporal.io/server does so here. Workflows, activities and workers belong
// to the durable package, which talks to this server through the ordinary
// client that Server.Dial returns and could as well talk to a Temporal cluster.
//
// The folder holds:
//
//	temporal.db      the store: histories, timers, task queues, visibility
//	temporal.db.bak  the store as it was before its last schema change
//	engine.lock      who runs the engine, locked for as long as it runs
package embedded
