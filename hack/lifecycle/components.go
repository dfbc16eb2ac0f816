package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// componentRow is an API that a component no longer serves, or soon will not.
type componentRow struct {
	gvk
	component   string
	deprecated  string // the component's version that first says so
	served      string // the last release known to serve it, where removed is not exact
	removed     string // the component's version that does not serve it
	replacement string // an apiVersion, or apiVersion and kind
	source      string
}

// crdFolders are where a module keeps the definitions that it installs; others of
// its folders hold samples and tests.
var crdFolders = map[string]string{
	"cert-manager":         "deploy/crds/",
	"Cilium":               "pkg/k8s/apis/cilium.io/client/crds/",
	"external-snapshotter": "config/crd/",
	"Gateway API":          "config/crd/",
	"Karpenter":            "pkg/apis/crds/",
	"KEDA":                 "config/crd/bases/",
	"Prometheus Operator":  "example/prometheus-operator-crd",
}

// crd is what counts of a CustomResourceDefinition.
type crd struct {
	Kind string `yaml:"kind"`
	Spec struct {
		Group string `yaml:"group"`
		Names struct {
			Kind string `yaml:"kind"`
		} `yaml:"names"`
		Versions []struct {
			Name       string `yaml:"name"`
			Served     bool   `yaml:"served"`
			Storage    bool   `yaml:"storage"`
			Deprecated bool   `yaml:"deprecated"`
		} `yaml:"versions"`
	} `yaml:"spec"`
}

// offered is what one release says about a version of a custom resource.
type offered struct{ served, deprecated bool }

// componentRows reads what a component's releases define, oldest first.
func componentRows(releases []release) ([]componentRow, error) {
	first, deprecated, served, removed := map[gvk]string{}, map[gvk]string{}, map[gvk]string{}, map[gvk]string{}
	folder := crdFolders[releases[0].component]
	var stored map[gvk]string // of the newest release: the version to use
	for _, r := range releases {
		version := strings.TrimPrefix(r.version, "v")
		var apis map[gvk]offered
		var err error
		if apis, stored, err = readCRDs(&r, folder); err != nil {
			return nil, err
		}
		for api := range served {
			if removed[api] == "" && !apis[api].served {
				removed[api] = version
			}
		}
		for api, o := range apis {
			if first[api] == "" {
				first[api] = version
			}
			switch {
			case o.served:
				served[api] = version
				delete(removed, api)
			case served[api] == "" && removed[api] == "":
				removed[api] = version
			}
			if o.deprecated && deprecated[api] == "" {
				deprecated[api] = version
			}
		}
	}
	newest := releases[len(releases)-1]
	var rows []componentRow
	for api := range first {
		if deprecated[api] == "" && removed[api] == "" {
			continue
		}
		row := componentRow{
			gvk: api, component: newest.component, deprecated: deprecated[api], served: served[api], removed: removed[api],
			source: newest.module + " " + newest.version + ", " + folder,
		}
		if version := stored[gvk{group: api.group, kind: api.kind}]; version != "" && version != api.version {
			row.replacement = api.group + "/" + version + " " + api.kind
		}
		if row.removed == "" {
			row.served = ""
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// readCRDs reads the definitions of one release. stored has the version that
// each resource, given without one, is stored as.
func readCRDs(r *release, folder string) (apis map[gvk]offered, stored map[gvk]string, err error) {
	files, err := r.files(func(path string) bool {
		return strings.HasPrefix(path, folder) && (strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml"))
	})
	if err != nil {
		return nil, nil, err
	}
	apis, stored = map[gvk]offered{}, map[gvk]string{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		documents := yaml.NewDecoder(bytes.NewReader(files[path]))
		for {
			var c crd
			err := documents.Decode(&c)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, nil, fmt.Errorf("%s %s: %s: %w", r.module, r.version, path, err)
			}
			if c.Kind != "CustomResourceDefinition" {
				continue
			}
			for _, v := range c.Spec.Versions {
				api := gvk{c.Spec.Group, v.Name, c.Spec.Names.Kind}
				o, again := apis[api] // a channel may serve what another does not
				apis[api] = offered{o.served || v.Served, v.Deprecated && (!again || o.deprecated)}
				if v.Storage {
					stored[gvk{group: api.group, kind: api.kind}] = v.Name
				}
			}
		}
	}
	if len(apis) == 0 {
		return nil, nil, fmt.Errorf("%s %s: no CustomResourceDefinition in %s: its folders are not what they were", r.module, r.version, folder)
	}
	return apis, stored, nil
}

// writtenRows reads the rows that are written by hand, each with its source.
func writtenRows() ([]componentRow, error) {
	text, err := os.ReadFile(componentsFile)
	if err != nil {
		return nil, fmt.Errorf("read what components say: %w", err)
	}
	var rows []componentRow
	var problems []error
	for n, line := range strings.Split(string(text), "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if len(fields) != 8 || fields[0] == "" || fields[1] == "" || fields[2] == "" || fields[3] == "" || fields[7] == "" || fields[4] == "" && fields[5] == "" {
			problems = append(problems, fmt.Errorf("%s:%d: want COMPONENT | GROUP | VERSIONS | KINDS | DEPRECATED | REMOVED | REPLACEMENT | SOURCE, got %q", componentsFile, n+1, line))
			continue
		}
		for version := range strings.FieldsSeq(fields[2]) {
			for kind := range strings.FieldsSeq(fields[3]) {
				replacement := fields[6]
				if replacement != "" && !strings.Contains(replacement, " ") {
					replacement += " " + kind
				}
				rows = append(rows, componentRow{
					gvk: gvk{fields[1], version, kind}, component: fields[0],
					deprecated: fields[4], removed: fields[5], replacement: replacement, source: fields[7],
				})
			}
		}
	}
	return rows, errors.Join(problems...)
}

// uniteRows puts written rows before what definitions say: a document names the
// very release, definitions only those that were read.
func uniteRows(written, defined []componentRow) []componentRow {
	taken := map[gvk]bool{}
	var all []componentRow
	for _, row := range slices.Concat(written, defined) {
		if !taken[row.gvk] {
			taken[row.gvk] = true
			all = append(all, row)
		}
	}
	slices.SortFunc(all, func(a, b componentRow) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.version, b.version), cmp.Compare(a.kind, b.kind))
	})
	return all
}
