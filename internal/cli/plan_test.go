package cli_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/adapter/kube"
	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

var update = flag.Bool("update", false, "write the golden files anew")

// offline is a host that can do nothing but read files.
type offline struct{ cli.Host }

// ReadSnapshot implements cli.Host.
func (offline) ReadSnapshot(ctx context.Context, path string, in io.Reader, at time.Time) (fleet.Snapshot, []fleet.Finding, error) {
	if path != "-" {
		text, err := os.ReadFile(path)
		if err != nil {
			return fleet.Snapshot{}, nil, err
		}
		in = bytes.NewReader(text)
	}
	return kube.ReadFile(ctx, in, path, at)
}

// liftlock runs a command line.
func liftlock(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = cli.Run(t.Context(), cli.Streams{
		In: strings.NewReader(stdin), Out: &out, Err: &err, Args: args,
		Getenv: func(string) string { return "" }, Home: t.TempDir(), Dir: ".", Actor: "ann",
	}, offline{})
	return out.String(), err.String(), code
}

const clusterFile = "testdata/plan/cluster.json"

// TestPlanGoldens holds what people and machines are told of one small cluster
// with every awkward kind of pod.
func TestPlanGoldens(t *testing.T) {
	for name, args := range map[string][]string{
		"bluegreen.json": {"-o", "json"},
		"bluegreen.yaml": {"-o", "yaml"},
		"bluegreen.txt":  {},
		"rolling.txt":    {"--extra-nodes", "1"},
		"buffer.txt":     {"--strategy", "buffer", "--full-pace"},
		"inplace.txt":    {"--strategy", "inPlace"},
		"accepted.txt":   {"--strategy", "inPlace", "--accept", "workload-below-requirement", "--accept", "job-interrupted", "--accept", "pod-bare=Pod/shop/*"},
	} {
		t.Run(name, func(t *testing.T) {
			got, stderr, code := liftlock(t, "", append([]string{"plan", "--snapshot", clusterFile, "--pool", "apps"}, args...)...)
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a pod's environment is in the output")
			}
			golden := filepath.Join("testdata/plan", name)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; write it with -update", err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got), run with -update if it is meant:\n%s", diff)
			}
		})
	}
}
