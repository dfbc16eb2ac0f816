// Package plan decides what comes next: which version a target means, over
// which hops a cluster reaches it, in which order its pools move, and which
// single step a cluster or a pool needs now. It looks only at the values it is
// given and leaves pods to package evacuate and permissions to package gate.
package plan
