package config

import (
	"reflect"
	"strconv"
	"strings"
)

// rules are what the tags of a field ask of its value.
type rules struct {
	name        string
	required    bool
	words       []string // enum
	standard    string   // default
	hasStandard bool
	least, most int // minimum, maximum; both 0 for none
	atLeast     int // minItems
	unique      bool
	example     string
}

// rulesOf reads the tags of a field. The tags are those of the JSON Schema, so
// that file and schema cannot disagree.
func rulesOf(f reflect.StructField) rules {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	r := rules{name: name}
	for _, tag := range split(f.Tag.Get("jsonschema")) {
		key, value, _ := strings.Cut(tag, "=")
		switch key {
		case "required":
			r.required = true
		case "enum":
			r.words = append(r.words, value)
		case "default":
			r.standard, r.hasStandard = value, true
		case "minimum":
			r.least = number(value)
		case "maximum":
			r.most = number(value)
		case "minItems":
			r.atLeast = number(value)
		case "uniqueItems":
			r.unique = true
		case "example":
			r.example = value
		}
	}
	return r
}

// orRemove adds to a remedy what else can be done where a field need not be given.
func (r rules) orRemove(remedy string) string {
	if r.required {
		return remedy
	}
	return remedy + ", or remove the key"
}

// split cuts a tag at its commas, except for those behind a backslash.
func split(tag string) []string {
	const kept = "\x00"
	parts := strings.Split(strings.ReplaceAll(tag, `\,`, kept), ",")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], kept, ",")
	}
	return parts
}

// number reads a number of a tag; a tag that is none is a mistake in the types,
// which their test finds.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
