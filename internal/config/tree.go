package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a file, far above what a fleet of thousands of clusters needs. They
// keep a hostile or broken file from using up time, memory or stack: the YAML
// parser recurses over nesting and takes quadratic time over keys.
const (
	maxBytes   = 1 << 20
	maxKeys    = 20_000
	maxNesting = 64
)

// position is a place in a file, counted from 1.
type position struct{ line, column int }

// kind is the shape of a node.
type kind string

const (
	mapping  kind = "a mapping"
	sequence kind = "a list"
	scalar   kind = "a value"
	null     kind = "nothing"
)

// node is a YAML value with its place. Aliases share the node of their anchor.
type node struct {
	kind    kind
	at      position
	text    string  // of a scalar, as written
	entries []entry // of a mapping, in the order of the file, keys unique
	items   []*node // of a sequence
	broken  bool    // reported already
}

// entry is one key of a mapping.
type entry struct {
	key   string
	at    position
	value *node
}

// parse turns a file into the node of its document. What it cannot read at all
// is reported as a problem and yields nil.
func (r *reader) parse(data []byte) *node {
	switch {
	case len(data) > maxBytes:
		r.problem(Problem{
			Line: 1, Column: 1, What: "is larger than 1 MiB", Value: fmt.Sprintf("%d bytes", len(data)),
			Remedy: "this is likely not a Fleet file; select clusters by patterns and tags instead of listing them",
		})
		return nil
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}), bytes.HasPrefix(data, []byte{0xFF, 0xFE}), !utf8.Valid(data):
		r.problem(Problem{Line: badLine(data), Column: 1, What: "is not text in UTF-8", Remedy: "save the file as UTF-8"})
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	for i, line := range bytes.Split(data, []byte("\n")) {
		at := bytes.IndexFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7F })
		if at >= 0 {
			r.problem(Problem{Line: i + 1, Column: at + 1, What: "has a control character", Value: fmt.Sprintf("%q", line[at]), Remedy: "remove it"})
			return nil
		}
	}

	r.lines = strings.Split(string(data), "\n")
	body, ok := r.document(string(data))
	if !ok {
		return nil
	}
	if body == nil {
		r.problem(Problem{Line: 1, Column: 1, What: "is empty", Remedy: "begin with apiVersion: liftlock.dev/v1alpha1 and kind: Fleet; examples/fleet.yaml is a good start"})
		return nil
	}
	b := builder{reader: r, anchors: map[string]*node{}}
	return b.build(body, "")
}

// badLine is the first line that is not UTF-8, or 1.
func badLine(data []byte) int {
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) {
			return i + 1
		}
	}
	return 1
}

// document parses the text and returns its only document, nil where it holds
// none.
func (r *reader) document(text string) (body ast.Node, ok bool) {
	defer func() {
		// The parser was fed with what people type; a panic in it is a file
		// that it cannot read, and no reason to fall over.
		if recover() != nil {
			r.problem(Problem{Line: 1, Column: 1, What: "cannot be read as YAML", Remedy: "look for unbalanced quotes, brackets and indentation"})
			body, ok = nil, false
		}
	}()
	tokens := lexer.Tokenize(text)
	if !r.bearable(tokens) {
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil, false
	}
	for _, d := range file.Docs {
		if d.Body != nil && d.Body.Type() != ast.NullType && d.Body.Type() != ast.DirectiveType && d.Body.Type() != ast.CommentGroupType {
			return d.Body, true
		}
	}
	return nil, true
}

// bearable looks at the tokens for what the parser must not be given, and for
// further documents, of which it loses some.
func (r *reader) bearable(tokens token.Tokens) bool {
	keys, flow, line, inLine := 0, 0, 0, 0
	content := false // since the last document marker
	documents, directive := 0, 0
	for _, t := range tokens {
		at := Problem{Line: t.Position.Line, Column: t.Position.Column}
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch is := t.Type; is { //nolint:exhaustive // the others neither open nor close anything
		case token.MappingValueType:
			keys++
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			inLine++
		case token.DocumentHeaderType, token.DocumentEndType:
			content = false
			continue
		case token.DirectiveType:
			directive = t.Position.Line
		}
		if t.Type == token.CommentType || t.Position.Line == directive {
			continue
		}
		if !content {
			content = true
			documents++
			if documents > 1 {
				at.What = "begins a second document"
				at.Remedy = "a file holds one fleet: put the other into a file of its own"
				r.problem(at)
				return false
			}
		}
		switch {
		case flow > maxNesting || inLine > maxNesting:
			at.What, at.Remedy = "is nested too deeply", "look for a bracket that is never closed"
		case keys > maxKeys:
			at.What = fmt.Sprintf("has more than %d keys", maxKeys)
			at.Remedy = "select clusters by patterns and tags instead of listing them"
		default:
			continue
		}
		r.problem(at)
		return false
	}
	return true
}

