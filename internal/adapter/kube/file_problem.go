package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// FileError is all that is wrong with a snapshot file.
type FileError struct {
	File     string
	Problems []Problem
}

// Problem is one thing that is wrong with a snapshot file.
type Problem struct {
	// Line and Offset say where; both are 0 for the file as a whole.
	Line   int
	Offset int64
	// Path is where in the JSON text: "items[3].spec.replicas".
	Path string
	What string
}

// mostProblems are told one by one.
const mostProblems = 20

// Error implements error: a line for each problem.
func (e *FileError) Error() string {
	lines := make([]string, 0, min(len(e.Problems), mostProblems+1))
	for i, p := range e.Problems {
		if i == mostProblems {
			lines = append(lines, fmt.Sprintf("%s: and %d more problems", e.File, len(e.Problems)-i))
			break
		}
		at := e.File
		if p.Line > 0 {
			at += fmt.Sprintf(":%d: byte %d", p.Line, p.Offset)
		}
		if p.Path != "" {
			at += ": " + p.Path
		}
		lines = append(lines, at+": "+p.What)
	}
	return strings.Join(lines, "\n")
}

// problemAt makes a problem out of an error at a place.
func problemAt(at place, path string, err error) Problem {
	return Problem{Line: at.line, Offset: at.offset, Path: path, What: err.Error()}
}

// diagnose says where and why an object cannot be decoded. into is a new value of
// its type, and err what its decoding said.
func diagnose(raw []byte, at place, path string, into any, err error) Problem {
	within := int64(0)
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	err = errors.Join(json.Unmarshal(raw, into), err)
	switch {
	case errors.As(err, &syntax):
		within = syntax.Offset
		err = fmt.Errorf("no JSON: %w", syntax)
	case errors.As(err, &mistyped):
		within = mistyped.Offset
		if mistyped.Field != "" {
			path += "." + mistyped.Field
		}
		err = fmt.Errorf("%s is not of the type that belongs here", mistyped.Value)
	default:
		if field, offset, what := unreadable(raw); what != "" {
			path, within, err = path+field, offset, errors.New(what)
		}
	}
	within = max(0, min(within, int64(len(raw))))
	at.offset += within
	at.line += bytes.Count(raw[:within], []byte{'\n'})
	// An error of many lines would break the list of problems.
	return problemAt(at, path, errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")))
}

// unreadable finds the first quantity or time of an object that does not parse,
// since their errors do not say where they are. what is "" when there is none.
func unreadable(raw []byte) (path string, offset int64, what string) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	type level struct {
		list bool
		n    int
		key  string
		want bool // a key comes next
	}
	var stack []level
	for {
		token, failed := d.Token()
		if failed != nil {
			return "", 0, ""
		}
		if delimiter, ok := token.(json.Delim); ok && (delimiter == '}' || delimiter == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if top := len(stack) - 1; top >= 0 && !stack[top].list {
			if stack[top].want {
				stack[top].key, _ = token.(string)
				stack[top].want = false
				continue
			}
			stack[top].want = true
		} else if top >= 0 {
			stack[top].n++
		}
		if delimiter, ok := token.(json.Delim); ok {
			stack = append(stack, level{list: delimiter == '[', n: -1, want: delimiter == '{'})
			continue
		}
		keys := make([]string, 0, len(stack))
		var path strings.Builder
		for _, l := range stack {
			if l.list {
				path.WriteString("[" + strconv.Itoa(l.n) + "]")
				continue
			}
			keys = append(keys, l.key)
			path.WriteString("." + l.key)
		}
		if err := readable(keys, token); err != nil {
			return path.String(), d.InputOffset(), err.Error()
		}
	}
}

// readable checks a value by the name that it goes by.
func readable(keys []string, token json.Token) error {
	if len(keys) == 0 {
		return nil
	}
	last := keys[len(keys)-1]
	quantity := len(keys) > 1 && slices.Contains([]string{"requests", "limits", "capacity", "allocatable", "overhead", "allocatedResources"}, keys[len(keys)-2]) ||
		last == "sizeLimit"
	value, isText := token.(string)
	if number, ok := token.(json.Number); ok && quantity {
		value, isText = number.String(), true
	}
	if !isText {
		return nil
	}
	if quantity {
		if _, err := resource.ParseQuantity(value); err != nil {
			return fmt.Errorf("%q is not a quantity (such as 500m, 2, 1Gi)", value)
		}
	}
	if strings.HasSuffix(last, "Time") || strings.HasSuffix(last, "Timestamp") {
		if _, err := time.Parse(time.RFC3339, value); err != nil {
			return fmt.Errorf("%q is not a time (such as 2026-11-23T12:00:00Z)", value)
		}
	}
	return nil
}

// notJSON says what a file is that does not begin as an object does.
func notJSON(begin []byte) string {
	switch {
	case bytes.HasPrefix(begin, []byte("SQLite format 3")):
		return "is a copy of a state folder, as liftlock snapshot makes it: it holds rollouts, and no pods; " + getCommand
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		return "is compressed; unpack it first"
	case len(begin) == 0:
		return "is empty; " + getCommand
	}
	return "is not JSON; " + getCommand
}

// getCommand is how a snapshot is made.
const getCommand = "make it with: kubectl get nodes,pods,deployments,replicasets,statefulsets,daemonsets,jobs,pdb,hpa,pv,pvc,storageclasses -A -o json"

// isEnd reports whether an error is only that a file ends too soon.
func isEnd(err error) bool { return errors.Is(err, errTruncated) || errors.Is(err, io.EOF) }
