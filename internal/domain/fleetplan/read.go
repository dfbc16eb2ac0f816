package fleetplan

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// maxPlan is how large a plan may be: that of ten thousand clusters is smaller.
const maxPlan = 256 << 20

// Write writes a plan as it is kept.
func Write(w io.Writer, p *Plan) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(p); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

// Read reads a plan that was kept. name is what the file is called in messages.
// Everything that is wrong with it is said at once, as file:line: path: what.
func Read(text []byte, name string) (Plan, error) {
	var p Plan
	r := &reader{text: text, name: name}
	if len(text) > maxPlan {
		return p, fmt.Errorf("%s: %d bytes are more than a plan has (at most %d)", name, len(text), maxPlan)
	}
	if err := r.index(); err != nil {
		return p, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return Plan{}, r.decodeError(err)
	}
	r.check(&p)
	if len(r.wrong) > 0 {
		return Plan{}, errors.Join(r.wrong...)
	}
	return p, nil
}

// reader finds what is wrong with a plan, and where.
type reader struct {
	text  []byte
	name  string
	lines map[string]int // by path, of values
	wrong []error
}

// say notes that a value is wrong. Where it is missing, the line is its parent's.
func (r *reader) say(path, format string, args ...any) {
	line, at := 1, path
	for at != "" {
		if l, ok := r.lines[at]; ok {
			line = l
			break
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			break
		}
		at = at[:cut]
	}
	r.wrong = append(r.wrong, fmt.Errorf("%s:%d: %s: %s", r.name, line, path, fmt.Sprintf(format, args...)))
}

// deepest is how deep values may be nested; a plan has a third of it.
const deepest = 40

// index notes on which line each value begins, and that the text is one JSON
// value and no more.
func (r *reader) index() error {
	r.lines = map[string]int{}
	decoder := json.NewDecoder(bytes.NewReader(r.text))
	decoder.UseNumber()
	line, seen := 1, 0
	count := func() int {
		at := int(decoder.InputOffset())
		line += bytes.Count(r.text[seen:at], []byte("\n"))
		seen = at
		return line
	}
	var value func(path string, depth int) error
	value = func(path string, depth int) error {
		token, err := decoder.Token()
		if err != nil {
			return r.decodeError(err)
		}
		r.lines[path] = count()
		delim, nested := token.(json.Delim)
		if !nested {
			return nil
		}
		if depth == deepest {
			return fmt.Errorf("%s:%d: %s: values are nested more than %d deep, which no plan is", r.name, line, path, deepest)
		}
		keys := map[string]bool{}
		for i := 0; decoder.More(); i++ {
			child := fmt.Sprintf("%s[%d]", path, i)
			if delim == '{' {
				key, err := decoder.Token()
				if err != nil {
					return r.decodeError(err)
				}
				name, _ := key.(string)
				child = strings.TrimPrefix(path+"."+name, ".")
				if keys[name] {
					return fmt.Errorf("%s:%d: %s: the key is there twice", r.name, count(), child)
				}
				keys[name] = true
			}
			if err := value(child, depth+1); err != nil {
				return err
			}
		}
		if _, err := decoder.Token(); err != nil { // the closing one
			return r.decodeError(err)
		}
		return nil
	}
	if err := value("", 0); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s:%d: something follows the plan; the file was written twice, or is no plan", r.name, count())
	}
	return nil
}

// decodeError says where JSON could not be read.
func (r *reader) decodeError(err error) error {
	line := func(offset int64) int {
		return 1 + bytes.Count(r.text[:min(max(0, int(offset)), len(r.text))], []byte("\n"))
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s:%d: no JSON: %w; keep a plan with: liftlock plan --fleet FILE --save PLAN", r.name, line(syntax.Offset), err)
	case errors.As(err, &kind):
		return fmt.Errorf("%s:%d: %s: a JSON %s where a plan has %s", r.name, line(kind.Offset), kind.Field, kind.Value, kind.Type)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s:%d: the file ends in the middle of the plan, or is empty; keep it again", r.name, line(int64(len(r.text))))
	}
	return fmt.Errorf("%s: %w; it may be of a newer Liftlock", r.name, err)
}

// check says what makes no sense.
func (r *reader) check(p *Plan) {
	if p.APIVersion != APIVersion {
		r.say("apiVersion", "this Liftlock reads %s (got %q)", APIVersion, p.APIVersion)
	}
	if p.Kind != Kind {
		r.say("kind", "a plan is of kind %s (got %q)", Kind, p.Kind)
	}
	if p.Fleet == "" {
		r.say("fleet", "the fleet's name is missing")
	}
	if p.CreatedAt.IsZero() {
		r.say("createdAt", "the time is missing")
	}
	if digest, err := hex.DecodeString(p.File.Digest); err != nil || len(digest) != 32 {
		r.say("fleetFile.digest", "is no SHA-256 in hex (got %q)", p.File.Digest)
	}
	if len(p.Target.Resolved) == 0 {
		r.say("target.resolved", "the plan says no version to go to")
	}
	keys := map[string]bool{}
	for i, t := range p.Target.Resolved {
		path := fmt.Sprintf("target.resolved[%d]", i)
		if t.Version.IsZero() {
			r.say(path+".version", "the version is missing")
		}
		switch _, err := fleet.ParseVersion(t.For); {
		case keys[t.For]:
			r.say(path+".for", "%q is there twice", t.For)
		case err != nil && t.For != "*":
			if _, err := fleet.ParseVersion(t.For + ".0"); err != nil {
				r.say(path+".for", `is neither a version, nor a minor, nor "*" (got %q)`, t.For)
			}
		}
		keys[t.For] = true
	}
	rings := map[string]bool{"": true}
	for i := range p.Rings {
		if rings[p.Rings[i].Name] {
			r.say(fmt.Sprintf("rings[%d].name", i), "is missing or there twice (got %q)", p.Rings[i].Name)
		}
		rings[p.Rings[i].Name] = true
	}
	r.checkBasis(&p.Basis, rings)
}

func (r *reader) checkBasis(b *Basis, rings map[string]bool) {
	if len(b.Clusters) == 0 {
		r.say("basis.clusters", "the plan is based on no cluster")
	}
	ids := map[string]bool{}
	for i := range b.Clusters {
		c := &b.Clusters[i]
		path := fmt.Sprintf("basis.clusters[%d]", i)
		if c.ID == "" || ids[c.ID] {
			r.say(path+".id", "is missing or there twice (got %q)", c.ID)
		}
		ids[c.ID] = true
		if c.Version.IsZero() {
			r.say(path+".version", "the version is missing")
		}
		if !rings[c.Ring] || c.Ring == "" {
			r.say(path+".ring", "the plan has no ring %q", c.Ring)
		}
		for k, p := range c.Pools {
			if p.Name == "" {
				r.say(fmt.Sprintf("%s.pools[%d].name", path, k), "is missing")
			}
			if p.Version.IsZero() {
				r.say(fmt.Sprintf("%s.pools[%d].version", path, k), "the version is missing")
			}
		}
	}
	for i, v := range b.Stops {
		if v.IsZero() || slices.Index(b.Stops, v) != i {
			r.say(fmt.Sprintf("basis.stops[%d]", i), "is missing or there twice (got %q)", v)
		}
	}
}
