package fleet

// State is the published state of a rollout, a ring, a cluster or a pool. The
// list is part of the interface: names are added, never given a new meaning.
type State string

// The states, in the order in which they are usually passed.
const (
	StatePending     State = "Pending"     // nothing was done yet
	StateWaiting     State = "Waiting"     // for a window, an approval, a soak, another operation; the reason says which
	StateRunning     State = "Running"     // work is under way
	StateSoaking     State = "Soaking"     // done, and watched before the next may follow
	StatePaused      State = "Paused"      // by a person; nothing new is started
	StateRollingBack State = "RollingBack" // moving back to the old pool
	StateBlocked     State = "Blocked"     // cannot go on without a person; the reason names who blocks
	StateSucceeded   State = "Succeeded"   // at the target, checked on the nodes
	StateFailed      State = "Failed"      // ended short of the target
	StateSkipped     State = "Skipped"     // by a person
	StateSetAside    State = "SetAside"    // stopped or unreachable; not counted
	StateAborted     State = "Aborted"     // by a person, at a safe point
	StateRolledBack  State = "RolledBack"  // moved back to the old pool
)

// Ended reports whether nothing further happens to a thing in this state
// without a new command.
func (s State) Ended() bool {
	switch s {
	case StateSucceeded, StateFailed, StateSkipped, StateSetAside, StateAborted, StateRolledBack:
		return true
	case StatePending, StateWaiting, StateRunning, StateSoaking, StatePaused, StateRollingBack, StateBlocked:
		return false
	}
	return false
}
