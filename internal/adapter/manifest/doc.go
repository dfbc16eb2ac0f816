// Package manifest reads which API versions the objects in files are written as:
// YAML and JSON, Helm charts, plain or packed, and Kustomize folders.
//
// It renders nothing. Of a template it reads what is written out, which is nearly
// always the apiVersion and the kind; where a template decides them, every version
// that it writes out is a possible one. What could not be read is told beside what
// was, since a file that was not read is not free of anything. What the versions
// mean is decided elsewhere.
package manifest
