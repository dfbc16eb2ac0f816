// Package kube reaches the API servers of clusters. It opens connections and
// makes sure that what answers is the cluster that was meant, turns Kubernetes
// objects into the values of package fleet, carries out single actions with UID
// preconditions and marks, keeps the Lease that excludes other Liftlocks, and
// watches how many pods of each workload are Ready.
//
// It decides nothing: what to move, when and how is the domain's, and waiting
// and repeating are the caller's.
package kube
