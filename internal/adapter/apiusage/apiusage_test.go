package apiusage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"liftlock.dev/liftlock/internal/adapter/apiusage"
	"liftlock.dev/liftlock/internal/domain/lifecycle"
)

func TestReadMetrics(t *testing.T) {
	const text = `# HELP apiserver_requested_deprecated_apis [STABLE] Gauge of deprecated APIs that have been requested.
# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="policy",removed_release="1.25",resource="podsecuritypolicies",subresource="",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="flowcontrol.apiserver.k8s.io",version="v1beta3",resource="flowschemas",subresource="status",removed_release="1.32",} 1 1700000000000
apiserver_requested_deprecated_apis{group="",version="v1",resource="componentstatuses",subresource="",removed_release=""} 1
apiserver_requested_deprecated_apis{group="batch",version="v1beta1",resource="cronjobs",subresource="",removed_release="1.25"} 0
apiserver_requested_deprecated_apis_total{group="x"} 1
apiserver_request_total{group="policy",version="v1beta1"} 7
apiserver_requested_deprecated_apis{group="a} 1
apiserver_requested_deprecated_apis{group="a",version="v1",resource="b"}
apiserver_requested_deprecated_apis{group="a",version="v1",resource="b"} many
apiserver_requested_deprecated_apis 1
apiserver_requested_deprecated_apis{group="a"} 1
`
	requested, unread, err := apiusage.ReadMetrics(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := "{policy v1beta1 podsecuritypolicies  1.25.0}\n{flowcontrol.apiserver.k8s.io v1beta3 flowschemas status 1.32.0}\n{ v1 componentstatuses  unknown}\n" +
		"metrics:9: apiserver_requested_deprecated_apis: label \"group\" has no value in quotes\n" +
		"metrics:10: apiserver_requested_deprecated_apis: has no value\n" +
		"metrics:11: apiserver_requested_deprecated_apis: its value \"many\" is no number\n" +
		"metrics:12: apiserver_requested_deprecated_apis: has no labels\n" +
		"metrics:13: apiserver_requested_deprecated_apis: names no version or no resource"
	var lines []string
	for _, r := range requested {
		lines = append(lines, fmt.Sprint(r))
	}
	if got := strings.Join(append(lines, unread...), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// event is an audit event of a request to batch/v1beta1.
func event(id, stage, user, at string) string {
	return `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"` + id + `","stage":"` + stage + `","requestURI":"/apis/batch/v1beta1/cronjobs?token=s3cr3t","verb":"list","user":{"username":"` + user + `"},"sourceIPs":["10.0.0.1"],"userAgent":"helm/v3.2","objectRef":{"resource":"cronjobs","namespace":"shop","apiGroup":"batch","apiVersion":"v1beta1"},"requestReceivedTimestamp":"` + at + `","annotations":{"authorization.k8s.io/decision":"allow","k8s.io/deprecated":"true","k8s.io/removed-release":"1.25"}}`
}

func TestReadAudit(t *testing.T) {
	jenkins := event("1", "ResponseStarted", "jenkins", "2024-01-10T10:00:00.000000Z")
	log := strings.Join([]string{
		jenkins,
		event("1", "ResponseComplete", "jenkins", "2024-01-10T10:00:00.000000Z"), // the same request
		"",
		event("2", "ResponseComplete", "jenkins", "2024-01-11T10:00:00.000000Z"),
		strings.Replace(event("3", "ResponseComplete", "other", "2024-01-11T10:00:00.000000Z"), `"k8s.io/deprecated":"true",`, "", 1),
		`{"kind":"EventList","items":[` + event("4", "ResponseComplete", "flux", "2024-01-12T10:00:00.000000Z") + "]}",
		`{"category":"kube-audit","time":"2024-01-13T10:00:00Z","properties":{"log":` + fmt.Sprintf("%q", event("5", "ResponseComplete", "azure", "2024-01-13T10:00:00.000000Z")) + `,"stream":"stdout"}}`,
		`{"category":"kube-audit","properties":{"log":"{\"k8s.io/deprecated\":"}}`,
		"no JSON",
	}, "\n")
	uses, unread, err := apiusage.ReadAudit(t.Context(), strings.NewReader(log), "audit.log")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range uses {
		got = append(got, fmt.Sprintf("%s %s/%s %s by %s (%s) %d times, last at %s in %s, gone in %s", u.Verb, u.Group, u.Version, u.Resource, u.User, u.UserAgent, u.Count, u.At.Format(time.DateOnly), u.Namespace, u.Removed.MinorString()))
	}
	want := `list batch/v1beta1 cronjobs by azure (helm/v3.2) 1 times, last at 2024-01-13 in shop, gone in 1.25
list batch/v1beta1 cronjobs by flux (helm/v3.2) 1 times, last at 2024-01-12 in shop, gone in 1.25
list batch/v1beta1 cronjobs by jenkins (helm/v3.2) 2 times, last at 2024-01-11 in shop, gone in 1.25
audit.log:8: properties.log is no audit event in JSON; Azure Monitor cuts off what is too long
audit.log:9: is no audit event in JSON; give a log of one event a line`
	if all := strings.Join(append(got, unread...), "\n"); all != want {
		t.Errorf("got\n%s\nwant\n%s", all, want)
	}
}

func TestReadAuditOfNoLog(t *testing.T) {
	_, unread, err := apiusage.ReadAudit(t.Context(), strings.NewReader(strings.Repeat("x\n", 100)), "f")
	if err != nil || len(unread) != 21 || unread[20] != "f: and 80 more lines" {
		t.Errorf("got %d lines, %v, %v", len(unread), unread[len(unread)-1], err)
	}
	_, unread, err = apiusage.ReadAudit(t.Context(), strings.NewReader(strings.Repeat("x", 17<<20)+"\n"+event("1", "ResponseComplete", "a", "")), "f")
	if err != nil || len(unread) != 1 || !strings.Contains(unread[0], "more than 16 MiB") {
		t.Errorf("got %v, %v", unread, err)
	}
}

func TestReadingEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := apiusage.ReadAudit(ctx, strings.NewReader(strings.Repeat("{}\n", 5000)), "f"); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled read ended with %v", err)
	}
}

// A metric and an audit log of the same use are one finding, which says who.
func TestBothAreJudgedTogether(t *testing.T) {
	requested, _, err := apiusage.ReadMetrics(t.Context(), strings.NewReader(`apiserver_requested_deprecated_apis{group="batch",version="v1beta1",resource="cronjobs",subresource="",removed_release="1.25"} 1`))
	if err != nil {
		t.Fatal(err)
	}
	uses, _, err := apiusage.ReadAudit(t.Context(), strings.NewReader(event("1", "ResponseComplete", "jenkins", "2024-01-10T10:00:00Z")), "f")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2024, 1, 10, 11, 0, 0, 0, time.UTC)
	findings := lifecycle.JudgeRequests(requested, uses, requested[0].Removed, now)
	if len(findings) != 1 || findings[0].Owner != "jenkins" || !strings.Contains(findings[0].Evidence, "metric") {
		t.Errorf("got %+v", findings)
	}
}

func FuzzReadMetrics(f *testing.F) {
	f.Add([]byte(`apiserver_requested_deprecated_apis{group="p\"",version="v1",resource="r",removed_release="1.25"} 1e3 5` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		requested, _, err := apiusage.ReadMetrics(t.Context(), strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range requested {
			if r.Version == "" || r.Resource == "" {
				t.Errorf("%+v", r)
			}
		}
	})
}

func FuzzReadAudit(f *testing.F) {
	f.Add([]byte(event("1", "ResponseComplete", "a", "2024-01-10T10:00:00Z")))
	f.Add([]byte(`{"items":[{"items":[{"items":[{}]}]}],"properties":{"log":"{}"},"k8s.io/deprecated":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		uses, _, err := apiusage.ReadAudit(t.Context(), strings.NewReader(string(text)), "f")
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range uses {
			if u.Count < 1 {
				t.Errorf("%+v", u)
			}
		}
	})
}
