package aks

import (
	"encoding/json"
	"net/http"
	"strings"
)

// Preconditions are the etag headers of a request.
type Preconditions struct{ IfMatch, IfNoneMatch string }

// check applies the preconditions to a resource that exists, or does not.
func (p Preconditions) check(exists bool, etag string) error {
	match, noneMatch := strings.Trim(p.IfMatch, `"`), strings.Trim(p.IfNoneMatch, `"`)
	switch {
	case match != "" && noneMatch != "":
		return &Error{Status: http.StatusBadRequest, Code: "InvalidParameter", Message: "If-Match and If-None-Match headers cannot both be specified."}
	case noneMatch != "" && noneMatch != "*":
		return &Error{Status: http.StatusBadRequest, Code: "InvalidParameter", Message: "The If-None-Match header may only be empty or \"*\"."}
	case noneMatch == "*" && exists, match != "" && !exists, match != "" && match != "*" && match != etag:
		return preconditionFailed()
	}
	return nil
}

// Result is the answer to a request that changes something.
type Result struct {
	Body    json.RawMessage // nil for none
	Created bool
	// Operation is nil where the request was carried out at once.
	Operation *Operation
}
