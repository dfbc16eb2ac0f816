// Package sim is a simulated Azure: everything that Liftlock needs of the real
// one, on one machine, reached through the real Azure SDK over HTTPS.
//
// A scenario (package scenario) says what there is. Package aks holds the rules
// of the managed Kubernetes service and its state, arm speaks the resource
// manager's HTTP, entra hands out tokens, fault makes things go wrong, witness
// watches from outside whether workloads stay available, and control lets tests
// steer and ask. The control planes and nodes behind the clusters are those of
// package kube, or of whoever else fills aks.Kubernetes.
//
// liftlock-sim (cmd/liftlock-sim) runs it as a process; tests call [Start].
package sim
