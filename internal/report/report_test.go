package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

var (
	rewrite = flag.Bool("update", false, "write the golden files anew")
	pages   = flag.String("pages", "", "folder to write pages to, to look at them")
)

// write returns what a format writes.
func write(t *testing.T, format func(io.Writer, Report) error, r Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := format(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// formats are all that a report can be written as.
var formats = map[string]func(io.Writer, Report) error{"json": JSON, "html": HTML, "xml": JUnit, "txt": Text}

func TestGolden(t *testing.T) {
	for name, r := range map[string]Report{"sample": sample(), "troubled": troubled(), "empty": {}} {
		for extension, format := range formats {
			if name == "troubled" && extension != "txt" && extension != "xml" {
				continue // megabytes that nobody would read
			}
			t.Run(name+"."+extension, func(t *testing.T) {
				got := write(t, format, r)
				path := filepath.Join("testdata", name+"."+extension)
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
			})
		}
	}
}

// TestPublishedJSON holds the names that are published, and that lists are
// never null.
func TestPublishedJSON(t *testing.T) {
	for name, r := range map[string]Report{
		"sample": sample(), "empty": {}, "nothing done": {Clusters: []Cluster{{Name: "a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			text := write(t, JSON, r)
			if strings.Contains(text, "null") {
				t.Error("a value is null")
			}
			var got struct {
				Fleet, State, Target *string
				Clusters             *[]struct {
					Name, Ring, From, To, State *string
					Hops                        *[]string
					Pools                       *[]struct{ Name, Strategy, From, To *string }
					PodsToMove, PodMoves        *int
					Availability                *struct {
						Workloads, Violations *int
						Lowest                *[]struct {
							Workload         *string
							Required, Lowest *int
						}
					}
					Seconds *float64
				}
				Ledger *[]struct {
					Kind, Subject, Version, Digest, Ring, ProvenAt *string
				}
				Violations *int
			}
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			// Encoded again, a field that was not there is a null.
			again, err := json.Marshal(got)
			if err != nil || strings.Contains(string(again), "null") {
				t.Errorf("a published field is missing: %s (%v)", again, err)
			}
		})
	}
}

func TestJSONLeavesTheReport(t *testing.T) {
	r := Report{Clusters: []Cluster{{Name: "a"}}}
	write(t, JSON, r)
	if r.Ledger != nil || r.Clusters[0].Hops != nil {
		t.Error("writing changed the report")
	}
}

// TestHostileTexts holds every format to text staying text.
func TestHostileTexts(t *testing.T) {
	r := hostile()
	page := write(t, HTML, r)
	for _, bad := range []string{"<script", "<img", "</svg>{{", "href=\"javascript"} {
		if strings.Contains(page, bad) {
			t.Errorf("HTML contains %q", bad)
		}
	}
	if strings.ContainsAny(page, "\u202e\x1b") {
		t.Error("HTML contains characters that steer")
	}
	if n := strings.Count(page, "</style>"); n != 1 {
		t.Errorf("HTML has %d ends of style, want 1", n)
	}
	var report Report
	if err := json.Unmarshal([]byte(write(t, JSON, r)), &report); err != nil || report.Fleet != r.Fleet {
		t.Errorf("JSON does not give the fleet back: %q (%v)", report.Fleet, err)
	}
	var suites junitSuites
	if err := xml.Unmarshal([]byte(write(t, JUnit, r)), &suites); err != nil || suites.Tests != 1 {
		t.Errorf("JUnit is no XML: %v", err)
	}
	for _, c := range write(t, Text, Report{Fleet: r.Fleet, Target: r.Target, Reason: r.Reason, Clusters: r.Clusters[:1]}) {
		if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) {
			t.Fatalf("text contains the control character %q", c)
		}
	}
}

// TestPageStandsAlone holds the page to need nothing beside itself.
func TestPageStandsAlone(t *testing.T) {
	page := write(t, HTML, sample())
	if found := regexp.MustCompile(`(?i)(https?:|<link|<script|@import|src=|url\((?:[^#)])[^)]*\))`).FindAllString(page, -1); found != nil {
		t.Errorf("the page asks for something else: %q", found)
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the template put something where it is not safe")
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if ids[m[1]] {
			t.Errorf("id %q is there twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?:href="|url\()#([^")]*)`).FindAllStringSubmatch(page, -1) {
		if !ids[m[1]] {
			t.Errorf("#%s leads nowhere", m[1])
		}
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
		t.Error("a coordinate is no number")
	}
	for _, r := range []Report{troubled(), hostile()} {
		if page := write(t, HTML, r); strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
			t.Error("a coordinate is no number")
		}
	}
}

func TestVerdict(t *testing.T) {
	cluster := func(state fleet.State) Cluster {
		return Cluster{State: state, Availability: Availability{Workloads: 3}}
	}
	blind := cluster(fleet.StateSucceeded)
	blind.Availability.Gaps = []Gap{{From: day, Until: day.Add(90e9)}, {From: day.Add(120e9)}}
	for _, tt := range []struct {
		r    Report
		want string
	}{
		{Report{}, "No cluster was touched. No workload was watched."},
		{Report{Target: "1.35.4", Clusters: []Cluster{cluster(fleet.StateSucceeded)}}, "The cluster is on 1.35.4, checked on its nodes. No workload fell below what it requires."},
		{Report{Target: "1.35.4", Clusters: []Cluster{cluster(fleet.StateSucceeded), cluster(fleet.StateFailed)}}, "1 of 2 clusters are at 1.35.4. No workload fell below what it requires."},
		{Report{Target: "1.35.4", Violations: 1, Clusters: []Cluster{cluster(fleet.StateRunning)}}, "0 of 1 cluster is at 1.35.4. Workloads fell below what they require 1 time."},
		{Report{Target: "1.35.4", EndedAt: day.Add(180e9), Clusters: []Cluster{blind}}, "The cluster is on 1.35.4, checked on its nodes. No workload fell below what it requires. Nothing could be seen for 2m 30s (2 gaps)."},
	} {
		if got := verdict(tt.r); got != tt.want {
			t.Errorf("got  %q\nwant %q", got, tt.want)
		}
	}
}

// failing is a writer whose disk is full.
type failing struct{}

var errFull = errors.New("no space left")

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestWriteErrors(t *testing.T) {
	for name, format := range formats {
		if err := format(failing{}, sample()); !errors.Is(err, errFull) {
			t.Errorf("%s: got %v, want the writer's error", name, err)
		}
	}
}

// TestWritePages writes the pages that a person wants to look at while changing
// them: go test -run WritePages -pages FOLDER.
func TestWritePages(t *testing.T) {
	if *pages == "" {
		t.Skip("no folder given with -pages")
	}
	for name, r := range map[string]Report{"sample": sample(), "troubled": troubled(), "hostile": hostile(), "empty": {}} {
		if err := os.WriteFile(filepath.Join(*pages, name+".html"), []byte(write(t, HTML, r)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
