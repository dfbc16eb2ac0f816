package manifest

import (
	"bytes"
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"
)

// define is a named template, as helpers hold them.
type define struct {
	file, name, body string
}

var (
	defineBegin = regexp.MustCompile(`\{\{-?\s*define\s+"([^"]+)"\s*-?\}\}`)
	action      = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	blockWord   = regexp.MustCompile(`^\{\{-?\s*(if|with|range|block|define|end)\b`)
	// condition is a question to the cluster: its text is no result.
	condition = regexp.MustCompile(`(APIVersions\.Has|semverCompare)\s+\(?"[^"]*"`)
	include   = regexp.MustCompile(`\b(?:include|template)\s+"([^"]+)"`)
	quoted    = regexp.MustCompile("\"([^\"]*)\"|`([^`]*)`|'([^']*)'")
	version   = regexp.MustCompile(`^(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?v[0-9]+(?:(?:alpha|beta)[0-9]+)?$`)
	kindName  = regexp.MustCompile(`^[A-Z][A-Za-z0-9]+$`)
)

func looksLikeVersion(s string) bool { return version.MatchString(s) }
func looksLikeKind(s string) bool    { return kindName.MatchString(s) }

// findDefines finds the named templates in a text.
func findDefines(file string, text []byte) []define {
	var found []define
	blocks(text, func(b block, to int) {
		if b.name != "" {
			found = append(found, define{file, b.name, string(text[b.from:to])})
		}
	})
	return found
}

// span is a part of a text.
type span struct{ from, to int }

// findConditions finds the parts of a text that a template renders or not. None of
// them is in another.
func findConditions(text []byte) []span {
	if !bytes.Contains(text, []byte("{{")) {
		return nil
	}
	var all []span
	blocks(text, func(b block, to int) {
		if !b.condition {
			return
		}
		for len(all) > 0 && all[len(all)-1].from >= b.from {
			all = all[:len(all)-1]
		}
		all = append(all, span{b.from, to})
	})
	return all
}

// block is a part of a template that an end ends.
type block struct {
	name      string // of a define
	condition bool
	from      int
}

// blocks tells of every block when it ends, so of inner ones first.
func blocks(text []byte, ended func(b block, to int)) {
	var open []block
	for _, a := range action.FindAllIndex(text, -1) {
		inner := text[a[0]:a[1]]
		word := blockWord.FindSubmatch(inner)
		switch {
		case word == nil:
		case !bytes.Equal(word[1], []byte("end")):
			b := block{from: a[1]}
			if name := defineBegin.FindSubmatch(inner); name != nil {
				b.name = string(name[1])
			}
			b.condition = bytes.Equal(word[1], []byte("if")) || bytes.Equal(word[1], []byte("with")) || bytes.Equal(word[1], []byte("range"))
			open = append(open, b)
		case len(open) > 0:
			b := open[len(open)-1]
			open = open[:len(open)-1]
			ended(b, a[0])
		}
	}
}

// library has the named templates of all charts.
type library struct{ byName map[string][]define }

func newLibrary(all []define) *library {
	l := &library{byName: map[string][]define{}}
	slices.SortFunc(all, func(a, b define) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.body, b.body)) })
	for _, d := range all {
		l.byName[d.name] = append(l.byName[d.name], d)
	}
	return l
}

// nearest is the template of a name that a file most likely means: the one whose
// path has most in common with the file's, as charts bring their own helpers.
func (l *library) nearest(file, name string) (define, bool) {
	best, most := define{}, -1
	for _, d := range l.byName[name] {
		if n := common(path.Dir(file), path.Dir(d.file)); n > most {
			best, most = d, n
		}
	}
	return best, most >= 0
}

// common counts the folders that two paths begin with alike.
func common(a, b string) int {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	n := 0
	for n < len(as) && n < len(bs) && as[n] == bs[n] {
		n++
	}
	return n
}

// resolve replaces what templates decide by the values that they write out.
func (l *library) resolve(file string, values []literal, looksRight func(string) bool, what string) (out []literal, why string) {
	for _, v := range values {
		if !v.action {
			if strings.Contains(v.text, "$") {
				return nil, "a variable decides the " + what + ": " + quote(v.text) + "; render it, and check what comes of it"
			}
			out = append(out, v)
			continue
		}
		texts := l.written(file, v.text, looksRight, map[string]bool{})
		if len(texts) == 0 {
			return nil, "a template decides the " + what + ", and no possible value is written out: " + quote(v.text) + "; render it, and check what comes of it"
		}
		for _, t := range texts {
			out = append(out, literal{t, v.line, true})
		}
	}
	return out, ""
}

// written lists the values that a template writes out, in its own text and in the
// templates that it includes, each of them once.
func (l *library) written(file, text string, looksRight func(string) bool, included map[string]bool) []string {
	var found []string
	add := func(s string) {
		if looksRight(s) && !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	last := 0
	for _, a := range action.FindAllStringIndex(text, -1) {
		for word := range strings.FieldsSeq(text[last:a[0]]) {
			add(strings.Trim(word, `"'`))
		}
		last = a[1]
		inner := text[a[0]:a[1]]
		if strings.HasPrefix(strings.TrimLeft(inner, "{- "), "/*") {
			continue
		}
		for _, name := range include.FindAllStringSubmatch(inner, -1) {
			if d, known := l.nearest(file, name[1]); known && !included[d.file+" "+d.name] {
				included[d.file+" "+d.name] = true
				for _, s := range l.written(d.file, d.body, looksRight, included) {
					add(s)
				}
			}
		}
		if isQuestion(inner) {
			continue
		}
		inner = condition.ReplaceAllString(inner, "")
		for _, q := range quoted.FindAllStringSubmatch(inner, -1) {
			add(cmp.Or(q[1], q[2], q[3]))
		}
	}
	for word := range strings.FieldsSeq(text[last:]) {
		add(strings.Trim(word, `"'`))
	}
	return found
}

// isQuestion reports whether an action only asks: {{ if eq .Values.kind "Job" }}.
func isQuestion(action string) bool {
	word := strings.TrimLeft(action, "{- \t\r\n")
	return strings.HasPrefix(word, "if ") || strings.HasPrefix(word, "else if ") || strings.HasPrefix(word, "if(")
}
