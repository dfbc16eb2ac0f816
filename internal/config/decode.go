package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"liftlock.dev/liftlock/internal/config/v1alpha1"
)

// maxValues bounds how many values a file may come to once its aliases are
// followed, which can be exponentially more than it has bytes.
const maxValues = 100_000

// reader gathers the problems of one file, and where its values are.
type reader struct {
	file     string
	problems []Problem
	places   map[string]spot     // path → where
	broken   map[string]bool     // paths that have a problem already
	below    map[string]bool     // paths under which there is a problem
	known    map[string][]string // key → where it belongs
	lines    []string            // of the file
	values   int
}

// spot is where a path is in the file: its value, or its key where that is
// better to point at.
type spot struct {
	at   position
	node *node
}

// problem records a problem of the file.
func (r *reader) problem(p Problem) {
	p.File = r.file
	r.breaks(p.Path)
	r.problems = append(r.problems, p)
}

// breaks marks a path as bad, so that nothing more is made of its value.
func (r *reader) breaks(path string) {
	r.broken[path] = true
	for p := path; p != ""; {
		p = parent(p)
		r.below[p] = true
	}
}

// parent is the path of what holds a path: spec.rings[0] of spec.rings[0].soak.
func parent(path string) string {
	if strings.HasSuffix(path, `"]`) { // a key that is no plain word, which may hold dots
		return path[:max(0, strings.Index(path, `["`))]
	}
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// decode fills a value from a node, following the tags of its type.
func (r *reader) decode(n *node, v reflect.Value, path string, want rules) {
	r.values++
	if r.values > maxValues {
		return // reported once by the caller
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if n.broken {
		return
	}
	if n.kind == null {
		r.complain(path, n, "has no value", want.orRemove("give it one"))
		return
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		if r.is(n, scalar, path, "one value", want) {
			r.text(n, u, path)
		}
		return
	}
	switch k := v.Kind(); k {
	case reflect.Struct:
		if short, ok := reflect.TypeAssert[interface{ SetShorthand(text string) }](v.Addr()); ok && n.kind == scalar {
			r.shorthand(n, v, short.SetShorthand, path)
			return
		}
		if r.is(n, mapping, path, "a mapping", want) {
			r.structure(n, v, path)
		}
	case reflect.Slice:
		if r.is(n, sequence, path, "a list", want) {
			r.list(n, v, path, want)
		}
	case reflect.Map:
		if r.is(n, mapping, path, "a mapping", want) {
			r.words(n, v, path)
		}
	case reflect.String:
		if r.is(n, scalar, path, "one value", want) {
			r.word(n, v, path, want)
		}
	case reflect.Bool:
		if r.is(n, scalar, path, "true or false", want) {
			if n.text != "true" && n.text != "false" {
				r.complain(path, n, "is neither true nor false", "write true or false")
				return
			}
			v.SetBool(n.text == "true")
		}
	case reflect.Int:
		if r.is(n, scalar, path, "a whole number", want) {
			i, err := strconv.Atoi(n.text)
			if err != nil || i < want.least || i > want.most {
				r.complain(path, n, "is out of range", fmt.Sprintf("write a whole number from %d to %d", want.least, want.most))
				return
			}
			v.SetInt(int64(i))
		}
	default:
		panic("config: no rule to decode " + v.Type().String())
	}
}

// is reports whether a node has the shape that is needed, and complains if not.
func (r *reader) is(n *node, shape kind, path, wanted string, want rules) bool {
	if n.kind == shape {
		return true
	}
	remedy := "write " + wanted + " here"
	switch {
	case want.example != "":
		remedy = "write it like this: " + want.name + ": " + want.example
	case shape == mapping && path == "":
		remedy = "begin with apiVersion: liftlock.dev/v1alpha1 and kind: Fleet"
	case shape == sequence && n.kind == scalar:
		remedy = "write a list, even of one: [" + strings.Trim(show(n.text), `"`) + "]"
	case shape == sequence && n.kind == mapping:
		remedy = "write a list: begin each item with a dash"
	case shape == scalar && n.kind == sequence:
		remedy = "write one value, not a list"
	}
	r.complain(path, n, "must be "+wanted, remedy)
	return false
}

// complain records a problem with a node.
func (r *reader) complain(path string, n *node, what, remedy string) {
	s, ok := r.places[path]
	if !ok {
		s = spot{n.at, n}
	}
	r.problem(Problem{Line: s.at.line, Column: s.at.column, Path: path, Value: shown(n, path), What: what, Remedy: remedy})
}

// shown is how a node's value is shown to people.
func shown(n *node, path string) string {
	switch {
	case n.kind == null:
		return ""
	case n.kind == mapping && len(n.entries) == 0:
		return "an empty mapping"
	case n.kind == sequence && len(n.items) == 0:
		return "an empty list"
	case n.kind != scalar:
		return string(n.kind)
	case secretKey.MatchString(path[strings.LastIndex(path, ".")+1:]):
		return hidden
	}
	return show(n.text)
}

// text fills a value that knows how to read itself.
func (r *reader) text(n *node, u encoding.TextUnmarshaler, path string) {
	err := u.UnmarshalText([]byte(n.text))
	if err == nil {
		return
	}
	what, remedy := err.Error(), ""
	if ve, ok := errors.AsType[*v1alpha1.ValueError](err); ok {
		what, remedy = ve.What, ve.Remedy
	}
	r.complain(path, n, what, remedy)
}

// word fills a text, which may have to be one of some words.
func (r *reader) word(n *node, v reflect.Value, path string, want rules) {
	if strings.TrimSpace(n.text) == "" {
		r.complain(path, n, "is empty", want.orRemove("give it a value"))
		return
	}
	if len(want.words) > 0 && !slices.Contains(want.words, n.text) {
		remedy := "write " + want.words[0]
		if len(want.words) > 1 {
			remedy = "write one of " + strings.Join(want.words, ", ")
		}
		if near := nearest(n.text, want.words); near != "" && len(want.words) > 1 {
			remedy = fmt.Sprintf("did you mean %s? Otherwise %s", near, remedy)
		}
		r.complain(path, n, "is not known here", remedy)
		return
	}
	if secretText.MatchString(n.text) {
		r.complain(path, n, "looks like a secret", "remove it, have it replaced where it was issued, and name a file that holds it instead (secretFile, certificateFile, tokenFile)")
		return
	}
	v.SetString(n.text)
}

// words fills a map of texts.
func (r *reader) words(n *node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	if len(n.entries) == 0 {
		r.complain(path, n, "is empty", "give it entries, or remove the key")
	}
	for _, e := range n.entries {
		at := field(path, e.key)
		r.places[at] = spot{e.at, e.value}
		value := reflect.New(v.Type().Elem()).Elem()
		r.decode(e.value, value, at, rules{})
		v.SetMapIndex(reflect.ValueOf(e.key), value)
	}
}

// list fills a list.
func (r *reader) list(n *node, v reflect.Value, path string, want rules) {
	if len(n.items) < want.atLeast {
		r.complain(path, n, "is empty", want.orRemove("give it an item"))
		return
	}
	if len(n.items) == 0 {
		return
	}
	seen := map[string]int{}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, it := range n.items {
		at := item(path, i)
		r.places[at] = spot{it.at, it}
		if want.unique && it.kind == scalar {
			if first, twice := seen[it.text]; twice {
				r.complain(at, it, "is in the list twice", fmt.Sprintf("it is already item %d: keep one of them", first+1))
				continue
			}
			seen[it.text] = i
		}
		r.decode(it, v.Index(i), at, rules{})
	}
}

// shorthand fills a structure that is written as a single word, by the rules of
// the field that the word stands for: the first one.
func (r *reader) shorthand(n *node, v reflect.Value, set func(text string), path string) {
	r.defaults(v)
	word := reflect.New(reflect.TypeFor[string]()).Elem()
	r.word(n, word, path, rulesOf(v.Type().Field(0)))
	if !r.broken[path] {
		set(word.String())
	}
}

// structure fills a structure: defaults first, then what is given.
func (r *reader) structure(n *node, v reflect.Value, path string) {
	r.defaults(v)
	fields := map[string]int{}
	var names []string
	for i := range v.NumField() {
		name := rulesOf(v.Type().Field(i)).name
		fields[name] = i
		names = append(names, name)
	}
	for _, e := range n.entries {
		at := field(path, e.key)
		i, ok := fields[e.key]
		spotted := spot{e.value.at, e.value}
		if e.value.kind != scalar || !ok {
			spotted.at = e.at
		}
		r.places[at] = spotted
		switch {
		case !ok && secretKey.MatchString(e.key):
			r.complain(at, e.value, "would put a secret into the file", "remove it, have it replaced where it was issued, and name a file that holds it: secretFile, certificateFile or tokenFile of spec.azure.identity")
		case !ok:
			meant, remedy := elsewhere(e.key, names, r.known)
			r.complain(at, e.value, "is not a known key", remedy)
			if meant != "" {
				r.breaks(field(path, meant)) // which is not missing, then
			}
		default:
			r.decode(e.value, v.Field(i), at, rulesOf(v.Type().Field(i)))
		}
	}
	for i := range v.NumField() {
		want := rulesOf(v.Type().Field(i))
		at := field(path, want.name)
		if _, given := r.places[at]; want.required && !given && !r.broken[at] {
			r.missing(at, n, want)
		}
	}
}

// missing reports a required key that is not given, at the place of its parent.
func (r *reader) missing(path string, parent *node, want rules) {
	remedy := "add it"
	switch {
	case len(want.words) == 1:
		remedy = "add " + want.name + ": " + want.words[0]
	case want.example != "":
		remedy = "add it, such as " + want.name + ": " + want.example
	}
	r.problem(Problem{Line: parent.at.line, Column: parent.at.column, Path: path, What: "is required and not given", Remedy: remedy})
}

// defaults fills the fields of a structure, and of those in it, with what their
// tags say.
func (r *reader) defaults(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		want := rulesOf(v.Type().Field(i))
		if want.hasStandard {
			r.standard(f, want.standard)
		} else if f.Kind() == reflect.Struct {
			if _, ok := reflect.TypeAssert[encoding.TextUnmarshaler](f.Addr()); !ok {
				r.defaults(f)
			}
		}
	}
}

// standard sets a default. A tag that does not fit its type is a mistake of
// this program, not of the file.
func (r *reader) standard(f reflect.Value, text string) {
	var err error
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](f.Addr()); ok {
		err = u.UnmarshalText([]byte(text))
	} else {
		switch k := f.Kind(); k {
		case reflect.String:
			f.SetString(text)
		case reflect.Bool:
			f.SetBool(text == "true")
		case reflect.Int:
			f.SetInt(int64(number(text)))
		default:
			err = errors.New("no rule for this type")
		}
	}
	if err != nil {
		panic(fmt.Sprintf("config: default %q of %s: %v", text, f.Type(), err))
	}
}

// belongings maps every key of the file to the places where it may stand.
func belongings(t reflect.Type, path string, res map[string][]string) map[string][]string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice {
			path += "[]"
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return res
	}
	for f := range t.Fields() {
		name := rulesOf(f).name
		if place := strings.TrimPrefix(path, "."); place != "" && len(res[name]) < 3 {
			res[name] = append(res[name], place)
		}
		belongings(f.Type, path+"."+name, res)
	}
	return res
}
