// Package view shows a rollout that is under way: as a picture that is drawn
// anew in a terminal, or as plain lines, one for each change, where there is
// none. Both show the same value, Model. The package asks nothing and changes
// nothing; it is given models and streams, and reads no environment.
package view
