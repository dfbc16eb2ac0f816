// Package report tells what happened in a rollout, for people and for machines:
// JSON in a published form, a page of HTML that needs nothing beside itself,
// JUnit for pipelines and a short text for terminals.
//
// It works on the plain values of Report and writes to what it is given. It
// reads no store and no clock; who calls it gathers the values.
package report
