package kube

import (
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// right is one verb on one resource that a request needs.
type right struct{ verb, group, resource string }

// String is the RBAC rule that grants the right, ready to be put in a role.
func (r right) String() string {
	if r.group == nonResource {
		return fmt.Sprintf("{nonResourceURLs: [%q], verbs: [%q]}", r.resource, r.verb)
	}
	return fmt.Sprintf("{apiGroups: [%q], resources: [%q], verbs: [%q]}", r.group, r.resource, r.verb)
}

// explain says what was being done when err happened and, where the API server
// refused it for missing rights, which rule grants them.
func explain(err error, doing string, needs right) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: %w; grant the identity that Liftlock uses the rule %s", doing, err, needs)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the API server refused the credentials: %w; sign in again, or check the kubeconfig", doing, err)
	}
	if unanswered, ok := errors.AsType[*url.Error](err); ok {
		// Its own text is mostly the request's address with all its parameters.
		err = fmt.Errorf("the API server does not answer: %w", unanswered.Err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// statusOf finds the API server's answer in err; false where none came.
func statusOf(err error) (apierrors.APIStatus, bool) {
	var status apierrors.APIStatus
	found := errors.As(err, &status)
	return status, found
}
