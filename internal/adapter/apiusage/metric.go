package apiusage

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

const metric = "apiserver_requested_deprecated_apis"

// ReadMetrics finds the deprecated APIs that were asked for in an API server's
// metrics, in Prometheus' text format. Its other metrics are passed over. unread
// says, a line each, which samples could not be read.
func ReadMetrics(ctx context.Context, in io.Reader) (requested []lifecycle.Requested, unread []string, err error) {
	err = eachLine(ctx, in, func(number int, line []byte, tooLong bool) {
		rest, found := bytes.CutPrefix(bytes.TrimSpace(line), []byte(metric))
		if !found || len(rest) > 0 && rest[0] != '{' && rest[0] != ' ' {
			return
		}
		r, used, err := sample(string(rest))
		switch {
		case tooLong:
			unread = append(unread, fmt.Sprintf("metrics:%d: the line is too long", number))
		case err != nil:
			unread = append(unread, fmt.Sprintf("metrics:%d: %s: %s", number, metric, err))
		case used:
			requested = append(requested, r)
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	return requested, unread, nil
}

// sample reads what follows the metric's name: {label="value",…} 1.
func sample(rest string) (r lifecycle.Requested, used bool, err error) {
	rest, found := strings.CutPrefix(rest, "{")
	if !found {
		return r, false, errors.New("has no labels")
	}
	for {
		rest = strings.TrimLeft(rest, " ,")
		if after, closed := strings.CutPrefix(rest, "}"); closed {
			rest = after
			break
		}
		name, after, found := strings.Cut(rest, "=")
		if !found {
			return r, false, errors.New("its labels do not end")
		}
		quoted, err := strconv.QuotedPrefix(after)
		if err != nil || quoted[0] != '"' {
			return r, false, fmt.Errorf("label %q has no value in quotes", name)
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return r, false, fmt.Errorf("label %q has no value in quotes", name)
		}
		rest = after[len(quoted):]
		switch strings.TrimSpace(name) {
		case "group":
			r.Group = value
		case "version":
			r.Version = value
		case "resource":
			r.Resource = value
		case "subresource":
			r.Subresource = value
		case "removed_release":
			r.Removed = release(value)
		}
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return r, false, errors.New("has no value")
	}
	count, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return r, false, fmt.Errorf("its value %q is no number", fields[0])
	}
	if r.Version == "" || r.Resource == "" {
		return r, false, errors.New("names no version or no resource")
	}
	return r, count > 0, nil
}

// release reads "1.25"; zero if it is none.
func release(s string) fleet.Version {
	v, err := fleet.ParseVersion(s)
	if err != nil {
		return fleet.Version{}
	}
	return fleet.Version{Major: v.Major, Minor: v.Minor}
}

// maxLine bounds a line: a request that is audited with its object may be large.
const maxLine = 16 << 20

// eachLine gives lines one by one. Of one that is too long it gives the beginning.
func eachLine(ctx context.Context, in io.Reader, do func(number int, line []byte, tooLong bool)) error {
	lines := bufio.NewReaderSize(in, 1<<16)
	var whole []byte
	tooLong := false
	for number := 1; ; {
		part, err := lines.ReadSlice('\n')
		last := errors.Is(err, io.EOF)
		if !tooLong {
			if tooLong = len(whole)+len(part) > maxLine; !tooLong {
				whole = append(whole, part...)
			}
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !last {
			return err
		}
		if len(whole) > 0 {
			do(number, whole, tooLong)
		}
		if last {
			break
		}
		if number%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		number++
		whole, tooLong = whole[:0], false
	}
	return nil
}
