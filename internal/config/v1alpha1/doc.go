// Package v1alpha1 holds the Fleet file as people write it, field by field. The
// comments are the reference documentation: the JSON Schema and
// docs/reference/fleet-file.md are generated from them. The tag "jsonschema"
// says which fields are required, what their defaults are and which words they
// take; the decoder of package config follows the same tags.
//
// What the fields mean together (which belong with which, what contradicts
// what) is for package config to check; what to do with them, for the domain.
package v1alpha1

// APIVersion and Kind are what every Fleet file begins with.
const (
	APIVersion = "liftlock.dev/v1alpha1"
	Kind       = "Fleet"
)
