package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// header is what counts of an object in JSON.
type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name         string `json:"name"`
		GenerateName string `json:"generateName"`
		Namespace    string `json:"namespace"`
	} `json:"metadata"`
}

// json reads objects in JSON, one after the other, and lists of them. It reports
// false if the text is none from its beginning, and may be YAML's flow style.
func (f *findings) json(name string, text []byte) bool {
	r := jsonReader{findings: f, name: name, text: text, decoder: json.NewDecoder(bytes.NewReader(text)), line: 1}
	for {
		err := r.value(0)
		if errors.Is(err, io.EOF) && r.found > 0 {
			return true
		}
		if err != nil {
			if r.found == 0 {
				return false
			}
			f.skip(name, r.here(), "the rest is no JSON: %s", err)
			return true
		}
		r.found++
	}
}

// jsonReader reads a JSON text once.
type jsonReader struct {
	*findings
	name    string
	text    []byte
	decoder *json.Decoder
	found   int // values
	line    int // of the byte at counted
	counted int64
}

// here is the line of the next value.
func (r *jsonReader) here() int {
	at := r.decoder.InputOffset()
	for at < int64(len(r.text)) && bytes.IndexByte([]byte(" \t\r\n,:"), r.text[at]) >= 0 {
		at++
	}
	if at > r.counted {
		r.line += bytes.Count(r.text[r.counted:at], []byte{'\n'})
		r.counted = at
	}
	return r.line
}

// value reads a value: an object, or objects in a list.
func (r *jsonReader) value(depth int) error {
	if depth > 20 {
		return errors.New("lists in lists in lists")
	}
	line := r.here()
	token, err := r.decoder.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		for r.decoder.More() {
			if err := r.value(depth + 1); err != nil {
				return err
			}
			r.found++
		}
		_, err := r.decoder.Token()
		return err
	case json.Delim('{'):
		return r.object(line, depth)
	}
	return nil
}

// object reads an object after its brace.
func (r *jsonReader) object(line, depth int) error {
	var h header
	listed := false
	for r.decoder.More() {
		key, err := r.decoder.Token()
		if err != nil {
			return err
		}
		at := r.here()
		var into any
		switch key {
		case "apiVersion":
			into, line = &h.APIVersion, at
		case "kind":
			into = &h.Kind
		case "metadata":
			into = &h.Metadata
		case "items":
			if listed = r.next() == '['; listed {
				if err := r.value(depth + 1); err != nil {
					return err
				}
				continue
			}
			into = new(json.RawMessage)
		default:
			into = new(json.RawMessage)
		}
		err = r.decoder.Decode(into)
		if mistyped, found := errors.AsType[*json.UnmarshalTypeError](err); found {
			r.skip(r.name, at, "%v is a %s, and belongs to no object of Kubernetes", key, mistyped.Value)
		} else if err != nil {
			return err
		}
	}
	if _, err := r.decoder.Token(); err != nil {
		return err
	}
	if isList(h.Kind) && listed {
		return nil
	}
	switch {
	case h.APIVersion != "" && h.Kind != "":
		r.documents = append(r.documents, document{
			file: r.name, line: line, versions: []literal{{h.APIVersion, line, false}}, kinds: []literal{{h.Kind, line, false}},
			name: objectName(h.Metadata.Name, h.Metadata.GenerateName), namespace: h.Metadata.Namespace,
		})
	case looksLikeVersion(h.APIVersion):
		r.skip(r.name, line, "has the apiVersion %q and no kind", h.APIVersion)
	}
	return nil
}

// next is the first byte of the next value.
func (r *jsonReader) next() byte {
	r.here()
	if r.counted < int64(len(r.text)) {
		return r.text[r.counted]
	}
	return 0
}

// isList reports whether a kind is a list of objects: List, DeploymentList.
func isList(kind string) bool {
	return len(kind) >= 4 && kind[len(kind)-4:] == "List"
}

func objectName(name, prefix string) string {
	switch {
	case name != "":
		return name
	case prefix != "":
		return prefix + "*"
	}
	return "(no name)"
}

// place is "file:line".
func place(file string, line int) string { return fmt.Sprintf("%s:%d", file, line) }
