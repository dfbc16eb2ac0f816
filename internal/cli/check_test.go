package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/config"
	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/rollout"
)

// ReadFacts implements cli.Host.
func (offline) ReadFacts(ctx context.Context, path string, in io.Reader, at time.Time) (check.Facts, error) {
	if path != "-" {
		text, err := os.ReadFile(path)
		if err != nil {
			return check.Facts{}, err
		}
		in = bytes.NewReader(text)
	}
	return kube.ReadFacts(ctx, in, path, at, kube.Readers{})
}

// ReadFleet implements cli.Host.
func (offline) ReadFleet(_ context.Context, path string) (rollout.FleetFile, error) {
	spec, source, err := config.Read(path)
	if err != nil {
		return rollout.FleetFile{}, err
	}
	return rollout.FleetFile{Digest: spec.Digest, Source: source, Spec: spec}, nil
}

// Version implements cli.Host.
func (offline) Version() cli.VersionInfo { return cli.VersionInfo{Version: "v0"} }

// TestCheckGoldens holds what people and machines are told of one small cluster
// in which everything is wrong that a file can show.
func TestCheckGoldens(t *testing.T) {
	for name, args := range map[string][]string{
		"check.txt":    {},
		"check.json":   {"-o", "json"},
		"check.xml":    {"-o", "junit"},
		"check.sarif":  {"-o", "sarif"},
		"inplace.txt":  {"--only", "in-place,budgets", "--fleet", "testdata/check/inplace.yaml"},
		"list.txt":     {"--list"},
		"webhooks.txt": {"--only", "webhooks"},
	} {
		t.Run(name, func(t *testing.T) {
			got, stderr, code := liftlock(t, "", append([]string{"check", "--snapshot", "testdata/check/cluster.json", "--from", "1.34.8", "--target", "1.36"}, args...)...)
			want := cli.ExitBlockers
			if name == "list.txt" {
				want = cli.ExitOK
			}
			if code != want || stderr != "" {
				t.Fatalf("exit code %d, want %d: %s", code, want, stderr)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a secret is in the output")
			}
			golden := filepath.Join("testdata/check", name)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; write it with -update", err)
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("(-want +got), run with -update if it is meant:\n%s", diff)
			}
		})
	}
}

// TestCheckVerdict holds the exit codes.
func TestCheckVerdict(t *testing.T) {
	const healthy = `{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"Node","metadata":{"name":"n","labels":{"agentpool":"apps"},"creationTimestamp":"2026-01-01T00:00:00Z"},"status":{"nodeInfo":{"kubeletVersion":"v1.35.1"},"conditions":[{"type":"Ready","status":"STATUS"}]}},
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"shop","ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"d","uid":"d","controller":true}]},"spec":{"nodeName":"n"},"status":{"phase":"Running"}},
{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"d","namespace":"shop","uid":"d"}},
{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"b","namespace":"shop"},"spec":{"maxUnavailable":1,"selector":{"matchLabels":{"app":"none"}}}}]}`
	well, sick := strings.Replace(healthy, "STATUS", "True", 1), strings.Replace(healthy, "STATUS", "False", 1)
	for _, tc := range []struct {
		name, in string
		args     []string
		want     int
	}{
		{"nothing found", well, nil, cli.ExitOK},
		{"warnings do not fail", sick, nil, cli.ExitOK},
		{"unless they are to", sick, []string{"--fail-on", "warning"}, cli.ExitWarnings},
		{"what was asked for by name and is not in a file", well, []string{"--only", "webhooks"}, cli.ExitUnchecked},
		{"a group of checks may lack what a file does not hold", well, []string{"--only", "platform"}, cli.ExitOK},
		{"nothing fails", sick, []string{"--fail-on", "never"}, cli.ExitOK},
		{"a target behind", well, []string{"--from", "1.37.0"}, cli.ExitBlockers},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, stderr, code := liftlock(t, tc.in, append([]string{"check", "--snapshot", "-", "--target", "1.36"}, tc.args...)...)
			if code != tc.want || stderr != "" {
				t.Errorf("exit code %d, want %d\n%s%s", code, tc.want, out, stderr)
			}
		})
	}
}

// TestCheckJSONHasNoNulls: machines get lists, also empty ones.
func TestCheckJSONHasNoNulls(t *testing.T) {
	out, _, _ := liftlock(t, "", "check", "--snapshot", "testdata/check/cluster.json", "-o", "json", "--only", "grace")
	var value map[string]any
	if err := json.Unmarshal([]byte(out), &value); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "null") {
		t.Errorf("has null:\n%s", out)
	}
}
