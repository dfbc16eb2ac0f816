package rehearsal

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	kjson "k8s.io/apimachinery/pkg/util/json"
)

// revisionLabel names on a pod the revision of its StatefulSet or DaemonSet.
const revisionLabel = "controller-revision-hash"

// keepRevision makes the ControllerRevision that the pods of a StatefulSet or
// DaemonSet are of, from the template as the new API server has it. Without, the
// controller would make one of another name, and restart every pod for it.
func (l *loader) keepRevision(ctx context.Context, o *Object, made map[string]any) error {
	hash := l.revisions[o.Key()]
	if hash == "" {
		return nil // no pod of it says; then none is restarted either
	}
	revision, err := revisionOf(made, hash)
	if err != nil {
		return fmt.Errorf("revision of %s: %w", o.Key(), err)
	}
	_, err = l.post(ctx, "apps/v1", resource{"controllerrevisions", true}, revision, false)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("revision of %s: %w", o.Key(), err)
	}
	if o.kind().name != "StatefulSet" {
		return nil
	}
	return l.restore(ctx, o, made, map[string]any{"currentRevision": hash, "updateRevision": hash, "replicas": number(o.Content, "status", "replicas")})
}

// revisionsOf finds the newest revision of each StatefulSet and DaemonSet: by its
// status, or else the one that most of its pods are of.
func revisionsOf(objects []Object) map[string]string {
	found := map[string]string{}
	votes := map[string]map[string]int{}
	for i := range objects {
		o := &objects[i]
		switch o.kind() {
		case kind{"apps", "StatefulSet"}:
			if r := text(o.Content, "status", "updateRevision"); r != "" {
				found[o.Key()] = r
			}
		case kind{"", "Pod"}:
			by, owned := o.controller()
			hash := text(o.Content, "metadata", "labels", revisionLabel)
			if !owned || hash == "" {
				continue
			}
			key := named(by.kind.name, o.namespace(), by.name)
			if votes[key] == nil {
				votes[key] = map[string]int{}
			}
			votes[key][hash]++
		}
	}
	for key, by := range votes {
		if found[key] != "" {
			continue
		}
		for hash, n := range by {
			if best := found[key]; best == "" || n > by[best] || n == by[best] && hash < best {
				found[key] = hash
			}
		}
	}
	return found
}

// revisionOf makes a revision as the controllers do: they compare the data byte by
// byte. hash is the label of the pods, which for a StatefulSet is the revision's
// whole name.
func revisionOf(made map[string]any, hash string) (map[string]any, error) {
	raw, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	var plain map[string]any // with numbers as the controllers decode them
	if err := json.Unmarshal(raw, &plain); err != nil {
		return nil, err
	}
	template := part(plain, "spec", "template")
	template["$patch"] = "replace"
	data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": template}})
	if err != nil {
		return nil, err
	}
	name := text(made, "metadata", "name")
	full := hash
	if !strings.HasPrefix(hash, name+"-") {
		full = name + "-" + hash
	}
	r := object("apps/v1", "ControllerRevision", text(made, "metadata", "namespace"), full)
	label := strings.TrimPrefix(full, name+"-")
	labels := map[string]any{revisionLabel: label}
	maps.Copy(labels, part(made, "spec", "template", "metadata", "labels"))
	maps.Copy(labels, part(made, "spec", "selector", "matchLabels"))
	put(r, labels, "metadata", "labels")
	if text(made, "kind") == "StatefulSet" {
		put(r, label, "metadata", "labels", "controller.kubernetes.io/hash")
	}
	put(r, []any{map[string]any{
		"apiVersion": "apps/v1", "kind": text(made, "kind"), "name": name, "uid": text(made, "metadata", "uid"),
		"controller": true, "blockOwnerDeletion": true,
	}}, "metadata", "ownerReferences")
	r["data"] = json.RawMessage(data)
	r["revision"] = int64(1)
	return r, nil
}

// decode reads an object with whole numbers.
func decode(raw []byte) (map[string]any, error) {
	var content map[string]any
	if err := kjson.Unmarshal(raw, &content); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return content, nil
}
