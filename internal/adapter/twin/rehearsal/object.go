package rehearsal

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// kind is an API group and a kind.
type kind struct{ group, name string }

// String is how people name it: "Pod", "apps/Deployment".
func (k kind) String() string { return strings.TrimPrefix(k.group+"/"+k.name, "/") }

// groupOf is "apps" of "apps/v1", and "" of "v1".
func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

func (o *Object) apiVersion() string { return text(o.Content, "apiVersion") }
func (o *Object) kind() kind         { return kind{groupOf(o.apiVersion()), text(o.Content, "kind")} }
func (o *Object) name() string       { return text(o.Content, "metadata", "name") }
func (o *Object) namespace() string  { return text(o.Content, "metadata", "namespace") }
func (o *Object) uid() string        { return text(o.Content, "metadata", "uid") }

// key is "shop/web", or "admin" of what is in no namespace.
func (o *Object) key() string { return strings.TrimPrefix(o.namespace()+"/"+o.name(), "/") }

// Key is how reports name an object: "Deployment/shop/web".
func (o *Object) Key() string { return o.kind().name + "/" + o.key() }

// owner is the object's controller.
type owner struct {
	kind kind
	name string
	uid  string
}

// controller finds the owner reference that says controller: true.
func (o *Object) controller() (owner, bool) {
	for _, ref := range o.owners() {
		if yes, _ := ref["controller"].(bool); yes {
			return owner{kind{groupOf(text(ref, "apiVersion")), text(ref, "kind")}, text(ref, "name"), text(ref, "uid")}, true
		}
	}
	return owner{}, false
}

func (o *Object) owners() []map[string]any {
	list, _, _ := unstructured.NestedSlice(o.Content, "metadata", "ownerReferences")
	refs := make([]map[string]any, 0, len(list))
	for _, one := range list {
		if ref, ok := one.(map[string]any); ok {
			refs = append(refs, ref)
		}
	}
	return refs
}

// text reads a text, or "" where there is none.
func text(content map[string]any, path ...string) string {
	s, _, _ := unstructured.NestedString(content, path...)
	return s
}

// number reads a whole number, or 0.
func number(content map[string]any, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(content, path...)
	return n
}

// part reads a part of an object; nil where there is none.
func part(content map[string]any, path ...string) map[string]any {
	value, _, _ := unstructured.NestedFieldNoCopy(content, path...)
	m, _ := value.(map[string]any)
	return m
}

// items reads a list of parts.
func items(content map[string]any, path ...string) []map[string]any {
	value, _, _ := unstructured.NestedFieldNoCopy(content, path...)
	list, _ := value.([]any)
	out := make([]map[string]any, 0, len(list))
	for _, one := range list {
		if m, ok := one.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func drop(content map[string]any, path ...string) {
	unstructured.RemoveNestedField(content, path...)
}

// put writes a value, making the parts on the way to it. What stands in the way
// and is no part is replaced.
func put(content map[string]any, value any, path ...string) {
	for _, key := range path[:len(path)-1] {
		next, ok := content[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			content[key] = next
		}
		content = next
	}
	content[path[len(path)-1]] = value
}
