// Package e2e proves the product as people meet it: the built binary, run as a
// process of its own, against the simulated Azure with real Kubernetes control
// planes behind it. Processes are killed, networks cut and quotas used up, and
// afterwards the clusters themselves are asked what came of it, never the
// product alone.
//
// The tests need what `make kube-demo` builds. LIFTLOCK_LONG=1 adds those that
// take longer than a change should have to wait for.
package e2e
