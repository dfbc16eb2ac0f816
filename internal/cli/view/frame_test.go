package view

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/charmbracelet/lipgloss"
	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

var rewrite = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got), write it anew with -update:\n%s", path, diff)
	}
}

// size makes a frame without colours.
func size(width, height int, now time.Time) frame {
	return frame{width: width, height: height, now: now, paint: painter(io.Discard, Options{})}
}

// wantInside fails the test if a picture is too large or could steer a terminal.
func wantInside(t *testing.T, picture string, f frame) {
	t.Helper()
	lines := strings.Split(picture, "\n")
	if len(lines) > max(f.height, 8)-1 {
		t.Errorf("%dx%d: %d lines", f.width, f.height, len(lines))
	}
	for _, line := range lines {
		if w := lipgloss.Width(line); w > max(f.width, 20) {
			t.Errorf("%dx%d: %d columns: %q", f.width, f.height, w, line)
		}
		for _, c := range line {
			if unicode.IsControl(c) {
				t.Fatalf("control character %q in %q", c, line)
			}
		}
	}
}

func TestFrames(t *testing.T) {
	for _, tt := range []struct {
		name          string
		m             Model
		width, height int
	}{
		{"four", four(), 80, 24},
		{"four", four(), 140, 50},
		{"four", four(), 50, 16},
		{"four", four(), 20, 8},
		{"waiting", waiting(), 80, 24},
		{"waiting", waiting(), 60, 12},
		{"finished", finished(), 80, 24},
		{"many", many(), 80, 24},
		{"many", many(), 120, 60},
		{"many", many(), 60, 12},
		{"empty", Model{}, 80, 24},
	} {
		name := fmt.Sprintf("%s_%dx%d.txt", tt.name, tt.width, tt.height)
		t.Run(name, func(t *testing.T) {
			f := size(tt.width, tt.height, tt.m.Now)
			got := draw(tt.m, f)
			wantInside(t, got, f)
			golden(t, name, got+"\n")
		})
	}
}

func TestFrameInColour(t *testing.T) {
	f := size(80, 24, many().Now)
	f.paint = painter(io.Discard, Options{Color: true})
	golden(t, "many_80x24.ansi", draw(many(), f)+"\n")
	plain := size(80, 24, many().Now)
	if got, want := stripped(draw(many(), f)), draw(many(), plain); got != want {
		t.Errorf("the picture in colour is another one:\n%s", cmp.Diff(want, got))
	}
}

// stripped takes colours out of a text.
func stripped(s string) string {
	var out strings.Builder
	for len(s) > 0 {
		if i := strings.Index(s, "\x1b["); i >= 0 {
			out.WriteString(s[:i])
			s = s[i:]
			s = s[strings.IndexByte(s, 'm')+1:]
			continue
		}
		out.WriteString(s)
		break
	}
	return out.String()
}

// TestAnyFrameFits draws random fleets in random sizes: nothing runs over the
// edge, and what waits for a person or is in trouble stays in sight.
func TestAnyFrameFits(t *testing.T) {
	states := []fleet.State{
		fleet.StatePending, fleet.StateWaiting, fleet.StateRunning, fleet.StateSoaking, fleet.StatePaused, fleet.StateRollingBack, fleet.StateBlocked,
		fleet.StateSucceeded, fleet.StateFailed, fleet.StateSkipped, fleet.StateSetAside, fleet.StateAborted, fleet.StateRolledBack, "Unheard",
	}
	texts := []string{"", "short", strings.Repeat("long ", 40), "集群集群集群集群集群", "line\nbreak \x1b[31m and \u202e tricks", "🚀🚀"}
	rng := rand.New(rand.NewPCG(7, 7))
	pick := func() string { return texts[rng.IntN(len(texts))] }
	state := func() fleet.State { return states[rng.IntN(len(states))] }
	for range 200 {
		m := Model{Fleet: pick(), Target: pick(), State: state(), Reason: pick(), Now: after(rng.IntN(1e6)), StartedAt: start, Left: time.Duration(rng.Int64N(1e15)), Violations: rng.IntN(2), Workloads: rng.IntN(2)}
		for range rng.IntN(16) {
			r := Ring{Name: pick(), State: state(), Reason: pick()}
			for range rng.IntN(16) {
				c := Cluster{Name: pick(), From: pick(), To: pick(), State: state(), Reason: pick(), StartedAt: after(rng.IntN(1e6)), PodsMoved: rng.IntN(200), PodsTotal: rng.IntN(200), Violations: rng.IntN(2)}
				for range rng.IntN(4) {
					c.Pools = append(c.Pools, Pool{Name: pick(), Strategy: fleet.Strategy(pick()), State: state(), Reason: pick(), PodsMoved: rng.IntN(200), PodsTotal: rng.IntN(200)})
				}
				r.Clusters = append(r.Clusters, c)
			}
			m.Rings = append(m.Rings, r)
		}
		for range rng.IntN(4) {
			m.Approvals = append(m.Approvals, Approval{Ring: "prod", Name: "release", Role: pick(), Command: pick()})
			m.Journal = append(m.Journal, fleet.JournalEntry{Cluster: pick(), Pool: pick(), Action: pick(), Object: pick(), Reason: pick()})
		}
		f := size(rng.IntN(200), rng.IntN(70), m.Now)
		picture := draw(m, f)
		wantInside(t, picture, f)
		if len(m.Approvals) > 0 && f.height > 16 && f.width > 60 && !strings.Contains(picture, "approval") {
			t.Errorf("%dx%d: the approval that is waited for is not in sight:\n%s", f.width, f.height, picture)
		}
		if t.Failed() {
			return
		}
	}
}

// BenchmarkFrame draws 200 clusters, as a terminal does eight times a second.
func BenchmarkFrame(b *testing.B) {
	m := many()
	f := size(120, 40, m.Now)
	f.paint = painter(io.Discard, Options{Color: true})
	for b.Loop() {
		draw(m, f)
	}
}
