// Package rollout holds the use cases: observe a fleet, a ring, a cluster or a
// pool, let the domain decide, carry out at most one action, and say what to
// wait for. It declares the ports that the adapters fill. It decides nothing
// itself and remembers nothing between two steps but what the Store keeps.
package rollout
