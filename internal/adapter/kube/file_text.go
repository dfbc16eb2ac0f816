package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Bounds of what a file may hold. Nothing that an API server keeps comes near
// them; what does is not a snapshot, and is not to take all memory.
const (
	maxObject  = 32 << 20 // bytes of one object
	maxNesting = 200      // objects and lists in each other
)

// text reads a JSON text once, from front to back, without ever holding more of
// it than one value. It knows where it is, by byte and by line.
type text struct {
	in   io.Reader
	buf  []byte
	pos  int   // of the next byte in buf
	past int64 // bytes that were dropped before buf
	line int   // line of buf[seen]
	seen int   // how far lines were counted
	err  error // of in, io.EOF at the end
}

func newText(in io.Reader) *text {
	return &text{in: in, buf: make([]byte, 0, 1<<20), line: 1}
}

// place is where something is in a file.
type place struct {
	offset int64
	line   int
}

// here is where the next byte is.
func (t *text) here() place {
	t.line += bytes.Count(t.buf[t.seen:t.pos], []byte{'\n'})
	t.seen = t.pos
	return place{offset: t.past + int64(t.pos), line: t.line}
}

// fill reads more; false at the end of the text or when it cannot be read.
func (t *text) fill() bool {
	if t.err != nil {
		return false
	}
	t.here()
	t.past += int64(t.pos)
	t.buf, t.pos, t.seen = t.buf[:0], 0, 0
	for range 100 {
		n, err := t.in.Read(t.buf[:cap(t.buf)])
		t.buf, t.err = t.buf[:n], err
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	t.err = io.ErrNoProgress
	return false
}

// peek returns the next byte that is not white space.
func (t *text) peek() (byte, error) {
	for {
		for t.pos < len(t.buf) {
			switch c := t.buf[t.pos]; c {
			case ' ', '\n', '\t', '\r':
				t.pos++
			default:
				return c, nil
			}
		}
		if !t.fill() {
			return 0, t.end()
		}
	}
}

// end is the error for a text that ends too soon.
func (t *text) end() error {
	if errors.Is(t.err, io.EOF) {
		return errTruncated
	}
	return fmt.Errorf("cannot be read on: %w", t.err)
}

// What is wrong with a text as such. After any of these nothing more can be read.
var (
	errTruncated = errors.New("the file ends in the middle: it was cut off, or is still being written")
	errTooLarge  = fmt.Errorf("an object of more than %d MiB: this is no snapshot of a cluster", maxObject>>20)
	errTooDeep   = fmt.Errorf("more than %d objects and lists in each other: this is no snapshot of a cluster", maxNesting)
)

// expect takes the next byte, which must be the given one.
func (t *text) expect(want byte) error {
	c, err := t.peek()
	if err != nil {
		return err
	}
	if c != want {
		return fmt.Errorf("no JSON: %q where %q belongs", c, want)
	}
	t.pos++
	return nil
}

// key takes a key of an object and its colon.
func (t *text) key() (string, error) {
	if c, err := t.peek(); err != nil {
		return "", err
	} else if c != '"' {
		return "", fmt.Errorf("no JSON: %q where a key belongs", c)
	}
	raw, err := t.value(nil)
	if err != nil {
		return "", err
	}
	var key string
	if err := json.Unmarshal(raw, &key); err != nil {
		return "", fmt.Errorf("no JSON: %w", err)
	}
	return key, t.expect(':')
}

// more takes the comma before the next member, or the closing bracket.
func (t *text) more(first bool, closing byte) (bool, error) {
	c, err := t.peek()
	switch {
	case err != nil:
		return false, err
	case c == closing:
		t.pos++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, fmt.Errorf("no JSON: %q where a comma or %q belongs", c, closing)
	}
	t.pos++
	if c, err = t.peek(); err == nil && c == closing {
		err = fmt.Errorf("no JSON: a comma before %q", closing)
	}
	return err == nil, err
}

// value appends the next value's text to dst. It sees to brackets and strings
// only: whether the value is JSON is found out by whoever decodes it.
func (t *text) value(dst []byte) ([]byte, error) {
	c, err := t.peek()
	if err != nil {
		return dst, err
	}
	begin := len(dst)
	depth, inString, escaped, scalar := 0, false, false, c != '{' && c != '[' && c != '"'
	for {
		from := t.pos
		buf := t.buf
		i := from
	scan:
		for i < len(buf) {
			if inString {
				if escaped {
					escaped = false
					i++
					continue
				}
				n := bytes.IndexByte(buf[i:], '"')
				stop := len(buf)
				if n >= 0 {
					stop = i + n
				}
				if b := bytes.IndexByte(buf[i:stop], '\\'); b >= 0 {
					escaped = true
					i += b + 1
					continue
				}
				if n < 0 {
					i = len(buf)
					break
				}
				i = stop + 1
				inString = false
				if depth == 0 {
					t.pos = i
					return append(dst, buf[from:i]...), nil
				}
				continue
			}
			switch buf[i] {
			case '"':
				inString = true
			case '{', '[':
				if depth++; depth > maxNesting {
					t.pos = i
					return dst, errTooDeep
				}
			case '}', ']':
				if scalar {
					break scan
				}
				if depth--; depth == 0 {
					t.pos = i + 1
					return append(dst, buf[from:i+1]...), nil
				}
			case ',', ' ', '\t', '\r':
				if scalar {
					break scan
				}
			case '\n':
				if scalar {
					break scan
				}
				for i+1 < len(buf) && buf[i+1] == ' ' { // most of the text is that
					i++
				}
			}
			i++
		}
		dst = append(dst, buf[from:i]...)
		t.pos = i
		if len(dst)-begin > maxObject {
			return dst, errTooLarge
		}
		if i < len(buf) {
			return dst, nil // a scalar ends where the next thing begins
		}
		if !t.fill() {
			if scalar && errors.Is(t.err, io.EOF) {
				return dst, nil
			}
			return dst, t.end()
		}
	}
}

// skip passes over a value, and keeps nothing of it.
func (t *text) skip() error {
	raw, err := t.value(nil)
	if err == nil && !json.Valid(raw) {
		err = errors.New("no JSON")
	}
	return err
}
