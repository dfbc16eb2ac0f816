package fleet

import "time"

// Object is one object of a cluster, or of a file that is to become one, as far
// as the versions of its API are concerned.
type Object struct {
	APIVersion string `json:"apiVersion"` // "apps/v1"; "v1" for the core group
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	// Source says how it is known that the object is of this version.
	Source ObjectSource `json:"source"`
	// Where is the place to change it: "deploy/web.yaml:12", "release shop/web, revision 3".
	Where string `json:"where,omitempty"`
	// By is who wrote it at this version: a field manager, or a Helm release.
	By string `json:"by,omitempty"`
	// At is when it was written so; zero when that is not known.
	At time.Time `json:"at,omitzero"`
	// Owner is the object, release or tool that would write it again.
	Owner string `json:"owner,omitempty"`
}

// ObjectSource says where an object's API version was seen.
type ObjectSource string

// The sources, from the strongest evidence of use to the weakest.
const (
	FromManifest      ObjectSource = "manifest"      // a file that will be applied
	FromTemplate      ObjectSource = "template"      // what a template may be rendered to: it decides whether, or at which version
	FromRelease       ObjectSource = "release"       // a Helm release's newest revision
	FromManagedFields ObjectSource = "managedFields" // a client wrote the object at this version
	FromLastApplied   ObjectSource = "lastApplied"   // kubectl apply's annotation, which may be stale
	FromStorage       ObjectSource = "live"          // what the API server answers, whatever it was written as
)

// Key is "Deployment/shop/web", or "ClusterRole/admin" without a namespace.
func (o *Object) Key() string {
	if o.Namespace == "" {
		return o.Kind + "/" + o.Name
	}
	return o.Kind + "/" + o.Namespace + "/" + o.Name
}
