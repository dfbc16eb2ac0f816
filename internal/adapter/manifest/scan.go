package manifest

import (
	"bytes"
	"slices"
	"strings"
)

// yaml reads the objects of a YAML text, line by line: what counts of an object
// stands at the beginning of its lines, and templates that a parser would refuse
// are read like anything else. Objects that are written in another manner are given
// to a parser.
func (f *findings) yaml(name string, text []byte) {
	masked := mask(text)
	conditions := findConditions(text)
	s := scanner{findings: f, name: name, lines: slices.Grow(f.scratch[:0], bytes.Count(text, []byte{'\n'})+1)}
	defer func() { f.scratch = s.lines }()
	line, at := 1, 0
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\n') + 1
		if n == 0 {
			n = len(text)
		}
		l := newLine(text[:n], masked[:n], line)
		for len(conditions) > 0 && conditions[0].to <= at {
			conditions = conditions[1:]
		}
		l.conditional = len(conditions) > 0 && conditions[0].from <= at
		s.lines = append(s.lines, l)
		text, masked = text[n:], masked[n:]
		line++
		at += n
	}
	for from := 0; from < len(s.lines); {
		to := from + 1
		for to < len(s.lines) && !s.lines[to].separator() {
			to++
		}
		s.document(from, to)
		from = to
	}
}

// hidden stands for every byte of a template's actions.
const hidden = 0x01

// mask hides the actions of a template, so that what is in them is not taken for
// YAML. The text keeps its length and its lines.
func mask(text []byte) []byte {
	if !bytes.Contains(text, []byte("{{")) {
		return text
	}
	out := bytes.Clone(text)
	// What has no closing any more is not looked for again: it would be once for
	// every opening.
	closed := map[string]int{"}}": bytes.LastIndex(text, []byte("}}")), "*/": bytes.LastIndex(text, []byte("*/"))}
	for at := 0; ; {
		begin := bytes.Index(out[at:], []byte("{{"))
		if begin < 0 {
			return out
		}
		begin += at
		rest := out[begin+2:]
		closing := "}}"
		if trimmed := bytes.TrimLeft(rest, "- \t"); bytes.HasPrefix(trimmed, []byte("/*")) {
			closing = "*/"
		}
		end := -1
		if begin < closed[closing] {
			end = bytes.Index(rest, []byte(closing))
		}
		switch {
		case end < 0: // never closed: it hides the rest of its line
			if end = bytes.IndexByte(rest, '\n'); end < 0 {
				end = len(rest)
			}
		case closing == "*/":
			if more := bytes.Index(rest[end:], []byte("}}")); more >= 0 {
				end += more
			}
			end = min(len(rest), end+2)
		default:
			end += 2
		}
		at = begin + 2 + end
		for i := begin; i < at; i++ {
			if out[i] != '\n' {
				out[i] = hidden
			}
		}
	}
}

// line is a line of YAML.
type line struct {
	text, masked []byte // without the indent
	indent       int
	number       int
	actions      bool // of a template
	defines      bool // a named template begins
	conditional  bool // it is within an if, a with or a range
}

func newLine(text, masked []byte, number int) line {
	masked = bytes.TrimRight(masked, "\r\n \t")
	text = text[:len(masked)]
	l := line{text: text, masked: masked, number: number, actions: bytes.IndexByte(masked, hidden) >= 0}
	l.defines = l.actions && bytes.Contains(text, []byte("define")) && defineBegin.Match(text)
	for len(l.masked) > 0 && (l.masked[0] == ' ' || l.masked[0] == hidden) {
		if l.masked[0] == ' ' {
			l.indent++
		}
		l.text, l.masked = l.text[1:], l.masked[1:]
	}
	return l
}

// empty reports whether a line holds nothing of an object.
func (l *line) empty() bool { return len(l.masked) == 0 || l.masked[0] == '#' }

// separator reports whether a new document begins with the line. A named template
// is one of its own: helpers hold several.
func (l *line) separator() bool { return l.defines || l.dashes() }

func (l *line) dashes() bool {
	return l.indent == 0 && (bytes.Equal(l.masked, []byte("---")) || bytes.HasPrefix(l.masked, []byte("--- ")) || bytes.HasPrefix(l.masked, []byte("---\t")) || bytes.Equal(l.masked, []byte("...")))
}

