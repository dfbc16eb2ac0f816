package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/report"
)

// checked has one of everything that a check can say.
func checked() report.Checked {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	finding := func(name, id string, severity fleet.Severity, object, evidence, accepted string) check.Finding {
		return check.Finding{Check: name, Finding: fleet.Finding{
			ID: id, Severity: severity, Cluster: "prod", Object: object, What: object + " is <odd>\x1b[31m", Why: "for a reason", Remedy: "mend it", Evidence: evidence, AcceptedBy: accepted,
		}}
	}
	r := check.Result{
		Cluster: "prod", Ring: "last", Target: "1.36.0", At: at, Ran: []string{"apis", "bare-pods", "grace"},
		Findings: []check.Finding{
			finding("apis", "api-removed", fleet.Blocker, "Ingress/shop/web", "manifest: networking.k8s.io/v1beta1 in my charts/a b.yaml:12", ""),
			finding("apis", "api-removed", fleet.Blocker, "Ingress/shop/api", "manifest: networking.k8s.io/v1beta1 in charts/api.yaml:7", ""),
			finding("grace", "pod-killed-at-once", fleet.Warning, "Deployment/shop/web", "", ""),
			finding("", "snapshot-without-budgets", fleet.Info, "snapshot", "", ""),
			finding("bare-pods", "pod-bare", fleet.Blocker, "Pod/shop/bare", "", "ann"),
		},
		NotRun: []check.NotRun{
			{Check: "quotas", Why: "refused", Remedy: "grant it"},
			{Check: "apis", Why: "widgets: refused", Partly: true},
			{Check: "hops", Why: "no provider", Absent: true},
		},
	}
	clean := check.Result{Cluster: "dev", At: at, Findings: []check.Finding{}, Ran: []string{"apis"}, NotRun: []check.NotRun{}}
	acceptances := []check.Acceptance{
		{Acceptance: fleet.Acceptance{Finding: "pod-bare", Owner: "ann"}, State: check.AcceptanceUsed},
		{Acceptance: fleet.Acceptance{Finding: "pod-local-data", Owner: "bob"}, State: check.AcceptanceUnused},
		{Acceptance: fleet.Acceptance{Finding: "grace", Owner: "cleo", Until: at}, State: check.AcceptanceExpired},
		{Acceptance: fleet.Acceptance{Finding: "hops", Owner: "dan"}, State: check.AcceptanceUnchecked},
	}
	return report.NewChecked([]check.Result{r, clean}, acceptances, []report.Skipped{{File: "big.yaml", Line: 3, Why: "is cut off"}})
}

func TestCheckSummary(t *testing.T) {
	want := report.CheckSummary{Clusters: 2, Blockers: 2, Warnings: 1, Infos: 1, Accepted: 1, Ran: 4, NotRun: 2, Absent: 1, Files: 1}
	if got := checked().Summary; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestCheckText: nothing steers a terminal, and all that a person should see is
// there.
func TestCheckText(t *testing.T) {
	var out bytes.Buffer
	if err := report.CheckText(&out, checked()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"prod (ring last) to 1.36.0: 2 blockers, 1 warning\n", "BLOCKER  Ingress/shop/web: api-removed\n", "seen: manifest: networking.k8s.io/v1beta1 in my charts/a b.yaml:12\n",
		"could not run: quotas\n    refused\n    do: grant it\n", "ran in part: apis\n    widgets: refused\n", "not run: hops\n",
		"    Pod/shop/bare: pod-bare, by ann\n", "not read: big.yaml:3: is cut off\n", "by bob covers no finding", "by cleo has expired (2026-11-23)",
		"2 clusters: 2 blockers, 1 warning, 1 to know, 1 accepted; 4 checks ran, 2 could not see all they need, 1 need what this source does not hold, 1 place was not read\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not say %q:\n%s", want, out.String())
		}
	}
	for _, never := range []string{"\x1b", "by dan"} {
		if strings.Contains(out.String(), never) {
			t.Errorf("says %q", never)
		}
	}
}

