package kube

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

// usageMetric counts, by API, whether somebody asked for it since the API server
// started; its labels say in which release it is gone.
const usageMetric = "apiserver_requested_deprecated_apis"

// nonResource stands for a group in rights on paths that are no resources.
const nonResource = "(path)"

func (c *cluster) inspectUsage(ctx context.Context) (func(*check.Facts), []check.Unread) {
	needs := right{"get", nonResource, "/metrics"}
	stream, err := c.client.CoreV1().RESTClient().Get().AbsPath("/metrics").Stream(ctx)
	if err != nil {
		return nil, unread(err, needs)
	}
	uses, err := readUsage(stream)
	if err = errors.Join(err, stream.Close()); err != nil {
		return nil, unread(err, needs)
	}
	return func(f *check.Facts) { f.Usage = uses }, nil
}

// readUsage finds the samples of usageMetric in an API server's metrics.
func readUsage(in io.Reader) ([]lifecycle.Requested, error) {
	var uses []lifecycle.Requested
	lines := bufio.NewReaderSize(in, 1<<16)
	for {
		line, long, err := lines.ReadLine()
		if errors.Is(err, io.EOF) {
			return uses, nil
		}
		if err != nil {
			return uses, err
		}
		if rest, ours := strings.CutPrefix(string(line[:min(len(line), 4096)]), usageMetric+"{"); ours && !long {
			if use, ok := readSample(rest); ok {
				uses = append(uses, use)
			}
		}
		for long && err == nil { // the rest of a line that is no sample of ours
			_, long, err = lines.ReadLine()
		}
	}
}

// readSample reads a sample from its labels on: `group="policy",…} 1`. A sample
// of zero counts for none.
func readSample(s string) (use lifecycle.Requested, ok bool) {
	for {
		name, rest, found := strings.Cut(s, "=")
		if !found {
			return use, false
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return use, false
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return use, false
		}
		switch strings.TrimSpace(name) {
		case "group":
			use.Group = value
		case "version":
			use.Version = value
		case "resource":
			use.Resource = value
		case "subresource":
			use.Subresource = value
		case "removed_release":
			use.Removed, _ = fleet.ParseVersion(value) // "" where it is to stay
		}
		s = strings.TrimSpace(rest[len(quoted):])
		if after, more := strings.CutPrefix(s, ","); more {
			s = strings.TrimSpace(after)
		}
		if after, ends := strings.CutPrefix(s, "}"); ends {
			fields := strings.Fields(after)
			if len(fields) == 0 {
				return use, false
			}
			n, err := strconv.ParseFloat(fields[0], 64)
			return use, err == nil && n > 0 && use.Resource != ""
		}
	}
}
