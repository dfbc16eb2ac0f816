package e2e

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/report"
)

// patience is for what takes seconds where nothing else runs.
const patience = 3 * time.Minute

// site is a state folder, and Liftlock on it.
type site struct {
	dir   string
	owner *testing.T // at whose end nothing may run any more
}

// newSite returns an empty state folder. At the end of the test nothing may run
// on it any more.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: filepath.Join(t.TempDir(), "s"), owner: t}
	t.Cleanup(func() {
		if err := remains(s.dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start starts a command.
func (s *site) start(t *testing.T, args ...string) *process {
	t.Helper()
	return launch(t, s.owner, bin.liftlock, append(slices.Clone(args), "--state", s.dir)...)
}

// run runs a command to its end and returns its results, messages and exit code.
func (s *site) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	p := s.start(t, args...)
	code = p.wait(t, patience)
	return p.stdout(), p.err.String(), code
}

// must runs a command that has to succeed, and returns its results.
func (s *site) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err, code := s.run(t, args...)
	if code != 0 {
		t.Fatalf("liftlock %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, err)
	}
	return out
}

// read runs a command with -o json and decodes its results.
func (s *site) read(t *testing.T, into any, args ...string) {
	t.Helper()
	out := s.must(t, append(slices.Clone(args), "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("liftlock %s -o json: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// status is the report of the latest rollout so far.
func (s *site) status(t *testing.T) (r report.Report) {
	t.Helper()
	s.read(t, &r, "status")
	return r
}

// journal is what the latest rollout has done.
func (s *site) journal(t *testing.T) (entries []fleet.JournalEntry) {
	t.Helper()
	s.read(t, &entries, "journal")
	return entries
}

// clusterOf finds a cluster in a report.
func clusterOf(t *testing.T, r *report.Report, name string) *report.Cluster {
	t.Helper()
	for i := range r.Clusters {
		if r.Clusters[i].Name == name {
			return &r.Clusters[i]
		}
	}
	t.Fatalf("the report names no cluster %s", name)
	return nil
}
