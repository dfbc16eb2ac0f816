// Package gate decides whether work may go on: whether a ring may start its
// next clusters, has failed, must soak, waits for a person, or has proven its
// versions. It is given what is known and leaves the finding out to others.
package gate
