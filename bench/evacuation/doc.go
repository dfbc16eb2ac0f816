// Package evacuation measures how fast Liftlock replaces a cluster's nodes, and
// what its workloads notice of it, beside what others do today. Every strategy
// gets a cluster of its own (real etcd, API server, controllers and scheduler;
// KWOK's nodes and pods) that begins the same: same seed, same workloads, same
// drawn times. Nothing is scaled in time.
package evacuation
