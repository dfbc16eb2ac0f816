package apiusage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

// event is what is taken of an audit event. What was sent and answered is passed
// over and never held.
type event struct {
	AuditID   string `json:"auditID"`
	Verb      string `json:"verb"`
	UserAgent string `json:"userAgent"`
	User      struct {
		Username string `json:"username"`
	} `json:"user"`
	Impersonated *struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
	Object *struct {
		Group       string `json:"apiGroup"`
		Version     string `json:"apiVersion"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	Received    string            `json:"requestReceivedTimestamp"`
	Annotations map[string]string `json:"annotations"`
	// A list of events, as webhooks get them.
	Items []event `json:"items"`
	// Azure Monitor's envelope holds an event as text.
	Properties *struct {
		Log string `json:"log"`
	} `json:"properties"`
}

// The API server's marks on requests to deprecated APIs.
const (
	deprecated     = "k8s.io/deprecated"
	removedRelease = "k8s.io/removed-release"
)

// mostUnread are told one by one.
const mostUnread = 20

// audit gathers uses.
type audit struct {
	seen   map[string]bool // audit ids: a request has an event for each of its stages
	uses   map[lifecycle.Use]*lifecycle.Use
	unread []string
	more   int
}

// ReadAudit finds the requests to deprecated APIs in an audit log: an event of
// audit.k8s.io in a line, a list of them, or Azure Monitor's export of them (the
// categories kube-audit and kube-audit-admin). Requests that are alike are one
// entry. unread says, a line each, what could not be read.
func ReadAudit(ctx context.Context, in io.Reader, name string) (uses []lifecycle.Use, unread []string, err error) {
	a := audit{seen: map[string]bool{}, uses: map[lifecycle.Use]*lifecycle.Use{}}
	err = eachLine(ctx, in, func(number int, line []byte, tooLong bool) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			return
		}
		if tooLong {
			a.skip("%s:%d: the event is of more than %d MiB", name, number, maxLine>>20)
			return
		}
		// Most events are of no interest, and need not be decoded.
		if line[0] == '{' && line[len(line)-1] == '}' && !bytes.Contains(line, []byte(deprecated)) {
			return
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			a.skip("%s:%d: is no audit event in JSON; give a log of one event a line", name, number)
			return
		}
		a.take(&e, fmt.Sprintf("%s:%d", name, number), 0)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the audit log %s: %w", name, err)
	}
	for _, u := range a.uses {
		uses = append(uses, *u)
	}
	slices.SortFunc(uses, func(x, y lifecycle.Use) int {
		return cmp.Or(cmp.Compare(x.Group, y.Group), cmp.Compare(x.Version, y.Version), cmp.Compare(x.Resource, y.Resource),
			cmp.Compare(x.Subresource, y.Subresource), cmp.Compare(x.User, y.User), cmp.Compare(x.UserAgent, y.UserAgent), cmp.Compare(x.Verb, y.Verb))
	})
	if a.more > 0 {
		a.unread = append(a.unread, fmt.Sprintf("%s: and %d more lines", name, a.more))
	}
	return uses, a.unread, nil
}

func (a *audit) skip(text string, about ...any) {
	if len(a.unread) == mostUnread {
		a.more++
		return
	}
	a.unread = append(a.unread, fmt.Sprintf(text, about...))
}

// take takes an event, or those in it.
func (a *audit) take(e *event, where string, depth int) {
	if depth > 2 {
		return
	}
	for i := range e.Items {
		a.take(&e.Items[i], where, depth+1)
	}
	if e.Properties != nil && e.Properties.Log != "" {
		var inner event
		if err := json.Unmarshal([]byte(e.Properties.Log), &inner); err != nil {
			a.skip("%s: properties.log is no audit event in JSON; Azure Monitor cuts off what is too long", where)
			return
		}
		a.take(&inner, where, depth+1)
	}
	if e.Annotations[deprecated] != "true" || e.Object == nil {
		return
	}
	if e.AuditID != "" {
		if a.seen[e.AuditID] {
			return
		}
		a.seen[e.AuditID] = true
	}
	alike := lifecycle.Use{
		Group: e.Object.Group, Version: e.Object.Version, Resource: e.Object.Resource, Subresource: e.Object.Subresource,
		Removed: release(e.Annotations[removedRelease]), User: e.User.Username, UserAgent: e.UserAgent, Verb: e.Verb,
	}
	if e.Impersonated != nil && e.Impersonated.Username != "" {
		alike.User = e.Impersonated.Username
	}
	u := a.uses[alike]
	if u == nil {
		u = new(lifecycle.Use)
		*u = alike
		a.uses[alike] = u
	}
	u.Count++
	at, err := time.Parse(time.RFC3339Nano, e.Received)
	if err == nil && at.After(u.At) || u.Count == 1 {
		u.At, u.Namespace, u.Name = at, e.Object.Namespace, e.Object.Name
	}
}
