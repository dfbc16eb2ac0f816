// Package fleet holds the words that the rest of Liftlock speaks: versions,
// clusters, node pools, nodes, pods, workloads, budgets, rings, policies,
// ledger entries, findings and the published states. It decides nothing: the
// packages window, gate, evacuate and plan do, over these values.
//
// All values are plain data that survive a round trip through JSON, because
// rollouts that last for months are stored and taken up again.
package fleet
