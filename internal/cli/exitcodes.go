package cli

// The exit codes. The list is part of the interface: numbers are added, never
// given a new meaning.
const (
	ExitOK          = 0   // done, or nothing to do
	ExitFailed      = 1   // the rollout, or the command, failed
	ExitBadInput    = 2   // a Fleet file, a snapshot, a flag or an argument is wrong; nothing was touched
	ExitRefused     = 3   // the request makes no sense in the present state; nothing was changed
	ExitLocked      = 4   // another engine holds the state folder
	ExitAborted     = 5   // the rollout was aborted by a person
	ExitUnavailable = 6   // the cloud, its credentials or the state folder could not be used
	ExitNotFound    = 7   // no such rollout
	ExitBlockers    = 8   // a check found blockers that nobody has accepted
	ExitWarnings    = 9   // a check found warnings, and --fail-on warning was given
	ExitUnchecked   = 10  // nothing that fails was found, but some checks could not see all they need
	ExitNotThrough  = 11  // a rehearsal was held, and did not go through: something is refused, stands still, finds no place or falls
	ExitInterrupted = 130 // interrupted; a rollout is kept and goes on with the same command
)
