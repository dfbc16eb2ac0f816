package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"liftlock.dev/liftlock/internal/adapter/manifest"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

// checks measures what checks take, by what they look at.
func checks(ctx context.Context, parts []string) ([]figure, error) {
	measures := []struct {
		part    string
		measure func(context.Context) ([]figure, error)
	}{{"manifests", manifests}, {"snapshot", snapshots}}
	for _, part := range parts {
		if part != "manifests" && part != "snapshot" {
			return nil, fmt.Errorf("check has no part called %s; there are manifests and snapshot", part)
		}
	}
	var figures []figure
	for _, m := range measures {
		if len(parts) > 0 && !slices.Contains(parts, m.part) {
			continue
		}
		more, err := m.measure(ctx)
		if err != nil {
			return figures, err
		}
		figures = append(figures, more...)
	}
	return figures, nil
}

// manifestFiles are as many as a large repository has.
const manifestFiles = 5_000

// manifests measures how long it takes to judge the API versions in a repository.
func manifests(ctx context.Context) (_ []figure, err error) {
	dir, err := os.MkdirTemp("", "liftlock-bench-")
	if err != nil {
		return nil, fmt.Errorf("check/manifests: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	written, err := writeManifests(dir)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	objects, skipped, err := manifest.Read(ctx, dir)
	if err != nil {
		return nil, err
	}
	findings := lifecycle.Judge(objects, fleet.Version{Major: 1, Minor: 36})
	took := time.Since(began).Seconds()
	blockers := 0
	for _, f := range findings {
		if f.Severity == fleet.Blocker {
			blockers++
		}
	}
	if len(objects) != written.objects || blockers != written.removed || len(skipped) != 0 {
		return nil, fmt.Errorf("check/manifests: found %d objects, %d of removed APIs and %d unread places, where %d, %d and none were written",
			len(objects), blockers, len(skipped), written.objects, written.removed)
	}
	return []figure{
		atMost("check/manifests: 5,000 files, seconds", took, 2, nil),
		info("check/manifests: 5,000 files, MiB", float64(written.bytes)/(1<<20)),
		info("check/manifests: 5,000 files, objects", float64(len(objects))),
	}, nil
}

// repository is what was written into a folder.
type repository struct{ objects, removed, bytes int }

// writeManifests writes a repository of manifests, the same every time: services
// of a Deployment, a Service, an Ingress and a budget each, charts of the same with
// templates, lists in JSON and definitions of custom resources. Every 50th service
// uses an API that is gone.
func writeManifests(dir string) (repository, error) {
	random := rand.New(rand.NewPCG(7, 11)) //nolint:gosec // the same every time
	var made repository
	write := func(path, text string) error {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return fmt.Errorf("write manifests: %w", err)
		}
		made.bytes += len(text)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("write manifests: %w", err)
		}
		return nil
	}
	for i := range manifestFiles {
		budget := "policy/v1"
		if i%50 == 0 {
			budget = "policy/v1beta1"
			made.removed++
		}
		var path, text string
		switch kind := random.IntN(100); {
		case kind < 2:
			path, text = fmt.Sprintf("crds/%d.yaml", i), definition(i, 400+random.IntN(800))
			made.objects++
			if i%50 == 0 {
				made.removed--
			}
		case kind < 12:
			path = fmt.Sprintf("dumps/%d.json", i)
			text = fmt.Sprintf(`{"apiVersion": "v1", "kind": "List", "items": [`+"\n"+`{"apiVersion": %q, "kind": "PodDisruptionBudget", "metadata": {"name": "web-%d"}},`+"\n"+`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-%d"}, "data": {"text": %q}}]}`,
				budget, i, i, strings.Repeat("text ", 200+random.IntN(400)))
			made.objects += 2
		case kind < 50:
			path = fmt.Sprintf("charts/c%d/templates/all-%d.yaml", i/20, i)
			text = service(`{{ include "c.fullname" . }}-`+fmt.Sprint(i), budget, "\n{{- if .Values.ingress.enabled }}", "\n{{- end }}", random.IntN(12))
			made.objects += 4
		default:
			path, text = fmt.Sprintf("apps/team-%d/web-%d.yaml", i/100, i), service(fmt.Sprintf("web-%d", i), budget, "", "", random.IntN(12))
			made.objects += 4
		}
		if err := write(path, text); err != nil {
			return made, err
		}
	}
	return made, nil
}

// service is a Deployment and what belongs to it.
func service(name, budget, begin, end string, settings int) string {
	var env strings.Builder
	for i := range settings {
		fmt.Fprintf(&env, "        - name: SETTING_%d\n          value: \"https://service-%d.shop.svc.cluster.local:8443/path # no comment\"\n", i, i)
	}
	meta := "metadata:\n  labels:\n    app.kubernetes.io/name: " + name + "\n  name: " + name + "\n  namespace: shop\n"
	return "# what belongs to " + name + "\napiVersion: apps/v1\nkind: Deployment\n" + meta + "spec:\n  replicas: 3\n  selector:\n    matchLabels:\n      app: " + name +
		"\n  template:\n    metadata:\n      labels:\n        app: " + name + "\n    spec:\n      containers:\n      - name: app\n        image: registry.example.com/shop/app:v1.2.3\n" +
		"        resources:\n          requests: {cpu: 250m, memory: 512Mi}\n        env:\n" + env.String() +
		"---\napiVersion: v1\nkind: Service\n" + meta + "spec:\n  ports:\n  - port: 80\n    targetPort: http\n" +
		"---" + begin + "\napiVersion: networking.k8s.io/v1\nkind: Ingress\n" + meta + "spec:\n  rules:\n  - host: " + name + ".example.com\n" + end +
		"\n---\napiVersion: " + budget + "\nkind: PodDisruptionBudget\n" + meta + "spec:\n  maxUnavailable: 1\n"
}

// definition is a CustomResourceDefinition with a schema of so many fields.
func definition(i, fields int) string {
	var out strings.Builder
	fmt.Fprintf(&out, "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: things%d.example.com\nspec:\n  versions:\n  - name: v1\n    schema:\n      openAPIV3Schema:\n        properties:\n          apiVersion:\n            type: string\n", i)
	for n := range fields {
		fmt.Fprintf(&out, "          field%d:\n            description: |-\n              What this field is for takes a line or two, as it does in\n              definitions that are made from code.\n            type: string\n", n)
	}
	return out.String()
}
