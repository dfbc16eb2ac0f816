// Package evacuate decides how the pods on a set of leaving nodes move to other
// nodes while every workload keeps what it requires. It is given a snapshot and
// returns the next pass as data; it does no I/O and reads no clock. A caller
// carries the pass out, looks again, and asks again until the pass is done.
package evacuate