// syntax reports an error of the parser. Its own text quotes lines of the file,
// which may hold anything, so only message and place are taken.
func (r *reader) syntax(err error) {
	p := Problem{Line: 1, Column: 1, What: "cannot be read as YAML", Remedy: "check quotes, brackets and indentation here and on the line above"}
	if y, ok := errors.AsType[yaml.Error](err); ok {
		if t := y.GetToken(); t != nil && t.Position != nil {
			p.Line, p.Column = max(t.Position.Line, 1), max(t.Position.Column, 1)
		}
		p.What = "is not YAML: " + strings.ReplaceAll(y.GetMessage(), "\t", "TAB")
		switch {
		case strings.Contains(y.GetMessage(), "\t"):
			p.What, p.Remedy = "is indented with a tab", "indent with spaces"
		case strings.Contains(y.GetMessage(), "undefined alias name"), p.Line <= len(r.lines) && bareStar.MatchString(r.lines[p.Line-1]):
			p.Remedy = `put quotes around a pattern that begins with a star: "*-prod"`
		case strings.Contains(y.GetMessage(), "reserved character"), strings.Contains(y.GetMessage(), "directive"):
			p.Remedy = "put quotes around the value"
		case strings.Contains(y.GetMessage(), "mapping value is not allowed"):
			p.Remedy = "put quotes around a value with a colon in it, or begin a new line"
		}
	}
	r.problem(p)
}

// bareStar matches a line with a star that YAML takes for an alias.
var bareStar = regexp.MustCompile(`(^|[\s\[,])\*[\s,\]]`)

// builder turns the parser's tree into nodes.
type builder struct {
	*reader
	anchors map[string]*node
}

// build returns the node of a parsed value. It never returns nil: what cannot
// be used is reported and yields a broken node of kind null.
func (b *builder) build(n ast.Node, path string) *node {
	switch n := n.(type) {
	case *ast.MappingNode:
		return b.mapping(place(n), n.Values, path)
	case *ast.MappingValueNode:
		return b.mapping(place(n), []*ast.MappingValueNode{n}, path)
	case *ast.SequenceNode:
		res := &node{kind: sequence, at: place(n)}
		for i, v := range n.Values {
			res.items = append(res.items, b.build(v, item(path, i)))
		}
		return res
	case *ast.AnchorNode:
		value := b.build(n.Value, path)
		b.anchors[n.Name.GetToken().Value] = value
		return value
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		value, ok := b.anchors[name]
		if !ok {
			p := at(path, place(n))
			p.What, p.Value = "refers to an anchor that is not defined above", "*"+name
			p.Remedy = `define it with &` + name + `, or put quotes around a pattern: "*` + name + `"`
			b.problem(p)
			return &node{kind: null, at: place(n), broken: true}
		}
		return value
	case *ast.TagNode:
		if t := n.GetToken().Value; !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map"}, t) {
			p := at(path, place(n))
			p.What, p.Value, p.Remedy = "has a YAML tag that means nothing here", t, "remove it; put quotes around a value that begins with an exclamation mark"
			b.problem(p)
		}
		if n.Value == nil {
			return &node{kind: null, at: place(n)}
		}
		return b.build(n.Value, path)
	case *ast.LiteralNode:
		return &node{kind: scalar, at: place(n), text: n.Value.GetToken().Value}
	case *ast.NullNode, nil:
		return &node{kind: null, at: place(n)}
	default: // strings, numbers, booleans: their text is what counts
		return &node{kind: scalar, at: place(n), text: n.GetToken().Value}
	}
}

// mapping returns the node of a mapping: keys unique, merges done.
func (b *builder) mapping(begins position, values []*ast.MappingValueNode, path string) *node {
	res := &node{kind: mapping, at: begins}
	seen := map[string]int{} // key → index
	var merged []*node
	for _, v := range values {
		keyAt := place(v.Key)
		if v.Key.IsMergeKey() {
			merged = append(merged, b.merge(v.Value, path)...)
			continue
		}
		var key ast.Node = v.Key
		if complicated, ok := key.(*ast.MappingKeyNode); ok && complicated.Value != nil {
			key = complicated.Value
		}
		name := b.build(key, path)
		if name.kind != scalar {
			p := at(path, keyAt)
			p.What, p.Remedy = "is not a key", "keys are plain words"
			b.problem(p)
			continue
		}
		if i, twice := seen[name.text]; twice {
			p := at(field(path, name.text), keyAt)
			p.What = "is given a second time"
			p.Remedy = fmt.Sprintf("it is already given on line %d: keep one of them", res.entries[i].at.line)
			b.problem(p)
			continue
		}
		if len(res.entries) == 0 {
			res.at = keyAt
		}
		seen[name.text] = len(res.entries)
		res.entries = append(res.entries, entry{key: name.text, at: keyAt, value: b.build(v.Value, field(path, name.text))})
	}
	for _, m := range merged {
		for _, e := range m.entries {
			if _, given := seen[e.key]; !given {
				seen[e.key] = len(res.entries)
				res.entries = append(res.entries, e)
			}
		}
	}
	return res
}

// merge returns the mappings that a merge key (<<) brings in.
func (b *builder) merge(value ast.Node, path string) []*node {
	n := b.build(value, path)
	list := []*node{n}
	if n.kind == sequence {
		list = n.items
	}
	for _, m := range list {
		if m.kind != mapping {
			p := at(path, n.at)
			p.What, p.Remedy = "merges something that is not a mapping", "write <<: *name, with &name at a mapping above"
			b.problem(p)
			return nil
		}
	}
	return list
}

// at begins a problem at a place.
func at(path string, p position) Problem {
	return Problem{Path: path, Line: p.line, Column: p.column}
}

// field is the path of a key in a mapping.
func field(path, key string) string {
	if !plain.MatchString(key) {
		return path + "[" + show(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// plain matches keys that need no quotes in a path.
var plain = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// item is the path of an item of a list.
func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// place is where a parsed value begins.
func place(n ast.Node) position {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return position{1, 1}
	}
	p := n.GetToken().Position
	return position{max(p.Line, 1), max(p.Column, 1)}
}
