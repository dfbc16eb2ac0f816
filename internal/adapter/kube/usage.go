package kube

import (
	"context"
	"errors"
	"io"
	"strings"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

// Readers read what is not this package's to know: other adapters' formats. One
// that is nil leaves its facts unread.
type Readers struct {
	// Metrics finds the deprecated APIs that were asked for in an API server's
	// metrics, and says what of them it could not read.
	Metrics func(ctx context.Context, in io.Reader) ([]lifecycle.Requested, []string, error)
	// Releases finds the objects of Helm's stored releases.
	Releases func(stored []Stored) (objects []fleet.Object, unread []string)
}

// Stored is a Secret or ConfigMap that holds a revision of a Helm release.
type Stored struct {
	Namespace, Name string
	Labels          map[string]string
	Data            []byte // what it has under "release"
}

// nonResource stands for a group in rights on paths that are no resources.
const nonResource = "(path)"

func (c *cluster) inspectUsage(ctx context.Context) (func(*check.Facts), []check.Unread) {
	if c.readers.Metrics == nil {
		return nil, []check.Unread{{Why: "nothing here reads an API server's metrics"}}
	}
	needs := right{"get", nonResource, "/metrics"}
	stream, err := c.client.CoreV1().RESTClient().Get().AbsPath("/metrics").Stream(ctx)
	if err != nil {
		return nil, unread(err, needs)
	}
	requested, problems, err := c.readers.Metrics(ctx, stream)
	if err = errors.Join(err, stream.Close()); err != nil {
		return nil, unread(err, needs)
	}
	var lacks []check.Unread
	if len(problems) > 0 {
		lacks = []check.Unread{{What: "/metrics", Why: strings.Join(problems, "; ")}}
	}
	return func(f *check.Facts) { f.Usage = requested }, lacks
}
