// Package server is Liftlock's face to other programs over HTTP. The process
// that runs an engine serves a Unix socket in its state folder, over which
// people's requests reach the rollouts that it runs.
package server
