// Package helm reads what Helm has stored in a cluster. It takes of a release what
// its manifest and its hooks are written as, and keeps neither values nor text.
package helm
