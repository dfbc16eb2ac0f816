package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of what is given to a parser, which holds a text many times over.
const (
	maxParsed = 1 << 20
	maxNodes  = 200_000 // objects and lists that are looked at, aliases followed
)

// parse gives lines to a YAML parser. It reports false where they hold a template
// that no parser reads: what was found by looking at lines is all there is then.
func (s *scanner) parse(from, to int) bool {
	var text bytes.Buffer
	for _, l := range s.lines[from:to] {
		text.WriteString(strings.Repeat(" ", l.indent))
		text.Write(l.text)
		text.WriteByte('\n')
	}
	template := s.template(from, to)
	number := s.lines[from].number
	if text.Len() > maxParsed {
		if !template {
			s.skip(s.name, number, "is written in a manner that is read up to %d MiB only", maxParsed>>20)
		}
		return !template
	}
	root, err := parseNode(&text)
	if err != nil {
		if !template {
			s.skip(s.name, number, "is no YAML: %s", parserError(err, number))
		}
		return !template
	}
	found := scanner{findings: &findings{}, name: s.name}
	budget := maxNodes
	found.node(root, number-1, &budget)
	if template && len(found.documents) == 0 {
		return false
	}
	s.documents = append(s.documents, found.documents...)
	s.skipped = append(s.skipped, found.skipped...)
	if budget < 0 {
		s.skip(s.name, number, "comes to more than %d objects and lists once its aliases are followed; the rest was not looked at", maxNodes)
	}
	return true
}

// parseNode parses one document. A parser's panic is an error like another: what a
// file holds must not end the program.
func parseNode(text io.Reader) (root *yaml.Node, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the parser fails over it: %v", cause)
		}
	}()
	root = new(yaml.Node)
	if err := yaml.NewDecoder(text).Decode(root); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return root, nil
}

// parserError is the parser's message with the line of the file.
func parserError(err error, number int) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var n int
	if _, scanned := fmt.Sscanf(text, "line %d:", &n); scanned == nil {
		if _, rest, found := strings.Cut(text, ": "); found {
			return fmt.Sprintf("line %d: %s", n+number-1, rest)
		}
	}
	return strings.Join(strings.Fields(text), " ")
}

// node reads objects out of a parsed text. offset is added to lines.
func (s *scanner) node(n *yaml.Node, offset int, budget *int) {
	if *budget--; *budget < 0 {
		return
	}
	switch n.Kind {
	case yaml.AliasNode:
		s.node(n.Alias, offset, budget)
	case yaml.DocumentNode, yaml.SequenceNode:
		for _, inner := range n.Content {
			s.node(inner, offset, budget)
		}
	case yaml.MappingNode:
		s.mapping(n, offset, budget)
	case yaml.ScalarNode:
	}
}

// mapping reads an object, or a list of objects.
func (s *scanner) mapping(n *yaml.Node, offset int, budget *int) {
	apiVersion, kind, metadata, items := field(n, "apiVersion", 0), field(n, "kind", 0), field(n, "metadata", 0), field(n, "items", 0)
	if kind != nil && isList(kind.Value) && items != nil && items.Kind == yaml.SequenceNode {
		s.node(items, offset, budget)
		return
	}
	if apiVersion == nil || apiVersion.Kind != yaml.ScalarNode || apiVersion.Value == "" {
		return
	}
	line := apiVersion.Line + offset
	if kind == nil || kind.Kind != yaml.ScalarNode || kind.Value == "" {
		if !looksLikeVersion(apiVersion.Value) {
			return
		}
		s.skip(s.name, line, "has the apiVersion %s and no kind", quote(apiVersion.Value))
		return
	}
	for _, key := range []string{"apiVersion", "kind"} {
		if keys(n, key) > 1 {
			s.skip(s.name, line, "has %s twice: which one counts is not certain", key)
		}
	}
	d := document{file: s.name, line: line, versions: []literal{parsed(apiVersion.Value, line)}, kinds: []literal{parsed(kind.Value, line)}}
	if metadata != nil {
		d.name = objectName(value(metadata, "name"), value(metadata, "generateName"))
		d.namespace = value(metadata, "namespace")
	}
	d.name = objectName(d.name, "")
	s.documents = append(s.documents, d)
}

// field is a mapping's value for a key, its own or merged into it.
func field(n *yaml.Node, key string, depth int) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode || depth > 8 {
		return nil
	}
	var merged *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		v := n.Content[i+1]
		switch n.Content[i].Value {
		case key:
			if v.Kind == yaml.AliasNode {
				return v.Alias
			}
			return v
		case "<<":
			from := []*yaml.Node{v}
			if v.Kind == yaml.SequenceNode {
				from = v.Content
			}
			for _, m := range from[:min(len(from), 16)] {
				if merged == nil {
					merged = field(m, key, depth+1)
				}
			}
		}
	}
	return merged
}

func parsed(text string, line int) literal { return literal{text, line, strings.Contains(text, "{{")} }

// keys counts how often a mapping has a key of its own.
func keys(n *yaml.Node, key string) int {
	count := 0
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			count++
		}
	}
	return count
}

// value is a mapping's text for a key.
func value(n *yaml.Node, key string) string {
	if v := field(n, key, 0); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}
