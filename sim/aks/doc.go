// Package aks is the managed Kubernetes service of the simulated Azure: its
// resources (managed clusters, agent pools, node pool snapshots, maintenance
// configurations), the rules by which it takes or refuses a request, and the
// long-running operations that carry one out on the control planes and nodes
// behind it. It speaks neither HTTP (package arm does) nor knows how a control
// plane runs (see [Kubernetes]).
package aks
