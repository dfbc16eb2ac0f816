// Package check says beforehand what would fail, stall or interrupt an upgrade.
// A check is a named pure function over Facts, which others gather; it returns
// findings. The package also says which checks could not run, for want of which
// facts, and which findings are accepted. It asks nobody, and decides neither
// what is done about a finding nor whether work may go on: gate and rollout do.
package check
