package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// undumped are resources that Dump does not ask for: some hold secrets, the others
// say nothing that lasts.
var undumped = map[string]bool{
	"secrets": true, "configmaps": true, "events": true, "endpoints": true, "endpointslices.discovery.k8s.io": true,
	"leases.coordination.k8s.io": true, "events.events.k8s.io": true, "componentstatuses": true, "podtemplates": true,
	"controllerrevisions.apps": true, "csistoragecapacities.storage.k8s.io": true, "certificatesigningrequests.certificates.k8s.io": true,
}

// needed are resources without which a dump is of no use.
var needed = []string{"nodes", "pods"}

// Dump reads a cluster's objects of all kinds that it serves, and writes them as
// kubectl get -A -o json prints them, which ReadFile reads. Secrets and ConfigMaps
// are not asked for. A kind that cannot be read is a finding that says what to
// grant; only without nodes or pods there is no dump.
func (c *Connector) Dump(ctx context.Context, target fleet.Cluster, out io.Writer) ([]fleet.Finding, error) {
	connected, err := c.Connect(ctx, target, "")
	if err != nil {
		return nil, err
	}
	open, ok := connected.(*cluster)
	if !ok {
		return nil, fmt.Errorf("cluster %s: cannot list its objects", target.Name)
	}
	findings, err := open.dump(ctx, out)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", target.Name, err)
	}
	return findings, nil
}

// dumped is a kind to be read.
type dumped struct {
	apiVersion, kind, name, path string
	of                           right
}

func (c *cluster) dump(ctx context.Context, out io.Writer) ([]fleet.Finding, error) {
	kinds, findings, err := c.dumpable(ctx)
	if err != nil {
		return nil, err
	}
	w := &dumpWriter{out: out}
	w.write([]byte(`{"apiVersion":"v1","kind":"List","items":[`))
	for _, k := range kinds {
		err := c.dumpKind(ctx, k, w)
		switch {
		case err == nil:
		case w.err != nil:
			return nil, fmt.Errorf("write the snapshot: %w", w.err)
		case ctx.Err() != nil, slices.Contains(needed, k.name):
			return nil, explain(err, "list "+k.name, k.of)
		case apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err):
		default:
			findings = append(findings, kindUnread(k.name, explain(err, "list "+k.name, k.of).Error()))
		}
	}
	w.write([]byte("]}\n"))
	if w.err != nil {
		return nil, fmt.Errorf("write the snapshot: %w", w.err)
	}
	return findings, nil
}

// kindUnread is the finding about objects that could not be read.
func kindUnread(what, why string) fleet.Finding {
	return fleet.Finding{
		ID: "snapshot-kind-unread", Severity: fleet.Warning, Object: "snapshot",
		What: "objects of kind " + what + " could not be read: what becomes of them is not known", Why: why,
		Remedy: "grant the right, or make the API answer",
	}
}

// dumpable asks which kinds there are. An API service that is away takes its kinds
// with it, and is said.
func (c *cluster) dumpable(ctx context.Context) ([]dumped, []fleet.Finding, error) {
	lists, err := c.discovery().ServerPreferredResourcesWithContext(ctx)
	var findings []fleet.Finding
	if err != nil {
		if len(lists) == 0 {
			return nil, nil, fmt.Errorf("ask which kinds there are: %w", err)
		}
		findings = append(findings, kindUnread("(all of some API groups)", err.Error()))
	}
	var kinds []dumped
	for _, list := range lists {
		root, group := "/apis/"+list.GroupVersion+"/", groupOf(list.GroupVersion)
		if group == "" {
			root = "/api/" + list.GroupVersion + "/"
		}
		for i := range list.APIResources {
			r := &list.APIResources[i]
			name := strings.TrimSuffix(r.Name+"."+group, ".")
			if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list") || undumped[name] || group == "metrics.k8s.io" {
				continue
			}
			kinds = append(kinds, dumped{list.GroupVersion, r.Kind, name, root + r.Name, right{"list", group, r.Name}})
		}
	}
	for _, name := range needed {
		if !slices.ContainsFunc(kinds, func(k dumped) bool { return k.name == name }) {
			return nil, nil, errors.New("the API server does not say that it serves " + name)
		}
	}
	return kinds, findings, nil
}

// dumpKind reads all objects of a kind, page by page. A list that takes longer than
// the API server keeps its version ends early, and is an error: objects that were
// written cannot be taken back.
func (c *cluster) dumpKind(ctx context.Context, k dumped, w *dumpWriter) error {
	for next := ""; ; {
		request := c.client.Discovery().RESTClient().Get().AbsPath(k.path).Param("limit", strconv.Itoa(pageSize)).SetHeader("Accept", "application/json")
		if next != "" {
			request = request.Param("continue", next)
		}
		result := request.Do(ctx)
		if err := result.Error(); err != nil { // Raw's would lack the API server's words
			return err
		}
		raw, err := result.Raw()
		if err != nil {
			return err
		}
		var page struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return fmt.Errorf("what it answered is no list: %w", err)
		}
		for _, item := range page.Items {
			if err := w.item(item, k); err != nil {
				return err
			}
		}
		if next = page.Metadata.Continue; next == "" {
			return nil
		}
	}
}

// dumpWriter writes items one after the other; its first error stays.
type dumpWriter struct {
	out   io.Writer
	items int
	err   error
}

func (w *dumpWriter) write(p []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(p)
	}
}

// item writes an object, which does not say in a list what it is.
func (w *dumpWriter) item(raw json.RawMessage, k dumped) error {
	var head metav1.TypeMeta
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("an item of its list is no object: %w", err)
	}
	raw = bytes.TrimSpace(raw)
	if w.items++; w.items > 1 {
		w.write([]byte(","))
	}
	if head.Kind != "" || len(raw) == 0 || raw[0] != '{' {
		w.write(raw)
		return w.err
	}
	w.write(fmt.Appendf(nil, `{"apiVersion":%q,"kind":%q`, k.apiVersion, k.kind))
	if rest := bytes.TrimSpace(raw[1:]); len(rest) > 0 && rest[0] != '}' {
		w.write([]byte(","))
	}
	w.write(raw[1:])
	return w.err
}
