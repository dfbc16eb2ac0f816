package manifest

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// mayHold reports whether a file is of a kind that holds manifests: YAML and JSON,
// templates of them (.yaml.gotmpl, .yml.j2), a chart's helpers, and packed charts.
func mayHold(path string) bool {
	name := strings.ToLower(filepath.Base(path))
	if isPacked(name) || strings.HasSuffix(name, ".tpl") {
		return true
	}
	parts := strings.Split(name, ".")
	if len(parts) < 2 {
		return false
	}
	last := parts[len(parts)-1]
	if slices.Contains([]string{"tmpl", "gotmpl", "j2", "erb", "in", "template"}, last) && len(parts) > 2 {
		last = parts[len(parts)-2]
	}
	return last == "yaml" || last == "yml" || last == "json"
}

func isPacked(path string) bool {
	name := strings.ToLower(path)
	return strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz")
}

const tooLarge = "is of %d MiB, and files of more than %d are not read; divide it, or check a cluster's dump as a snapshot"

// text reads a file's text.
func (f *findings) text(name string, text []byte) {
	if len(text) > maxFile {
		f.skip(name, 0, tooLarge, len(text)>>20, maxFile>>20)
		return
	}
	plain, why := decodeText(text)
	if why != "" {
		f.skip(name, 0, "%s", why)
		return
	}
	base := filepath.Base(name)
	if bytes.Contains(plain, []byte("define")) {
		f.defines = append(f.defines, findDefines(name, plain)...)
	}
	// What has no such word holds no object, whatever else is wrong with it.
	if base == "Chart.yaml" || !bytes.Contains(plain, []byte("apiVersion")) {
		return
	}
	if first := bytes.TrimLeft(plain, " \t\r\n"); len(first) > 0 && (first[0] == '[' || first[0] == '{' && !bytes.HasPrefix(first, []byte("{{"))) {
		if f.json(name, plain) {
			return
		}
	}
	f.yaml(name, plain)
}

// decodeText makes UTF-8 of a text. why says why it is none.
func decodeText(text []byte) (plain []byte, why string) {
	switch {
	case bytes.HasPrefix(text, []byte{0xef, 0xbb, 0xbf}):
		text = text[3:]
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}), bytes.HasPrefix(text, []byte{0xfe, 0xff}): // PowerShell writes that
		big := text[0] == 0xfe
		text = text[2:]
		units := make([]uint16, len(text)/2)
		for i := range units {
			a, b := uint16(text[2*i]), uint16(text[2*i+1])
			if big {
				a, b = b, a
			}
			units[i] = a | b<<8
		}
		text = []byte(string(utf16.Decode(units)))
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, "is binary"
	}
	if !utf8.Valid(text) {
		if bytes.Contains(text, []byte("apiVersion")) {
			return bytes.ToValidUTF8(text, []byte("?")), ""
		}
		return nil, "is binary, or not in UTF-8"
	}
	return text, ""
}

// cause is what went wrong with a file, without its path, which is told beside.
func cause(err error) string {
	if path, found := errors.AsType[*fs.PathError](err); found {
		return path.Err.Error()
	}
	return err.Error()
}

// splitPlace divides "deploy/web.yaml:12".
func splitPlace(where string) (file string, line int) {
	i := strings.LastIndexByte(where, ':')
	if i < 0 {
		return where, 0
	}
	line, err := strconv.Atoi(where[i+1:])
	if err != nil {
		return where, 0
	}
	return where[:i], line
}
