// Package cli is Liftlock's face in a terminal: flags in, tables, JSON and exit
// codes out. Results go to stdout, progress and messages to stderr.
package cli
