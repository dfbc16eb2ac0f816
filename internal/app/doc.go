// Package app puts Liftlock together: it is the only package that knows the
// faces and all the adapters, and hands each what it needs.
package app
