// Package lifecycle decides which objects and which requests use an API that a
// Kubernetes version has removed, deprecated or not got yet.
//
// What it knows is in two tables that hack/lifecycle generates from releases:
// Kubernetes' own APIs, by its versions, and those of well-known components, by
// theirs. It leaves to others where objects and requests were seen, and which
// findings stop an upgrade.
package lifecycle
