// Package fleetplan says what a rollout of a whole fleet would do, when and at
// what cost: how long pools take by what earlier ones took, when each ring may
// start, whether its work fits its windows and what to change where it does not,
// how many nodes there are more at once, and what has moved between a plan that
// was kept and the world of today. It knows the form of a plan that is kept.
//
// What the steps are is for package plan to say, how pods move for evacuate,
// when windows are open for window. This package looks at no cluster and no
// clock.
package fleetplan
