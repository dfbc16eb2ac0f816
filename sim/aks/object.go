package aks

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
)

// object is a decoded JSON object. Resources keep what a client sent in this
// form, so that settings unknown to the simulation come back as they were.
type object map[string]any

// decode reads a request body that must be a JSON object.
func decode(body []byte) (object, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	var o object
	if err := decoder.Decode(&o); err != nil {
		return nil, &Error{Status: 400, Code: "InvalidRequestContent", ARM: true, Message: "The request content was invalid and could not be deserialized: '" + err.Error() + "'."}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{Status: 400, Code: "InvalidRequestContent", ARM: true, Message: "The request content was invalid: there is more than one JSON value in it."}
	}
	if o == nil {
		o = object{}
	}
	return o, nil
}

// object returns the object at key, or an empty one.
func (o object) object(key string) object {
	switch v := o[key].(type) {
	case map[string]any:
		return v
	case object:
		return v
	}
	return object{}
}

// has reports whether key holds something other than null.
func (o object) has(key string) bool { return o[key] != nil }

func (o object) text(key string) string {
	s, _ := o[key].(string)
	return s
}

func (o object) flag(key string) bool {
	b, _ := o[key].(bool)
	return b
}

// integer returns the whole number at key; ok is false where there is none.
func (o object) integer(key string) (n int, ok bool) {
	switch v := o[key].(type) {
	case float64:
		if v != math.Trunc(v) {
			return 0, false
		}
		return int(v), true
	case int:
		return v, true
	}
	return 0, false
}

func (o object) texts(key string) []string {
	switch v := o[key].(type) {
	case []string:
		return slices.Clone(v)
	case []any:
		texts := make([]string, 0, len(v))
		for _, item := range v {
			if s, ok := item.(string); ok {
				texts = append(texts, s)
			}
		}
		return texts
	}
	return nil
}

func (o object) textMap(key string) map[string]string {
	texts := map[string]string{}
	if m, ok := o[key].(map[string]string); ok {
		maps.Copy(texts, m)
		return texts
	}
	for name, value := range o.object(key) {
		if s, ok := value.(string); ok {
			texts[name] = s
		}
	}
	return texts
}

// without returns a copy that lacks the keys.
func (o object) without(keys ...string) object {
	c := maps.Clone(o)
	if c == nil {
		c = object{}
	}
	for _, key := range keys {
		delete(c, key)
	}
	return c
}

// same reports whether two values are equal as JSON.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// amount resolves "3" or "33%" of total, rounding up.
func amount(text string, total int) (int, bool) {
	if text == "" {
		return 0, true
	}
	percent := text[len(text)-1] == '%'
	if percent {
		text = text[:len(text)-1]
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, false
	}
	if percent {
		return (n*total + 99) / 100, true
	}
	return n, true
}
