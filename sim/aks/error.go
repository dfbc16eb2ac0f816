package aks

import (
	"fmt"
	"net/http"
)

// Error is a refusal, or the end of a failed operation, as the service words it.
type Error struct {
	Status  int    // HTTP status; 0 inside an operation's result
	Code    string // "OperationNotAllowed"
	Message string
	Subcode string
	Target  string
	// ARM errors come wrapped in {"error":…} from the resource manager; the
	// others in the service's own flat shape.
	ARM bool
	// RetryAfter in seconds; 0 for none.
	RetryAfter int
}

// Error returns code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func badRequest(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

func notAllowed(format string, args ...any) *Error {
	return &Error{Status: http.StatusConflict, Code: "OperationNotAllowed", Message: fmt.Sprintf(format, args...)}
}

func failed(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalidParameter(name, format string, args ...any) *Error {
	e := badRequest("InvalidParameter", "The value of parameter %s is invalid. Error details: %s. Please see https://aka.ms/aks-naming-rules for more details.",
		name, fmt.Sprintf(format, args...))
	e.Target = name
	return e
}

func propertyChange(name string) *Error {
	e := badRequest("PropertyChangeNotAllowed", "Changing property '%s' is not allowed.", name)
	e.Target = name
	return e
}

func notFound(resourceType, name, group string) *Error {
	return &Error{
		Status: http.StatusNotFound, Code: "ResourceNotFound", ARM: true,
		Message: fmt.Sprintf("The Resource '%s/%s' under resource group '%s' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
			resourceType, name, group),
	}
}

func poolNotFound(pool, cluster string) *Error {
	return &Error{
		Status: http.StatusNotFound, Code: "NotFound",
		Message: fmt.Sprintf("Could not find the agent pool %q in managed cluster %q.", pool, cluster),
	}
}

func groupNotFound(group string) *Error {
	return &Error{
		Status: http.StatusNotFound, Code: "ResourceGroupNotFound", ARM: true,
		Message: fmt.Sprintf("Resource group '%s' could not be found.", group),
	}
}

func subscriptionNotFound(subscription string) *Error {
	return &Error{
		Status: http.StatusNotFound, Code: "SubscriptionNotFound", ARM: true,
		Message: fmt.Sprintf("The subscription '%s' could not be found.", subscription),
	}
}

func preconditionFailed() *Error {
	return &Error{
		Status: http.StatusPreconditionFailed, Code: "PreconditionFailed",
		Message: "The request etag did not match the resource's. Please get the latest state of the resource and retry.",
	}
}
