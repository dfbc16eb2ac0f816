package schema

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"liftlock.dev/liftlock/internal/config/v1alpha1"
)

const preface = `# The Fleet file

<!-- Generated from internal/config/v1alpha1. To change it, change the comments there and run
     go test ./internal/config/schema -update -->

One file says which clusters are upgraded, in which order, when, and how. A
commented one to start from is [examples/fleet.yaml](../../examples/fleet.yaml).

Editors complete and check it by its JSON Schema, [fleet.schema.json](fleet.schema.json).
The YAML language server, for one, finds it by a first line such as

` + "```yaml" + `
# yaml-language-server: $schema=docs/reference/fleet.schema.json
` + "```" + `

## How it is read

- It is YAML 1.2 in UTF-8 with one document of at most 1 MiB. Anchors, aliases
  and merge keys (` + "`<<`" + `) work.
- Unknown keys, keys given twice and keys without a value are mistakes. All
  mistakes are reported at once, each as ` + "`file:line: path: what (got value)`" + `
  with its remedy below, and nothing is touched.
- **Patterns** know ` + "`*`" + ` for any text and ` + "`?`" + ` for one character, are matched
  whole, and ignore case. Put quotes around one that begins with a star.
- **Durations** are numbers with units: ` + "`90s`, `30m`, `24h`, `7d`, `1d12h`" + `.
- **Amounts** are a whole number or a share in percent: ` + "`2`, `25%`" + `. Shares are
  rounded down but come to at least one.
- **Moments** are a date, with a time if need be: ` + "`2026-12-20`, `2026-12-20T18:00`" + `.
  They are local to the time zone that goes with them, unless they name an
  offset themselves: ` + "`2026-12-20T18:00:00+01:00`" + `.
- **Names** have lower-case letters, digits and dashes, at most 63 of them.
- **Paths** of files begin at the folder of the Fleet file. ` + "`~`" + ` and variables
  are not expanded.
- **Secrets** never belong into the file. It names files that hold them.

## Windows and the clock

A window is meant as the clock on the wall shows it. It belongs to the day on
which it opens: ` + "`Fri 22:00`-`04:00`" + ` covers Saturday 01:00, not Friday 01:00.
Where clocks go forward over its start it opens at the first moment that exists;
where they go back it opens once, at the first of the two moments; and it ends
at its end on the same clock, whatever the clock did in between. A window that
lies in skipped time altogether does not open that day. Several windows add up,
and freezes are cut out of the sum.
`

// Reference returns the reference page of the Fleet file as Markdown. source is
// the folder of package v1alpha1.
func Reference(source string) ([]byte, error) {
	comments, err := read(source)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(preface)
	b.WriteString("\n## Fields\n")
	for _, t := range structs() {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", t.Name(), plain(t.Name(), comments[t.Name()]))
		if paths := places(t); len(paths) > 0 {
			fmt.Fprintf(&b, "At `%s`.\n\n", strings.Join(paths, "`, `"))
		}
		b.WriteString("| field | type | default | meaning |\n|---|---|---|---|\n")
		for f := range t.Fields() {
			doc := comments[t.Name()+"."+f.Name]
			if doc == "" {
				return nil, fmt.Errorf("%s.%s has no comment", t.Name(), f.Name)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", tag(f, "json", ""), kind(f), standard(f), strings.ReplaceAll(doc, "|", `\|`))
		}
	}
	return b.Bytes(), nil
}

// plain takes the type's name, with which a Go comment begins, out of a
// sentence that the heading already names.
func plain(name, doc string) string {
	rest, ok := strings.CutPrefix(doc, name+" ")
	if !ok || rest == "" {
		return doc
	}
	return "`" + name + "` " + rest
}

// kind is how a field's type is shown.
func kind(f reflect.StructField) string {
	t, list := f.Type, ""
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice {
			list = "list of "
		}
		t = t.Elem()
	}
	switch {
	case len(tags(f, "enum")) > 0:
		return list + "`" + strings.Join(tags(f, "enum"), "` `") + "`"
	case t == reflect.TypeFor[v1alpha1.Duration]():
		return list + "duration"
	case t == reflect.TypeFor[v1alpha1.Amount](), t == reflect.TypeFor[v1alpha1.Count]():
		return list + "amount"
	case t == reflect.TypeFor[v1alpha1.Size]():
		return list + "size"
	case t == reflect.TypeFor[v1alpha1.Day]():
		return list + "`Mon` … `Sun`"
	case t == reflect.TypeFor[v1alpha1.TimeOfDay]():
		return list + "`HH:MM`"
	case t == reflect.TypeFor[v1alpha1.Moment]():
		return list + "moment"
	case t.Kind() == reflect.Map:
		return "map of texts"
	case t.Kind() == reflect.Struct:
		return fmt.Sprintf("%s[%s](#%s)", list, t.Name(), strings.ToLower(t.Name()))
	case t.Kind() == reflect.String:
		return list + "text"
	case t.Kind() == reflect.Int:
		return list + "number"
	case t.Kind() == reflect.Bool:
		return "`true` `false`"
	}
	return list + t.Kind().String()
}

// standard is how a field's default is shown.
func standard(f reflect.StructField) string {
	if len(tags(f, "required")) > 0 {
		return "**required**"
	}
	if d := tag(f, "jsonschema", "default"); d != "" {
		return "`" + d + "`"
	}
	return ""
}

// places lists the paths at which a structure stands in the file.
func places(of reflect.Type) []string {
	var res []string
	var visit func(t reflect.Type, path string)
	visit = func(t reflect.Type, path string) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			if t.Kind() == reflect.Slice {
				path += "[]"
			}
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return
		}
		if t == of && path != "" {
			res = append(res, strings.TrimPrefix(path, "."))
		}
		for f := range t.Fields() {
			visit(f.Type, path+"."+tag(f, "json", ""))
		}
	}
	visit(reflect.TypeFor[v1alpha1.File](), "")
	slices.Sort(res)
	return res
}