// entry divides "key: value"; a value has no comment. masked is the value where
// actions are hidden.
func (l *line) entry() (key string, value, masked []byte, found bool) {
	i := bytes.IndexByte(l.masked, ':')
	if i <= 0 || i+1 < len(l.masked) && !bytes.ContainsRune([]byte(" \t\x01"), rune(l.masked[i+1])) {
		return "", nil, nil, false
	}
	key = unquote(strings.TrimSpace(string(l.masked[:i])))
	value, masked = l.text[i+1:], l.masked[i+1:]
	if i := comment(masked); i >= 0 {
		value, masked = value[:i], masked[:i]
	}
	for len(masked) > 0 && (masked[0] == ' ' || masked[0] == '\t') {
		value, masked = value[1:], masked[1:]
	}
	masked = bytes.TrimRight(masked, " \t")
	return key, value[:len(masked)], masked, true
}

// comment finds where the comment behind a value begins.
func comment(value []byte) int {
	var in byte
	for i, c := range value {
		switch {
		case in != 0:
			if c == in {
				in = 0
			}
		case c == '"' || c == '\'':
			if i == 0 || value[i-1] == ' ' {
				in = c
			}
		case c == '#' && (i == 0 || value[i-1] == ' ' || value[i-1] == '\t'):
			return i
		}
	}
	return -1
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// scanner reads the lines of one file.
type scanner struct {
	*findings
	name  string
	lines []line
}

// document reads what is between two separators.
func (s *scanner) document(from, to int) {
	if s.lines[from].dashes() {
		if rest := bytes.TrimLeft(bytes.TrimPrefix(s.lines[from].masked, []byte("---")), " \t"); len(rest) > 0 && rest[0] != '#' && s.holdsVersion(from, to) {
			s.parse(from, to)
			return
		}
		from++
	}
	for from < to && s.lines[from].empty() {
		from++
	}
	if from == to || !s.holdsVersion(from, to) {
		return
	}
	first := &s.lines[from]
	if bytes.HasPrefix(first.masked, []byte("- ")) {
		s.items(from, to)
		return
	}
	s.object(from, to, first.indent)
}

const unreadableTemplate = "is a template of a shape of which not all can be read; render it, and check what comes of it"

// holdsVersion reports whether there may be an object in lines.
func (s *scanner) holdsVersion(from, to int) bool {
	return slices.ContainsFunc(s.lines[from:to], func(l line) bool { return bytes.Contains(l.masked, []byte("apiVersion")) })
}

// odd reports whether a value is not written out where it stands: a flow, an
// alias, an anchor, a tag, a block, a text of several lines.
func odd(masked []byte) bool {
	return len(masked) > 0 && (bytes.IndexByte([]byte("{[*&!|>%@`?"), masked[0]) >= 0 ||
		(masked[0] == '"' || masked[0] == '\'') && (len(masked) < 2 || masked[len(masked)-1] != masked[0]) || bytes.IndexByte(masked, '\\') >= 0)
}

// object reads the object whose keys are so far indented.
func (s *scanner) object(from, to, indent int) {
	if first := &s.lines[from]; len(first.masked) > 0 && bytes.IndexByte([]byte("{[&!?*|>%@"), first.masked[0]) >= 0 {
		if !s.parse(from, to) {
			s.skip(s.name, first.number, unreadableTemplate)
		}
		return
	}
	d := document{file: s.name, line: s.lines[from].number}
	strange, itemsFrom, itemsTo := false, -1, -1
	for i := from; i < to; i++ {
		l := &s.lines[i]
		if l.empty() || l.indent > indent {
			continue
		}
		if l.indent < indent { // what no object of this shape has
			strange = true
			continue
		}
		key, value, masked, found := l.entry()
		if !found {
			strange = strange || !l.actions && (i == from || !bytes.HasPrefix(l.masked, []byte("- ")))
			continue
		}
		if strings.ContainsAny(key, `"'{}[],#&*`+"`") { // the end of a text of several lines, or of a flow
			strange = true
			continue
		}
		switch key {
		case "apiVersion":
			strange = strange || odd(masked)
			d.versions = append(d.versions, newLiteral(value, masked, l.number))
			d.conditional = d.conditional || l.conditional
		case "kind":
			strange = strange || odd(masked)
			d.kinds = append(d.kinds, newLiteral(value, masked, l.number))
		case "metadata":
			strange = strange || odd(masked)
			s.metadata(&d, i+1, to, indent)
		case "items":
			strange = strange || odd(masked) && !bytes.Equal(masked, []byte("[]"))
			itemsFrom, itemsTo = i+1, s.end(i+1, to, indent)
		case "<<":
			strange = true
		}
	}
	d.versions = slices.DeleteFunc(d.versions, func(l literal) bool { return l.text == "" })
	d.kinds = slices.DeleteFunc(d.kinds, func(l literal) bool { return l.text == "" })
	template := s.template(from, to)
	switch {
	case (strange || !template && (len(d.versions) > 1 || len(d.kinds) > 1)) && s.parse(from, to):
		return
	case strange && (len(d.versions) > 0 || !strings.HasSuffix(s.name, ".tpl")): // which may be of something else
		s.skip(s.name, d.line, unreadableTemplate)
	}
	switch {
	case len(d.kinds) > 0 && isList(d.kinds[0].text) && itemsFrom >= 0:
		s.items(itemsFrom, itemsTo)
	case len(d.versions) > 0:
		d.line = d.versions[0].line
		d.name = objectName(d.name, "")
		s.documents = append(s.documents, d)
	}
}

// newLiteral is a value; of one with actions, its source.
func newLiteral(value, masked []byte, number int) literal {
	if bytes.IndexByte(masked, hidden) >= 0 {
		return literal{strings.TrimSpace(string(value)), number, true}
	}
	return literal{unquote(string(value)), number, false}
}

// end is where the value of a key ends that is so far indented. The items of a
// list may be as far indented as their key.
func (s *scanner) end(from, to, indent int) int {
	for i := from; i < to; i++ {
		if l := &s.lines[i]; !l.empty() && (l.indent < indent || l.indent == indent && !bytes.HasPrefix(l.masked, []byte("-"))) {
			return i
		}
	}
	return to
}

// metadata reads an object's name and namespace.
func (s *scanner) metadata(d *document, from, to, indent int) {
	inner, prefix := -1, ""
	for i := from; i < to; i++ {
		l := &s.lines[i]
		if l.empty() {
			continue
		}
		if l.indent <= indent {
			break
		}
		if inner < 0 {
			inner = l.indent
		}
		if l.indent != inner {
			continue
		}
		key, value, masked, found := l.entry()
		if !found || odd(masked) {
			continue
		}
		switch key {
		case "name":
			d.name = newLiteral(value, masked, l.number).text
		case "generateName":
			prefix = newLiteral(value, masked, l.number).text
		case "namespace":
			d.namespace = newLiteral(value, masked, l.number).text
		}
	}
	if d.name == "" && prefix != "" {
		d.name = prefix + "*"
	}
}

// items reads the objects of a list.
func (s *scanner) items(from, to int) {
	begin, indent := -1, -1
	finish := func(end int) {
		if begin < 0 || !s.holdsVersion(begin, end) {
			return
		}
		first := s.lines[begin] // "- apiVersion: v1": what follows the dash is as far in as the other keys
		dropped := 1
		for dropped < len(first.masked) && first.masked[dropped] == ' ' {
			dropped++
		}
		was := s.lines[begin]
		first.text, first.masked, first.indent = first.text[dropped:], first.masked[dropped:], first.indent+dropped
		s.lines[begin] = first
		at := first.indent
		if len(first.masked) == 0 { // the dash stands alone
			for i := begin + 1; i < end; i++ {
				if !s.lines[i].empty() {
					at = s.lines[i].indent
					break
				}
			}
		}
		s.object(begin, end, at)
		s.lines[begin] = was
	}
	for i := from; i < to; i++ {
		l := &s.lines[i]
		if l.empty() || indent >= 0 && l.indent != indent || !bytes.HasPrefix(l.masked, []byte("-")) {
			continue
		}
		indent = l.indent
		finish(i)
		begin = i
	}
	finish(to)
}

// template reports whether lines hold actions.
func (s *scanner) template(from, to int) bool {
	return slices.ContainsFunc(s.lines[from:to], func(l line) bool { return l.actions })
}
