package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"liftlock.dev/liftlock/internal/domain/check"
	"liftlock.dev/liftlock/internal/domain/fleet"
)

// The parts of SARIF 2.1.0 that are written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID         string         `json:"id"`
		Short      sarifText      `json:"shortDescription"`
		Full       sarifText      `json:"fullDescription"`
		Properties map[string]any `json:"properties,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    *int               `json:"ruleIndex,omitempty"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name          string `json:"name"`
		FullQualified string `json:"fullyQualifiedName"`
		Kind          string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
)

// CheckSARIF writes SARIF 2.1.0, as code scanning takes it: a kind of finding is a
// rule, an object in a cluster a logical location, a line of a file a physical one.
func CheckSARIF(w io.Writer, c Checked) error {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "liftlock", Version: strings.TrimPrefix(c.Product, "liftlock ")}
	index := map[string]int{}
	for _, one := range check.All() {
		for _, kind := range one.Finds {
			if _, known := index[kind.ID]; known {
				continue
			}
			index[kind.ID] = len(run.Tool.Driver.Rules)
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
				ID: kind.ID, Short: sarifText{kind.Says}, Full: sarifText{one.Title + ": " + one.Doc},
				Properties: map[string]any{"tags": []string{"kubernetes", string(one.Group)}},
			})
		}
	}
	invocation := sarifInvocation{Successful: c.Summary.NotRun == 0 && c.Summary.Files == 0}
	for i := range c.Results {
		r := &c.Results[i]
		for j := range r.Findings {
			run.Results = append(run.Results, sarifFinding(r, &r.Findings[j], index))
		}
		for _, n := range r.NotRun {
			level := "error"
			if n.Absent {
				level = "note"
			}
			invocation.Notifications = append(invocation.Notifications, sarifNotification{level, sarifText{
				strings.TrimSuffix(fmt.Sprintf("%s: check %s could not see all it needs: %s; %s", r.Cluster, n.Check, n.Why, n.Remedy), "; "),
			}})
		}
	}
	for _, s := range c.Skipped {
		invocation.Notifications = append(invocation.Notifications, sarifNotification{"error", sarifText{fmt.Sprintf("%s:%d was not read: %s", s.File, s.Line, s.Why)}})
	}
	run.Invocations = []sarifInvocation{invocation}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	log := sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
	if err := encoder.Encode(log); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func sarifFinding(r *check.Result, f *check.Finding, index map[string]int) sarifResult {
	parts := slices.DeleteFunc([]string{f.What, f.Why, f.Remedy}, func(part string) bool { return part == "" })
	file, at := placeOf(f)
	sum := sha256.Sum256([]byte(strings.Join([]string{r.Cluster, f.ID, f.Object, file}, "\n")))
	out := sarifResult{
		RuleID: f.ID, Level: sarifLevel(f.Severity), Message: sarifText{strings.Join(parts, ". ")},
		Locations:    []sarifLocation{{Logical: []sarifLogical{{Name: f.Object, FullQualified: r.Cluster + "/" + f.Object, Kind: "resource"}}}},
		Fingerprints: map[string]string{"liftlock/v1": hex.EncodeToString(sum[:16])},
	}
	if i, known := index[f.ID]; known {
		out.RuleIndex = &i
	}
	if file != "" {
		p := &sarifPhysical{}
		p.Artifact.URI = (&url.URL{Path: file}).String()
		if at > 0 {
			p.Region = &sarifRegion{StartLine: at}
		}
		out.Locations[0].Physical = p
	}
	if f.AcceptedBy != "" {
		out.Suppressions = []sarifSuppression{{Kind: "external", Justification: "accepted by " + f.AcceptedBy}}
	}
	return out
}

// inFile finds the place in evidence such as "manifest: policy/v1beta1 in
// deploy/web.yaml:12".
var inFile = regexp.MustCompile(`(?m)^(?:manifest|template): \S+ in (.+?):(\d+)(?: by | at | \(|$)`)

// placeOf is the file and line that a finding is about, where its evidence names
// one.
func placeOf(f *check.Finding) (file string, line int) {
	m := inFile.FindStringSubmatch(f.Evidence)
	if m == nil {
		return "", 0
	}
	n, err := strconv.Atoi(m[2])
	if err != nil {
		return m[1], 0
	}
	return m[1], n
}

func sarifLevel(s fleet.Severity) string {
	switch s {
	case fleet.Blocker:
		return "error"
	case fleet.Warning:
		return "warning"
	case fleet.Info:
		return "note"
	}
	return "none"
}