// TestCheckJUnit: what fails is what was asked to; what could not run is skipped.
func TestCheckJUnit(t *testing.T) {
	type outcome struct {
		Message string `xml:"message,attr"`
	}
	type suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string   `xml:"name,attr"`
				Failure *outcome `xml:"failure"`
				Skipped *outcome `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	read := func(fails ...fleet.Severity) (suites, string) {
		var out bytes.Buffer
		if err := report.CheckJUnit(&out, checked(), fails); err != nil {
			t.Fatal(err)
		}
		var s suites
		if err := xml.Unmarshal(out.Bytes(), &s); err != nil {
			t.Fatalf("%v:\n%s", err, out.String())
		}
		var told []string
		for _, suite := range s.Suites {
			for _, c := range suite.Cases {
				switch {
				case c.Failure != nil:
					told = append(told, suite.Name+"/"+c.Name+" failed")
				case c.Skipped != nil:
					told = append(told, suite.Name+"/"+c.Name+" skipped")
				default:
					told = append(told, suite.Name+"/"+c.Name)
				}
			}
		}
		return s, strings.Join(told, ", ")
	}
	s, told := read(fleet.Blocker)
	if want := "prod/gathering, prod/apis failed, prod/bare-pods, prod/grace, prod/hops skipped, prod/quotas skipped, dev/apis, files/read failed"; told != want {
		t.Errorf("got  %s\nwant %s", told, want)
	}
	if s.Tests != 8 || s.Failures != 2 || s.Skipped != 2 {
		t.Errorf("%d tests, %d failures, %d skipped", s.Tests, s.Failures, s.Skipped)
	}
	if _, told := read(fleet.Blocker, fleet.Warning); !strings.Contains(told, "prod/grace failed") {
		t.Errorf("warnings: %s", told)
	}
}

// TestCheckSARIF: every result names a rule that is there, by index and id, and
// where it is.
func TestCheckSARIF(t *testing.T) {
	var out bytes.Buffer
	if err := report.CheckSARIF(&out, checked()); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Invocations []struct {
				ExecutionSuccessful        *bool
				ToolExecutionNotifications []struct{ Level string }
			}
			Results []struct {
				RuleID       string
				RuleIndex    *int
				Level        string
				Suppressions []struct{ Kind string }
				Locations    []struct {
					PhysicalLocation *struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
					LogicalLocations []struct{ FullyQualifiedName string }
				}
				PartialFingerprints map[string]string
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if log.Version != "2.1.0" || len(run.Results) != 5 || run.Invocations[0].ExecutionSuccessful == nil || *run.Invocations[0].ExecutionSuccessful {
		t.Errorf("version %s, %d results, invocation %+v", log.Version, len(run.Results), run.Invocations)
	}
	if n := len(run.Invocations[0].ToolExecutionNotifications); n != 4 {
		t.Errorf("%d notifications", n)
	}
	ids := map[string]bool{}
	for _, r := range run.Tool.Driver.Rules {
		if ids[r.ID] {
			t.Errorf("rule %s is there twice", r.ID)
		}
		ids[r.ID] = true
	}
	prints := map[string]bool{}
	for _, r := range run.Results {
		if r.RuleIndex != nil && run.Tool.Driver.Rules[*r.RuleIndex].ID != r.RuleID {
			t.Errorf("result %s has the index of %s", r.RuleID, run.Tool.Driver.Rules[*r.RuleIndex].ID)
		}
		if (r.RuleIndex == nil) != (r.RuleID == "snapshot-without-budgets") || len(r.Locations) != 1 || len(r.Locations[0].LogicalLocations) != 1 {
			t.Errorf("result %+v", r)
		}
		if prints[r.PartialFingerprints["liftlock/v1"]] {
			t.Errorf("fingerprint of %s is another's", r.RuleID)
		}
		prints[r.PartialFingerprints["liftlock/v1"]] = true
		if (len(r.Suppressions) > 0) != (r.RuleID == "pod-bare") {
			t.Errorf("suppressions of %s: %v", r.RuleID, r.Suppressions)
		}
	}
	for i, want := range []string{"my%20charts/a%20b.yaml:12", "charts/api.yaml:7"} {
		at := run.Results[i].Locations[0].PhysicalLocation
		if at == nil || fmt.Sprintf("%s:%d", at.ArtifactLocation.URI, at.Region.StartLine) != want {
			t.Errorf("place %+v, want %s", at, want)
		}
	}
	if !slices.Equal([]string{run.Results[0].Level, run.Results[2].Level, run.Results[3].Level}, []string{"error", "warning", "note"}) {
		t.Errorf("levels: %+v", run.Results)
	}
}
