package manifest

import (
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// document is one object in a file, as far as it is written out.
type document struct {
	file            string
	line            int
	versions, kinds []literal
	name, namespace string
	// conditional: a template decides whether it is rendered at all.
	conditional bool
}

// literal is a value, and where it is. Of a template it is its source text.
type literal struct {
	text   string
	line   int
	action bool // there are actions of a template in it
}

// objects makes an object of a document for every version that it may be rendered
// to. why says why there is none.
func (d *document) objects(l *library) (objects []fleet.Object, why string) {
	pairs, why := d.pairs(l)
	if why != "" {
		return nil, why
	}
	source := fleet.FromManifest
	if d.conditional || len(pairs) > 1 || slices.ContainsFunc(d.versions, isAction) || slices.ContainsFunc(d.kinds, isAction) {
		source = fleet.FromTemplate
	}
	for _, p := range pairs {
		objects = append(objects, fleet.Object{
			APIVersion: p.version.text, Kind: p.kind.text, Namespace: d.namespace, Name: d.name,
			Source: source, Where: place(d.file, p.version.line),
		})
	}
	return objects, ""
}

func isAction(l literal) bool { return l.action }

// pair is a version and a kind that belong together.
type pair struct{ version, kind literal }

// pairs are the versions and kinds that a document may come to.
func (d *document) pairs(l *library) (pairs []pair, why string) {
	if len(d.kinds) == 0 && !d.versions[0].action && !looksLikeVersion(d.versions[0].text) {
		return nil, "" // something else's apiVersion: Grafana's are numbers
	}
	if len(d.kinds) == 0 {
		return nil, "has the apiVersion " + quote(d.versions[0].text) + " and no kind"
	}
	add := func(p pair) {
		if !slices.ContainsFunc(pairs, func(o pair) bool { return o.version.text == p.version.text && o.kind.text == p.kind.text }) {
			pairs = append(pairs, p)
		}
	}
	versions, why := l.resolve(d.file, d.versions, looksLikeVersion, "apiVersion")
	if why != "" {
		return nil, why
	}
	kinds, why := l.resolve(d.file, d.kinds, looksLikeKind, "kind")
	if why != "" {
		return nil, why
	}
	if len(versions) == len(kinds) { // branches that hold both
		for i := range versions {
			add(pair{versions[i], kinds[i]})
		}
		return pairs, ""
	}
	for _, v := range versions {
		for _, k := range kinds {
			add(pair{v, k})
		}
	}
	return pairs, ""
}

// quote shows a value in a message, shortened.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return `"` + strings.Join(strings.Fields(s), " ") + `"`
}
