// Package config reads Fleet files: YAML to package v1alpha1's types, defaults
// applied, everything checked, and turned into a fleet.Spec. It reports every
// problem of a file at once, each with file, line, path, value and remedy, and
// never a partial Spec.
//
// It reads the one file that it is given. Whether the certificates, tokens and
// kubeconfigs that the file names exist, whether its subscriptions do, and which
// clusters its selectors find is for the adapters and the checks to say.
package config
