// Package durable runs rollouts on Temporal: a workflow for the fleet, one for
// each ring, cluster and pool. The workflows decide nothing. Each turn of one
// takes a rollout.Step as an activity and turns what comes back into timers,
// children and the next turn, so that a change of a decision never breaks the
// replay of a rollout that is under way.
package durable
