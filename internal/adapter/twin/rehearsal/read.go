package rehearsal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	kjson "k8s.io/apimachinery/pkg/util/json"
)

// Objects are a cluster's objects as kubectl prints them.
type Objects struct {
	List []Object
	// LeftOut counts objects by kind that are never taken along.
	LeftOut map[string]int
}

// Object is one object, and where it was read.
type Object struct {
	Content map[string]any
	Where   string // "items[17]"
}

// leftOut are kinds of which nothing is kept in memory: some hold secrets, the
// others are made anew by whoever made them.
var leftOut = map[kind]bool{
	{"", "Secret"}: true, {"", "ConfigMap"}: true, {"", "Event"}: true, {"events.k8s.io", "Event"}: true,
	{"", "Endpoints"}: true, {"discovery.k8s.io", "EndpointSlice"}: true, {"coordination.k8s.io", "Lease"}: true,
	{"apps", "ControllerRevision"}: true, {"storage.k8s.io", "VolumeAttachment"}: true, {"", "ComponentStatus"}: true,
	{"metrics.k8s.io", "PodMetrics"}: true, {"metrics.k8s.io", "NodeMetrics"}: true,
	{"authentication.k8s.io", "TokenReview"}: true, {"certificates.k8s.io", "CertificateSigningRequest"}: true,
	{"storage.k8s.io", "CSIStorageCapacity"}: true, {"", "PodTemplate"}: true,
}

// Read reads the lists of objects that a file holds. Objects that are there
// twice are taken once. Where the file is not what kubectl prints, the error says
// where; the product's reader of snapshots says more, and is asked first.
func Read(in io.Reader, file string) (*Objects, error) {
	o := &Objects{LeftOut: map[string]int{}}
	seen := map[string]bool{}
	decoder := json.NewDecoder(in)
	for document := 0; ; document++ {
		prefix := ""
		if document > 0 {
			prefix = fmt.Sprintf("document[%d].", document)
		}
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && document > 0 {
			return o, nil
		}
		switch {
		case err != nil:
		case token == json.Delim('{'):
			err = o.document(decoder, prefix, seen)
		default:
			err = errNoList
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("ends before its end: it was cut off")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: byte %d: %w", file, decoder.InputOffset(), err)
		}
	}
}

// errNoList is what a file is refused for that was not printed by kubectl.
var errNoList = errors.New("holds no list of objects: a rehearsal needs what kubectl get -A -o json prints")

// document reads the rest of one list.
func (o *Objects) document(decoder *json.Decoder, prefix string, seen map[string]bool) error {
	var of kind
	listed := false
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		switch key {
		case "items":
			listed = true
			if err := o.items(decoder, prefix, of, seen); err != nil {
				return err
			}
		case "apiVersion", "kind":
			var text string
			if err := decoder.Decode(&text); err != nil {
				return fmt.Errorf("%s%s: %w", prefix, key, err)
			}
			if key == "kind" {
				of.name = strings.TrimSuffix(text, "List")
			} else {
				of.group = text // the version, until an item needs it
			}
		default:
			var skipped json.RawMessage
			if err := decoder.Decode(&skipped); err != nil {
				return fmt.Errorf("%s%s: %w", prefix, key, err)
			}
		}
	}
	if _, err := decoder.Token(); err != nil {
		return err
	}
	if !listed {
		return errNoList
	}
	return nil
}

// items reads the items of a list whose apiVersion and kind are of.
func (o *Objects) items(decoder *json.Decoder, prefix string, of kind, seen map[string]bool) error {
	token, err := decoder.Token()
	if err != nil || token == nil { // null: kubectl writes it for an empty list
		return err
	}
	if token != json.Delim('[') {
		return fmt.Errorf("%sitems is no list", prefix)
	}
	for n := 0; decoder.More(); n++ {
		where := fmt.Sprintf("%sitems[%d]", prefix, n)
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		if head.Kind == "" {
			head.APIVersion, head.Kind = of.group, of.name
		}
		if k := (kind{groupOf(head.APIVersion), head.Kind}); leftOut[k] {
			o.LeftOut[k.String()]++
			continue
		}
		var content map[string]any
		if err := kjson.Unmarshal(raw, &content); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		content["apiVersion"], content["kind"] = head.APIVersion, head.Kind
		object := Object{Content: content, Where: where}
		if object.name() == "" {
			return fmt.Errorf("%s: %s has no metadata.name", where, head.Kind)
		}
		if key := object.kind().String() + " " + object.key(); !seen[key] {
			seen[key] = true
			o.List = append(o.List, object)
		}
	}
	_, err = decoder.Token()
	return err
}

// LeftOutKinds are the kinds of LeftOut, sorted.
func (o *Objects) LeftOutKinds() []string { return slices.Sorted(maps.Keys(o.LeftOut)) }
