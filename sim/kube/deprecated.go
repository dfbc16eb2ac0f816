package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// DeprecatedAPIUse implements aks.Cluster by the API server's own account of
// it, the metric apiserver_requested_deprecated_apis. Resources of the core
// group have an empty group: ".endpoints.v1".
func (c *Cluster) DeprecatedAPIUse(ctx context.Context, targetMinor string) ([]string, error) {
	body, err := c.client.Discovery().RESTClient().Get().AbsPath("/metrics").Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics of cluster %s: %w", c.spec.Name, err)
	}
	content, err := io.ReadAll(body)
	if closed := body.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics of cluster %s: %w", c.spec.Name, err)
	}
	target, err := minorNumber(targetMinor)
	if err != nil {
		return nil, err
	}
	return removedIn(content, target), nil
}

// removedIn reads which of the APIs in use are gone in a minor of Kubernetes 1.
func removedIn(metrics []byte, target int) []string {
	var used []string
	for line := range bytes.Lines(metrics) {
		rest, ok := bytes.CutPrefix(line, []byte("apiserver_requested_deprecated_apis{"))
		if !ok {
			continue
		}
		series, value, ok := strings.Cut(string(rest), "} ")
		if !ok || strings.TrimSpace(value) == "0" {
			continue
		}
		label := map[string]string{}
		for pair := range strings.SplitSeq(series, ",") {
			name, quoted, _ := strings.Cut(pair, "=")
			label[name] = strings.Trim(quoted, `"`)
		}
		removed, err := minorNumber(label["removed_release"])
		if err != nil || removed > target {
			continue // deprecated, but still there
		}
		used = append(used, label["group"]+"."+label["resource"]+"."+label["version"])
	}
	slices.Sort(used)
	return slices.Compact(used)
}

// minorNumber reads "1.35" or "1.35.4".
func minorNumber(version string) (int, error) {
	parts := strings.Split(version, ".")
	if len(parts) < 2 || parts[0] != "1" {
		return 0, fmt.Errorf("%q is no version of Kubernetes such as 1.35", version)
	}
	number, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0, fmt.Errorf("%q is no version of Kubernetes such as 1.35", version)
	}
	return number, nil
}
